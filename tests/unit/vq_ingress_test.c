/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/vq_ingress.c; HX-32, HX-38, VN-35 to VN-38 */
#include "frame.h"
#include "rig.h"

static const uint64_t modern = VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VIRTIO_NET_F_CSUM) |
			       VIA_BIT(VIRTIO_NET_F_HOST_TSO4) | VIA_BIT(VIRTIO_NET_F_HOST_USO);

static struct frame frame;
static uint8_t raw[1 << 21], got[70000];
static struct via_burst *burst;
static struct via_lent lent;
static struct via_drv_buffer buffers[33000];

/* Makes 'len' bytes of 'raw' (header and frame) available as a chain cut after each of 'cuts' bytes,
 * the last of which repeats. */
static void offer_raw(struct rig *rig, uint32_t len, const uint32_t *cuts, uint32_t nr_cuts,
		      enum via_drv_form form, uintptr_t token)
{
	uint32_t n = 0, cut = 0;

	for (uint32_t at = 0; at < len; at += buffers[n++].len) {
		uint32_t part = cuts[cut + 1 < nr_cuts ? cut++ : cut];

		part = part < len - at ? part : len - at;
		buffers[n] = (struct via_drv_buffer){ rig_alloc(rig, part), part };
		rig_copy(rig, buffers[n].addr, raw + at, part, true);
	}
	assert_int_equal(drv_add(&rig->drv, buffers, n, 0, form, (void *)token, rig->format), 0);
	drv_publish(&rig->drv, rig->format);
}

/* A plain frame with a zero header whose byte 20 is 'mark'. */
static void offer_frame(struct rig *rig, uint32_t len, uint8_t mark, uintptr_t token)
{
	frame_make(&frame, &(struct frame_shape){ .payload = len > 14 ? len - 14 : 0 });
	memset(raw, 0, 20);
	memcpy(raw + rig->net.header_size, frame.bytes, len);
	if (len > 20)
		raw[rig->net.header_size + 20] = mark;
	offer_raw(rig, rig->net.header_size + len, (uint32_t[]){ 100000 }, 1, VIA_DRV_DIRECT,
		  token);
}

static uint32_t ingress(struct rig *rig, uint32_t max)
{
	return via_vq_ingress(&rig->vq, &rig->net, &lent, burst, max, &rig->stats);
}

/* Everything offered comes back, unwritten, in order: tokens 'from' to 'to'. */
static void expect_back(struct rig *rig, uintptr_t from, uintptr_t to)
{
	struct via_drv_done done;

	for (; from <= to; from++) {
		assert_int_equal(rig_reap(rig, &done), 0);
		assert_int_equal((uintptr_t)done.token, from);
		assert_int_equal(done.len, 0);
	}
	assert_int_equal(rig_reap(rig, &done), -1);
}

static uint64_t drops(struct rig *rig, enum via_drop why)
{
	return via_counter_read(&rig->stats.drops[why]);
}

static void frames_arrive_however_the_chain_is_cut(void **state)
{
	static const uint32_t cuts[][3] = {
		{ 100000, 100000, 100000 },
		{ 12, 100000, 100000 },
		{ 12, 128, 100000 },
		{ 1, 1, 1 },
		{ 5, 7, 100000 },
		{ 13, 1, 100000 },
		{ 11, 2, 50 },
		{ 139, 1, 100000 },
		{ 140, 1, 100000 },
		{ 141, 100, 100000 },
		{ 12, 1, 127 },
		{ 4096, 4096, 4096 },
	};
	static const uint32_t lens[] = { 14, 15, 60, 64, 127, 128, 129, 200, 1514, 5000 };
	static const uint64_t features[] = { 0, modern, modern | VIA_BIT(57) };

	(void)state;
	RIG_FORMATS(format)
	{
		for (size_t i = 0; i < ARRAY_SIZE(cuts) * ARRAY_SIZE(lens) * 3 * 2; i++) {
			struct rig_config config = { .format = format,
						     .size = 8192,
						     .features = features[i % 3] };
			enum via_drv_form form = i / 3 % 2 ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT;
			const uint32_t *cut = cuts[i / 6 / ARRAY_SIZE(lens)];
			uint32_t len = lens[i / 6 % ARRAY_SIZE(lens)];
			struct rig rig;

			if (form == VIA_DRV_INDIRECT) {
				config.size = 256;
				if ((len + 20) / cut[2] > 250)
					continue;
			}
			rig_init(&rig, &config);
			if (i % 7 == 0) /* across the seam of the two regions */
				rig.next = RIG_GPA + RIG_REGION - (i % (len + 20));
			frame_make(&frame, &(struct frame_shape){ .payload = len - 14 });
			memset(raw, 0, 20);
			memcpy(raw + rig.net.header_size, frame.bytes, len);
			offer_raw(&rig, rig.net.header_size + len, cut, 3, form, 1);
			assert_int_equal(ingress(&rig, 64), 1);
			assert_int_equal(burst->view[0].len, len);
			assert_int_equal(burst->view[0].snapshot_len, len < 128 ? len : 128);
			assert_int_equal(view_bytes(&burst->view[0], got), len);
			assert_memory_equal(got, frame.bytes, len);
			assert_int_equal(burst->view[0].flags, 0);
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, 1, 1);
			assert_int_equal(via_counter_read(&rig.stats.packets), 1);
			assert_int_equal(via_counter_read(&rig.stats.bytes), len);
			rig_end(&rig);
		}
	}
}

static void bursts_go_back_in_order_with_one_call(void **state)
{
	(void)state;
	for (int variant = 0; variant < 8; variant++) {
		struct rig_config config = { .format = variant & 1,
					     .size = 128,
					     .features = modern,
					     .in_order = variant & 2,
					     .event_idx = variant & 4 };
		struct rig rig;
		uintptr_t token = 1;

		rig_init(&rig, &config);
		for (int round = 0; round < 20; round++) {
			for (uint32_t i = 0; i < 100; i++)
				offer_frame(&rig, 60 + i, (uint8_t)i, token + i);
			assert_int_equal(ingress(&rig, 64), 64);
			for (uint32_t i = 0; i < 64; i++)
				assert_int_equal(burst->view[i].snapshot[20], i);
			rig_calls(&rig);
			drv_arm(&rig.drv, rig.format);
			via_vq_ingress_release(&rig.vq, &lent);
			assert_int_equal(rig_calls(&rig), 1);
			expect_back(&rig, token, token + 63);
			assert_int_equal(ingress(&rig, 64), 36);
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, token + 64, token + 99);
			assert_int_equal(ingress(&rig, 64), 0);
			token += 100;
		}
		assert_int_equal(via_counter_read(&rig.stats.packets), 2000);
		rig_end(&rig);
	}
}

/* HX-32, HX-38, VX-22 */
static void impossible_lengths_are_dropped_and_counted(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = modern };
		struct rig rig;

		rig_init(&rig, &config);
		memset(raw, 0, sizeof(raw));
		for (uint32_t len = 1; len < 12 + 14; len++) {
			offer_raw(&rig, len, (uint32_t[]){ 5 }, 1, VIA_DRV_DIRECT, len);
			assert_int_equal(ingress(&rig, 64), 0);
			expect_back(&rig, len, len);
			assert_int_equal(drops(&rig, VIA_DROP_SHORT), len);
		}
		offer_raw(&rig, 12 + 65589, (uint32_t[]){ 100000 }, 1, VIA_DRV_DIRECT, 1);
		assert_int_equal(ingress(&rig, 64), 1);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 1, 1);
		offer_raw(&rig, 12 + 65590, (uint32_t[]){ 100000 }, 1, VIA_DRV_DIRECT, 2);
		offer_raw(&rig, 1 << 20, (uint32_t[]){ 1 << 20 }, 1, VIA_DRV_DIRECT, 3);
		assert_int_equal(ingress(&rig, 64), 0);
		expect_back(&rig, 2, 3);
		assert_int_equal(drops(&rig, VIA_DROP_LONG), 2);
		assert_int_equal(drops(&rig, VIA_DROP_SHORT), 25);
		rig_end(&rig);
	}
}

static void chains_without_bytes_or_with_writable_ones_are_dropped(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = modern };
		struct rig rig;
		struct via_drv_buffer b[3];

		rig_init(&rig, &config);
		for (int i = 0; i < 3; i++)
			b[i] = (struct via_drv_buffer){ rig_alloc(&rig, 100), 100 };
		b[2].len = 0;
		assert_int_equal(drv_add(&rig.drv, b, 1, 1, VIA_DRV_DIRECT, (void *)1, format), 0);
		assert_int_equal(drv_add(&rig.drv, b, 0, 2, VIA_DRV_DIRECT, (void *)2, format), 0);
		assert_int_equal(drv_add(&rig.drv, b + 2, 1, 0, VIA_DRV_DIRECT, (void *)3, format),
				 0);
		drv_publish(&rig.drv, format);
		offer_frame(&rig, 60, 9, 4);
		assert_int_equal(ingress(&rig, 64), 1);
		assert_int_equal(burst->view[0].snapshot[20], 9);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 1, 4);
		assert_int_equal(drops(&rig, VIA_DROP_HEADER), 2);
		assert_int_equal(drops(&rig, VIA_DROP_SHORT), 1);
		assert_int_equal(via_counter_read(&rig.stats.packets), 1);
		rig_end(&rig);
	}
}

static void headers_are_judged_by_what_was_negotiated(void **state)
{
	static const struct frame_shape tcp = { .version = 4, .proto = 6, .payload = 3000 };
	struct rig_config config = { .size = 64, .features = modern };
	struct via_net_hdr hdr = {
		.flags = 1, .gso_type = 1, .gso_size = 1460, .csum_start = 34, .csum_offset = 16
	};
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	frame_make(&frame, &tcp);
	memcpy(raw, &hdr, 12);
	memcpy(raw + 12, frame.bytes, frame.len);
	offer_raw(&rig, 12 + frame.len, (uint32_t[]){ 100000 }, 1, VIA_DRV_DIRECT, 1);
	raw[1] = 4; /* TCPv6 was not negotiated */
	offer_raw(&rig, 12 + frame.len, (uint32_t[]){ 100000 }, 1, VIA_DRV_DIRECT, 2);
	assert_int_equal(ingress(&rig, 64), 1);
	assert_int_equal(burst->view[0].gso, VIA_GSO_TCPV4);
	assert_int_equal(burst->view[0].gso_size, 1460);
	via_vq_ingress_release(&rig.vq, &lent);
	expect_back(&rig, 1, 2);
	assert_int_equal(drops(&rig, VIA_DROP_HEADER), 1);
	rig_end(&rig);
}

/* However the chain is cut. */
static void a_header_that_may_ask_for_nothing_is_not_read(void **state)
{
	static const uint32_t cuts[] = { 100000, 12, 7 };
	const struct via_net_hdr hdr = { .flags = 1, .gso_type = 1, .csum_start = 65535 };

	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 64,
					     .features = VIA_BIT(VIRTIO_F_VERSION_1) };

		for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
			struct rig rig;

			rig_init(&rig, &config);
			frame_make(&frame, &(struct frame_shape){ .payload = 300 });
			memcpy(raw, &hdr, 12);
			memcpy(raw + 12, frame.bytes, frame.len);
			offer_raw(&rig, 12 + frame.len, &cuts[i], 1, VIA_DRV_DIRECT, 1);
			assert_int_equal(ingress(&rig, 64), 1);
			assert_int_equal(burst->view[0].len, frame.len);
			assert_int_equal(burst->view[0].flags, 0);
			assert_int_equal(burst->view[0].gso, VIA_GSO_NONE);
			assert_memory_equal(burst->view[0].snapshot, frame.bytes, 128);
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, 1, 1);
			rig_end(&rig);
		}
	}
}

/* VN-38 */
static void a_disabled_queue_is_drained(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = modern };
		struct rig rig;

		rig_init(&rig, &config);
		rig.ring.enabled = false;
		for (uint32_t i = 1; i <= 10; i++)
			offer_frame(&rig, 60, 0, i);
		assert_int_equal(ingress(&rig, 64), 0);
		expect_back(&rig, 1, 10);
		assert_int_equal(drops(&rig, VIA_DROP_DISABLED), 10);
		rig_end(&rig);
	}
}

static void what_was_not_delivered_comes_again_in_order_and_counts_once(void **state)
{
	static const uint8_t again[] = { 4, 6, 7, 9, 10, 12, 13 };

	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		struct rig_config config = { .format = variant & 1,
					     .size = 32,
					     .features = modern,
					     .in_order = variant & 2 };
		struct rig rig;
		uintptr_t token = 1;
		uint32_t n;

		rig_init(&rig, &config);
		for (int round = 0; round < 50; round++) {
			/* every third is too short to be a frame */
			for (uint32_t i = 0; i < 15; i++)
				offer_frame(&rig, i % 3 == 2 ? 5 : 60, (uint8_t)i, token + i);
			assert_int_equal(ingress(&rig, 64), 10);
			via_vq_ingress_return(&rig.vq, &lent, 10);
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, 1, 0);
			assert_int_equal(ingress(&rig, 64), 10);
			via_vq_ingress_return(&rig.vq, &lent, 7); /* 0, 1, 3 are delivered */
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, token, token + 3);
			n = ingress(&rig, 64);
			assert_int_equal(n, 7);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(burst->view[i].snapshot[20], again[i]);
			via_vq_ingress_return(&rig.vq, &lent, 0);
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, token + 4, token + 14);
			token += 15;
		}
		assert_int_equal(via_counter_read(&rig.stats.packets), 500);
		assert_int_equal(via_counter_read(&rig.stats.bytes), 500 * 60);
		assert_int_equal(drops(&rig, VIA_DROP_SHORT), 250);
		rig_end(&rig);
	}
}

/* A burst of nothing but chains that are no frames has gone back before anybody could keep it. */
static void what_has_gone_back_is_not_taken_back(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 32, .features = modern };
		struct rig rig;

		rig_init(&rig, &config);
		for (uintptr_t i = 1; i <= 3; i++)
			offer_frame(&rig, 5, 0, i);
		assert_int_equal(ingress(&rig, 64), 0);
		via_vq_ingress_return(&rig.vq, &lent, 0);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 1, 3);
		offer_frame(&rig, 60, 4, 4);
		assert_int_equal(ingress(&rig, 64), 1);
		assert_int_equal(burst->view[0].snapshot[20], 4);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 4, 4);
		assert_int_equal(drops(&rig, VIA_DROP_SHORT), 3);
		rig_end(&rig);
	}
}

/* Found by a fuzzer: all of a loan was returned, and nothing lent since. */
static void what_was_returned_is_not_returned_again(void **state)
{
	struct rig_config config = { .size = 64, .features = modern };
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	for (uintptr_t i = 1; i <= 2; i++)
		offer_frame(&rig, 60, 1, i);
	assert_int_equal(ingress(&rig, 64), 2);
	for (int time = 0; time < 2; time++) {
		via_vq_ingress_return(&rig.vq, &lent, 2);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 1, 0);
	}
	assert_int_equal(ingress(&rig, 64), 2);
	via_vq_ingress_release(&rig.vq, &lent);
	expect_back(&rig, 1, 2);
	rig_end(&rig);
}

/* Every mixture of usual and unusual chains, against what was offered. */
static void any_mixture_of_chains_arrives_in_order(void **state)
{
	(void)state;
	srand(3);
	for (int round = 0; round < 400; round++) {
		struct rig_config config = {
			.format = round & 1, .size = 256, .features = modern, .in_order = round & 2
		};
		uint32_t n = 1 + (uint32_t)rand() % 64, nr_good = 0, good[64], max;
		struct rig rig;

		rig_init(&rig, &config);
		if (round % 5 == 0) /* chains before, across and behind the seam */
			rig.next = RIG_GPA + RIG_REGION - (uint64_t)rand() % 8000;
		for (uint32_t i = 0; i < n; i++) {
			static const uint32_t cuts[] = { 100000, 100000, 12, 60, 100 };
			uint32_t cut[2] = { cuts[rand() % 5], cuts[rand() % 5] };
			uint32_t len =
				rand() % 8 ? 14 + (uint32_t)rand() % 400 : (uint32_t)rand() % 14;
			enum via_drv_form form = rand() % 4 ? VIA_DRV_DIRECT : VIA_DRV_INDIRECT;

			for (uint32_t b = 0; b < len; b++)
				raw[12 + b] = (uint8_t)(len + b + i);
			memset(raw, 0, 12);
			offer_raw(&rig, 12 + len, cut, 2, form, i + 1);
			if (len >= 14)
				good[nr_good++] = len << 8 | i;
		}
		max = round % 3 ? 64 : 1 + (uint32_t)rand() % 64;
		for (uint32_t at = 0, got_now; at < nr_good; at += got_now) {
			got_now = ingress(&rig, max);
			if (got_now == 0)
				continue; /* nothing but short ones */
			for (uint32_t i = 0; i < got_now; i++) {
				uint32_t len = good[at + i] >> 8, which = good[at + i] & 255;

				assert_int_equal(view_bytes(&burst->view[i], got), len);
				assert_int_equal(burst->view[i].snapshot_len,
						 len < 128 ? len : 128);
				for (uint32_t b = 0; b < len; b++)
					assert_int_equal(got[b], (uint8_t)(len + b + which));
			}
			via_vq_ingress_release(&rig.vq, &lent);
		}
		while (ingress(&rig, 64) > 0 || drops(&rig, VIA_DROP_SHORT) + nr_good < n)
			;
		expect_back(&rig, 1, n);
		assert_int_equal(drops(&rig, VIA_DROP_SHORT), n - nr_good);
		assert_int_equal(via_counter_read(&rig.stats.packets), nr_good);
		rig_end(&rig);
	}
}

static void a_burst_ends_where_its_pieces_do(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 32768, .features = modern };
		uint32_t total = 0, n;
		uintptr_t token = 1;
		struct rig rig;

		rig_init(&rig, &config);
		frame_make(&frame, &(struct frame_shape){ .payload = 700 });
		memset(raw, 0, 12);
		memcpy(raw + 12, frame.bytes, frame.len);
		for (uint32_t i = 0; i < 45; i++)
			offer_raw(&rig, 12 + frame.len, (uint32_t[]){ 1 }, 1, VIA_DRV_DIRECT,
				  token + i);
		while ((n = ingress(&rig, 64)) > 0) {
			for (uint32_t i = 0; i < n; i++) {
				assert_int_equal(view_bytes(&burst->view[i], got), frame.len);
				assert_memory_equal(got, frame.bytes, frame.len);
			}
			total += n;
			via_vq_ingress_release(&rig.vq, &lent);
			expect_back(&rig, token, token + n - 1);
			token += n;
		}
		assert_int_equal(total, 45);
		rig_end(&rig);
	}
}

/* R10, R18 */
static void a_burst_ends_when_it_has_walked_enough(void **state)
{
	static const struct {
		uint32_t len, readable;
	} kinds[] = { { 0, 256 }, { 0, 0 }, { 1, 0 } }; /* no bytes; none; only bytes to write */

	(void)state;
	RIG_FORMATS(format)
	{
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct rig_config config = { .format = format,
						     .size = 256,
						     .features = modern };
			struct rig rig;

			rig_init(&rig, &config);
			for (uint32_t i = 0; i < 256; i++)
				buffers[i] = (struct via_drv_buffer){ RIG_GPA, kinds[k].len };
			for (uintptr_t i = 0; i < 64; i++)
				assert_int_equal(drv_add(&rig.drv, buffers, kinds[k].readable,
							 256 - kinds[k].readable, VIA_DRV_INDIRECT,
							 (void *)i, format),
						 0);
			drv_publish(&rig.drv, format);
			for (uintptr_t i = 0; i < 64; i += 16) {
				burst->nr_walked = 0;
				assert_int_equal(ingress(&rig, 64), 0);
				assert_int_equal(burst->nr_walked, 4096);
				expect_back(&rig, i, i + 15);
			}
			rig_end(&rig);
		}
	}
}

static void a_chain_that_breaks_the_queue_does_not_take_the_others_along(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format, .size = 64, .features = modern };
		struct via_drv_buffer outside = { 0x10, 100 };
		struct rig rig;

		rig_init(&rig, &config);
		offer_frame(&rig, 60, 1, 1);
		offer_frame(&rig, 60, 2, 2);
		assert_int_equal(
			drv_add(&rig.drv, &outside, 1, 0, VIA_DRV_DIRECT, (void *)3, format), 0);
		drv_publish(&rig.drv, format);
		offer_frame(&rig, 60, 4, 4);
		assert_int_equal(ingress(&rig, 64), 2);
		assert_int_equal(rig.vq.broken, VIA_BROKEN_ADDRESS);
		via_vq_ingress_release(&rig.vq, &lent);
		expect_back(&rig, 1, 2);
		assert_int_equal(ingress(&rig, 64), 0);
		rig_end(&rig);
	}
}

static void a_stopped_queue_lends_nothing(void **state)
{
	struct rig_config config = { .size = 64, .features = modern };
	struct rig rig;

	(void)state;
	rig_init(&rig, &config);
	offer_frame(&rig, 60, 1, 1);
	assert_int_equal(ingress(&rig, 64), 1);
	via_vq_ingress_release(&rig.vq, &lent);
	offer_frame(&rig, 60, 1, 2);
	via_vq_stop(&rig.vq);
	assert_int_equal(ingress(&rig, 64), 0);
	via_vq_ingress_return(&rig.vq, &lent, 1); /* nor is anything taken back that was not lent */
	via_vq_ingress_release(&rig.vq, &lent);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_arrive_however_the_chain_is_cut),
		cmocka_unit_test(bursts_go_back_in_order_with_one_call),
		cmocka_unit_test(impossible_lengths_are_dropped_and_counted),
		cmocka_unit_test(chains_without_bytes_or_with_writable_ones_are_dropped),
		cmocka_unit_test(headers_are_judged_by_what_was_negotiated),
		cmocka_unit_test(a_header_that_may_ask_for_nothing_is_not_read),
		cmocka_unit_test(a_disabled_queue_is_drained),
		cmocka_unit_test(what_was_not_delivered_comes_again_in_order_and_counts_once),
		cmocka_unit_test(what_was_returned_is_not_returned_again),
		cmocka_unit_test(what_has_gone_back_is_not_taken_back),
		cmocka_unit_test(any_mixture_of_chains_arrives_in_order),
		cmocka_unit_test(a_burst_ends_where_its_pieces_do),
		cmocka_unit_test(a_burst_ends_when_it_has_walked_enough),
		cmocka_unit_test(a_chain_that_breaks_the_queue_does_not_take_the_others_along),
		cmocka_unit_test(a_stopped_queue_lends_nothing),
	};
	int failed;

	burst = via_burst_create();
	failed = cmocka_run_group_tests_name("vq_ingress", tests, NULL, NULL);
	via_burst_free(burst);
	return failed;
}
