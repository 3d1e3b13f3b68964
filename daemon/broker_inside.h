/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker's own state, for its files: broker.c, broker_serve.c, broker_children.c.
 */
#ifndef VIA_DAEMON_BROKER_INSIDE_H
#define VIA_DAEMON_BROKER_INSIDE_H

#include <limits.h>
#include <time.h>

#include "daemon/broker.h"

/* Between telling children to end and killing them, and again. */
#define BROKER_END_PATIENCE_US 5000000

/* Interfaces that the broker has made or that the file names, by number: a name may be somebody else's later. */
struct broker_taps {
	unsigned int *index;
	uint32_t nr;
};

struct broker {
	struct broker_setup *setup;
	struct broker_files files;
	struct broker_taps taps;
	int signal_fd, channel, kept_fd, control_fd, metrics_fd; /* -1: not there */
	pid_t data, exporter;                                    /* 0: not there */
	bool ready, ending;
	int status; /* to exit with */
	unsigned int restarts, exporter_restarts;
	uint64_t period_start_us, deadline_us;
	char exporter_path[PATH_MAX];
};

/* What there is no process or no memory for may be there in a moment. */
static const struct timespec broker_moment = { .tv_nsec = 20000000 };

/* ---- broker_serve.c ---- */

/* Answers the request that has come from the data process, or notices that it is gone. */
void broker_serve(struct broker *broker);

/* ---- broker_children.c ---- */

/* Starts the data process. Returns 0, or -1: the log says why. */
int broker_start_data_process(struct broker *broker);
/* Starts the exporter, if there is anything to export to. */
void broker_start_exporter(struct broker *broker);
/* Tells both to end, and how the broker is to exit once they have. */
void broker_end(struct broker *broker, int status);
/* Takes note of children that have ended: another takes the place of one that died. */
void broker_reap(struct broker *broker);

#endif
