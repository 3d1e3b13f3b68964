/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends come and go: listening or connecting, one at a time.
 *
 *   idle -> connected -> ending -> idle
 *
 * Ending waits until no worker is in the rings; a front-end that comes back meanwhile waits in the
 * socket's backlog. Nothing of a session is left for the next one but kept positions (design §4): what
 * the front-end wants, it says again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix.h"
#include "vhost/vhost.h"

#define RETRY_MIN_MS  100
#define RETRY_MAX_MS  2000
#define QUARANTINE_MS 1000

static void retry_later(struct via_device *dev)
{
	via_timer_start(dev->retry, dev->retry_ms);
	dev->retry_ms = via_min_u(2 * dev->retry_ms, RETRY_MAX_MS);
}

/* The same trouble is told once. */
static void log_trouble(struct via_device *dev, const char *text)
{
	if (strncmp(dev->trouble, text, sizeof(dev->trouble) - 1) == 0)
		return;
	snprintf(dev->trouble, sizeof(dev->trouble), "%s", text);
	vu_log(dev, VIA_LOG_INFO, "%s; trying again", text);
}

/* Nobody is served for a while. */
static void rest(struct via_device *dev)
{
	dev->quarantined = false;
	if (dev->listen_watch)
		via_watch_set(dev->listen_watch, 0);
	via_timer_start(dev->retry, QUARANTINE_MS);
}

/* ---- telling the owner ---- */

/* Whether packets can be exchanged: some pair's RX queue runs and is enabled. */
static bool has_link(const struct via_device *dev)
{
	return atomic_load_explicit(&dev->steer.nr, memory_order_relaxed) > 0;
}

void vu_tell_owner(struct via_device *dev)
{
	const struct via_device_events *events = dev->config.events;

	vu_steer_update(dev);
	vu_control_update(dev);
	for (uint16_t pair = 0; pair < vu_pairs(dev) && !dev->closing; pair++) {
		struct vu_queue *q = &dev->queue[2 * pair];

		if (!q[0].changed && !q[1].changed)
			continue;
		q[0].changed = q[1].changed = false;
		if (events->pair_changed)
			events->pair_changed(dev->config.user, pair);
	}
	if (!dev->closing && dev->link != has_link(dev)) {
		dev->link = has_link(dev);
		if (events->link_changed)
			events->link_changed(dev->config.user, dev->link);
	}
}

/* ---- a session ---- */

static void begin(struct via_device *dev, int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct via_error err;

	if (via_discards_are_many(dev->discards)) {
		log_trouble(dev, "descriptors that its front-ends have sent cannot be closed");
		via_discard_socket(dev->discards, fd);
		rest(dev);
		return;
	}
	if (vu_conn_open(&dev->conn, dev->loop, fd, dev->discards, &vu_session_conn_ops, dev,
			 dev->deadline_ms, &err) < 0) {
		vu_log(dev, VIA_LOG_ERROR, "%s", err.text);
		close(fd);
		retry_later(dev);
		return;
	}
	dev->session = VU_CONNECTED;
	dev->trouble[0] = '\0';
	dev->refused.text[0] = '\0';
	dev->retry_ms = RETRY_MIN_MS;
	dev->peer_pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
	vu_log(dev, VIA_LOG_INFO, "a front-end connected (process %d)", dev->peer_pid);
}

static void connect_now(struct via_device *dev)
{
	const struct via_device_events *events = dev->config.events;
	struct via_error err = { "" };
	int fd = events->open_socket
			 ? events->open_socket(dev->config.user, dev->path, VIA_DEVICE_CLIENT, &err)
			 : via_unix_connect(dev->path, &err);

	if (fd < 0) {
		log_trouble(dev, err.text);
		retry_later(dev);
		return;
	}
	begin(dev, fd);
}

/* A server's listening socket wakes us only while we can serve. */
static void listen_again(struct via_device *dev)
{
	if (dev->listen_watch)
		via_watch_set(dev->listen_watch, EPOLLIN);
}

static void on_retry(void *user)
{
	struct via_device *dev = user;

	if (dev->config.mode == VIA_DEVICE_SERVER)
		listen_again(dev);
	else if (dev->session == VU_IDLE)
		connect_now(dev);
}

static void on_accept(void *user, uint32_t events)
{
	struct via_device *dev = user;
	int fd;

	(void)events;
	if (dev->session == VU_CONNECTED && vu_conn_is_gone(dev->conn))
		vu_session_end(dev, VU_END_FINE, "the front-end closed the connection");
	if (dev->closing)
		return; /* the owner closed us when it heard of that */
	if (dev->session == VU_ENDING) {
		via_watch_set(dev->listen_watch, 0);
		return;
	}
	fd = via_unix_accept(dev->listen_fd);
	if (fd == -EAGAIN)
		return;
	if (fd < 0) {
		/* Out of descriptors, say: looking again at once would only burn (R24). */
		log_trouble(dev, strerror(-fd));
		via_watch_set(dev->listen_watch, 0);
		retry_later(dev);
		return;
	}
	if (dev->session == VU_CONNECTED) {
		vu_log(dev, VIA_LOG_WARNING,
		       "a second front-end was turned away: process %d is connected",
		       dev->peer_pid);
		via_discard_socket(dev->discards, fd);
		return;
	}
	begin(dev, fd);
}

/* ---- the end of a session ---- */

static void forget_session(struct via_device *dev)
{
	dev->features = dev->protocol = 0;
	dev->has_features = dev->has_protocol = dev->has_owner = false;
	dev->status = 0;
	dev->host_mtu = 0;
	dev->peer_pid = 0;
	dev->msg = NULL;
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		vu_queue_reset(&dev->queue[i]);
		vu_notifier_forget(&dev->queue[i].notifier[VU_CALL]);
		vu_notifier_forget(&dev->queue[i].notifier[VU_ERR]);
	}
	vu_control_forget(dev);
	vu_driver_reset(dev);
}

static void session_ended(struct via_device *dev)
{
	const bool closing = dev->closing;

	vu_queues_stopped(dev);
	forget_session(dev);
	dev->session = VU_IDLE;
	vu_tell_owner(dev);
	if (closing)
		vu_device_free(dev);
	else if (dev->closing)
		return; /* the owner has closed us just now: that frees */
	else if (dev->quarantined)
		rest(dev);
	else if (dev->config.mode == VIA_DEVICE_SERVER)
		listen_again(dev);
	else
		retry_later(dev);
}

void vu_session_quarantine(struct via_device *dev, const char *why)
{
	if (dev->session == VU_CONNECTED)
		dev->quarantined = true;
	vu_session_end(dev, VU_END_FAULT, why);
}

void vu_session_settled(struct via_device *dev)
{
	if (dev->session == VU_ENDING && !vu_is_settling(dev))
		vu_settle(dev, session_ended);
}

void vu_session_end(struct via_device *dev, enum vu_end end, const char *why)
{
	if (dev->session != VU_CONNECTED)
		return;
	dev->faults.sessions += end == VU_END_FAULT;
	vu_log(dev, end == VU_END_FAULT ? VIA_LOG_WARNING : VIA_LOG_INFO, "disconnected: %s", why);
	snprintf(dev->ended, sizeof(dev->ended), "%s", why);
	dev->session = VU_ENDING;
	vu_backend_close(dev);
	vu_conn_close(dev->conn);
	dev->conn = NULL;
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		vu_queue_stop(&dev->queue[i], false);
	vu_memory_drop(dev);
	vu_session_settled(dev); /* else when what settles now has settled */
}

/* ---- life ---- */

static int open_listening(struct via_device *dev, struct via_error *err)
{
	const struct via_device_events *events = dev->config.events;
	int fd = events->open_socket
			 ? events->open_socket(dev->config.user, dev->path, VIA_DEVICE_SERVER, err)
			 : via_unix_listen(dev->path, err);

	if (fd < 0)
		return fd;
	dev->listen_fd = fd;
	return via_loop_watch(&dev->listen_watch, dev->loop, fd, EPOLLIN, on_accept, dev, err);
}

int vu_session_open(struct via_device *dev, struct via_error *err)
{
	int ret = via_timer_create(&dev->retry, dev->loop, on_retry, dev, err);

	dev->retry_ms = RETRY_MIN_MS;
	if (ret < 0)
		return ret;
	if (dev->config.mode == VIA_DEVICE_SERVER)
		return open_listening(dev, err);
	via_timer_start(dev->retry, 0); /* from the loop: events need a device that is open */
	return 0;
}

void vu_session_close(struct via_device *dev)
{
	const struct via_device_events *events = dev->config.events;

	via_loop_unwatch(dev->listen_watch);
	dev->listen_watch = NULL;
	via_timer_free(dev->retry);
	dev->retry = NULL;
	if (dev->listen_fd < 0)
		return;
	close(dev->listen_fd);
	dev->listen_fd = -1;
	if (events->unlink_socket)
		events->unlink_socket(dev->config.user, dev->path);
	else if (!events->open_socket)
		unlink(dev->path);
}
