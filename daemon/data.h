/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data process: control loop, switch, control API. It is started with all descriptors that it
 * cannot ask the broker for, and never returns to being anything else.
 */
#ifndef VIA_DAEMON_DATA_H
#define VIA_DAEMON_DATA_H

#include <stdbool.h>
#include <stddef.h>

struct data_start {
	int broker_fd;           /* the channel */
	int control_fd;          /* listening socket of the control API */
	int kept_fd;             /* of kept.h */
	bool restarted;          /* after a crash: serve what can be served instead of giving up */
	const char *config_path; /* as an operator calls it, or NULL */
};

/* Runs until told to end. Returns an exit status. Thread: becomes control. */
int data_run(const struct data_start *start);

#endif
