/* SPDX-License-Identifier: BSD-3-Clause */
/* Of packed.h: chains that are not the usual single descriptor, and batches longer than the memory for
 * one. */
#include "ring/packed.h"

/* The entries of an indirect table, one after the other; of their flags only WRITE counts (VQ-P-10). */
static via_always_inline int packed_walk_table(struct via_walk *w, const struct via_ring *ring,
					       const struct via_desc *indirect)
{
	struct via_table table;
	int ret = chain_open_table(w, ring, indirect, &table);

	if (via_unlikely(ret))
		return ret;
	for (uint32_t i = 0; i < table.n; i++) {
		uint64_t addr, tail;
		struct via_desc desc;

		if (via_unlikely(!chain_table_entry(w, &table, i, &addr, &tail)))
			return VIA_BROKEN_ADDRESS;
		desc = chain_packed_desc(addr, tail);
		ret = chain_add(w, desc.addr, desc.len, desc.flags & VIA_DESC_WRITE);
		if (via_unlikely(ret))
			return ret;
	}
	return 0;
}

/*
 * Walks the chain whose head at 'pos' has the tail word 'tail', already seen to be available. On
 * success '*pos' is behind its last slot and '*id' its buffer id.
 */
static via_always_inline int packed_walk(struct via_walk *w, const struct via_ring *ring,
					 struct via_ring_pos *pos, uint64_t tail, uint16_t *id)
{
	struct via_desc desc =
		chain_packed_desc(via_le64_load(&ring->packed.desc[pos->idx].addr), tail);
	int ret;

	if (desc.flags & VIA_DESC_INDIRECT) {
		*pos = packed_advance(*pos, 1, ring->size);
		*id = desc.link;
		return packed_walk_table(w, ring, &desc);
	}
	for (;;) {
		w->budget--;
		ret = chain_add(w, desc.addr, desc.len, desc.flags & VIA_DESC_WRITE);
		if (via_unlikely(ret))
			return ret;
		*pos = packed_advance(*pos, 1, ring->size);
		if (via_likely(!(desc.flags & VIA_DESC_NEXT)))
			break;
		if (!via_holds(w->budget != 0)) /* VX-26 */
			return VIA_BROKEN_LOOP;
		tail = via_le64_load(&ring->packed.desc[pos->idx].tail);
		desc = chain_packed_desc(via_le64_load(&ring->packed.desc[pos->idx].addr), tail);
		if (via_unlikely((desc.flags & VIA_PACKED_LAP_MASK) !=
				 packed_avail_bits(pos->wrap))) /* VX-25 */
			return VIA_BROKEN_LOWER_SLOT;
		if (via_unlikely(desc.flags & VIA_DESC_INDIRECT))
			return VIA_BROKEN_INDIRECT;
	}
	*id = desc.link;
	return 0;
}

int packed_pop_walk(struct via_vq *vq, const struct via_ring *ring, struct via_chain *chain,
		    struct via_seg *seg, uint32_t max_segs, uint64_t tail)
{
	struct via_walk w = chain_begin(vq, ring, seg, max_segs);
	struct via_ring_pos pos = vq->avail;
	uint16_t id = 0;
	int ret;

	w.budget -= packed_distance(vq->used, pos, ring->size); /* packed_pop() has seen to that */
	ret = packed_walk(&w, ring, &pos, tail, &id);
	if (via_unlikely(ret))
		return ret < 0 ? ret : via_vq_break(vq, (enum via_broken)ret);
	chain_end(chain, &w, id, (uint16_t)packed_distance(vq->avail, pos, ring->size));
	vq->avail = pos;
	return 1;
}

void packed_spill(struct via_vq *vq, const struct via_ring *ring)
{
	struct via_batch *batch = vq->batch;
	struct via_ring_pos pos =
		vq->spilled ? vq->spill
			    : packed_advance(vq->used, batch->entry[0].nr_slots, ring->size);

	position_pending(batch, VIA_POSITION_SPILLED);
	for (uint32_t i = 1; i < vq->nr_batch; i++) {
		struct via_batch_entry entry = batch->entry[i];

		/* Not visible before the first slot, whose release at publication covers this. */
		via_le64_store(&ring->packed.desc[pos.idx].tail,
			       packed_used_tail(entry, packed_used_bits(pos.wrap)));
		pos = packed_advance(pos, entry.nr_slots, ring->size);
	}
	vq->spill = pos;
	vq->spilled = true;
	vq->nr_batch = 1;
}
