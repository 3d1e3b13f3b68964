/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our driver's ring against our device's ring, in random steps, with a plain model of the specification
 * between them. The model reads the ring's bytes as VIRTIO 1.3 §2.7 and §2.8 describe them, slowly and
 * with positions that never wrap, and says what each side must find, give and ask.
 *
 * Each episode has its own format, size, features, starting position and memory: driver and device see
 * the same file through one mapping, or through two. VIA_TEST_STEPS and VIA_TEST_SEED (printed) rule
 * how long and what.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ring/driver_ring.h"
#include "ring/vq.h"
#include "tests/memfd.h"

/* ---- chance ---- */

static uint64_t chance_state;

static uint32_t chance(uint32_t n) /* 0 to n - 1 */
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (uint32_t)((chance_state * UINT64_C(2685821657736338717)) >> 33) % n;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- the memory of an episode ---- */

#define PART_BYTES   (1 * MIB) /* descriptors at 0, the driver's part at 1, the device's at 2 */
#define TABLES       (3 * MIB)
#define TABLE_SIZE   8
#define TABLES_BYTES (VIA_RING_MAX_SIZE * TABLE_SIZE * 16)
#define DATA         (TABLES + TABLES_BYTES)
#define DATA_REGION  (64 * KIB)
#define DATA_REGIONS 4
#define FILE_BYTES   (DATA + DATA_REGIONS * DATA_REGION)
#define GPA(offset)  (UINT64_C(0x100000000) + (offset))

struct memory {
	int fd;
	uint8_t *driver;     /* the driver's mapping of all */
	uint8_t *device;     /* the device's of the ring: the same, or another */
	struct via_mem *mem; /* the device's of tables and data: a region each */
};

static uint8_t *map_part(const struct memory *m, uint64_t offset, uint64_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)offset);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void memory_open(struct memory *m, bool two_mappings)
{
	m->fd = test_memfd(FILE_BYTES, 0);
	m->driver = map_part(m, 0, FILE_BYTES);
	m->device = two_mappings ? map_part(m, 0, TABLES) : m->driver;
	m->mem = calloc(1, sizeof(*m->mem) + (1 + DATA_REGIONS) * sizeof(struct via_region));
	m->mem->nr_regions = 1 + DATA_REGIONS;
	for (uint32_t i = 0; i <= DATA_REGIONS; i++) {
		uint64_t offset = i ? DATA + (i - 1) * DATA_REGION : TABLES;
		uint64_t size = i ? DATA_REGION : TABLES_BYTES;

		m->mem->region[i] = (struct via_region){
			.gpa = GPA(offset),
			.size = size,
			.host = two_mappings ? map_part(m, offset, size) : m->driver + offset,
		};
	}
}

static void memory_close(struct memory *m)
{
	if (m->device != m->driver) {
		munmap(m->device, TABLES);
		for (uint32_t i = 0; i <= DATA_REGIONS; i++)
			munmap(m->mem->region[i].host, m->mem->region[i].size);
	}
	munmap(m->driver, FILE_BYTES);
	close(m->fd);
	free(m->mem);
}

/* ---- what was offered ---- */

#define MAX_BUFFERS 40
#define MAX_CHAINS  65536u /* outstanding, a power of two */
#define MAX_POPPED  1024

struct offered {
	struct via_drv_buffer buf[MAX_BUFFERS];
	uint32_t nr_readable, nr; /* buffers */
	uint32_t slots;
	uint32_t capacity; /* writable bytes */
	uint32_t id;       /* as the model read it from the ring */
	uint32_t len;      /* given back with */
};

/* One side's decision whether to notify. */
struct decision {
	uint64_t since; /* chains (split) or slots (packed) published up to the last one */
	bool first;     /* none was made since the start */
};

struct pair {
	struct memory memory;
	enum via_ring_format format;
	uint16_t size;
	bool event_idx, in_order, out_of_order;
	bool plain, plain_writable; /* all chains are one buffer each, of that direction */

	struct via_drv_ring drv;
	struct via_ring ring;
	struct via_vq vq;

	/* The model. Chains are numbered as they are added; counts never wrap. */
	struct offered *chain;                /* MAX_CHAINS of them, by number modulo */
	uint64_t added, published, popped;    /* chains */
	uint64_t published_slots, used_slots; /* packed: positions; lap 0 has wrap 1 */
	uint32_t free_slots;
	uint64_t start;                 /* what the split indices began with */
	uint64_t *given;                /* numbers, in the order of giving back */
	uint64_t pushed, shown, reaped; /* counts of 'given' */
	struct entry {
		uint64_t first; /* in 'given' */
		uint32_t n;
	} * entry; /* used entries written since the last publication */
	uint32_t nr_entries;
	struct decision kick, call;

	uint64_t taken[MAX_POPPED]; /* numbers of the chains that the device holds */
	struct via_ring_pos before[MAX_POPPED];
	struct via_chain held[MAX_POPPED];
	uint32_t nr_taken;
	uint32_t mood; /* bit i: step i is not taken now */
	struct via_seg seg[256];
};

static struct offered *chain_at(struct pair *p, uint64_t number)
{
	return &p->chain[number % MAX_CHAINS];
}

/* ---- the model: the ring's bytes, read as the specification has them ---- */

static uint64_t bytes_at(const struct pair *p, uint64_t offset, uint32_t n)
{
	uint64_t value = 0;

	for (uint32_t i = n; i > 0; i--)
		value = value << 8 | p->memory.driver[offset + i - 1];
	return value;
}

struct spec_desc {
	uint64_t addr;
	uint32_t len, flags, next, id;
};

static struct spec_desc spec_desc(const struct pair *p, uint64_t offset)
{
	bool packed = p->format == VIA_RING_PACKED;

	return (struct spec_desc){
		.addr = bytes_at(p, offset, 8),
		.len = (uint32_t)bytes_at(p, offset + 8, 4),
		.flags = (uint32_t)bytes_at(p, offset + (packed ? 14 : 12), 2),
		.next = packed ? 0 : (uint32_t)bytes_at(p, offset + 14, 2),
		.id = packed ? (uint32_t)bytes_at(p, offset + 12, 2) : 0,
	};
}

static bool lap_of(const struct pair *p, uint64_t slot)
{
	return slot / p->size % 2 == 0;
}

static void expect_buffer(const struct offered *o, uint32_t i, const struct spec_desc *d)
{
	assert_int_equal(d->addr, o->buf[i].addr);
	assert_int_equal(d->len, o->buf[i].len);
	assert_int_equal(!!(d->flags & VIA_DESC_WRITE), i >= o->nr_readable);
}

static void expect_table(const struct pair *p, const struct offered *o, const struct spec_desc *d)
{
	assert_int_equal(d->len, 16 * o->nr);
	for (uint32_t i = 0; i < o->nr; i++) {
		struct spec_desc entry = spec_desc(p, d->addr - GPA(0) + 16 * i);

		expect_buffer(o, i, &entry);
		if (p->format == VIA_RING_SPLIT) {
			assert_int_equal(!!(entry.flags & VIA_DESC_NEXT), i + 1 < o->nr);
			assert_int_equal(entry.next, i + 1);
		}
	}
}

/* The chain with this number as it lies in a split ring (§2.7.5, §2.7.6). */
static void expect_split_chain(struct pair *p, uint64_t number)
{
	struct offered *o = chain_at(p, number);
	uint64_t slot = (p->start + number) % p->size;
	uint32_t i = 0, d = (uint32_t)bytes_at(p, PART_BYTES + 4 + 2 * slot, 2);
	struct spec_desc desc;

	o->id = d;
	do {
		assert_in_range(d, 0, p->size - 1u);
		desc = spec_desc(p, 16 * d);
		if (desc.flags & VIA_DESC_INDIRECT) {
			assert_int_equal(desc.flags, VIA_DESC_INDIRECT);
			expect_table(p, o, &desc);
			return;
		}
		expect_buffer(o, i++, &desc);
		if (p->in_order && (desc.flags & VIA_DESC_NEXT)) /* VQ-D-10 */
			assert_int_equal(desc.next, (d + 1) % p->size);
		d = desc.next;
	} while (desc.flags & VIA_DESC_NEXT);
	assert_int_equal(i, o->nr);
}

/* The chain with this number as it lies in a packed ring (§2.8.5 to §2.8.8). */
static void expect_packed_chain(struct pair *p, uint64_t number)
{
	struct offered *o = chain_at(p, number);

	for (uint32_t i = 0; i < o->slots; i++, p->published_slots++) {
		uint64_t slot = p->published_slots;
		struct spec_desc d = spec_desc(p, 16 * (slot % p->size));

		assert_int_equal(!!(d.flags & VIA_DESC_AVAIL), lap_of(p, slot));
		assert_int_equal(!!(d.flags & VIA_DESC_USED), !lap_of(p, slot));
		o->id = d.id;
		if (d.flags & VIA_DESC_INDIRECT) {
			assert_int_equal(o->slots, 1);
			assert_false(d.flags & (VIA_DESC_NEXT | VIA_DESC_WRITE));
			expect_table(p, o, &d);
			return (void)p->published_slots++;
		}
		expect_buffer(o, i, &d);
		assert_int_equal(!!(d.flags & VIA_DESC_NEXT), i + 1 < o->slots);
	}
}

/* The used entry that gives back 'e' as it lies in the ring; positions move behind it. */
static void expect_used(struct pair *p, const struct entry *e)
{
	const struct offered *last = chain_at(p, p->given[(e->first + e->n - 1) % MAX_CHAINS]);

	if (p->format == VIA_RING_SPLIT) {
		uint64_t at = 2 * PART_BYTES + 4 + 8 * ((p->start + e->first) % p->size);

		assert_int_equal(bytes_at(p, at, 4), last->id);
		assert_int_equal(bytes_at(p, at + 4, 4), last->len);
		return;
	}
	struct spec_desc d = spec_desc(p, 16 * (p->used_slots % p->size));
	bool lap = lap_of(p, p->used_slots);

	assert_int_equal(!!(d.flags & VIA_DESC_AVAIL), lap);
	assert_int_equal(!!(d.flags & VIA_DESC_USED), lap);
	assert_int_equal(!!(d.flags & VIA_DESC_WRITE), last->len > 0);
	assert_int_equal(d.id, last->id);
	if (last->len)
		assert_int_equal(d.len, last->len);
	for (uint32_t i = 0; i < e->n; i++)
		p->used_slots += chain_at(p, p->given[(e->first + i) % MAX_CHAINS])->slots;
}

/* Whether whoever wrote 'part' is to be told of what was published up to 'now' (§2.7.7, §2.8.10). */
static bool spec_wants(const struct pair *p, uint32_t part, const struct decision *d, uint64_t now)
{
	uint64_t at = part * PART_BYTES;
	uint32_t flags, event;

	if (now == d->since)
		return false;
	if (p->format == VIA_RING_SPLIT) {
		uint32_t entry = part == 1 ? 2 : 8;

		if (!p->event_idx)
			return !(bytes_at(p, at, 2) & 1);
		event = (uint32_t)bytes_at(p, at + 4 + (uint64_t)entry * p->size, 2);
		for (uint64_t i = d->since; i < now; i++)
			if ((uint16_t)(p->start + i) == event)
				return true;
		return d->first;
	}
	flags = bytes_at(p, at + 2, 2) & 3;
	event = (uint32_t)bytes_at(p, at, 2);
	if (flags == 1)
		return false;
	if (flags != 2 || !p->event_idx || d->first || now - d->since > p->size)
		return true;
	for (uint64_t slot = d->since; slot < now; slot++)
		if (slot % p->size == (event & 0x7fff) && lap_of(p, slot) == !!(event & 0x8000))
			return true;
	return false;
}

/* How many chains a step may handle: 'usually', now and then far more. */
static uint32_t some(const struct pair *p, uint32_t usually)
{
	return p->size > 64 && chance(32) == 0 ? 1024 : usually;
}

/* ---- the driver's steps ---- */

static void random_buffers(struct offered *o, uint32_t max)
{
	uint32_t n = 1 + chance(chance(8) ? via_min_u(max, 4) : max);

	*o = (struct offered){ .nr = n, .nr_readable = chance(n + 1) };
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = chance(16) ? 1 + chance(chance(4) ? 100 : 2 * DATA_REGION) : 0;
		uint64_t room = DATA_REGIONS * DATA_REGION - len;

		o->buf[i] = (struct via_drv_buffer){ GPA(DATA) + chance((uint32_t)room), len };
		if (i >= o->nr_readable)
			o->capacity += len;
	}
}

/* As a network driver does: one buffer, always of one direction; some begin or end near a region's end. */
static void plain_buffer(const struct pair *p, struct offered *o)
{
	uint32_t len = 1 + chance(4), room = chance(4) ? 1000 : (uint32_t)DATA_REGION;
	uint64_t end = chance(8) ? chance(room) + 4 : DATA_REGION + chance(3);

	*o = (struct offered){ .nr = 1, .nr_readable = !p->plain_writable };
	o->buf[0] = (struct via_drv_buffer){ GPA(DATA) + end - len, len };
	o->capacity = p->plain_writable ? len : 0;
}

static void driver_adds_one(struct pair *p)
{
	struct offered *o = chain_at(p, p->added);
	enum via_drv_form form = p->ring.indirect && chance(2) ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT;
	int ret;

	/* A table must not be longer than the ring either (VX-17). */
	random_buffers(o, via_min_u(p->size, form == VIA_DRV_INDIRECT ? TABLE_SIZE : MAX_BUFFERS));
	if (p->plain) {
		plain_buffer(p, o);
		form = VIA_DRV_DIRECT;
	}
	o->slots = form == VIA_DRV_INDIRECT ? 1 : o->nr;
	ret = drv_add(&p->drv, o->buf, o->nr_readable, o->nr - o->nr_readable, form, o, p->format);
	assert_int_equal(ret, o->slots <= p->free_slots ? 0 : -ENOSPC);
	if (ret == 0) {
		p->free_slots -= o->slots;
		p->added++;
	}
}

static void driver_adds(struct pair *p)
{
	for (uint32_t n = chance(some(p, 8)); n > 0; n--)
		driver_adds_one(p);
}

static void driver_publishes(struct pair *p)
{
	drv_publish(&p->drv, p->format);
	for (; p->published < p->added; p->published++)
		if (p->format == VIA_RING_PACKED)
			expect_packed_chain(p, p->published);
		else
			expect_split_chain(p, p->published);
	if (p->format == VIA_RING_SPLIT)
		assert_int_equal(bytes_at(p, PART_BYTES + 2, 2),
				 (uint16_t)(p->start + p->published));
}

static void driver_decides(struct pair *p)
{
	uint64_t now = p->format == VIA_RING_PACKED ? p->published_slots : p->published;
	bool wants = spec_wants(p, 2, &p->kick, now);

	assert_int_equal(drv_wants_kick(&p->drv, p->format), wants);
	p->kick = (struct decision){ .since = now };
}

static void driver_reaps(struct pair *p)
{
	uint32_t n = chance(some(p, 32));

	while (n-- > 0) {
		struct via_drv_done done = { 0 };
		int ret = drv_reap(&p->drv, &done, p->format);
		struct offered *o;

		assert_int_equal(ret, p->reaped < p->shown);
		if (ret == 0)
			return;
		o = chain_at(p, p->given[p->reaped++ % MAX_CHAINS]);
		assert_ptr_equal(done.token, o);
		assert_int_equal(done.len, o->len);
		p->free_slots += o->slots;
	}
}

static void driver_sleeps_or_wakes(struct pair *p)
{
	uint64_t now = p->format == VIA_RING_PACKED ? p->used_slots : p->shown;

	if (chance(2)) {
		drv_disarm(&p->drv, p->format);
		return;
	}
	assert_int_equal(drv_arm(&p->drv, p->format), p->reaped < p->shown);
	if (p->reaped == p->shown) /* whatever comes next is told */
		assert_true(spec_wants(p, 1, &(struct decision){ .since = now }, now + 1));
}

/* ---- the device's steps ---- */

/* A chain is its buffers, cut where regions end, empty ones left out (VX-06, VX-09). */
static void expect_chain(struct pair *p, const struct offered *o, const struct via_chain *c)
{
	uint32_t n = 0, nr_readable = 0, readable_len = 0;

	for (uint32_t i = 0; i < o->nr; i++) {
		uint64_t at = o->buf[i].addr - GPA(DATA), left = o->buf[i].len;

		while (left > 0) {
			uint64_t piece = DATA_REGION - at % DATA_REGION;

			if (piece > left)
				piece = left;
			assert_true(n < (uint32_t)c->nr_readable + c->nr_writable);
			assert_ptr_equal(c->seg[n].base,
					 p->memory.mem->region[1 + at / DATA_REGION].host +
						 at % DATA_REGION);
			assert_int_equal(c->seg[n].len, piece);
			if (i < o->nr_readable) {
				nr_readable++;
				readable_len += (uint32_t)piece;
			}
			at += piece;
			left -= piece;
			n++;
		}
	}
	assert_int_equal(c->nr_readable, nr_readable);
	assert_int_equal(c->nr_readable + c->nr_writable, n);
	assert_int_equal(c->readable_len, readable_len);
	assert_int_equal(c->writable_len, o->capacity);
	assert_int_equal(c->id, o->id);
	if (p->format == VIA_RING_PACKED)
		assert_int_equal(c->nr_slots, o->slots);
}

static void device_pops(struct pair *p)
{
	uint32_t n = chance(some(p, 24));

	vq_prefetch(&p->vq, &p->ring, n, p->format);
	while (n-- > 0 && p->nr_taken < MAX_POPPED) {
		struct via_ring_pos before = p->vq.avail;
		struct via_chain *c = &p->held[p->nr_taken];
		int ret = vq_pop(&p->vq, &p->ring, c, p->seg, ARRAY_SIZE(p->seg), p->format);

		assert_int_equal(ret, p->popped < p->published);
		if (ret == 0)
			return;
		expect_chain(p, chain_at(p, p->popped), c);
		p->before[p->nr_taken] = before;
		p->taken[p->nr_taken++] = p->popped++;
	}
}

/* The short cut for chains of one descriptor in one region: it may stop early, but never err. */
static void device_pops_singles(struct pair *p)
{
	uint32_t n = via_min_u(chance(some(p, 24)), MAX_POPPED - p->nr_taken), got;
	enum via_direction direction = chance(2) ? VIA_READABLE : VIA_WRITABLE;
	struct via_ring_pos before = p->vq.avail;
	struct via_batch_entry entry[MAX_POPPED];
	struct via_seg seg[MAX_POPPED];

	vq_prefetch(&p->vq, &p->ring, n, p->format);
	got = vq_pop_singles(&p->vq, &p->ring, seg, entry, n, 0, direction, p->format);
	assert_in_range(got, 0, via_min_u(n, (uint32_t)(p->published - p->popped)));
	for (uint32_t i = 0; i < got; i++) {
		bool writable = direction == VIA_WRITABLE;
		struct via_chain *c = &p->held[p->nr_taken];

		assert_int_equal(entry[i].len, 0);
		*c = (struct via_chain){
			.seg = &seg[i],
			.readable_len = writable ? 0 : seg[i].len,
			.writable_len = writable ? seg[i].len : 0,
			.nr_readable = !writable,
			.nr_writable = writable,
			.id = entry[i].id,
			.nr_slots = entry[i].nr_slots,
		};
		expect_chain(p, chain_at(p, p->popped), c);
		p->before[p->nr_taken] = vq_ahead(&p->ring, before, i, i, p->format);
		p->taken[p->nr_taken++] = p->popped++;
	}
}

static void device_unpops(struct pair *p)
{
	uint32_t n = p->nr_taken ? chance(p->nr_taken) : 0;

	/* What is given back in another order may overwrite what was not yet taken for good. */
	if (n == 0 || p->out_of_order)
		return;
	p->nr_taken -= n;
	p->popped -= n;
	vq_unpop(&p->vq, p->before[p->nr_taken]);
}

/* Takes chain 'i' out of those held, into the order of giving back. */
static struct via_chain give(struct pair *p, uint32_t i, uint32_t len)
{
	struct via_chain c = p->held[i];

	chain_at(p, p->taken[i])->len = len;
	p->given[p->pushed++ % MAX_CHAINS] = p->taken[i];
	p->nr_taken--;
	memmove(&p->held[i], &p->held[i + 1], (p->nr_taken - i) * sizeof(p->held[0]));
	memmove(&p->taken[i], &p->taken[i + 1], (p->nr_taken - i) * sizeof(p->taken[0]));
	memmove(&p->before[i], &p->before[i + 1], (p->nr_taken - i) * sizeof(p->before[0]));
	return c;
}

static void device_pushes(struct pair *p)
{
	uint32_t n = chance(p->nr_taken + 1);

	if (n > 0 && p->in_order && chance(2)) {
		struct via_chain c;
		uint32_t slots = 0;

		p->entry[p->nr_entries++] = (struct entry){ p->pushed, n };
		for (uint32_t i = 0; i < n; i++) { /* all but the last count as used completely */
			uint32_t capacity = chain_at(p, p->taken[0])->capacity;

			c = give(p, 0, i + 1 < n ? capacity : 0);
			slots += c.nr_slots;
		}
		vq_push_batch(&p->vq, &p->ring, n, slots, c.id, p->format);
		return;
	}
	struct via_batch_entry burst[MAX_POPPED];
	bool at_once = chance(2);

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = p->out_of_order ? chance(p->nr_taken) : 0;
		uint32_t capacity = chain_at(p, p->taken[i])->capacity;
		uint32_t len = chance(2) ? capacity : chance(capacity + 1);
		struct via_chain c;

		p->entry[p->nr_entries++] = (struct entry){ p->pushed, 1 };
		c = give(p, i, len);
		burst[k] = (struct via_batch_entry){ len, c.id, c.nr_slots };
		if (!at_once)
			vq_push(&p->vq, &p->ring, &c, len, p->format);
	}
	if (at_once)
		vq_push_burst(&p->vq, &p->ring, burst, n, p->format);
}

static void device_publishes(struct pair *p)
{
	vq_publish(&p->vq, &p->ring, p->format);
	for (uint32_t i = 0; i < p->nr_entries; i++)
		expect_used(p, &p->entry[i]);
	p->nr_entries = 0;
	p->shown = p->pushed;
	if (p->format == VIA_RING_SPLIT)
		assert_int_equal(bytes_at(p, 2 * PART_BYTES + 2, 2),
				 (uint16_t)(p->start + p->shown));
}

static void device_decides(struct pair *p)
{
	uint64_t now = p->format == VIA_RING_PACKED ? p->used_slots : p->shown;
	bool wants = spec_wants(p, 1, &p->call, now);
	bool was_asked = now != p->call.since;

	assert_int_equal(vq_wants_call(&p->vq, &p->ring, p->format), wants);
	if (was_asked)
		p->call = (struct decision){ .since = now };
}

static void device_sleeps_or_wakes(struct pair *p)
{
	uint64_t now = p->format == VIA_RING_PACKED ? p->published_slots : p->published;

	if (chance(2)) {
		vq_disarm(&p->vq, &p->ring, p->format);
		return;
	}
	assert_int_equal(vq_arm(&p->vq, &p->ring, p->format), p->popped < p->published);
	if (p->popped == p->published)
		assert_true(spec_wants(p, 2, &(struct decision){ .since = now }, now + 1));
}

/* The queue stops and starts again where it was, as after GET_VRING_BASE and SET_VRING_BASE. */
static void device_restarts(struct pair *p)
{
	struct via_ring_pos pos = { .idx = (uint16_t)(p->start + p->shown) };

	if (p->nr_taken > 0 || p->pushed > p->shown)
		return;
	if (p->format == VIA_RING_PACKED)
		pos = (struct via_ring_pos){ (uint16_t)(p->used_slots % p->size),
					     lap_of(p, p->used_slots) };
	via_vq_stop(&p->vq);
	via_vq_start(&p->vq, &p->ring, pos, pos);
	p->call = (struct decision){
		.since = p->format == VIA_RING_PACKED ? p->used_slots : p->shown,
		.first = true,
	};
}

/* ---- episodes ---- */

static uint16_t random_size(enum via_ring_format format)
{
	static const uint16_t split[] = { 1, 2, 4, 8, 64, 256, 1024, 32768 };
	static const uint16_t packed[] = { 1, 2, 3, 5, 7, 8, 64, 255, 256, 32768 };

	return format == VIA_RING_PACKED ? packed[chance(ARRAY_SIZE(packed))]
					 : split[chance(ARRAY_SIZE(split))];
}

/* Moves the fresh ring to a position as if it had run before, often one that is about to wrap. */
static void move_start(struct pair *p)
{
	uint32_t back = chance(2) ? chance(8) : chance(65536);

	if (p->format == VIA_RING_SPLIT) {
		p->start = 65536 - back;
		p->drv.avail.idx = p->drv.used.idx = p->drv.used_seen = (uint16_t)p->start;
		memcpy(p->memory.driver + PART_BYTES + 2, &p->drv.avail.idx, 2);
		memcpy(p->memory.driver + 2 * PART_BYTES + 2, &p->drv.avail.idx, 2);
		return;
	}
	uint64_t slot = 4u * p->size - back % (2u * p->size);
	struct via_ring_pos pos = { (uint16_t)(slot % p->size), lap_of(p, slot) };

	p->published_slots = p->used_slots = p->kick.since = p->call.since = slot;
	p->drv.avail = p->drv.next = p->drv.used = pos;
	if (p->in_order)
		p->drv.oldest = pos.idx;
	for (uint16_t i = 0; i < p->size; i++) { /* as this lap and the one before left them */
		bool lap = i < pos.idx ? pos.wrap : !pos.wrap;
		uint16_t flags = htole16((uint16_t)(lap ? VIA_DESC_AVAIL | VIA_DESC_USED : 0));

		memcpy(p->memory.driver + 16 * i + 14, &flags, 2);
	}
}

static void pair_open(struct pair *p)
{
	struct via_drv_config config;
	struct via_ring_pos pos;

	*p = (struct pair){
		.format = chance(2) ? VIA_RING_PACKED : VIA_RING_SPLIT,
		.event_idx = chance(2),
		.in_order = chance(2),
		.plain = chance(3) == 0,
		.plain_writable = chance(2),
		.chain = calloc(MAX_CHAINS, sizeof(*p->chain)),
		.given = calloc(MAX_CHAINS, sizeof(*p->given)),
		.entry = calloc(MAX_CHAINS, sizeof(*p->entry)),
	};
	p->size = random_size(p->format);
	p->out_of_order = !p->in_order && chance(2);
	p->free_slots = p->size;
	p->call.first = true;
	memory_open(&p->memory, chance(2));
	config = (struct via_drv_config){
		.format = p->format,
		.size = p->size,
		.event_idx = p->event_idx,
		.in_order = p->in_order,
		.desc = p->memory.driver,
		.avail = p->memory.driver + PART_BYTES,
		.used = p->memory.driver + 2 * PART_BYTES,
		.tables = p->memory.driver + TABLES,
		.tables_addr = GPA(TABLES),
		.table_size = TABLE_SIZE,
	};
	assert_int_equal(via_drv_init(&p->drv, &config, NULL), 0);
	p->ring = (struct via_ring){
		.mem = p->memory.mem,
		.format = p->format,
		.size = p->size,
		.event_idx = p->event_idx,
		.in_order = p->in_order,
		.indirect = chance(2),
		.kick_fd = -1,
		.call_fd = -1,
	};
	if (p->format == VIA_RING_PACKED) {
		p->ring.packed.desc = (void *)p->memory.device;
		p->ring.packed.driver = (void *)(p->memory.device + PART_BYTES);
		p->ring.packed.device = (void *)(p->memory.device + 2 * PART_BYTES);
	} else {
		p->ring.split.desc = (void *)p->memory.device;
		p->ring.split.avail = (void *)(p->memory.device + PART_BYTES);
		p->ring.split.used = (void *)(p->memory.device + 2 * PART_BYTES);
	}
	move_start(p);
	pos = p->drv.avail;
	via_vq_start(&p->vq, &p->ring, pos, pos);
}

static void pair_close(struct pair *p)
{
	via_vq_stop(&p->vq);
	via_drv_free(&p->drv);
	memory_close(&p->memory);
	free(p->chain);
	free(p->given);
	free(p->entry);
}

static void step(struct pair *p)
{
	static void (*const steps[])(struct pair *) = {
		driver_adds,     driver_adds,         driver_adds,    driver_publishes,
		driver_decides,  driver_reaps,        driver_reaps,   driver_sleeps_or_wakes,
		device_pops,     device_pops_singles, device_unpops,  device_pushes,
		device_pushes,   device_publishes,    device_decides, device_sleeps_or_wakes,
		device_restarts,
	};

	uint32_t i = chance(ARRAY_SIZE(steps));

	/* For a while some steps are not taken: the ring fills, runs empty, is never published … */
	if (chance(200) == 0)
		p->mood = chance(1u << 31) & chance(1u << 31) & chance(1u << 31);
	if (!(p->mood >> i & 1))
		steps[i](p);
}

static void driver_device_and_model_agree_at_every_step(void **state)
{
	uint64_t steps = number_from("VIA_TEST_STEPS", 1000000);
	uint64_t seed = number_from("VIA_TEST_SEED", (uint64_t)time(NULL));
	struct pair *p = calloc(1, sizeof(*p));

	(void)state;
	print_message("VIA_TEST_SEED=%llu VIA_TEST_STEPS=%llu\n", (unsigned long long)seed,
		      (unsigned long long)steps);
	chance_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	while (steps > 0) {
		uint64_t n = 1 + chance(8000);

		pair_open(p);
		for (; n > 0 && steps > 0; n--, steps--)
			step(p);
		pair_close(p);
	}
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(driver_device_and_model_agree_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
