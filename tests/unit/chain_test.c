/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/chain.h: buffers and tables cut by regions, bounds, and memory that changes meanwhile */
#include <pthread.h>

#include "ring_rig.h"

/* Offers one chain that is the table at 'gpa' in a fresh ring of either format. */
static void offer_table(struct rig *rig, uint64_t gpa, uint32_t bytes)
{
	if (rig->format == VIA_RING_PACKED) {
		packed_desc(
			rig, 0,
			(struct rig_desc){ gpa, bytes, packed_offer(true) | VIA_DESC_INDIRECT, 0 });
	} else {
		split_desc(rig, 0, (struct rig_desc){ gpa, bytes, VIA_DESC_INDIRECT, 0 });
		split_head(rig, 0, 0);
		split_show(rig, 1);
	}
}

/* Offers one chain of one buffer. */
static void offer_buffer(struct rig *rig, uint64_t gpa, uint32_t len)
{
	if (rig->format == VIA_RING_PACKED) {
		packed_desc(rig, 0, (struct rig_desc){ gpa, len, packed_offer(true), 0 });
	} else {
		split_desc(rig, 0, (struct rig_desc){ gpa, len, 0, 0 });
		split_head(rig, 0, 0);
		split_show(rig, 1);
	}
}

#define FOR_EACH_FORMAT(f) for (f = VIA_RING_SPLIT; f <= VIA_RING_PACKED; f++)

/* VX-09, HX-21 */
static void a_buffer_over_one_byte_regions_comes_in_one_byte_pieces(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		for (uint32_t i = 0; i < 20; i++)
			rig_region(rig, RIG_GPA + i, 1);
		offer_buffer(rig, RIG_GPA + 3, 17);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.nr_readable, 17);
		assert_int_equal(rig->chain.readable_len, 17);
		for (uint32_t i = 0; i < 17; i++) {
			assert_ptr_equal(rig->seg[i].base, rig->mem->region[3 + i].host);
			assert_int_equal(rig->seg[i].len, 1);
			rig->seg[i].base[0] = 1; /* ours, or this faults */
		}
		rig_close(rig);
	}
}

static void a_buffer_that_ends_in_a_hole_breaks_the_queue(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		rig_region(rig, RIG_GPA, 100);
		rig_region(rig, RIG_GPA + 100, 100);
		rig_region(rig, RIG_GPA + 201, 100);
		offer_buffer(rig, RIG_GPA + 50, 160);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig_close(rig);
	}
}

/* VX-07: were 2^64 taken for 0, this would be a buffer in two pieces. */
static void a_buffer_does_not_go_on_at_zero(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		rig_region(rig, 0, 100);
		rig_region(rig, UINT64_MAX - 99, 100);
		offer_buffer(rig, UINT64_MAX - 9, 20);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig_close(rig);
	}
}

/* VX-18: every alignment, and every place where a region can end within a table of two entries. */
static void a_table_may_lie_anywhere(void **state)
{
	const struct rig_desc readable = { RIG_GPA + 0x1000, 10, VIA_DESC_NEXT, 1 };
	const struct rig_desc writable = { RIG_GPA + 0x1010, 20, VIA_DESC_WRITE, 0 };
	const struct rig_desc table[] = { readable, writable };
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		for (uint32_t cut = 0; cut <= 32; cut++) {
			struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

			rig_region(rig, RIG_GPA, 0x1000 + cut);
			rig_region(rig, RIG_GPA + 0x1000 + cut, 0x1000);
			put_table(rig, RIG_GPA + 0x1000, table, 2);
			offer_table(rig, RIG_GPA + 0x1000, 32);
			assert_int_equal(rig_pop(rig), 1);
			assert_int_equal(rig->chain.readable_len, 10);
			assert_int_equal(rig->chain.writable_len, 20);
			rig_close(rig);
		}
	}
}

/* HX-33: legal */
static void a_table_at_an_odd_address_is_read(void **state)
{
	static const struct rig_desc table[] = {
		{ RIG_GPA, 10, VIA_DESC_NEXT, 1 },
		{ RIG_GPA + 100, 20, VIA_DESC_WRITE, 0 },
	};
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);

		put_table(rig, RIG_GPA + 0x801, table, 2);
		offer_table(rig, RIG_GPA + 0x801, 32);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.readable_len, 10);
		assert_int_equal(rig->chain.writable_len, 20);
		rig_close(rig);
	}
}

/* What lies behind the regions of a table may be what a longer one had there. */
static void a_hint_of_a_longer_table_is_not_followed(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		rig_region(rig, RIG_GPA, 0x1000);
		rig_region(rig, RIG_GPA + 0x2000, 0x1000);
		rig->vq.hint.region = 1;
		rig->mem->nr_regions = 1;
		offer_buffer(rig, RIG_GPA + 0x2000, 100);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig->mem->nr_regions = 2;
		rig_close(rig);
	}
}

static void without_room_for_a_segment_nothing_is_taken(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);

		offer_buffer(rig, RIG_GPA, 100);
		assert_int_equal(rig_pop_into(rig, 0), -ENOBUFS);
		assert_int_equal(rig_pop(rig), 1);
		rig_close(rig);
	}
}

static void a_table_over_one_byte_regions_is_read(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));
		struct rig_desc table[] = { { RIG_GPA, 32, 0, 0 } };

		for (uint32_t i = 0; i < 48; i++)
			rig_region(rig, RIG_GPA + i, 1);
		put_table(rig, RIG_GPA + 16, table, 1);
		offer_table(rig, RIG_GPA + 16, 16);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.nr_readable, 32);
		rig_close(rig);
	}
}

static void a_cut_table_that_ends_in_a_hole_or_at_zero_breaks_the_queue(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		static const struct rig_desc desc = { 0, 1, VIA_DESC_NEXT, 1 };
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		rig_region(rig, 0, 100);
		rig_region(rig, UINT64_MAX - 15, 16);
		put_table(rig, UINT64_MAX - 15, &desc, 1);
		put_table(rig, 0, &desc, 1);
		offer_table(rig, UINT64_MAX - 15, 32);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig_close(rig);
	}
}

/* VX-07: the same within the 16 bytes of an entry. */
static void an_entry_of_a_table_does_not_go_on_at_zero(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		static const struct rig_desc desc = { 0, 1, 0, 0 };
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		rig_region(rig, 0, 100);
		rig_region(rig, UINT64_MAX - 7, 8);
		put_table(rig, UINT64_MAX - 7, &desc, 1);
		offer_table(rig, UINT64_MAX - 7, 16);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig_close(rig);
	}
}

static void a_table_in_a_hole_breaks_the_queue(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);

		offer_table(rig, RIG_GPA + RIG_SIZE, 16);
		rig_expect_broken(rig, VIA_BROKEN_ADDRESS);
		rig_close(rig);
	}
}

/* VX-06, HX-31 {bad, 0} and {good, 0} */
static void empty_buffers_contribute_nothing_wherever_they_are(void **state)
{
	static const struct rig_desc table[] = {
		{ UINT64_C(1) << 60, 0, VIA_DESC_NEXT, 1 },
		{ RIG_GPA, 0, VIA_DESC_NEXT | VIA_DESC_WRITE, 2 },
		{ RIG_GPA, 5, VIA_DESC_NEXT, 3 },
		{ RIG_GPA, 0, VIA_DESC_WRITE, 0 },
	};
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);

		put_table(rig, RIG_GPA + 64, table, 4);
		offer_table(rig, RIG_GPA + 64, 64);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.nr_readable, 1);
		assert_int_equal(rig->chain.readable_len, 5);
		assert_int_equal(rig->chain.nr_writable, 0);
		rig_close(rig);

		rig = rig_open(format, 4); /* an empty chain is a chain */
		offer_buffer(rig, 0, 0);
		assert_int_equal(rig_pop(rig), 1);
		assert_int_equal(rig->chain.nr_readable, 0);
		assert_int_equal(rig->chain.readable_len, 0);
		assert_int_equal(via_chain_room(&rig->chain), 1); /* but it took a look */
		rig_close(rig);
	}
}

/* VX-21, HX-31: the same 256 MiB over and over; nothing of it is touched. */
static void four_gib_in_a_chain_break_the_queue(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		for (uint32_t n = 15; n <= 16; n++) {
			struct rig *rig = rig_open(format, 32);
			struct rig_desc table[16];

			rig->mem->region[1] = rig->mem->region[0];
			rig->mem->region[1].gpa = UINT64_C(1) << 32;
			rig->mem->region[1].size = UINT64_C(1) << 32;
			rig->mem->nr_regions = 2;
			for (uint32_t i = 0; i < n; i++)
				table[i] =
					(struct rig_desc){ UINT64_C(1) << 32, 0x10000000,
							   i + 1 < n ? VIA_DESC_NEXT : 0, i + 1 };
			put_table(rig, RIG_GPA, table, n);
			offer_table(rig, RIG_GPA, 16 * n);
			if (n < 16) {
				assert_int_equal(rig_pop(rig), 1);
				assert_int_equal(rig->chain.readable_len, 0xf0000000);
			} else {
				rig_expect_broken(rig, VIA_BROKEN_LENGTH);
			}
			rig->mem->nr_regions = 1;
			rig_close(rig);
		}
	}
}

static void too_little_room_takes_nothing(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open_bare(format, 4, rig_start_pos(format));

		for (uint32_t i = 0; i < 3; i++)
			rig_region(rig, RIG_GPA + 10 * i, 10);
		offer_buffer(rig, RIG_GPA, 30);
		for (uint32_t room = 0; room < 3; room++)
			assert_int_equal(rig_pop_into(rig, room), -ENOBUFS);
		assert_non_null(vq_ring(&rig->vq));
		assert_int_equal(rig_pop_into(rig, 3), 1);
		assert_int_equal(rig->chain.nr_readable, 3);
		rig_close(rig);
	}
}

/* R10, R18: they cost a look each, so they are not free. */
static void empty_buffers_take_room(void **state)
{
	static const struct rig_desc table[] = {
		{ RIG_GPA, 0, VIA_DESC_NEXT, 1 },
		{ RIG_GPA, 0, VIA_DESC_NEXT, 2 },
		{ RIG_GPA, 0, 0, 0 },
	};
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);

		put_table(rig, RIG_GPA + PAGE, table, 3);
		offer_table(rig, RIG_GPA + PAGE, sizeof(struct via_desc_words) * 3);
		for (uint32_t room = 0; room < 3; room++)
			assert_int_equal(rig_pop_into(rig, room), -ENOBUFS);
		assert_int_equal(rig_pop_into(rig, 3), 1);
		assert_int_equal(via_chain_room(&rig->chain), 3);
		rig_close(rig);
	}
}

/* R10: more pieces than the largest arena holds is no reason to wait for a larger one. */
static void a_chain_in_more_pieces_than_any_room_breaks_the_queue(void **state)
{
	enum { SIZE = 1024, REGIONS = 60 };
	struct via_seg *seg = calloc(VIA_CHAIN_MAX_SEGS, sizeof(*seg));
	struct rig *rig = rig_open_bare(VIA_RING_SPLIT, SIZE, (struct via_ring_pos){ 0 });

	(void)state;
	for (uint32_t i = 0; i < REGIONS; i++)
		rig_region(rig, RIG_GPA + i, 1);
	for (uint32_t i = 0; i < SIZE; i++)
		split_desc(rig, i,
			   (struct rig_desc){ RIG_GPA, REGIONS, i + 1 < SIZE ? VIA_DESC_NEXT : 0,
					      i + 1 });
	split_head(rig, 0, 0);
	split_show(rig, 1);
	assert_int_equal(
		vq_pop(&rig->vq, &rig->ring, &rig->chain, seg, VIA_CHAIN_MAX_SEGS, VIA_RING_SPLIT),
		-EMSGSIZE);
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_SEGMENTS);
	free(seg);
	rig_close(rig);
}

/* ---- R9, VX-19, VX-20: a driver that rewrites what we read ---- */

struct flipper {
	struct rig *rig;
	atomic_bool stop;
};

#define FLIP_TABLE (RIG_GPA + 2 * PAGE)

/* Rewrites the words of descriptors and table entries with valid and hostile values, as they come. */
static void *flip(void *arg)
{
	struct flipper *f = arg;
	struct via_desc_words *desc = (void *)f->rig->part[0];
	struct via_desc_words *table = (void *)rig_host(f->rig, FLIP_TABLE);
	static const uint64_t addrs[] = { RIG_GPA, FLIP_TABLE, RIG_GPA + RIG_SIZE - 1, 0,
					  UINT64_MAX - 5 };
	static const uint32_t lens[] = { 0, 1, 16, 64, 4096, UINT32_MAX };
	uint32_t seed = 1;

	while (!atomic_load_explicit(&f->stop, memory_order_relaxed)) {
		bool packed = f->rig->format == VIA_RING_PACKED;
		uint64_t addr, len, flags, x;
		struct via_desc_words *words;

		seed = seed * 1664525 + 1013904223;
		words = seed >> 31 ? &desc[seed >> 28 & 3] : &table[seed >> 28 & 3];
		addr = addrs[(seed >> 8) % ARRAY_SIZE(addrs)];
		len = lens[(seed >> 12) % ARRAY_SIZE(lens)];
		flags = (seed >> 16 & 7) | (packed ? packed_offer(true) : 0);
		x = seed >> 20 & 7;
		via_le64_store(&words->addr, addr);
		via_le64_store(&words->tail,
			       packed ? len | x << 32 | flags << 48 : len | flags << 32 | x << 48);
	}
	return NULL;
}

static void descriptors_that_change_meanwhile_never_lead_outside(void **state)
{
	enum via_ring_format format;

	(void)state;
	FOR_EACH_FORMAT(format)
	{
		struct rig *rig = rig_open(format, 4);
		struct flipper f = { .rig = rig };
		uint32_t popped = 0;
		pthread_t thread;

		split_show(rig, format == VIA_RING_SPLIT ? 1 : 0);
		assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
		/* at least so long, and until the other thread had its turn */
		for (uint32_t round = 0; round < 200000 || popped == 0; round++) {
			via_vq_start(&rig->vq, &rig->ring, rig_start_pos(format),
				     rig_start_pos(format));
			if (rig_pop(rig) != 1)
				continue;
			popped++;
			for (uint32_t i = 0; i < rig->chain.nr_readable + rig->chain.nr_writable;
			     i++) {
				const struct via_seg *seg = &rig->seg[i];
				const uint8_t *first = rig->mem->region[0].host;

				assert_in_range(seg->len, 1, RIG_SIZE);
				assert_in_range(seg->base - first, 0, RIG_SIZE - seg->len);
			}
		}
		atomic_store(&f.stop, true);
		pthread_join(thread, NULL);
		assert_true(popped > 0);
		rig_close(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_over_one_byte_regions_comes_in_one_byte_pieces),
		cmocka_unit_test(a_buffer_that_ends_in_a_hole_breaks_the_queue),
		cmocka_unit_test(a_buffer_does_not_go_on_at_zero),
		cmocka_unit_test(a_table_may_lie_anywhere),
		cmocka_unit_test(a_table_at_an_odd_address_is_read),
		cmocka_unit_test(a_hint_of_a_longer_table_is_not_followed),
		cmocka_unit_test(without_room_for_a_segment_nothing_is_taken),
		cmocka_unit_test(a_table_over_one_byte_regions_is_read),
		cmocka_unit_test(a_cut_table_that_ends_in_a_hole_or_at_zero_breaks_the_queue),
		cmocka_unit_test(an_entry_of_a_table_does_not_go_on_at_zero),
		cmocka_unit_test(a_table_in_a_hole_breaks_the_queue),
		cmocka_unit_test(empty_buffers_contribute_nothing_wherever_they_are),
		cmocka_unit_test(four_gib_in_a_chain_break_the_queue),
		cmocka_unit_test(too_little_room_takes_nothing),
		cmocka_unit_test(empty_buffers_take_room),
		cmocka_unit_test(a_chain_in_more_pieces_than_any_room_breaks_the_queue),
		cmocka_unit_test(descriptors_that_change_meanwhile_never_lead_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
