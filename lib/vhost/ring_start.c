/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what the front-end said to a ring that workers serve, and back.
 *
 * vu_queues_start() runs after every message: whatever came last, a queue starts once all that it needs
 * is there. Geometry is validated as a whole then (R11): the size rule, alignment here and there, each
 * part within one region, none overlapping another, and a base within the ring. It cannot change while the
 * ring runs: what workers see is immutable, and the messages that would change it are refused.
 *
 * Where a ring starts. If its memory had gone away, where it was. Else a kept position (ring/position.h)
 * decides: a process before this one, or a connection before this one, served the very same ring. Else
 *   split   the used index in the ring, which is where any device was; a front-end's base may be stale
 *   packed  the front-end's base, if the ring can be there; 0 says nothing (design §6), and then the
 *           flags of slot 0 tell the lap
 * A packed ring that cannot be where anybody says is refused, never guessed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tell.h"
#include "ring/vq.h"
#include "vhost/vhost.h"

/* ---- the ring as published ---- */

static void ring_free(struct vu_retired *retired)
{
	struct vu_ring *r = via_container_of(retired, struct vu_ring, retired);

	for (int i = 0; i < VU_NR_NOTIFIERS; i++)
		if (r->old_fd[i] >= 0)
			via_close(
				r->old_fd
					[i]); /* a call may be a socket, with who knows what in it */
	free(r);
}

bool vu_queue_is_enabled(const struct vu_queue *q)
{
	if (q->index == vu_control_index(q->dev))
		return q->enabled;
	return q->enabled && q->index / 2 < q->dev->driver.pairs;
}

/* One part of a ring, mapped; NULL if it is misaligned or not within one region. A region may begin at
 * any address of the front-end's, so alignment there says nothing about alignment here. */
static void *part(const struct vu_queue *q, uint64_t addr, uint64_t size, uintptr_t align)
{
	void *host = via_mem_translate_user(q->dev->memory->mem, addr, size);

	return (uintptr_t)host % align ? NULL : host;
}

/* Event indices count only where they are spoken: without them a driver may put other things there. */
static int check_overlap(const struct via_ring *ring, struct via_ring_sizes sizes,
			 const void *const part[3], struct via_error *err)
{
	const uint64_t events =
		ring->format == VIA_RING_SPLIT && !ring->event_idx ? sizeof(via_le16) : 0;
	const uint64_t size[3] = { sizes.desc, sizes.avail - events, sizes.used - events };

	for (int a = 0; a < 3; a++) {
		const int b = (a + 1) % 3;
		const uintptr_t at_a = (uintptr_t)part[a], at_b = (uintptr_t)part[b];

		if (at_a < at_b + size[b] && at_b < at_a + size[a])
			return via_fail(err, -EINVAL, "its parts overlap");
	}
	return 0;
}

static int map_parts(const struct vu_queue *q, struct via_ring *ring, struct via_error *err)
{
	const bool packed = ring->format == VIA_RING_PACKED;
	const struct via_ring_sizes sizes = via_ring_sizes(ring->format, q->num);
	void *desc = part(q, q->addr.desc, sizes.desc, 16);
	void *avail = part(q, q->addr.avail, sizes.avail, packed ? 4 : 2);
	void *used = part(q, q->addr.used, sizes.used, 4);

	if (!desc || !avail || !used)
		return via_fail(err, -EFAULT,
				"its %s at 0x%llx is misaligned or not within one memory region",
				!desc    ? "descriptor ring"
				: !avail ? "driver area"
					 : "device area",
				(unsigned long long)(!desc    ? q->addr.desc
						     : !avail ? q->addr.avail
							      : q->addr.used));
	if (packed) {
		ring->packed.desc = desc;
		ring->packed.driver = avail;
		ring->packed.device = used;
	} else {
		ring->split.desc = desc;
		ring->split.avail = avail;
		ring->split.used = used;
	}
	return check_overlap(ring, sizes, (const void *const[]){ desc, avail, used }, err);
}

/* Features that count for packets: offloads that the driver has switched off are as if refused. */
static uint64_t active_features(const struct via_device *dev)
{
	return dev->features & (~VU_GUEST_OFFLOADS | dev->driver.guest_offloads);
}

static int ring_create(struct vu_queue *q, struct vu_ring **ring, struct via_error *err)
{
	const struct via_device *dev = q->dev;
	const enum via_ring_format format = vu_format(dev);
	struct vu_ring *r;
	int ret;

	if (format == VIA_RING_SPLIT && q->num & (q->num - 1))
		return via_fail(err, -EINVAL, "a split ring of %u slots: it must be a power of two",
				q->num);
	r = malloc(sizeof(*r));
	if (!r)
		return via_fail(err, -ENOMEM, "no memory for queue %u", q->index);
	*r = (struct vu_ring){
		.ring = {
			.mem = dev->memory->mem,
			.format = format,
			.size = (uint16_t)q->num,
			.event_idx = via_has(dev->features, VIRTIO_F_EVENT_IDX),
			.indirect = via_has(dev->features, VIRTIO_F_INDIRECT_DESC),
			.in_order = via_has(dev->features, VIRTIO_F_IN_ORDER),
			.features = dev->features,
			.kick_fd = q->notifier[VU_KICK].fd,
			.call_fd = q->notifier[VU_CALL].fd,
			.call_is_socket = q->notifier[VU_CALL].is_socket,
			.enabled = vu_queue_is_enabled(q),
		},
		.net = via_vq_net_of(active_features(dev)),
		.mtu = via_has(dev->features, VIRTIO_NET_F_MTU) ? dev->config.mtu : 0,
		.retired.free = ring_free,
		.old_fd = { -1, -1, -1 },
	};
	/* The header's size does not follow what is switched on, but what was negotiated. */
	r->net.header_size = via_vq_net_of(dev->features).header_size;
	ret = map_parts(q, &r->ring, err);
	if (ret < 0) {
		free(r);
		return ret;
	}
	*ring = r;
	return 0;
}

/* ---- where it starts ---- */

static struct via_ring_pos packed_pos(uint32_t half)
{
	return (struct via_ring_pos){ .idx = half & 0x7fff, .wrap = half >> 15 & 1 };
}

static uint32_t base_of(enum via_ring_format format, struct via_ring_pos avail,
			struct via_ring_pos used)
{
	if (format == VIA_RING_SPLIT)
		return avail.idx;
	return avail.idx | (uint32_t)avail.wrap << 15 | (uint32_t)used.idx << 16 |
	       (uint32_t)used.wrap << 31;
}

/* A front-end that always says 0: the slot's flags show the lap. Available but not used: it is of this
 * lap. Else it was used in the lap before, or never touched. Nothing that the driver wrote before is read
 * for it, so no order is needed. */
static bool lap_of_slot_0(const struct via_ring *ring)
{
	const uint16_t flags = packed_flags(via_le64_load(&ring->packed.desc[0].tail));
	const bool avail = flags & VIA_DESC_AVAIL, used = flags & VIA_DESC_USED;

	return avail != used ? avail : !avail;
}

static bool is_first_lap(struct via_ring_pos pos)
{
	return pos.idx == 0 && pos.wrap;
}

/* A base of 0 says nothing, unless we have told it of this very ring (packed: slot 0 of an even lap). */
static bool says_nothing(const struct vu_queue *q, const struct via_ring *ring)
{
	return q->base == 0 &&
	       !(q->has_answered && q->answered == 0 && !via_position_is_fresh(ring));
}

/* From the front-end's word. */
static int packed_start(const struct vu_queue *q, const struct via_ring *ring, bool disagrees,
			struct via_ring_pos *pos, struct via_error *err)
{
	if (says_nothing(q, ring))
		*pos = (struct via_ring_pos){ .idx = 0, .wrap = lap_of_slot_0(ring) };
	else /* an upper half of 0 says nothing (§2) */
		*pos = packed_pos(q->base >> 16 ? q->base >> 16 : q->base);
	if (pos->idx >= ring->size)
		return via_fail(err, -EINVAL, "base 0x%x lies outside its %u slots", q->base,
				ring->size);
	if (is_first_lap(*pos) && via_position_is_fresh(ring))
		return 0;
	if (disagrees)
		return -EINVAL; /* the reason is in 'err' already */
	if (q->has_answered && q->base == q->answered)
		return 0; /* ours */
	if (is_first_lap(*pos) || !via_position_fits(ring, *pos))
		return via_fail(
			err, -EINVAL,
			"the front-end's base 0x%x is not where the packed ring is, and nothing "
			"else tells",
			q->base);
	return 0;
}

static struct via_ring_pos split_start(struct vu_queue *q, const struct via_ring *ring)
{
	const struct via_ring_pos pos = { .idx = via_le16_load(&ring->split.used->idx) };

	if (pos.idx != q->base)
		vu_log(q->dev, VIA_LOG_INFO,
		       "queue %u goes on at %u, as its used index says (the front-end says %u)",
		       q->index, pos.idx, q->base);
	return pos;
}

static bool key_of(const struct vu_queue *q, const struct via_ring *ring,
		   struct via_position_key *key)
{
	*key = (struct via_position_key){
		.desc_addr = q->addr.desc,
		.size = ring->size,
		.format = ring->format,
	};
	return via_mem_identity(ring->mem, q->addr.desc, &key->dev, &key->ino);
}

/* Finds 'avail' and 'used' of the queue. */
static int find_start(struct vu_queue *q, const struct via_ring *ring,
		      const struct via_position_key *key, struct via_error *err)
{
	enum via_position_found found = VIA_POSITION_NONE;
	struct via_position *kept = NULL;
	int ret = 0;

	if (q->has_pos)
		return 0;
	if (q->dev->positions) {
		kept = via_position_at(q->dev->positions, q->index);
		found = via_position_recover(kept, key, ring, &q->avail, &q->used, err);
	}
	if (found == VIA_POSITION_FOUND) {
		if (ring->format == VIA_RING_PACKED)
			vu_log(q->dev, VIA_LOG_INFO, "queue %u goes on at slot %u", q->index,
			       q->used.idx);
		return 0;
	}
	if (ring->format == VIA_RING_PACKED)
		ret = packed_start(q, ring, found == VIA_POSITION_DISAGREES, &q->used, err);
	else
		q->used = split_start(q, ring);
	q->avail = q->used;
	return ret;
}

/* ---- start ---- */

static bool can_start(const struct vu_queue *q)
{
	const struct via_device *dev = q->dev;

	return !q->ring && !q->stopped && q->has_num && q->has_base && q->has_addr &&
	       q->notifier[VU_KICK].is_set && dev->has_features && dev->memory &&
	       dev->memory->mem->nr_regions && vu_driver_is_ready(dev) && !q->refused[0];
}

static int queue_start(struct vu_queue *q, struct via_error *err)
{
	struct via_position_key key;
	struct vu_ring *r;
	int ret = ring_create(q, &r, err);

	if (ret < 0)
		return ret;
	key_of(q, &r->ring, &key); /* the ring was mapped: there is a region */
	ret = find_start(q, &r->ring, &key, err);
	if (ret < 0) {
		ring_free(&r->retired);
		return ret;
	}
	if (q->dev->positions)
		via_position_begin(via_position_at(q->dev->positions, q->index), &q->vq, &key,
				   q->used);
	q->has_pos = false;
	q->ran = true;
	q->format = r->ring.format;
	q->told = VIA_BROKEN_NONE;
	atomic_store_explicit(&q->alarmed, false, memory_order_relaxed);
	atomic_store_explicit(&q->faults,
			      atomic_load_explicit(&via_guard_faults, memory_order_relaxed) - 1,
			      memory_order_relaxed);
	q->ring = r;
	q->changed = true;
	via_vq_start(&q->vq, &r->ring, q->avail, q->used);
	atomic_store_explicit(&q->wants_call, true, memory_order_relaxed); /* VU-21 */
	return 0;
}

/* A front-end that broke a rule hears nothing of it, and nothing changes until it says something else.
 * Where the want of memory is ours it is told, by the end of the connection: it can come back. */
static void queue_refuse(struct vu_queue *q, int why, const char *text)
{
	snprintf(q->refused, sizeof(q->refused), "%.*s", (int)sizeof(q->refused) - 1, text);
	if (why == -ENOMEM) {
		vu_session_end(q->dev, VU_END_FINE, q->refused);
		return;
	}
	q->dev->faults.starts++;
	vu_log(q->dev, VIA_LOG_ERROR, "queue %u does not start: %s", q->index, q->refused);
}

void vu_queues_start(struct via_device *dev)
{
	struct via_error err;

	for (uint16_t i = 0; i < dev->nr_queues && dev->session == VU_CONNECTED; i++) {
		struct vu_queue *q = &dev->queue[i];
		int ret = can_start(q) ? queue_start(q, &err) : 0;

		if (ret < 0)
			queue_refuse(q, ret, err.text);
	}
}

void vu_queues_reconsider(struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		dev->queue[i].refused[0] = '\0';
}

/* ---- stop ---- */

int vu_queue_forget(struct vu_queue *q)
{
	int kick = vu_notifier_set(&q->notifier[VU_KICK], -1);

	q->notifier[VU_KICK].is_set = false;
	q->has_base = q->has_addr = q->has_pos = false;
	return kick;
}

void vu_queue_stop(struct vu_queue *q, bool clean)
{
	struct vu_ring *r = q->ring;

	if (!r) {
		if (clean)
			q->has_pos = false;
		return;
	}
	via_vq_stop(&q->vq);
	q->ring = NULL;
	q->stopped = true;
	q->clean = clean;
	q->changed = true;
	if (clean)
		r->old_fd[VU_KICK] = vu_queue_forget(q);
	vu_retire(q->dev, &r->retired);
}

void vu_queues_stopped(struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		struct vu_queue *q = &dev->queue[i];

		if (!q->stopped)
			continue;
		q->stopped = false;
		q->avail = q->vq.avail;
		q->used = q->vq.used;
		if (!q->clean || !q->has_base) /* the message that stopped it may have been BASE */
			q->base = base_of(q->format, q->avail, q->used);
		q->has_pos = !q->clean;
		if (q->clean && dev->positions)
			via_position_end(via_position_at(dev->positions, i), &q->vq);
	}
}

void vu_queue_reset(struct vu_queue *q)
{
	int kick = vu_queue_forget(q);

	if (kick >= 0)
		close(kick);
	q->has_num = q->ran = false;
	q->base = 0;
	q->refused[0] = '\0';
	q->enabled =
		q->dev->has_features && !via_has(q->dev->features, VHOST_USER_F_PROTOCOL_FEATURES);
}

/* ---- change under way ---- */

void vu_queue_refresh(struct vu_queue *q, int old_fd)
{
	struct vu_ring *old = q->ring, *r;

	old->old_fd[VU_CALL] = old_fd;
	if (ring_create(q, &r, NULL) < 0) {
		vu_queue_stop(q, false);
		return;
	}
	via_vq_swap(&q->vq, &r->ring);
	q->ring = r;
	vu_retire(q->dev, &old->retired);
}

void vu_queues_refresh(struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		if (dev->queue[i].ring)
			vu_queue_refresh(&dev->queue[i], -1);
}
