/* SPDX-License-Identifier: BSD-3-Clause */
/* What both targets of messages stand on: an event loop, and the fuzzer's end of a connection. */
#ifndef VIA_FUZZ_WIRE_H
#define VIA_FUZZ_WIRE_H

#include <stdbool.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>

extern struct wire {
	struct via_loop *loop;
	int peer;     /* our end; -1: none */
	bool refuses; /* the next attempt to connect */
	bool closed;  /* what we talk to has said so */
} wire;

/* For open_socket: the other end of a new connection, which takes the place of the last one; or -ECONNREFUSED. */
int wire_connect(struct via_error *err);
void wire_hang_up(void);

/* What is told when a device or a driver is closed. */
void wire_on_closed(void *user);

/* Lets the loop do what there is to do. */
void wire_turn(void);

#endif
