/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/packed.h: the packed ring, device side */
#include "ring_rig.h"

#define TABLE (RIG_GPA + PAGE)

static void advance(struct rig *rig, struct via_ring_pos *pos, uint32_t n)
{
	while (n--) {
		if (++pos->idx == rig->size) {
			pos->idx = 0;
			pos->wrap = !pos->wrap;
		}
	}
}

static void assert_used(struct rig *rig, struct via_ring_pos pos, uint32_t id, uint32_t len)
{
	uint32_t flags = (pos.wrap ? 1u << 7 | 1u << 15 : 0) | (len ? VIA_DESC_WRITE : 0);

	assert_int_equal(packed_slot_flags(rig, pos.idx), flags); /* VQ-P-09 */
	assert_int_equal(packed_slot_id(rig, pos.idx), id);
	assert_int_equal(packed_slot_len(rig, pos.idx), len);
}

/* VQ-P-03: only a change of AVAIL counts. */
static void a_slot_is_available_in_its_own_lap_only(void **state)
{
	static const uint16_t bits[4] = { 0, 1 << 7, 1 << 15, 1 << 7 | 1 << 15 };

	(void)state;
	for (int wrap = 0; wrap < 2; wrap++) {
		for (int i = 0; i < 4; i++) {
			struct rig *rig = rig_open_bare(VIA_RING_PACKED, 4,
							(struct via_ring_pos){ .wrap = wrap });

			packed_desc(rig, 0, (struct rig_desc){ RIG_GPA, 0, bits[i], 0 });
			assert_int_equal(rig_pop(rig), bits[i] == packed_offer(wrap));
			rig_close(rig);
		}
	}
}

/* VQ-P-01, P-05, P-07, P-08: chains of every length that fits, begun at every slot. */
static void walk_laps(uint16_t size, uint32_t max_chain, uint32_t rounds)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, size);
	struct via_ring_pos driver = { .wrap = true }, used = driver;

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t n = 1 + round % via_min_u(max_chain, size);
		struct via_ring_pos start = driver;

		packed_offer_chain(rig, &driver, n, 32, round);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.id, (uint16_t)round);
		assert_int_equal(rig->chain.nr_slots, n);
		assert_int_equal(rig->chain.nr_readable, n);
		for (uint32_t i = 0; i < n; i++)
			assert_ptr_equal(rig->seg[i].base, rig_host(rig, RIG_GPA + 64 * i));
		assert_int_equal(rig_pop(rig), 0);
		rig_push(rig, &rig->chain, round % 3);
		rig_publish(rig);
		assert_used(rig, used, (uint16_t)round, round % 3);
		for (uint32_t i = 1; i < n; i++) { /* the others are left alone */
			advance(rig, &start, 1);
			assert_int_equal(packed_slot_flags(rig, start.idx) & ~VIA_DESC_NEXT,
					 packed_offer(start.wrap));
		}
		advance(rig, &used, n);
		assert_int_equal(rig->vq.used.idx, used.idx);
		assert_int_equal(rig->vq.used.wrap, used.wrap);
	}
	rig_close(rig);
}

static void chains_begin_at_every_slot_of_rings_of_any_size(void **state)
{
	(void)state;
	walk_laps(1, 1, 10);
	walk_laps(3, 3, 100);
	walk_laps(255, 255, 70000);
	walk_laps(256, 7, 4000);
	walk_laps(32768, 101, 4000);
}

/* VQ-P-06 */
static void a_batch_becomes_visible_by_its_first_slot(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 8);
	struct via_ring_pos driver = { .wrap = true };

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		packed_offer_chain(rig, &driver, 2, 32, i);
	vq_prefetch(&rig->vq, &rig->ring, 64, VIA_RING_PACKED);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, i);
		assert_int_equal(packed_slot_flags(rig, 0), packed_offer(true) | VIA_DESC_NEXT);
	}
	rig_publish(rig);
	for (uint16_t i = 0; i < 4; i++)
		assert_used(rig, (struct via_ring_pos){ (uint16_t)(2 * i), true }, i, i);
	rig_close(rig);
}

/* VQ-P-13 */
static void a_base_in_the_middle_of_a_lap_is_served_from_there(void **state)
{
	(void)state;
	for (int wrap = 0; wrap < 2; wrap++) {
		struct via_ring_pos pos = { .idx = 5, .wrap = wrap }, driver = pos;
		struct rig *rig = rig_open_bare(VIA_RING_PACKED, 7, pos);

		rig_region(rig, RIG_GPA, RIG_SIZE);
		for (uint32_t i = 0; i < 20; i++) {
			struct via_ring_pos used = driver;

			packed_offer_chain(rig, &driver, 1 + i % 3, 8, i);
			assert_int_equal(rig_pop(rig), 1);
			rig_push(rig, &rig->chain, 0);
			rig_publish(rig);
			assert_used(rig, used, i, 0);
		}
		rig_close(rig);
	}
}

/* VQ-P-10 */
static void a_table_is_read_in_sequence_and_only_for_write(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 4);
	static const struct rig_desc table[] = {
		{ RIG_GPA, 10, 0x8080 | VIA_DESC_INDIRECT, 0xffff },
		{ RIG_GPA + 10, 20, VIA_DESC_NEXT, 9 },
		{ RIG_GPA + 30, 40, VIA_DESC_WRITE | VIA_DESC_NEXT, 1 },
	};

	(void)state;
	put_table(rig, TABLE, table, 3);
	packed_desc(rig, 0,
		    (struct rig_desc){ TABLE, 48,
				       packed_offer(true) | VIA_DESC_INDIRECT | VIA_DESC_WRITE,
				       0xbeef });
	assert_int_equal(rig_pop(rig), 1);
	assert_int_equal(rig->chain.id, 0xbeef); /* VX-27: echoed, whatever it is */
	assert_int_equal(rig->chain.nr_slots, 1);
	assert_int_equal(rig->chain.nr_readable, 2);
	assert_int_equal(rig->chain.nr_writable, 1);
	assert_int_equal(rig->chain.readable_len, 30);
	assert_int_equal(rig->chain.writable_len, 40);
	rig_push(rig, &rig->chain, 40);
	rig_publish(rig);
	assert_used(rig, rig_start_pos(VIA_RING_PACKED), 0xbeef, 40);
	rig_close(rig);
}

static void hostile_chains_break_the_queue_and_nothing_else(void **state)
{
	enum {
		OFFER = 1 << 7,
		NEXT = VIA_DESC_NEXT,
		WRITE = VIA_DESC_WRITE,
		INDIRECT = VIA_DESC_INDIRECT,
	};
	static const struct {
		const char *what;
		struct rig_desc desc[4];
		struct rig_desc table[2];
		enum via_broken why;
	} cases[] = {
		{ "NEXT on all slots (VX-26)",
		  .desc = { { RIG_GPA, 8, OFFER | NEXT, 0 },
			    { RIG_GPA, 8, OFFER | NEXT, 0 },
			    { RIG_GPA, 8, OFFER | NEXT, 0 },
			    { RIG_GPA, 8, OFFER | NEXT, 0 } },
		  .why = VIA_BROKEN_LOOP },
		{ "a lower slot is not available (VX-25)",
		  .desc = { { RIG_GPA, 8, OFFER | NEXT, 0 }, { RIG_GPA, 8, 0, 0 } },
		  .why = VIA_BROKEN_LOWER_SLOT },
		{ "a lower slot is used (VX-25)",
		  .desc = { { RIG_GPA, 8, OFFER | NEXT, 0 }, { RIG_GPA, 8, 0x8080, 0 } },
		  .why = VIA_BROKEN_LOWER_SLOT },
		{ "an INDIRECT descriptor ends a list (VX-15)",
		  .desc = { { RIG_GPA, 8, OFFER | NEXT, 0 }, { TABLE, 16, OFFER | INDIRECT, 0 } },
		  .table = { { RIG_GPA, 8, 0, 0 } }, .why = VIA_BROKEN_INDIRECT },
		{ "INDIRECT and NEXT (VX-14)",
		  .desc = { { TABLE, 16, OFFER | INDIRECT | NEXT, 0 }, { RIG_GPA, 8, OFFER, 0 } },
		  .table = { { RIG_GPA, 8, 0, 0 } }, .why = VIA_BROKEN_INDIRECT },
		{ "a table of no bytes (VX-16)", .desc = { { TABLE, 0, OFFER | INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table of 17 bytes (VX-16)", .desc = { { TABLE, 17, OFFER | INDIRECT, 0 } },
		  .why = VIA_BROKEN_INDIRECT },
		{ "a table longer than the ring (VX-17)",
		  .desc = { { TABLE, 80, OFFER | INDIRECT, 0 } }, .why = VIA_BROKEN_INDIRECT },
		{ "a table in no region (VX-38)", .desc = { { 0, 16, OFFER | INDIRECT, 0 } },
		  .why = VIA_BROKEN_ADDRESS },
		{ "readable after writable (VX-11)",
		  .desc = { { RIG_GPA, 8, OFFER | NEXT | WRITE, 0 }, { RIG_GPA, 8, OFFER, 0 } },
		  .why = VIA_BROKEN_ORDER },
		{ "readable after writable in a table (VX-11)",
		  .desc = { { TABLE, 32, OFFER | INDIRECT, 0 } },
		  .table = { { RIG_GPA, 8, WRITE, 0 }, { RIG_GPA, 8, 0, 0 } },
		  .why = VIA_BROKEN_ORDER },
		{ "the buffer lies in no region (VX-08)",
		  .desc = { { UINT64_C(1) << 40, 8, OFFER, 0 } }, .why = VIA_BROKEN_ADDRESS },
		{ "address and length wrap (VX-07)",
		  .desc = { { UINT64_MAX - 255, 512, OFFER, 0 } }, .why = VIA_BROKEN_ADDRESS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *rig = rig_open(VIA_RING_PACKED, 4);

		print_message("%s\n", cases[i].what);
		for (uint16_t d = 0; d < 4; d++)
			packed_desc(rig, d, cases[i].desc[d]);
		put_table(rig, TABLE, cases[i].table, 2);
		rig_expect_broken(rig, cases[i].why);
		rig_close(rig);
	}
}

/* VX-28: flags flipped for the next lap while nothing was given back yet. */
static void slots_that_are_not_the_drivers_are_not_taken_again(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 3);
	struct via_ring_pos driver = { .wrap = true };
	struct via_batch_entry entry[16];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		packed_offer_chain(rig, &driver, 1, 8, i);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(rig_pop(rig), 1);
	packed_offer_chain(rig, &driver, 1, 8, 3);
	rig_expect_broken(rig, VIA_BROKEN_AVAIL_INDEX);
	rig_close(rig);

	rig = rig_open(VIA_RING_PACKED, 3); /* nor by the short cut */
	driver = (struct via_ring_pos){ .wrap = true };
	for (uint32_t i = 0; i < 3; i++)
		packed_offer_chain(rig, &driver, 1, 8, i);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(vq_pop_singles(&rig->vq, &rig->ring, rig->seg, entry, 16, 0,
						VIA_READABLE, VIA_RING_PACKED),
				 i == 0 ? 3 : 0);
		packed_offer_chain(rig, &driver, 1, 8, 3);
	}
	rig_expect_broken(rig, VIA_BROKEN_AVAIL_INDEX);
	rig_close(rig);

	rig = rig_open(VIA_RING_PACKED, 3); /* a list over what is ours and what is not */
	driver = (struct via_ring_pos){ .wrap = true };
	packed_offer_chain(rig, &driver, 2, 8, 0);
	assert_int_equal(rig_pop(rig), 1);
	packed_offer_chain(rig, &driver, 2, 8, 1);
	rig_expect_broken(rig, VIA_BROKEN_LOOP);
	rig_close(rig);
}

static void unpopped_chains_come_again_in_order(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 7);
	struct via_ring_pos driver = { .idx = 0, .wrap = true }, pos;

	(void)state;
	for (uint32_t lap = 0; lap < 20; lap++) {
		for (uint32_t i = 0; i < 3; i++)
			packed_offer_chain(rig, &driver, 2, 8, i);
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, 0);
		pos = rig->vq.avail;
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig_pop(rig), 1);
		vq_unpop(&rig->vq, pos);
		rig_publish(rig);
		for (uint32_t i = 1; i < 3; i++) {
			assert_int_equal(rig_pop(rig), 1);
			assert_int_equal(rig->chain.id, i);
			rig_push(rig, &rig->chain, 0);
		}
		rig_publish(rig);
	}
	rig_close(rig);
}

/* §4 */
static void an_in_order_batch_is_one_descriptor_and_skips_all_its_slots(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 8);
	struct via_ring_pos driver = { .wrap = true };

	(void)state;
	rig->ring.in_order = true;
	for (uint32_t i = 0; i < 4; i++)
		packed_offer_chain(rig, &driver, 2, 8, i);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(rig_pop(rig), 1);
	vq_push_batch(&rig->vq, &rig->ring, 3, 6, 2, VIA_RING_PACKED);
	vq_push_batch(&rig->vq, &rig->ring, 1, 2, 3, VIA_RING_PACKED);
	rig_publish(rig);
	assert_used(rig, (struct via_ring_pos){ 0, true }, 2, 0);
	assert_used(rig, (struct via_ring_pos){ 6, true }, 3, 0);
	assert_int_equal(packed_slot_flags(rig, 2) & ~VIA_DESC_NEXT, packed_offer(true));
	assert_int_equal(rig->vq.used.idx, 0);
	assert_false(rig->vq.used.wrap);
	rig_close(rig);
}

static void a_batch_longer_than_its_memory_still_becomes_visible_at_once(void **state)
{
	enum { SIZE = 2000 };
	struct rig *rig = rig_open(VIA_RING_PACKED, SIZE);
	struct via_ring_pos driver = { .wrap = true };

	(void)state;
	for (uint32_t lap = 0; lap < 3; lap++) {
		struct via_ring_pos first = driver, pos = driver;

		for (uint32_t i = 0; i < SIZE - 3; i++)
			packed_offer_chain(rig, &driver, 1, 8, i);
		for (uint32_t i = 0; i < SIZE - 3; i++) {
			assert_int_equal(rig_pop(rig), 1);
			rig_push(rig, &rig->chain, i + 1);
			assert_int_equal(packed_slot_flags(rig, first.idx),
					 packed_offer(first.wrap));
		}
		rig_publish(rig);
		for (uint32_t i = 0; i < SIZE - 3; i++, advance(rig, &pos, 1))
			assert_used(rig, pos, i, i + 1);
	}
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_available_in_its_own_lap_only),
		cmocka_unit_test(chains_begin_at_every_slot_of_rings_of_any_size),
		cmocka_unit_test(a_batch_becomes_visible_by_its_first_slot),
		cmocka_unit_test(a_base_in_the_middle_of_a_lap_is_served_from_there),
		cmocka_unit_test(a_table_is_read_in_sequence_and_only_for_write),
		cmocka_unit_test(hostile_chains_break_the_queue_and_nothing_else),
		cmocka_unit_test(slots_that_are_not_the_drivers_are_not_taken_again),
		cmocka_unit_test(unpopped_chains_come_again_in_order),
		cmocka_unit_test(an_in_order_batch_is_one_descriptor_and_skips_all_its_slots),
		cmocka_unit_test(a_batch_longer_than_its_memory_still_becomes_visible_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
