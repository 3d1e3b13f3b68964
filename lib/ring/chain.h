/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to checked host segments: what split, packed and indirect have in common.
 *
 * A walk collects the segments of one chain. Each descriptor is copied once; the copy is checked and
 * used (VQ-C-16, R9). A walk is bounded by the ring's size, by the caller's room for segments and by
 * a cap on bytes, each of them independent of what the descriptors say (R10). It lives in locals of
 * the popping function, so that a compiler can keep it in registers.
 *
 * Internal to lib/ring.
 */
#ifndef VIA_RING_CHAIN_H
#define VIA_RING_CHAIN_H

#include <errno.h>

#include "base/check.h"
#include "ring/ring.h"

/* A descriptor, copied. 'link' is 'next' in a split ring, the buffer id in a packed one. */
struct via_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t link;
};

static via_always_inline struct via_desc chain_split_desc(uint64_t addr, uint64_t tail)
{
	return (struct via_desc){
		.addr = addr,
		.len = (uint32_t)tail,
		.flags = (uint16_t)(tail >> 32),
		.link = (uint16_t)(tail >> 48),
	};
}

static via_always_inline struct via_desc chain_packed_desc(uint64_t addr, uint64_t tail)
{
	return (struct via_desc){
		.addr = addr,
		.len = (uint32_t)tail,
		.link = (uint16_t)(tail >> 32),
		.flags = (uint16_t)(tail >> 48),
	};
}

/* 'idx' where it is below 'n', else 0, also while the CPU still guesses the outcome of the comparison
 * that came before: a table's index is guest data (Spectre v1). The compiler must not see through. */
static via_always_inline uint32_t chain_clamp(uint32_t idx, uint32_t n)
{
	uint32_t below = idx - n; /* "negative" if below; both are under 2^16 */

	__asm__("" : "+r"(below));
	return idx & (uint32_t)((int32_t)below >> 31);
}

/* The region that answered last, copied: loops keep it in registers. */
struct via_near {
	uint64_t gpa, size;
	uint8_t *host;
};

static via_always_inline struct via_near chain_near(const struct via_mem *mem,
						    const struct via_mem_hint *hint)
{
	const struct via_region *r;

	if (via_unlikely(hint->region >= mem->nr_regions))
		return (struct via_near){ 0 };
	r = &mem->region[hint->region];
	return (struct via_near){ .gpa = r->gpa, .size = r->size, .host = r->host };
}

/* A chain being collected. */
struct via_walk {
	const struct via_mem *mem;
	struct via_mem_hint *hint;
	struct via_near near;
	struct via_seg *seg;
	uint32_t max_segs, nr_segs;
	uint32_t nr_empty;     /* descriptors that gave no segment */
	uint32_t nr_readable;  /* segments; all of nr_segs until a writable one comes */
	uint32_t budget;       /* descriptors that may still come */
	uint64_t readable_len; /* bytes */
	uint64_t total_len;    /* bytes */
};

static via_always_inline struct via_walk chain_begin(struct via_vq *vq, const struct via_ring *ring,
						     struct via_seg *seg, uint32_t max_segs)
{
	return (struct via_walk){
		.mem = ring->mem,
		.hint = &vq->hint,
		.near = chain_near(ring->mem, &vq->hint),
		.seg = seg,
		.max_segs = max_segs,
		.budget = ring->size,
	};
}

/* via_mem_translate(), first in the region that answered last. */
static via_always_inline uint8_t *chain_translate(struct via_walk *w, uint64_t gpa,
						  uint64_t *contiguous)
{
	uint64_t offset = gpa - w->near.gpa, found; /* wraps to a huge number below the region */
	uint8_t *host;

	if (via_likely(offset < w->near.size)) {
		*contiguous = w->near.size - offset;
		return w->near.host + offset;
	}
	host = via_mem_search(w->mem, w->hint, gpa, &found);
	w->near = chain_near(w->mem, w->hint);
	*contiguous = found;
	return host;
}

/* Why a walk ended early: a reason to break the queue (positive), or -ENOBUFS. */
static via_always_inline int chain_no_room(const struct via_walk *w)
{
	return w->max_segs < VIA_CHAIN_MAX_SEGS ? -ENOBUFS : VIA_BROKEN_SEGMENTS;
}

static via_always_inline bool chain_has_room(const struct via_walk *w)
{
	return w->nr_segs + w->nr_empty < w->max_segs;
}

/* An empty buffer contributes nothing (VX-06) but takes room all the same: room is what the work of a
 * walk is bounded by, where it is less than a ring (R10, R18). */
static via_always_inline int chain_add_empty(struct via_walk *w)
{
	if (via_unlikely(!chain_has_room(w)))
		return chain_no_room(w);
	w->nr_empty++;
	return 0;
}

/*
 * Adds a copied descriptor's buffer, piece by piece where it crosses regions (VX-09). Returns 0,
 * -ENOBUFS, or the reason for which the queue is to be broken.
 */
static via_always_inline int chain_add(struct via_walk *w, uint64_t gpa, uint32_t len,
				       bool writable)
{
	if (via_unlikely(len == 0))
		return chain_add_empty(w);
	if (!writable && !via_holds(w->nr_segs == w->nr_readable))
		return VIA_BROKEN_ORDER;
	w->total_len += len;
	if (!via_holds(w->total_len <= UINT32_MAX))
		return VIA_BROKEN_LENGTH;
	if (!writable)
		w->readable_len = w->total_len;

	for (;;) {
		uint64_t contiguous;
		uint8_t *host = chain_translate(w, gpa, &contiguous);

		if (!via_holds(host))
			return VIA_BROKEN_ADDRESS;
		if (!via_holds(chain_has_room(w)))
			return chain_no_room(w);
		w->seg[w->nr_segs].base = host;
		w->nr_readable += !writable;
		if (via_likely(len <= contiguous)) {
			w->seg[w->nr_segs++].len = len;
			return 0;
		}
		w->seg[w->nr_segs++].len = (uint32_t)contiguous;
		len -= (uint32_t)contiguous;
		gpa += contiguous;
		if (gpa == 0)
			return VIA_BROKEN_ADDRESS; /* 2^64 is the end, not the beginning: VX-07 */
	}
}

static via_always_inline void chain_end(struct via_chain *chain, const struct via_walk *w,
					uint16_t id, uint16_t nr_slots)
{
	static_assert(VIA_CHAIN_MAX_SEGS <= UINT16_MAX, "counts of segments are 16 bits");

	*chain = (struct via_chain){
		.seg = w->seg,
		.readable_len = (uint32_t)w->readable_len,
		.writable_len = (uint32_t)(w->total_len - w->readable_len),
		.nr_readable = (uint16_t)w->nr_readable,
		.nr_writable = (uint16_t)(w->nr_segs - w->nr_readable),
		.id = id,
		.nr_slots = nr_slots,
		.nr_empty = (uint16_t)w->nr_empty,
	};
}

/* Where the buffer of 'desc' lies, if it is a chain by itself, of that direction, not empty, and all in
 * 'near'; else NULL: vq_pop() is to judge it. */
static via_always_inline uint8_t *chain_near_single(const struct via_near *near,
						    const struct via_desc *desc,
						    enum via_direction direction)
{
	const uint16_t flags = VIA_DESC_NEXT | VIA_DESC_WRITE | VIA_DESC_INDIRECT;
	uint64_t offset = desc->addr - near->gpa; /* wraps to a huge number below the region */

	if (via_unlikely((desc->flags & flags) != (direction == VIA_WRITABLE ? VIA_DESC_WRITE : 0)))
		return NULL;
	if (!via_holds(offset < near->size && (uint64_t)desc->len - 1 < near->size - offset))
		return NULL;
	return near->host + offset;
}

/*
 * Starts loading the beginning of a buffer of 'len' bytes that is read or written soon: a header and a small
 * frame. The first 'spared' bytes (a constant) will not be read, or not be written but only looked at: a line
 * that has nothing but these is left to the driver.
 */
static via_always_inline void chain_prefetch(const uint8_t *host, uint32_t len, uint32_t spared,
					     enum via_direction direction)
{
	if (direction == VIA_WRITABLE && spared == 0) {
		via_prefetch_write(host);
		via_prefetch_write(host + VIA_CACHE_LINE);
	} else if (direction == VIA_WRITABLE) {
		via_prefetch(host);
		via_prefetch_write(host + spared);
	} else if (spared == 0) {
		via_prefetch(host);
		via_prefetch(host + VIA_CACHE_LINE);
	} else {
		via_prefetch(host + spared);
		via_prefetch(host + via_min_u(spared + VIA_CACHE_LINE, len - 1));
	}
}

/*
 * The usual chain, without a walk: one descriptor, neither empty nor cut by regions. Fills 'chain' and
 * '*seg' and returns true. Otherwise nothing was decided, and the chain is walked from its head anew,
 * on copies of its own.
 */
static via_always_inline bool chain_is_single(struct via_chain *chain, struct via_vq *vq,
					      const struct via_ring *ring,
					      const struct via_desc *desc, struct via_seg *seg,
					      uint32_t max_segs, uint16_t id)
{
	uint64_t contiguous;
	uint8_t *host;
	bool writable = desc->flags & VIA_DESC_WRITE;

	if (via_unlikely(desc->flags & (VIA_DESC_NEXT | VIA_DESC_INDIRECT) || max_segs == 0))
		return false;
	host = via_mem_translate(ring->mem, &vq->hint, desc->addr, &contiguous);
	if (!via_holds(host && (uint64_t)desc->len - 1 < contiguous))
		return false;
	*seg = (struct via_seg){ host, desc->len };
	*chain = (struct via_chain){
		.seg = seg,
		.readable_len = writable ? 0 : desc->len,
		.writable_len = writable ? desc->len : 0,
		.nr_readable = !writable,
		.nr_writable = writable,
		.id = id,
		.nr_slots = 1,
	};
	return true;
}

/* ---- indirect tables ---- */

/* A table of 'n' descriptors at 'gpa'. 'words' is where it lies here, NULL where it is cut by regions
 * or not aligned for us: both are legal (VX-18), and then its entries are copied byte by byte. */
struct via_table {
	uint64_t gpa;
	const struct via_desc_words *words;
	uint32_t n;
};

/* Copies the 16 bytes of an entry at 'gpa', wherever they lie. False where they lie nowhere. */
via_cold bool chain_copy_entry(const struct via_mem *mem, struct via_mem_hint *hint, uint64_t gpa,
			       uint64_t *addr, uint64_t *tail);

/* Finds the table that the descriptor 'desc' points to. Its WRITE flag means nothing (VQ-S-02,
 * VQ-P-10). Returns 0 or the reason to break the queue. */
static via_always_inline int chain_open_table(struct via_walk *w, const struct via_ring *ring,
					      const struct via_desc *desc, struct via_table *table)
{
	uint64_t contiguous;
	uint8_t *host;

	if (!ring->indirect || (desc->flags & VIA_DESC_NEXT)) /* VX-13, VX-14 */
		return VIA_BROKEN_INDIRECT;
	if (desc->len == 0 || desc->len % sizeof(struct via_desc_words)) /* VX-16 */
		return VIA_BROKEN_INDIRECT;
	table->gpa = desc->addr;
	table->n = desc->len / (uint32_t)sizeof(struct via_desc_words);
	if (table->n > ring->size) /* VX-17 */
		return VIA_BROKEN_INDIRECT;

	/* Where there is no memory, nothing of it is contiguous, and copying the first entry fails. */
	host = chain_translate(w, desc->addr, &contiguous);
	table->words = NULL;
	if (via_likely(contiguous >= desc->len &&
		       (uintptr_t)host % _Alignof(struct via_desc_words) == 0))
		table->words = (const struct via_desc_words *)(const void *)host;
	return 0;
}

/* Copies entry 'idx', which is below 'n', once. False if it does not lie in memory. */
static via_always_inline bool chain_table_entry(const struct via_walk *w,
						const struct via_table *table, uint32_t idx,
						uint64_t *addr, uint64_t *tail)
{
	uint64_t gpa;

	if (via_likely(table->words)) {
		const struct via_desc_words *words = &table->words[chain_clamp(idx, table->n)];

		/* The head's acquire (B2) also covers the table, written before it was offered. */
		*addr = via_le64_load(&words->addr);
		*tail = via_le64_load(&words->tail);
		return true;
	}
	gpa = table->gpa + idx * sizeof(struct via_desc_words);
	return gpa >= table->gpa && chain_copy_entry(w->mem, w->hint, gpa, addr, tail);
}

#endif
