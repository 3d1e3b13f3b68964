/* SPDX-License-Identifier: BSD-3-Clause */
/* The public device: its life, and the data path's way to its queues. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/tell.h"
#include "net/drop.h"
#include "ring/vq.h"
#include "vhost/vhost.h"

/* ---- a queue that a worker found broken ---- */

/* Whether the queue's call has held a worker up. (One that is a socket cannot, and is closed when
 * user-mode Linux unloads its driver.) */
static bool call_holds_up(const struct vu_queue *q, enum via_broken broken)
{
	return broken == VIA_BROKEN_NOTIFY && !q->ring->ring.call_is_socket;
}

/* The err descriptor is the front-end's and may be made to block: so it is control who writes it, whoever
 * found the queue broken, and not with a lock held (R15, R19, R20). */
static bool err_holds_up(const struct vu_queue *q)
{
	const int fd = q->notifier[VU_ERR].fd;

	return fd >= 0 && !via_tell(fd);
}

/* A device whose memory is lost is disconnected: its rings are zeros. */
void vu_tell_broken(struct via_device *dev)
{
	bool lost = false, stuck = false;

	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		struct vu_queue *q = &dev->queue[i];
		enum via_broken broken = atomic_load_explicit(&q->vq.broken, memory_order_relaxed);

		if (!q->ring || broken == q->told) /* a ring that starts has told NONE */
			continue;
		q->told = broken;
		dev->faults.broken[broken]++;
		/* Its zeros may have broken another rule before anybody noticed what they are. */
		lost = lost || via_mem_is_lost(q->ring->ring.mem);
		stuck = err_holds_up(q) || call_holds_up(q, broken) || stuck;
		vu_log(dev, VIA_LOG_ERROR, "queue %u is broken: %s", i, via_broken_text(broken));
	}
	if (stuck)
		vu_session_quarantine(dev, via_broken_text(VIA_BROKEN_NOTIFY));
	else if (lost)
		vu_session_end(dev, VU_END_FAULT, via_broken_text(VIA_BROKEN_MEMORY_LOST));
}

static void on_alarm(void *user, uint32_t events)
{
	struct via_device *dev = user;
	uint64_t count;

	(void)events;
	if (read(dev->alarm_fd, &count, sizeof(count)) == sizeof(count))
		vu_tell_broken(dev);
}

/* Once; workers that find it at the same time may do so twice, which tells nothing new. */
static via_cold void raise_alarm(struct vu_queue *q)
{
	if (atomic_load_explicit(&q->alarmed, memory_order_relaxed))
		return;
	atomic_store_explicit(&q->alarmed, true, memory_order_relaxed);
	/* Ours, not blocking: that is told, or is full, and then it has been heard. */
	via_tell(q->dev->alarm_fd);
}

/* Somewhere a front-end has truncated its memory: was it this one? */
static via_cold void check_memory(struct vu_queue *q, const struct via_ring *ring, uint32_t faults)
{
	atomic_store_explicit(&q->faults, faults, memory_order_relaxed);
	if (via_mem_is_lost(ring->mem))
		via_vq_break(&q->vq, VIA_BROKEN_MEMORY_LOST);
}

/* The ring of this burst, with what packets need of it; NULL if the queue does not run. One that breaks
 * here is found broken by whoever goes on with it. */
static via_always_inline const struct vu_ring *queue_ring(struct vu_queue *q)
{
	const struct via_ring *ring = vq_ring(&q->vq);
	uint32_t faults;

	if (via_unlikely(!ring))
		return NULL;
	faults = atomic_load_explicit(&via_guard_faults, memory_order_relaxed);
	if (via_unlikely(faults != atomic_load_explicit(&q->faults, memory_order_relaxed)))
		check_memory(q, ring, faults);
	return (const struct vu_ring *)ring;
}
static_assert(offsetof(struct vu_ring, ring) == 0, "queue_ring() casts");

static via_always_inline void queue_after(struct vu_queue *q)
{
	if (via_unlikely(atomic_load_explicit(&q->vq.broken, memory_order_relaxed)))
		raise_alarm(q);
}

/* ---- data path ---- */

/* Signals once without a reason after a start or a swap of call descriptors: what was signalled before
 * may have been lost (VU-21). */
static via_cold void call_once(struct vu_queue *q)
{
	const struct via_ring *ring = vq_ring(&q->vq);

	/* Wished for when no worker has the ring of before any more (a grace period has passed), and kept for
	 * the next burst if the new one is not seen yet: so the two need no order. Only the pair's own
	 * worker clears it. */
	if (!ring)
		return;
	atomic_store_explicit(&q->wants_call, false, memory_order_relaxed);
	vq_call(&q->vq, ring); /* no lock: a peer is talked to */
	queue_after(q);
}

static via_always_inline void call_if_wanted(struct vu_queue *q)
{
	if (via_unlikely(atomic_load_explicit(&q->wants_call, memory_order_relaxed)))
		call_once(q);
}

VIA_EXPORT uint32_t via_device_ingress(struct via_device *dev, uint32_t pair,
				       struct via_burst *burst, uint32_t max,
				       struct via_queue_stats *stats)
{
	struct vu_queue *q = &dev->queue[2 * pair + 1];
	const struct vu_ring *r;
	uint32_t n;

	call_if_wanted(q - 1);
	call_if_wanted(q);
	r = queue_ring(q);
	if (!r) {
		queue_after(q);
		return 0;
	}
	n = via_vq_ingress(&q->vq, &r->net, &q->lent, burst, max, stats);
	queue_after(q);
	return n;
}

VIA_EXPORT void via_device_ingress_release(struct via_device *dev, uint32_t pair,
					   uint32_t undelivered)
{
	struct vu_queue *q = &dev->queue[2 * pair + 1];

	if (undelivered)
		via_vq_ingress_return(&q->vq, &q->lent, undelivered);
	via_vq_ingress_release(&q->vq, &q->lent);
	queue_after(q);
}

VIA_EXPORT uint32_t via_device_egress(struct via_device *dev, uint32_t pair,
				      struct via_view *const *views, uint32_t n, bool keep,
				      struct via_queue_stats *stats)
{
	struct vu_queue *q = &dev->queue[2 * pair];
	const struct vu_ring *r = queue_ring(q);

	if (!r) {
		via_drop_count(stats, VIA_DROP_NO_QUEUE, n);
		queue_after(q);
		return n;
	}
	n = via_vq_egress(&q->vq, &r->net, views, n, r->mtu, keep, stats);
	queue_after(q);
	return n;
}

VIA_EXPORT bool via_device_arm(struct via_device *dev, uint32_t pair)
{
	struct vu_queue *q = &dev->queue[2 * pair + 1];
	const struct via_ring *ring = vq_ring(&q->vq);
	bool work = false;

	if (ring)
		work = ring->format == VIA_RING_PACKED ? vq_arm(&q->vq, ring, VIA_RING_PACKED)
						       : vq_arm(&q->vq, ring, VIA_RING_SPLIT);
	queue_after(q); /* the look may have found it broken, and nobody looks again */
	return work;
}

VIA_EXPORT void via_device_disarm(struct via_device *dev, uint32_t pair)
{
	struct via_vq *vq = &dev->queue[2 * pair + 1].vq;
	const struct via_ring *ring = vq_ring(vq);

	if (!ring)
		return;
	if (ring->format == VIA_RING_PACKED)
		vq_disarm(vq, ring, VIA_RING_PACKED);
	else
		vq_disarm(vq, ring, VIA_RING_SPLIT);
}

VIA_EXPORT bool via_device_pair_runs(const struct via_device *dev, uint32_t pair)
{
	const struct vu_queue *q = &dev->queue[2 * pair];

	return pair < vu_pairs(dev) && (atomic_load_explicit(&q[0].vq.ring, memory_order_relaxed) ||
					atomic_load_explicit(&q[1].vq.ring, memory_order_relaxed));
}

VIA_EXPORT int via_device_kick_fd(const struct via_device *dev, uint32_t pair)
{
	const struct vu_queue *rx = &dev->queue[2 * pair], *tx = rx + 1;

	if (pair >= vu_pairs(dev))
		return -1;
	/* Nothing comes while only RX runs: whoever waits must be able to sleep. */
	if (!tx->ring)
		return rx->ring ? rx->ring->ring.kick_fd : -1;
	return tx->ring->ring.kick_fd;
}

/* ---- life ---- */

VIA_EXPORT uint64_t via_device_state_size(uint16_t queue_pairs)
{
	return via_positions_size(2 * (uint32_t)(queue_pairs ? queue_pairs : 1) + 1);
}

static int check_config(const struct via_device_config *config, struct via_error *err)
{
	const uint16_t max = VIA_DEVICE_MAX_PAIRS - (config->control_queue ? 1 : 0);

	if (!config->path || !config->path[0])
		return via_fail(err, -EINVAL, "a vhost-user device needs the path of a socket");
	if (config->queue_pairs > max)
		return via_fail(err, -EINVAL, "%u queue pairs; %u are possible",
				config->queue_pairs, max);
	if (config->mtu && config->mtu < 68)
		return via_fail(err, -EINVAL, "an MTU of %u is impossible (68 to 65535)",
				config->mtu);
	if (config->has_mac && config->mac[0] & 1)
		return via_fail(err, -EINVAL, "the guest's MAC address is a multicast one");
	return 0;
}

static int init_queues(struct via_device *dev, struct via_error *err)
{
	dev->nr_queues = (uint16_t)(2 * vu_pairs(dev) + (dev->config.control_queue ? 1 : 0));
	dev->queue = aligned_alloc(VIA_CACHE_LINE, dev->nr_queues * sizeof(*dev->queue));
	if (!dev->queue)
		return via_fail(err, -ENOMEM, "no memory for %u queues", dev->nr_queues);
	memset(dev->queue, 0, dev->nr_queues * sizeof(*dev->queue));
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		struct vu_queue *q = &dev->queue[i];

		q->dev = dev;
		q->index = i;
		for (int n = 0; n < VU_NR_NOTIFIERS; n++)
			q->notifier[n].fd = -1;
		atomic_flag_clear(&q->vq.lock);
	}
	return 0;
}

static int init_alarm(struct via_device *dev, struct via_error *err)
{
	dev->alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->alarm_fd < 0)
		return via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	return via_loop_watch(&dev->alarm_watch, dev->loop, dev->alarm_fd, EPOLLIN, on_alarm, dev,
			      err);
}

static int init(struct via_device *dev, struct via_error *err)
{
	const struct via_device_config *config = &dev->config;
	int ret = init_queues(dev, err);

	dev->discards = via_discards_create();
	if (ret == 0 && !dev->discards)
		ret = via_fail(err, -ENOMEM, "no memory for a device");
	if (ret == 0)
		ret = vu_steer_init(dev, err);
	if (ret == 0)
		ret = init_alarm(dev, err);
	if (ret == 0 && config->state_fd > 0)
		ret = via_positions_map(&dev->positions, config->state_fd,
					2 * (uint32_t)vu_pairs(dev) + 1, err);
	if (ret < 0)
		return ret;
	vu_offer(dev);
	vu_driver_reset(dev);
	return vu_session_open(dev, err);
}

/* Frees a device that nobody is connected to and no worker can be in. */
static void destroy(struct via_device *dev)
{
	vu_session_close(dev);
	vu_control_fini(dev);
	vu_retired_free(dev);
	via_loop_unwatch(dev->alarm_watch);
	if (dev->alarm_fd >= 0)
		close(dev->alarm_fd);
	via_positions_unmap(dev->positions);
	via_discards_free(dev->discards);
	free(dev->steer.flow);
	free(dev->queue);
	free(dev->name);
	free(dev->path);
	free(dev);
}

VIA_EXPORT int via_device_open(struct via_device **device, struct via_loop *loop,
			       const struct via_device_config *config, struct via_error *err)
{
	static const struct via_device_events no_events;
	struct via_device *dev;
	int ret = check_config(config, err);

	if (ret < 0)
		return ret;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return via_fail(err, -ENOMEM, "no memory for a device");
	dev->loop = loop;
	dev->config = *config;
	dev->listen_fd = dev->alarm_fd = -1;
	dev->deadline_ms = VU_DEADLINE_MS;
	if (!dev->config.events)
		dev->config.events = &no_events;
	if (!dev->config.queue_pairs)
		dev->config.queue_pairs = 1;
	dev->name = strdup(config->name ? config->name : config->path);
	dev->path = strdup(config->path);
	dev->config.name = dev->name;
	dev->config.path = dev->path;

	ret = dev->name && dev->path ? init(dev, err)
				     : via_fail(err, -ENOMEM, "no memory for a device");
	if (ret < 0) {
		destroy(dev);
		return ret;
	}
	if (config->state_fd > 0)
		close(config->state_fd); /* mapped */
	*device = dev;
	return 0;
}

static void freed(void *user)
{
	struct via_device *dev = user;
	void (*closed)(void *user) = dev->closed;
	void *closed_user = dev->closed_user;

	destroy(dev);
	if (closed)
		closed(closed_user);
}

/* The session is over. One more grace period: a worker may still be on its way in, to find that no
 * queue runs. */
void vu_device_free(struct via_device *dev)
{
	via_loop_after_grace(dev->loop, freed, dev);
}

VIA_EXPORT void via_device_close(struct via_device *dev, void (*closed)(void *user), void *user)
{
	if (!dev)
		return;
	dev->closing = true;
	dev->closed = closed;
	dev->closed_user = user;
	vu_session_close(dev); /* nobody else comes */
	if (dev->session == VU_IDLE)
		vu_device_free(dev);
	else
		vu_session_end(dev, VU_END_FINE, "the device is being removed");
}
