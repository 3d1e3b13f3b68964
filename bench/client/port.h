/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One socket of the client: we are its front-end and its driver, with one queue pair in a memfd that is
 * sealed at its size. All TX chains hold the same frame, but where they lie.
 */
#ifndef VIA_BENCH_PORT_H
#define VIA_BENCH_PORT_H

#include "bench/client/client.h"
#include "bench/client/frame.h"
#include "bench/client/latency.h"
#include "driver/frontend.h"
#include "ring/standing.h"

struct port {
	/* the load's */
	struct via_standing rx, tx;
	uint8_t *rx_buffers, *tx_frames;
	uint32_t rx_stride, tx_stride; /* bytes */
	uint32_t rest;                 /* RX buffers that the frame being received still takes */
	uint32_t partner;              /* number of the port that gets our frames */
	uint64_t partner_mark;         /* of frames that the partner sent */
	struct via_hand *hand;         /* TX chains that are ours: a queue in a ring */
	uint32_t hand_mask, hand_begin, hand_end; /* free-running */
	int64_t flying;     /* frames sent that the partner has not received */
	uint64_t scheduled; /* open loop: frames that were due */
	struct client_count count;
	uint64_t read;     /* of what was received: so that it was */
	uint64_t *sent_at; /* cycle of each frame sent, by number; NULL: not wanted */
	uint32_t sent_at_mask;
	struct latency *latency; /* of the frames that the partner sent */

	/* control's */
	const struct client_config *config;
	uint32_t number;
	struct via_frontend *frontend;
	struct via_frontend_ring ring[2];
	uint64_t features; /* negotiated */
	int mem_fd;
	uint8_t *base;
	uint64_t size;
	bool started, stopped, closed;
	struct via_error why; /* it stopped */
};

/* A port that has nothing yet; port_free() ends it. */
void port_init(struct port *port, const struct client_config *config, uint32_t number);
/* Begins to connect. Returns 0, or a negative errno with the reason in 'err'. */
int port_open(struct port *port, struct via_loop *loop, struct via_error *err);
/* Disconnects, if it was opened: 'closed' says when. */
void port_close(struct port *port);
void port_free(struct port *port);

/* What the frames of a port say; 'to' as of struct frame_spec. */
struct frame_spec port_frame(const struct port *port, uint32_t to);
uint32_t port_receiver(const struct port *port); /* 'to' of the frames that it sends */

/* Frames that the RX ring holds. */
uint32_t port_room(const struct port *port);

/* Tells the back-end what it wants to be told. */
void port_kick(struct port *port);

#endif
