/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch: the Ethernet switch between ports.
 *
 *   switch.h   this: what the daemon calls      switch.c   its beginning and end, what it knows
 *   control.h  what its control files share     ports.c    ports in and out
 *   core.h     what all of the switch shares    table.c    what workers know of ports and VLANs
 *   input.c    judges and learns a burst        vlan.c     access and trunk ports
 *   fdb.c      the MAC table                    forward.c  lookup, flood, dispatch by egress port
 *   worker.c   the loop: poll, rest, sleep      polling.c  queues that are polled, or waited for
 *   mail.c     how control reaches workers      crew.c     workers begin and end
 *   assign.c   which worker serves which queue  chores.c   what workers ask control for
 *   capture.c  frames into a pcap file
 *
 * May use lib/. Called by the daemon on the control thread; everything else happens on workers.
 */
#ifndef SW_SWITCH_H
#define SW_SWITCH_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>

#include "base/calls.h"
#include "port/port.h"

struct sw_switch; /* opaque */

extern const struct via_need sw_needs[]; /* crew.c */

#define SW_POLL_ALWAYS    UINT32_MAX
#define SW_MAX_WORKERS    64
#define SW_MAX_PORTS      4096
#define SW_FDB_PORT_LIMIT 4096 /* entries a port may learn */

struct sw_config {
	uint32_t nr_workers;     /* 1 to SW_MAX_WORKERS */
	const int *cpus;         /* nr_workers of them, -1: not pinned; NULL: none pinned */
	uint32_t poll_us;        /* 0: interrupts only; SW_POLL_ALWAYS: never sleep */
	uint32_t ageing_s;       /* 0: 300 */
	uint32_t fdb_size;       /* entries; 0: 65536 */
	uint32_t fdb_port_limit; /* 0: SW_FDB_PORT_LIMIT */
	struct via_loop *loop;   /* borrowed */
};

/* Membership of a port: 802.1Q. Access port: 'vlan' untagged. Trunk port: tagged members, and 'vlan'
 * for untagged frames (0: untagged frames are dropped). Neither: VLAN-unaware, tags pass (vlan 0). */
struct sw_vlan {
	uint16_t vlan; /* 0, or 1 to 4094 */
	bool trunk;
	uint64_t members[64]; /* bit v: member of VLAN v, trunk only */
};

struct sw_port_config {
	struct sw_vlan vlan;
	bool isolated; /* never forwards to another isolated port */
};

/* Starts the workers. Returns 0, or a negative errno with the reason in 'err'. Thread: control. */
int sw_create(struct sw_switch **sw, const struct sw_config *config, struct via_error *err);
/* Ports must be gone. Ends the workers and waits for them. Accepts NULL. Thread: control. */
void sw_free(struct sw_switch *sw);

/* Opens a port of 'ops' and attaches it; the switch sets the callbacks, loop is its own. Returns its
 * index (0 …) or a negative errno. Thread: control. */
int sw_port_add(struct sw_switch *sw, const struct via_port_ops *ops,
		const struct via_port_config *config, const struct sw_port_config *port_config,
		struct via_error *err);
/* Detaches, forgets its addresses, closes; 'done(user)' (may be NULL) when it is gone. */
int sw_port_del(struct sw_switch *sw, uint32_t index, void (*done)(void *user), void *user,
		struct via_error *err);
/* Changes VLANs or isolation of a running port. */
int sw_port_set(struct sw_switch *sw, uint32_t index, const struct sw_port_config *port_config,
		struct via_error *err);
struct via_port *sw_port(struct sw_switch *sw, uint32_t index); /* NULL if there is none */
const struct sw_port_config *sw_port_config(struct sw_switch *sw, uint32_t index);
int sw_port_find(struct sw_switch *sw, const char *name); /* index or -ENOENT */

struct sw_fdb_entry {
	uint8_t mac[6];
	uint16_t vlan;
	uint16_t port;
	bool is_static;
	uint32_t age_s;
};
int sw_fdb_add(struct sw_switch *sw, const uint8_t mac[6], uint16_t vlan, uint32_t port,
	       struct via_error *err); /* static; replaces a learned one */
int sw_fdb_del(struct sw_switch *sw, const uint8_t mac[6], uint16_t vlan, struct via_error *err);
/* Forgets learned entries, of 'port' or (-1) of all, and asks the peers behind to announce themselves.
 * Returns how many. */
uint32_t sw_fdb_flush(struct sw_switch *sw, int port);
void sw_fdb_walk(struct sw_switch *sw, void (*fn)(void *user, const struct sw_fdb_entry *entry),
		 void *user);

/* Counters of the switch as a whole and of each worker: names and values for 'status' and 'stats'. */
typedef void sw_counter_fn(void *user, const char *name, uint64_t value);
void sw_counters(struct sw_switch *sw, sw_counter_fn *fn, void *user);
uint32_t sw_nr_workers(const struct sw_switch *sw);
struct sw_worker_info {
	int cpu;
	uint32_t queues; /* assigned */
	uint32_t polled; /* of them in the polling set now */
	bool asleep;
	uint64_t busy_us, packets, wakeups, sleeps; /* since start */
	uint64_t busy_cycles; /* of the CPU's clock (TSC), in bursts that had packets */
	int tid;
};
void sw_worker_info(struct sw_switch *sw, uint32_t worker, struct sw_worker_info *info);
/* Which worker serves ingress queue 'q' of a port; -1: none. */
int sw_queue_worker(struct sw_switch *sw, uint32_t port, uint32_t q);
int sw_set_poll_us(struct sw_switch *sw, uint32_t poll_us);

/*
 * Mirrors every frame that enters or leaves port 'index' (-1: all ports) into 'fd' (a pipe, socket or
 * file; borrowed) as pcapng-free plain pcap with at most 'snaplen' bytes each; at most one capture at
 * a time. Slow readers lose frames (counted), never packets. NULL fn of 'sw_capture_stop' ends it.
 */
int sw_capture_start(struct sw_switch *sw, int index, int fd, uint32_t snaplen,
		     struct via_error *err);
void sw_capture_stop(struct sw_switch *sw, uint64_t *frames, uint64_t *lost);

#endif
