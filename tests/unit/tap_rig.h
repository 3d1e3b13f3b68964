/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TAP in a network namespace of its own, for the programs that test lib/port/tap*.c: how it is opened
 * and closed, one frame to send, and what the kernel allows.
 *
 * With the argument 'refused' the kernel answers as where io_uring is forbidden.
 */
#ifndef TEST_TAP_RIG_H
#define TEST_TAP_RIG_H

#include "frame.h"
#include "port/tap.h"
#include "tests/netns.h"

extern struct via_loop *loop;
extern int home, away; /* namespaces, we are in the first; -1: not allowed */
extern bool refused;   /* no io_uring */

/* Of the whole program. */
void rig_arguments(int argc, char **argv);
int rig_setup(void **state);
int rig_teardown(void **state);

#define NEED_NAMESPACE()        \
	do {                    \
		if (home < 0)   \
			skip(); \
	} while (0)

/* ---- ports ---- */

extern int nr_queue_changes, nr_link_changes; /* that ports have told of */

/* As a configuration with these options and MTU (0: none said) would. Returns what the port's type does. */
int open_with(struct via_port **port, const char *name, const char *queues, const char *offloads,
	      uint32_t mtu, struct via_error *err);
/* With one queue. Asserts that it works. */
struct via_port *open_tap(const char *name, const char *offloads);
void close_port(struct via_port *port);

/* ---- frames ---- */

/* Raw frames that go through the interface, to see and to send; does not block. */
int packet_socket(const char *ifname);

extern struct frame frame; /* the one to send, in 'pieces', as 'view' */
extern struct via_piece pieces[];
extern struct via_view view;
extern struct via_view *const views[1];

void put_udp_frame(uint32_t payload, uint32_t piece_size);
uint64_t dropped(const struct via_port *port, enum via_drop why);

/* ---- the last case of each program ---- */

/* It could read a guest's memory when that is no longer lent. */
void no_frame_was_handed_to_a_thread_of_the_kernel(void **state);

#endif
