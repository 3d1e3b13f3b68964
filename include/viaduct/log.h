/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events of the library that nobody asked for and somebody should read: a front-end that broke a
 * rule, a queue that became broken. libviaduct prints nothing; it hands lines to the application.
 */
#ifndef VIADUCT_LOG_H
#define VIADUCT_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum via_log_level { VIA_LOG_ERROR, VIA_LOG_WARNING, VIA_LOG_INFO, VIA_LOG_DEBUG };

typedef void via_log_fn(void *user, enum via_log_level level, const char *line);

/*
 * Sends later lines to 'fn' ('user' is borrowed); NULL drops them, which is the default. 'fn' is
 * called from the control thread and, rarely, from workers, so it must not block.
 * Thread: control, before workers start.
 */
void via_log_to(via_log_fn *fn, void *user);

/* Hands one line on. Callers limit the rate of what a peer can trigger. Thread: any. */
void via_log(enum via_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
