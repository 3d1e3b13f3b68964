/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/gso.c, against a slow reference: what a TCP or UDP sender would itself have sent in packets
 * of that size, with all checksums computed by the letter of the RFCs.
 */
#include "frame.h"

static struct frame frame, expected;
static struct via_piece pieces[70000], scratch[70000];
static struct via_view segments[64];

/* Fills in the checksum as the specification says: from csum_start to the end. */
static void complete(const struct via_view *view, uint8_t *bytes, uint32_t len)
{
	uint32_t sum = ~plain_sum(0, bytes + view->csum_start, len - view->csum_start);

	bytes[view->csum_start + view->csum_offset] = (uint8_t)(sum >> 8);
	bytes[view->csum_start + view->csum_offset + 1] = (uint8_t)sum;
}

static uint8_t got[70000];

static void compare_all(const struct frame_shape *s, uint16_t size, uint32_t piece_size,
			uint32_t chunk, uint32_t max_pieces)
{
	struct via_gso_iter iter;
	struct via_view view;
	enum via_drop why;
	uint32_t n, done = 0, nr;

	frame_make(&frame, s);
	frame_view(&view, &frame, pieces, piece_size);
	view.gso = s->proto == 17 ? VIA_GSO_UDP : s->version == 4 ? VIA_GSO_TCPV4 : VIA_GSO_TCPV6;
	view.gso_size = size;
	view.flags = VIA_VIEW_NEEDS_CSUM | VIA_VIEW_ECN;
	nr = via_gso_begin(&iter, &view, &why);
	assert_int_equal(nr, (s->payload + size - 1) / size);
	while ((n = via_gso_next(&iter, segments, chunk, scratch, max_pieces)) > 0) {
		assert_true(n <= chunk);
		for (uint32_t i = 0; i < n; i++, done++) {
			const struct via_view *segment = &segments[i];

			frame_segment(&expected, &frame, s, size, done);
			assert_int_equal(segment->len, expected.len);
			assert_int_equal(view_bytes(segment, got), expected.len);
			assert_int_equal(segment->flags & (VIA_VIEW_NEEDS_CSUM | VIA_VIEW_ECN),
					 VIA_VIEW_NEEDS_CSUM);
			assert_int_equal(segment->gso, VIA_GSO_NONE);
			complete(segment, got, expected.len);
			assert_memory_equal(got, expected.bytes, expected.len);
		}
	}
	assert_int_equal(done, nr);
	assert_int_equal(iter.index, nr);
}

static void segments_are_what_the_sender_would_have_sent(void **state)
{
	static const uint16_t sizes[] = { 1460, 1447, 536, 7, 9000 };
	static const uint32_t payloads[] = { 1, 6, 1459, 1460, 1461, 4000, 9999 };
	static const uint32_t piece_sizes[] = { 1, 3, 1000, 4096, 65536 };

	(void)state;
	for (int variant = 0; variant < 2 * 2 * 3 * 2; variant++) {
		struct frame_shape s = {
			.version = variant & 1 ? 6 : 4,
			.proto = variant & 2 ? 17 : 6,
			.tags = variant / 4 % 3,
			.ip_options = variant / 12 ? 8 : 0,
			.tcp_options = variant / 12 ? 12 : 0,
			.tcp_flags = 0xff,
		};

		for (size_t i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(payloads); i++) {
			s.payload = payloads[i % ARRAY_SIZE(payloads)];
			if (s.payload / sizes[i / ARRAY_SIZE(payloads)] > 1000)
				continue;
			compare_all(&s, sizes[i / ARRAY_SIZE(payloads)],
				    piece_sizes[i % ARRAY_SIZE(piece_sizes)], 1 + (uint32_t)i % 40,
				    70000);
		}
	}
}

static void the_longest_frame_is_cut_too(void **state)
{
	struct frame_shape s = { .version = 4, .proto = 6, .payload = 65495, .tcp_flags = 0x19 };

	(void)state;
	compare_all(&s, 1460, 4096, 32, 1024);
	compare_all(&s, 1460, 1, 32, 2000); /* few pieces: fewer segments at a time */
	s.version = 6;
	s.tags = 2;
	compare_all(&s, 1439, 65536, 32, 64);
}

static void a_segment_of_more_pieces_than_there_are_ends_the_iteration(void **state)
{
	struct frame_shape s = { .version = 4, .proto = 6, .payload = 5000 };
	struct via_gso_iter iter;
	struct via_view view;
	enum via_drop why;

	(void)state;
	frame_make(&frame, &s);
	frame_view(&view, &frame, pieces, 1);
	view.gso = VIA_GSO_TCPV4;
	view.gso_size = 1000;
	assert_int_equal(via_gso_begin(&iter, &view, &why), 5);
	/* What is in the snapshot is one piece. */
	assert_int_equal(via_gso_next(&iter, segments, 64, scratch, 927), 1);
	assert_int_equal(via_gso_next(&iter, segments, 64, scratch, 927), 0);
	assert_int_equal(iter.index, 1);
	assert_int_equal(iter.nr_segments, 5);
}

static void refuse(const char *what, const struct frame_shape *s, uint8_t gso, uint16_t size)
{
	struct via_gso_iter iter;
	struct via_view view;
	enum via_drop why = VIA_NR_DROPS;

	print_message("# %s\n", what);
	if (s)
		frame_make(&frame, s);
	frame_view(&view, &frame, pieces, 70000);
	view.gso = gso;
	view.gso_size = size;
	assert_int_equal(via_gso_begin(&iter, &view, &why), 0);
	assert_int_equal(why, VIA_DROP_NO_OFFLOAD);
}

static void what_cannot_be_cut_is_refused(void **state)
{
	const struct frame_shape tcp4 = { .version = 4, .proto = 6, .payload = 5000 };
	const struct frame_shape tcp6 = {
		.version = 6, .proto = 6, .ip_options = 8, .payload = 500
	};

	(void)state;
	refuse("no GSO", &tcp4, VIA_GSO_NONE, 1000);
	refuse("size 0", &tcp4, VIA_GSO_TCPV4, 0);
	refuse("wrong version", &tcp4, VIA_GSO_TCPV6, 1000);
	refuse("the other wrong version", &tcp6, VIA_GSO_TCPV4, 100);
	refuse("wrong protocol", &tcp4, VIA_GSO_UDP, 1000);
	refuse("too many segments", &tcp4, VIA_GSO_TCPV4, 1);
	refuse("no payload", &(struct frame_shape){ .version = 4, .proto = 6 }, VIA_GSO_TCPV4, 100);
	refuse("segments over 64 KiB",
	       &(struct frame_shape){ .version = 4, .proto = 6, .payload = 65520 }, VIA_GSO_TCPV4,
	       65510);
	refuse("headers past the snapshot",
	       &(struct frame_shape){ .version = 6,
				      .proto = 6,
				      .ip_options = 64,
				      .tcp_options = 40,
				      .payload = 500 },
	       VIA_GSO_TCPV6, 100);
	frame_make(&frame, &tcp4);
	frame_put16(&frame, frame.l3 + 6, 0x2000);
	refuse("a fragment", NULL, VIA_GSO_TCPV4, 1000);
	frame_make(&frame, &tcp6);
	frame.bytes[frame.l3 + 6] = 43;
	refuse("a routing header", NULL, VIA_GSO_TCPV6, 100);
}

/* A tag that the switch puts in moves what was found, and what no longer fits becomes a piece. */
static void headers_that_a_tag_pushed_out_of_the_snapshot_are_not_cut(void **state)
{
	const struct frame_shape s = { .version = 4, .proto = 6, .payload = 5000 };
	struct via_gso_iter iter;
	struct via_view view;
	enum via_drop why;

	(void)state;
	frame_make(&frame, &s);
	frame_view(&view, &frame, pieces, 70000);
	view.gso = VIA_GSO_TCPV4;
	view.gso_size = 1000;
	via_view_parse(&view);
	view.snapshot_len = view.payload;
	assert_int_equal(via_gso_begin(&iter, &view, &why), 5);
	view.snapshot_len--;
	why = VIA_NR_DROPS;
	assert_int_equal(via_gso_begin(&iter, &view, &why), 0);
	assert_int_equal(why, VIA_DROP_NO_OFFLOAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_what_the_sender_would_have_sent),
		cmocka_unit_test(the_longest_frame_is_cut_too),
		cmocka_unit_test(a_segment_of_more_pieces_than_there_are_ends_the_iteration),
		cmocka_unit_test(what_cannot_be_cut_is_refused),
		cmocka_unit_test(headers_that_a_tag_pushed_out_of_the_snapshot_are_not_cut),
	};

	return cmocka_run_group_tests_name("gso", tests, NULL, NULL);
}
