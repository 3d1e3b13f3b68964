/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines for the application. */
#include <stdarg.h>
#include <stdio.h>
#include <viaduct/log.h>

#include "base/base.h"

/* Written before workers start, read by all. */
static via_log_fn *log_fn;
static void *log_user;

VIA_EXPORT void via_log_to(via_log_fn *fn, void *user)
{
	log_fn = fn;
	log_user = user;
}

VIA_EXPORT void via_log(enum via_log_level level, const char *format, ...)
{
	char line[512];
	va_list args;

	if (!log_fn)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_fn(log_user, level, line);
}
