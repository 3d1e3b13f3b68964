/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages from us to the front-end, on a socket that it sends (SET_BACKEND_REQ_FD).
 *
 * None asks for a reply, so nothing is ever waited for (reference vhost-user.md §4.5). What is to be
 * told is kept as flags, not as a queue of messages: a front-end that does not read costs no memory.
 */
#include <errno.h>

#include "vhost/vhost.h"

/* The lowest queue of a mask of queues; -1 if it is empty. */
static int first_queue(const uint64_t *mask, size_t words)
{
	for (size_t i = 0; i < words; i++)
		if (mask[i])
			return (int)(64 * i) + __builtin_ctzll(mask[i]);
	return -1;
}

static bool send_queue(struct vu_backend_channel *channel, uint64_t *mask, uint32_t request)
{
	int index = first_queue(mask, ARRAY_SIZE(channel->calls));
	const struct vu_vring_state state = { .index = (uint32_t)index };

	if (index < 0)
		return false;
	if (!vu_conn_send(channel->conn, request, VU_VERSION, &state, sizeof(state)))
		return false;
	mask[index / 64] &= ~VIA_BIT(index % 64);
	return true;
}

/* Sends what is to be told until nothing is left or the socket is full: drained() goes on. */
static void pump(struct vu_backend_channel *channel)
{
	if (channel->conn && channel->config_changed &&
	    vu_conn_send(channel->conn, VU_BACKEND_CONFIG_CHANGE, VU_VERSION, NULL, 0))
		channel->config_changed = false;
	while (channel->conn && send_queue(channel, channel->calls, VU_BACKEND_VRING_CALL))
		;
	while (channel->conn && send_queue(channel, channel->errors, VU_BACKEND_VRING_ERR))
		;
}

static void on_drained(void *user)
{
	struct via_device *dev = user;

	pump(&dev->backend);
}

static void on_ended(void *user, const char *why)
{
	struct via_device *dev = user;

	vu_log(dev, VIA_LOG_DEBUG, "backend channel: %s", why);
	vu_backend_close(dev);
}

static void on_message(void *user, struct vu_msg *msg)
{
	(void)msg;
	on_ended(user, "a message that nobody waits for");
}

static const struct vu_conn_ops ops = {
	.message = on_message,
	.drained = on_drained,
	.ended = on_ended,
};

int vu_set_backend_req_fd(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct vu_conn *conn;
	int ret;

	if (!vu_fd_is(msg->fd[0], VU_FD_SOCKET))
		return via_fail(err, -EINVAL, "the descriptor is no UNIX stream socket");
	ret = vu_conn_open(&conn, dev->loop, msg->fd[0], dev->discards, &ops, dev, dev->deadline_ms,
			   err);
	if (ret < 0)
		return ret;
	vu_msg_take_fd(msg, 0);
	vu_backend_close(dev);
	dev->backend.conn = conn;
	return 0;
}

void vu_backend_config_changed(struct via_device *dev)
{
	dev->backend.config_changed = true;
	pump(&dev->backend);
}

void vu_backend_call(struct via_device *dev, uint16_t index)
{
	dev->backend.calls[index / 64] |= VIA_BIT(index % 64);
	pump(&dev->backend);
}

void vu_backend_error(struct via_device *dev, uint16_t index)
{
	dev->backend.errors[index / 64] |= VIA_BIT(index % 64);
	pump(&dev->backend);
}

void vu_backend_close(struct via_device *dev)
{
	struct vu_conn *conn = dev->backend.conn;

	dev->backend = (struct vu_backend_channel){ 0 };
	vu_conn_close(conn);
}
