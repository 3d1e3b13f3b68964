/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/guest.h"

#include <endian.h>
#include <string.h>

/* ---- memory ---- */

/* Adjacent regions that are not adjacent here, one of which is shorter than a header; a hole; and one that
 * ends where addresses end. */
static const struct {
	uint64_t gpa;
	uint32_t size;
} regions[] = {
	{ 0x10000, 12288 }, { 0x13000, 1003 },   { 0x133eb, 5 },
	{ 0x133f0, 3000 },  { 0x20000, 0x1000 }, { UINT64_MAX - 2047, 2048 },
};

#define RING_GPA   UINT64_C(0x80000) /* of the ring's first part; others follow at RING_STEP */
#define RING_STEP  0x10000
#define NR_REGIONS (sizeof(regions) / sizeof(regions[0]) + 3)

static void add_region(struct via_mem *mem, uint64_t gpa, uint32_t size, uint8_t *host)
{
	mem->region[mem->nr_regions++] =
		(struct via_region){ .gpa = gpa, .size = size, .host = host };
}

void guest_open(struct guest *g, enum via_ring_format format, uint16_t size,
		struct via_ring_pos pos)
{
	static _Alignas(struct via_mem)
		uint8_t room[sizeof(struct via_mem) + NR_REGIONS * sizeof(struct via_region)];
	const struct via_ring_sizes sizes = via_ring_sizes(format, size);
	const size_t nr_low = sizeof(regions) / sizeof(regions[0]) - 1;
	struct via_mem *mem = (struct via_mem *)room;

	*g = (struct guest){ .format = format, .size = size, .mem = mem };
	arena_reset();
	mem->nr_regions = 0;
	for (size_t i = 0; i < nr_low; i++)
		add_region(mem, regions[i].gpa, regions[i].size, arena_add(regions[i].size));
	g->desc = arena_add((uint32_t)sizes.desc);
	g->avail = arena_add((uint32_t)sizes.avail);
	g->used = arena_add((uint32_t)sizes.used);
	add_region(mem, RING_GPA, (uint32_t)sizes.desc, g->desc);
	add_region(mem, RING_GPA + RING_STEP, (uint32_t)sizes.avail, g->avail);
	add_region(mem, RING_GPA + 2 * RING_STEP, (uint32_t)sizes.used, g->used);
	add_region(mem, regions[nr_low].gpa, regions[nr_low].size, arena_add(regions[nr_low].size));
	arena_remember();

	g->avail_idx = pos.idx;
	g->pos = pos;
	if (format == VIA_RING_SPLIT) {
		arena_write(g->avail + 2, &(uint16_t){ htole16(pos.idx) }, 2);
		arena_write(g->used + 2, &(uint16_t){ htole16(pos.idx) }, 2);
		return;
	}
	for (uint32_t i = 0; i < size; i++) { /* as this lap and the one before left them */
		bool lap = i < pos.idx ? pos.wrap : !pos.wrap;

		arena_write(g->desc + 16 * i + 14, &(uint16_t){ htole16(lap ? 0x8080 : 0) }, 2);
	}
}

struct via_ring guest_ring(const struct guest *g, uint64_t features)
{
	struct via_ring ring = {
		.mem = g->mem,
		.format = g->format,
		.size = g->size,
		.event_idx = via_has(features, VIRTIO_F_EVENT_IDX),
		.indirect = via_has(features, VIRTIO_F_INDIRECT_DESC),
		.in_order = via_has(features, VIRTIO_F_IN_ORDER),
		.features = features,
		.kick_fd = -1,
		.call_fd = -1,
		.enabled = true,
	};

	if (g->format == VIA_RING_PACKED) {
		ring.packed.desc = (void *)g->desc;
		ring.packed.driver = (void *)g->avail;
		ring.packed.device = (void *)g->used;
	} else {
		ring.split.desc = (void *)g->desc;
		ring.split.avail = (void *)g->avail;
		ring.split.used = (void *)g->used;
	}
	return ring;
}

uint8_t *guest_at(const struct guest *g, uint64_t gpa, uint64_t *left)
{
	for (uint32_t i = 0; i < g->mem->nr_regions; i++) {
		const struct via_region *r = &g->mem->region[i];

		if (gpa < r->gpa || gpa - r->gpa >= r->size)
			continue;
		*left = r->size - (gpa - r->gpa);
		return r->host + (gpa - r->gpa);
	}
	return NULL;
}

uint64_t guest_pick(const struct guest *g, struct input *in)
{
	uint8_t which = in_u8(in);
	uint16_t offset = in_u16(in);
	const struct via_region *r = &g->mem->region[(which & 15) % g->mem->nr_regions];

	if (which & 0x80) /* anywhere near */
		return r->gpa + (uint64_t)(int64_t)(int16_t)offset;
	if (which & 0x40) /* near the end */
		return r->gpa + r->size - offset % 64;
	return r->gpa + offset % r->size;
}

/* ---- words ---- */

static void put16(uint8_t *at, uint16_t value)
{
	arena_write(at, &(uint16_t){ htole16(value) }, 2);
}

static void put_at_gpa(struct guest *g, uint64_t gpa, const uint8_t *bytes, uint32_t len)
{
	while (len > 0) {
		uint64_t left;
		uint8_t *at = guest_at(g, gpa, &left);
		uint32_t part = len;

		if (!at)
			return;
		if (left < part)
			part = (uint32_t)left;
		arena_write(at, bytes, part);
		bytes += part;
		gpa += part;
		len -= part;
	}
}

/* A descriptor's 16 bytes; 'link' is its next (split) or its id (packed). */
static void make_desc(const struct guest *g, uint8_t bytes[16], uint64_t addr, uint32_t len,
		      uint16_t flags, uint16_t link)
{
	const bool packed = g->format == VIA_RING_PACKED;

	memcpy(bytes, &(uint64_t){ htole64(addr) }, 8);
	memcpy(bytes + 8, &(uint32_t){ htole32(len) }, 4);
	memcpy(bytes + 12, &(uint16_t){ htole16(packed ? link : flags) }, 2);
	memcpy(bytes + 14, &(uint16_t){ htole16(packed ? flags : link) }, 2);
}

/* ---- the driver ---- */

static uint32_t pick_len(struct input *in)
{
	uint8_t kind = in_u8(in);

	switch (kind >> 5) {
	case 0:
		return kind & 31;
	case 1:
		return 64 + (kind & 31);
	case 2:
		return 1500 + (kind & 31);
	case 3:
		return 12 + 14 + (kind & 31);
	case 7:
		return kind == 255 ? in_u32(in) : in_u16(in);
	default:
		return in_u8(in) + 256u * (kind & 15);
	}
}

/* Shows a descriptor in the ring. 'last' of a chain. */
static void put_in_ring(struct guest *g, uint64_t addr, uint32_t len, uint16_t flags, bool first,
			bool last, uint16_t link)
{
	uint8_t bytes[16];

	(void)first;
	if (!last)
		flags |= VIA_DESC_NEXT;
	if (g->format == VIA_RING_PACKED) {
		flags |= g->pos.wrap ? VIA_DESC_AVAIL : VIA_DESC_USED;
		make_desc(g, bytes, addr, len, flags, link);
		arena_write(g->desc + 16 * g->pos.idx, bytes, 16);
		if (++g->pos.idx == g->size)
			g->pos = (struct via_ring_pos){ 0, !g->pos.wrap };
		return;
	}
	make_desc(g, bytes, addr, len, flags, (uint16_t)((g->next_desc + 1) % g->size));
	arena_write(g->desc + 16 * g->next_desc, bytes, 16);
	g->next_desc = (uint16_t)((g->next_desc + 1) % g->size);
}

/* A table of 'n' entries at an address; its descriptor goes into the ring. */
static void offer_table(struct guest *g, struct input *in, uint32_t n, uint8_t how)
{
	const uint64_t table = guest_pick(g, in);

	for (uint32_t i = 0; i < n; i++) {
		uint16_t flags = in_more(in) && how & 2 ? VIA_DESC_WRITE : 0;
		uint64_t addr = guest_pick(g, in);
		uint8_t bytes[16];

		if (g->format == VIA_RING_SPLIT && i + 1 < n)
			flags |= VIA_DESC_NEXT;
		make_desc(g, bytes, addr, pick_len(in), flags, (uint16_t)(i + 1));
		put_at_gpa(g, table + 16 * i, bytes, 16);
	}
	put_in_ring(g, table, 16 * n, VIA_DESC_INDIRECT, true, true, g->next_id);
}

void guest_offers(struct guest *g, struct input *in)
{
	const uint8_t how = in_u8(in);
	const uint32_t n = how & 8 ? 1 + (how >> 4) : 1,
		       readable = how & 2 ? n - (how & 1) * n / 2 : 0;
	const uint16_t head = g->next_desc;

	g->next_id = (uint16_t)((g->next_id + 1) % g->size);
	if (how & 4) {
		offer_table(g, in, n, how);
	} else {
		for (uint32_t i = 0; i < n; i++) {
			uint64_t addr = guest_pick(g, in);

			put_in_ring(g, addr, pick_len(in), i < readable ? 0 : VIA_DESC_WRITE,
				    i == 0, i + 1 == n, g->next_id);
		}
	}
	if (g->format == VIA_RING_PACKED)
		return;
	put16(g->avail + 4 + 2 * (g->avail_idx % g->size), head);
	put16(g->avail + 2, ++g->avail_idx);
}

void guest_writes_word(struct guest *g, struct input *in)
{
	const struct via_ring_sizes sizes = via_ring_sizes(g->format, g->size);
	const uint8_t where = in_u8(in);
	const uint16_t value = in_u16(in);
	uint32_t word = in_u8(in);
	uint8_t *part = where & 1 ? g->desc : where & 2 ? g->used : g->avail;
	uint32_t size = (uint32_t)(where & 1 ? sizes.desc : where & 2 ? sizes.used : sizes.avail);

	word = word % (size / 2) * 2;
	put16(part + word,
	      where & 4 ? (uint16_t)(value + part[word] + part[word + 1] * 256) : value);
}

void guest_writes_bytes(struct guest *g, struct input *in)
{
	const uint64_t gpa = guest_pick(g, in);
	const uint32_t n = 1 + in_below(in, 24);
	uint8_t bytes[24];

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = in_u8(in);
	put_at_gpa(g, gpa, bytes, n);
}

/* Ethernet, tagged or not, then IPv4 or IPv6, then TCP or UDP, with lengths that may agree. */
static uint32_t make_headers(uint8_t *frame, uint8_t how, uint16_t len)
{
	uint32_t at = 12;

	memset(frame, 0, 128);
	frame[5] = 1;
	frame[11] = 2;
	if (how & 1) {
		frame[at] = 0x81;
		at += 4;
	}
	frame[at] = how & 2 ? 0x86 : 0x08;
	frame[at + 1] = how & 2 ? 0xdd : 0x00;
	at += 2;
	if (how & 2) {
		frame[at] = 0x60;
		frame[at + 4] = (uint8_t)(len >> 8);
		frame[at + 5] = (uint8_t)len;
		frame[at + 6] = how & 4 ? 17 : 6;
		at += 40;
	} else {
		frame[at] = 0x45;
		frame[at + 2] = (uint8_t)((len + 20) >> 8);
		frame[at + 3] = (uint8_t)(len + 20);
		frame[at + 9] = how & 4 ? 17 : 6;
		at += 20;
	}
	if (!(how & 4))
		frame[at + 12] = 0x50;
	return at;
}

void guest_writes_frame(struct guest *g, struct input *in)
{
	const uint64_t gpa = guest_pick(g, in);
	const uint8_t how = in_u8(in);
	const uint16_t len = in_u16(in);
	const uint32_t hdr_size = how & 8 ? 10 : 12;
	uint8_t bytes[20 + 128] = { 0 };
	uint32_t l4 = make_headers(bytes + hdr_size, how, len);

	bytes[0] = how & 0x10 ? 1 : in_u8(in);
	bytes[1] = how & 4 ? 5 : how & 2 ? 4 : 1;
	if (how & 0x20)
		bytes[1] = in_u8(in);
	bytes[2] = (uint8_t)(l4 + 20);
	bytes[4] = in_u8(in);
	bytes[5] = in_u8(in) & 15;
	bytes[6] = (uint8_t)l4;
	bytes[8] = how & 4 ? 6 : 16;
	if (how & 0x40)
		bytes[in_below(in, sizeof(bytes))] = in_u8(in);
	put_at_gpa(g, gpa, bytes, hdr_size + 128);
}

void guest_asks(struct guest *g, struct input *in)
{
	const uint8_t how = in_u8(in);
	const uint16_t event = in_u16(in);

	if (g->format == VIA_RING_PACKED) {
		put16(g->avail, event);
		put16(g->avail + 2, how & 3);
		return;
	}
	put16(g->avail, how & 1);
	put16(g->avail + 4 + 2 * g->size, how & 2 ? event : (uint16_t)(g->avail_idx - (how >> 2)));
}

/* ---- where words come from ---- */

static uint64_t le_at(const uint8_t *at, uint32_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return le64toh(value);
}

static bool load_now(struct spec_words *from, const uint8_t *at, uint32_t size, uint64_t *value)
{
	(void)from;
	*value = le_at(at, size);
	return true;
}

static bool load_before(struct spec_words *from, const uint8_t *at, uint32_t size, uint64_t *value)
{
	(void)from;
	*value = le_at(arena_before + arena_offset(at), size);
	return true;
}

static bool load_recorded(struct spec_words *from, const uint8_t *at, uint32_t size,
			  uint64_t *value)
{
	for (uint32_t i = 0; i < racer.nr_log; i++) {
		const struct racer_load *load = &racer.log[i];

		if (load->at != at || load->size != size || from->used[i / 64] >> (i % 64) & 1)
			continue;
		from->used[i / 64] |= UINT64_C(1) << (i % 64);
		*value = load->value;
		return true;
	}
	return false;
}

struct spec_words spec_memory_now(void)
{
	return (struct spec_words){ .load = load_now };
}

struct spec_words spec_memory_before(void)
{
	return (struct spec_words){ .load = load_before };
}

struct spec_words spec_loads(void)
{
	return (struct spec_words){ .load = load_recorded };
}

void spec_skip(struct spec_words *from, const uint8_t *at)
{
	uint64_t value;

	load_recorded(from, at, 8, &value);
}

/* ---- chains ---- */

struct spec_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, link;
};

static bool spec_load_desc(const struct guest *g, const uint8_t *at, struct spec_words *from,
			   struct spec_desc *desc)
{
	uint64_t tail;
	uint16_t first, second;

	if (!from->load(from, at, 8, &desc->addr) || !from->load(from, at + 8, 8, &tail))
		return false;
	first = (uint16_t)(tail >> 32);
	second = (uint16_t)(tail >> 48);
	desc->len = (uint32_t)tail;
	desc->flags = g->format == VIA_RING_PACKED ? second : first;
	desc->link = g->format == VIA_RING_PACKED ? first : second;
	return true;
}

/* Adds a buffer, cut where regions end. */
static bool spec_add(const struct guest *g, struct spec_chain *chain, const struct spec_desc *desc)
{
	const bool writable = desc->flags & VIA_DESC_WRITE;
	uint64_t gpa = desc->addr;
	uint32_t len = desc->len;

	if (len > 0 && !writable && chain->nr_pieces != chain->nr_readable)
		return false;
	while (len > 0) {
		uint64_t left;
		uint8_t *base = guest_at(g, gpa, &left);
		uint32_t part = left < len ? (uint32_t)left : len;

		if (!base || chain->nr_pieces == GUEST_PIECES)
			return false;
		chain->piece[chain->nr_pieces].base = base;
		chain->piece[chain->nr_pieces++].len = part;
		chain->nr_readable += !writable;
		gpa += part;
		len -= part;
		if (gpa == 0 && len > 0)
			return false;
	}
	*(writable ? &chain->writable_len : &chain->readable_len) += desc->len;
	return true;
}

static enum spec_is spec_table(const struct guest *g, const struct spec_desc *indirect,
			       struct spec_words *from, struct spec_chain *chain)
{
	const uint32_t n = indirect->len / 16;
	uint32_t i = 0;

	if (indirect->len % 16 || n == 0 || n > g->size)
		return SPEC_NO;
	for (uint32_t seen = 0; seen < n; seen++) {
		uint64_t left;
		uint8_t *at = guest_at(g, indirect->addr + 16 * i, &left);
		struct spec_desc desc;

		if (!at)
			return SPEC_NO;
		if (left < 16 || !spec_load_desc(g, at, from, &desc) ||
		    chain->nr_entries == GUEST_PIECES)
			return SPEC_UNSURE; /* copied in other pieces, or too many */
		chain->entry[chain->nr_entries++] = at;
		if (!spec_add(g, chain, &desc))
			return SPEC_NO;
		if (g->format == VIA_RING_PACKED) {
			i++;
			continue;
		}
		if (!(desc.flags & VIA_DESC_NEXT))
			return SPEC_YES;
		i = desc.link;
		if (i >= n)
			return SPEC_NO;
	}
	return g->format == VIA_RING_PACKED ? SPEC_YES : SPEC_UNSURE; /* an entry came twice */
}

enum spec_is spec_chain(const struct guest *g, struct via_ring_pos pos, uint16_t head,
			struct spec_words *from, struct spec_chain *chain)
{
	const bool packed = g->format == VIA_RING_PACKED;
	uint32_t i = packed ? pos.idx : head;

	chain->nr_pieces = chain->nr_readable = 0;
	chain->readable_len = chain->writable_len = 0;
	chain->nr_slots = 0;
	chain->nr_entries = 0;
	chain->id = head;
	while (chain->nr_slots < g->size) {
		struct spec_desc desc;

		if (i >= g->size || !spec_load_desc(g, g->desc + 16 * i, from, &desc))
			return SPEC_NO;
		chain->nr_slots++;
		if (packed)
			chain->id = desc.link;
		if (desc.flags & VIA_DESC_INDIRECT)
			return packed && chain->nr_slots > 1 ? SPEC_NO
							     : spec_table(g, &desc, from, chain);
		if (!spec_add(g, chain, &desc))
			return SPEC_NO;
		if (!(desc.flags & VIA_DESC_NEXT))
			return SPEC_YES;
		i = packed ? (i + 1) % g->size : desc.link;
	}
	return SPEC_NO;
}
