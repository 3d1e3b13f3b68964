/* SPDX-License-Identifier: BSD-3-Clause */
/* The cold path of packed.h: a batch that is longer than the memory for one. */
#include "ring/packed.h"

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
		via_le64_store(&ring->packed.desc[pos.idx].tail, packed_used_tail(entry, pos.wrap));
		pos = packed_advance(pos, entry.nr_slots, ring->size);
	}
	vq->spill = pos;
	vq->spilled = true;
	vq->nr_batch = 1;
}
