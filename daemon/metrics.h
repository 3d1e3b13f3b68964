/* SPDX-License-Identifier: BSD-3-Clause */
/* Prometheus' text format, from the answers of the control API. */
#ifndef VIA_DAEMON_METRICS_H
#define VIA_DAEMON_METRICS_H

#include <jansson.h>

/* From the results of 'status' and 'stats'. Returns a text to free(), or NULL without memory. */
char *metrics_text(const json_t *status, const json_t *stats);

#endif
