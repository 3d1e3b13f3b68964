/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A switch without workers and without a control thread: its core, a table of ports whose egress the
 * caller provides, and one pass. Station number i, from 1 on, is known to be at port i.
 */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include "switch/forward.h"

#define BENCH_STATIONS 16
#define BENCH_PORTS    18        /* number 0 is the source, the last one has no station */
#define BENCH_TABLE    (1 << 20) /* addresses for which there is room */

struct bench_core {
	struct sw_core *core;
	struct sw_pass *pass;
	struct sw_source source;
	struct via_port port[BENCH_PORTS];
	struct sw_member member[BENCH_PORTS];
	const struct sw_member *places[BENCH_PORTS];
	struct via_queue_stats received[BENCH_PORTS], sent[BENCH_PORTS];
	struct sw_vlan trunk;
	struct sw_table table;
};

/* The last six bytes of a frame's source are those of the station at port 0. */
#define BENCH_MACS(station)                                  \
	{                                                    \
		2, 0, 0, 0, 0, (station), 2, 0, 0, 0, 0, 200 \
	}

/*
 * A switch whose ports send by 'ops', which finds 'user' in port->config.user (both borrowed). 'vlan'
 * not 0: the source is an access port of that VLAN, the others are trunks. Ends the program without
 * memory.
 */
struct bench_core *bench_core_open(const struct via_port_ops *ops, void *user, uint16_t vlan);
void bench_core_close(struct bench_core *core); /* accepts NULL */

/* Has the switch know that 'mac' is at 'port', in VLAN 0. */
void bench_core_learn(struct bench_core *core, const uint8_t mac[6], uint32_t port);

/* Forwards the first 'n' views of core->pass->burst. */
void bench_core_forward(struct bench_core *core, uint32_t n);

#endif
