/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port/tap_out.c: what the kernel gets of the frames that are sent to it, and what it never gets.
 * tap_rig.h has the TAP.
 */
#include <linux/if_packet.h>
#include <pthread.h>
#include <sys/mman.h>

#include "mem/mem.h"
#include "tap_rig.h"
#include "tests/memfd.h"

/* ---- what the kernel has received ---- */

static uint8_t received[70000];

/* The next frame that came in from the TAP and is of our tests (source 02:…:01), or 0. */
static uint32_t receive(int sock)
{
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	ssize_t n;

	do
		n = recvfrom(sock, received, sizeof(received), 0, (struct sockaddr *)&from, &size);
	while (n > 0 && (from.sll_pkttype == PACKET_OUTGOING ||
			 memcmp(received + 6, "\x02\x00\x00\x00\x00\x01", 6) != 0));
	return n > 0 ? (uint32_t)n : 0;
}

static void ask_for_checksum(void)
{
	view.flags = VIA_VIEW_NEEDS_CSUM;
	view.csum_start = (uint16_t)frame.l4;
	view.csum_offset = 6;
}

/* ---- frames and bursts ---- */

static void frames_reach_the_kernel_as_they_are(void **state)
{
	static const uint32_t sizes[] = { 18, 86, 87, 88, 1000, 1472 };
	static const uint32_t piece_sizes[] = { 1, 7, 1448, 70000 };
	struct via_port *port;
	int sock;

	(void)state;
	NEED_NAMESPACE();
	port = open_tap("ta", "on");
	sock = packet_socket("ta");
	for (uint32_t i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(piece_sizes); i++) {
		put_udp_frame(sizes[i % 6], piece_sizes[i / 6]);
		assert_int_equal(port->ops->egress_burst(port, views, 1, false), 1);
		assert_int_equal(receive(sock), frame.len);
		assert_memory_equal(received, frame.bytes, frame.len);
	}
	assert_int_equal(via_counter_read(&port->transmit[0].packets), 24);
	close(sock);
	close_port(port);
}

/* The kernel only answers EFAULT: nobody else would ever notice. */
static void memory_that_is_gone_is_found_out_by_its_write(void **state) /* R7, HX-16 */
{
	int fd = test_memfd(8192, 0); /* cannot be sealed */
	struct via_mapping *mapping;
	struct via_port *port;

	(void)state;
	NEED_NAMESPACE();
	assert_int_equal(via_guard_install(NULL), 0);
	assert_int_equal(via_mapping_open(&mapping, fd, 8192, VIA_MEM_GUARDED, NULL), 0);
	port = open_tap("ta", "on");
	put_udp_frame(1400, 70000);
	pieces[0].base = via_mapping_base(mapping) + 3900; /* ends in the second page */
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(port->ops->egress_burst(port, views, 1, false), 1);
	assert_int_equal(dropped(port, VIA_DROP_IO), 1);
	assert_true(via_mapping_is_lost(mapping));
	close_port(port);
	via_mapping_put(mapping);
	close(fd);
}

static void without_offloads_a_checksum_is_filled_in_of_the_bytes_that_are_sent(void **state)
{
	struct via_port *port;
	int sock;

	(void)state;
	NEED_NAMESPACE();
	port = open_tap("ta", "off");
	sock = packet_socket("ta");
	for (uint32_t piece = 1; piece < 1500; piece = piece * 3 + 1) {
		put_udp_frame(1471, piece);
		ask_for_checksum();
		assert_int_equal(port->ops->egress_burst(port, views, 1, false), 1);
		assert_int_equal(receive(sock), frame.len);
		assert_int_equal(plain_sum(plain_pseudo(&frame, 17, frame.len - frame.l4),
					   received + frame.l4, frame.len - frame.l4),
				 0xffff);
		assert_memory_equal(received + frame.payload, frame.bytes + frame.payload, 1471);
	}
	assert_int_equal(via_counter_read(&port->transmit[0].csum),
			 via_counter_read(&port->transmit[0].packets));
	close(sock);
	close_port(port);
}

static void what_may_not_reach_the_kernel_is_dropped_for_its_reason(void **state)
{
	struct via_port *port;
	uint8_t *gone;

	(void)state;
	NEED_NAMESPACE();
	port = open_tap("ta", "on");
	for (uint32_t len = 0; len < 14; len++) { /* R26, HX-38 */
		put_udp_frame(100, 70000);
		view.len = len;
		view.snapshot_len = (uint16_t)len;
		view.nr_pieces = 0;
		port->ops->egress_burst(port, views, 1, false);
	}
	assert_int_equal(dropped(port, VIA_DROP_SHORT), 14);
	put_udp_frame(1473, 70000); /* one byte over the MTU of 1500 */
	port->ops->egress_burst(port, views, 1, false);
	assert_int_equal(dropped(port, VIA_DROP_TOO_BIG), 1);

	gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	put_udp_frame(1000, 70000);
	pieces[0].base = gone; /* as guest memory that was truncated: EFAULT */
	port->ops->egress_burst(port, views, 1, false);
	assert_int_equal(dropped(port, VIA_DROP_IO), 1);
	munmap(gone, 4096);

	netns_set_up("ta", 0);
	put_udp_frame(1000, 70000);
	port->ops->egress_burst(port, views, 1, false);
	assert_int_equal(dropped(port, VIA_DROP_IO), 2);
	assert_int_equal(via_counter_read(&port->transmit[0].packets), 0);
	close_port(port);
}

/* Where frames are written several at a time, those that are not among others, and those that fail. */
static void a_burst_reaches_the_kernel_in_order_whatever_is_in_it(void **state)
{
	static struct frame frames[VIA_BURST];
	static struct via_piece piece[VIA_BURST];
	static struct via_view view_of[VIA_BURST];
	struct via_view *refs[VIA_BURST];
	uint8_t *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	NEED_NAMESPACE();
	for (int keep = 0; keep < 2; keep++) {
		struct via_port *port = open_tap("ta", "off");
		int sock = packet_socket("ta");

		for (uint32_t i = 0; i < VIA_BURST; i++) {
			frame_make(&frames[i], &(struct frame_shape){
						       .version = 4, .proto = 17, .payload = 200 });
			frames[i].bytes[frames[i].payload] = (uint8_t)i;
			frame_view(&view_of[i], &frames[i], &piece[i], 70000);
			refs[i] = &view_of[i];
			if (i % 10 == 3)
				piece[i].base = gone;
			if (i % 10 == 5)
				view_of[i].len = 12;
			if (i % 10 == 7) { /* is copied first */
				view_of[i].flags = VIA_VIEW_NEEDS_CSUM;
				view_of[i].csum_start = (uint16_t)frames[i].l4;
				view_of[i].csum_offset = 6;
			}
		}
		assert_int_equal(port->ops->egress_burst(port, refs, VIA_BURST, keep), VIA_BURST);
		for (uint32_t i = 0; i < VIA_BURST; i++) {
			if (i % 10 == 3 || i % 10 == 5)
				continue;
			assert_int_equal(receive(sock), frames[i].len);
			assert_int_equal(received[frames[i].payload], i);
		}
		assert_int_equal(receive(sock), 0);
		assert_int_equal(dropped(port, VIA_DROP_IO), 7);
		assert_int_equal(dropped(port, VIA_DROP_SHORT), 6);
		assert_int_equal(via_counter_read(&port->transmit[0].packets), 51);
		assert_int_equal(via_counter_read(&port->transmit[0].bytes), 51 * frames[0].len);
		close(sock);
		close_port(port);
	}
	munmap(gone, 4096);
}

/* HX-37: whatever a guest writes into its header, the kernel gets what was judged, or nothing. */
static void headers_of_a_hostile_guest_never_reach_the_kernel_raw(void **state)
{
	static const uint16_t places[] = { 0,  1,   13,  14,  34,    53,    54,
					   42, 140, 141, 142, 32768, 65534, 65535 };
	static const uint16_t gso_sizes[] = { 0, 1, 100, 65535 };
	static const char *const offloads[] = { "on", "off" };
	uint64_t dealt = 0, counted = 0;

	(void)state;
	NEED_NAMESPACE();
	for (int i = 0; i < 2; i++) {
		struct via_port *port = open_tap("ta", offloads[i]);

		for (uint32_t n = 0; n < 14 * 14 * 256; n++) {
			struct via_net_hdr hdr = {
				.flags = (uint8_t)(n % 4 == 3 ? n / 196 : 1),
				.gso_type = (uint8_t)(n / 196),
				.gso_size = gso_sizes[n % 4],
				.hdr_len = (uint16_t)(n * 7919),
				.csum_start = places[n % 14],
				.csum_offset = places[n / 14 % 14],
				.num_buffers = 65535,
			};

			frame_make(&frame, &(struct frame_shape){ .version = n % 5 ? 4 : 6,
								  .proto = n % 3 ? 6 : 17,
								  .payload = 88 });
			frame_view(&view, &frame, pieces, 70000);
			if (!via_header_read(&view, &hdr, VIA_OFFLOAD_ALL, VIA_HDR_FROM_DRIVER))
				continue;
			assert_int_equal(port->ops->egress_burst(port, views, 1, false), 1);
			dealt++;
		}
		counted += via_counter_read(&port->transmit[0].packets) -
			   via_counter_read(&port->transmit[0].segments);
		for (uint32_t why = 0; why < VIA_NR_DROPS; why++)
			counted += dropped(port, why);
		print_message("# offloads %s: refused by the kernel: %llu\n", offloads[i],
			      (unsigned long long)dropped(port, VIA_DROP_IO));
		close_port(port);
	}
	print_message("# %llu frames dealt with\n", (unsigned long long)dealt);
	assert_true(dealt > 100);
	assert_true(counted > 0);
}

/* ---- workers ---- */

struct worker {
	pthread_t thread;
	struct via_port *to;
	struct frame frame;
};

static void *run_worker(void *user)
{
	struct worker *w = user;
	struct via_piece own_pieces[8];
	struct via_view own, *const refs[] = { &own };

	for (int i = 0; i < 2000; i++) {
		frame_view(&own, &w->frame, own_pieces, 300);
		own.flags = VIA_VIEW_NEEDS_CSUM;
		own.csum_start = (uint16_t)w->frame.l4;
		own.csum_offset = 6;
		w->to->ops->egress_burst(w->to, refs, 1, false);
	}
	return NULL;
}

static void several_workers_can_send_to_one_queue_at_a_time(void **state)
{
	static struct worker workers[3];
	struct via_port *port;

	(void)state;
	NEED_NAMESPACE();
	port = open_tap("ta", "off");
	for (int i = 0; i < 3; i++) {
		frame_make(&workers[i].frame,
			   &(struct frame_shape){ .version = 4, .proto = 17, .payload = 1000 });
		workers[i].to = port;
		pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(workers[i].thread, NULL);
	assert_int_equal(via_counter_read(&port->transmit[0].packets), 6000);
	assert_int_equal(via_counter_read(&port->transmit[0].csum), 6000);
	close_port(port);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_reach_the_kernel_as_they_are),
		cmocka_unit_test(memory_that_is_gone_is_found_out_by_its_write),
		cmocka_unit_test(
			without_offloads_a_checksum_is_filled_in_of_the_bytes_that_are_sent),
		cmocka_unit_test(what_may_not_reach_the_kernel_is_dropped_for_its_reason),
		cmocka_unit_test(a_burst_reaches_the_kernel_in_order_whatever_is_in_it),
		cmocka_unit_test(headers_of_a_hostile_guest_never_reach_the_kernel_raw),
		cmocka_unit_test(several_workers_can_send_to_one_queue_at_a_time),
		cmocka_unit_test(no_frame_was_handed_to_a_thread_of_the_kernel),
	};

	rig_arguments(argc, argv);
	return cmocka_run_group_tests_name("tap_out", tests, rig_setup, rig_teardown);
}
