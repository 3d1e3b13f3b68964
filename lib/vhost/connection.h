/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user stream: bytes and descriptors to messages and back, without ever waiting.
 *
 * A state machine a connection (R1). Messages are handed over one at a time: the next is not read
 * before the user says so, and not before the last reply has left. A message that has begun, and a
 * reply that the peer does not read, must be complete within a deadline. What cannot be trusted any
 * more (VU-05) ends the connection here; what a message says is its receiver's business.
 *
 * Thread of everything: control.
 */
#ifndef VIA_VHOST_CONNECTION_H
#define VIA_VHOST_CONNECTION_H

#include <stdbool.h>
#include <viaduct/loop.h>

#include "base/discard.h"
#include "vhost/message.h"

struct vu_conn; /* opaque */

struct vu_conn_ops {
	/*
	 * A message. Its descriptors are its own: those that nobody takes are closed when it is done.
	 * It stays valid, and no other comes, until vu_conn_next(); closing the connection is allowed.
	 */
	void (*message)(void *user, struct vu_msg *msg);
	/* Everything that was sent has left. May be NULL. */
	void (*drained)(void *user);
	/* The connection has ended, with the reason for people; the user closes it. */
	void (*ended)(void *user, const char *why);
};

#define VU_DEADLINE_MS 5000

/* Takes 'fd' over on success. 'ops' and 'discards', where descriptors go that nobody wants, are borrowed
 * while the connection lives. */
int vu_conn_open(struct vu_conn **conn, struct via_loop *loop, int fd,
		 struct via_discards *discards, const struct vu_conn_ops *ops, void *user,
		 uint32_t deadline_ms, struct via_error *err);
/* Closes and frees, also from within its callbacks. Accepts NULL. */
void vu_conn_close(struct vu_conn *conn);

/* Done with the message: its descriptors are closed, the next one is read. */
void vu_conn_next(struct vu_conn *conn);

/* While held no message is handed over. vu_conn_release() ends it. */
void vu_conn_hold(struct vu_conn *conn);
void vu_conn_release(struct vu_conn *conn);

/* Sends one message without descriptors; false if the last one has not left yet: see drained(). */
bool vu_conn_send(struct vu_conn *conn, uint32_t request, uint32_t flags, const void *payload,
		  uint32_t size);

/* Whether it ended because the peer broke a rule of the stream, or was too slow. */
bool vu_conn_is_at_fault(const struct vu_conn *conn);

/* Whether the peer has hung up and nothing is left to read. */
bool vu_conn_is_gone(const struct vu_conn *conn);

/* Takes descriptor 'i' of a message: the caller owns it now. */
int vu_msg_take_fd(struct vu_msg *msg, uint32_t i);
void vu_msg_close_fds(struct vu_msg *msg, struct via_discards *discards);

#endif
