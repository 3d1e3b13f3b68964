/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of a device-side queue, of both formats. ring.h says what each does; 'format' is a
 * constant, so that no test of it is left in the code that a caller gets.
 *
 * A burst goes: ring = vq_ring(vq); if it is NULL, nothing; vq_prefetch, vq_pop …; vq_push …;
 * vq_publish; if (vq_wants_call) vq_call.
 */
#ifndef VIA_RING_VQ_H
#define VIA_RING_VQ_H

#include "ring/packed.h"
#include "ring/ring.h"
#include "ring/split.h"

static via_always_inline const struct via_ring *vq_ring(const struct via_vq *vq)
{
	if (via_unlikely(atomic_load_explicit(&vq->broken, memory_order_relaxed)))
		return NULL;
	/* Pairs with the release in via_vq_start() and via_vq_swap(): what it points to is complete. */
	return atomic_load_explicit(&vq->ring, memory_order_acquire);
}

static via_always_inline int vq_pop(struct via_vq *vq, const struct via_ring *ring,
				    struct via_chain *chain, struct via_seg *seg, uint32_t max_segs,
				    enum via_ring_format format)
{
	return format == VIA_RING_PACKED ? packed_pop(vq, ring, chain, seg, max_segs)
					 : split_pop(vq, ring, chain, seg, max_segs);
}

static via_always_inline uint32_t vq_pop_singles(struct via_vq *vq, const struct via_ring *ring,
						 struct via_seg *seg, struct via_batch_entry *entry,
						 uint32_t n, uint32_t spared,
						 enum via_direction direction,
						 enum via_ring_format format)
{
	return format == VIA_RING_PACKED
		       ? packed_pop_singles(vq, ring, seg, entry, n, spared, direction)
		       : split_pop_singles(vq, ring, seg, entry, n, spared, direction);
}

/* Whether all that was seen of the driver's offers is taken, so that the next pop looks for more. A
 * packed ring has no such knowledge: each of its pops looks. */
static via_always_inline bool vq_is_drained(const struct via_vq *vq, enum via_ring_format format)
{
	return format == VIA_RING_SPLIT && vq->avail_seen == vq->avail.idx;
}

/* The position 'n' chains that took 'nr_slots' slots behind 'pos'. */
static via_always_inline struct via_ring_pos vq_ahead(const struct via_ring *ring,
						      struct via_ring_pos pos, uint32_t n,
						      uint32_t nr_slots,
						      enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		return packed_advance(pos, nr_slots, ring->size);
	return (struct via_ring_pos){ .idx = (uint16_t)(pos.idx + n) };
}

static via_always_inline void vq_prefetch(struct via_vq *vq, const struct via_ring *ring,
					  uint32_t n, enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_prefetch(vq, ring, n);
	else
		split_prefetch(vq, ring, n);
}

static via_always_inline void vq_unpop(struct via_vq *vq, struct via_ring_pos pos)
{
	vq->avail = pos;
}

static via_always_inline void vq_push(struct via_vq *vq, const struct via_ring *ring,
				      const struct via_chain *chain, uint32_t len,
				      enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_push(vq, ring, chain->id, len, chain->nr_slots);
	else
		split_push(vq, ring, chain->id, len, 1);
}

static via_always_inline void vq_push_burst(struct via_vq *vq, const struct via_ring *ring,
					    const struct via_batch_entry *entry, uint32_t n,
					    enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_push_burst(vq, ring, entry, n);
	else
		split_push_burst(vq, ring, entry, n);
}

static via_always_inline void vq_push_batch(struct via_vq *vq, const struct via_ring *ring,
					    uint32_t n, uint32_t nr_slots, uint16_t id,
					    enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_push(vq, ring, id, 0, nr_slots);
	else
		split_push(vq, ring, id, 0, n);
}

static via_always_inline void vq_publish(struct via_vq *vq, const struct via_ring *ring,
					 enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_publish(vq, ring);
	else
		split_publish(vq, ring);
}

static via_always_inline bool vq_wants_call(struct via_vq *vq, const struct via_ring *ring,
					    enum via_ring_format format)
{
	uint32_t n = vq->unsignalled;
	bool wants;

	if (n == 0)
		return false;
	/* B6, pairs with the driver's barrier between asking for interrupts and looking for used
	 * chains, B8: it sees what we published, or we see that it asks. */
	via_fence();
	wants = format == VIA_RING_PACKED ? packed_wants_call(vq, ring, n)
					  : split_wants_call(vq, ring, n);
	vq->unsignalled = 0;
	vq->signalled_valid = true;
	return wants;
}

/* The call itself, in vq.c: a system call anyway. */
void vq_call(struct via_vq *vq, const struct via_ring *ring);

static via_always_inline bool vq_arm(struct via_vq *vq, const struct via_ring *ring,
				     enum via_ring_format format)
{
	uint64_t tail;

	if (format == VIA_RING_PACKED)
		packed_ask(vq, ring);
	else
		split_ask(vq, ring);
	if (!vq->armed)
		via_count(&vq->kicks_wanted, 1);
	vq->armed = true;
	/* B7, pairs with the driver's barrier between publishing and asking whether to kick, B5: it
	 * sees that we ask, or we see what it published. */
	via_fence();
	if (format == VIA_RING_PACKED)
		return packed_look(ring, vq->avail, &tail);
	return split_look(vq, ring) > 0;
}

static via_always_inline void vq_disarm(struct via_vq *vq, const struct via_ring *ring,
					enum via_ring_format format)
{
	if (!vq->armed)
		return;
	vq->armed = false;
	if (format == VIA_RING_PACKED)
		packed_unask(ring);
	else
		split_unask(ring);
}

#endif
