/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/offload.c */
#include "frame.h"

static struct frame frame;
static struct via_piece pieces[70000];
static struct via_view view;
static enum via_drop why;

static void make(const struct frame_shape *shape, uint8_t flags, uint8_t gso, uint16_t gso_size)
{
	frame_make(&frame, shape);
	frame_view(&view, &frame, pieces, 1500);
	view.flags = flags;
	view.gso = gso;
	view.gso_size = gso_size;
	view.csum_start = (uint16_t)frame.l4;
	view.csum_offset = (uint16_t)frame_csum_offset(shape->proto);
}

static void a_plain_frame_goes_as_it_is(void **state)
{
	(void)state;
	make(&(struct frame_shape){ .version = 4, .proto = 6, .payload = 1460 }, 0, 0, 0);
	assert_int_equal(via_view_fix(&view, 0, 0, &why), VIA_FIX_NONE);
	assert_int_equal(via_view_fix(&view, 0, 1500, &why), VIA_FIX_NONE);
}

/* VN-03 */
static void a_frame_over_the_mtu_is_dropped_and_a_tag_does_not_count(void **state)
{
	(void)state;
	make(&(struct frame_shape){ .version = 4, .proto = 6, .payload = 1461 }, 0, 0, 0);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_DROP);
	assert_int_equal(why, VIA_DROP_TOO_BIG);
	make(&(struct frame_shape){ .tags = 1, .version = 4, .proto = 6, .payload = 1460 }, 0, 0,
	     0);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_NONE);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1499, &why), VIA_FIX_DROP);
	make(&(struct frame_shape){ .tags = 2, .version = 4, .proto = 6, .payload = 1460 }, 0, 0,
	     0);
	memcpy(view.snapshot + 12, "\x88\xa8", 2);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_NONE);
	make(&(struct frame_shape){ .tags = 3, .version = 4, .proto = 6, .payload = 1460 }, 0, 0,
	     0); /* no network has three */
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_DROP);
}

static void a_checksum_is_filled_in_for_who_cannot(void **state)
{
	(void)state;
	make(&(struct frame_shape){ .version = 4, .proto = 6, .payload = 10 }, VIA_VIEW_NEEDS_CSUM,
	     0, 0);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_CSUM, 0, &why), VIA_FIX_NONE);
	assert_int_equal(via_view_fix(&view, 0, 0, &why), VIA_FIX_CSUM);
	view.csum_start = VIA_SNAPSHOT_SIZE; /* the field cannot be patched where it is */
	assert_int_equal(via_view_fix(&view, 0, 0, &why), VIA_FIX_DROP);
	assert_int_equal(why, VIA_DROP_NO_OFFLOAD);
}

/* Without a checksum of its own it says nothing about a place: csum_start is an earlier frame's. */
static void a_tagged_frame_as_long_as_the_mtu_allows_is_not_written_to(void **state)
{
	(void)state;
	make(&(struct frame_shape){ .tags = 1, .version = 4, .proto = 6, .payload = 1460 }, 0, 0,
	     0);
	assert_int_equal(via_view_fix(&view, 0, 1500, &why), VIA_FIX_NONE);
}

static void gso_is_cut_for_who_lacks_any_part_of_it(void **state)
{
	const uint32_t tcp4 = VIA_OFFLOAD_CSUM | VIA_OFFLOAD_TSO4;

	(void)state;
	make(&(struct frame_shape){ .version = 4, .proto = 6, .payload = 9000 },
	     VIA_VIEW_NEEDS_CSUM, VIA_GSO_TCPV4, 1460);
	assert_int_equal(via_view_fix(&view, tcp4, 0, &why), VIA_FIX_NONE);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_TSO4, 0, &why), VIA_FIX_SEGMENT);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_CSUM | VIA_OFFLOAD_TSO6, 0, &why),
			 VIA_FIX_SEGMENT);
	view.flags |= VIA_VIEW_ECN;
	assert_int_equal(via_view_fix(&view, tcp4, 0, &why), VIA_FIX_SEGMENT);
	assert_int_equal(via_view_fix(&view, tcp4 | VIA_OFFLOAD_ECN, 0, &why), VIA_FIX_NONE);

	make(&(struct frame_shape){ .version = 6, .proto = 17, .payload = 9000 },
	     VIA_VIEW_NEEDS_CSUM, VIA_GSO_UDP, 1000);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_CSUM | VIA_OFFLOAD_USO4, 0, &why),
			 VIA_FIX_SEGMENT);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_CSUM | VIA_OFFLOAD_USO6, 0, &why),
			 VIA_FIX_NONE);
}

static void gso_is_judged_by_the_size_of_its_segments(void **state)
{
	(void)state;
	make(&(struct frame_shape){ .tags = 1, .version = 4, .proto = 6, .payload = 9000 },
	     VIA_VIEW_NEEDS_CSUM, VIA_GSO_TCPV4, 1460);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_NONE);
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1499, &why), VIA_FIX_DROP);
	assert_int_equal(why, VIA_DROP_TOO_BIG);
	assert_int_equal(via_view_fix(&view, 0, 1500, &why), VIA_FIX_SEGMENT);
	make(&(struct frame_shape){ .version = 4, .proto = 6, .payload = 900 }, VIA_VIEW_NEEDS_CSUM,
	     VIA_GSO_TCPV4, 5000); /* a single segment, smaller than gso_size */
	assert_int_equal(via_view_fix(&view, VIA_OFFLOAD_ALL, 1500, &why), VIA_FIX_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_frame_goes_as_it_is),
		cmocka_unit_test(a_frame_over_the_mtu_is_dropped_and_a_tag_does_not_count),
		cmocka_unit_test(a_checksum_is_filled_in_for_who_cannot),
		cmocka_unit_test(a_tagged_frame_as_long_as_the_mtu_allows_is_not_written_to),
		cmocka_unit_test(gso_is_cut_for_who_lacks_any_part_of_it),
		cmocka_unit_test(gso_is_judged_by_the_size_of_its_segments),
	};

	return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
