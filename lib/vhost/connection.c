/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state machine of a vhost-user stream.
 *
 * The header is read alone, with a control buffer: descriptors come with its first byte, and a read
 * that went on into the next message could take that one's (VU-02). With the payload none may come; all
 * that do are taken all the same, and closed where that holds nobody up.
 *
 *   header bytes -> payload bytes -> handed over -> (reply leaves) -> header bytes ...
 *
 * The watch listens for EPOLLIN only in the first two states, and for EPOLLOUT only while something
 * is to be sent. In between it is edge-triggered on nothing: a peer that hangs up is then noticed at
 * the next read instead of waking us again and again.
 */
#include "vhost/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/calls.h"
#include "base/passed.h"

/* Messages that one turn of the loop serves: a peer that sends as fast as we answer shares. */
#define BUDGET 32

struct vu_conn {
	struct via_loop *loop;
	int fd;
	const struct vu_conn_ops *ops;
	void *user;
	struct via_discards *discards; /* borrowed */
	struct via_watch *watch;
	uint32_t watching; /* what the watch is set to */
	struct via_timer *deadline;
	uint32_t deadline_ms;
	bool timed; /* the deadline runs */

	unsigned int depth; /* of our functions on the stack */
	bool dead;          /* closed by the user, or ended */
	bool at_fault;      /* the peer is why it ended */
	bool freed;         /* vu_conn_close() was called */

	struct vu_msg msg;
	size_t got; /* bytes of header and payload */
	bool busy;  /* 'msg' is with the user */
	bool held;

	uint8_t out[sizeof(struct vu_header) + VU_MAX_PAYLOAD];
	size_t out_len, out_sent;
};

/* ---- descriptors of a message ---- */

int vu_msg_take_fd(struct vu_msg *msg, uint32_t i)
{
	int fd;

	assert(i < msg->nr_fds);
	fd = msg->fd[i];
	msg->fd[i] = -1;
	return fd;
}

void vu_msg_close_fds(struct vu_msg *msg, struct via_discards *discards)
{
	for (uint32_t i = 0; i < msg->nr_fds; i++)
		if (msg->fd[i] >= 0)
			via_discard(discards, msg->fd[i]);
	msg->nr_fds = 0;
}

/* Takes what came with a read. Returns NULL, or what is wrong with it; then too all that the kernel
 * installed belongs to the message, which closes it (VU-04, R3). There is room for as many as the kernel
 * passes: it leaves some out only if this process may not have more. */
static const char *collect_fds(struct vu_conn *c, struct msghdr *hdr, bool first)
{
	struct vu_msg *msg = &c->msg;
	struct via_passed passed = via_passed_of(hdr);
	const char *fault = hdr->msg_flags & MSG_CTRUNC
				    ? "this process may not have as many descriptors as it sent"
				    : NULL;

	for (int fd; (fd = via_passed_next(&passed)) >= 0;) {
		if (!first)
			fault = "descriptors in the middle of a message";
		if (msg->nr_fds < VU_MAX_FDS) {
			msg->fd[msg->nr_fds++] = fd;
		} else {
			via_discard(c->discards, fd);
			fault = "too many descriptors";
		}
	}
	return fault;
}

/* ---- the watch and the deadline follow the state ---- */

static void update(struct vu_conn *c)
{
	/* Within our own functions the outermost does it, once. */
	if (c->dead || c->depth > 1)
		return;

	bool sending = c->out_sent < c->out_len;
	bool reading = !sending && !c->busy && !c->held;
	bool timed = sending || (reading && c->got > 0);
	uint32_t events = sending ? EPOLLOUT : reading ? EPOLLIN : EPOLLET;

	if (events != c->watching) {
		c->watching = events;
		via_watch_set(c->watch, events);
	}
	if (timed && !c->timed)
		via_timer_start(c->deadline, c->deadline_ms);
	else if (!timed && c->timed)
		via_timer_stop(c->deadline);
	c->timed = timed;
}

/* Around every entry. Leaving the outermost frees what was closed meanwhile. */
static void enter(struct vu_conn *c)
{
	c->depth++;
}

static void leave(struct vu_conn *c)
{
	update(c);
	if (--c->depth == 0 && c->freed)
		free(c);
}

static void stop_deadline(struct vu_conn *c)
{
	if (c->timed)
		via_timer_stop(c->deadline);
	c->timed = false;
}

static void end(struct vu_conn *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	via_loop_unwatch(c->watch);
	c->watch = NULL;
	stop_deadline(c);
	c->ops->ended(c->user, why);
}

static void end_at_fault(struct vu_conn *c, const char *why)
{
	c->at_fault = true;
	end(c, why);
}

/* ---- sending ---- */

static void flush(struct vu_conn *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n = via_send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
				     MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			end(c, "the front-end closed the connection before it read a reply");
			return;
		}
		c->out_sent += (size_t)n;
	}
}

bool vu_conn_send(struct vu_conn *c, uint32_t request, uint32_t flags, const void *payload,
		  uint32_t size)
{
	struct vu_header header = { .request = request, .flags = flags, .size = size };

	assert(size <= VU_MAX_PAYLOAD);
	if (c->dead || c->out_sent < c->out_len)
		return c->dead;
	memcpy(c->out, &header, sizeof(header));
	if (size)
		memcpy(c->out + sizeof(header), payload, size);
	c->out_len = sizeof(header) + size;
	c->out_sent = 0;
	enter(c);
	flush(c);
	leave(c);
	return true;
}

/* ---- receiving ---- */

/* What a header must be for the bytes behind it to mean anything (VU-05). */
static const char *header_fault(const struct vu_header *header)
{
	if ((header->flags & VU_VERSION_MASK) != VU_VERSION)
		return "a message of another protocol version than 1";
	if (header->flags & VU_REPLY_MASK)
		return "a reply that nobody waits for";
	if (header->flags & ~(uint32_t)(VU_VERSION_MASK | VU_NEED_REPLY_MASK))
		return "a message with reserved flags set";
	if (header->size > VU_MAX_PAYLOAD)
		return "a message longer than any of the protocol";
	return NULL;
}

/* Reads 'size' bytes to 'to', and the descriptors that come with them. */
static ssize_t read_some(struct vu_conn *c, void *to, size_t size, const char **fault)
{
	union via_passed_space control;
	struct iovec iov = { to, size };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(c->fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n > 0)
		*fault = collect_fds(c, &hdr, c->got == 0);
	return n;
}

static ssize_t read_header(struct vu_conn *c, const char **fault)
{
	ssize_t n = read_some(c, (uint8_t *)&c->msg.header + c->got, sizeof(c->msg.header) - c->got,
			      fault);

	if (n > 0 && c->got + (size_t)n == sizeof(c->msg.header) && !*fault)
		*fault = header_fault(&c->msg.header);
	return n;
}

static ssize_t read_payload(struct vu_conn *c, const char **fault)
{
	size_t at = c->got - sizeof(c->msg.header);

	return read_some(c, c->msg.payload.raw + at, c->msg.header.size - at, fault);
}

/* Reads on. Returns 1 with a whole message, 0 if the peer has sent no more, -1 if it is over. */
static int read_message(struct vu_conn *c)
{
	const char *fault = NULL;

	while (c->got < sizeof(c->msg.header) ||
	       c->got < sizeof(c->msg.header) + c->msg.header.size) {
		ssize_t n = c->got < sizeof(c->msg.header) ? read_header(c, &fault)
							   : read_payload(c, &fault);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			end(c, c->got ? "the connection ended within a message"
				      : "the front-end closed the connection");
		else if (fault)
			end_at_fault(c, fault);
		if (c->dead)
			return -1;
		c->got += (size_t)n;
	}
	return 1;
}

/* Ready for the next message; the payload starts zeroed (R2). */
static void clear(struct vu_conn *c)
{
	vu_msg_close_fds(&c->msg, c->discards);
	memset(&c->msg, 0, sizeof(c->msg));
	c->got = 0;
	c->busy = false;
}

static void receive(struct vu_conn *c)
{
	for (int i = 0; i < BUDGET; i++) {
		if (c->dead || c->busy || c->held || c->out_sent < c->out_len)
			break;
		if (read_message(c) <= 0)
			break;
		stop_deadline(c); /* the next message has its own */
		c->busy = true;
		c->ops->message(c->user, &c->msg);
	}
}

static void on_ready(void *user, uint32_t events)
{
	struct vu_conn *c = user;

	enter(c);
	if (events & EPOLLOUT && c->out_sent < c->out_len) {
		flush(c);
		if (!c->dead && c->out_sent == c->out_len && c->ops->drained)
			c->ops->drained(c->user);
	}
	receive(c);
	leave(c);
}

static void on_deadline(void *user)
{
	struct vu_conn *c = user;

	enter(c);
	c->timed = false;
	end_at_fault(c, c->out_sent < c->out_len ? "the front-end did not read a reply in time"
						 : "a message was not complete in time");
	leave(c);
}

void vu_conn_next(struct vu_conn *c)
{
	enter(c);
	clear(c);
	leave(c); /* within receive() it goes on right there, else with the next event */
}

void vu_conn_hold(struct vu_conn *c)
{
	enter(c);
	c->held = true;
	leave(c);
}

void vu_conn_release(struct vu_conn *c)
{
	enter(c);
	c->held = false;
	leave(c);
}

bool vu_conn_is_at_fault(const struct vu_conn *c)
{
	return c->at_fault;
}

bool vu_conn_is_gone(const struct vu_conn *c)
{
	char byte;

	return c->dead || via_recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* ---- life ---- */

int vu_conn_open(struct vu_conn **conn, struct via_loop *loop, int fd,
		 struct via_discards *discards, const struct vu_conn_ops *ops, void *user,
		 uint32_t deadline_ms, struct via_error *err)
{
	struct vu_conn *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return via_fail(err, -ENOMEM, "no memory for a connection");
	*c = (struct vu_conn){
		.loop = loop,
		.fd = -1,
		.ops = ops,
		.user = user,
		.discards = discards,
		.deadline_ms = deadline_ms,
		.watching = EPOLLIN,
	};
	ret = via_timer_create(&c->deadline, loop, on_deadline, c, err);
	if (ret == 0)
		ret = via_loop_watch(&c->watch, loop, fd, EPOLLIN, on_ready, c, err);
	if (ret < 0) {
		vu_conn_close(c);
		return ret;
	}
	c->fd = fd;
	*conn = c;
	return 0;
}

void vu_conn_close(struct vu_conn *c)
{
	if (!c)
		return;
	c->dead = true;
	c->freed = true;
	via_loop_unwatch(c->watch);
	c->watch = NULL;
	via_timer_free(c->deadline);
	c->deadline = NULL;
	c->timed = false;
	vu_msg_close_fds(&c->msg, c->discards);
	if (c->fd >= 0)
		via_discard_socket(c->discards, c->fd);
	c->fd = -1;
	enter(c);
	leave(c);
}
