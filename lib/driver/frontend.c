/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end's connection: found, kept, lost, found again.
 *
 *     WAITING --connected--> STARTING --all said--> RUNNING --close--> STOPPING
 *        ^                       |                     |                  |
 *        +----- a pause ---------+---------------------+              (freed)
 *
 * In client mode WAITING is a timer whose delay doubles from 100 ms to 2 s, in server mode a listening
 * socket. One request is on its way at a time; a deadline watches over STARTING and STOPPING. While it
 * runs a back-end says nothing, so that whatever can be read then is its end or a broken rule.
 */
#include "driver/frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "base/calls.h"
#include "base/passed.h"
#include "base/unix.h"
#include "driver/handshake.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000
#define START_MS     10000 /* for all of the handshake: a back-end may map gigabytes meanwhile */
#define STOP_MS      500

enum state { WAITING, STARTING, RUNNING, STOPPING };

struct via_frontend {
	struct via_loop *loop;
	char *name, *path;
	bool server;
	const struct via_frontend_ops *ops;
	void *user;

	enum state state;
	struct via_timer *timer; /* WAITING: the pause; STARTING, STOPPING: the deadline */
	uint32_t retry_ms;
	struct via_error reason; /* why the last connection ended */

	int listen_fd;
	struct via_watch *listen_watch;
	int fd;
	struct via_watch *watch;
	struct fe_handshake handshake;

	struct fe_request out; /* being sent, then waiting for its answer */
	size_t out_sent;
	bool out_pending;     /* not all of 'out' is sent */
	struct fe_message in; /* being received */
	size_t in_got;
	bool in_pending; /* an answer is to come */

	void (*closed)(void *user);
	void *closed_user;
};

static void finish_close(struct via_frontend *f);

/* ---- the end of a connection ---- */

static void hang_up(struct via_frontend *f)
{
	via_loop_unwatch(f->watch);
	f->watch = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->out_pending = f->in_pending = false;
	via_timer_stop(f->timer);
	if (f->handshake.set_up) {
		f->handshake.set_up = false;
		f->ops->stopped(f->user);
	}
}

/* Logs a reason once, however often it recurs. */
static void note_reason(struct via_frontend *f, enum via_log_level level, const char *why)
{
	struct via_error reason;

	via_fail(&reason, 0, "%s", why);
	if (strcmp(reason.text, f->reason.text) != 0)
		via_log(level, "%s: back-end: %s", f->name, why);
	f->reason = reason;
}

/* Also a back-end that connects to us waits: one that fails at once must not keep us busy. */
static void pause_and_retry(struct via_frontend *f)
{
	f->state = WAITING;
	via_timer_start(f->timer, f->retry_ms);
	f->retry_ms = via_min_u(2 * f->retry_ms, RETRY_MAX_MS);
}

static void lose(struct via_frontend *f, const char *why)
{
	enum state was = f->state;

	hang_up(f);
	if (was == STOPPING) {
		finish_close(f);
		return;
	}
	note_reason(f, VIA_LOG_WARNING, why);
	pause_and_retry(f);
}

/* ---- messages ---- */

/* Sends what is left of the request. Returns 1 when all is sent, 0 to wait, or a negative errno. */
static int send_rest(struct via_frontend *f)
{
	const size_t size = sizeof(f->out.message.header) + f->out.message.header.size;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };

	while (f->out_sent < size) {
		struct iovec iov = { (char *)&f->out.message + f->out_sent, size - f->out_sent };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

		if (f->out.fd >= 0 && f->out_sent == 0) {
			msg.msg_control = &control;
			msg.msg_controllen = sizeof(control);
			control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
							   .cmsg_level = SOL_SOCKET,
							   .cmsg_type = SCM_RIGHTS };
			memcpy(CMSG_DATA(&control.header), &f->out.fd, sizeof(int));
		}
		ssize_t n = sendmsg(f->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? 0 : -errno;
		if (n > 0)
			f->out_sent += (size_t)n;
	}
	f->out_pending = false;
	return 1;
}

/* No answer of a back-end carries a descriptor. Returns whether one did; it is closed. */
static bool close_surprises(struct msghdr *msg)
{
	struct via_passed passed = via_passed_of(msg);
	bool any = msg->msg_flags & MSG_CTRUNC;

	for (int fd; (fd = via_passed_next(&passed)) >= 0; any = true)
		close(fd);
	return any;
}

static int judge_header(const struct via_frontend *f, struct via_error *err)
{
	const struct vu_header *h = &f->in.header;

	if (h->request != f->out.message.header.request)
		return via_fail(err, -EPROTO, "%s is answered by a message %u",
				fe_handshake_name(&f->handshake), h->request);
	if (h->flags != FE_REPLY_FLAGS || h->size != f->out.reply_size)
		return via_fail(err, -EPROTO,
				"the reply to %s has flags 0x%x and %u bytes, not 0x%x and %u",
				fe_handshake_name(&f->handshake), h->flags, h->size, FE_REPLY_FLAGS,
				f->out.reply_size);
	return 0;
}

/* Receives what is left of the answer. Returns 1 when it is there, 0 to wait, or a negative errno. */
static int receive_rest(struct via_frontend *f, struct via_error *err)
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	size_t want;
	int ret;

	for (;;) {
		want = sizeof(f->in.header) +
		       (f->in_got < sizeof(f->in.header) ? 0 : f->in.header.size);
		if (f->in_got == want)
			return 1;
		struct iovec iov = { (char *)&f->in + f->in_got, want - f->in_got };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(f->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0)
			return via_fail(err, -errno, "cannot read from it: %s", strerror(errno));
		if (close_surprises(&msg))
			return via_fail(err, -EPROTO, "it sent a descriptor that nobody asked for");
		if (n == 0)
			return via_fail(err, -ECONNRESET, "it has closed the connection%s%s",
					f->state == STARTING ? " during " : "",
					f->state == STARTING ? fe_handshake_name(&f->handshake)
							     : "");
		f->in_got += (size_t)n;
		if (f->in_got == sizeof(f->in.header)) {
			ret = judge_header(f, err); /* bounds the size */
			if (ret < 0)
				return ret;
		}
	}
}

/* ---- the conversation ---- */

static void all_said(struct via_frontend *f)
{
	via_timer_stop(f->timer);
	if (f->state == STOPPING) {
		hang_up(f);
		finish_close(f);
		return;
	}
	f->state = RUNNING;
	f->retry_ms = RETRY_MIN_MS;
	f->reason.text[0] = '\0';
	via_log(VIA_LOG_INFO, "%s: back-end on '%s' is connected", f->name, f->path);
	f->ops->started(f->user);
}

/* Says what can be said now. The connection may be gone when it returns. */
static void talk(struct via_frontend *f)
{
	struct via_error err = { "" };
	int ret = 1;

	while (!f->in_pending) {
		if (!f->out_pending) {
			ret = fe_handshake_next(&f->handshake, &f->out, &err);
			if (ret == 0) {
				via_watch_set(f->watch, EPOLLIN | EPOLLRDHUP);
				all_said(f);
				return;
			}
			f->out_sent = 0;
			f->out_pending = ret > 0;
		}
		if (ret > 0)
			ret = send_rest(f);
		if (ret < 0)
			break;
		via_watch_set(f->watch,
			      EPOLLIN | EPOLLRDHUP | (f->out_pending ? (uint32_t)EPOLLOUT : 0));
		if (ret == 0)
			return;
		f->in_pending = f->out.has_reply;
		f->in_got = 0;
	}
	if (ret < 0) {
		if (!err.text[0])
			via_fail(&err, ret, "cannot write to it: %s", strerror(-ret));
		lose(f, err.text);
	}
}

static void hear(struct via_frontend *f)
{
	struct via_error err = { "" };
	int ret = receive_rest(f, &err);

	if (ret > 0) {
		f->in_pending = false;
		ret = fe_handshake_reply(&f->handshake, &f->in, &err);
		if (ret < 0)
			via_fail_in(&err, ret, "%s", fe_handshake_name(&f->handshake));
	} else if (ret == 0) {
		return;
	}
	if (ret < 0)
		lose(f, err.text);
	else
		talk(f);
}

/* Nothing is asked: whatever comes is the end. */
static void hear_the_end(struct via_frontend *f)
{
	char byte;
	ssize_t n = via_recv(f->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	lose(f, n > 0 ? "it sent a message that nobody asked for" : "it has closed the connection");
}

static void on_event(void *user, uint32_t events)
{
	struct via_frontend *f = user;

	if (f->out_pending && (events & EPOLLOUT)) {
		talk(f);
		return; /* whatever else there is comes again */
	}
	if (f->in_pending)
		hear(f);
	else
		hear_the_end(f);
}

/* ---- finding a back-end ---- */

/* Takes 'fd'. */
static void begin(struct via_frontend *f, int fd)
{
	struct via_error err;

	f->fd = fd;
	if (via_loop_watch(&f->watch, f->loop, fd, EPOLLIN | EPOLLRDHUP, on_event, f, &err) < 0) {
		lose(f, err.text);
		return;
	}
	f->state = STARTING;
	via_timer_start(f->timer, START_MS);
	fe_handshake_start(&f->handshake);
	talk(f);
}

static int open_socket(struct via_frontend *f, struct via_error *err)
{
	if (f->ops->open_socket)
		return f->ops->open_socket(f->user, f->path, f->server, err);
	return f->server ? via_unix_listen(f->path, err) : via_unix_connect(f->path, err);
}

static void on_connect(void *user, uint32_t events)
{
	struct via_frontend *f = user;
	int fd = via_unix_accept(f->listen_fd);

	(void)events;
	if (fd == -EAGAIN)
		return;
	via_watch_set(f->listen_watch, 0); /* one at a time; others wait */
	if (fd >= 0) {
		begin(f, fd);
		return;
	}
	/* Out of descriptors, say: looking again at once would only burn (R24). */
	note_reason(f, VIA_LOG_WARNING, strerror(-fd));
	pause_and_retry(f);
}

static void find_backend(struct via_frontend *f)
{
	struct via_error err;
	int fd;

	if (f->server) {
		via_watch_set(f->listen_watch, EPOLLIN);
		return;
	}
	fd = open_socket(f, &err);
	if (fd >= 0) {
		begin(f, fd);
		return;
	}
	note_reason(f, VIA_LOG_INFO, err.text); /* nobody there yet is no mistake */
	pause_and_retry(f);
}

static void on_timer(void *user)
{
	struct via_frontend *f = user;
	struct via_error err;

	if (f->state == WAITING) {
		find_backend(f);
		return;
	}
	via_fail(&err, 0, "it does not answer %s", fe_handshake_name(&f->handshake));
	lose(f, err.text);
}

/* ---- life ---- */

static int listen_for_it(struct via_frontend *f, struct via_error *err)
{
	f->listen_fd = open_socket(f, err);
	if (f->listen_fd < 0)
		return f->listen_fd;
	return via_loop_watch(&f->listen_watch, f->loop, f->listen_fd, 0, on_connect, f, err);
}

static void frontend_free(struct via_frontend *f)
{
	via_timer_free(f->timer);
	via_loop_unwatch(f->listen_watch);
	if (f->listen_fd >= 0) {
		close(f->listen_fd);
		if (f->ops->unlink_socket)
			f->ops->unlink_socket(f->user, f->path);
		else
			unlink(f->path);
	}
	free(f->name);
	free(f->path);
	free(f);
}

static void finish_close(struct via_frontend *f)
{
	void (*closed)(void *user) = f->closed;
	void *user = f->closed_user;

	frontend_free(f);
	if (closed)
		closed(user);
}

int via_frontend_open(struct via_frontend **frontend, struct via_loop *loop,
		      const struct via_frontend_config *config, struct via_error *err)
{
	struct via_frontend *f = malloc(sizeof(*f));
	int ret;

	if (!f)
		return via_fail(err, -ENOMEM, "no memory for a front-end");
	*f = (struct via_frontend){
		.loop = loop,
		.name = strdup(config->name),
		.path = strdup(config->path),
		.server = config->server,
		.ops = config->ops,
		.user = config->user,
		.retry_ms = RETRY_MIN_MS,
		.listen_fd = -1,
		.fd = -1,
		.handshake = { .ops = config->ops, .user = config->user },
	};
	if (!f->name || !f->path) {
		ret = via_fail(err, -ENOMEM, "no memory for a front-end");
		goto fail;
	}
	ret = via_unix_check_path(f->path, err);
	if (ret == 0)
		ret = via_timer_create(&f->timer, loop, on_timer, f, err);
	if (ret == 0 && f->server)
		ret = listen_for_it(f, err);
	if (ret < 0)
		goto fail;
	via_timer_start(f->timer, 0); /* no callback comes before we return */
	*frontend = f;
	return 0;

fail:
	frontend_free(f);
	return ret;
}

void via_frontend_restart(struct via_frontend *f, const char *why)
{
	if (f->state == STARTING || f->state == RUNNING)
		lose(f, why);
}

void via_frontend_close(struct via_frontend *f, void (*closed)(void *user), void *user)
{
	f->closed = closed;
	f->closed_user = user;
	if (f->state != RUNNING) {
		hang_up(f);
		finish_close(f);
		return;
	}
	f->state = STOPPING;
	via_timer_start(f->timer, STOP_MS);
	fe_handshake_stop(&f->handshake);
	talk(f);
}

const char *via_frontend_state(const struct via_frontend *f)
{
	static const char *const texts[] = {
		[WAITING] = "waiting for the back-end",
		[STARTING] = "starting",
		[RUNNING] = "connected",
		[STOPPING] = "stopping",
	};

	return texts[f->state];
}

const char *via_frontend_reason(const struct via_frontend *f)
{
	return f->reason.text;
}
