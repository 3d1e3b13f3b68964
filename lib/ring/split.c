/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains of a split ring that are not the usual single descriptor; see split.h. */
#include "ring/split.h"

/* Walks the entries of an indirect table by their 'next' fields. Returns as chain_add(). */
static via_always_inline int split_walk_table(struct via_walk *w, const struct via_ring *ring,
					      const struct via_desc *indirect)
{
	struct via_table table;
	struct via_desc desc;
	uint32_t i = 0;
	int ret = chain_open_table(w, ring, indirect, &table);

	if (via_unlikely(ret))
		return ret;
	do {
		uint64_t addr, tail;

		if (via_unlikely(i >= table.n))
			return VIA_BROKEN_NEXT;
		if (via_unlikely(w->budget-- == 0))
			return VIA_BROKEN_LOOP;
		if (via_unlikely(!chain_table_entry(w, &table, i, &addr, &tail)))
			return VIA_BROKEN_ADDRESS;
		desc = chain_split_desc(addr, tail);
		if (via_unlikely(desc.flags & VIA_DESC_INDIRECT)) /* nested: VX-15 */
			return VIA_BROKEN_INDIRECT;
		ret = chain_add(w, desc.addr, desc.len, desc.flags & VIA_DESC_WRITE);
		if (via_unlikely(ret))
			return ret;
		i = desc.link;
	} while (desc.flags & VIA_DESC_NEXT);
	return 0;
}

/* Walks the chain that begins at 'head'; its last descriptor may be an indirect one (VQ-S-03). */
static via_always_inline int split_walk(struct via_walk *w, const struct via_ring *ring,
					uint16_t head)
{
	uint16_t i = head;
	struct via_desc desc;

	for (;;) {
		const struct via_desc_words *words;
		int ret;

		if (!via_holds(i < ring->size))
			return i == head ? VIA_BROKEN_HEAD : VIA_BROKEN_NEXT;
		/* Masked once more for the CPU that guessed the comparison's outcome (Spectre v1). */
		words = &ring->split.desc[i & split_mask(ring)];
		desc = chain_split_desc(via_le64_load(&words->addr), via_le64_load(&words->tail));
		if (via_unlikely(desc.flags & VIA_DESC_INDIRECT))
			return split_walk_table(w, ring, &desc);
		if (!via_holds(w->budget-- != 0))
			return VIA_BROKEN_LOOP;
		ret = chain_add(w, desc.addr, desc.len, desc.flags & VIA_DESC_WRITE);
		if (via_unlikely(ret))
			return ret;
		if (!(desc.flags & VIA_DESC_NEXT))
			return 0;
		i = desc.link;
	}
}

int split_pop_walk(struct via_vq *vq, const struct via_ring *ring, struct via_chain *chain,
		   struct via_seg *seg, uint32_t max_segs, uint16_t head)
{
	struct via_walk w = chain_begin(vq, ring, seg, max_segs);
	int ret = split_walk(&w, ring, head);

	if (via_unlikely(ret))
		return ret < 0 ? ret : via_vq_break(vq, (enum via_broken)ret);
	vq->avail.idx++;
	chain_end(chain, &w, head, 1);
	return 1;
}
