/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net/vq_egress.c; HX-39, VN-40 to VN-55. What it does to packets for drivers that take less is in
 * vq_egress_offload_test.c, workers that meet in vq_egress_workers_test.c.
 */
#include <sys/mman.h>

#include "egress_rig.h"

/* Offers a buffer whose header ends where a page does, and its frame begins; always the same one. Returns the page
 * of the header. */
static uint8_t *offer_header_apart(struct rig *rig)
{
	uint8_t *page = rig->mem->region[1].host;
	struct via_drv_buffer buffer = { .len = 12 + 2000 };

	page += 4096 - (uintptr_t)page % 4096;
	buffer.addr =
		rig->mem->region[1].gpa + 4096 - 12 + (uint64_t)(page - rig->mem->region[1].host);
	assert_int_equal(drv_add(&rig->drv, &buffer, 0, 1, VIA_DRV_DIRECT, page, rig->format), 0);
	drv_publish(&rig->drv, rig->format);
	return page;
}

static void expect_plain(struct rig *rig, const uint8_t *page, uint32_t len)
{
	static const uint8_t header[12] = { [10] = 1 };
	struct via_drv_done done;

	assert_int_equal(rig_reap(rig, &done), 0);
	assert_int_equal(done.len, 12 + len);
	assert_memory_equal(page + 4096 - 12, header, 12);
	assert_memory_equal(page + 4096, views[0].snapshot, len);
}

/* What lies on lines of its own goes from core to core with each write. */
static void a_header_on_its_own_line_is_written_only_if_it_says_something_else(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = mergeable };
		struct rig rig;
		uint8_t *page;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 50 }, 1000);
		for (uint32_t i = 0; i <= 12; i++) { /* all of it, then one byte of it */
			page = offer_header_apart(&rig);
			memset(page + 4096 - 12 + (i ? i - 1 : 0), 0xa5, i ? 1 : 12);
			assert_int_equal(egress(&rig, 1, 0, false), 1);
			expect_plain(&rig, page, frame.len);
		}
		offer_header_apart(&rig);
		mprotect(page, 4096, PROT_READ); /* and now it says so already */
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
		expect_plain(&rig, page, frame.len);
		rig_end(&rig);
	}
}

static void frames_arrive_in_one_buffer_of_any_shape(void **state)
{
	static const uint32_t cuts[] = { 100000, 12, 1, 13, 140, 139, 512, 1000 };
	static const uint32_t payloads[] = { 0, 1, 46, 50, 113, 114, 115, 186, 500 };
	static const uint64_t features[] = { 0, VIA_BIT(VIRTIO_F_VERSION_1),
					     VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(57),
					     VIA_BIT(VIRTIO_NET_F_MRG_RXBUF) };

	(void)state;
	RIG_FORMATS(format)
	{
		for (size_t i = 0; i < ARRAY_SIZE(cuts) * ARRAY_SIZE(payloads) * 4 * 2; i++) {
			struct rig_config config = { .format = format,
						     .size = 1024,
						     .features = features[i % 4] };
			uint32_t payload = payloads[i / 8 % ARRAY_SIZE(payloads)];
			uint32_t cut = cuts[i / 8 / ARRAY_SIZE(payloads)], room;
			struct via_net_hdr hdr;
			struct rig rig;

			rig_init(&rig, &config);
			make_view(0, &(struct frame_shape){ .payload = payload }, i % 3 ? 1000 : 7);
			room = rig.net.header_size + frame.len + (i / 4 % 2 ? 60 : 0);
			if (room / cut >= 300)
				cut = 13;
			if (i % 5 == 0)
				rig.next = RIG_GPA + RIG_REGION - i % room; /* across the seam */
			offer(&rig, 0, room, cut);
			assert_int_equal(egress(&rig, 1, 0, false), 1);
			assert_int_equal(take_packet(&rig, 0, &hdr), frame.len);
			assert_memory_equal(got, frame.bytes, frame.len);
			assert_int_equal(hdr.flags, 0);
			assert_int_equal(hdr.gso_type, 0);
			assert_int_equal(hdr.hash_value, 0);
			if (rig.net.has_num_buffers)
				assert_int_equal(hdr.num_buffers, 1);
			assert_int_equal(packets(&rig), 1);
			assert_int_equal(via_counter_read(&rig.stats.bytes), frame.len);
			rig_end(&rig);
		}
	}
}

/* VN-40, VN-42 */
static void long_frames_fill_buffer_after_buffer_where_they_may(void **state)
{
	static const uint32_t buffers[] = { 12, 13, 100, 140, 141, 1526, 2048, 4096 };
	static const uint32_t payloads[] = { 0, 1, 114, 1500, 4000, 5000 };

	(void)state;
	RIG_FORMATS(format)
	{
		for (size_t i = 0; i < ARRAY_SIZE(buffers) * ARRAY_SIZE(payloads); i++) {
			uint32_t size = buffers[i % ARRAY_SIZE(buffers)];
			struct rig_config config = { .format = format,
						     .size = 1024,
						     .features = mergeable,
						     .in_order = i % 2 };
			uint32_t total, nr;
			struct via_net_hdr hdr;
			struct rig rig;

			rig_init(&rig, &config);
			make_view(0,
				  &(struct frame_shape){
					  .payload = payloads[i / ARRAY_SIZE(buffers)] },
				  700);
			total = 12 + frame.len;
			nr = (total + size - 1) / size;
			for (uint32_t b = 0; b < 2 * nr; b++)
				offer(&rig, b, size, size > 100 ? 77 : 100);
			views[1] = views[0];
			assert_int_equal(egress(&rig, 2, 0, false), 2);
			for (uint32_t p = 0; p < 2; p++) {
				assert_int_equal(take_packet(&rig, p * nr, &hdr), frame.len);
				assert_int_equal(hdr.num_buffers, nr);
				assert_memory_equal(got, frame.bytes, frame.len);
			}
			assert_int_equal(packets(&rig), 2);
			assert_int_equal(rig_calls(&rig), 1);
			rig_end(&rig);
		}
	}
}

static void the_longest_frame_goes_through_small_buffers(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 1024,
					     .features = mergeable };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 65589 - 14 }, 4096);
		for (uint32_t i = 0; i < 1024; i++)
			offer(&rig, i, i < 512 ? 129 : 100, 1000);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(take_packet(&rig, 0, &hdr), 65589);
		assert_memory_equal(got, frame.bytes, frame.len);
		/* A packet that needs more than 512 buffers is too big for what the driver offers, and one
		 * that fits still goes. */
		views[1] = views[0];
		views[1].len = views[1].snapshot_len = 100;
		views[1].nr_pieces = 0;
		assert_int_equal(egress(&rig, 2, 0, false), 2);
		assert_int_equal(drops(&rig, VIA_DROP_TOO_BIG), 1);
		assert_int_equal(packets(&rig), 2);
		rig_end(&rig);
	}
}

static void a_packet_that_needs_more_buffers_than_the_ring_has_is_too_big(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 8, .features = mergeable };
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 1000 }, 4096);
		for (uint32_t i = 0; i < 7; i++)
			offer(&rig, i, 100, 100);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 1);
		offer(&rig, 7, 100, 100);
		assert_int_equal(egress(&rig, 1, 0, true), 1);
		assert_int_equal(drops(&rig, VIA_DROP_TOO_BIG), 1);
		rig_end(&rig);
	}
}

/* HX-39, VX-24: buffers that can take no packet come back unused, in order, and wedge nothing. */
static void useless_buffers_are_given_back_and_others_used(void **state)
{
	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		struct rig_config config = { .format = variant & 1,
					     .size = 256,
					     .features = variant & 2 ? mergeable : plain };
		uint32_t least = variant & 2 ? 12 : 26, index;
		struct via_drv_buffer mixed[2]; /* has a readable part */
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 46 }, 4096);
		for (uint32_t i = 0; i < least; i++)
			offer(&rig, i, i, 5);
		for (uint16_t i = 0; i < 2; i++) {
			mixed[0] = (struct via_drv_buffer){ rig_alloc(&rig, 100), 100 };
			mixed[1] = (struct via_drv_buffer){ rig_alloc(&rig, 100), 100 };
			assert_int_equal(drv_add(&rig.drv, mixed, 1, i, VIA_DRV_DIRECT,
						 (void *)(uintptr_t)(least + i + 1), rig.format),
					 0);
			offered[least + i] = (struct offered){ 0 };
		}
		offer(&rig, least + 2, 100, 100);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		for (uint32_t i = 0; i <= least + 1; i++) {
			assert_int_equal(take(&rig, got, &index), 0);
			assert_int_equal(index, i);
		}
		assert_int_equal(take_packet(&rig, least + 2, &hdr), 60);
		assert_memory_equal(got, frame.bytes, 60);
		assert_int_equal(packets(&rig), 1);
		rig_end(&rig);
	}
}

static void a_useless_buffer_between_good_ones_spoils_no_packet(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = mergeable };
		struct via_net_hdr hdr;
		struct rig rig;
		uint32_t index;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 200 }, 4096);
		offer(&rig, 0, 100, 100);
		offer(&rig, 1, 3, 3);
		for (uint32_t i = 2; i < 5; i++)
			offer(&rig, i, 100, 100);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(take(&rig, got, &index), 0);
		assert_int_equal(take(&rig, got, &index), 0);
		assert_int_equal(take_packet(&rig, 2, &hdr), frame.len);
		assert_int_equal(hdr.num_buffers, 3);
		assert_memory_equal(got, frame.bytes, frame.len);
		rig_end(&rig);
	}
}

static void a_ring_of_nothing_but_useless_buffers_costs_bounded_work(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 4096,
					     .features = mergeable };
		uint32_t index, back = 0;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 200 }, 4096);
		for (uint32_t i = 0; i < 4096; i++)
			offer(&rig, i, 3, 3);
		views[1] = views[0];
		assert_int_equal(egress(&rig, 2, 0, false), 2);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 2);
		for (; take(&rig, got, &index) == 0; back++)
			assert_int_equal(index, back);
		assert_int_equal(back, 512);
		rig_end(&rig);
	}
}

/* R10, R18: 65,536 descriptors that a driver offers for nothing; a frame looks at few of them. */
static void a_ring_of_nothing_but_empty_descriptors_costs_bounded_work(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 256, .features = mergeable };
		struct via_drv_buffer empty[256] = { { 0 } };
		struct via_drv_done done;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 200 }, 4096);
		views[1] = views[0];
		for (uintptr_t i = 0; i < 256; i++)
			assert_int_equal(drv_add(&rig.drv, empty, 0, 256, VIA_DRV_INDIRECT,
						 (void *)i, format),
					 0);
		drv_publish(&rig.drv, format);
		for (uintptr_t back = 0; back < 256;) {
			uintptr_t before = back;

			assert_int_equal(egress(&rig, 2, 0, false), 2);
			for (; rig_reap(&rig, &done) == 0; back++) {
				assert_int_equal((uintptr_t)done.token, back);
				assert_int_equal(done.len, 0);
			}
			assert_in_range(back - before, 1, 4096 / 256);
		}
		offer(&rig, 0, 500, 500); /* and the queue lives */
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(packets(&rig), 1);
		rig_end(&rig);
	}
}

/* R10: a round has room for four such buffers, a burst for all that it may walk. */
static void buffers_in_many_pieces_take_a_part_of_a_burst_and_lose_none(void **state)
{
	const uint32_t part = 4096 / 256;

	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 8192, .features = plain };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 2 * part; i++) {
			make_view(i, &(struct frame_shape){ .payload = 100 }, 4096);
			views[i].snapshot[20] = (uint8_t)i;
			offer(&rig, i, 256, 1);
		}
		for (uint32_t burst = 0; burst < 2; burst++) {
			assert_int_equal(egress(&rig, 2 * part, 0, true), part);
			for (uint32_t i = 0; i < part; i++) {
				assert_int_equal(take_packet(&rig, burst * part + i, &hdr),
						 frame.len);
				assert_int_equal(got[20], i);
			}
		}
		assert_int_equal(packets(&rig), 2 * part);
		assert_int_equal(drops(&rig, VIA_DROP_TOO_BIG), 0);
		rig_end(&rig);
	}
}

static void a_buffer_too_small_for_one_frame_waits_for_another(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = plain };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 200 }, 4096);
		make_view(1, &(struct frame_shape){ .payload = 46 }, 4096);
		views[2] = views[0];
		offer(&rig, 0, 72, 72);
		assert_int_equal(egress(&rig, 3, 0, false), 3);
		assert_int_equal(take_packet(&rig, 0, &hdr), 60);
		assert_int_equal(drops(&rig, VIA_DROP_TOO_BIG), 1);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 1);
		rig_end(&rig);
	}
}

/* VN-54 */
static void a_full_queue_drops_the_rest_or_keeps_it(void **state)
{
	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		struct rig_config config = { .format = variant & 1,
					     .size = 64,
					     .features = variant & 2 ? mergeable : plain };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 20; i++)
			make_view(i, &(struct frame_shape){ .payload = 46 + i }, 4096);
		for (uint32_t i = 0; i < 10; i++)
			offer(&rig, i, 200, 200);
		assert_int_equal(egress(&rig, 20, 0, true), 10);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 0);
		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(take_packet(&rig, i, &hdr), 60 + i);
		assert_int_equal(egress(&rig, 20, 0, true), 0);
		for (uint32_t i = 0; i < 3; i++)
			offer(&rig, i, 200, 200);
		assert_int_equal(egress(&rig, 20, 0, false), 20);
		assert_int_equal(drops(&rig, VIA_DROP_FULL), 17);
		assert_int_equal(packets(&rig), 13);
		rig_end(&rig);
	}
}

/* VN-03 */
static void frames_over_the_mtu_are_dropped(void **state)
{
	struct rig_config config = { .size = 64, .features = plain };
	struct via_net_hdr hdr;
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	make_view(0, &(struct frame_shape){ .payload = 1501 }, 4096);
	make_view(1, &(struct frame_shape){ .tags = 1, .payload = 1500 }, 4096);
	offer(&rig, 0, 4000, 4000);
	assert_int_equal(egress(&rig, 2, 1500, false), 2);
	assert_int_equal(take_packet(&rig, 0, &hdr), 1518);
	assert_int_equal(drops(&rig, VIA_DROP_TOO_BIG), 1);
	rig_end(&rig);
}

/* VN-55 */
static void a_queue_that_does_not_run_drops_all(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = plain };
		struct via_drv_buffer outside = { 0x10, 1000 };
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 5; i++)
			make_view(i, &(struct frame_shape){ .payload = 46 }, 4096);
		offer(&rig, 0, 600, 600);
		rig.ring.enabled = false;
		assert_int_equal(egress(&rig, 5, 0, true), 5);
		assert_int_equal(drops(&rig, VIA_DROP_NO_QUEUE), 5);
		rig.ring.enabled = true;
		/* One good buffer, then one that breaks the queue. */
		assert_int_equal(
			drv_add(&rig.drv, &outside, 0, 1, VIA_DRV_DIRECT, (void *)2, format), 0);
		drv_publish(&rig.drv, format);
		assert_int_equal(egress(&rig, 5, 0, false), 5);
		assert_int_equal(packets(&rig), 1);
		assert_int_equal(drops(&rig, VIA_DROP_NO_QUEUE), 9);
		assert_int_equal(rig.vq.broken, VIA_BROKEN_ADDRESS);
		assert_int_equal(egress(&rig, 5, 0, true), 5);
		assert_int_equal(drops(&rig, VIA_DROP_NO_QUEUE), 14);
		via_vq_stop(&rig.vq);
		assert_int_equal(egress(&rig, 5, 0, true), 5);
		assert_int_equal(drops(&rig, VIA_DROP_NO_QUEUE), 19);
		rig_end(&rig);
	}
}

static void rounds_of_many_bytes_and_many_buffers_keep_the_order(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 4096,
					     .features = mergeable };
		struct via_net_hdr hdr;
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 64; i++) {
			make_view(i, &(struct frame_shape){ .payload = 20000 }, 4096);
			views[i].snapshot[20] = (uint8_t)i;
		}
		for (uint32_t i = 0; i < 64 * 20; i++)
			offer(&rig, i, 1024, 1024);
		assert_int_equal(egress(&rig, 64, 0, false), 64);
		for (uint32_t i = 0; i < 64; i++) {
			assert_int_equal(take_packet(&rig, 20 * i, &hdr), 20014);
			assert_int_equal(hdr.num_buffers, 20);
			assert_int_equal(got[20], i);
			assert_memory_equal(got + 21, frame.bytes + 21, frame.len - 21);
		}
		assert_int_equal(rig_calls(&rig), 1);
		rig_end(&rig);
	}
}

/* Every mixture of packets and buffers: what arrives is in order, whole and right; the rest is counted. */
static void any_mixture_of_packets_and_buffers_comes_out_right(void **state)
{
	static struct frame frames[64];
	static struct via_piece shards[64][64];

	(void)state;
	srand(5);
	for (int round = 0; round < 300; round++) {
		struct rig_config config = { .format = round & 1,
					     .size = 256,
					     .features = round & 2 ? mergeable : plain };
		uint32_t n = 1 + (uint32_t)rand() % 64, nr_buffers = (uint32_t)rand() % 150;
		uint32_t index, next = 0, arrived = 0;
		struct via_net_hdr hdr;
		struct rig rig;
		uint64_t dropped = 0;

		rig_init(&rig, &config);
		if (round % 5 == 0)
			rig.next = RIG_GPA + RIG_REGION - (uint64_t)rand() % 100000;
		for (uint32_t i = 0; i < nr_buffers; i++) {
			uint32_t len = rand() % 12 ? 600 + (uint32_t)rand() % 2000
						   : (uint32_t)rand() % 100;

			offer(&rig, i, len, rand() % 3 ? 100000 : 400);
			if (rig.drv.nr_free < 8)
				nr_buffers = i + 1;
		}
		for (uint32_t i = 0; i < n; i++) {
			uint32_t len =
				rand() % 10 ? (uint32_t)rand() % 1500 : (uint32_t)rand() % 9000;

			frame_make(&frames[i], &(struct frame_shape){ .payload = len });
			frames[i].bytes[0] = (uint8_t)i;
			frame_view(&views[i], &frames[i], shards[i],
				   1 + len / 50 + (uint32_t)rand() % 900);
		}
		assert_int_equal(egress(&rig, n, 0, false), n);
		for (struct via_drv_done done; rig_reap(&rig, &done) == 0;) {
			uint32_t nr = 1, total, at = 0;
			static uint8_t bytes[1 << 18];

			index = (uint32_t)(uintptr_t)done.token - 1;
			assert_int_equal(index, next++);
			if (done.len == 0)
				continue;
			for (uint32_t k = 0; k < nr; k++) {
				struct offered *o;

				if (k > 0)
					assert_int_equal(rig_reap(&rig, &done), 0);
				index = (uint32_t)(uintptr_t)done.token - 1;
				o = &offered[index];
				total = done.len;
				for (uint32_t s = 0; s < o->nr && total > 0; s++) {
					uint32_t part = o->len[s] < total ? o->len[s] : total;

					rig_copy(&rig, o->gpa[s], bytes + at, part, false);
					at += part;
					total -= part;
				}
				if (k == 0) {
					memcpy(&hdr, bytes, 12);
					nr = hdr.num_buffers;
				}
				if (k + 1 < nr)
					assert_int_equal(done.len, o->total);
			}
			next += nr - 1;
			while (arrived < n && frames[arrived].bytes[0] != bytes[12])
				arrived++;
			assert_true(arrived < n);
			assert_int_equal(at, 12 + frames[arrived].len);
			assert_memory_equal(bytes + 12, frames[arrived].bytes, frames[arrived].len);
			arrived++;
		}
		for (int why = 0; why < VIA_NR_DROPS; why++)
			dropped += drops(&rig, (enum via_drop)why);
		assert_int_equal(packets(&rig) + dropped, n);
		assert_int_equal(dropped,
				 drops(&rig, VIA_DROP_FULL) + drops(&rig, VIA_DROP_TOO_BIG));
		rig_end(&rig);
	}
}

/* Added up in 32 bits, such a chain behind another would leave less room than there was. */
static void a_chain_of_nearly_4_gib_is_room_enough(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = mergeable };
		struct via_drv_buffer buffers[16];
		struct via_drv_done done;
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 500 }, 1000);
		offer(&rig, 0, 100, 100);
		rig.mem->region[1].size = 256 << 20; /* its end is never touched */
		for (uint32_t i = 0; i < 16; i++)
			buffers[i] = (struct via_drv_buffer){ RIG_GPA + RIG_REGION, 256 << 20 };
		buffers[15].len--;
		assert_int_equal(drv_add(&rig.drv, buffers, 0, 16, VIA_DRV_DIRECT, &rig, format),
				 0);
		drv_publish(&rig.drv, format);
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		assert_int_equal(packets(&rig), 1);
		assert_int_equal(rig_reap(&rig, &done), 0);
		assert_int_equal(done.len, 100);
		assert_int_equal(rig_reap(&rig, &done), 0);
		assert_int_equal(done.len, rig.net.header_size + frame.len - 100);
		rig_end(&rig);
	}
}

static void a_driver_is_not_made_to_kick_for_its_buffers(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = plain };
		struct rig rig;

		rig_init(&rig, &config);
		make_view(0, &(struct frame_shape){ .payload = 50 }, 1000);
		offer(&rig, 0, 600, 600);
		assert_true(drv_wants_kick(&rig.drv, format));
		assert_int_equal(egress(&rig, 1, 0, false), 1);
		offer(&rig, 1, 600, 600);
		assert_false(drv_wants_kick(&rig.drv, format));
		rig_end(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_header_on_its_own_line_is_written_only_if_it_says_something_else),
		cmocka_unit_test(frames_arrive_in_one_buffer_of_any_shape),
		cmocka_unit_test(long_frames_fill_buffer_after_buffer_where_they_may),
		cmocka_unit_test(the_longest_frame_goes_through_small_buffers),
		cmocka_unit_test(a_packet_that_needs_more_buffers_than_the_ring_has_is_too_big),
		cmocka_unit_test(useless_buffers_are_given_back_and_others_used),
		cmocka_unit_test(a_useless_buffer_between_good_ones_spoils_no_packet),
		cmocka_unit_test(a_ring_of_nothing_but_useless_buffers_costs_bounded_work),
		cmocka_unit_test(a_ring_of_nothing_but_empty_descriptors_costs_bounded_work),
		cmocka_unit_test(buffers_in_many_pieces_take_a_part_of_a_burst_and_lose_none),
		cmocka_unit_test(a_buffer_too_small_for_one_frame_waits_for_another),
		cmocka_unit_test(a_full_queue_drops_the_rest_or_keeps_it),
		cmocka_unit_test(frames_over_the_mtu_are_dropped),
		cmocka_unit_test(a_queue_that_does_not_run_drops_all),
		cmocka_unit_test(rounds_of_many_bytes_and_many_buffers_keep_the_order),
		cmocka_unit_test(any_mixture_of_packets_and_buffers_comes_out_right),
		cmocka_unit_test(a_chain_of_nearly_4_gib_is_room_enough),
		cmocka_unit_test(a_driver_is_not_made_to_kick_for_its_buffers),
	};

	return cmocka_run_group_tests_name("vq_egress", tests, NULL, NULL);
}
