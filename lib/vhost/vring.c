/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the front-end says of rings.
 *
 * Its words are kept and judged as a whole when a ring starts (ring_start.c); their order does not
 * matter (VU-20). Under a ring that runs only notifiers and ENABLE may change. What else is said of one
 * that runs disabled stops it first: so does a driver that is loaded anew without GET_VRING_BASE
 * (design §6).
 */
#include <errno.h>
#include <unistd.h>

#include "base/tell.h"
#include "vhost/vhost.h"

/* For what may not change under a ring (R11). */
static int stop_if_disabled(struct vu_queue *q, struct via_error *err)
{
	if (q->ring && q->enabled)
		return via_fail(err, -EBUSY, "queue %u runs", q->index);
	vu_queue_stop(q, true);
	q->refused[0] = '\0';
	return 0;
}

int vu_set_vring_num(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct vu_queue *q = msg->queue;
	const uint32_t num = msg->payload.state.num;
	int ret;

	(void)dev;
	if (num == 0 || num > VIA_RING_MAX_SIZE)
		return via_fail(err, -EINVAL, "queue %u: a size of %u is impossible (1 to %u)",
				q->index, num, VIA_RING_MAX_SIZE);
	if (q->ring && num == q->num)
		return 0;
	ret = stop_if_disabled(q, err);
	if (ret < 0)
		return ret;
	q->num = num;
	q->has_num = true;
	return 0;
}

static bool same_addresses(const struct vu_vring_addr *a, const struct vu_vring_addr *b)
{
	return a->desc == b->desc && a->avail == b->avail && a->used == b->used;
}

int vu_set_vring_addr(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct vu_vring_addr *addr = &msg->payload.addr;
	struct vu_queue *q = msg->queue;
	const uint64_t area = vu_format(dev) == VIA_RING_PACKED ? 4 : 2;
	int ret;

	if (addr->flags & ~VU_VRING_LOG_MASK)
		return via_fail(err, -EINVAL, "queue %u: unknown flags 0x%x", q->index,
				addr->flags);
	if (addr->desc % 16 || addr->avail % area || addr->used % 4)
		return via_fail(err, -EINVAL,
				"queue %u: misaligned addresses 0x%llx, 0x%llx, 0x%llx", q->index,
				(unsigned long long)addr->desc, (unsigned long long)addr->avail,
				(unsigned long long)addr->used);
	if (dev->memory && !via_mem_translate_user(dev->memory->mem, addr->desc, 16))
		return via_fail(err, -EFAULT, "queue %u: address 0x%llx lies outside memory",
				q->index, (unsigned long long)addr->desc);
	if (q->ring && q->enabled && same_addresses(addr, &q->addr))
		return 0; /* VU-27; of a disabled one the next driver's may be the same */
	ret = stop_if_disabled(q, err);
	if (ret < 0)
		return ret;
	q->addr = *addr;
	q->has_addr = true;
	return 0;
}

int vu_set_vring_base(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct vu_queue *q = msg->queue;
	const uint32_t base = msg->payload.state.num;
	int ret;

	if (vu_format(dev) == VIA_RING_SPLIT && base > UINT16_MAX)
		return via_fail(err, -EINVAL, "queue %u: base 0x%x is no index of a split ring",
				q->index, base);
	ret = stop_if_disabled(q, err);
	if (ret < 0)
		return ret;
	q->base = base;
	q->has_base = true;
	return 0;
}

int vu_get_vring_base(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct vu_queue *q = msg->queue;
	int kick;

	(void)dev;
	(void)err;
	vu_queue_stop(q, true);
	kick = vu_queue_forget(q); /* of one that did not run */
	if (kick >= 0)
		close(kick);
	q->refused[0] = '\0';
	return 0;
}

void vu_got_vring_base(struct via_device *dev, struct vu_msg *msg)
{
	struct vu_queue *q = msg->queue;

	dev->reply.payload.state = (struct vu_vring_state){ .index = q->index, .num = q->base };
	dev->reply.header.size = sizeof(struct vu_vring_state);
	if (!q->ran)
		return;
	q->answered = q->base;
	q->has_answered = true;
}

/* ---- notifiers ---- */

static int notifier_of(uint32_t request)
{
	return request == VU_SET_VRING_KICK   ? VU_KICK
	       : request == VU_SET_VRING_CALL ? VU_CALL
					      : VU_ERR;
}

/* Replaces a notifier, under a running ring too (R13): a front-end swaps calls to mask interrupts. */
int vu_set_vring_notifier(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	static const char *const what[] = { "kick", "call", "err" };
	static const unsigned int kinds[] = { VU_FD_EVENT, VU_FD_EVENT | VU_FD_SOCKET,
					      VU_FD_EVENT };
	struct vu_queue *q = msg->queue;
	const int which = notifier_of(msg->header.request);
	struct vu_notifier *n = &q->notifier[which];
	int old = n->fd, ret;

	if (msg->nr_fds == 1 && !vu_fd_is(msg->fd[0], kinds[which]))
		return via_fail(err, -EINVAL, "queue %u: the %s descriptor is no eventfd%s",
				q->index, what[which], which == VU_CALL ? " and no socket" : "");
	if (msg->nr_fds == 1) {
		vu_notifier_set(n, vu_msg_take_fd(msg, 0));
		n->is_socket = vu_fd_is(n->fd, VU_FD_SOCKET);
	} else if (vu_has_protocol(dev, VU_PROTOCOL_INBAND_NOTIFICATIONS)) {
		ret = vu_notifier_inband(q, which, err);
		if (ret < 0)
			return ret;
	} else {
		vu_notifier_set(n, -1);
	}
	if (which == VU_KICK)
		q->refused[0] = '\0';
	if (q->ring)
		vu_queue_refresh(q, old);
	else if (old >= 0)
		via_close(old);
	q->changed = q->changed || q->ring;
	return 0;
}

/* Signals once more (VU-21), now that no worker tells of what it published by the old descriptor: the
 * front-end has looked at that one for the last time before it sent the message. */
void vu_has_set_vring_call(struct via_device *dev, struct vu_msg *msg)
{
	struct vu_queue *q = msg->queue;

	(void)dev;
	if (q->ring)
		atomic_store_explicit(&q->wants_call, true, memory_order_relaxed);
}

int vu_vring_kick(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct vu_notifier *n = &msg->queue->notifier[VU_KICK];
	const uint64_t one = 1;

	(void)dev;
	if (!n->is_inband)
		return via_fail(err, -EPROTO, "queue %u: kicks come by descriptor",
				msg->queue->index);
	/* Ours, and not blocking; a full one is a kick as well. */
	if (write(n->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return via_fail(err, -errno, "queue %u: cannot pass the kick on",
				msg->queue->index);
	return 0;
}

int vu_set_log_fd(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)dev;
	(void)msg;
	(void)err;
	return 0; /* closed with the message */
}

int vu_set_vring_enable(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct vu_queue *q = msg->queue;
	const uint32_t on = msg->payload.state.num;

	(void)dev;
	if (on > 1)
		return via_fail(err, -EINVAL, "queue %u: %u is neither on nor off", q->index, on);
	if (q->enabled == (on == 1))
		return 0;
	q->enabled = on == 1;
	if (q->ring)
		vu_queue_refresh(q, -1);
	q->changed = q->changed || q->ring;
	return 0;
}
