/* SPDX-License-Identifier: BSD-3-Clause */
/* The loops of the client: the only code that runs while it is measured. */
#ifndef VIA_BENCH_LOAD_H
#define VIA_BENCH_LOAD_H

#include "bench/client/port.h"

struct load {
	const struct client_config *config;
	struct port *port;
	uint32_t nr_ports;
	bool sending;            /* false: only receives */
	uint64_t begin;          /* cycle at which sending began, for the open loop */
	double frames_per_cycle; /* the open loop's rate */
	uint64_t longest; /* cycles: a turn that took longer was interrupted, and does not count */
	uint64_t busy_cycles, idle_cycles, turns, idle_turns;
};

/* Serves all ports until cycle 'until'. */
void load_run(struct load *load, uint64_t until);

/* Sends one frame of 'port' and waits until the back-end has taken it, until cycle 'until' at most. */
bool load_send_one(struct port *port, uint64_t until);

#endif
