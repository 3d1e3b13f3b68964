/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver's ring whose chains never change: the cheapest driver that the specification allows.
 *
 * Its chains are set once, all with the same number of buffers and writable bytes, and each is either in
 * the driver's hands or with the device. Posting one is then an entry of the available ring, which is
 * written only where it differs from what is there already (split), or its descriptors with the bits of
 * this lap (packed). That suits whoever receives into buffers of its own, or sends the same frames again
 * and again.
 *
 * The device is not trusted, as in driver_ring.h, whose positions, publication and kicks these are:
 * standing_post …; drv_publish; if (drv_wants_kick) kick; standing_reap …. 'format' is a constant.
 * Thread: the one worker that serves the queue.
 */
#ifndef VIA_RING_STANDING_H
#define VIA_RING_STANDING_H

#include "ring/driver_ring.h"

/* A chain in the driver's hands. */
struct via_hand {
	uint32_t id;  /* the chain's number times its slots */
	uint32_t len; /* bytes that the device wrote into it */
};

/* A descriptor of a packed ring without its lap. */
struct via_fixed_desc {
	uint64_t addr, tail;
};

struct via_standing {
	struct via_drv_ring ring;
	uint16_t nr_chains;
	uint16_t nr_slots;     /* of each chain */
	uint16_t batch_chains; /* IN_ORDER: that the batch being reaped still has */
	uint32_t capacity;     /* writable bytes of each chain */
	uint32_t *room;        /* by id: capacity + 1 of a chain that is with the device, else 0 */
	uint16_t *shown;       /* split: what the available ring holds */
	struct via_fixed_desc *fixed; /* packed: by id and slot */
};

/*
 * Sets up a ring of as many chains as fit, of 'nr_slots' each, all in the driver's hands. 'config' as
 * for via_drv_init(). Returns 0, or a negative errno with the reason in 'err'; -EINVAL if IN_ORDER
 * cannot be kept because the ring is no multiple of a chain. The caller ends it with
 * via_standing_free().
 */
int via_standing_init(struct via_standing *st, const struct via_drv_config *config,
		      uint16_t nr_slots, struct via_error *err);
void via_standing_free(struct via_standing *st); /* accepts a zeroed one */

/* Sets chain 'number' (0 to nr_chains - 1), which was never posted: buffers as of drv_add(). A table
 * takes chains of one slot. All chains have the same writable bytes. */
void via_standing_set(struct via_standing *st, uint32_t number, const struct via_drv_buffer *buf,
		      uint32_t nr_readable, uint32_t nr_writable, enum via_drv_form form);

static via_always_inline void split_standing_post(struct via_standing *st,
						  const struct via_hand *hand, uint32_t n)
{
	struct via_drv_ring *drv = &st->ring;
	const uint32_t at = (uint32_t)drv->avail.idx + drv->added, mask = drv->size - 1u;
	const uint32_t room_of_chain = st->capacity + 1;
	via_le16 *const avail = drv->split.avail->ring;
	uint16_t *const shown = st->shown;
	uint32_t *const room = st->room;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = hand[i].id, slot = (at + i) & mask;

		if (shown[slot] != id) {
			shown[slot] = (uint16_t)id;
			via_le16_store(&avail[slot], (uint16_t)id);
		}
		room[id] = room_of_chain;
	}
}

static via_always_inline uint64_t packed_lap(bool wrap)
{
	return (uint64_t)(wrap ? VIA_DESC_AVAIL : VIA_DESC_USED) << 48;
}

static via_always_inline void packed_standing_post(struct via_standing *st,
						   const struct via_hand *hand, uint32_t n,
						   uint32_t nr_slots)
{
	struct via_drv_ring *drv = &st->ring;
	const uint32_t room_of_chain = st->capacity + 1, size = drv->size;
	struct via_desc_words *const ring = drv->packed.desc;
	const struct via_fixed_desc *const all = st->fixed;
	uint32_t *const room = st->room;
	uint32_t idx = drv->next.idx;
	uint64_t lap = packed_lap(drv->next.wrap);
	bool hold = drv->added_slots == 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct via_fixed_desc *fixed = &all[hand[i].id];

		for (uint32_t k = 0; k < nr_slots; k++) {
			uint64_t tail = fixed[k].tail | lap;

			via_le64_store(&ring[idx].addr, fixed[k].addr);
			if (via_unlikely(hold))
				drv->held_tail = tail;
			else
				via_le64_store(&ring[idx].tail, tail); /* first slot's release */
			hold = false;
			if (++idx == size) {
				idx = 0;
				drv->next.wrap = !drv->next.wrap;
				lap = packed_lap(drv->next.wrap);
			}
		}
		room[hand[i].id] = room_of_chain;
	}
	drv->next.idx = (uint16_t)idx;
	drv->added_slots += n * nr_slots;
}

/* Adds 'n' chains that are in the driver's hands; with IN_ORDER in the order in which they came. Not yet
 * visible. There is room for all chains at any time. */
static via_always_inline void standing_post(struct via_standing *st, const struct via_hand *hand,
					    uint32_t n, enum via_ring_format format)
{
	if (format == VIA_RING_SPLIT)
		split_standing_post(st, hand, n);
	else if (st->nr_slots == 1)
		packed_standing_post(st, hand, n, 1);
	else
		packed_standing_post(st, hand, n, st->nr_slots);
	st->ring.added = (uint16_t)(st->ring.added + n);
}

/* Whether the device may give back chain 'id' with 'len' bytes; takes it. */
static via_always_inline bool standing_take(uint32_t *room, uint32_t size, struct via_hand *hand,
					    uint32_t id, uint32_t len)
{
	if (via_unlikely(id >= size || len >= room[id]))
		return false;
	room[id] = 0;
	*hand = (struct via_hand){ id, len };
	return true;
}

static via_always_inline uint32_t standing_after(const struct via_standing *st, uint32_t id)
{
	id += st->nr_slots;
	return id == (uint32_t)st->nr_chains * st->nr_slots ? 0 : id;
}

/* Takes chains that are named one by one; with IN_ORDER it stops before one that is not the oldest, as
 * that ends a batch. */
static via_always_inline uint32_t split_standing_reap(struct via_standing *st,
						      struct via_hand *hand, uint32_t max,
						      bool in_order)
{
	struct via_drv_ring *drv = &st->ring;
	const struct via_split_used_elem *used = drv->split.used->ring;
	const uint32_t size = drv->size, at = drv->used.idx;
	uint32_t *const room = st->room;
	uint32_t id, len, i, n, oldest = drv->oldest;

	if (!split_drv_look(drv, &id, &len))
		return 0;
	n = via_min_u((uint16_t)(drv->used_seen - at), max);
	for (i = 0; i < n; i++) {
		const struct via_split_used_elem *elem = &used[(at + i) & (size - 1)];

		id = via_le32_load(&elem->id);
		len = via_le32_load(&elem->len);
		if (in_order && via_unlikely(id != oldest))
			break;
		if (!standing_take(room, size, &hand[i], id, len)) {
			via_drv_mark_broken(drv);
			break;
		}
		oldest = standing_after(st, oldest);
	}
	drv->used.idx = (uint16_t)(at + i);
	drv->oldest = (uint16_t)oldest;
	return i;
}

static via_always_inline uint32_t packed_standing_reap(struct via_standing *st,
						       struct via_hand *hand, uint32_t max,
						       uint32_t nr_slots, bool in_order)
{
	struct via_drv_ring *drv = &st->ring;
	const uint32_t n = via_min_u(drv->outstanding, max);
	struct via_drv_ring local = *drv; /* in registers */
	uint32_t *const room = st->room;
	uint32_t id, len, i, oldest = drv->oldest;

	for (i = 0; i < n && packed_drv_look(&local, &id, &len); i++) {
		if (in_order && via_unlikely(id != oldest))
			break;
		if (!standing_take(room, local.size, &hand[i], id, len)) {
			via_drv_mark_broken(drv);
			break;
		}
		packed_drv_advance(&local.used, nr_slots, local.size);
		oldest = standing_after(st, oldest);
	}
	drv->used = local.used;
	drv->oldest = (uint16_t)oldest;
	return i;
}

static via_always_inline uint32_t standing_reap_named(struct via_standing *st,
						      struct via_hand *hand, uint32_t max,
						      bool in_order, enum via_ring_format format)
{
	if (format == VIA_RING_SPLIT)
		return split_standing_reap(st, hand, max, in_order);
	if (st->nr_slots == 1)
		return packed_standing_reap(st, hand, max, 1, in_order);
	return packed_standing_reap(st, hand, max, st->nr_slots, in_order);
}

/*
 * IN_ORDER: what the device names next ends a batch, which begins with the oldest chain (§4). Returns its
 * chains, 0 if there is none.
 */
static via_always_inline uint32_t standing_batch(struct via_standing *st,
						 enum via_ring_format format)
{
	struct via_drv_ring *drv = &st->ring;
	uint32_t id, slots, n;

	if (drv->broken || !(format == VIA_RING_PACKED ? packed_drv_look(drv, &id, &drv->batch_len)
						       : split_drv_look(drv, &id, &drv->batch_len)))
		return 0;
	if (via_unlikely(id >= drv->size || drv->batch_len >= st->room[id])) {
		via_drv_mark_broken(drv);
		return 0;
	}
	slots = id - drv->oldest + st->nr_slots;
	if (id < drv->oldest)
		slots += (uint32_t)st->nr_chains * st->nr_slots;
	n = slots / st->nr_slots;
	if (format == VIA_RING_PACKED) {
		packed_drv_advance(&drv->used, slots, drv->size);
		return n;
	}
	if (via_unlikely((uint16_t)(drv->used_seen - drv->used.idx) < n)) {
		via_drv_mark_broken(drv); /* the batch ends beyond the used index */
		return 0;
	}
	drv->used.idx = (uint16_t)(drv->used.idx + n);
	return n;
}

static via_always_inline uint32_t standing_reap_batch(struct via_standing *st,
						      struct via_hand *hand, uint32_t max,
						      enum via_ring_format format)
{
	struct via_drv_ring *drv = &st->ring;
	uint32_t n, oldest = drv->oldest;

	if (st->batch_chains == 0)
		st->batch_chains = (uint16_t)standing_batch(st, format);
	n = via_min_u(st->batch_chains, max);
	for (uint32_t i = 0; i < n; i++) {
		st->room[oldest] = 0;
		hand[i] = (struct via_hand){ oldest, st->capacity };
		oldest = standing_after(st, oldest);
	}
	drv->oldest = (uint16_t)oldest;
	st->batch_chains = (uint16_t)(st->batch_chains - n);
	if (n > 0 && st->batch_chains == 0)
		hand[n - 1].len = drv->batch_len;
	return n;
}

/* Takes up to 'max' chains back. Returns how many: 0 if there is none, or the device broke a rule; then
 * the ring is broken. There may be more even if it takes fewer than 'max'. */
static via_always_inline uint32_t standing_reap(struct via_standing *st, struct via_hand *hand,
						uint32_t max, enum via_ring_format format)
{
	struct via_drv_ring *drv = &st->ring;
	uint32_t n = 0;

	if (via_unlikely(drv->broken))
		return 0;
	if (!drv->in_order)
		n = standing_reap_named(st, hand, max, false, format);
	else if (st->batch_chains == 0)
		n = standing_reap_named(st, hand, max, true, format);
	if (drv->in_order && n == 0)
		n = standing_reap_batch(st, hand, max, format);
	drv->outstanding = (uint16_t)(drv->outstanding - n);
	return n;
}

#endif
