/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/parse.c */
#include "frame.h"
#include "tests/poison.h"

static struct frame frame;
static struct via_piece pieces[70000];

static void headers_are_found_behind_tags_options_and_extensions(void **state)
{
	static const struct frame_shape shapes[] = {
		{ .version = 4, .proto = 6, .payload = 10 },
		{ .version = 4, .proto = 17 },
		{ .version = 4, .proto = 6, .ip_options = 40, .tcp_options = 20, .payload = 100 },
		{ .tags = 1, .version = 4, .proto = 6, .tcp_options = 12, .payload = 1448 },
		{ .tags = 2, .version = 6, .proto = 6, .tcp_options = 40, .payload = 1 },
		{ .version = 6, .proto = 17, .payload = 300 },
		{ .version = 6, .proto = 17, .ip_options = 16, .payload = 300 },
	};
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct frame_shape *s = &shapes[i];

		frame_make(&frame, s);
		frame_view(&view, &frame, pieces, 1000);
		view.flags = VIA_VIEW_NEEDS_CSUM;
		via_view_parse(&view);
		assert_int_equal(view.l3, frame.l3);
		assert_int_equal(view.l4, frame.l4);
		assert_int_equal(view.payload, frame.payload);
		assert_int_equal(view.l4_proto, s->proto);
		assert_int_equal(view.ethertype, s->version == 4 ? 0x0800 : 0x86dd);
		assert_int_equal(view.flags, VIA_VIEW_NEEDS_CSUM | VIA_VIEW_PARSED |
						     (s->tags ? VIA_VIEW_TAGGED : 0));
	}
}

static void fragments_have_no_payload_and_later_ones_no_transport(void **state)
{
	const struct frame_shape udp = { .version = 4, .proto = 17, .payload = 40 };
	struct via_view view;

	(void)state;
	frame_make(&frame, &udp);
	frame_put16(&frame, frame.l3 + 6, 0x2000);
	frame_view(&view, &frame, pieces, 1000);
	via_view_parse(&view);
	assert_int_equal(view.l4, frame.l4);
	assert_int_equal(view.l4_proto, 17);
	assert_int_equal(view.payload, 0);

	frame_put16(&frame, frame.l3 + 6, 0x2001);
	frame_view(&view, &frame, pieces, 1000);
	via_view_parse(&view);
	assert_int_equal(view.l4, 0);
	assert_int_equal(view.l4_proto, 0);
	assert_int_equal(view.payload, 0);
}

static void fragments_of_ipv6_are_told_from_whole_packets(void **state)
{
	static const struct {
		uint16_t place;   /* of the fragment header: offset, more fragments */
		bool l4, payload; /* found */
	} cases[] = {
		{ 0, true, true }, { 1, true, false }, { 8, false, false }, { 9, false, false }
	};
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		frame_make(&frame,
			   &(struct frame_shape){
				   .version = 6, .proto = 17, .ip_options = 8, .payload = 9 });
		frame.bytes[frame.l3 + 6] = 44;
		frame_put16(&frame, frame.l3 + 42, cases[i].place);
		frame_view(&view, &frame, pieces, 1000);
		via_view_parse(&view);
		assert_int_equal(view.l4, cases[i].l4 ? frame.l4 : 0);
		assert_int_equal(view.payload, cases[i].payload ? frame.payload : 0);
	}
}

static void only_an_outer_tag_of_8021q_is_a_vlan(void **state)
{
	struct via_view view;

	(void)state;
	frame_make(&frame, &(struct frame_shape){ .tags = 2, .version = 4, .proto = 6 });
	frame_put16(&frame, 12, 0x88a8);
	frame_view(&view, &frame, pieces, 1000);
	via_view_parse(&view);
	assert_int_equal(view.flags, VIA_VIEW_PARSED);
	assert_int_equal(view.ethertype, 0x0800);
	assert_int_equal(view.l4, frame.l4);
}

/* What the Ethernet header and the IP header say differs, or the IP header's length cannot be. */
static void headers_that_contradict_themselves_are_not_taken_for_ip(void **state)
{
	static const struct {
		int version;
		uint8_t first; /* byte of the IP header */
	} cases[] = { { 4, 0x65 }, { 4, 0x44 }, { 4, 0x40 }, { 6, 0x45 } };
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		frame_make(&frame, &(struct frame_shape){ .version = cases[i].version,
							  .proto = 17,
							  .payload = 40 });
		frame.bytes[frame.l3] = cases[i].first;
		frame_view(&view, &frame, pieces, 1000);
		via_view_parse(&view);
		assert_int_equal(view.l3, frame.l3);
		assert_int_equal(view.l4, 0);
		assert_int_equal(view.l4_proto, 0);
		assert_int_equal(view.payload, 0);
	}
}

/* With nothing behind the snapshot that could be read. */
static void parse_alone(struct via_view *view)
{
	const uint32_t left = VIA_SNAPSHOT_SIZE - view->snapshot_len;

	ASAN_POISON_MEMORY_REGION(view->snapshot + view->snapshot_len, left);
	via_view_parse(view);
	ASAN_UNPOISON_MEMORY_REGION(view->snapshot + view->snapshot_len, left);
}

/* A snapshot that ends within a header has nothing of it, whatever lies behind in the view. */
static void headers_cut_by_the_snapshot_are_not_there(void **state)
{
	static const struct frame_shape shapes[] = {
		{ .version = 4, .proto = 6, .ip_options = 4, .tcp_options = 4, .payload = 20 },
		{ .version = 4, .proto = 17, .payload = 20 },
		{ .version = 6, .proto = 6, .ip_options = 8, .payload = 20 },
		{ .tags = 1, .version = 6, .proto = 17, .payload = 20 },
		{ .tags = 2, .version = 4, .proto = 17, .payload = 20 },
	};
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		frame_make(&frame, &shapes[i]);
		for (uint32_t len = 0; len < frame.payload; len++) {
			frame_view(&view, &frame, pieces, 1000);
			view.snapshot_len = (uint16_t)len;
			parse_alone(&view);
			assert_int_equal(view.payload, 0);
			assert_int_equal(view.l4, len < frame.l4 ? 0 : frame.l4);
			assert_int_equal(view.l3, len < frame.l3 ? 0 : frame.l3);
		}
	}
}

static void ipv6_extensions_of_all_kinds_are_passed(void **state)
{
	static const struct {
		uint8_t next, length; /* as their own bytes say it */
		int size;
	} kinds[] = { { 0, 1, 16 }, { 43, 1, 16 }, { 60, 1, 16 }, { 51, 2, 16 }, { 44, 0xff, 8 } };
	struct via_view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		frame_make(&frame, &(struct frame_shape){ .version = 6,
							  .proto = 17,
							  .ip_options = kinds[i].size,
							  .payload = 9 });
		frame.bytes[frame.l3 + 6] = kinds[i].next;
		frame.bytes[frame.l3 + 41] = kinds[i].length;
		frame_view(&view, &frame, pieces, 1000);
		via_view_parse(&view);
		assert_int_equal(view.l4, frame.l4);
		assert_int_equal(view.l4_proto, 17);
		assert_int_equal(view.payload, frame.payload);
	}
}

static void ipv6_extensions_end_after_eight(void **state)
{
	struct via_view view;

	(void)state;
	for (uint32_t n = 7; n <= 9; n++) {
		frame_make(&frame, &(struct frame_shape){ .version = 6, .proto = 17 });
		frame.len = frame.l3 + 40 + 8 * n + 8;
		memset(frame.bytes + frame.l3 + 40, 0, 8 * n + 8);
		frame.bytes[frame.l3 + 6] = 60;
		for (uint32_t i = 0; i < n; i++)
			frame.bytes[frame.l3 + 40 + 8 * i] = i + 1 < n ? 60 : 17;
		frame_view(&view, &frame, pieces, 1000);
		via_view_parse(&view);
		assert_int_equal(view.l4, n <= 8 && frame.len <= 128 ? frame.len - 8 : 0);
	}
}

/* HX-38: whatever the bytes, offsets are in order and inside what was read. */
static void offsets_stay_inside_the_snapshot_whatever_the_bytes(void **state)
{
	struct via_view *view = malloc(sizeof(*view));

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		struct frame_shape s = { .tags = rand() % 3,
					 .version = rand() % 2 ? 4 : 6,
					 .proto = rand() % 2 ? 6 : 17,
					 .ip_options = rand() % 2 ? 8 : 0,
					 .tcp_options = rand() % 11 * 4,
					 .payload = (uint32_t)rand() % 40 };

		frame_make(&frame, &s);
		frame.len = (uint32_t)rand() % (frame.len + 1);
		for (int flips = rand() % 4; flips > 0; flips--)
			frame.bytes[rand() % 100] = (uint8_t)rand();
		frame_view(view, &frame, pieces, 1000);
		parse_alone(view);
		assert_true(view->l3 <= view->snapshot_len);
		assert_true(view->l4 == 0 ||
			    (view->l4 >= view->l3 && view->l4 <= view->snapshot_len));
		assert_true(view->payload == 0 ||
			    (view->payload >= view->l4 + 8 && view->payload <= view->snapshot_len));
		assert_true(via_view_flow(view) != 0);
	}
	free(view);
}

static uint32_t flow_of(const struct frame *f)
{
	struct via_view view;

	frame_view(&view, f, pieces, 1000);
	return via_view_flow(&view);
}

/* VN-16 compares what a guest receives with what it sent. */
static void both_directions_of_a_flow_hash_alike_and_other_flows_do_not(void **state)
{
	uint8_t swap[16];
	uint32_t there;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		uint32_t size = version == 4 ? 4 : 16, at;

		frame_make(&frame, &(struct frame_shape){ .version = version, .proto = 6 });
		there = flow_of(&frame);
		at = frame.l3 + (version == 4 ? 12 : 8);
		memcpy(swap, frame.bytes + at, size);
		memcpy(frame.bytes + at, frame.bytes + at + size, size);
		memcpy(frame.bytes + at + size, swap, size);
		assert_int_not_equal(flow_of(&frame), there);
		frame_put16(&frame, frame.l4, 443);
		frame_put16(&frame, frame.l4 + 2, 1234);
		assert_int_equal(flow_of(&frame), there);
		frame_put16(&frame, frame.l4 + 2, 1235);
		assert_int_not_equal(flow_of(&frame), there);
	}
}

static void all_fragments_of_a_packet_hash_alike(void **state)
{
	uint32_t first;

	(void)state;
	frame_make(&frame, &(struct frame_shape){ .version = 4, .proto = 17, .payload = 40 });
	frame_put16(&frame, frame.l3 + 6, 0x2000);
	first = flow_of(&frame);
	frame_put16(&frame, frame.l3 + 6, 0x2010);
	frame_put16(&frame, frame.l4, 0xabcd); /* payload by now */
	assert_int_equal(flow_of(&frame), first);
}

/* What an earlier frame left in the view has no part in it. */
static void a_frame_without_addresses_always_hashes_alike(void **state)
{
	struct via_view view;
	uint32_t first;

	(void)state;
	frame_make(&frame, &(struct frame_shape){ .version = 4, .proto = 17 });
	frame.len = 11;
	first = flow_of(&frame);
	frame_view(&view, &frame, pieces, 1000);
	memset(view.snapshot + 11, 0x5a, VIA_SNAPSHOT_SIZE - 11);
	assert_int_equal(via_view_flow(&view), first);
}

static void hashes_spread_evenly_over_a_few_queues(void **state)
{
	uint32_t hits[7] = { 0 };

	(void)state;
	frame_make(&frame, &(struct frame_shape){ .version = 4, .proto = 6 });
	for (uint32_t port = 0; port < 7000; port++) {
		frame_put16(&frame, frame.l4, 1024 + port);
		hits[flow_of(&frame) % 7]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(hits[i], 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_found_behind_tags_options_and_extensions),
		cmocka_unit_test(fragments_have_no_payload_and_later_ones_no_transport),
		cmocka_unit_test(fragments_of_ipv6_are_told_from_whole_packets),
		cmocka_unit_test(only_an_outer_tag_of_8021q_is_a_vlan),
		cmocka_unit_test(headers_that_contradict_themselves_are_not_taken_for_ip),
		cmocka_unit_test(headers_cut_by_the_snapshot_are_not_there),
		cmocka_unit_test(ipv6_extensions_of_all_kinds_are_passed),
		cmocka_unit_test(ipv6_extensions_end_after_eight),
		cmocka_unit_test(offsets_stay_inside_the_snapshot_whatever_the_bytes),
		cmocka_unit_test(both_directions_of_a_flow_hash_alike_and_other_flows_do_not),
		cmocka_unit_test(all_fragments_of_a_packet_hash_alike),
		cmocka_unit_test(a_frame_without_addresses_always_hashes_alike),
		cmocka_unit_test(hashes_spread_evenly_over_a_few_queues),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
