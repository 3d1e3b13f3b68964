/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes that wait for workers, one at a time; and lines about a device, not too many. */
#include <stdarg.h>
#include <stdio.h>

#include "vhost/vhost.h"

#define LOG_LINES   20
#define LOG_SPAN_US 10000000

void vu_retire(struct via_device *dev, struct vu_retired *retired)
{
	retired->next = dev->retired;
	dev->retired = retired;
}

static void free_all(struct vu_retired *list)
{
	while (list) {
		struct vu_retired *next = list->next;

		list->free(list);
		list = next;
	}
}

void vu_retired_free(struct via_device *dev)
{
	free_all(dev->retired);
	dev->retired = NULL;
}

bool vu_is_settling(const struct via_device *dev)
{
	return dev->then != NULL;
}

/* No worker holds what was retired before the wait: each was published by a pointer that it loads anew
 * in every burst, and has been quiescent since that pointer changed. */
static void settled(void *user)
{
	struct via_device *dev = user;
	vu_then *then = dev->then;

	free_all(dev->waiting);
	dev->waiting = NULL;
	dev->then = NULL;
	then(dev);
	vu_session_settled(dev);
}

void vu_settle(struct via_device *dev, vu_then *then)
{
	assert(!dev->then);
	if (!dev->retired) {
		then(dev);
		return;
	}
	dev->then = then;
	dev->waiting = dev->retired;
	dev->retired = NULL;
	via_loop_after_grace(dev->loop, settled, dev);
}

void vu_log(struct via_device *dev, enum via_log_level level, const char *format, ...)
{
	const bool trouble = level == VIA_LOG_ERROR || level == VIA_LOG_WARNING;
	const uint64_t now = via_clock_us();
	char line[512];
	va_list args;

	if (now - dev->log[trouble].since_us >= LOG_SPAN_US) {
		if (dev->log[trouble].left_out)
			via_log(VIA_LOG_WARNING, "%s: %u more lines left out", dev->name,
				dev->log[trouble].left_out);
		dev->log[trouble].since_us = now;
		dev->log[trouble].lines = dev->log[trouble].left_out = 0;
	}
	if (++dev->log[trouble].lines > LOG_LINES) {
		dev->log[trouble].left_out++;
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	via_log(level, "%s: %s", dev->name, line);
}
