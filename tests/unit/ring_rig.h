/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device-side ring for tests of lib/ring, driven by hand: guest memory whose regions lie between
 * pages that cannot be touched, ring parts that end where such a page begins, and a driver that writes
 * descriptors one by one, right or wrong. It knows the layouts by itself, on purpose.
 */
#ifndef TEST_RING_RIG_H
#define TEST_RING_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring/vq.h"
#include "tests/test.h"

#define PAGE        4096u
#define RIG_REGIONS 64
#define RIG_SEGS    256
#define RIG_GPA     UINT64_C(0x10000) /* of the first region that rig_open() makes */
#define RIG_SIZE    (16 * PAGE)

/* Memory of 'size' bytes that ends (at most 'align' - 1 bytes later) where a guard page begins. */
static inline void *guarded_alloc(size_t size, size_t align)
{
	size_t pages = (size + align + PAGE - 1) / PAGE + 2;
	uint8_t *base = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(base, MAP_FAILED);
	assert_int_equal(mprotect(base + PAGE, (pages - 2) * PAGE, PROT_READ | PROT_WRITE), 0);
	return base + (pages - 1) * PAGE - (size + align - 1) / align * align;
}

static inline void guarded_free(void *start, size_t size, size_t align)
{
	size_t pages = (size + align + PAGE - 1) / PAGE + 2;
	uint8_t *end = (uint8_t *)start + (size + align - 1) / align * align;

	assert_int_equal(munmap(end + PAGE - pages * PAGE, pages * PAGE), 0);
}

struct rig {
	enum via_ring_format format;
	uint16_t size;
	struct via_mem *mem;
	struct via_ring ring;
	struct via_vq vq;
	struct via_ring_sizes sizes;
	uint8_t *part[3]; /* descriptors, driver's, device's */
	struct via_seg seg[RIG_SEGS];
	struct via_chain chain;
};

/* Adds a region behind those that are there. */
static inline uint8_t *rig_region(struct rig *rig, uint64_t gpa, uint64_t size)
{
	struct via_region *r = &rig->mem->region[rig->mem->nr_regions++];

	assert_true(rig->mem->nr_regions <= RIG_REGIONS);
	*r = (struct via_region){ .gpa = gpa, .size = size, .host = guarded_alloc(size, 1) };
	return r->host;
}

static inline struct via_ring_pos rig_start_pos(enum via_ring_format format)
{
	return (struct via_ring_pos){ .wrap = format == VIA_RING_PACKED };
}

/* A ring without regions, running from 'pos'. */
static inline struct rig *rig_open_bare(enum via_ring_format format, uint16_t size,
					struct via_ring_pos pos)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	uint64_t sizes[3];

	rig->format = format;
	rig->size = size;
	rig->mem = calloc(1, sizeof(*rig->mem) + RIG_REGIONS * sizeof(struct via_region));
	rig->sizes = via_ring_sizes(format, size);
	sizes[0] = rig->sizes.desc;
	sizes[1] = rig->sizes.avail;
	sizes[2] = rig->sizes.used;
	for (int i = 0; i < 3; i++)
		rig->part[i] = guarded_alloc(sizes[i], i ? 4 : 16);
	rig->ring = (struct via_ring){
		.mem = rig->mem,
		.format = format,
		.size = size,
		.indirect = true,
		.kick_fd = -1,
		.call_fd = -1,
	};
	if (format == VIA_RING_PACKED) {
		rig->ring.packed.desc = (void *)rig->part[0];
		rig->ring.packed.driver = (void *)rig->part[1];
		rig->ring.packed.device = (void *)rig->part[2];
	} else {
		rig->ring.split.desc = (void *)rig->part[0];
		rig->ring.split.avail = (void *)rig->part[1];
		rig->ring.split.used = (void *)rig->part[2];
	}
	via_vq_start(&rig->vq, &rig->ring, pos, pos);
	return rig;
}

/* The usual one: one region of RIG_SIZE bytes at RIG_GPA, a fresh ring. */
static inline struct rig *rig_open(enum via_ring_format format, uint16_t size)
{
	struct rig *rig = rig_open_bare(format, size, rig_start_pos(format));

	rig_region(rig, RIG_GPA, RIG_SIZE);
	return rig;
}

static inline void rig_close(struct rig *rig)
{
	via_vq_stop(&rig->vq);
	for (uint32_t i = 0; i < rig->mem->nr_regions; i++)
		guarded_free(rig->mem->region[i].host, rig->mem->region[i].size, 1);
	guarded_free(rig->part[0], rig->sizes.desc, 16);
	guarded_free(rig->part[1], rig->sizes.avail, 4);
	guarded_free(rig->part[2], rig->sizes.used, 4);
	free(rig->mem);
	free(rig);
}

static inline uint8_t *rig_host(struct rig *rig, uint64_t gpa)
{
	struct via_mem_hint hint = { 0 };
	uint64_t contiguous;

	return via_mem_translate(rig->mem, &hint, gpa, &contiguous);
}

/* ---- the operations, for either format ---- */

static inline int rig_pop_into(struct rig *rig, uint32_t max_segs)
{
	return rig->format == VIA_RING_PACKED ? vq_pop(&rig->vq, &rig->ring, &rig->chain, rig->seg,
						       max_segs, VIA_RING_PACKED)
					      : vq_pop(&rig->vq, &rig->ring, &rig->chain, rig->seg,
						       max_segs, VIA_RING_SPLIT);
}

static inline int rig_pop(struct rig *rig)
{
	return rig_pop_into(rig, RIG_SEGS);
}

static inline void rig_push(struct rig *rig, const struct via_chain *chain, uint32_t len)
{
	vq_push(&rig->vq, &rig->ring, chain, len, rig->format);
}

static inline void rig_publish(struct rig *rig)
{
	vq_publish(&rig->vq, &rig->ring, rig->format);
}

/* Expects that the next pop breaks the queue with 'why' and writes nothing. */
static inline void rig_expect_broken(struct rig *rig, enum via_broken why)
{
	uint8_t *before = malloc(rig->sizes.used + rig->sizes.desc);

	memcpy(before, rig->part[2], rig->sizes.used);
	memcpy(before + rig->sizes.used, rig->part[0], rig->sizes.desc);
	assert_true(rig_pop(rig) < 0);
	assert_string_equal(via_broken_text(atomic_load(&rig->vq.broken)), via_broken_text(why));
	assert_null(vq_ring(&rig->vq));
	assert_true(rig_pop(rig) < 0);
	rig_publish(rig);
	assert_memory_equal(before, rig->part[2], rig->sizes.used);
	assert_memory_equal(before + rig->sizes.used, rig->part[0], rig->sizes.desc);
	free(before);
}

/* ---- little-endian words in memory, by byte offset ---- */

static inline void put16(void *at, uint16_t value)
{
	memcpy(at, &(uint16_t){ htole16(value) }, 2);
}

static inline uint16_t get16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, 2);
	return le16toh(value);
}

static inline uint32_t get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return le32toh(value);
}

/* A descriptor as it is written down in a test; 'x' is 'next' (split) or the id (packed). */
struct rig_desc {
	uint64_t addr;
	uint32_t len, flags, x;
};

static inline void put_desc(enum via_ring_format format, void *at, struct rig_desc d)
{
	bool packed = format == VIA_RING_PACKED;

	memcpy(at, &(uint64_t){ htole64(d.addr) }, 8);
	memcpy((uint8_t *)at + 8, &(uint32_t){ htole32(d.len) }, 4);
	put16((uint8_t *)at + 12, (uint16_t)(packed ? d.x : d.flags));
	put16((uint8_t *)at + 14, (uint16_t)(packed ? d.flags : d.x));
}

/* Writes a table of 'n' descriptors into guest memory at 'gpa', wherever its bytes lie. */
static inline void put_table(struct rig *rig, uint64_t gpa, const struct rig_desc *d, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t bytes[16];

		put_desc(rig->format, bytes, d[i]);
		for (uint32_t k = 0; k < 16; k++)
			*rig_host(rig, gpa + 16 * i + k) = bytes[k];
	}
}

/* ---- the driver of a split ring ---- */

static inline void split_desc(struct rig *rig, uint32_t i, struct rig_desc d)
{
	put_desc(VIA_RING_SPLIT, rig->part[0] + 16 * i, d);
}

/* Makes 'head' available as the 'idx'-th chain, without showing it. */
static inline void split_head(struct rig *rig, uint32_t idx, uint32_t head)
{
	put16(rig->part[1] + 4 + 2 * (idx % rig->size), (uint16_t)head);
}

static inline void split_show(struct rig *rig, uint32_t idx)
{
	put16(rig->part[1] + 2, (uint16_t)idx);
}

static inline uint16_t split_used_idx(const struct rig *rig)
{
	return get16(rig->part[2] + 2);
}

static inline uint32_t split_used_id(const struct rig *rig, uint32_t idx)
{
	return get32(rig->part[2] + 4 + 8 * (idx % rig->size));
}

static inline uint32_t split_used_len(const struct rig *rig, uint32_t idx)
{
	return get32(rig->part[2] + 8 + 8 * (idx % rig->size));
}

/* ---- the driver of a packed ring ---- */

/* Flags of a slot made available in a lap with 'wrap'. */
static inline uint32_t packed_offer(bool wrap)
{
	return wrap ? 1 << 7 : 1 << 15;
}

static inline void packed_desc(struct rig *rig, uint32_t slot, struct rig_desc d)
{
	put_desc(VIA_RING_PACKED, rig->part[0] + 16 * slot, d);
}

static inline uint16_t packed_slot_flags(const struct rig *rig, uint32_t slot)
{
	return get16(rig->part[0] + 16 * slot + 14);
}

static inline uint16_t packed_slot_id(const struct rig *rig, uint32_t slot)
{
	return get16(rig->part[0] + 16 * slot + 12);
}

static inline uint32_t packed_slot_len(const struct rig *rig, uint32_t slot)
{
	return get32(rig->part[0] + 16 * slot + 8);
}

/* Offers a chain of 'n' buffers of 'len' bytes from '*pos' on, and moves '*pos' behind it. */
static inline void packed_offer_chain(struct rig *rig, struct via_ring_pos *pos, uint32_t n,
				      uint32_t len, uint32_t id)
{
	for (uint32_t i = 0; i < n; i++) {
		packed_desc(rig, pos->idx,
			    (struct rig_desc){ RIG_GPA + 64 * i, len,
					       packed_offer(pos->wrap) |
						       (i + 1 < n ? (uint32_t)VIA_DESC_NEXT : 0),
					       i + 1 < n ? 0xdead : id });
		if (++pos->idx == rig->size) {
			pos->idx = 0;
			pos->wrap = !pos->wrap;
		}
	}
}

#endif
