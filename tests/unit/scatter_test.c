/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/scatter.[ch] */
#include "frame.h"
#include "net/scatter.h"

static struct frame frame, plain;
static struct via_piece pieces[70000];
static struct via_seg segs[70000];
static uint8_t memory[70000 + 64];

/* Segments over 'memory' of 'size' bytes each but the first, with a gap of a byte between them. */
static void make_segs(uint32_t total, uint32_t first, uint32_t size)
{
	uint32_t at = 0, n = 0;

	memset(memory, 0xa5, sizeof(memory));
	for (uint32_t left = total; left > 0; n++) {
		uint32_t len = n == 0 ? first : size;

		if (len > left)
			len = left;
		segs[n] = (struct via_seg){ memory + at, len };
		at += len;
		left -= len;
	}
	segs[n] = (struct via_seg){ NULL, 0 }; /* never to be looked at */
}

static const struct via_net_hdr header = { .flags = 0x11,
					   .gso_type = 0x22,
					   .hdr_len = 0x3333,
					   .gso_size = 0x4444,
					   .csum_start = 0x5555,
					   .csum_offset = 0x6666,
					   .num_buffers = 0x7777 };

static void check(uint32_t hdr_size, const uint8_t *bytes, uint32_t len)
{
	assert_memory_equal(memory, &header, hdr_size);
	assert_memory_equal(memory + hdr_size, bytes, len);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(memory[hdr_size + len + i], 0xa5);
}

static const uint32_t sizes[] = { 1, 2, 3, 7, 12, 13, 64, 139, 140, 141, 1000, 70000 };

static void every_shape_gets_the_same_bytes_and_none_beyond(void **state)
{
	static const uint32_t payloads[] = { 0, 1, 46, 113, 114, 115, 200, 1486 };
	static const uint32_t hdr_sizes[] = { 10, 12, 20 };
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(payloads) * ARRAY_SIZE(sizes) * ARRAY_SIZE(sizes) * 3;
	     i++) {
		uint32_t hdr_size = hdr_sizes[i % 3];
		uint32_t piece = sizes[i / 3 % ARRAY_SIZE(sizes)];
		uint32_t seg = sizes[i / 3 / ARRAY_SIZE(sizes) % ARRAY_SIZE(sizes)];
		uint32_t payload = payloads[i / 3 / ARRAY_SIZE(sizes) / ARRAY_SIZE(sizes)];

		frame_make(&frame, &(struct frame_shape){ .payload = payload });
		frame_view(&view, &frame, pieces, piece);
		make_segs(hdr_size + view.len, seg, seg);
		via_scatter(segs, &header, hdr_size, &view);
		check(hdr_size, frame.bytes, frame.len);
	}
}

/* The frame as it must arrive, its checksum by the letter. */
static void complete_plain(const struct via_view *view, bool udp)
{
	uint32_t at = view->csum_start + view->csum_offset + 0u;
	uint32_t sum = ~plain_sum(0, frame.bytes + view->csum_start, frame.len - view->csum_start) &
		       0xffff;

	plain = frame;
	frame_put16(&plain, at, udp && sum == 0 ? 0xffff : sum);
}

static void fill_in(const struct frame_shape *shape, uint32_t piece, uint32_t first, uint32_t seg)
{
	struct via_view view;
	uint8_t before[VIA_SNAPSHOT_SIZE];

	frame_view(&view, &frame, pieces, piece);
	view.csum_start = (uint16_t)frame.l4;
	view.csum_offset = (uint16_t)frame_csum_offset(shape->proto);
	memcpy(before, view.snapshot, sizeof(before));
	complete_plain(&view, shape->proto == 17);
	make_segs(12 + view.len, first, seg);
	via_scatter_csum(segs, &header, 12, &view);
	check(12, plain.bytes, plain.len);
	assert_memory_equal(view.snapshot, before, sizeof(before)); /* others get the view too */
}

static void checksums_are_right_in_every_shape(void **state)
{
	static const uint32_t payloads[] = { 0, 1, 50, 85, 86, 87, 1459, 1460, 9001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(payloads) * ARRAY_SIZE(sizes) * ARRAY_SIZE(sizes) * 4;
	     i++) {
		struct frame_shape s = {
			.version = i & 1 ? 4 : 6,
			.proto = i & 2 ? 6 : 17,
			.tags = i % 5 == 0,
			.payload = payloads[i / 4 / ARRAY_SIZE(sizes) / ARRAY_SIZE(sizes)],
		};
		uint32_t seg = sizes[i / 4 / ARRAY_SIZE(sizes) % ARRAY_SIZE(sizes)];

		frame_make(&frame, &s);
		fill_in(&s, sizes[i / 4 % ARRAY_SIZE(sizes)], seg, seg);
		fill_in(&s, sizes[i / 4 % ARRAY_SIZE(sizes)], 1 + (uint32_t)i % 300, seg);
	}
}

static void an_odd_start_is_legal(void **state)
{
	const struct frame_shape s = { .version = 4, .proto = 17, .payload = 1001 };
	struct via_view view;

	(void)state;
	for (uint16_t start = 34; start < 100; start++) {
		frame_make(&frame, &s);
		frame_view(&view, &frame, pieces, 333);
		view.csum_start = start;
		view.csum_offset = 16;
		complete_plain(&view, false);
		make_segs(12 + view.len, 77, 101);
		via_scatter_csum(segs, &header, 12, &view);
		check(12, plain.bytes, plain.len);
	}
}

/* RFC 768: 0 would mean that there is no checksum. */
static void a_udp_checksum_of_zero_is_sent_as_all_ones_and_a_tcp_one_is_not(void **state)
{
	(void)state;
	for (int proto = 6; proto <= 17; proto += 11) {
		const struct frame_shape s = { .version = 4, .proto = proto, .payload = 100 };
		uint32_t sum;

		frame_make(&frame, &s);
		/* Makes the sum 0xffff, whose complement is 0. */
		frame_put16(&frame, frame.payload, 0);
		sum = plain_sum(0, frame.bytes + frame.l4, frame.len - frame.l4);
		frame_put16(&frame, frame.payload, 0xffff - sum);
		fill_in(&s, 1000, 70000, 70000);
		assert_int_equal(frame_get16(plain.bytes + frame.l4 + frame_csum_offset(proto)),
				 proto == 17 ? 0xffff : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_gets_the_same_bytes_and_none_beyond),
		cmocka_unit_test(checksums_are_right_in_every_shape),
		cmocka_unit_test(an_odd_start_is_legal),
		cmocka_unit_test(a_udp_checksum_of_zero_is_sent_as_all_ones_and_a_tcp_one_is_not),
	};

	return cmocka_run_group_tests_name("scatter", tests, NULL, NULL);
}
