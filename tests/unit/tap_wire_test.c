/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port/tap*.c between two kernels: two TAPs in two namespaces, and between them nothing but this
 * test, which lends from one and sends to the other. What their TCP and UDP then make of each other,
 * whichever of both has offloads.
 */
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <viaduct/worker.h>

#include "tap_rig.h"

/* ---- the wire ---- */

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

/* ---- sockets on both sides ---- */

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

/* ---- what crosses it ---- */

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_crosses_with_any_mix_of_offloads),
		cmocka_unit_test(segmented_udp_crosses_with_any_mix_of_offloads),
		cmocka_unit_test(no_frame_was_handed_to_a_thread_of_the_kernel),
	};

	rig_arguments(argc, argv);
	return cmocka_run_group_tests_name("tap_wire", tests, rig_setup, rig_teardown);
}
