/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/device.h"

#include <endian.h>
#include <string.h>

#include "tests/fuzz/arena.h"

void device_open(struct device *d, enum via_ring_format format, uint16_t size, void *desc,
		 void *avail, void *used)
{
	*d = (struct device){
		.format = format,
		.size = size,
		.desc = desc,
		.avail = avail,
		.used = used,
		.sizes = via_ring_sizes(format, size),
		.next.wrap = true,
		.given.wrap = true,
	};
}

static void put(uint8_t *at, uint64_t value, uint32_t size)
{
	value = htole64(value);
	if (arena_offset(at) != UINT32_MAX)
		arena_write(at, &value, size);
	else
		memcpy(at, &value, size);
}

static uint64_t get(const uint8_t *at, uint32_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return le64toh(value);
}

static void advance(const struct device *d, struct via_ring_pos *pos, uint32_t n)
{
	for (; n > 0; n--) {
		if (++pos->idx != d->size)
			continue;
		*pos = (struct via_ring_pos){ 0, !pos->wrap };
	}
}

/* ---- taking ---- */

static bool take_split(struct device *d, struct device_chain *chain)
{
	uint16_t head;

	if (d->next.idx == get(d->avail + 2, 2))
		return false;
	head = (uint16_t)get(d->avail + 4 + 2 * (d->next.idx % d->size), 2);
	d->next.idx++;
	*chain = (struct device_chain){ .id = head, .nr_slots = 1 };
	if (head >= d->size)
		return false;
	chain->addr = get(d->desc + 16 * head, 8);
	chain->len = (uint32_t)get(d->desc + 16 * head + 8, 4);
	return true;
}

static bool take_packed(struct device *d, struct device_chain *chain)
{
	const uint8_t *desc = d->desc + 16 * d->next.idx;
	uint64_t flags = get(desc + 14, 2);

	if ((flags & 0x8080) != (d->next.wrap ? 0x80 : 0x8000))
		return false;
	*chain = (struct device_chain){ .addr = get(desc, 8), .len = (uint32_t)get(desc + 8, 4) };
	do {
		desc = d->desc + 16 * d->next.idx;
		flags = get(desc + 14, 2);
		chain->id = (uint16_t)get(desc + 12, 2);
		chain->nr_slots++;
		advance(d, &d->next, 1);
	} while ((flags & VIA_DESC_NEXT) && chain->nr_slots < d->size);
	return true;
}

void device_takes(struct device *d)
{
	for (uint32_t i = 0; i < d->size && d->nr_held < DEVICE_HOLDS; i++) {
		struct device_chain *chain = &d->held[d->nr_held];

		if (!(d->format == VIA_RING_PACKED ? take_packed(d, chain) : take_split(d, chain)))
			return;
		d->nr_held++;
	}
}

/* ---- giving back ---- */

void device_gives(struct device *d, uint32_t which, uint32_t len)
{
	struct device_chain chain;
	uint8_t *at;

	if (d->nr_held == 0)
		return;
	which %= d->nr_held;
	chain = d->held[which];
	d->nr_held--;
	memmove(&d->held[which], &d->held[which + 1], (d->nr_held - which) * sizeof(chain));
	if (d->format == VIA_RING_SPLIT) {
		at = d->used + 4 + 8 * (d->given.idx % d->size);
		put(at, chain.id, 4);
		put(at + 4, len, 4);
		put(d->used + 2, ++d->given.idx, 2);
		return;
	}
	at = d->desc + 16 * d->given.idx;
	put(at + 8, len, 4);
	put(at + 12, chain.id, 2);
	put(at + 14, (d->given.wrap ? 0x8080 : 0) | (len ? VIA_DESC_WRITE : 0), 2);
	advance(d, &d->given, chain.nr_slots);
}

/* ---- anything else ---- */

void device_writes(struct device *d, struct input *in)
{
	const uint8_t where = in_u8(in);
	uint8_t *part = where & 3 ? d->used : d->avail;
	uint32_t size = (uint32_t)(where & 3 ? d->sizes.used : d->sizes.avail);
	uint16_t value = in_u16(in);
	uint32_t word = in_u8(in);

	if (d->format == VIA_RING_PACKED ? (where & 7) > 1 : where & 4) {
		part = d->desc;
		size = (uint32_t)d->sizes.desc;
	}
	word = word % (size / 2) * 2;
	if (where & 8)
		value = (uint16_t)(get(part + word, 2) + value);
	put(part + word, value, 2);
}

void device_asks(struct device *d, struct input *in)
{
	const uint8_t how = in_u8(in);
	const uint16_t event = in_u16(in);

	if (d->format == VIA_RING_PACKED) {
		put(d->used, event, 2);
		put(d->used + 2, how & 3, 2);
		return;
	}
	put(d->used, how & 1, 2);
	put(d->used + 4 + 8 * d->size, how & 2 ? event : d->next.idx, 2);
}
