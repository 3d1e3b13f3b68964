/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's queues (lib/driver: life.c, rx.c, tx.c) against the device side of lib/ring and lib/net,
 * over two mappings of one memory and without a socket; and against a device that breaks rules.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver/queue.h"
#include "mem/mem.h"
#include "ring/vq.h"
#include "tests/test.h"
#include "tests/unit/frame.h"

#define SIZE 64

/* ---- both ends ---- */

struct pair {
	struct drv_life *life;
	int trouble_fd;
	struct via_burst *burst, *device_burst;
	struct via_queue_stats rx_stats, tx_stats; /* of the driver */

	struct via_mem *mem; /* the device's mapping */
	struct via_ring ring[2];
	struct via_vq vq[2];
	struct via_vq_net net;
	struct via_lent lent;
	struct via_queue_stats in_stats, out_stats; /* of the device: from and to the driver */
};

static void device_start(struct pair *p, uint32_t i)
{
	const struct via_frontend_ring *r = &p->life->ring[i];
	struct via_ring_sizes sizes = via_ring_sizes(p->life->format, r->size);
	struct via_ring_pos start = { .wrap = p->life->format == VIA_RING_PACKED };
	void *desc = via_mem_translate_user(p->mem, r->desc, sizes.desc);
	void *avail = via_mem_translate_user(p->mem, r->avail, sizes.avail);
	void *used = via_mem_translate_user(p->mem, r->used, sizes.used);

	assert_true(desc && avail && used);
	p->ring[i] = (struct via_ring){
		.mem = p->mem,
		.format = p->life->format,
		.size = (uint16_t)r->size,
		.event_idx = via_has(p->life->features, VIRTIO_F_EVENT_IDX),
		.indirect = via_has(p->life->features, VIRTIO_F_INDIRECT_DESC),
		.in_order = via_has(p->life->features, VIRTIO_F_IN_ORDER),
		.features = p->life->features,
		.kick_fd = r->kick_fd,
		.call_fd = r->call_fd,
		.enabled = true,
	};
	if (p->life->format == VIA_RING_PACKED) {
		p->ring[i].packed.desc = desc;
		p->ring[i].packed.driver = avail;
		p->ring[i].packed.device = used;
	} else {
		p->ring[i].split.desc = desc;
		p->ring[i].split.avail = avail;
		p->ring[i].split.used = used;
	}
	via_vq_start(&p->vq[i], &p->ring[i], start, start);
}

static struct pair *pair_create(uint64_t features, uint16_t size)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct via_error err = { "" };
	struct drv_life_config config = { .features = features | VIA_BIT(VIRTIO_F_VERSION_1),
					  .nr_pairs = 1,
					  .queue_size = size };
	struct via_region_desc region;
	int fd;

	assert_non_null(p);
	p->trouble_fd = config.trouble_fd = eventfd(0, EFD_NONBLOCK);
	if (drv_life_create(&p->life, &config, &err) < 0)
		fail_msg("%s", err.text);
	region = (struct via_region_desc){ DRV_GPA, p->life->size, DRV_GPA, 0 };
	fd = dup(p->life->mem_fd);
	if (via_mem_create(&p->mem, &region, &fd, 1, VIA_MEM_SEALED, &err) < 0)
		fail_msg("%s", err.text);
	p->net = via_vq_net_of(config.features);
	p->burst = via_burst_create();
	p->device_burst = via_burst_create();
	device_start(p, 0);
	device_start(p, 1);
	return p;
}

static void pair_free(struct pair *p)
{
	via_vq_stop(&p->vq[0]);
	via_vq_stop(&p->vq[1]);
	via_mem_free(p->mem);
	drv_life_free(p->life);
	via_burst_free(p->burst);
	via_burst_free(p->device_burst);
	close(p->trouble_fd);
	free(p);
}

static uint32_t receive(struct pair *p, uint32_t max)
{
	return drv_rx_burst(&p->life->rx[0], p->burst, max, &p->rx_stats);
}

static uint32_t transmit(struct pair *p, struct via_view *view, bool keep)
{
	return drv_tx_burst(&p->life->tx[0], &view, 1, keep, &p->tx_stats);
}

static uint32_t device_receive(struct pair *p)
{
	return via_vq_ingress(&p->vq[1], &p->net, &p->lent, p->device_burst, VIA_VQ_BURST,
			      &p->in_stats);
}

static void device_release(struct pair *p)
{
	via_vq_ingress_release(&p->vq[1], &p->lent);
}

static uint32_t device_send(struct pair *p, struct via_view *view)
{
	uint64_t before = via_counter_read(&p->out_stats.packets);

	via_vq_egress(&p->vq[0], &p->net, &view, 1, 0, false, &p->out_stats);
	return (uint32_t)(via_counter_read(&p->out_stats.packets) - before);
}

/* ---- frames ---- */

static const uint32_t payloads[] = { 0, 1, 46, 100, 1500, 2100, 2101, 4300, 9000, 65535 - 28 };

/* A frame whose content depends on 'number'. Not IP, so that no offload looks at it. */
static void make_frame(struct frame *f, uint32_t number)
{
	frame_make(f, &(struct frame_shape){ .payload = payloads[number % ARRAY_SIZE(payloads)] });
	memcpy(f->bytes + 6, &number, sizeof(number)); /* the source address */
	for (uint32_t i = 18; i < f->len; i += 97)
		f->bytes[i] ^= (uint8_t)number;
}

static void view_frame(struct via_view *view, struct via_piece *pieces, const struct frame *f)
{
	frame_view(view, f, pieces, 1000);
}

static void assert_is_frame(const struct via_view *view, uint32_t number)
{
	static struct frame want;
	static uint8_t got[70000];

	make_frame(&want, number);
	assert_int_equal(view->len, want.len);
	assert_int_equal(view_bytes(view, got), want.len);
	assert_memory_equal(got, want.bytes, want.len);
}

static bool fits(const struct pair *p, uint32_t number)
{
	return p->net.mergeable || payloads[number % ARRAY_SIZE(payloads)] + 14 + 12 <= DRV_STRIDE;
}

/* ---- traffic ---- */

/* The device sends in bursts of different sizes, the driver takes them in others. */
static void check_receiving(struct pair *p, uint32_t nr_frames)
{
	uint32_t sent = 0, received = 0, n;

	while (received < nr_frames) {
		for (uint32_t burst = 1 + sent % 5; burst > 0 && sent < nr_frames; burst--) {
			static struct frame f;
			struct via_piece pieces[80];
			struct via_view view;

			if (!fits(p, sent)) { /* the device must drop it, and go on */
				sent++;
				continue;
			}
			make_frame(&f, sent);
			view_frame(&view, pieces, &f);
			if (!device_send(p, &view))
				break;
			sent++;
		}
		n = receive(p, 1 + received % 7);
		for (uint32_t i = 0; i < n; i++) {
			while (!fits(p, received))
				received++;
			assert_is_frame(&p->burst->view[i], received++);
		}
		if (n)
			drv_rx_release(&p->life->rx[0], 0);
		while (received < nr_frames && received < sent && !fits(p, received))
			received++;
	}
}

static void check_sending(struct pair *p, uint32_t nr_frames)
{
	uint32_t sent = 0, received = 0, n;

	while (received < nr_frames) {
		for (uint32_t burst = 1 + sent % 40; burst > 0 && sent < nr_frames; burst--) {
			static struct frame f;
			struct via_piece pieces[80];
			struct via_view view;

			make_frame(&f, sent);
			view_frame(&view, pieces, &f);
			if (transmit(p, &view, true) == 0)
				break;
			sent++;
		}
		n = device_receive(p);
		for (uint32_t i = 0; i < n; i++)
			assert_is_frame(&p->device_burst->view[i], received++);
		device_release(p);
	}
	assert_int_equal(via_counter_read(&p->tx_stats.packets), nr_frames);
	for (int i = 0; i < VIA_NR_DROPS; i++)
		assert_int_equal(via_counter_read(&p->tx_stats.drops[i]), 0);
}

static const struct {
	const char *name;
	uint64_t features;
} variants[] = {
	{ "split", 0 },
	{ "packed", VIA_BIT(VIRTIO_F_RING_PACKED) },
};

static const unsigned int options[] = { VIRTIO_NET_F_MRG_RXBUF, VIRTIO_F_IN_ORDER,
					VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC };

static void all_frames_arrive_in_order_and_whole_with_all_features(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < ARRAY_SIZE(variants); v++) {
		for (uint32_t mask = 0; mask < 1 << ARRAY_SIZE(options); mask++) {
			uint64_t features = variants[v].features;
			struct pair *p;

			for (uint32_t i = 0; i < ARRAY_SIZE(options); i++)
				features |= mask & 1 << i ? VIA_BIT(options[i]) : 0;
			p = pair_create(features, SIZE);
			check_receiving(p, 500);
			check_sending(p, 500);
			assert_true(drv_is_fine(p->life));
			pair_free(p);
		}
	}
}

static void packed_rings_of_odd_sizes_wrap_within_frames(void **state)
{
	static const uint16_t sizes[] = { 33, 63, 255 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct pair *p = pair_create(
			VIA_BIT(VIRTIO_F_RING_PACKED) | VIA_BIT(VIRTIO_NET_F_MRG_RXBUF), sizes[i]);

		check_receiving(p, 300);
		check_sending(p, 300);
		pair_free(p);
	}
}

static void without_mergeable_buffers_one_buffer_takes_the_longest_frame(void **state)
{
	struct pair *p = pair_create(
		VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO4), SIZE);
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view;

	(void)state;
	make_frame(&f, 9);
	view_frame(&view, pieces, &f);
	assert_int_equal(device_send(p, &view), 1);
	assert_int_equal(receive(p, 64), 1);
	assert_is_frame(&p->burst->view[0], 9);
	pair_free(p);
}

/* ---- lossless ---- */

static void send_numbers(struct pair *p, uint32_t from, uint32_t to)
{
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view;

	for (uint32_t i = from; i < to; i++) {
		make_frame(&f, i);
		view_frame(&view, pieces, &f);
		assert_int_equal(device_send(p, &view), 1);
	}
}

static void what_was_not_delivered_comes_again_in_order(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < ARRAY_SIZE(variants); v++) {
		struct pair *p =
			pair_create(variants[v].features | VIA_BIT(VIRTIO_NET_F_MRG_RXBUF), SIZE);
		struct drv_rx *rx = &p->life->rx[0];

		send_numbers(p, 0, 8);
		assert_int_equal(receive(p, 5), 5);
		drv_rx_release(rx, 3);
		assert_int_equal(via_counter_read(&p->rx_stats.packets), 2);
		assert_true(drv_rx_arm(rx)); /* they are work */
		assert_int_equal(receive(p, 2), 2);
		assert_is_frame(&p->burst->view[0], 2);
		assert_is_frame(&p->burst->view[1], 3);
		drv_rx_release(rx, 2);
		assert_int_equal(receive(p, 64), 6);
		for (uint32_t i = 0; i < 6; i++)
			assert_is_frame(&p->burst->view[i], 2 + i);
		drv_rx_release(rx, 0);
		assert_int_equal(via_counter_read(&p->rx_stats.packets), 8);
		check_receiving(p, 200); /* no buffer was lost */
		pair_free(p);
	}
}

static void a_full_ring_drops_and_counts_or_keeps(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < ARRAY_SIZE(variants); v++) {
		struct pair *p = pair_create(variants[v].features, SIZE);
		static struct frame f;
		struct via_piece pieces[80];
		struct via_view view;

		make_frame(&f, 2);
		view_frame(&view, pieces, &f);
		for (uint32_t i = 0; i < SIZE; i++)
			assert_int_equal(transmit(p, &view, false), 1);
		assert_int_equal(transmit(p, &view, true), 0);
		assert_int_equal(transmit(p, &view, false), 1);
		assert_int_equal(via_counter_read(&p->tx_stats.packets), SIZE);
		assert_int_equal(via_counter_read(&p->tx_stats.drops[VIA_DROP_FULL]), 1);
		device_receive(p);
		device_release(p);
		assert_int_equal(transmit(p, &view, true), 1);
		pair_free(p);
	}
}

static void a_frame_longer_than_the_ring_can_take_is_too_big(void **state)
{
	struct pair *p = pair_create(0, 16);
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view;

	(void)state;
	make_frame(&f, 9);
	view_frame(&view, pieces, &f);
	assert_int_equal(transmit(p, &view, true), 1);
	assert_int_equal(via_counter_read(&p->tx_stats.drops[VIA_DROP_TOO_BIG]), 1);
	pair_free(p);
}

/* ---- offloads ---- */

static const struct frame_shape tcp = { .version = 4, .proto = 6, .payload = 5000 };

static void view_gso(struct via_view *view, struct via_piece *pieces, const struct frame *f)
{
	frame_view(view, f, pieces, 1500);
	view->flags = VIA_VIEW_NEEDS_CSUM;
	view->csum_start = (uint16_t)f->l4;
	view->csum_offset = 16;
	view->gso = VIA_GSO_TCPV4;
	view->gso_size = 1448;
}

static void segmentation_is_passed_on_where_the_back_end_takes_it(void **state)
{
	struct pair *p =
		pair_create(VIA_BIT(VIRTIO_NET_F_CSUM) | VIA_BIT(VIRTIO_NET_F_HOST_TSO4), SIZE);
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view, *got = &p->device_burst->view[0];

	(void)state;
	frame_make(&f, &tcp);
	view_gso(&view, pieces, &f);
	assert_int_equal(transmit(p, &view, false), 1);
	assert_int_equal(device_receive(p), 1);
	assert_int_equal(got->len, f.len);
	assert_int_equal(got->gso, VIA_GSO_TCPV4);
	assert_int_equal(got->gso_size, 1448);
	assert_true(got->flags & VIA_VIEW_NEEDS_CSUM);
	device_release(p);
	pair_free(p);
}

static void segments_are_cut_and_checksums_filled_in_where_it_does_not(void **state)
{
	static const uint64_t csum[] = { 0, VIA_BIT(VIRTIO_NET_F_CSUM) };

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(csum); c++) {
		struct pair *p = pair_create(csum[c], SIZE);
		static struct frame f, want;
		static uint8_t got[70000];
		struct via_piece pieces[80];
		struct via_view view;

		frame_make(&f, &tcp);
		view_gso(&view, pieces, &f);
		assert_int_equal(transmit(p, &view, false), 1);
		assert_int_equal(device_receive(p), 4);
		for (uint32_t i = 0; i < 4; i++) {
			const struct via_view *segment = &p->device_burst->view[i];

			frame_segment(&want, &f, &tcp, 1448, i);
			assert_int_equal(segment->gso, VIA_GSO_NONE);
			assert_int_equal(view_bytes(segment, got), want.len);
			if (c == 1) /* the checksum is the back-end's to fill in */
				memcpy(want.bytes + f.l4 + 16, got + f.l4 + 16, 2);
			assert_memory_equal(got, want.bytes, want.len);
		}
		assert_int_equal(via_counter_read(&p->tx_stats.segments), 4);
		assert_int_equal(via_counter_read(&p->tx_stats.csum), c == 0 ? 4 : 0);
		device_release(p);
		pair_free(p);
	}
}

/* VD-02 */
static void nothing_is_said_to_be_valid_when_sending(void **state)
{
	struct pair *p = pair_create(VIA_BIT(VIRTIO_NET_F_CSUM), SIZE);
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view;

	(void)state;
	make_frame(&f, 2);
	view_frame(&view, pieces, &f);
	view.flags = VIA_VIEW_CSUM_VALID;
	assert_int_equal(transmit(p, &view, false), 1);
	/* The first buffer to be taken is the one on top. */
	assert_int_equal(p->life->tx[0].q.buffer[0], 0);
	pair_free(p);
}

/* ---- notifications ---- */

static bool is_told(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t n;

	return poll(&poll_fd, 1, 0) == 1 && read(fd, &n, sizeof(n)) > 0;
}

static void interrupts_come_only_where_the_driver_asks(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < ARRAY_SIZE(variants); v++) {
		struct pair *p = pair_create(variants[v].features, SIZE);
		struct drv_rx *rx = &p->life->rx[0];

		send_numbers(p, 0, 1); /* the first one may be told of whatever was asked */
		assert_int_equal(receive(p, 64), 1);
		drv_rx_release(rx, 0);
		is_told(rx->q.call_fd);
		send_numbers(p, 0, 1);
		assert_false(is_told(rx->q.call_fd));
		assert_true(drv_rx_arm(rx)); /* it came before */
		assert_int_equal(receive(p, 64), 1);
		drv_rx_release(rx, 0);
		assert_false(drv_rx_arm(rx));
		send_numbers(p, 0, 1);
		assert_true(is_told(rx->q.call_fd));
		drv_rx_disarm(rx);
		pair_free(p);
	}
}

static void kicks_come_only_where_the_device_asks(void **state)
{
	(void)state;
	for (uint32_t v = 0; v < ARRAY_SIZE(variants); v++) {
		struct pair *p = pair_create(variants[v].features, SIZE);
		int kick_fd = p->life->tx[0].q.kick_fd;
		static struct frame f;
		struct via_piece pieces[80];
		struct via_view view;

		make_frame(&f, 2);
		view_frame(&view, pieces, &f);
		if (v == 0)
			vq_disarm(&p->vq[1], &p->ring[1], VIA_RING_SPLIT);
		else
			vq_disarm(&p->vq[1], &p->ring[1], VIA_RING_PACKED);
		is_told(kick_fd);
		transmit(p, &view, false);
		assert_false(is_told(kick_fd));
		device_receive(p);
		device_release(p);
		if (v == 0)
			assert_false(vq_arm(&p->vq[1], &p->ring[1], VIA_RING_SPLIT));
		else
			assert_false(vq_arm(&p->vq[1], &p->ring[1], VIA_RING_PACKED));
		transmit(p, &view, false);
		assert_true(is_told(kick_fd));
		pair_free(p);
	}
}

/* ---- back-ends that break rules ---- */

/* Writes a used element by hand, in a fresh split ring. */
static void use_by_hand(struct pair *p, uint32_t i, uint32_t id, uint32_t len)
{
	struct via_split_used *used = p->ring[0].split.used;

	via_le32_store(&used->ring[i].id, id);
	via_le32_store(&used->ring[i].len, len);
	via_le16_store_release(&used->idx, (uint16_t)(i + 1));
}

static uint8_t *buffer_0(struct pair *p)
{
	return p->life->rx[0].q.buffer;
}

/* VQ-D-07 */
static void used_elements_that_cannot_be_end_the_life_once(void **state)
{
	static const struct {
		const char *what;
		uint32_t id, len;
		uint16_t idx;
	} cases[] = {
		{ "an id beyond the ring", SIZE, 100, 1 },
		{ "an id of 32 bits", 0x10000, 100, 1 },
		{ "more bytes than the buffer has", 0, DRV_STRIDE + 1, 1 },
		{ "an index that runs ahead", 0, 100, SIZE + 1 },
		{ "an index that runs backwards", 0, 100, 0xffff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pair *p = pair_create(0, SIZE);

		print_message("%s\n", cases[i].what);
		use_by_hand(p, 0, cases[i].id, cases[i].len);
		via_le16_store_release(&p->ring[0].split.used->idx, cases[i].idx);
		assert_int_equal(receive(p, 64), 0);
		assert_int_equal(atomic_load(&p->life->trouble), DRV_BAD_USED);
		assert_true(is_told(p->trouble_fd));
		assert_int_equal(receive(p, 64), 0);
		assert_false(is_told(p->trouble_fd));
		pair_free(p);
	}
}

static void a_buffer_used_twice_ends_the_life(void **state)
{
	struct pair *p = pair_create(0, SIZE);

	(void)state;
	use_by_hand(p, 0, 5, 100);
	use_by_hand(p, 1, 5, 100);
	assert_int_equal(receive(p, 64), 1);
	assert_int_equal(atomic_load(&p->life->trouble), DRV_BAD_USED);
	pair_free(p);
}

/* VD-06 */
static void a_frame_in_more_buffers_than_were_used_ends_the_life(void **state)
{
	static const uint16_t claims[] = { 0, 2, SIZE, SIZE + 1, 0xffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
		struct pair *p = pair_create(VIA_BIT(VIRTIO_NET_F_MRG_RXBUF), SIZE);

		memcpy(buffer_0(p) + 10, &claims[i], 2);
		use_by_hand(p, 0, 0, 100);
		assert_int_equal(receive(p, 64), 0);
		assert_int_equal(atomic_load(&p->life->trouble), DRV_BAD_BUFFERS);
		pair_free(p);
	}
}

static void frames_that_are_none_are_dropped_and_their_buffers_offered_again(void **state)
{
	static const uint8_t gso_header[12] = { [1] = VIA_HDR_GSO_TCPV4, [10] = 1 };
	struct pair *p = pair_create(VIA_BIT(VIRTIO_NET_F_MRG_RXBUF), SIZE);
	struct drv_rx *rx = &p->life->rx[0];
	uint8_t *buffer = buffer_0(p);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		buffer[i * DRV_STRIDE + 10] = 1;         /* num_buffers */
	memcpy(buffer + 3 * DRV_STRIDE, gso_header, 12); /* GUEST_TSO4 was not negotiated */
	use_by_hand(p, 0, 0, 0);
	use_by_hand(p, 1, 1, 11);
	use_by_hand(p, 2, 2, 25);
	use_by_hand(p, 3, 3, 200);
	use_by_hand(p, 4, 4, 26);
	assert_int_equal(receive(p, 64), 1);
	assert_int_equal(p->burst->view[0].len, 14);
	assert_int_equal(via_counter_read(&p->rx_stats.drops[VIA_DROP_SHORT]), 3);
	assert_int_equal(via_counter_read(&p->rx_stats.drops[VIA_DROP_HEADER]), 1);
	assert_true(drv_is_fine(p->life));
	drv_rx_release(rx, 0);
	assert_int_equal(rx->ring.outstanding, SIZE);
	pair_free(p);
}

/* A merged frame of many buffers with next to nothing in each. */
static void many_nearly_empty_buffers_make_one_frame(void **state)
{
	struct pair *p = pair_create(VIA_BIT(VIRTIO_NET_F_MRG_RXBUF), SIZE);
	uint8_t *buffer = buffer_0(p);

	(void)state;
	buffer[10] = SIZE;
	for (uint32_t i = 0; i < SIZE; i++)
		use_by_hand(p, i, i, i == 0 ? 12 : i % 2 ? 0 : 7);
	assert_int_equal(receive(p, 64), 1);
	assert_int_equal(p->burst->view[0].len, 31 * 7);
	assert_int_equal(p->burst->view[0].snapshot_len, 128);
	drv_rx_release(&p->life->rx[0], 0);
	assert_int_equal(p->life->rx[0].ring.outstanding, SIZE);
	pair_free(p);
}

/* HX-36, seen from the driver: a back-end that rewrites all of the shared memory all the time. */
static struct {
	struct pair *pair;
	atomic_bool stop;
} scribble;

/* Mostly what may be right by chance, where it hurts: headers, used elements; and now and then
 * anything anywhere. */
static void scribble_once(struct pair *p, unsigned int *seed)
{
	uint32_t pick = (uint32_t)rand_r(seed), slot = (uint32_t)rand_r(seed) % SIZE;
	const struct via_region *region = &p->mem->region[0];

	if (pick % 1000 == 0) {
		uint32_t at = (uint32_t)rand_r(seed) % (uint32_t)region->size & ~1U;

		via_le16_store((void *)(region->host + at), (uint16_t)rand_r(seed));
	} else if (pick & 1) {
		uint32_t rx = (uint32_t)(p->life->rx[0].q.buffer_addr - DRV_GPA);
		uint8_t *header = region->host + rx + slot * DRV_STRIDE;

		via_le16_store((void *)(header + (pick >> 1) % 6 * 2), (uint16_t)(pick >> 8) % 4);
	} else if (p->life->format == VIA_RING_SPLIT) {
		struct via_split_used_elem *elem = &p->ring[0].split.used->ring[slot];

		via_le32_store(&elem->len, (pick >> 1) % (DRV_STRIDE + 1));
	} else {
		via_le32_store(&p->ring[0].packed.desc[slot].len, (pick >> 1) % (DRV_STRIDE + 1));
	}
}

static void *scribble_run(void *user)
{
	unsigned int seed = 3;

	(void)user;
	while (!atomic_load_explicit(&scribble.stop, memory_order_relaxed))
		scribble_once(scribble.pair, &seed);
	return NULL;
}

static void memory_that_changes_all_the_time_harms_nobody(void **state)
{
	uint64_t end = via_clock_us() + 2000000;
	uint32_t nr_views = 0, nr_lives = 0;

	(void)state;
	while (via_clock_us() < end) {
		uint64_t features = VIA_BIT(VIRTIO_NET_F_MRG_RXBUF) |
				    VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |
				    VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) |
				    (nr_lives & 1 ? VIA_BIT(VIRTIO_F_RING_PACKED) : 0) |
				    (nr_lives & 2 ? VIA_BIT(VIRTIO_F_IN_ORDER) : 0);
		static uint8_t sink[70000];
		pthread_t thread;

		scribble.pair = pair_create(features, SIZE);
		atomic_store(&scribble.stop, false);
		assert_int_equal(pthread_create(&thread, NULL, scribble_run, NULL), 0);
		for (int i = 0; i < 2000 && drv_is_fine(scribble.pair->life); i++) {
			static struct frame f;
			struct via_piece pieces[80];
			struct via_view view;
			uint32_t n;

			make_frame(&f, (uint32_t)i);
			view_frame(&view, pieces, &f);
			transmit(scribble.pair, &view, false);
			device_send(scribble.pair, &view);
			if (device_receive(scribble.pair))
				device_release(scribble.pair);
			n = receive(scribble.pair, 64);
			for (uint32_t k = 0; k < n; k++)
				view_bytes(&scribble.pair->burst->view[k], sink);
			drv_rx_release(&scribble.pair->life->rx[0], (uint32_t)i % 3);
			nr_views += n;
		}
		atomic_store(&scribble.stop, true);
		pthread_join(thread, NULL);
		pair_free(scribble.pair);
		nr_lives++;
	}
	print_message("# %u lives, %u frames\n", nr_lives, nr_views);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_frames_arrive_in_order_and_whole_with_all_features),
		cmocka_unit_test(packed_rings_of_odd_sizes_wrap_within_frames),
		cmocka_unit_test(without_mergeable_buffers_one_buffer_takes_the_longest_frame),
		cmocka_unit_test(what_was_not_delivered_comes_again_in_order),
		cmocka_unit_test(a_full_ring_drops_and_counts_or_keeps),
		cmocka_unit_test(a_frame_longer_than_the_ring_can_take_is_too_big),
		cmocka_unit_test(segmentation_is_passed_on_where_the_back_end_takes_it),
		cmocka_unit_test(segments_are_cut_and_checksums_filled_in_where_it_does_not),
		cmocka_unit_test(nothing_is_said_to_be_valid_when_sending),
		cmocka_unit_test(interrupts_come_only_where_the_driver_asks),
		cmocka_unit_test(kicks_come_only_where_the_device_asks),
		cmocka_unit_test(used_elements_that_cannot_be_end_the_life_once),
		cmocka_unit_test(a_buffer_used_twice_ends_the_life),
		cmocka_unit_test(a_frame_in_more_buffers_than_were_used_ends_the_life),
		cmocka_unit_test(frames_that_are_none_are_dropped_and_their_buffers_offered_again),
		cmocka_unit_test(many_nearly_empty_buffers_make_one_frame),
		cmocka_unit_test(memory_that_changes_all_the_time_harms_nobody),
	};

	return cmocka_run_group_tests_name("driver_queue", tests, NULL, NULL);
}
