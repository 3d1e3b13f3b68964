/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end says to a back-end, in which order, and what it must answer: a table of steps,
 * walked in lock-step. Knows no socket; frontend.c sends and receives. Internal to lib/driver.
 */
#ifndef VIA_HANDSHAKE_H
#define VIA_HANDSHAKE_H

#include "driver/frontend.h"
#include "vhost/message.h"

/* The one memory region that we share. */
struct fe_memory {
	uint32_t nr_regions, padding;
	struct vu_region region;
};

/* What a front-end like ours says and hears: a payload follows its header at once. */
struct __attribute__((packed, aligned(4))) fe_message {
	struct vu_header header;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct fe_memory memory;
	};
};
static_assert(sizeof(struct fe_message) == 52, "the largest message is one with 40 bytes");

/* A reply's flags are exactly these two (VU-01). */
#define FE_REPLY_FLAGS (VU_VERSION | VU_REPLY_MASK)

struct fe_step; /* a row of the table */

/* Where a conversation is. */
struct fe_handshake {
	const struct via_frontend_ops *ops;
	void *user;
	const struct fe_step *step; /* NULL: all is said */
	uint32_t ring;              /* of the steps that are said once a ring */
	uint64_t features;          /* offered */
	uint64_t protocol;          /* protocol features: offered, then agreed */
	bool acks;                  /* REPLY_ACK is in force: every request is answered */
	bool set_up;                /* ops->setup() has succeeded: 'setup' is valid */
	struct via_frontend_offer offer;
	struct via_frontend_setup setup;
};

/* What is to be sent, with how many bytes, which descriptor and what for an answer. */
struct fe_request {
	struct fe_message message;
	int fd;              /* -1: none */
	uint32_t reply_size; /* payload bytes of the reply */
	bool has_reply;
};

/* Begins to start, or to stop, the rings. */
void fe_handshake_start(struct fe_handshake *h);
void fe_handshake_stop(struct fe_handshake *h);

/* The next request: 1 with 'request' filled in, 0 if all is said, or a negative errno. */
int fe_handshake_next(struct fe_handshake *h, struct fe_request *request, struct via_error *err);

/* Takes the reply to the last request, whose number, flags and size are right. Returns 0, or a negative
 * errno if it makes going on impossible. */
int fe_handshake_reply(struct fe_handshake *h, const struct fe_message *reply,
		       struct via_error *err);

/* Of the current step, for sentences. */
const char *fe_handshake_name(const struct fe_handshake *h);

#endif
