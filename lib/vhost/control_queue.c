/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's control queue (virtio-net.md §6), where no VMM answers it.
 *
 * Served on the control thread: its kick is watched on the loop, and a turn runs at most BUDGET commands.
 * A command that changes what workers see settles before it is answered (VN-15, VN-24); meanwhile the
 * connection is held, as the queue rests while a message settles.
 *
 * A command is gathered into private memory, whatever pieces the driver made of it (R9). What is too
 * short, too long, unknown or out of range gets VIRTIO_NET_ERR; the queue lives on. A chain without a
 * byte for the answer goes back as it came.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/copy.h"
#include "ring/vq.h"
#include "vhost/vhost.h"

#define BUDGET  64   /* commands in a turn */
#define POLL_MS 5    /* without a kick descriptor */
#define MAX_LEN 8192 /* bytes of a command: MAC tables are the longest */
#define NR_SEGS VIA_CHAIN_MAX_SEGS

enum { ACK_OK = 0, ACK_ERR = 1 };

/* ---- commands ---- */

struct command {
	uint8_t class, number;
	uint8_t needs;     /* virtio feature */
	uint8_t mode;      /* for 'run' */
	uint16_t min, max; /* bytes of data */
	int (*run)(struct via_device *dev, const struct command *c, const uint8_t *data,
		   uint32_t len);
};

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static int run_mode(struct via_device *dev, const struct command *c, const uint8_t *data,
		    uint32_t len)
{
	(void)len;
	if (data[0] > 1)
		return -EINVAL;
	return vu_filter_set_mode(dev, (enum vu_filter_mode)c->mode, data[0]);
}

static int run_table(struct via_device *dev, const struct command *c, const uint8_t *data,
		     uint32_t len)
{
	(void)c;
	return vu_filter_set_table(dev, data, len);
}

static int run_mac(struct via_device *dev, const struct command *c, const uint8_t *data,
		   uint32_t len)
{
	(void)c;
	(void)len;
	return data[0] & 1 ? -EINVAL : vu_filter_set_mac(dev, data);
}

static int run_vlan(struct via_device *dev, const struct command *c, const uint8_t *data,
		    uint32_t len)
{
	(void)len;
	return vu_filter_set_vlan(dev, le16(data), c->mode);
}

static int run_announced(struct via_device *dev, const struct command *c, const uint8_t *data,
			 uint32_t len)
{
	(void)c;
	(void)data;
	(void)len;
	dev->announcing = false; /* VN-13 */
	return 0;
}

static int run_pairs(struct via_device *dev, const struct command *c, const uint8_t *data,
		     uint32_t len)
{
	const uint16_t pairs = le16(data);

	(void)c;
	(void)len;
	if (pairs == 0 || pairs > vu_pairs(dev))
		return -EINVAL;
	dev->driver.pairs = pairs;
	vu_queues_refresh(dev);
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		dev->queue[i].changed = true;
	return 0;
}

static int run_offloads(struct via_device *dev, const struct command *c, const uint8_t *data,
			uint32_t len)
{
	uint64_t offloads = 0;

	(void)c;
	(void)len;
	for (int i = 7; i >= 0; i--)
		offloads = offloads << 8 | data[i];
	if (offloads & ~(dev->features & VU_GUEST_OFFLOADS))
		return -EINVAL;
	dev->driver.guest_offloads = offloads;
	vu_queues_refresh(dev);
	return 0;
}

static const struct command commands[] = {
	{ 0, 0, VIRTIO_NET_F_CTRL_RX, VU_FILTER_PROMISC, 1, 1, run_mode },
	{ 0, 1, VIRTIO_NET_F_CTRL_RX, VU_FILTER_ALLMULTI, 1, 1, run_mode },
	{ 1, 0, VIRTIO_NET_F_CTRL_RX, 0, 8, MAX_LEN, run_table },
	{ 1, 1, VIRTIO_NET_F_CTRL_MAC_ADDR, 0, 6, 6, run_mac },
	{ 2, 0, VIRTIO_NET_F_CTRL_VLAN, 1, 2, 2, run_vlan },
	{ 2, 1, VIRTIO_NET_F_CTRL_VLAN, 0, 2, 2, run_vlan },
	{ 3, 0, VIRTIO_NET_F_GUEST_ANNOUNCE, 0, 0, 0, run_announced },
	{ 4, 0, VIRTIO_NET_F_MQ, 0, 2, 2, run_pairs },
	{ 5, 0, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 0, 8, 8, run_offloads },
};

static int run(struct via_device *dev, const uint8_t *data, uint32_t len)
{
	if (len < 2)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (c->class != data[0] || c->number != data[1])
			continue;
		if (!via_has(dev->features, c->needs) || len - 2 < c->min || len - 2 > c->max)
			return -EINVAL;
		return c->run(dev, c, data + 2, len - 2);
	}
	return -EOPNOTSUPP;
}

/* ---- chains ---- */

/* The command's bytes, read once. Returns how many, or more than MAX_LEN if they are too many. */
static uint32_t gather(const struct via_chain *chain, uint8_t *data)
{
	uint32_t len = 0;

	if (chain->readable_len > MAX_LEN)
		return MAX_LEN + 1;
	for (uint16_t i = 0; i < chain->nr_readable; i++) {
		via_copy_private(data + len, chain->seg[i].base, chain->seg[i].len);
		len += chain->seg[i].len;
	}
	return len;
}

static struct vu_queue *control_queue(struct via_device *dev)
{
	const uint16_t index = vu_control_index(dev);

	return index < dev->nr_queues ? &dev->queue[index] : NULL;
}

/* Gives the chain back with its answer. */
static void complete(struct via_device *dev, struct vu_queue *q, const struct via_ring *ring)
{
	const struct via_chain *chain = &dev->control.chain;
	uint32_t written = 0;

	if (chain->writable_len) {
		*chain->seg[chain->nr_readable].base = dev->control.ack;
		written = 1;
	}
	if (ring->format == VIA_RING_PACKED) {
		vq_push(&q->vq, ring, chain, written, VIA_RING_PACKED);
		vq_publish(&q->vq, ring, VIA_RING_PACKED);
		if (vq_wants_call(&q->vq, ring, VIA_RING_PACKED))
			vq_call(&q->vq, ring);
	} else {
		vq_push(&q->vq, ring, chain, written, VIA_RING_SPLIT);
		vq_publish(&q->vq, ring, VIA_RING_SPLIT);
		if (vq_wants_call(&q->vq, ring, VIA_RING_SPLIT))
			vq_call(&q->vq, ring);
	}
}

/* After settling. The command itself may have made the ring anew, never stopped it. */
static void command_done(struct via_device *dev)
{
	struct vu_queue *q = control_queue(dev);
	const struct via_ring *ring;

	dev->control.busy = false;
	if (dev->session != VU_CONNECTED)
		return;
	vu_queues_stopped(dev);
	ring = q ? vq_ring(&q->vq) : NULL;
	if (ring)
		complete(dev, q, ring);
	vu_tell_owner(dev);
	if (dev->session != VU_CONNECTED || !dev->control.resume)
		return;
	vu_conn_release(dev->conn);
	vu_control_serve(dev);
}

/* Takes a command and runs it. Returns true if it is answered already and another may follow. */
static bool serve_one(struct via_device *dev, struct vu_queue *q, const struct via_ring *ring)
{
	uint8_t data[MAX_LEN];
	struct vu_control *c = &dev->control;
	uint32_t len;
	int ret;

	ret = ring->format == VIA_RING_PACKED
		      ? vq_pop(&q->vq, ring, &c->chain, c->seg, NR_SEGS, VIA_RING_PACKED)
		      : vq_pop(&q->vq, ring, &c->chain, c->seg, NR_SEGS, VIA_RING_SPLIT);
	if (ret <= 0)
		return false;
	len = gather(&c->chain, data);
	c->ack = len <= MAX_LEN && run(dev, data, len) == 0 ? ACK_OK : ACK_ERR;
	c->busy = true;
	c->resume = false;
	vu_settle(dev, command_done);
	if (!c->busy)
		return true;
	c->resume = true; /* it goes on from there */
	vu_conn_hold(dev->conn);
	return false;
}

/* Asks for a kick. Returns true if more has come meanwhile. */
static bool rest(struct vu_queue *q, const struct via_ring *ring)
{
	return ring->format == VIA_RING_PACKED ? vq_arm(&q->vq, ring, VIA_RING_PACKED)
					       : vq_arm(&q->vq, ring, VIA_RING_SPLIT);
}

void vu_control_serve(struct via_device *dev)
{
	struct vu_queue *q = control_queue(dev);
	struct vu_control *c = &dev->control;
	const struct via_ring *ring = NULL;

	if (vu_is_settling(dev)) {
		c->pending = true;
		return;
	}
	c->pending = false;
	for (int i = 0; i < BUDGET && dev->session == VU_CONNECTED; i++) {
		ring = q && q->ring ? vq_ring(&q->vq) : NULL;
		if (!ring)
			break;
		if (via_mem_is_lost(ring->mem)) {
			via_vq_break(&q->vq, VIA_BROKEN_MEMORY_LOST);
			break;
		}
		if (serve_one(dev, q, ring))
			continue;
		if (c->busy || !vq_ring(&q->vq) || !rest(q, ring))
			break;
	}
	vu_tell_broken(dev);
	/* A driver that goes on without end gets another turn, as everybody else does. */
	if (ring && !c->busy && vq_ring(&q->vq) && dev->session == VU_CONNECTED)
		if (q->notifier[VU_KICK].fd < 0 || rest(q, ring))
			via_timer_start(c->poll, q->notifier[VU_KICK].fd < 0 ? POLL_MS : 0);
}

/* ---- beginning and ending ---- */

static void on_kick(void *user, uint32_t events)
{
	(void)events;
	vu_control_serve(user);
}

static void on_poll(void *user)
{
	vu_control_serve(user);
}

static void stop_serving(struct via_device *dev)
{
	struct vu_control *c = &dev->control;

	via_loop_unwatch(c->watch);
	if (c->watch)
		close(c->kick_fd);
	c->watch = NULL;
	if (c->poll)
		via_timer_stop(c->poll);
	c->pending = false;
}

static int prepare(struct via_device *dev, struct via_error *err)
{
	struct vu_control *c = &dev->control;

	if (!c->seg)
		c->seg = malloc(NR_SEGS * sizeof(*c->seg));
	if (!c->seg)
		return via_fail(err, -ENOMEM, "no memory for the control queue");
	return c->poll ? 0 : via_timer_create(&c->poll, dev->loop, on_poll, dev, err);
}

/*
 * Watches a duplicate of the kick: the front-end's own may be closed, with a ring that is retired, before
 * we are told, and a closed descriptor cannot be taken out of epoll while the front-end has it open.
 * Edge-triggered: it is never read, its count means nothing (VU-22).
 */
static int watch_kick(struct via_device *dev, int kick, struct via_error *err)
{
	struct vu_control *c = &dev->control;
	int ret;

	c->kick_fd = fcntl(kick, F_DUPFD_CLOEXEC, 0);
	if (c->kick_fd < 0)
		return via_fail(err, -errno, "the control queue's kick: %s", strerror(errno));
	ret = via_loop_watch(&c->watch, dev->loop, c->kick_fd, EPOLLIN | EPOLLET, on_kick, dev,
			     err);
	if (ret < 0)
		close(c->kick_fd);
	return ret;
}

void vu_control_update(struct via_device *dev)
{
	struct vu_queue *q = control_queue(dev);
	struct via_error err;
	int ret;

	if (!q || !q->ring) {
		stop_serving(dev);
		return;
	}
	if (!q->changed)
		return;
	q->changed = false;
	stop_serving(dev);
	ret = prepare(dev, &err);
	if (ret == 0 && q->notifier[VU_KICK].fd >= 0)
		ret = watch_kick(dev, q->notifier[VU_KICK].fd, &err);
	if (ret < 0) {
		vu_log(dev, VIA_LOG_ERROR, "%s", err.text);
		return;
	}
	via_timer_start(dev->control.poll, 0); /* looks once without a kick */
}

void vu_control_forget(struct via_device *dev)
{
	free(dev->control.seg);
	dev->control.seg = NULL;
}

void vu_control_fini(struct via_device *dev)
{
	stop_serving(dev);
	via_timer_free(dev->control.poll);
	vu_control_forget(dev);
}
