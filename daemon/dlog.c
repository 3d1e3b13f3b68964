/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines on stderr. What a peer can trigger is limited where it arises; here is a second limit for all
 * lines together, so that no mistake of ours fills a disk: DLOG_BURST lines at once and DLOG_BURST
 * every DLOG_PERIOD_US. What was left out is said.
 */
#include "daemon/dlog.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"

#define DLOG_BURST     500
#define DLOG_PERIOD_US 10000000

static struct {
	pthread_mutex_t lock; /* guards all; taken by control and, rarely, by workers */
	bool verbose;
	uint64_t period_start_us;
	unsigned int lines, left_out;
} dlog = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One write, so that lines of two processes do not mix. */
static void put(const char *level, const char *line)
{
	char text[1024];
	int len = snprintf(text, sizeof(text) - 1, "viaductd: %s%s", level, line);
	size_t size = len < (int)sizeof(text) - 1 ? (size_t)len : sizeof(text) - 2;
	ssize_t ignored;

	text[size++] = '\n';
	ignored = write(STDERR_FILENO, text, size);
	(void)ignored; /* stderr closed or full: there is nobody to tell */
}

static bool may_log(void)
{
	uint64_t now = via_clock_us();
	char line[64];

	if (now - dlog.period_start_us > DLOG_PERIOD_US) {
		if (dlog.left_out) {
			snprintf(line, sizeof(line), "%u lines were left out here", dlog.left_out);
			put("warning: ", line);
		}
		dlog.period_start_us = now;
		dlog.lines = dlog.left_out = 0;
	}
	if (dlog.lines >= DLOG_BURST) {
		dlog.left_out++;
		return false;
	}
	dlog.lines++;
	return true;
}

static void on_line(void *user, enum via_log_level level, const char *line)
{
	static const char *const names[] = { [VIA_LOG_ERROR] = "error: ",
					     [VIA_LOG_WARNING] = "warning: ",
					     [VIA_LOG_INFO] = "",
					     [VIA_LOG_DEBUG] = "debug: " };

	(void)user;
	if (level == VIA_LOG_DEBUG && !dlog.verbose)
		return;
	pthread_mutex_lock(&dlog.lock);
	if (may_log())
		put(names[level], line);
	pthread_mutex_unlock(&dlog.lock);
}

void dlog_start(bool verbose)
{
	dlog.verbose = verbose;
	via_log_to(on_line, NULL);
}
