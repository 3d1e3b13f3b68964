/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/session.c, connection.c, device.c: front-ends come, are served, and go. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/unix.h"
#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

/* ---- packets ---- */

static void a_split_device_carries_packets_both_ways(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	assert_true(fe->link);
	assert_true(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(via_device_steer(fe->dev, 12345), 0);
	for (int i = 0; i < 200; i++)
		fe_assert_traffic(fe, 0);
}

static void a_packed_device_carries_packets_both_ways(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 200; i++)
		fe_assert_traffic(fe, 0);
}

/* ---- connections ---- */

static void a_second_front_end_is_turned_away_and_the_first_is_served(void **state)
{
	struct frontend *fe = *state;
	char byte;
	int second;

	fe_start(fe, FE_SPLIT, 2);
	second = via_unix_connect(fe->path, NULL);
	assert_true(second >= 0);
	fe_turn(fe);
	assert_int_equal(recv(second, &byte, 1, MSG_DONTWAIT), 0);
	close(second);
	fe_assert_traffic(fe, 0);
}

static void who_comes_right_after_one_that_left_is_served(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	close(fe->fd); /* and the device has not had a turn since */
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
}

static void what_a_session_leaves_is_nothing(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	fe_disconnect(fe);
	assert_false(fe->link);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(via_device_kick_fd(fe->dev, 0), -1);
	assert_int_equal(via_device_steer(fe->dev, 1), -1);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	/* Nothing is known of memory or rings any more. */
	assert_int_equal(fe_get_base(fe, 0), 0);
	assert_false(via_device_pair_runs(fe->dev, 0));
}

static uint32_t nr_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	uint32_t n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:") != NULL;
	fclose(maps);
	return n;
}

static void a_thousand_sessions_leak_neither_descriptors_nor_mappings(void **state)
{
	struct frontend *fe = *state;
	const int fds = test_nr_fds();
	const uint32_t mappings = nr_mappings();

	for (int i = 0; i < 1000; i++) {
		fe_start(fe, i % 2 ? FE_SPLIT : FE_PACKED, 2);
		if (i % 100 == 0)
			fe_assert_traffic(fe, 0);
		fe_disconnect(fe);
	}
	assert_int_equal(test_nr_fds(), fds);
	assert_int_equal(nr_mappings(), mappings);
}

/* HX-44: the bytes of a whole conversation, cut off after each of them in turn. */
static void a_conversation_may_end_after_any_byte(void **state)
{
	struct frontend *fe = *state;
	const int fds = test_nr_fds();
	uint8_t bytes[1024];
	size_t len = 0;
	const uint64_t features = FE_SPLIT, protocol = FE_PROTOCOL, queue = 0;
	const struct vu_vring_state state_num = { 0, FE_RING_SIZE }, state_on = { 0, 1 };
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };
	const struct vu_vring_addr addr = { .desc = FE_USER_ADDR,
					    .avail = FE_USER_ADDR + FE_AVAIL,
					    .used = FE_USER_ADDR + FE_USED };
	const struct {
		uint32_t request, size;
		const void *payload;
		bool fd;
	} messages[] = {
		{ VU_SET_OWNER, 0, NULL, false },
		{ VU_SET_FEATURES, 8, &features, false },
		{ VU_SET_PROTOCOL_FEATURES, 8, &protocol, false },
		{ VU_SET_MEM_TABLE, 8 + sizeof(struct vu_region), &table, true },
		{ VU_SET_VRING_NUM, 8, &state_num, false },
		{ VU_SET_VRING_ADDR, sizeof(addr), &addr, false },
		{ VU_SET_VRING_KICK, 8, &queue, true },
		{ VU_SET_VRING_ENABLE, 8, &state_on, false },
	};

	for (size_t cut = 0;; cut++) {
		size_t sent = 0;

		fe_connect(fe);
		for (size_t m = 0; m < ARRAY_SIZE(messages) && sent < cut; m++) {
			const struct vu_header header = { messages[m].request, VU_VERSION,
							  messages[m].size };
			const int fd = messages[m].request == VU_SET_MEM_TABLE ? fe->mem_fd
									       : fe->queue[0].kick;

			memcpy(bytes, &header, sizeof(header));
			memcpy(bytes + sizeof(header),
			       messages[m].payload ? messages[m].payload : "", messages[m].size);
			len = sizeof(header) + messages[m].size;
			if (len > cut - sent)
				len = cut - sent;
			fe_send_bytes(fe, bytes, len, &fd, messages[m].fd);
			sent += len;
		}
		fe_turn(fe);
		fe_disconnect(fe);
		if (sent < cut)
			break; /* that was all of it */
	}
	assert_int_equal(test_nr_fds(), fds);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
}

/* ---- streams ---- */

static void messages_may_come_byte_by_byte(void **state) /* HX-03 */
{
	struct frontend *fe = *state;
	const struct vu_header header = { VU_GET_FEATURES, VU_VERSION, 0 };
	struct vu_msg reply;

	fe_connect(fe);
	for (size_t i = 0; i < sizeof(header); i++) {
		assert_int_equal(fe_recv(fe, &reply), 0);
		fe_send_bytes(fe, (const uint8_t *)&header + i, 1, NULL, 0);
		fe_turn(fe);
	}
	assert_int_equal(fe_recv(fe, &reply), 1);
}

static void three_messages_in_one_write_are_answered_in_order(void **state) /* HX-03 */
{
	struct frontend *fe = *state;
	const struct vu_header headers[] = {
		{ VU_GET_FEATURES, VU_VERSION, 0 },
		{ VU_GET_PROTOCOL_FEATURES, VU_VERSION, 0 },
		{ VU_GET_FEATURES, VU_VERSION, 0 },
	};
	struct vu_msg reply;

	fe_connect(fe);
	fe_send_bytes(fe, headers, sizeof(headers), NULL, 0);
	fe_turn(fe);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fe_recv(fe, &reply), 1);
		assert_int_equal(reply.header.request, headers[i].request);
	}
	assert_int_equal(fe_recv(fe, &reply), 0);
}

static void a_message_with_descriptors_may_be_cut_anywhere(void **state) /* HX-03, VU-02 */
{
	struct frontend *fe = *state;
	struct {
		struct vu_header header;
		uint32_t nr_regions, padding;
		struct vu_region region;
	} __attribute__((packed))
	msg = { { VU_SET_MEM_TABLE, VU_VERSION | VU_NEED_REPLY_MASK, 40 }, 1, 0, fe_region() };
	struct vu_msg reply;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	for (size_t cut = 1; cut < sizeof(msg); cut++) {
		fe_send_bytes(fe, &msg, cut, &fe->mem_fd, 1);
		fe_turn(fe);
		assert_int_equal(fe_recv(fe, &reply), 0);
		fe_send_bytes(fe, (const uint8_t *)&msg + cut, sizeof(msg) - cut, NULL, 0);
		fe_turn(fe);
		assert_int_equal(fe_recv(fe, &reply), 1);
		assert_int_equal(reply.payload.u64, 0);
	}
}

static void descriptors_in_the_middle_of_a_header_end_the_connection(void **state)
{
	struct frontend *fe = *state;
	const struct vu_header header = { VU_GET_FEATURES, VU_VERSION, 0 };
	const int fds = test_nr_fds();
	struct vu_msg reply;

	fe_connect(fe);
	fe_send_bytes(fe, &header, 4, NULL, 0);
	fe_turn(fe);
	fe_send_bytes(fe, (const uint8_t *)&header + 4, 8, &fe->mem_fd, 1);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), FE_CLOSED);
	fe_disconnect(fe);
	assert_int_equal(test_nr_fds(), fds);
}

/* Turns the loop until the device has closed the connection; a deadline of a few milliseconds is due. */
static void wait_for_close(struct frontend *fe)
{
	struct pollfd p = { .fd = fe->fd, .events = POLLRDHUP };

	for (int i = 0; i < 500 && poll(&p, 1, 0) == 0; i++)
		via_loop_turn(fe->loop, 20);
	assert_true(p.revents & (POLLRDHUP | POLLHUP));
}

static void a_message_that_is_not_completed_is_given_up(void **state) /* HX-01, HX-02 */
{
	struct frontend *fe = *state;
	const struct vu_header header = { VU_SET_VRING_NUM, VU_VERSION, 8 };
	const int fds = test_nr_fds();

	fe->dev->deadline_ms = 5;
	for (size_t k = 1; k <= sizeof(header); k++) {
		fe_connect(fe);
		fe_send_bytes(fe, &header, k, &fe->mem_fd, k % 2);
		fe_turn(fe);
		wait_for_close(fe);
		fe_disconnect(fe);
		assert_int_equal(test_nr_fds(), fds);
	}
}

static void an_idle_connection_is_not_given_up(void **state)
{
	struct frontend *fe = *state;

	fe->dev->deadline_ms = 1;
	fe_connect(fe);
	fe_get(fe, VU_GET_FEATURES);
	via_loop_turn(fe->loop, 10);
	fe_get(fe, VU_GET_FEATURES);
}

static void a_front_end_that_does_not_read_is_given_up(void **state) /* R1 */
{
	struct frontend *fe = *state;
	const struct vu_header header = { VU_GET_FEATURES, VU_VERSION, 0 };
	int small = 1;

	fe->dev->deadline_ms = 5;
	fe_connect(fe);
	assert_int_equal(setsockopt(fe->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (int i = 0; i < 100000 && send(fe->fd, &header, sizeof(header),
					   MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(header);
	     i++)
		via_loop_turn(fe->loop, 0);
	wait_for_close(fe);
}

/* The device's end of the connection: the one with its path that does not listen. */
static int served_socket(const struct frontend *fe)
{
	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_un addr = { 0 };
		socklen_t len = sizeof(addr), size = sizeof(int);
		int listens;

		if (fd != fe->fd && getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && !listens &&
		    strcmp(addr.sun_path, fe->path) == 0)
			return fd;
	}
	fail_msg("the front-end is not served");
	return -1;
}

/* Whoever does not read its answers waits for the next one: none is left out. */
static void answers_wait_until_the_ones_before_are_read(void **state) /* R1 */
{
	static struct vu_header headers[2000];
	struct frontend *fe = *state;
	struct vu_msg reply;
	size_t answered = 0;
	int small = 1;

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		headers[i] = (struct vu_header){ VU_GET_FEATURES, VU_VERSION, 0 };
	fe_connect(fe);
	fe_turn(fe);
	assert_int_equal(
		setsockopt(served_socket(fe), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	fe_send_bytes(fe, headers, sizeof(headers), NULL, 0);
	fe_turn(fe);
	while (fe_recv(fe, &reply) == 1)
		answered++;
	assert_in_range(answered, 1, ARRAY_SIZE(headers) - 1);
	do {
		fe_turn(fe);
	} while (fe_recv(fe, &reply) == 1 && ++answered);
	assert_int_equal(answered, ARRAY_SIZE(headers));
}

static void who_leaves_before_it_reads_its_answer_is_said_to_have(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_send(fe, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0);
	fe_disconnect(fe);
	assert_non_null(strstr(fe->dev->ended, "before it read a reply"));
}

static void count_trouble(void *user, enum via_log_level level, const char *line)
{
	(void)level;
	*(int *)user += strstr(line, "trying again") != NULL;
}

static void without_descriptors_it_says_so_once_and_serves_later(void **state) /* R24 */
{
	struct frontend *fe = *state;
	struct rlimit limit, none;
	const struct vu_header header = { VU_GET_FEATURES, VU_VERSION, 0 };
	struct vu_msg reply;
	int answered = 0, told = 0;

	via_log_to(count_trouble, &told);
	fe->fd = via_unix_connect(fe->path, NULL);
	assert_true(fe->fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 3; i++) /* it looks again now and then */
		via_loop_turn(fe->loop, 1000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	via_log_to(NULL, NULL);
	assert_int_equal(told, 1);
	assert_string_equal(fe->dev->trouble, strerror(EMFILE));
	assert_int_equal(fe->dev->session, VU_IDLE);

	fe_send_bytes(fe, &header, sizeof(header), NULL, 0);
	for (int i = 0; i < 50 && answered == 0; i++) {
		via_loop_turn(fe->loop, 1000);
		answered = fe_recv(fe, &reply);
	}
	assert_int_equal(answered, 1);
}

/* ---- sockets ---- */

static void a_path_that_is_too_long_is_refused_with_a_sentence(void **state)
{
	struct frontend *fe = *state;
	char path[200];
	struct via_device_config config = { .path = path };
	struct via_device *dev = NULL;
	struct via_error err;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(via_device_open(&dev, fe->loop, &config, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "107"));
	assert_null(dev);
}

static void a_path_that_somebody_serves_is_refused(void **state)
{
	struct frontend *fe = *state;
	const struct via_device_config config = { .path = fe->path };
	struct via_device *dev = NULL;

	assert_int_equal(via_device_open(&dev, fe->loop, &config, NULL), -EADDRINUSE);
	fe_start(fe, FE_SPLIT, 2);
}

static void on_done(void *user)
{
	*(bool *)user = true;
}

static void impossible_configurations_are_refused(void **state)
{
	struct frontend *fe = *state;
	const struct {
		struct via_device_config config;
		const char *why;
	} wrong[] = {
		{ { .path = NULL }, "needs the path" },
		{ { .path = "" }, "needs the path" },
		{ { .path = "/tmp/x", .queue_pairs = 129 }, "128 are possible" },
		{ { .path = "/tmp/x", .queue_pairs = 128, .control_queue = true }, "127 are" },
		{ { .path = "/tmp/x", .mtu = 67 }, "an MTU of 67" },
		{ { .path = "/tmp/x", .has_mac = true, .mac = { 1 } }, "a multicast one" },
	};
	struct via_device *dev;
	struct via_error err;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(via_device_open(&dev, fe->loop, &wrong[i].config, &err), -EINVAL);
		assert_non_null(strstr(err.text, wrong[i].why));
	}
	via_device_close(NULL, on_done, NULL); /* what a caller has then */
}

static void a_client_connects_once_somebody_listens(void **state)
{
	struct frontend *fe = *state;
	char path[128];
	struct via_device_config config = { .path = path, .mode = VIA_DEVICE_CLIENT };
	struct via_device *dev;
	int listener, fd = -EAGAIN;
	bool closed = false;

	snprintf(path, sizeof(path), "%s/vmm.sock", fe->dir);
	assert_int_equal(via_device_open(&dev, fe->loop, &config, NULL), 0);
	fe_turn(fe);
	listener = via_unix_listen(path, NULL);
	assert_true(listener >= 0);
	for (int i = 0; i < 50 && fd < 0; i++) {
		via_loop_turn(fe->loop, 100);
		fd = via_unix_accept(listener);
	}
	assert_true(fd >= 0);
	close(listener);
	unlink(path);

	fe->fd = fd;
	assert_true(fe_get(fe, VU_GET_FEATURES) != 0);
	via_device_close(dev, on_done, &closed);
	fe_turn(fe);
	assert_true(closed);
}

static int share_listener(void *user, const char *path, enum via_device_mode mode,
			  struct via_error *err)
{
	(void)path, (void)mode, (void)err;
	return dup(*(int *)user);
}

/* As after a fork, or where somebody else made the socket. Both are woken, in one turn. */
static void who_finds_that_another_has_accepted_goes_on_listening(void **state)
{
	static const struct via_device_events events = { .open_socket = share_listener };
	struct frontend *fe = *state;
	struct via_device *dev[2];
	char path[128];
	bool closed[2] = { false };
	int listener, fd, served = 0, troubled = 0;

	snprintf(path, sizeof(path), "%s/shared.sock", fe->dir);
	listener = via_unix_listen(path, NULL);
	assert_true(listener >= 0);
	for (int i = 0; i < 2; i++) {
		const struct via_device_config config = { .path = path,
							  .events = &events,
							  .user = &listener };

		assert_int_equal(via_device_open(&dev[i], fe->loop, &config, NULL), 0);
	}
	fd = via_unix_connect(path, NULL);
	assert_true(fd >= 0);
	fe_turn(fe);
	for (int i = 0; i < 2; i++) {
		served += dev[i]->session == VU_CONNECTED;
		troubled += dev[i]->trouble[0] != '\0';
		via_device_close(dev[i], on_done, &closed[i]);
	}
	fe_turn(fe);
	assert_true(closed[0] && closed[1]);
	close(fd);
	close(listener);
	unlink(path);
	assert_int_equal(served, 1);
	assert_int_equal(troubled, 0);
}

static void a_device_may_be_closed_in_the_middle_of_anything(void **state)
{
	struct frontend *fe = *state;
	const struct vu_header half = { VU_SET_VRING_NUM, VU_VERSION, 8 };

	fe_start(fe, FE_SPLIT, 2);
	fe_send_bytes(fe, &half, sizeof(half), NULL, 0);
	fe_turn(fe);
	fe_reopen_device(fe, NULL);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	fe_reopen_device(fe, NULL);
}

/* It ends for the first reason: a fault is not forgotten, nor told twice. */
static void a_session_ends_once_though_its_device_is_closed_meanwhile(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	vu_session_end(fe->dev, VU_END_FAULT, "as when its memory was lost");
	assert_int_equal(fe->dev->session, VU_ENDING);
	via_device_close(fe->dev, on_done, &fe->closed);
	assert_string_equal(fe->dev->ended, "as when its memory was lost");
	fe->dev = NULL;
	fe_turn(fe);
	assert_true(fe->closed);
	fe_open_device(fe, NULL);
}

/* The answer waits for workers; whoever asked is gone by then, and the message with the connection. */
static void a_session_may_end_while_a_base_is_being_found_out(void **state)
{
	struct frontend *fe = *state;
	const struct vu_vring_state base = { 1, 0 };

	for (int how = 0; how < 2; how++) {
		fe_start(fe, FE_SPLIT, 2);
		fe_send(fe, VU_GET_VRING_BASE, VU_VERSION, &base, sizeof(base), NULL, 0);
		via_loop_turn(fe->loop, 0);
		assert_true(vu_is_settling(fe->dev));
		if (how == 0)
			vu_session_end(fe->dev, VU_END_FAULT, "as when its memory was lost");
		fe_reopen_device(fe, NULL);
	}
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
}

static void close_when_the_link_goes(void *user, bool up)
{
	struct frontend *fe = user;

	if (!up && fe->dev)
		via_device_close(fe->dev, on_done, &fe->closed);
	if (!up)
		fe->dev = NULL;
}

static void an_owner_may_close_the_device_when_it_hears_that_the_link_is_gone(void **state)
{
	static const struct via_device_events events = { .link_changed = close_when_the_link_goes };
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	fe->dev->config.events = &events;
	close(fe->fd);
	fe->fd = -1;
	fe_turn(fe);
	assert_true(fe->closed);
	fe_open_device(fe, NULL);
}

static void close_when_the_link_comes(void *user, bool up)
{
	struct frontend *fe = user;

	if (up)
		via_device_close(fe->dev, on_done, &fe->closed);
	if (up)
		fe->dev = NULL;
}

/* Before the message that brought it is answered. */
static void an_owner_may_close_the_device_when_it_hears_that_the_link_is_there(void **state)
{
	static const struct via_device_events events = { .link_changed =
								 close_when_the_link_comes };
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(fe_set_memory(fe), 0);
	fe_setup_queue(fe, 0, 0, true);
	fe->dev->config.events = &events;
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), FE_CLOSED);
	assert_true(fe->closed);
	close(fe->fd);
	fe->fd = -1;
	fe_open_device(fe, NULL);
}

/* It hears of it when the next one is about to be accepted. */
static void an_owner_may_close_the_device_when_the_next_front_end_waits(void **state)
{
	static const struct via_device_events events = { .link_changed = close_when_the_link_goes };
	struct frontend *fe = *state;
	int next;

	fe_start(fe, FE_SPLIT, 2);
	fe->dev->config.events = &events;
	next = via_unix_connect(fe->path, NULL);
	assert_true(next >= 0);
	close(fe->fd);
	fe->fd = -1;
	fe_turn(fe);
	assert_true(fe->closed);
	close(next);
	fe_open_device(fe, NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_split_device_carries_packets_both_ways),
		CASE(a_packed_device_carries_packets_both_ways),
		CASE(a_second_front_end_is_turned_away_and_the_first_is_served),
		CASE(who_comes_right_after_one_that_left_is_served),
		CASE(what_a_session_leaves_is_nothing),
		CASE(a_thousand_sessions_leak_neither_descriptors_nor_mappings),
		CASE(a_conversation_may_end_after_any_byte),
		CASE(messages_may_come_byte_by_byte),
		CASE(three_messages_in_one_write_are_answered_in_order),
		CASE(a_message_with_descriptors_may_be_cut_anywhere),
		CASE(descriptors_in_the_middle_of_a_header_end_the_connection),
		CASE(a_message_that_is_not_completed_is_given_up),
		CASE(an_idle_connection_is_not_given_up),
		CASE(a_front_end_that_does_not_read_is_given_up),
		CASE(answers_wait_until_the_ones_before_are_read),
		CASE(who_leaves_before_it_reads_its_answer_is_said_to_have),
		CASE(without_descriptors_it_says_so_once_and_serves_later),
		CASE(a_path_that_is_too_long_is_refused_with_a_sentence),
		CASE(a_path_that_somebody_serves_is_refused),
		CASE(impossible_configurations_are_refused),
		CASE(a_client_connects_once_somebody_listens),
		CASE(who_finds_that_another_has_accepted_goes_on_listening),
		CASE(a_device_may_be_closed_in_the_middle_of_anything),
		CASE(a_session_ends_once_though_its_device_is_closed_meanwhile),
		CASE(a_session_may_end_while_a_base_is_being_found_out),
		CASE(an_owner_may_close_the_device_when_it_hears_that_the_link_is_gone),
		CASE(an_owner_may_close_the_device_when_it_hears_that_the_link_is_there),
		CASE(an_owner_may_close_the_device_when_the_next_front_end_waits),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
