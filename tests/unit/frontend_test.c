/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/driver/frontend.c, handshake.c: with a back-end that does what the case says, in one thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/unix.h"
#include "driver/frontend.h"
#include "driver/handshake.h"
#include "tests/memfd.h"
#include "tests/test.h"

#define ALL_PROTOCOL                                                                              \
	(VIA_BIT(VU_PROTOCOL_MQ) | VIA_BIT(VU_PROTOCOL_REPLY_ACK) | VIA_BIT(VU_PROTOCOL_STATUS) | \
	 VIA_BIT(1) | VIA_BIT(15))
#define BIT_30 VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

/* ---- a back-end ---- */

enum lie {
	HONEST,
	WRONG_NUMBER,
	NEED_REPLY_FLAG, /* VU-01: flags 0xd instead of 0x5 */
	NO_REPLY_FLAG,
	SHORT,
	LONG,
	WITH_FD,
	REFUSE,
	SILENT,
	HANG_UP,
	IN_BYTES, /* no lie: one byte at a time */
	CHATTY,   /* a second reply that nobody asked for */
};

struct backend {
	int listen_fd, fd;
	uint64_t features, protocol;
	uint32_t lie_at; /* request number */
	enum lie lie;
	bool acks; /* REPLY_ACK is in force */
	char heard[512];
	int nr_fds, nr_connections;
	uint64_t status;
	struct fe_memory memory;
	struct vu_vring_addr addr[2];
	uint32_t call_flags;
};

static char dir[] = "/tmp/viaduct-frontend-XXXXXX";
static char path[64];

static void backend_say(struct backend *b, uint32_t request, uint32_t flags, const void *payload,
			uint32_t size, bool with_fd)
{
	struct fe_message m = { .header = { request, flags, size } };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { &m, sizeof(m.header) + size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = 0;

	memcpy((uint8_t *)&m + sizeof(m.header), payload, size);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (with_fd) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	assert_true(sendmsg(b->fd, &msg, MSG_NOSIGNAL) > 0 || errno == EPIPE);
}

static void backend_answer(struct backend *b, struct via_loop *loop, uint32_t request,
			   const void *payload, uint32_t size)
{
	enum lie lie = request == b->lie_at ? b->lie : HONEST;
	const uint64_t one = 1, nothing[3] = { 0 };
	uint8_t bytes[20];

	switch (lie) {
	case WRONG_NUMBER:
		backend_say(b, request + 1, 5, payload, size, false);
		break;
	case NEED_REPLY_FLAG:
		backend_say(b, request, 0xd, payload, size, false);
		break;
	case NO_REPLY_FLAG:
		backend_say(b, request, 1, payload, size, false);
		break;
	case SHORT:
		backend_say(b, request, 5, payload, 4, false);
		break;
	case LONG:
		backend_say(b, request, 5, nothing, 24, false);
		break;
	case WITH_FD:
		backend_say(b, request, 5, payload, size, true);
		break;
	case REFUSE:
		backend_say(b, request, 5, &one, size, false);
		break;
	case SILENT:
		break;
	case HANG_UP:
		close(b->fd);
		b->fd = -1;
		break;
	case IN_BYTES:
		memcpy(bytes, &(struct vu_header){ request, 5, size }, 12);
		memcpy(bytes + 12, payload, size);
		for (uint32_t i = 0; i < 12 + size; i++) {
			assert_int_equal(write(b->fd, bytes + i, 1), 1);
			via_loop_turn(loop, 0);
		}
		break;
	case CHATTY:
		backend_say(b, request, 5, payload, size, false);
		backend_say(b, request, 5, payload, size, false);
		break;
	case HONEST:
		backend_say(b, request, 5, payload, size, false);
	}
}

/* Hears one message, and answers it. Returns whether there was one. */
static bool backend_turn(struct backend *b, struct via_loop *loop)
{
	const uint64_t zero = 0, pairs = 4;
	struct fe_message m = { 0 };
	uint64_t answer;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &m, sizeof(m.header) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	char word[16];

	if (b->fd < 0 && b->listen_fd >= 0) {
		b->fd = via_unix_accept(b->listen_fd);
		b->nr_connections += b->fd >= 0;
		b->acks = false;
	}
	if (b->fd < 0 || recvmsg(b->fd, &msg, MSG_DONTWAIT) <= 0)
		return false;
	if (m.header.size)
		assert_int_equal(recv(b->fd, (uint8_t *)&m + sizeof(m.header), m.header.size, 0),
				 m.header.size);
	if (CMSG_FIRSTHDR(&msg)) {
		int fd;

		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		close(fd);
		b->nr_fds++;
	}
	snprintf(word, sizeof(word), "%s%u", b->heard[0] ? " " : "", m.header.request);
	strncat(b->heard, word, sizeof(b->heard) - strlen(b->heard) - 1);

	switch (m.header.request) {
	case VU_GET_FEATURES:
		backend_answer(b, loop, m.header.request, &b->features, 8);
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		backend_answer(b, loop, m.header.request, &b->protocol, 8);
		return true;
	case VU_GET_QUEUE_NUM:
		backend_answer(b, loop, m.header.request, &pairs, 8);
		return true;
	case VU_GET_STATUS:
		backend_answer(b, loop, m.header.request, &b->status, 8);
		return true;
	case VU_GET_VRING_BASE:
		answer = (uint64_t)m.state.num << 32 | m.state.index;
		backend_answer(b, loop, m.header.request, &answer, 8);
		return true;
	case VU_SET_PROTOCOL_FEATURES:
		assert_int_equal(m.u64 & ~b->protocol, 0);
		b->acks = via_has(m.u64, VU_PROTOCOL_REPLY_ACK);
		return true;
	case VU_SET_STATUS:
		b->status = m.u64;
		break;
	case VU_SET_MEM_TABLE:
		b->memory = m.memory;
		break;
	case VU_SET_VRING_ADDR:
		b->addr[m.addr.index] = m.addr;
		break;
	}
	assert_int_equal(!!(m.header.flags & VU_NEED_REPLY_MASK), b->acks);
	if (b->acks)
		backend_answer(b, loop, m.header.request, &zero, 8);
	else if (m.header.request == b->lie_at && b->lie == HANG_UP)
		backend_answer(b, loop, m.header.request, &zero, 8);
	return true;
}

/* ---- the front-end's user ---- */

struct user {
	struct via_loop *loop;
	struct via_frontend *frontend;
	struct backend b;
	struct via_frontend_ring ring[2];
	int mem_fd;
	struct via_frontend_offer offer;
	int nr_setups, nr_started, nr_stopped;
	bool closed;
	int refuse; /* what setup answers */
};

static int on_setup(void *user, const struct via_frontend_offer *offer,
		    struct via_frontend_setup *setup, struct via_error *err)
{
	struct user *u = user;

	if (u->refuse)
		return via_fail(err, u->refuse, "we do not like it");
	u->offer = *offer;
	u->nr_setups++;
	*setup = (struct via_frontend_setup){ .features = offer->features & 0xf,
					      .mem_fd = u->mem_fd,
					      .gpa = 0x1000000,
					      .size = 65536,
					      .nr_rings = 2,
					      .ring = u->ring };
	return 0;
}

static void on_started(void *user)
{
	((struct user *)user)->nr_started++;
}

static void on_stopped(void *user)
{
	((struct user *)user)->nr_stopped++;
}

static void on_closed(void *user)
{
	((struct user *)user)->closed = true;
}

static const struct via_frontend_ops ops = {
	.setup = on_setup,
	.started = on_started,
	.stopped = on_stopped,
};

static void user_begin(struct user *u, uint64_t features, uint64_t protocol)
{
	*u = (struct user){
		.mem_fd = test_memfd(65536, 0),
		.b = { .fd = -1, .listen_fd = -1, .features = features, .protocol = protocol }
	};
	for (uint32_t i = 0; i < 2; i++)
		u->ring[i] = (struct via_frontend_ring){ .size = 64,
							 .base = 7,
							 .desc = 0x1001000 + i,
							 .avail = 0x1002000 + i,
							 .used = 0x1003000 + i,
							 .kick_fd = eventfd(0, 0),
							 .call_fd = i ? -1 : eventfd(0, 0) };
	assert_int_equal(via_loop_create(&u->loop, NULL), 0);
}

static void user_open(struct user *u, bool server)
{
	struct via_frontend_config config = {
		.name = "test", .path = path, .server = server, .ops = &ops, .user = u
	};
	struct via_error err = { "" };

	if (!server)
		u->b.listen_fd = via_unix_listen(path, &err);
	if (via_frontend_open(&u->frontend, u->loop, &config, &err) < 0)
		fail_msg("%s", err.text);
}

static void turn(struct user *u)
{
	via_loop_turn(u->loop, 0);
	backend_turn(&u->b, u->loop);
}

static void user_end(struct user *u)
{
	if (!u->closed)
		via_frontend_close(u->frontend, on_closed, u);
	while (!u->closed)
		turn(u);
	if (u->b.fd >= 0)
		close(u->b.fd);
	if (u->b.listen_fd >= 0)
		close(u->b.listen_fd);
	unlink(path);
	close(u->mem_fd);
	close(u->ring[0].kick_fd);
	close(u->ring[1].kick_fd);
	close(u->ring[0].call_fd);
	via_loop_free(u->loop);
	assert_int_equal(u->nr_setups, u->nr_stopped);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* ---- cases ---- */

static void a_back_end_with_everything_is_told_everything_in_order(void **state)
{
	int before = test_nr_fds();
	struct user u;

	(void)state;
	user_begin(&u, BIT_30 | 0x7, ALL_PROTOCOL);
	user_open(&u, false);
	while (!u.nr_started)
		turn(&u);
	assert_string_equal(u.b.heard,
			    "3 1 15 16 17 39 13 13 2 39 40 5 8 8 10 10 9 9 12 12 18 18 39");
	assert_int_equal(u.offer.features, 0x7);
	assert_int_equal(u.offer.queue_pairs, 4);
	assert_int_equal(u.b.nr_fds, 4); /* memory, two kicks, one call */
	assert_int_equal(u.b.memory.region.gpa, 0x1000000);
	assert_int_equal(u.b.memory.region.size, 65536);
	assert_int_equal(u.b.addr[1].used, 0x1003001);
	assert_int_equal(u.b.status, 15);
	assert_string_equal(via_frontend_state(u.frontend), "connected");

	u.b.heard[0] = '\0';
	user_end(&u);
	assert_string_equal(u.b.heard, "18 18 11 11");
	assert_int_equal(u.nr_stopped, 1);
	assert_int_equal(test_nr_fds(), before);
}

static void a_back_end_without_protocol_features_is_asked_once_more_at_the_end(void **state)
{
	struct user u;

	(void)state;
	user_begin(&u, 0x3, 0);
	user_open(&u, false);
	while (!u.nr_started)
		turn(&u);
	assert_string_equal(u.b.heard, "3 1 13 13 2 5 8 8 10 10 9 9 12 12 1");
	assert_int_equal(u.offer.queue_pairs, 1);
	user_end(&u);
}

static void a_back_end_that_connects_to_us_is_served_one_at_a_time(void **state)
{
	struct user u;
	int second;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	user_open(&u, true);
	turn(&u);
	u.b.fd = via_unix_connect(path, NULL);
	assert_true(u.b.fd >= 0);
	second = via_unix_connect(path, NULL);
	assert_true(second >= 0);
	while (!u.nr_started)
		turn(&u);
	close(u.b.fd);
	u.b.fd = second;
	u.b.acks = false;
	while (u.nr_started < 2)
		turn(&u);
	user_end(&u);
	assert_int_equal(access(path, F_OK), -1);
}

static void without_descriptors_it_waits_instead_of_spinning(void **state) /* R24 */
{
	struct rlimit before, none;
	struct user u;
	int turns = 0;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	user_open(&u, true);
	turn(&u);
	u.b.fd = via_unix_connect(path, NULL);
	assert_true(u.b.fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = via_clock_us() + 50000; via_clock_us() < end; turns++)
		via_loop_turn(u.loop, 10); /* a few, if nothing happens */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_in_range(turns, 1, 20);
	while (!u.nr_started)
		turn(&u);
	user_end(&u);
}

static void answers_in_single_bytes_are_understood(void **state)
{
	struct user u;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	u.b.lie_at = VU_GET_FEATURES;
	u.b.lie = IN_BYTES;
	user_open(&u, false);
	while (!u.nr_started)
		turn(&u);
	user_end(&u);
}

/* VU-01, R3 */
static void back_ends_that_lie_lose_the_connection_and_get_another_chance(void **state)
{
	static const struct {
		const char *what;
		uint32_t at;
		enum lie lie;
		const char *says;
	} cases[] = {
		{ "another number", VU_GET_FEATURES, WRONG_NUMBER, "answered by a message 2" },
		{ "NEED_REPLY in a reply", VU_GET_FEATURES, NEED_REPLY_FLAG, "flags 0xd" },
		{ "no reply flag", VU_SET_MEM_TABLE, NO_REPLY_FLAG, "flags 0x1" },
		{ "a short reply", VU_GET_PROTOCOL_FEATURES, SHORT, "4 bytes" },
		{ "a long reply", VU_GET_QUEUE_NUM, LONG, "24 bytes" },
		{ "a descriptor in a reply", VU_SET_FEATURES, WITH_FD, "descriptor" },
		{ "a refusal", VU_SET_MEM_TABLE, REFUSE, "SET_MEM_TABLE: it refuses (1)" },
		{ "a refusal by status", VU_GET_STATUS, REFUSE, "refuses features" },
		{ "the end in the middle", VU_SET_VRING_ADDR, HANG_UP, "during SET_VRING_ADDR" },
		{ "two replies", VU_SET_STATUS, CHATTY, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int before = test_nr_fds(), setups;
		struct user u;

		print_message("%s\n", cases[i].what);
		user_begin(&u, BIT_30 | 1, ALL_PROTOCOL);
		u.b.lie_at = cases[i].at;
		u.b.lie = cases[i].lie;
		user_open(&u, false);
		while (!via_frontend_reason(u.frontend)[0])
			turn(&u);
		if (!strstr(via_frontend_reason(u.frontend), cases[i].says))
			fail_msg("%s", via_frontend_reason(u.frontend));
		assert_string_equal(via_frontend_state(u.frontend), "waiting for the back-end");
		assert_int_equal(u.nr_setups, u.nr_stopped);

		setups = u.nr_setups;
		u.b.lie = HONEST;
		if (u.b.fd >= 0)
			close(u.b.fd);
		u.b.fd = -1;
		while (!u.nr_started)
			turn(&u);
		assert_int_equal(u.nr_setups, setups + 1);
		assert_string_equal(via_frontend_reason(u.frontend), "");
		user_end(&u);
		assert_int_equal(test_nr_fds(), before);
	}
}

static void a_back_end_that_goes_away_is_found_again(void **state)
{
	struct user u;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	user_open(&u, false);
	while (!u.nr_started)
		turn(&u);
	close(u.b.fd);
	u.b.fd = -1;
	while (u.nr_started < 2)
		turn(&u);
	assert_int_equal(u.nr_stopped, 1);
	assert_int_equal(u.b.nr_connections, 2);

	/* A message that nobody asked for is a broken rule. */
	backend_say(&u.b, 1, 1, "", 0, false);
	while (u.nr_stopped < 2)
		turn(&u);
	assert_non_null(strstr(via_frontend_reason(u.frontend), "nobody asked for"));
	user_end(&u);
}

static void what_the_user_refuses_is_told_and_tried_again(void **state)
{
	struct user u;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	u.refuse = -EPROTO;
	user_open(&u, false);
	while (!via_frontend_reason(u.frontend)[0])
		turn(&u);
	assert_non_null(strstr(via_frontend_reason(u.frontend), "we do not like it"));
	assert_int_equal(u.nr_stopped, 0);
	u.refuse = 0;
	close(u.b.fd);
	u.b.fd = -1;
	while (!u.nr_started)
		turn(&u);
	user_end(&u);
}

static void a_back_end_that_does_not_answer_cannot_hold_up_the_end(void **state)
{
	uint64_t begin;
	struct user u;

	(void)state;
	user_begin(&u, BIT_30, ALL_PROTOCOL);
	u.b.lie_at = VU_GET_VRING_BASE;
	u.b.lie = SILENT;
	user_open(&u, false);
	while (!u.nr_started)
		turn(&u);
	begin = via_clock_us();
	user_end(&u);
	assert_in_range(via_clock_us() - begin, 400000, 10000000);
}

static void nobody_there_is_no_error_but_a_bad_path_is(void **state)
{
	struct via_frontend_config config = { .name = "test", .path = "", .ops = &ops };
	struct via_error err;
	struct user u;

	(void)state;
	user_begin(&u, 0, 0);
	assert_int_equal(via_frontend_open(&u.frontend, u.loop, &config, &err), -EINVAL);
	config.path = "/nonexistent/s";
	config.server = true;
	assert_int_equal(via_frontend_open(&u.frontend, u.loop, &config, &err), -ENOENT);
	config.server = false;
	config.user = &u;
	assert_int_equal(via_frontend_open(&u.frontend, u.loop, &config, &err), 0);
	while (!via_frontend_reason(u.frontend)[0])
		turn(&u);
	assert_non_null(strstr(via_frontend_reason(u.frontend), "/nonexistent/s"));
	user_end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_back_end_with_everything_is_told_everything_in_order),
		cmocka_unit_test(
			a_back_end_without_protocol_features_is_asked_once_more_at_the_end),
		cmocka_unit_test(a_back_end_that_connects_to_us_is_served_one_at_a_time),
		cmocka_unit_test(without_descriptors_it_waits_instead_of_spinning),
		cmocka_unit_test(answers_in_single_bytes_are_understood),
		cmocka_unit_test(back_ends_that_lie_lose_the_connection_and_get_another_chance),
		cmocka_unit_test(a_back_end_that_goes_away_is_found_again),
		cmocka_unit_test(what_the_user_refuses_is_told_and_tried_again),
		cmocka_unit_test(a_back_end_that_does_not_answer_cannot_hold_up_the_end),
		cmocka_unit_test(nobody_there_is_no_error_but_a_bad_path_is),
	};

	return cmocka_run_group_tests_name("frontend", tests, setup, teardown);
}
