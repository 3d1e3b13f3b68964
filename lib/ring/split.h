/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split ring, device side (VIRTIO 1.3 §2.7): reached through vq.h.
 *
 * Private indices are the only truth: used.idx in guest memory is written, never read, while the queue
 * runs (VX-36). 'vq->used' is what the driver has been shown; the elements of 'vq->pushed' further
 * chains are in the ring behind it and become visible by one store of the index (VQ-S-12).
 */
#ifndef VIA_RING_SPLIT_H
#define VIA_RING_SPLIT_H

#include "ring/chain.h"
#include "ring/notify.h"
#include "ring/ring.h"

/* The event indices follow the arrays (§2.7.6, §2.7.8). */
static via_always_inline const via_le16 *split_used_event(const struct via_ring *ring)
{
	return &ring->split.avail->ring[ring->size];
}

static via_always_inline via_le16 *split_avail_event(const struct via_ring *ring)
{
	return (via_le16 *)(void *)&ring->split.used->ring[ring->size];
}

static via_always_inline uint16_t split_mask(const struct via_ring *ring)
{
	return (uint16_t)(ring->size - 1);
}

/* Looks at the available index. Returns 1 if there is a chain to take, 0 if not, or the negative
 * errno of the broken queue. */
static via_always_inline int split_look(struct via_vq *vq, const struct via_ring *ring)
{
	/* B2, pairs with the driver's release of the index, B1: the ring entries and descriptors that
	 * it covers are visible after this. */
	uint16_t seen = via_le16_load_acquire(&ring->split.avail->idx);
	uint16_t nr = (uint16_t)(seen - vq->avail.idx);
	/* Those that are taken and not yet shown as used are not the driver's to offer again. */
	uint16_t taken = (uint16_t)(vq->avail.idx - vq->used.idx);

	if (!via_holds(nr <= ring->size - taken)) /* VX-01; not kept: nobody goes on with it */
		return via_vq_break(vq, VIA_BROKEN_AVAIL_INDEX);
	vq->avail_seen = seen;
	return nr != 0;
}

/* Takes the chain at 'head', whatever its form; the rest of split_pop(). In split.c: what is not the
 * usual chain is long enough to be worth a call. */
int split_pop_walk(struct via_vq *vq, const struct via_ring *ring, struct via_chain *chain,
		   struct via_seg *seg, uint32_t max_segs, uint16_t head);

static via_always_inline int split_pop(struct via_vq *vq, const struct via_ring *ring,
				       struct via_chain *chain, struct via_seg *seg,
				       uint32_t max_segs)
{
	uint16_t head;

	if (vq->avail_seen == vq->avail.idx) {
		int ret = split_look(vq, ring);

		if (ret <= 0)
			return ret;
	}
	head = via_le16_load(&ring->split.avail->ring[vq->avail.idx & split_mask(ring)]);
	if (via_holds(head < ring->size)) {
		/* Masked once more for the CPU that guessed the comparison's outcome (Spectre v1). */
		const struct via_desc_words *words = &ring->split.desc[head & split_mask(ring)];
		struct via_desc desc =
			chain_split_desc(via_le64_load(&words->addr), via_le64_load(&words->tail));

		if (via_likely(chain_is_single(chain, vq, ring, &desc, seg, max_segs, head))) {
			vq->avail.idx++;
			return 1;
		}
	}
	return split_pop_walk(vq, ring, chain, seg, max_segs, head);
}

static via_always_inline uint32_t split_pop_singles(struct via_vq *vq, const struct via_ring *ring,
						    struct via_seg *seg,
						    struct via_batch_entry *entry, uint32_t n,
						    uint32_t spared, enum via_direction direction)
{
	const struct via_near near = chain_near(ring->mem, &vq->hint);
	const struct via_desc_words *table = ring->split.desc;
	const via_le16 *heads = ring->split.avail->ring;
	const uint16_t mask = split_mask(ring);
	uint16_t idx = vq->avail.idx;
	uint32_t i;

	n = via_min_u(n, (uint16_t)(vq->avail_seen - idx));
	for (i = 0; i < n; i++, idx++) {
		uint16_t head = via_le16_load(&heads[idx & mask]);
		const struct via_desc_words *words = &table[head & mask];
		struct via_desc desc =
			chain_split_desc(via_le64_load(&words->addr), via_le64_load(&words->tail));
		uint8_t *host = chain_near_single(&near, &desc, direction);

		if (!via_holds(head <= mask) || via_unlikely(!host))
			break;
		seg[i] = (struct via_seg){ host, desc.len };
		entry[i] = (struct via_batch_entry){ .id = head, .nr_slots = 1 };
		chain_prefetch(host, desc.len, spared, direction);
	}
	vq->avail.idx = idx;
	return i;
}

/* Fetches the descriptors of the next heads; without work in sight it looks for some first. */
static via_always_inline void split_prefetch(struct via_vq *vq, const struct via_ring *ring,
					     uint32_t n)
{
	const uint16_t mask = split_mask(ring);
	uint16_t i = vq->avail.idx;
	uint16_t nr;

	if (vq->avail_seen == i && split_look(vq, ring) <= 0)
		return;
	nr = (uint16_t)via_min_u(n, (uint16_t)(vq->avail_seen - i));
	for (; nr > 0; nr--, i++) {
		uint16_t head = via_le16_load(&ring->split.avail->ring[i & mask]);

		via_prefetch(&ring->split.desc[head & mask]);
	}
}

/* Writes the used element of 'n' chains, the last of which is 'id', at the slot of the first (§4). */
static via_always_inline void split_push(struct via_vq *vq, const struct via_ring *ring,
					 uint16_t id, uint32_t len, uint32_t n)
{
	uint16_t idx = (uint16_t)(vq->used.idx + vq->pushed);
	struct via_split_used_elem *elem = &ring->split.used->ring[idx & split_mask(ring)];

	via_le32_store(&elem->id, id);
	via_le32_store(&elem->len, len);
	vq->pushed += n;
}

static via_always_inline void split_push_burst(struct via_vq *vq, const struct via_ring *ring,
					       const struct via_batch_entry *entry, uint32_t n)
{
	struct via_split_used_elem *used = ring->split.used->ring;
	const uint16_t mask = split_mask(ring);
	uint16_t idx = (uint16_t)(vq->used.idx + vq->pushed);

	for (uint32_t i = 0; i < n; i++, idx++) {
		via_le32_store(&used[idx & mask].id, entry[i].id);
		via_le32_store(&used[idx & mask].len, entry[i].len);
	}
	vq->pushed += n;
}

static via_always_inline void split_publish(struct via_vq *vq, const struct via_ring *ring)
{
	if (vq->pushed == 0)
		return;
	vq->used.idx = (uint16_t)(vq->used.idx + vq->pushed);
	vq->unsignalled += vq->pushed;
	vq->pushed = 0;
	/* B3, pairs with the driver's acquire of the index, B4: elements and payload come before. */
	via_le16_store_release(&ring->split.used->idx, vq->used.idx);
}

/* All available chains have been used: the moment of the legacy NOTIFY_ON_EMPTY. */
static inline bool split_is_empty(const struct via_vq *vq, const struct via_ring *ring)
{
	return via_le16_load(&ring->split.avail->idx) == vq->used.idx;
}

/* The caller's full barrier came before. 'n' elements were published since the last decision. */
static via_always_inline bool split_wants_call(struct via_vq *vq, const struct via_ring *ring,
					       uint32_t n)
{
	if (via_unlikely(via_has(ring->features, VIRTIO_F_NOTIFY_ON_EMPTY)) &&
	    split_is_empty(vq, ring))
		return true;
	if (!ring->event_idx)
		return !(via_le16_load(&ring->split.avail->flags) & VIA_SPLIT_NO_NOTIFY);
	return !vq->signalled_valid ||
	       notify_split_wants(via_le16_load(split_used_event(ring)), vq->used.idx, n);
}

static via_always_inline void split_ask(struct via_vq *vq, const struct via_ring *ring)
{
	if (ring->event_idx)
		via_le16_store(split_avail_event(ring), vq->avail.idx);
	else
		via_le16_store(&ring->split.used->flags, 0);
}

/* With EVENT_IDX the index left behind suppresses: one needless kick in 65,536 (§5). */
static via_always_inline void split_unask(const struct via_ring *ring)
{
	if (!ring->event_idx)
		via_le16_store(&ring->split.used->flags, VIA_SPLIT_NO_NOTIFY);
}

#endif
