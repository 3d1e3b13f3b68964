/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all of the switch shares: the published table of ports and VLANs, and the few words that
 * workers and control exchange.
 *
 * The table is immutable. Control builds a new one for each change, swaps 'table', and frees the old
 * one with via_loop_after_grace(). A worker loads the pointer once a burst and may use what it found
 * until its next quiescent point.
 */
#ifndef SW_CORE_H
#define SW_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "switch/fdb.h"
#include "switch/switch.h"

#define SW_NR_VLANS 4096

struct sw_worker;
struct sw_queue;
struct sw_capture;

enum sw_kind {
	SW_UNAWARE, /* in VLAN 0, whose frames go as they came */
	SW_ACCESS,  /* untagged in one VLAN */
	SW_TRUNK,   /* tagged in some, untagged in at most one */
};

/* What workers know of a port. Immutable; replaced as a whole. */
struct sw_member {
	struct via_port *port;
	uint16_t index;
	uint16_t vlan; /* of untagged frames; 0: none (trunk), unaware */
	enum sw_kind kind;
	bool isolated;
	const struct sw_vlan *trunk; /* whose 'members' count; of the same allocation */
};

/* Where frames go that go to all of a VLAN. */
struct sw_flood {
	const struct sw_member *const *member;
	uint32_t n;
};

struct sw_table {
	uint32_t nr_ports;                   /* places in 'port' */
	const struct sw_member *const *port; /* NULL where there is none */
	struct sw_flood flood[SW_NR_VLANS];
};

/* What a worker may ask of control by sw_nudge(). */
enum {
	SW_NUDGE_AGE = 1,       /* there is something to age now */
	SW_NUDGE_REBALANCE = 2, /* workers are busy: look whether queues should move */
	SW_NUDGE_CLOSE = 4,     /* a port's last queue is gone, and with it its descriptors */
};

struct sw_core {
	_Atomic(const struct sw_table *) table; /* published by control */
	_Atomic(struct sw_capture *) capture;   /* likewise; NULL: none runs */
	_Atomic(uint32_t) poll_us;
	uint64_t start_us;
	struct sw_fdb fdb;

	uint32_t nr_workers;
	struct sw_worker *worker;
	/* Guards every worker's mailbox, see worker.c. Held for a few stores. Taken alone. */
	pthread_mutex_t mail_lock;

	struct sw_queue *queues; /* control: all, linked by 'next' */
	uint64_t moves;          /* control: queues that changed their worker */

	int nudge_fd;                               /* eventfd */
	via_cache_aligned _Atomic(uint32_t) nudged; /* SW_NUDGE_…: asked for and being done */
	/* Since when (ms) a lossless port has taken nothing; 0: it takes. */
	_Atomic(uint32_t) full_since[SW_MAX_PORTS];
};

/* What all share of a switch: for tests. Thread: control. */
struct sw_core *sw_core_of(struct sw_switch *sw);

/* Asks control for something unless that is under way. Thread: worker. */
void sw_nudge(struct sw_core *core, uint32_t what);

static inline const struct sw_table *sw_table_load(const struct sw_core *core)
{
	/* Pairs with the release of sw_table_publish(). */
	return atomic_load_explicit(&core->table, memory_order_acquire);
}

/* Seconds since the switch was created: the MAC table's clock. */
static inline uint32_t sw_seconds(const struct sw_core *core, uint64_t now_us)
{
	return (uint32_t)((now_us - core->start_us) / 1000000);
}

/* Whether the port takes part in 'vlan'. */
static inline bool sw_is_member(const struct sw_member *m, uint16_t vlan)
{
	if (m->kind != SW_TRUNK || vlan == m->vlan)
		return vlan == m->vlan && (vlan != 0 || m->kind == SW_UNAWARE);
	return m->trunk->members[vlan / 64] >> (vlan % 64) & 1;
}

#endif
