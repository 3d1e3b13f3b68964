/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as control has it, for the files of this folder that run on the control thread.
 */
#ifndef SW_CONTROL_H
#define SW_CONTROL_H

#include "switch/capture.h"
#include "switch/table.h"
#include "switch/worker.h"

/* A port, as control knows it. */
struct sw_place {
	struct sw_switch *sw;
	uint32_t index;
	struct via_port *port; /* NULL while it is being opened */
	struct sw_port_config config;
	struct sw_member *member;
	struct sw_queue **queue; /* port->nr_queues of them */
	bool closing;
	bool unused;                   /* closing: no worker can be in it */
	_Atomic(uint32_t) queues_left; /* closing: that workers have not freed */
	/* the caller's own callback */
	void (*link_changed)(void *user, struct via_port *port);
	void *link_user;
	void (*done)(void *user);
	void *done_user;
};

struct sw_switch {
	struct sw_core core;
	struct via_loop *loop;
	struct sw_published *published;
	struct sw_place *place[SW_MAX_PORTS];
	const struct sw_member *member[SW_MAX_PORTS]; /* of places that are in the table */
	uint32_t nr_places; /* one more than the highest index ever used */
	uint32_t nr_queues;
	struct sw_capture *capture; /* what core.capture is */
	struct via_watch *nudge;
	uint32_t doing; /* SW_NUDGE_…: whose timer runs */
	struct via_timer *ageing, *rebalancing;
	uint64_t measured_us;
};

/* ---- ports.c ---- */

/* Publishes a table of the ports that 'sw->member' has; 'retired' is freed when no worker can have it any
 * more. Returns 0, or -ENOMEM with the reason in 'err', nothing changed. */
int sw_table_rebuild(struct sw_switch *sw, struct sw_member *retired, struct via_error *err);
/* The port with this index, open and not being deleted, or NULL; 'need' gives the reason in 'err'. */
struct sw_place *sw_place_find(const struct sw_switch *sw, uint32_t index);
struct sw_place *sw_place_need(const struct sw_switch *sw, uint32_t index, struct via_error *err);
/* Closes the deleted ports that no worker is in any more. */
void sw_ports_close_unused(struct sw_switch *sw);

/* ---- chores.c ---- */

/* Makes what workers nudge, and the timers of what they ask for. Returns 0, or a negative errno with the
 * reason in 'err'. Ended by sw_chores_close(), also when it failed. */
int sw_chores_open(struct sw_switch *sw, struct via_error *err);
void sw_chores_close(struct sw_switch *sw);

#endif
