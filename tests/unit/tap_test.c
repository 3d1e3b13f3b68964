/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port/tap.c, tap_in.c, tap_link.c against the kernel: what it lends, and how the interface that it
 * shares with us opens, changes and goes. tap_rig.h has the TAP; what is sent to the kernel is in
 * tap_out_test.c, what comes of both in tap_wire_test.c.
 */
#include <errno.h>
#include <poll.h>

#include "tap_rig.h"
#include "tests/memfd.h"

/* ---- from the kernel ---- */

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

/* ---- the interface ---- */

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_from_the_kernel_are_lent_whole),
		cmocka_unit_test(undelivered_frames_come_again_in_order),
		cmocka_unit_test(frames_between_those_that_are_dropped_are_lent_in_order),
		cmocka_unit_test(no_wake_up_is_lost_before_sleep),
		cmocka_unit_test(the_kernels_mtu_is_followed),
		cmocka_unit_test(an_interface_that_is_removed_ends_its_queues),
		cmocka_unit_test(mistakes_are_explained_and_leave_nothing_open),
		cmocka_unit_test(several_queues_share_an_interface_and_flows_keep_theirs),
		cmocka_unit_test(whether_a_call_moves_several_frames_is_shown),
		cmocka_unit_test(no_frame_was_handed_to_a_thread_of_the_kernel),
	};

	rig_arguments(argc, argv);
	return cmocka_run_group_tests_name("tap", tests, rig_setup, rig_teardown);
}
