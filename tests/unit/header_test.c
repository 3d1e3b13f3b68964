/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/header.[ch]; rules VN-30 to VN-53, HX-37 */
#include "frame.h"

static struct frame frame;
static struct via_piece pieces[70000];

enum { EVERYTHING = VIA_OFFLOAD_ALL };

static const struct frame_shape tcp4 = { .version = 4, .proto = 6, .payload = 3000 };

static void the_size_follows_from_the_features(void **state)
{
	(void)state;
	assert_int_equal(via_net_header_size(0), 10);
	assert_int_equal(via_net_header_size(VIA_BIT(VIRTIO_NET_F_MRG_RXBUF)), 12);
	assert_int_equal(via_net_header_size(VIA_BIT(VIRTIO_F_VERSION_1)), 12);
	assert_int_equal(via_net_header_size(VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(57)), 20);
}

static void features_without_their_requirements_give_no_offload(void **state)
{
	uint64_t tso = VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_ECN);
	struct via_vq_net net;

	(void)state;
	assert_int_equal(via_offloads_of_guest(tso), 0);
	assert_int_equal(via_offloads_of_guest(tso | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM)),
			 VIA_OFFLOAD_CSUM | VIA_OFFLOAD_TSO4 | VIA_OFFLOAD_ECN);
	assert_int_equal(via_offloads_of_guest(VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |
					       VIA_BIT(VIRTIO_NET_F_GUEST_ECN)),
			 VIA_OFFLOAD_CSUM);
	assert_int_equal(
		via_offloads_of_host(VIA_BIT(VIRTIO_NET_F_CSUM) | VIA_BIT(VIRTIO_NET_F_HOST_USO)),
		VIA_OFFLOAD_CSUM | VIA_OFFLOAD_USO4 | VIA_OFFLOAD_USO6);
	net = via_vq_net_of(VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VIRTIO_NET_F_MRG_RXBUF) |
			    VIA_BIT(VIRTIO_NET_F_GUEST_CSUM));
	assert_int_equal(net.header_size, 12);
	assert_true(net.mergeable && net.has_num_buffers);
	assert_int_equal(net.guest, VIA_OFFLOAD_CSUM);
	assert_int_equal(net.host, 0);
}

static void who_knows_no_checksums_is_told_of_none(void **state) /* VN-43 */
{
	static const uint8_t flags[] = { 0, VIA_VIEW_NEEDS_CSUM, VIA_VIEW_CSUM_VALID };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct via_view view = { .flags = flags[i],
					       .csum_start = 34,
					       .csum_offset = 16 };
		const struct via_net_hdr none = { 0 };
		struct via_net_hdr hdr = { 0 };

		via_header_write_offload(&hdr, &view, 0);
		assert_memory_equal(&hdr, &none, sizeof(hdr));
	}
}

static bool accepts(const struct frame_shape *shape, const struct via_net_hdr *hdr,
		    uint32_t offloads, struct via_view *view)
{
	frame_make(&frame, shape);
	frame_view(view, &frame, pieces, 1500);
	return via_header_read(view, hdr, offloads, VIA_HDR_FROM_DRIVER);
}

static void gso_is_taken_when_all_of_it_is_right(void **state)
{
	static const struct {
		struct frame_shape shape;
		uint8_t type, gso, needs;
	} cases[] = {
		{ { .version = 4, .proto = 6, .payload = 9000 },
		  1,
		  VIA_GSO_TCPV4,
		  VIA_OFFLOAD_TSO4 },
		{ { .version = 6, .proto = 6, .payload = 9000 },
		  4,
		  VIA_GSO_TCPV6,
		  VIA_OFFLOAD_TSO6 },
		{ { .version = 4, .proto = 17, .payload = 9000 },
		  5,
		  VIA_GSO_UDP,
		  VIA_OFFLOAD_USO4 },
		{ { .tags = 1, .version = 6, .proto = 17, .payload = 9000 },
		  5,
		  VIA_GSO_UDP,
		  VIA_OFFLOAD_USO6 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct frame_shape *s = &cases[i].shape;
		struct via_net_hdr hdr = { .flags = 1,
					   .gso_type = cases[i].type,
					   .gso_size = 1400 };
		struct via_view view;

		frame_make(&frame, s);
		hdr.csum_start = (uint16_t)frame.l4;
		hdr.csum_offset = (uint16_t)frame_csum_offset(s->proto);
		assert_true(accepts(s, &hdr, VIA_OFFLOAD_CSUM | cases[i].needs, &view));
		assert_int_equal(view.gso, cases[i].gso);
		assert_int_equal(view.gso_size, 1400);
		assert_true(view.flags & VIA_VIEW_NEEDS_CSUM);
		/* VN-36 */
		assert_false(accepts(s, &hdr, EVERYTHING & ~cases[i].needs, &view));
		assert_false(accepts(s, &hdr, cases[i].needs, &view));
		hdr.flags = 0;
		assert_false(accepts(s, &hdr, EVERYTHING, &view));
		hdr.flags = 1;
		hdr.gso_size = 0;
		assert_false(accepts(s, &hdr, EVERYTHING, &view));
		hdr.gso_size = 1400;
		hdr.csum_start++;
		assert_false(accepts(s, &hdr, EVERYTHING, &view));
		hdr.csum_start--;
		for (int type = 0; type < 256; type++) {
			hdr.gso_type = (uint8_t)type;
			if (type != VIA_HDR_GSO_NONE && (type & 0x7f) != cases[i].type)
				assert_false(accepts(s, &hdr, EVERYTHING, &view));
		}
	}
}

/* VN-36. The view says what an earlier packet left there, as views are used again. */
static void segmentation_that_disagrees_with_the_packet_is_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t proto, flags, offset;
		uint16_t fragment; /* field of the IP header */
		bool accepted;
	} cases[] = {
		{ "nothing is wrong", 6, VIA_HDR_NEEDS_CSUM, 16, 0, true },
		{ "no checksum is asked for", 6, 0, 16, 0, false },
		{ "another transport", 17, VIA_HDR_NEEDS_CSUM, 16, 0, false },
		{ "another place of the checksum", 6, VIA_HDR_NEEDS_CSUM, 6, 0, false },
		{ "a first fragment", 6, VIA_HDR_NEEDS_CSUM, 16, 0x2000, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct via_net_hdr hdr = { .flags = cases[i].flags,
					   .gso_type = VIA_HDR_GSO_TCPV4,
					   .gso_size = htole16(1400) };
		struct via_view view;

		print_message("%s\n", cases[i].what);
		frame_make(&frame, &(struct frame_shape){ .version = 4,
							  .proto = cases[i].proto,
							  .payload = 3000 });
		frame_put16(&frame, frame.l3 + 6, cases[i].fragment);
		hdr.csum_start = htole16((uint16_t)frame.l4);
		hdr.csum_offset = htole16(cases[i].offset);
		frame_view(&view, &frame, pieces, 1500);
		via_view_parse(&view);
		view.flags = 0; /* as for a new packet */
		view.csum_start = (uint16_t)frame.l4;
		view.csum_offset = cases[i].offset;
		assert_int_equal(via_header_read(&view, &hdr, EVERYTHING, VIA_HDR_FROM_DRIVER),
				 cases[i].accepted);
	}
}

static void ecn_needs_its_own_feature_and_tcp(void **state)
{
	struct via_net_hdr hdr = {
		.flags = 1, .gso_type = 0x81, .gso_size = 1400, .csum_start = 34, .csum_offset = 16
	};
	const struct frame_shape udp = { .version = 4, .proto = 17, .payload = 3000 };
	struct via_view view;

	(void)state;
	assert_true(accepts(&tcp4, &hdr, EVERYTHING, &view));
	assert_true(view.flags & VIA_VIEW_ECN);
	assert_false(accepts(&tcp4, &hdr, EVERYTHING & ~VIA_OFFLOAD_ECN, &view));
	hdr.gso_type = 0x80;
	assert_false(accepts(&tcp4, &hdr, EVERYTHING, &view));
	hdr.gso_type = 0x85;
	hdr.csum_offset = 6;
	assert_false(accepts(&udp, &hdr, EVERYTHING, &view));
}

static void a_partial_checksum_stays_clear_of_what_was_judged(void **state)
{
	struct via_net_hdr hdr = { .flags = 1, .csum_start = 34, .csum_offset = 16 };
	const struct frame_shape other = { .version = 0, .payload = 60 };
	struct via_view view;

	(void)state;
	assert_true(accepts(&tcp4, &hdr, EVERYTHING, &view));
	for (uint16_t start = 0; start < 34; start++) {
		hdr.csum_start = start;
		assert_false(accepts(&tcp4, &hdr, EVERYTHING, &view));
	}
	hdr.csum_start = 13; /* would overwrite the type */
	hdr.csum_offset = 0;
	assert_false(accepts(&other, &hdr, EVERYTHING, &view));
	hdr.csum_start = 14;
	assert_true(accepts(&other, &hdr, EVERYTHING, &view));
	hdr.csum_start = 72;
	assert_true(accepts(&other, &hdr, EVERYTHING, &view));
	hdr.csum_start = 73; /* the field's second byte is outside */
	assert_false(accepts(&other, &hdr, EVERYTHING, &view));
}

/* Half a tag, or a type of 0: nothing of what follows is known. */
static void a_partial_checksum_stays_clear_of_addresses_where_no_type_is_known(void **state)
{
	static const struct {
		uint32_t len, type;
	} cases[] = { { 17, 0x8100 }, { 60, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct via_net_hdr hdr = { .flags = 1 };
		struct via_view view;

		frame_make(&frame, &(struct frame_shape){ .payload = 60 });
		frame.len = cases[i].len;
		frame_put16(&frame, 12, cases[i].type);
		for (uint16_t start = 0; start <= 14; start++) {
			hdr.csum_start = htole16(start);
			frame_view(&view, &frame, pieces, 1500);
			assert_int_equal(
				via_header_read(&view, &hdr, EVERYTHING, VIA_HDR_FROM_DRIVER),
				start == 14);
		}
	}
}

/* VN-30, VN-31: unknown flags and a driver's DATA_VALID mean nothing. */
static void flags_that_mean_nothing_are_ignored(void **state)
{
	struct via_net_hdr hdr = { .flags = 0xfe, .csum_start = 0xffff, .csum_offset = 0xffff };
	struct via_view view;

	(void)state;
	assert_true(accepts(&tcp4, &hdr, EVERYTHING, &view));
	assert_int_equal(view.flags & ~VIA_VIEW_PARSED, 0);
	frame_view(&view, &frame, pieces, 1500);
	assert_true(via_header_read(&view, &hdr, EVERYTHING, VIA_HDR_FROM_DEVICE));
	assert_int_equal(view.flags & ~VIA_VIEW_PARSED, VIA_VIEW_CSUM_VALID);
}

/* What a receiver may see, checked without the code under test: VN-40 to VN-50. */
static void check_written(const struct via_view *view, const struct via_net_hdr *hdr,
			  uint32_t takes)
{
	assert_true((hdr->flags & ~3) == 0 && hdr->flags != 3);
	assert_true(hdr->flags == 0 || takes & VIA_OFFLOAD_CSUM);
	if (hdr->flags == 1)
		assert_true(hdr->csum_start + hdr->csum_offset + 2u <= view->len);
	else
		assert_true(hdr->csum_start == 0 && hdr->csum_offset == 0);
	if (hdr->gso_type) {
		uint32_t base = hdr->gso_type & 0x7f;

		assert_int_equal(hdr->flags, 1);
		assert_true(hdr->gso_size != 0);
		assert_true(base == 1   ? takes & 2
			    : base == 4 ? takes & 4
					: base == 5 && takes & 48);
		assert_true(!(hdr->gso_type & 0x80) || takes & 8);
		assert_int_equal(hdr->hdr_len, frame.payload);
	} else {
		assert_true(hdr->gso_size == 0 && hdr->hdr_len == 0);
	}
	assert_true(hdr->hash_value == 0 && hdr->hash_report == 0 && hdr->padding == 0);
}

static void judge_one(const struct via_net_hdr *hdr, struct via_view *view)
{
	static const uint32_t receivers[] = { 0, VIA_OFFLOAD_CSUM, VIA_OFFLOAD_CSUM | 6,
					      VIA_OFFLOAD_ALL };
	enum via_drop why = VIA_NR_DROPS;

	frame_view(view, &frame, pieces, 1500);
	if (!via_header_read(view, hdr, VIA_OFFLOAD_ALL, VIA_HDR_FROM_DRIVER))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(receivers); i++) {
		enum via_fix fix = via_view_fix(view, receivers[i], 0, &why);
		struct via_net_hdr out;
		struct via_gso_iter iter;

		memset(&out, 0x5a, sizeof(out));
		if (fix == VIA_FIX_SEGMENT) {
			via_gso_begin(&iter, view, &why);
			continue;
		}
		if (fix == VIA_FIX_DROP) {
			assert_int_equal(why, VIA_DROP_NO_OFFLOAD);
			continue;
		}
		via_header_write(&out, view, receivers[i], fix, 3);
		assert_int_equal(out.num_buffers, 3);
		check_written(view, &out, receivers[i]);
	}
}

static void hx_37_every_header_is_made_harmless_or_refused(void **state)
{
	static const struct frame_shape shapes[] = {
		{ .version = 4, .proto = 6, .payload = 1000 },
		{ .version = 6, .proto = 17, .payload = 40 },
		{ .version = 0, .payload = 46 },
	};
	static const uint16_t hdr_lens[] = { 0, 13, 65535 }, buffers[] = { 0, 2, 65535 };
	struct via_view *view = malloc(sizeof(*view));

	(void)state;
	for (size_t shape = 0; shape < ARRAY_SIZE(shapes); shape++) {
		frame_make(&frame, &shapes[shape]);
		const uint16_t len = (uint16_t)frame.len;
		const uint16_t places[] = { 0,       1,     13,      14,      34,
					    53,      54,    len - 2, len - 1, len,
					    len + 1, 32768, 65534,   65535,   (uint16_t)frame.l4 };
		const uint16_t offsets[] = {
			0, 1, 6, 13, 14, 16, len - 2, len, 32768, 65534, 65535
		};
		const uint16_t sizes[] = { 0, 1, len, 65535 };

		for (size_t i = 0; i < ARRAY_SIZE(places) * ARRAY_SIZE(offsets); i++)
			for (uint32_t bits = 0; bits < 256; bits++) {
				struct via_net_hdr hdr = {
					.flags = (uint8_t)bits,
					.gso_type = (uint8_t)(bits * 167 + i),
					.hdr_len = hdr_lens[bits % 3],
					.gso_size = sizes[(bits + i) % 4],
					.csum_start = places[i / ARRAY_SIZE(offsets)],
					.csum_offset = offsets[i % ARRAY_SIZE(offsets)],
					.num_buffers = buffers[i % 3],
				};

				judge_one(&hdr, view);
				hdr.gso_type = (uint8_t[]){ 0, 1, 4, 5, 0x81, 0x84 }[bits % 6];
				judge_one(&hdr, view);
			}
	}
	free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_size_follows_from_the_features),
		cmocka_unit_test(features_without_their_requirements_give_no_offload),
		cmocka_unit_test(who_knows_no_checksums_is_told_of_none),
		cmocka_unit_test(gso_is_taken_when_all_of_it_is_right),
		cmocka_unit_test(segmentation_that_disagrees_with_the_packet_is_refused),
		cmocka_unit_test(ecn_needs_its_own_feature_and_tcp),
		cmocka_unit_test(a_partial_checksum_stays_clear_of_what_was_judged),
		cmocka_unit_test(
			a_partial_checksum_stays_clear_of_addresses_where_no_type_is_known),
		cmocka_unit_test(flags_that_mean_nothing_are_ignored),
		cmocka_unit_test(hx_37_every_header_is_made_harmless_or_refused),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
