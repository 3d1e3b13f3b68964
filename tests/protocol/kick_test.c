/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/kick.c: descriptors that notify, and notifications that are messages. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "tests/fuse.h"
#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2, .mtu = 1500 };

	return fe_setup_with(state, &config);
}

/* ---- types of descriptors ---- */

static void only_an_eventfd_is_a_kick_and_a_call_may_be_a_socket_too(void **state) /* R3, HX-10 */
{
	struct frontend *fe = *state;
	int pipe_fds[2], pair[2], dgram[2];
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgram), 0);

	const struct {
		const char *what;
		int fd;
		bool is_call;
	} kinds[] = {
		{ "memfd", fe->mem_fd, false },
		{ "file", open("/proc/self/status", O_RDONLY | O_CLOEXEC), false },
		{ "path", open("/", O_PATH | O_CLOEXEC), false },
		{ "pipe, to read", pipe_fds[0], false },
		{ "pipe, to write", pipe_fds[1], false },
		{ "epoll", epoll_create1(EPOLL_CLOEXEC), false },
		{ "timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), false },
		{ "/dev/zero", open("/dev/zero", O_RDWR | O_CLOEXEC), false },
		{ "/dev/full", open("/dev/full", O_RDWR | O_CLOEXEC), false },
		{ "datagram socket", dgram[0], false },
		{ "network socket", tcp, false },
		{ "stream socket", pair[0], true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		print_message("%s\n", kinds[i].what);
		assert_true(kinds[i].fd >= 0);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, kinds[i].fd), 1);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_ERR, 1, kinds[i].fd), 1);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, 1, kinds[i].fd),
				 kinds[i].is_call ? 0 : 1);
	}
	fe_assert_traffic(fe, 0);
	for (size_t i = 1; i < ARRAY_SIZE(kinds); i++)
		close(kinds[i].fd);
	close(pair[1]);
	close(dgram[1]);
}

static void a_file_whose_server_never_answers_holds_nobody_up(void **state) /* R1, HX-19 */
{
	static const uint32_t as[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };
	struct frontend *fe = *state;
	struct test_fuse fuse;
	int fd, answer;

	assert_int_equal(via_watchdog_start(NULL), 0);
	if (!test_fuse_mount(&fuse))
		skip();
	fe_start(fe, FE_SPLIT, 2);
	fd = open(fuse.path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	fuse.silent = true;
	for (size_t i = 0; i < ARRAY_SIZE(as); i++)
		assert_int_equal(fe_set_notifier(fe, as[i], 1, fd), 1);
	assert_int_equal(fe_ack(fe, VU_SET_MEM_TABLE, &table, 8 + sizeof(struct vu_region), &fd, 1),
			 1);
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &fd, 1), 1);
	fe_assert_traffic(fe, 0);
	for (int i = 0; i < 20 && fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fd) == 1; i++)
		;
	assert_false(via_device_pair_runs(fe->dev, 0)); /* it had its share */
	/* The same when its time is over and it comes back, while they still wait. */
	fe_disconnect(fe);
	fe_connect(fe);
	via_timer_start(fe->dev->retry, 0);
	fe_turn(fe);
	answer = fe_recv(fe, &(struct vu_msg){ 0 });
	test_fuse_unmount(&fuse); /* first: whoever fails with it mounted cannot even end */
	close(fd);
	assert_int_equal(answer, FE_CLOSED);
	assert_non_null(strstr(fe->dev->trouble, "cannot be closed"));
}

static void looking_at_an_eventfd_leaves_it_as_it_was(void **state)
{
	int fd = eventfd(5, EFD_CLOEXEC); /* blocking */
	uint64_t count;

	(void)state;
	assert_true(vu_fd_is(fd, VU_FD_EVENT));
	assert_false(vu_fd_is(fd, VU_FD_SOCKET));
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 5);
	assert_true(vu_fd_is(fd, VU_FD_EVENT)); /* empty: does not wait */
	count = UINT64_MAX - 1;
	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	assert_true(vu_fd_is(fd, VU_FD_EVENT)); /* full: does not wait */
	close(fd);
	assert_false(vu_fd_is(fd, VU_FD_EVENT));
}

/* ---- in-band notifications ---- */

static void in_band_notification_without_its_channel_ends_the_connection(void **state) /* VU-11 */
{
	struct frontend *fe = *state;
	const struct via_device_config config = { .inband = true };

	fe_reopen_device(fe, &config);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, VIA_BIT(VU_PROTOCOL_REPLY_ACK));
	assert_int_equal(fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES,
				    VIA_BIT(VU_PROTOCOL_REPLY_ACK) |
					    VIA_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS)),
			 FE_CLOSED);
}

static void a_kick_that_comes_as_a_message_needs_its_feature(void **state)
{
	const struct via_device_config config = { .inband = true };
	struct frontend *fe = *state;

	fe_reopen_device(fe, &config);
	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(fe_ack_state(fe, VU_VRING_KICK, 1, 0), 1);
	fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS));
	assert_int_equal(fe_set_memory(fe), 0);
	fe_setup_queue(fe, 1, 0, true); /* with a descriptor all the same */
	assert_int_equal(fe_ack_state(fe, VU_VRING_KICK, 1, 0), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 1, 1), 0);
	fe_transmit(fe, 0, 1, 60);
	assert_int_equal(fe_ingress(fe, 0, NULL), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(in_band_notification_without_its_channel_ends_the_connection),
		CASE(only_an_eventfd_is_a_kick_and_a_call_may_be_a_socket_too),
		CASE(a_file_whose_server_never_answers_holds_nobody_up),
		cmocka_unit_test(looking_at_an_eventfd_leaves_it_as_it_was),
		CASE(a_kick_that_comes_as_a_message_needs_its_feature),
	};

	return cmocka_run_group_tests_name("kick", tests, NULL, NULL);
}
