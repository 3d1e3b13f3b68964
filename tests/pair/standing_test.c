/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver with standing chains (ring/standing.h) against our device's ring, and against devices that
 * break rules. What the device finds is compared with what was set, and what comes back with what went.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/standing.h"
#include "ring/vq.h"
#include "tests/test.h"

#define SIZE   64
#define BUFFER 256
#define MEMORY (1 << 20)
#define AVAIL  (16 << 10) /* where parts of the ring lie in the memory */
#define USED   (32 << 10)
#define TABLES (64 << 10)
#define DATA   (512 << 10)
#define STEPS  20000

struct shape {
	const char *what;
	uint32_t nr; /* buffers of a chain */
	bool writable;
	enum via_drv_form form;
};

static const struct shape shapes[] = {
	{ "one buffer to write", 1, true, VIA_DRV_DIRECT },
	{ "one buffer to read", 1, false, VIA_DRV_DIRECT },
	{ "four descriptors", 4, false, VIA_DRV_DIRECT },
	{ "a table of four", 4, false, VIA_DRV_INDIRECT },
};

struct pair {
	const struct shape *shape;
	enum via_ring_format format;
	bool in_order;
	uint8_t *memory;
	struct via_mem *mem;
	struct via_standing st;
	struct via_ring ring;
	struct via_vq vq;

	struct via_hand mine[SIZE]; /* in the driver's hands, a queue */
	uint32_t nr_mine;
	struct via_hand posted[SIZE]; /* in the order of posting, with the bytes given back */
	uint32_t nr_posted;
	struct via_chain held[SIZE]; /* the device's */
	uint32_t nr_held;
	struct via_hand given[SIZE]; /* what the driver must get next */
	uint32_t nr_given, nr_shown;
};

static uint64_t chance_state = 1;

static uint32_t chance(uint32_t n) /* 0 to n - 1 */
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (uint32_t)((chance_state * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* ---- setting up ---- */

static uint64_t buffer_of(uint32_t id, uint32_t k)
{
	return DATA + (uint64_t)(id * 4 + k) * BUFFER;
}

/* Buffers of a chain all differ in length. */
static uint32_t len_of(uint32_t k)
{
	return BUFFER - k;
}

static struct via_drv_config config_of(struct pair *p)
{
	return (struct via_drv_config){
		.format = p->format,
		.size = SIZE,
		.in_order = p->in_order,
		.desc = p->memory,
		.avail = p->memory + AVAIL,
		.used = p->memory + USED,
		.tables = p->memory + TABLES,
		.tables_addr = TABLES,
		.table_size = 4,
	};
}

static void set_chains(struct pair *p)
{
	const struct shape *shape = p->shape;

	for (uint32_t i = 0; i < p->st.nr_chains; i++) {
		uint32_t id = i * p->st.nr_slots;
		struct via_drv_buffer buf[4];

		for (uint32_t k = 0; k < shape->nr; k++)
			buf[k] = (struct via_drv_buffer){ buffer_of(id, k), len_of(k) };
		via_standing_set(&p->st, i, buf, shape->writable ? 0 : shape->nr,
				 shape->writable ? shape->nr : 0, shape->form);
		p->mine[p->nr_mine++].id = id;
	}
}

static void start_device(struct pair *p)
{
	const struct via_ring_pos pos = { .wrap = p->format == VIA_RING_PACKED };

	p->ring = (struct via_ring){
		.mem = p->mem,
		.format = p->format,
		.size = SIZE,
		.in_order = p->in_order,
		.indirect = true,
		.kick_fd = -1,
		.call_fd = -1,
	};
	if (p->format == VIA_RING_PACKED) {
		p->ring.packed.desc = (void *)p->memory;
		p->ring.packed.driver = (void *)(p->memory + AVAIL);
		p->ring.packed.device = (void *)(p->memory + USED);
	} else {
		p->ring.split.desc = (void *)p->memory;
		p->ring.split.avail = (void *)(p->memory + AVAIL);
		p->ring.split.used = (void *)(p->memory + USED);
	}
	via_vq_start(&p->vq, &p->ring, pos, pos);
}

static struct pair *pair_open(enum via_ring_format format, bool in_order, const struct shape *shape)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct via_drv_config config;

	p->shape = shape;
	p->format = format;
	p->in_order = in_order;
	p->memory = aligned_alloc(4096, MEMORY);
	memset(p->memory, 0, MEMORY);
	p->mem = calloc(1, sizeof(*p->mem) + sizeof(struct via_region));
	p->mem->nr_regions = 1;
	p->mem->region[0] = (struct via_region){ .size = MEMORY, .host = p->memory };
	config = config_of(p);
	assert_int_equal(
		via_standing_init(&p->st, &config,
				  shape->form == VIA_DRV_INDIRECT ? 1 : (uint16_t)shape->nr, NULL),
		0);
	set_chains(p);
	start_device(p);
	return p;
}

static void pair_close(struct pair *p)
{
	via_vq_stop(&p->vq);
	via_standing_free(&p->st);
	free(p->mem);
	free(p->memory);
	free(p);
}

/* ---- steps ---- */

static void shift(struct via_hand *queue, uint32_t *nr, uint32_t n)
{
	*nr -= n;
	memmove(queue, queue + n, *nr * sizeof(*queue));
}

static void driver_posts(struct pair *p, uint32_t n)
{
	if (p->format == VIA_RING_PACKED) {
		standing_post(&p->st, p->mine, n, VIA_RING_PACKED);
		drv_publish(&p->st.ring, VIA_RING_PACKED);
	} else {
		standing_post(&p->st, p->mine, n, VIA_RING_SPLIT);
		drv_publish(&p->st.ring, VIA_RING_SPLIT);
	}
	memcpy(p->posted + p->nr_posted, p->mine, n * sizeof(*p->mine));
	p->nr_posted += n;
	shift(p->mine, &p->nr_mine, n);
}

static void expect_chain(struct pair *p, const struct via_chain *chain, uint32_t id)
{
	uint32_t nr = p->shape->writable ? chain->nr_writable : chain->nr_readable;

	assert_int_equal(chain->id, id);
	assert_int_equal(nr, p->shape->nr);
	assert_int_equal(chain->nr_readable + chain->nr_writable, nr);
	for (uint32_t k = 0; k < nr; k++) {
		assert_ptr_equal(chain->seg[k].base, p->memory + buffer_of(id, k));
		assert_int_equal(chain->seg[k].len, len_of(k));
	}
}

static void device_pops(struct pair *p, uint32_t max)
{
	struct via_seg seg[8];

	for (; max > 0 && p->nr_posted > 0; max--) {
		struct via_chain *chain = &p->held[p->nr_held];

		assert_int_equal(vq_pop(&p->vq, &p->ring, chain, seg, 8, p->format), 1);
		expect_chain(p, chain, p->posted[0].id);
		shift(p->posted, &p->nr_posted, 1);
		p->nr_held++;
	}
}

static void forget_held(struct pair *p, uint32_t i, uint32_t len)
{
	p->given[p->nr_given++] = (struct via_hand){ p->held[i].id, len };
	p->nr_held--;
	memmove(&p->held[i], &p->held[i + 1], (p->nr_held - i) * sizeof(p->held[0]));
}

/* Gives 'n' back one by one; without IN_ORDER in any order. */
static void device_pushes(struct pair *p, uint32_t n)
{
	for (; n > 0; n--) {
		uint32_t i = p->in_order ? 0 : chance(p->nr_held);
		uint32_t len = p->shape->writable ? chance(BUFFER + 1) : 0;

		vq_push(&p->vq, &p->ring, &p->held[i], len, p->format);
		forget_held(p, i, len);
	}
}

/* Gives 'n' back by naming the last one. */
static void device_pushes_batch(struct pair *p, uint32_t n)
{
	uint32_t slots = 0;

	for (uint32_t i = 0; i < n; i++)
		slots += p->held[i].nr_slots;
	vq_push_batch(&p->vq, &p->ring, n, slots, p->held[n - 1].id, p->format);
	for (uint32_t i = 0; i < n; i++)
		forget_held(p, 0, 0);
}

static void device_publishes(struct pair *p)
{
	vq_publish(&p->vq, &p->ring, p->format);
	p->nr_shown = p->nr_given;
}

static uint32_t reap(struct pair *p, struct via_hand *hand, uint32_t max)
{
	return p->format == VIA_RING_PACKED ? standing_reap(&p->st, hand, max, VIA_RING_PACKED)
					    : standing_reap(&p->st, hand, max, VIA_RING_SPLIT);
}

static void driver_reaps(struct pair *p, uint32_t max)
{
	struct via_hand hand[SIZE];
	uint32_t n = reap(p, hand, max);

	assert_false(p->st.ring.broken);
	assert_true(n <= p->nr_shown && n <= max);
	assert_true(n > 0 || p->nr_shown == 0 || max == 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(hand[i].id, p->given[i].id);
		assert_int_equal(hand[i].len, p->given[i].len);
	}
	memcpy(p->mine + p->nr_mine, hand, n * sizeof(*hand));
	p->nr_mine += n;
	shift(p->given, &p->nr_given, n);
	p->nr_shown -= n;
}

static void step(struct pair *p)
{
	switch (chance(4)) {
	case 0:
		driver_posts(p, chance(p->nr_mine + 1));
		break;
	case 1:
		device_pops(p, chance(SIZE));
		break;
	case 2:
		if (p->in_order && !p->shape->writable && p->nr_held && chance(2))
			device_pushes_batch(p, 1 + chance(p->nr_held));
		else
			device_pushes(p, chance(p->nr_held + 1));
		device_publishes(p);
		break;
	case 3:
		driver_reaps(p, chance(SIZE));
		break;
	}
}

static void chains_go_round(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4 * ARRAY_SIZE(shapes); i++) {
		struct pair *p =
			pair_open(i & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT, i & 2, &shapes[i / 4]);

		print_message("%s, %s%s\n", p->shape->what, i & 1 ? "packed" : "split",
			      i & 2 ? ", in order" : "");
		for (uint32_t k = 0; k < STEPS; k++)
			step(p);
		assert_int_equal(p->vq.broken, VIA_BROKEN_NONE);
		pair_close(p);
	}
}

static void all_chains_fit_at_any_time(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct pair *p =
			pair_open(i & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT, i & 2, &shapes[1]);

		for (uint32_t lap = 0; lap < 5; lap++) {
			driver_posts(p, SIZE);
			device_pops(p, SIZE);
			device_pushes(p, SIZE);
			device_publishes(p);
			driver_reaps(p, SIZE);
			assert_int_equal(p->nr_mine, SIZE);
		}
		pair_close(p);
	}
}

static void an_available_entry_is_written_when_it_changes_only(void **state)
{
	struct pair *p = pair_open(VIA_RING_SPLIT, true, &shapes[1]);
	struct via_split_avail *avail = (void *)(p->memory + AVAIL);

	(void)state;
	driver_posts(p, SIZE);
	device_pops(p, SIZE);
	device_pushes(p, SIZE);
	device_publishes(p);
	driver_reaps(p, SIZE);
	via_le16_store(&avail->ring[5], 77);
	driver_posts(p, SIZE);
	assert_int_equal(via_le16_load(&avail->ring[5]), 77);
	assert_int_equal(via_le16_load(&avail->idx), 2 * SIZE);
	pair_close(p);
}

/* ---- devices that break rules ---- */

static void use_split(struct pair *p, uint16_t at, uint32_t id, uint32_t len, uint16_t idx)
{
	struct via_split_used *used = (void *)(p->memory + USED);

	via_le32_store(&used->ring[at].id, id);
	via_le32_store(&used->ring[at].len, len);
	via_le16_store(&used->idx, idx);
}

static void use_packed(struct pair *p, uint16_t at, uint32_t id, uint32_t len)
{
	struct via_desc_words *desc = (void *)p->memory;
	uint64_t flags = VIA_DESC_AVAIL | VIA_DESC_USED | VIA_DESC_WRITE;

	via_le64_store(&desc[at].tail, len | (uint64_t)id << 32 | flags << 48);
}

static void use(struct pair *p, uint16_t at, uint32_t id, uint32_t len, uint16_t idx)
{
	if (p->st.ring.format == VIA_RING_PACKED)
		use_packed(p, at, id, len);
	else
		use_split(p, at, id, len, idx);
}

static void a_device_that_breaks_a_rule_breaks_the_ring(void **state)
{
	static const struct {
		const char *what;
		uint32_t id, len;
		uint16_t idx; /* split: the used index */
		bool fine;
	} cases[] = {
		{ "what was posted", 1, BUFFER, 1, true },
		{ "an id that was not posted", 2, 0, 1, false },
		{ "an id outside the ring", SIZE, 0, 1, false },
		{ "an id far outside the ring", 0xffff, 0, 1, false },
		{ "more bytes than there is room for", 0, BUFFER + 1, 1, false },
		{ "a length that wraps", 0, UINT32_MAX, 1, false },
		{ "more chains than were posted", 0, 0, 3, false },
	};

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(cases); i++) {
		enum via_ring_format format = i & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT;
		struct pair *p = pair_open(format, i & 2, &shapes[0]);
		struct via_hand hand[SIZE];

		if (format == VIA_RING_PACKED && cases[i / 4].idx > 1) {
			pair_close(p);
			continue;
		}
		print_message("%s\n", cases[i / 4].what);
		driver_posts(p, 2);
		/* IN_ORDER: what is before 'id' was used with it */
		use(p, 0, cases[i / 4].id, cases[i / 4].len,
		    cases[i / 4].fine && (i & 2) ? 2 : cases[i / 4].idx);
		assert_int_equal(reap(p, hand, SIZE), !cases[i / 4].fine ? 0 : i & 2 ? 2 : 1);
		assert_int_equal(p->st.ring.broken, !cases[i / 4].fine);
		if (!cases[i / 4].fine) { /* and so it stays */
			use(p, 0, 0, 0, 1);
			assert_int_equal(reap(p, hand, SIZE), 0);
		}
		pair_close(p);
	}
}

static void a_chain_comes_back_once(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct pair *p =
			pair_open(i & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT, i & 2, &shapes[0]);
		struct via_hand hand[SIZE];

		driver_posts(p, 2);
		for (uint16_t k = 0; k < 2; k++)
			use(p, k, 0, 0, (uint16_t)(k + 1));
		assert_int_equal(reap(p, hand, SIZE), 1);
		assert_int_equal(reap(p, hand, SIZE), 0);
		assert_true(p->st.ring.broken);
		pair_close(p);
	}
}

static void what_was_never_posted_does_not_come_back_as_a_batch(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct pair *p = pair_open(i ? VIA_RING_PACKED : VIA_RING_SPLIT, true, &shapes[0]);
		struct via_hand hand[SIZE];

		use(p, 0, 0, 0, 1);
		assert_int_equal(reap(p, hand, SIZE), 0);
		assert_true(p->st.ring.broken);
		pair_close(p);
	}
}

static void a_batch_ends_within_the_used_index(void **state)
{
	struct pair *p = pair_open(VIA_RING_SPLIT, true, &shapes[0]);
	struct via_hand hand[SIZE];

	(void)state;
	driver_posts(p, 4);
	use_split(p, 0, 3, 0, 2);
	assert_int_equal(reap(p, hand, SIZE), 0);
	assert_true(p->st.ring.broken);
	pair_close(p);
}

static void what_cannot_be_is_refused(void **state)
{
	uint8_t *memory = aligned_alloc(4096, MEMORY);
	struct pair p = { .memory = memory };
	struct via_drv_config config = config_of(&p);
	struct via_standing st;
	struct via_error err;

	(void)state;
	assert_int_equal(via_standing_init(&st, &config, 0, &err), -EINVAL);
	assert_int_equal(via_standing_init(&st, &config, SIZE + 1, &err), -EINVAL);
	config.in_order = true;
	assert_int_equal(via_standing_init(&st, &config, 3, &err), -EINVAL);
	assert_string_equal(err.text, "IN_ORDER needs a ring of a multiple of 3 slots, not 64");
	config.in_order = false;
	assert_int_equal(via_standing_init(&st, &config, 3, &err), 0);
	assert_int_equal(st.nr_chains, 21);
	via_standing_free(&st);
	config.size = SIZE - 1;
	assert_int_equal(via_standing_init(&st, &config, 1, &err), -EINVAL);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_go_round),
		cmocka_unit_test(all_chains_fit_at_any_time),
		cmocka_unit_test(an_available_entry_is_written_when_it_changes_only),
		cmocka_unit_test(a_device_that_breaks_a_rule_breaks_the_ring),
		cmocka_unit_test(a_chain_comes_back_once),
		cmocka_unit_test(what_was_never_posted_does_not_come_back_as_a_batch),
		cmocka_unit_test(a_batch_ends_within_the_used_index),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
