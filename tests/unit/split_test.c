/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/split.h: the split ring, device side */
#include "ring_rig.h"

static const struct rig_desc one_readable = { RIG_GPA, 64, 0, 0 };

static void nothing_available_is_nothing_popped(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	assert_int_equal(rig_pop(rig), 0);
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_NONE);
	rig_close(rig);
}

/* VQ-S-07, VQ-S-08 */
static void indices_wrap_from_65535_to_0_and_start_at_the_base(void **state)
{
	struct rig *rig = rig_open_bare(VIA_RING_SPLIT, 4, (struct via_ring_pos){ .idx = 65530 });

	(void)state;
	rig_region(rig, RIG_GPA, RIG_SIZE);
	for (uint16_t i = 0; i < 4; i++)
		split_desc(rig, i, one_readable);
	for (uint16_t n = 0; n < 20; n++) {
		uint16_t idx = (uint16_t)(65530 + n);

		split_head(rig, idx, n % 4);
		split_show(rig, (uint16_t)(idx + 1));
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.id, n % 4);
		assert_int_equal(rig_pop(rig), 0);
		rig_push(rig, &rig->chain, n);
		rig_publish(rig);
		assert_int_equal(split_used_idx(rig), (uint16_t)(idx + 1));
		assert_int_equal(split_used_id(rig, idx), n % 4);
		assert_int_equal(split_used_len(rig, idx), n);
	}
	rig_close(rig);
}

static void every_descriptor_begins_and_ends_a_chain(void **state)
{
	enum { SIZE = 8 };
	struct rig *rig = rig_open(VIA_RING_SPLIT, SIZE);
	uint16_t idx = 0;

	(void)state;
	for (uint16_t head = 0; head < SIZE; head++) {
		for (uint16_t n = 1; n <= SIZE; n++, idx++) {
			for (uint16_t i = 0; i < n; i++)
				split_desc(rig, (head + i) % SIZE,
					   (struct rig_desc){ RIG_GPA + 100 * i, 10 + i,
							      i + 1 < n ? VIA_DESC_NEXT : 0,
							      (head + i + 1) % SIZE });
			split_head(rig, idx, head);
			split_show(rig, (uint16_t)(idx + 1));
			assert_int_equal(rig_pop(rig), 1);
			assert_int_equal(rig->chain.id, head);
			assert_int_equal(rig->chain.nr_readable, n);
			assert_int_equal(rig->chain.nr_writable, 0);
			for (uint16_t i = 0; i < n; i++) {
				assert_ptr_equal(rig->seg[i].base,
						 rig_host(rig, RIG_GPA + 100 * i));
				assert_int_equal(rig->seg[i].len, 10 + i);
			}
			rig_push(rig, &rig->chain, 0);
			rig_publish(rig);
		}
	}
	rig_close(rig);
}

/* VQ-S-04, VQ-S-12 */
static void a_burst_becomes_visible_by_one_store_of_the_index(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 8);

	(void)state;
	for (uint16_t i = 0; i < 5; i++) {
		split_desc(rig, i, (struct rig_desc){ RIG_GPA, 64, VIA_DESC_WRITE, 0 });
		split_head(rig, i, i);
	}
	split_show(rig, 5);
	vq_prefetch(&rig->vq, &rig->ring, 8, VIA_RING_SPLIT);
	for (uint16_t i = 0; i < 5; i++) {
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, 10u * i);
		assert_int_equal(split_used_idx(rig), 0);
	}
	rig_publish(rig);
	assert_int_equal(split_used_idx(rig), 5);
	for (uint16_t i = 0; i < 5; i++) {
		assert_int_equal(split_used_id(rig, i), i);
		assert_int_equal(split_used_len(rig, i), 10 * i);
	}
	rig_close(rig);
}

/* VQ-S-01 */
static void the_descriptor_table_and_the_available_ring_are_never_written(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 256);

	(void)state;
	for (uint16_t i = 0; i < 256; i++) {
		split_desc(rig, i, one_readable);
		split_head(rig, i, i);
	}
	split_show(rig, 256);
	/* Both end where a guard page begins, so a whole page of each is theirs. */
	assert_int_equal(mprotect(rig->part[0], rig->sizes.desc, PROT_READ), 0);
	assert_int_equal(mprotect((void *)((uintptr_t)rig->part[1] & ~(uintptr_t)(PAGE - 1)), PAGE,
				  PROT_READ),
			 0);
	vq_disarm(&rig->vq, &rig->ring, VIA_RING_SPLIT);
	while (rig_pop(rig) == 1) {
		rig_push(rig, &rig->chain, 0);
		rig_publish(rig);
	}
	assert_false(vq_arm(&rig->vq, &rig->ring, VIA_RING_SPLIT));
	assert_int_equal(split_used_idx(rig), 256);
	rig_close(rig);
}

struct hostile_case {
	const char *what;
	struct rig_desc desc[4]; /* descriptors 0 to 3 */
	struct rig_desc table[4];
	enum via_broken why;
};
#define TABLE (RIG_GPA + PAGE)
#define INDIRECT(n)                                   \
	{                                             \
		TABLE, 16 * (n), VIA_DESC_INDIRECT, 0 \
	}

static void hostile_chains_break_the_queue_and_nothing_else(void **state)
{
	enum { NEXT = VIA_DESC_NEXT, WRITE = VIA_DESC_WRITE };
	static const struct hostile_case cases[] = {
		{ "next is the table's size (VX-03)", .desc = { { RIG_GPA, 64, NEXT, 4 } },
		  .why = VIA_BROKEN_NEXT },
		{ "next is 60000 (HX-29)", .desc = { { RIG_GPA, 64, NEXT, 60000 } },
		  .why = VIA_BROKEN_NEXT },
		{ "a descriptor points at itself (VX-04)", .desc = { { RIG_GPA, 64, NEXT, 0 } },
		  .why = VIA_BROKEN_LOOP },
		{ "an empty descriptor points at itself (HX-30)",
		  .desc = { { RIG_GPA, 0, NEXT, 0 } }, .why = VIA_BROKEN_LOOP },
		{ "two descriptors point at each other (HX-30)",
		  .desc = { { RIG_GPA, 64, NEXT, 1 }, { RIG_GPA, 64, NEXT, 0 } },
		  .why = VIA_BROKEN_LOOP },
		{ "address and length wrap (VX-07)", .desc = { { UINT64_MAX - 255, 512, 0, 0 } },
		  .why = VIA_BROKEN_ADDRESS },
		{ "the buffer lies in no region (VX-08)",
		  .desc = { { UINT64_C(1) << 40, 76, 0, 0 } }, .why = VIA_BROKEN_ADDRESS },
		{ "the buffer ends behind its region (VX-08)",
		  .desc = { { RIG_GPA + RIG_SIZE - 8, 76, 0, 0 } }, .why = VIA_BROKEN_ADDRESS },
		{ "the second buffer is bad (R15)",
		  .desc = { { RIG_GPA, 64, NEXT, 1 }, { 0, 1, 0, 0 } }, .why = VIA_BROKEN_ADDRESS },
		{ "the length is 2^32 - 1 (HX-31)", .desc = { { RIG_GPA, UINT32_MAX, 0, 0 } },
		  .why = VIA_BROKEN_ADDRESS },
		{ "readable after writable (VX-11)",
		  .desc = { { RIG_GPA, 64, NEXT | WRITE, 1 }, { RIG_GPA, 64, 0, 0 } },
		  .why = VIA_BROKEN_ORDER },
		{ "INDIRECT and NEXT (VX-14)",
		  .desc = { { TABLE, 16, VIA_DESC_INDIRECT | NEXT, 1 }, { RIG_GPA, 64, 0, 0 } },
		  .table = { { RIG_GPA, 64, 0, 0 } }, .why = VIA_BROKEN_INDIRECT },
		{ "a table in a table (VX-15)", .desc = { INDIRECT(1) }, .table = { INDIRECT(1) },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table of no bytes (VX-16)", .desc = { { TABLE, 0, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table of 15 bytes (VX-16)", .desc = { { TABLE, 15, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table of 17 bytes (VX-16)", .desc = { { TABLE, 17, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table of nearly 4 GiB (VX-17)",
		  .desc = { { TABLE, 0xfffffff0, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table longer than the ring (VX-17)", .desc = { INDIRECT(5) },
		  .table = { { RIG_GPA, 64, 0, 0 } }, .why = VIA_BROKEN_INDIRECT },
		{ "a table in no region (VX-38)", .desc = { { 0, 16, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_ADDRESS },
		{ "a table whose end lies in no region (HX-33)",
		  .desc = { { RIG_GPA + RIG_SIZE - 8, 16, VIA_DESC_INDIRECT, 0 } },
		  .why = VIA_BROKEN_ADDRESS },
		{ "next leaves the table (VX-03)", .desc = { INDIRECT(2) },
		  .table = { { RIG_GPA, 64, NEXT, 2 } }, .why = VIA_BROKEN_NEXT },
		{ "a loop inside a table (VX-04)", .desc = { INDIRECT(2) },
		  .table = { { RIG_GPA, 64, NEXT, 1 }, { RIG_GPA, 64, NEXT, 0 } },
		  .why = VIA_BROKEN_LOOP },
		{ "descriptors and table together longer than the ring (VX-04)",
		  .desc = { { RIG_GPA, 64, NEXT, 1 }, INDIRECT(4) },
		  .table = { { RIG_GPA, 64, NEXT, 1 },
			     { RIG_GPA, 64, NEXT, 2 },
			     { RIG_GPA, 64, NEXT, 3 },
			     { RIG_GPA, 64, 0, 0 } },
		  .why = VIA_BROKEN_LOOP },
		{ "readable in the table after writable before it (VX-11)",
		  .desc = { { RIG_GPA, 64, NEXT | WRITE, 1 }, INDIRECT(1) },
		  .table = { { RIG_GPA, 64, 0, 0 } }, .why = VIA_BROKEN_ORDER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

		print_message("%s\n", cases[i].what);
		for (uint16_t d = 0; d < 4; d++)
			split_desc(rig, d, cases[i].desc[d]);
		put_table(rig, TABLE, cases[i].table, 4);
		split_head(rig, 0, 0);
		split_show(rig, 1);
		rig_expect_broken(rig, cases[i].why);
		rig_close(rig);
	}
}

/* VX-01, HX-28 */
static void an_available_index_that_jumps_breaks_the_queue(void **state)
{
	static const uint16_t jumps[] = { 5, 30000, UINT16_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct rig *rig =
			rig_open_bare(VIA_RING_SPLIT, 4, (struct via_ring_pos){ .idx = 65534 });

		split_show(rig, (uint16_t)(65534 + jumps[i]));
		rig_expect_broken(rig, VIA_BROKEN_AVAIL_INDEX);
		rig_close(rig);
	}
}

/* VX-01, R14: what we hold and what is offered are never more than the ring has. */
static void an_available_index_that_jumps_while_chains_are_held_breaks_the_queue(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	split_desc(rig, 0, (struct rig_desc){ RIG_GPA, 64, 0, 0 });
	split_show(rig, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_pop(rig), 1);
	rig_push(rig, &rig->chain, 0); /* not shown to the driver */
	split_show(rig, 4);
	assert_int_equal(rig_pop(rig), 1);
	split_show(rig, 5);
	assert_int_equal(rig_pop(rig), -EOVERFLOW);
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_AVAIL_INDEX);
	rig_close(rig);
}

/* VX-02 */
static void a_head_outside_the_table_breaks_the_queue(void **state)
{
	static const uint16_t heads[] = { 4, 0x7fff, 0xffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

		/* All that are in the table could be taken, also by a head that is cut to size. */
		for (uint16_t d = 0; d < 4; d++)
			split_desc(rig, d, (struct rig_desc){ RIG_GPA, 100, 0, 0 });
		split_head(rig, 0, heads[i]);
		split_show(rig, 1);
		vq_prefetch(&rig->vq, &rig->ring, 4, VIA_RING_SPLIT);
		rig_expect_broken(rig, VIA_BROKEN_HEAD);
		rig_close(rig);
	}
}

/* VX-13 */
static void a_table_without_the_feature_breaks_the_queue(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	rig->ring.indirect = false;
	split_desc(rig, 0, (struct rig_desc)INDIRECT(1));
	put_table(rig, TABLE, &one_readable, 1);
	split_head(rig, 0, 0);
	split_show(rig, 1);
	rig_expect_broken(rig, VIA_BROKEN_INDIRECT);
	rig_close(rig);
}

static void chains_before_a_bad_one_are_still_given_back(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	split_desc(rig, 0, one_readable);
	split_head(rig, 0, 0);
	split_head(rig, 1, 9);
	split_show(rig, 2);
	assert_int_equal(rig_pop(rig), 1);
	rig_push(rig, &rig->chain, 0);
	assert_int_equal(rig_pop(rig), -ERANGE);
	rig_publish(rig);
	assert_int_equal(split_used_idx(rig), 1);
	rig_close(rig);
}

/* VQ-S-02, VQ-S-03 */
static void descriptors_and_a_table_behind_them_are_one_chain(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 8);
	static const struct rig_desc table[] = {
		{ RIG_GPA + 200, 20, VIA_DESC_NEXT, 2 },
		{ RIG_GPA, 1, VIA_DESC_INDIRECT, 0 }, /* never reached */
		{ RIG_GPA + 300, 30, VIA_DESC_WRITE, 0 },
	};

	(void)state;
	split_desc(rig, 3, (struct rig_desc){ RIG_GPA + 100, 10, VIA_DESC_NEXT, 7 });
	split_desc(rig, 7, (struct rig_desc){ TABLE, 48, VIA_DESC_INDIRECT | VIA_DESC_WRITE, 0 });
	put_table(rig, TABLE, table, 3);
	split_head(rig, 0, 3);
	split_show(rig, 1);
	assert_int_equal(rig_pop(rig), 1);
	assert_int_equal(rig->chain.id, 3);
	assert_int_equal(rig->chain.nr_readable, 2);
	assert_int_equal(rig->chain.readable_len, 30);
	assert_int_equal(rig->chain.nr_writable, 1);
	assert_int_equal(rig->chain.writable_len, 30);
	assert_ptr_equal(rig->seg[2].base, rig_host(rig, RIG_GPA + 300));
	rig_close(rig);
}

/* HX-30 */
static void a_chain_as_long_as_the_ring_is_legal(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 128);
	struct rig_desc table[128];

	(void)state;
	for (uint16_t i = 0; i < 128; i++) {
		table[i] = (struct rig_desc){ RIG_GPA + i, 1, i < 127 ? VIA_DESC_NEXT : 0, i + 1 };
		split_desc(rig, i, table[i]);
	}
	split_head(rig, 0, 0);
	split_show(rig, 1);
	assert_int_equal(rig_pop(rig), 1);
	assert_int_equal(rig->chain.nr_readable, 128);

	put_table(rig, TABLE, table, 128);
	split_desc(rig, 5, (struct rig_desc)INDIRECT(128));
	split_head(rig, 1, 5);
	split_show(rig, 2);
	assert_int_equal(rig_pop(rig), 1);
	assert_int_equal(rig->chain.nr_readable, 128);
	rig_close(rig);
}

/* VX-05: without in-flight tracking the device serves it twice. */
static void a_head_made_available_twice_is_served_twice(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	split_desc(rig, 2, one_readable);
	split_head(rig, 0, 2);
	split_head(rig, 1, 2);
	split_show(rig, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.id, 2);
		rig_push(rig, &rig->chain, 0);
	}
	rig_publish(rig);
	assert_int_equal(split_used_idx(rig), 2);
	rig_close(rig);
}

/* VX-36 */
static void a_driver_that_scribbles_over_the_used_ring_confuses_itself_only(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	split_desc(rig, 0, one_readable);
	for (uint16_t i = 0; i < 10; i++) {
		split_head(rig, i, 0);
		split_show(rig, (uint16_t)(i + 1));
		memset(rig->part[2], 0xa5, rig->sizes.used);
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, 0);
		rig_publish(rig);
		assert_int_equal(split_used_idx(rig), i + 1);
		assert_int_equal(split_used_id(rig, i), 0); /* VQ-S-09: also the upper half */
	}
	rig_close(rig);
}

static void unpopped_chains_come_again_in_order(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 8);
	struct via_ring_pos pos;

	(void)state;
	for (uint16_t i = 0; i < 6; i++) {
		split_desc(rig, i, one_readable);
		split_head(rig, i, i);
	}
	split_show(rig, 6);
	assert_int_equal(rig_pop(rig), 1);
	rig_push(rig, &rig->chain, 0);
	pos = rig->vq.avail;
	for (uint16_t i = 1; i < 6; i++)
		assert_int_equal(rig_pop(rig), 1);
	assert_int_equal(rig_pop(rig), 0);
	vq_unpop(&rig->vq, pos);
	rig_publish(rig);
	assert_int_equal(split_used_idx(rig), 1);
	for (uint16_t i = 1; i < 6; i++) {
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.id, i);
	}
	rig_close(rig);
}

static void the_short_cut_takes_single_descriptors_and_judges_nothing(void **state)
{
	static const struct rig_desc odd[] = {
		{ RIG_GPA, 8, VIA_DESC_WRITE, 0 },   /* the other direction */
		{ RIG_GPA, 8, VIA_DESC_NEXT, 0 },    /* longer */
		{ TABLE, 16, VIA_DESC_INDIRECT, 0 }, /* a table */
		{ RIG_GPA, 0, 0, 0 },                /* empty */
		{ RIG_GPA + RIG_SIZE - 8, 9, 0, 0 }, /* a byte too long */
		{ RIG_GPA - 1, 8, 0, 0 },            /* a byte too early */
		{ RIG_GPA, UINT32_MAX, 0, 0 },       /* far too long */
		{ UINT64_MAX, 1, 0, 0 },             /* nowhere */
	};
	struct via_batch_entry entry[4];

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(odd); i++) {
		struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

		split_desc(rig, 0, one_readable);
		split_desc(rig, 1, (struct rig_desc){ RIG_GPA + RIG_SIZE - 8, 8, 0, 0 });
		if (i < ARRAY_SIZE(odd))
			split_desc(rig, 2, odd[i]);
		split_head(rig, 0, 0);
		split_head(rig, 1, 1);
		split_head(rig, 2, i < ARRAY_SIZE(odd) ? 2 : 4); /* a head outside: VX-02 */
		split_show(rig, 3);
		assert_int_equal(vq_pop_singles(&rig->vq, &rig->ring, rig->seg, entry, 4, 0,
						VIA_READABLE, VIA_RING_SPLIT),
				 0); /* nothing was looked for yet */
		vq_prefetch(&rig->vq, &rig->ring, 4, VIA_RING_SPLIT);
		assert_int_equal(vq_pop_singles(&rig->vq, &rig->ring, rig->seg, entry, 4, 0,
						VIA_READABLE, VIA_RING_SPLIT),
				 2);
		assert_int_equal(entry[1].id, 1);
		assert_ptr_equal(rig->seg[1].base, rig_host(rig, RIG_GPA + RIG_SIZE - 8));
		assert_int_equal(rig->vq.avail.idx, 2);
		assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_NONE);
		rig_close(rig);
	}
}

/* VQ-S-11, §4 */
static void an_in_order_batch_is_one_element_at_its_first_slot(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 8);

	(void)state;
	rig->ring.in_order = true;
	memset(rig->part[2] + 4, 0xff, 64);
	for (uint16_t i = 0; i < 6; i++) {
		split_desc(rig, i, one_readable);
		split_head(rig, i, i);
	}
	split_show(rig, 6);
	for (uint16_t i = 0; i < 6; i++)
		assert_int_equal(rig_pop(rig), 1);
	vq_push_batch(&rig->vq, &rig->ring, 4, 4, 3, VIA_RING_SPLIT);
	vq_push_batch(&rig->vq, &rig->ring, 2, 2, 5, VIA_RING_SPLIT);
	rig_publish(rig);
	assert_int_equal(split_used_idx(rig), 6);
	assert_int_equal(split_used_id(rig, 0), 3);
	assert_int_equal(split_used_id(rig, 4), 5);
	assert_int_equal(split_used_id(rig, 1), UINT32_MAX);
	assert_int_equal(split_used_id(rig, 5), UINT32_MAX);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_available_is_nothing_popped),
		cmocka_unit_test(indices_wrap_from_65535_to_0_and_start_at_the_base),
		cmocka_unit_test(every_descriptor_begins_and_ends_a_chain),
		cmocka_unit_test(a_burst_becomes_visible_by_one_store_of_the_index),
		cmocka_unit_test(the_descriptor_table_and_the_available_ring_are_never_written),
		cmocka_unit_test(hostile_chains_break_the_queue_and_nothing_else),
		cmocka_unit_test(an_available_index_that_jumps_breaks_the_queue),
		cmocka_unit_test(
			an_available_index_that_jumps_while_chains_are_held_breaks_the_queue),
		cmocka_unit_test(a_head_outside_the_table_breaks_the_queue),
		cmocka_unit_test(a_table_without_the_feature_breaks_the_queue),
		cmocka_unit_test(chains_before_a_bad_one_are_still_given_back),
		cmocka_unit_test(descriptors_and_a_table_behind_them_are_one_chain),
		cmocka_unit_test(a_chain_as_long_as_the_ring_is_legal),
		cmocka_unit_test(a_head_made_available_twice_is_served_twice),
		cmocka_unit_test(a_driver_that_scribbles_over_the_used_ring_confuses_itself_only),
		cmocka_unit_test(unpopped_chains_come_again_in_order),
		cmocka_unit_test(an_in_order_batch_is_one_element_at_its_first_slot),
		cmocka_unit_test(the_short_cut_takes_single_descriptors_and_judges_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
