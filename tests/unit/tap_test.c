/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port/tap*.c against the kernel, in network namespaces of their own: two TAPs in two namespaces,
 * and between them nothing but this test, which lends from one and sends to the other.
 *
 * With the argument 'refused' the kernel answers as where io_uring is forbidden.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <viaduct/worker.h>

#include "frame.h"
#include "mem/mem.h"
#include "port/tap.h"
#include "tests/memfd.h"
#include "tests/netns.h"

static struct via_loop *loop;
static int home = -1, away = -1; /* namespaces; -1: not allowed */

static int setup(void **state)
{
	(void)state;
	/* As who serves queues; nobody waits for us. */
	via_worker_register("test");
	via_worker_offline();
	if (geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0) {
		away = netns_create();
		home = netns_create();
	}
	if (home < 0)
		print_message("# skipped: needs root, /dev/net/tun and network namespaces\n");
	return via_loop_create(&loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	via_loop_free(loop);
	close(home);
	close(away);
	via_worker_unregister();
	return 0;
}

#define NEED_NAMESPACE()        \
	do {                    \
		if (home < 0)   \
			skip(); \
	} while (0)

/* ---- ports ---- */

static int nr_queue_changes, nr_link_changes;

static void on_queue(void *user, struct via_port *port, uint32_t q)
{
	(void)user, (void)port, (void)q;
	nr_queue_changes++;
}

static void on_link(void *user, struct via_port *port)
{
	(void)user, (void)port;
	nr_link_changes++;
}

static int open_with(struct via_port **port, const char *name, const char *queues,
		     const char *offloads, uint32_t mtu, struct via_error *err)
{
	const struct via_port_option options[] = {
		{ "ifname", name }, { "queues", queues }, { "offloads", offloads }, { NULL, NULL }
	};
	const struct via_port_config config = { .name = "tap",
						.mtu = mtu,
						.options = options,
						.loop = loop,
						.queue_changed = on_queue,
						.link_changed = on_link };

	return via_port_type("tap")->open(port, &config, err);
}

static struct via_port *open_tap(const char *name, const char *offloads)
{
	struct via_error err = { "" };
	struct via_port *port;

	if (open_with(&port, name, "1", offloads, 0, &err) < 0)
		fail_msg("%s", err.text);
	return port;
}

static void set_flag(void *user)
{
	*(bool *)user = true;
}

static void close_port(struct via_port *port)
{
	bool closed = false;

	port->ops->close(port, set_flag, &closed);
	for (int turns = 0; turns < 200 && !closed; turns++)
		via_loop_turn(loop, 10);
	assert_true(closed);
}

/* ---- what the kernel has received ---- */

static int packet_socket(const char *ifname)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(ifname) };
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	assert_int_equal(bind(sock, (struct sockaddr *)&to, sizeof(to)), 0);
	return sock;
}

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

static struct frame frame;
static struct via_piece pieces[70000];
static struct via_view view;
static struct via_view *const views[] = { &view };

static uint64_t dropped(const struct via_port *port, enum via_drop why)
{
	return via_counter_read(&port->transmit[0].drops[why]);
}

static void put_udp_frame(uint32_t payload, uint32_t piece_size)
{
	frame_make(&frame, &(struct frame_shape){ .version = 4, .proto = 17, .payload = payload });
	frame_view(&view, &frame, pieces, piece_size);
}

static void ask_for_checksum(void)
{
	view.flags = VIA_VIEW_NEEDS_CSUM;
	view.csum_start = (uint16_t)frame.l4;
	view.csum_offset = 6;
}

/* ---- cases: to the kernel ---- */

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

/* ---- cases: from the kernel ---- */

static struct via_burst *burst;

static void send_raw(int sock, uint32_t len, uint8_t mark)
{
	uint8_t bytes[1600];

	memset(bytes, mark, sizeof(bytes));
	memcpy(bytes, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5", 14);
	assert_int_equal(send(sock, bytes, len, 0), len);
}

static void drain(struct via_port *port)
{
	uint32_t n;

	while ((n = port->ops->ingress_burst(port, 0, burst, VIA_BURST)) > 0)
		port->ops->ingress_release(port, 0, burst, 0);
}

static void frames_from_the_kernel_are_lent_whole(void **state)
{
	static const uint32_t sizes[] = { 14, 60, 127, 128, 129, 1514 };
	static uint8_t bytes[70000];
	struct via_port *port;
	int sock;

	(void)state;
	NEED_NAMESPACE();
	burst = via_burst_create();
	port = open_tap("ta", "on");
	sock = packet_socket("ta");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct via_view *v = &burst->view[0];

		send_raw(sock, sizes[i], (uint8_t)(0x40 + i));
		assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 1);
		assert_int_equal(v->len, sizes[i]);
		assert_int_equal(v->snapshot_len, sizes[i] < 128 ? sizes[i] : 128);
		assert_int_equal(view_bytes(v, bytes), sizes[i]);
		for (uint32_t at = 14; at < sizes[i]; at++)
			assert_int_equal(bytes[at], 0x40 + i);
		port->ops->ingress_release(port, 0, burst, 0);
	}
	close(sock);
	close_port(port);
	via_burst_free(burst);
}

static void undelivered_frames_come_again_in_order(void **state)
{
	struct via_port *port;
	int sock;

	(void)state;
	NEED_NAMESPACE();
	burst = via_burst_create();
	port = open_tap("ta", "on");
	sock = packet_socket("ta");
	for (uint8_t i = 0; i < 5; i++)
		send_raw(sock, 500, i);
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 5);
	port->ops->ingress_release(port, 0, burst, 3); /* 0 and 1 went */
	assert_true(port->ops->arm(port, 0));
	memset(burst->slot, 0xff, 64 * VIA_SLOT_SIZE); /* other queues use the same burst */
	send_raw(sock, 500, 5);
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 3);
	assert_int_equal(burst->view[0].snapshot[20], 2);
	assert_int_equal(burst->view[0].piece[0].base[300], 2);
	port->ops->ingress_release(port, 0, burst, 1); /* 4 again */
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 1);
	assert_int_equal(burst->view[0].piece[0].base[300], 4);
	port->ops->ingress_release(port, 0, burst, 0);
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 1);
	assert_int_equal(burst->view[0].snapshot[20], 5);
	port->ops->ingress_release(port, 0, burst, 0);
	assert_int_equal(via_counter_read(&port->receive[0].packets), 6);
	close(sock);
	close_port(port);
	via_burst_free(burst);
}

/* Frames that are dropped leave holes where a burst was read to, but none in what is lent. */
static void frames_between_those_that_are_dropped_are_lent_in_order(void **state)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(5000),
					.sin_addr.s_addr = htonl(0x0a0900ff) };
	static uint8_t bytes[70000];
	const int on = 1;
	struct via_port *port;
	int sock, udp;

	(void)state;
	NEED_NAMESPACE();
	burst = via_burst_create();
	port = open_tap("ta", "on");
	tap_of(port)->gives = 0; /* of its partial checksums none was heard */
	netns_add_ipv4("ta", "10.9.0.1");
	sock = packet_socket("ta");
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	drain(port);
	for (uint8_t i = 0; i < 40; i++) {
		if (i % 3 == 1)
			assert_int_equal(sendto(udp, bytes, 1000, 0, (const struct sockaddr *)&to,
						sizeof(to)),
					 1000);
		else
			send_raw(sock, 100 + 10u * i, i);
	}
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 27);
	assert_int_equal(via_counter_read(&port->receive[0].drops[VIA_DROP_HEADER]), 13);
	for (uint8_t i = 0, n = 0; i < 40; i++) {
		if (i % 3 == 1)
			continue;
		assert_int_equal(view_bytes(&burst->view[n++], bytes), 100 + 10u * i);
		for (uint32_t at = 14; at < 100 + 10u * i; at++)
			assert_int_equal(bytes[at], i);
	}
	port->ops->ingress_release(port, 0, burst, 0);
	close(udp);
	close(sock);
	close_port(port);
	via_burst_free(burst);
}

static void no_wake_up_is_lost_before_sleep(void **state)
{
	struct via_port *port;
	struct pollfd wake;
	int sock;

	(void)state;
	NEED_NAMESPACE();
	burst = via_burst_create();
	port = open_tap("ta", "on");
	sock = packet_socket("ta");
	assert_true(port->ops->arm(port, 0)); /* nobody has looked yet */
	drain(port);
	assert_false(port->ops->arm(port, 0));
	send_raw(sock, 60, 1); /* between the last burst and the sleep */
	assert_true(port->ops->arm(port, 0));
	drain(port);
	assert_false(port->ops->arm(port, 0));
	wake = (struct pollfd){ .fd = port->ops->ingress_fd(port, 0), .events = POLLIN };
	assert_int_equal(poll(&wake, 1, 0), 0);
	send_raw(sock, 60, 1);
	assert_int_equal(poll(&wake, 1, 1000), 1);
	close(sock);
	close_port(port);
	via_burst_free(burst);
}

/* ---- cases: the interface ---- */

static void turn_loop(void)
{
	for (int i = 0; i < 20; i++)
		via_loop_turn(loop, 5);
}

static void the_kernels_mtu_is_followed(void **state)
{
	struct via_error err = { "" };
	struct via_port *port;

	(void)state;
	NEED_NAMESPACE();
	assert_int_equal(open_with(&port, "ta", "1", "on", 1400, &err), 0);
	put_udp_frame(1400 - 28 + 1, 70000);
	port->ops->egress_burst(port, views, 1, false);
	assert_int_equal(dropped(port, VIA_DROP_TOO_BIG), 1);
	netns_set_mtu("ta", 9000);
	turn_loop();
	put_udp_frame(9000 - 28, 70000);
	port->ops->egress_burst(port, views, 1, false);
	assert_int_equal(dropped(port, VIA_DROP_TOO_BIG), 1);
	assert_int_equal(via_counter_read(&port->transmit[0].packets), 1);
	nr_link_changes = 0;
	netns_set_up("ta", 0);
	turn_loop();
	assert_false(port->link);
	assert_int_equal(nr_link_changes, 1);
	close_port(port);
}

static void an_interface_that_is_removed_ends_its_queues(void **state)
{
	struct via_port *port;

	(void)state;
	NEED_NAMESPACE();
	burst = via_burst_create();
	port = open_tap("ta", "on");
	nr_queue_changes = 0;
	netns_delete("ta");
	turn_loop();
	assert_int_equal(nr_queue_changes, 1);
	assert_int_equal(port->ops->ingress_fd(port, 0), VIA_FD_NONE);
	assert_int_equal(port->ops->ingress_burst(port, 0, burst, VIA_BURST), 0);
	assert_false(port->ops->arm(port, 0));
	put_udp_frame(100, 70000);
	assert_int_equal(port->ops->egress_burst(port, views, 1, true), 1);
	assert_int_equal(dropped(port, VIA_DROP_IO), 1);
	close_port(port);
	via_burst_free(burst);
}

static void mistakes_are_explained_and_leave_nothing_open(void **state)
{
	struct via_error err = { "" };
	struct via_port *port, *other;
	int before;

	(void)state;
	NEED_NAMESPACE();
	before = test_nr_fds();
	assert_int_equal(open_with(&port, "lo", "1", "on", 0, &err), -EINVAL);
	assert_string_equal(err.text, "an interface 'lo' exists that is no TAP");
	assert_int_equal(open_with(&port, "a/b", "1", "on", 0, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot be an interface's name"));
	assert_int_equal(open_with(&port, "ta", "1", "on", 70000, &err), -EINVAL);
	assert_non_null(strstr(err.text, "it must be 68 to 65521"));
	assert_int_equal(open_with(&port, "ta", "0", "on", 0, &err), -EINVAL);
	assert_int_equal(test_nr_fds(), before);
	assert_int_equal(open_with(&port, "ta", "1", "on", 0, &err), 0);
	assert_int_equal(open_with(&other, "ta", "1", "on", 0, &err), -EBUSY);
	assert_string_equal(err.text, "the TAP 'ta' is in use by another program");
	assert_int_equal(open_with(&other, "ta", "2", "on", 0, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is no TAP with several queues"));
	close_port(port);
	assert_int_equal(test_nr_fds(), before);
}

static void several_queues_share_an_interface_and_flows_keep_theirs(void **state)
{
	struct via_error err = { "" };
	struct via_port *port;
	uint64_t used = 0;

	(void)state;
	NEED_NAMESPACE();
	assert_int_equal(open_with(&port, "tm%d", "4", "on", 0, &err), 0);
	assert_int_equal(port->nr_queues, 4);
	for (uint32_t flow = 0; flow < 64; flow++) {
		put_udp_frame(100, 70000);
		view.snapshot[frame.l4 + 1] = (uint8_t)flow;
		for (int i = 0; i < 3; i++)
			port->ops->egress_burst(port, views, 1, false);
	}
	for (uint32_t q = 0; q < 4; q++) {
		uint64_t n = via_counter_read(&port->transmit[q].packets);

		assert_int_equal(n % 3, 0);
		used += n > 0;
	}
	assert_int_equal(used, 4);
	close_port(port);
}

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

/* ---- between two kernels ---- */

struct wire {
	struct via_port *port[2];
	struct via_burst *burst;
	pthread_t thread;
	atomic_bool stop;
	_Atomic(uint32_t) longest; /* frame that crossed; the thread writes */
};

static void *run_wire(void *user)
{
	struct wire *wire = user;
	struct via_view *refs[VIA_BURST];

	via_worker_register("wire");
	via_worker_offline();
	while (!atomic_load(&wire->stop)) {
		struct pollfd wake[2];
		uint32_t moved = 0;

		for (int from = 0; from < 2; from++) {
			struct via_port *in = wire->port[from], *out = wire->port[!from];
			uint32_t n = in->ops->ingress_burst(in, 0, wire->burst, VIA_BURST);

			wake[from] = (struct pollfd){ in->ops->ingress_fd(in, 0), POLLIN, 0 };
			for (uint32_t i = 0; i < n; i++) {
				refs[i] = &wire->burst->view[i];
				if (refs[i]->len > wire->longest)
					wire->longest = refs[i]->len;
			}
			if (n > 0) {
				out->ops->egress_burst(out, refs, n, false);
				in->ops->ingress_release(in, 0, wire->burst, 0);
			}
			moved += n;
		}
		if (moved == 0)
			poll(wake, 2, 10);
	}
	via_worker_unregister();
	return NULL;
}

static void wire_start(struct wire *wire, const char *offloads_home, const char *offloads_away)
{
	memset(wire, 0, sizeof(*wire));
	wire->burst = via_burst_create();
	netns_enter(away);
	wire->port[1] = open_tap("tb", offloads_away);
	netns_add_ipv4("tb", "10.9.0.2");
	netns_add_ipv6("tb", "fd09::2");
	netns_enter(home);
	wire->port[0] = open_tap("ta", offloads_home);
	netns_add_ipv4("ta", "10.9.0.1");
	netns_add_ipv6("ta", "fd09::1");
	assert_int_equal(pthread_create(&wire->thread, NULL, run_wire, wire), 0);
}

static void wire_stop(struct wire *wire)
{
	atomic_store(&wire->stop, true);
	pthread_join(wire->thread, NULL);
	close_port(wire->port[0]);
	close_port(wire->port[1]);
	via_burst_free(wire->burst);
}

static int socket_in(int ns, int family, int type)
{
	const struct timeval limit = { .tv_sec = 20 };
	const int again = 1; /* the port of the last case's connection */
	int sock;

	netns_enter(ns);
	sock = socket(family, type | SOCK_CLOEXEC, 0);
	netns_enter(home);
	assert_true(sock >= 0);
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return sock;
}

/* The address of the namespace that is away. */
static socklen_t address_away(int family, struct sockaddr_storage *to)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(5000) };

	if (family == AF_INET) {
		inet_pton(AF_INET, "10.9.0.2", &in.sin_addr);
		memcpy(to, &in, sizeof(in));
		return sizeof(in);
	}
	inet_pton(AF_INET6, "fd09::2", &in6.sin6_addr);
	memcpy(to, &in6, sizeof(in6));
	return sizeof(in6);
}

#define STREAM_BYTES (4 << 20)

struct stream {
	int sock;
	uint32_t bad, got;
};

static uint8_t stream_byte(uint32_t at)
{
	return (uint8_t)(at * 2654435761u >> 24);
}

static void *read_stream(void *user)
{
	struct stream *stream = user;
	uint8_t *bytes = malloc(65536);
	ssize_t n;

	while (stream->got < STREAM_BYTES && (n = recv(stream->sock, bytes, 65536, 0)) > 0)
		for (ssize_t i = 0; i < n; i++, stream->got++)
			stream->bad += bytes[i] != stream_byte(stream->got);
	free(bytes);
	return NULL;
}

static void write_stream(int sock)
{
	uint8_t *bytes = malloc(65536);

	for (uint32_t at = 0; at < STREAM_BYTES; at += 65536) {
		for (uint32_t i = 0; i < 65536; i++)
			bytes[i] = stream_byte(at + i);
		if (send(sock, bytes, 65536, MSG_NOSIGNAL) != 65536)
			break;
	}
	free(bytes);
}

/* Four MiB each way at the same time. */
static void exchange_streams(int family)
{
	int listener = socket_in(away, family, SOCK_STREAM), near, far;
	struct stream to_near = { 0 }, to_far = { 0 };
	struct sockaddr_storage to;
	socklen_t size = address_away(family, &to);
	pthread_t reader[2];

	assert_int_equal(bind(listener, (struct sockaddr *)&to, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	near = socket_in(home, family, SOCK_STREAM);
	assert_int_equal(connect(near, (struct sockaddr *)&to, size), 0);
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
	to_near.sock = near;
	to_far.sock = far;
	pthread_create(&reader[0], NULL, read_stream, &to_near);
	pthread_create(&reader[1], NULL, read_stream, &to_far);
	write_stream(near);
	write_stream(far);
	pthread_join(reader[0], NULL);
	pthread_join(reader[1], NULL);
	assert_int_equal(to_near.got, STREAM_BYTES);
	assert_int_equal(to_far.got, STREAM_BYTES);
	assert_int_equal(to_near.bad + to_far.bad, 0);
	close(near);
	close(far);
	close(listener);
}

static const char *const offloads_of[4][2] = {
	{ "on", "on" }, { "on", "off" }, { "off", "on" }, { "off", "off" }
};

static void tcp_crosses_with_any_mix_of_offloads(void **state)
{
	(void)state;
	NEED_NAMESPACE();
	for (int i = 0; i < 4; i++) {
		struct wire wire;

		wire_start(&wire, offloads_of[i][0], offloads_of[i][1]);
		exchange_streams(AF_INET);
		exchange_streams(AF_INET6);
		print_message(
			"# offloads %s and %s: longest frame %u, segments cut %llu and %llu\n",
			offloads_of[i][0], offloads_of[i][1], wire.longest,
			(unsigned long long)via_counter_read(&wire.port[0]->transmit[0].segments),
			(unsigned long long)via_counter_read(&wire.port[1]->transmit[0].segments));
		assert_int_equal(wire.longest > 1514, i < 3);
		wire_stop(&wire);
	}
}

/* Ten datagrams of 1000 bytes in one send (USO). */
static void send_datagrams(int family)
{
	const int segment = 1000;
	int far = socket_in(away, family, SOCK_DGRAM), near = socket_in(home, family, SOCK_DGRAM);
	static uint8_t bytes[10000], got[10000];
	struct sockaddr_storage to;
	socklen_t size = address_away(family, &to);

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = stream_byte(i);
	assert_int_equal(bind(far, (struct sockaddr *)&to, size), 0);
	assert_int_equal(connect(near, (struct sockaddr *)&to, size), 0);
	assert_int_equal(setsockopt(near, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(send(near, bytes, sizeof(bytes), 0), sizeof(bytes));
		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(recv(far, got + i * 1000, 2000, 0), 1000);
		assert_memory_equal(got, bytes, sizeof(bytes));
	}
	close(near);
	close(far);
}

static void segmented_udp_crosses_with_any_mix_of_offloads(void **state)
{
	(void)state;
	NEED_NAMESPACE();
	for (int i = 0; i < 4; i++) {
		struct wire wire;

		wire_start(&wire, offloads_of[i][0], offloads_of[i][1]);
		send_datagrams(AF_INET);
		send_datagrams(AF_INET6);
		print_message("# offloads %s and %s: longest frame %u\n", offloads_of[i][0],
			      offloads_of[i][1], wire.longest);
		wire_stop(&wire);
	}
}

/* ---- io_uring ---- */

static bool refused;

static void refuse_io_uring(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(program), program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		exit(EXIT_FAILURE);
	refused = true;
}

static void note_calls(void *user, const char *key, const char *value)
{
	if (strcmp(key, "system calls") == 0)
		snprintf(user, 80, "%s", value);
}

static void whether_a_call_moves_several_frames_is_shown(void **state)
{
	struct via_port *port;
	char calls[80] = "";

	(void)state;
	NEED_NAMESPACE();
	port = open_tap("ta", "on");
	port->ops->describe(port, note_calls, calls);
	print_message("# system calls: %s\n", calls);
	if (refused)
		assert_string_equal(calls,
				    "for each frame, without io_uring: Operation not permitted");
	else if (tap_can_batch(tap_of(port)))
		assert_string_equal(calls, "for several frames each, by io_uring");
	close_port(port);
}

/* It could read a guest's memory when that is no longer lent. */
static void no_frame_was_handed_to_a_thread_of_the_kernel(void **state)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;

	(void)state;
	while ((entry = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file))
			assert_null(strstr(name, "iou-"));
		fclose(file);
	}
	closedir(tasks);
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
		cmocka_unit_test(frames_from_the_kernel_are_lent_whole),
		cmocka_unit_test(undelivered_frames_come_again_in_order),
		cmocka_unit_test(frames_between_those_that_are_dropped_are_lent_in_order),
		cmocka_unit_test(no_wake_up_is_lost_before_sleep),
		cmocka_unit_test(the_kernels_mtu_is_followed),
		cmocka_unit_test(an_interface_that_is_removed_ends_its_queues),
		cmocka_unit_test(mistakes_are_explained_and_leave_nothing_open),
		cmocka_unit_test(several_queues_share_an_interface_and_flows_keep_theirs),
		cmocka_unit_test(several_workers_can_send_to_one_queue_at_a_time),
		cmocka_unit_test(tcp_crosses_with_any_mix_of_offloads),
		cmocka_unit_test(segmented_udp_crosses_with_any_mix_of_offloads),
		cmocka_unit_test(whether_a_call_moves_several_frames_is_shown),
		cmocka_unit_test(no_frame_was_handed_to_a_thread_of_the_kernel),
	};

	if (argc > 1 && strcmp(argv[1], "refused") == 0)
		refuse_io_uring();

	return cmocka_run_group_tests_name("tap", tests, setup, teardown);
}
