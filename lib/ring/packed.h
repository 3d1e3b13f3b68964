/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed ring, device side (VIRTIO 1.3 §2.8): reached through vq.h.
 *
 * A slot's AVAIL and USED bits say in which lap it was written and by whom; positions carry the lap's
 * wrap bit. What is given back collects in 'vq->batch' and is written at publication: slots in any
 * order, the first one's flags last (VQ-P-06), so that the driver sees the batch at once. Because the
 * batch holds all that is to be written, it is also the redo log of a killed process: position.h has
 * the protocol, and the order of stores in packed_publish() is part of it.
 */
#ifndef VIA_RING_PACKED_H
#define VIA_RING_PACKED_H

#include <string.h>

#include "ring/chain.h"
#include "ring/notify.h"
#include "ring/position.h"
#include "ring/ring.h"

#define VIA_PACKED_LAP_MASK (VIA_DESC_AVAIL | VIA_DESC_USED)

/* Both bits as the driver writes them in a lap with 'wrap', and as the device does (§2.8.1). */
static via_always_inline uint16_t packed_avail_bits(bool wrap)
{
	return wrap ? VIA_DESC_AVAIL : VIA_DESC_USED;
}

static via_always_inline uint16_t packed_used_bits(bool wrap)
{
	return wrap ? VIA_PACKED_LAP_MASK : 0;
}

/* 'n' slots further, at most one lap. */
static via_always_inline struct via_ring_pos packed_advance(struct via_ring_pos pos, uint32_t n,
							    uint16_t size)
{
	uint32_t idx = pos.idx + n;
	bool over = idx >= size;

	return (struct via_ring_pos){
		.idx = (uint16_t)(over ? idx - size : idx),
		.wrap = pos.wrap ^ over,
	};
}

static via_always_inline uint16_t packed_flags(uint64_t tail)
{
	return (uint16_t)(tail >> 48);
}

/* The tail word of a slot that gives back 'entry' in a lap with these bits. */
static via_always_inline uint64_t packed_used_tail(struct via_batch_entry entry, uint16_t lap)
{
	/* 'len' means something where it is not 0: VQ-P-09 */
	const uint64_t flags = lap | (entry.len ? VIA_DESC_WRITE : 0);

	return entry.len | (uint64_t)entry.id << 32 | flags << 48;
}

/* How many slots 'to' is ahead of 'from', both at most a lap apart. More than 'size': they are not. */
static via_always_inline uint32_t packed_distance(struct via_ring_pos from, struct via_ring_pos to,
						  uint16_t size)
{
	return (uint32_t)to.idx - from.idx + (from.wrap != to.wrap ? size : 0);
}

/* Looks at the slot at 'pos': its tail word, if the driver made it available in this lap (VQ-P-03). */
static via_always_inline bool packed_look(const struct via_ring *ring, struct via_ring_pos pos,
					  uint64_t *tail)
{
	/* B2, pairs with the driver's release of the head's flags, B1: the chain's slots are visible. */
	*tail = via_le64_load_acquire(&ring->packed.desc[pos.idx].tail);
	return (packed_flags(*tail) & VIA_PACKED_LAP_MASK) == packed_avail_bits(pos.wrap);
}

/* Takes the chain at the next slot, whose tail word 'tail' says that it is available, whatever its
 * form; the rest of packed_pop(). In packed.c: what is not the usual chain is worth a call. */
int packed_pop_walk(struct via_vq *vq, const struct via_ring *ring, struct via_chain *chain,
		    struct via_seg *seg, uint32_t max_segs, uint64_t tail);

static via_always_inline int packed_pop(struct via_vq *vq, const struct via_ring *ring,
					struct via_chain *chain, struct via_seg *seg,
					uint32_t max_segs)
{
	struct via_ring_pos pos = vq->avail;
	struct via_desc desc;
	uint64_t tail;

	if (!packed_look(ring, pos, &tail))
		return 0;
	/* Only slots that were shown as used are the driver's to offer. Without this bound a driver
	 * that rewrites flags while we pop (VX-28) would have us give back more slots than there are. */
	if (!via_holds(packed_distance(vq->used, pos, ring->size) < ring->size))
		return via_vq_break(vq, VIA_BROKEN_AVAIL_INDEX);
	desc = chain_packed_desc(via_le64_load(&ring->packed.desc[pos.idx].addr), tail);
	if (via_likely(chain_is_single(chain, vq, ring, &desc, seg, max_segs, desc.link))) {
		vq->avail = packed_advance(pos, 1, ring->size);
		return 1;
	}
	return packed_pop_walk(vq, ring, chain, seg, max_segs, tail);
}

static via_always_inline uint32_t packed_pop_singles(struct via_vq *vq, const struct via_ring *ring,
						     struct via_seg *seg,
						     struct via_batch_entry *entry, uint32_t n,
						     uint32_t spared, enum via_direction direction)
{
	const struct via_near near = chain_near(ring->mem, &vq->hint);
	const struct via_desc_words *table = ring->packed.desc;
	const uint16_t size = ring->size;
	uint16_t bits = packed_avail_bits(vq->avail.wrap);
	uint32_t taken = packed_distance(vq->used, vq->avail, size), i, idx = vq->avail.idx;

	n = via_min_u(n, taken < size ? size - taken : 0); /* VX-28, as in packed_pop() */
	for (i = 0; i < n; i++) {
		/* B2, as in packed_look() */
		uint64_t tail = via_le64_load_acquire(&table[idx].tail);
		struct via_desc desc = chain_packed_desc(via_le64_load(&table[idx].addr), tail);
		uint8_t *host = chain_near_single(&near, &desc, direction);

		if (via_unlikely((desc.flags & VIA_PACKED_LAP_MASK) != bits || !host))
			break;
		seg[i] = (struct via_seg){ host, desc.len };
		entry[i] = (struct via_batch_entry){ .id = desc.link, .nr_slots = 1 };
		chain_prefetch(host, desc.len, spared, direction);
		if (via_unlikely(++idx == size)) {
			idx = 0;
			bits ^= VIA_PACKED_LAP_MASK;
		}
	}
	vq->avail = (struct via_ring_pos){ (uint16_t)idx, bits == packed_avail_bits(true) };
	return i;
}

static via_always_inline void packed_prefetch(const struct via_vq *vq, const struct via_ring *ring,
					      uint32_t n)
{
	uint32_t per_line = VIA_CACHE_LINE / sizeof(struct via_desc_words);
	uint32_t idx = vq->avail.idx;

	for (uint32_t i = 0; i < n && i < ring->size; i += per_line, idx += per_line) {
		if (idx >= ring->size)
			idx -= ring->size;
		via_prefetch(&ring->packed.desc[idx]);
	}
}

/* Makes room in a full batch: all but its first entry go into the ring, invisible behind it. */
via_cold void packed_spill(struct via_vq *vq, const struct via_ring *ring);

static via_always_inline void packed_push(struct via_vq *vq, const struct via_ring *ring,
					  uint16_t id, uint32_t len, uint32_t nr_slots)
{
	if (via_unlikely(vq->nr_batch == VIA_BATCH_ENTRIES))
		packed_spill(vq, ring);
	vq->batch->entry[vq->nr_batch++] = (struct via_batch_entry){
		.len = len,
		.id = id,
		.nr_slots = (uint16_t)nr_slots,
	};
	vq->pushed += nr_slots;
}

static via_always_inline void packed_push_burst(struct via_vq *vq, const struct via_ring *ring,
						const struct via_batch_entry *entry, uint32_t n)
{
	while (n > 0) {
		uint32_t part = via_min_u(n, VIA_BATCH_ENTRIES - vq->nr_batch), slots = 0;

		memcpy(vq->batch->entry + vq->nr_batch, entry, part * sizeof(*entry));
		for (uint32_t i = 0; i < part; i++)
			slots += entry[i].nr_slots;
		vq->nr_batch = (uint16_t)(vq->nr_batch + part);
		vq->pushed += slots;
		entry += part;
		n -= part;
		if (via_unlikely(n > 0))
			packed_spill(vq, ring);
	}
}

/*
 * Writes the used descriptors of 'batch': those behind the first one from slot '*pos' on, then the
 * first one's at 'first', which shows them all. '*pos' is then behind the last, '*last' its slot.
 */
static via_always_inline void
packed_write_batch(const struct via_ring *ring, const struct via_batch *batch, uint32_t n,
		   struct via_ring_pos first, struct via_ring_pos *pos, struct via_ring_pos *last)
{
	struct via_desc_words *desc = ring->packed.desc;
	const uint32_t size = ring->size;
	uint32_t idx = pos->idx, at = last->idx;
	uint16_t lap = packed_used_bits(pos->wrap), at_lap = packed_used_bits(last->wrap);

	for (uint32_t i = 1; i < n; i++) {
		struct via_batch_entry entry = batch->entry[i];

		via_le64_store(&desc[idx].tail, packed_used_tail(entry, lap));
		at = idx;
		at_lap = lap;
		idx += entry.nr_slots;
		if (via_unlikely(idx >= size)) {
			idx -= size;
			lap ^= VIA_PACKED_LAP_MASK;
		}
	}
	*pos = (struct via_ring_pos){ (uint16_t)idx, lap != 0 };
	*last = (struct via_ring_pos){ (uint16_t)at, at_lap != 0 };
	/* B3, pairs with the driver's acquire of the first slot's flags, B4: the slots behind it and
	 * all payload come before. */
	via_le64_store_release(&desc[first.idx].tail,
			       packed_used_tail(batch->entry[0], packed_used_bits(first.wrap)));
}

static via_always_inline void packed_publish(struct via_vq *vq, const struct via_ring *ring)
{
	struct via_batch *batch = vq->batch;
	struct via_ring_pos last = vq->used, pos;

	if (vq->nr_batch == 0)
		return;
	if (via_likely(!vq->spilled)) {
		pos = packed_advance(last, batch->entry[0].nr_slots, ring->size);
		position_pending(batch, vq->nr_batch);
	} else {
		pos = vq->spill;
	}
	packed_write_batch(ring, batch, vq->nr_batch, vq->used, &pos, &last);
	position_done(batch, pos, last);

	vq->used = pos;
	vq->unsignalled += vq->pushed;
	vq->pushed = 0;
	vq->nr_batch = 0;
	vq->spilled = false;
}

static via_always_inline bool packed_wants_call(const struct via_vq *vq,
						const struct via_ring *ring, uint32_t n)
{
	return notify_packed_area_wants(ring->packed.driver, ring->event_idx, !vq->signalled_valid,
					vq->used, n, ring->size);
}

static via_always_inline void packed_ask(struct via_vq *vq, const struct via_ring *ring)
{
	notify_packed_ask(ring->packed.device, ring->event_idx, vq->avail);
}

static via_always_inline void packed_unask(const struct via_ring *ring)
{
	via_le16_store(&ring->packed.device->flags, VIA_EVENT_DISABLE);
}

#endif
