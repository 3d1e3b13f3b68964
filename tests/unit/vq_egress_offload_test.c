/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/vq_egress.c: packets that ask for more than a driver takes; VN-43 to VN-50 */
#include "egress_rig.h"

static struct frame expected;

static void offload_view(uint32_t i, const struct frame_shape *shape, uint8_t gso,
			 uint16_t gso_size)
{
	make_view(i, shape, 1500);
	views[i].flags = VIA_VIEW_NEEDS_CSUM;
	views[i].gso = gso;
	views[i].gso_size = gso_size;
	views[i].csum_start = (uint16_t)frame.l4;
	views[i].csum_offset = (uint16_t)frame_csum_offset(shape->proto);
	via_view_parse(&views[i]);
}

static const struct frame_shape tcp = {
	.version = 4, .proto = 6, .payload = 30000, .tcp_flags = 0x19
};

/* Segment 'i' of 'frame', of 'size' bytes, comes next, in buffer 'i'. */
static void expect_segment(struct rig *rig, const struct frame_shape *shape, uint32_t size,
			   uint32_t i)
{
	struct via_net_hdr hdr;
	uint32_t len = take_packet(rig, i, &hdr);

	frame_segment(&expected, &frame, shape, size, i);
	assert_int_equal(len, expected.len);
	assert_memory_equal(got, expected.bytes, len);
}

/* VN-45, VN-46, VN-50 */
static void a_driver_that_takes_offloads_gets_them_as_they_are(void **state)
{
	struct rig_config config = { .size = 64,
				     .features = mergeable | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |
						 VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) };
	struct via_net_hdr hdr;
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	offload_view(0, &tcp, VIA_GSO_TCPV4, 1460);
	for (uint32_t i = 0; i < 20; i++)
		offer(&rig, i, 2048, 2048);
	assert_int_equal(egress(&rig, 1, 1500, false), 1);
	assert_int_equal(take_packet(&rig, 0, &hdr), frame.len);
	assert_memory_equal(got, frame.bytes, frame.len);
	assert_int_equal(hdr.flags, 1);
	assert_int_equal(hdr.gso_type, 1);
	assert_int_equal(hdr.gso_size, 1460);
	assert_int_equal(hdr.hdr_len, 54);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	assert_int_equal(packets(&rig), 1);
	rig_end(&rig);
}

static void frames_that_ask_and_frames_that_do_not_arrive_in_order(void **state)
{
	static const uint8_t asks[] = { 0, VIA_VIEW_NEEDS_CSUM, 0, VIA_VIEW_CSUM_VALID };
	static const uint8_t told[] = { 0, VIA_HDR_NEEDS_CSUM, 0, VIA_HDR_DATA_VALID };

	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 64,
					     .features =
						     mergeable | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 32; i++) {
			offload_view(i, &(struct frame_shape){ .version = 4, .proto = 17 }, 0, 0);
			views[i].flags = asks[i % 4];
			views[i].snapshot[0] = (uint8_t)i;
			offer(&rig, i, 600, 600);
		}
		assert_int_equal(egress(&rig, 32, 0, false), 32);
		for (uint32_t i = 0; i < 32; i++) {
			assert_int_equal(take_packet(&rig, i, &hdr), frame.len);
			assert_int_equal(got[0], i);
			assert_int_equal(hdr.flags, told[i % 4]);
		}
		rig_end(&rig);
	}
}

/* A port need not ask for the checksum of what it wants cut: each segment has one anyway. */
static void a_frame_to_be_cut_is_not_a_plain_one(void **state)
{
	struct rig_config config = { .size = 64, .features = mergeable };
	const struct frame_shape s = { .version = 4, .proto = 6, .payload = 3000 };
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	offload_view(0, &s, VIA_GSO_TCPV4, 1000);
	views[0].flags &= (uint8_t)~VIA_VIEW_NEEDS_CSUM;
	for (uint32_t i = 0; i < 4; i++)
		offer(&rig, i, 4096, 4096);
	assert_int_equal(egress(&rig, 1, 0, false), 1);
	for (uint32_t i = 0; i < 3; i++)
		expect_segment(&rig, &s, 1000, i);
	assert_int_equal(packets(&rig), 3);
	rig_end(&rig);
}

/* VN-43, VN-44 */
static void a_driver_that_takes_none_gets_packets_made_right(void **state)
{
	static const struct frame_shape shapes[] = {
		{ .version = 4, .proto = 6, .payload = 30001, .tcp_flags = 0x99 },
		{ .version = 6, .proto = 6, .payload = 30000, .tcp_flags = 0x19, .tags = 1 },
		{ .version = 4, .proto = 17, .payload = 30000, .tags = 2 },
		{ .version = 6, .proto = 17, .payload = 1471 },
		{ .version = 6, .proto = 17, .payload = 4 },
	};
	static const uint8_t gso[] = { VIA_GSO_TCPV4, VIA_GSO_TCPV6, VIA_GSO_UDP, VIA_GSO_UDP, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes) * 8; i++) {
		const struct frame_shape *s = &shapes[i / 8];
		uint64_t csum = i & 4 ? VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) : 0;
		struct rig_config config = { .format = i & 1,
					     .size = 256,
					     .features = (i & 2 ? mergeable : plain) | csum };
		uint32_t nr = gso[i / 8] ? (s->payload + 1399) / 1400 : 1;
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		offload_view(0, s, gso[i / 8], gso[i / 8] ? 1400 : 0);
		for (uint32_t b = 0; b < 2 * nr; b++)
			offer(&rig, b, i & 2 ? 1200 : 1600, 500);
		assert_int_equal(egress(&rig, 1, 1500, false), 1);
		for (uint32_t n = 0, b = 0; n < nr; n++, b += hdr.num_buffers) {
			uint32_t len = take_packet(&rig, b, &hdr);

			frame_segment(&expected, &frame, s, gso[i / 8] ? 1400 : 70000, n);
			assert_int_equal(len, expected.len);
			assert_int_equal(hdr.flags, csum ? 1 : 0);
			assert_int_equal(hdr.gso_type, 0);
			assert_int_equal(hdr.gso_size, 0);
			if (csum) {
				uint32_t sum = ~plain_sum(0, got + frame.l4, len - frame.l4);

				got[hdr.csum_start + hdr.csum_offset] = (uint8_t)(sum >> 8);
				got[hdr.csum_start + hdr.csum_offset + 1] = (uint8_t)sum;
			}
			assert_memory_equal(got, expected.bytes, len);
		}
		assert_int_equal(packets(&rig), nr);
		assert_int_equal(via_counter_read(&rig.stats.segments), gso[i / 8] ? nr : 0);
		assert_int_equal(via_counter_read(&rig.stats.csum), csum ? 0 : nr);
		assert_int_equal(rig_calls(&rig), 1);
		rig_end(&rig);
	}
}

static void segments_that_do_not_fit_are_counted_one_by_one(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = plain };
		struct rig rig;

		rig_init(&rig, &config);
		offload_view(0, &tcp, VIA_GSO_TCPV4, 500); /* 60 segments */
		make_view(1, &(struct frame_shape){ .payload = 46 }, 4096);
		offload_view(0, &tcp, VIA_GSO_TCPV4, 500);
		/* With 'keep' nothing is lost while nothing went. */
		assert_int_equal(egress(&rig, 1, 0, true), 0);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 0);
		for (uint32_t i = 0; i < 40; i++)
			offer(&rig, i, 600, 600);
		assert_int_equal(egress(&rig, 2, 0, false), 2);
		for (uint32_t i = 0; i < 40; i++)
			expect_segment(&rig, &tcp, 500, i);
		assert_int_equal(packets(&rig), 40);
		assert_int_equal(via_counter_read(&rig.stats.segments), 40);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 21);
		rig_end(&rig);
	}
}

/* What is left of the frame is more than one chunk of segments: there is no ring for the second. */
static void a_queue_that_breaks_within_a_segmented_frame_drops_what_is_left(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = plain };
		struct via_drv_buffer outside = { 0x10, 1000 };
		struct rig rig;

		rig_init(&rig, &config);
		offload_view(0, &tcp, VIA_GSO_TCPV4, 500); /* 60 segments */
		for (uint32_t i = 0; i < 10; i++)
			offer(&rig, i, 600, 600);
		assert_int_equal(
			drv_add(&rig.drv, &outside, 0, 1, VIA_DRV_DIRECT, (void *)11, format), 0);
		drv_publish(&rig.drv, format);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(rig.vq.broken, VIA_BROKEN_ADDRESS);
		assert_int_equal(packets(&rig), 10);
		assert_int_equal(drops(&rig, VIA_DROP_NO_QUEUE), 50);
		rig_end(&rig);
	}
}

static void what_cannot_be_segmented_is_dropped(void **state)
{
	struct rig_config config = { .size = 64, .features = plain };
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	offload_view(0, &tcp, VIA_GSO_TCPV4, 5); /* 6,000 segments */
	for (uint32_t i = 0; i < 40; i++)
		offer(&rig, i, 600, 600);
	assert_int_equal(egress(&rig, 1, 0, false), 1);
	assert_int_equal(drops(&rig, VIA_DROP_NO_OFFLOAD), 1);
	/* pieces of one byte: segments of 1,000 pieces are more than a round takes */
	offload_view(0, &tcp, VIA_GSO_TCPV4, 1000);
	frame_view(&views[0], &frame, pieces, 1);
	views[0].gso = VIA_GSO_TCPV4;
	views[0].gso_size = 1000;
	assert_int_equal(egress(&rig, 1, 0, false), 1);
	assert_int_equal(drops(&rig, VIA_DROP_NO_OFFLOAD), 31);
	assert_int_equal(packets(&rig), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_that_takes_offloads_gets_them_as_they_are),
		cmocka_unit_test(frames_that_ask_and_frames_that_do_not_arrive_in_order),
		cmocka_unit_test(a_frame_to_be_cut_is_not_a_plain_one),
		cmocka_unit_test(a_driver_that_takes_none_gets_packets_made_right),
		cmocka_unit_test(segments_that_do_not_fit_are_counted_one_by_one),
		cmocka_unit_test(a_queue_that_breaks_within_a_segmented_frame_drops_what_is_left),
		cmocka_unit_test(what_cannot_be_segmented_is_dropped),
	};

	return cmocka_run_group_tests_name("vq_egress_offload", tests, NULL, NULL);
}
