/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's log: lines on stderr, "viaductd: warning: …". */
#ifndef VIA_DAEMON_DLOG_H
#define VIA_DAEMON_DLOG_H

#include <stdbool.h>

/* Directs via_log() to stderr; 'verbose' shows debug lines. Thread: control, before workers start. */
void dlog_start(bool verbose);

#endif
