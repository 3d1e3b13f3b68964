/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/backend_channel.c, kick.c: what we tell a front-end by messages, and it us. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/passed.h"
#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

#define ANNOUNCE_FEATURES                                                          \
	(FE_SPLIT | VIA_BIT(VIRTIO_NET_F_CTRL_VQ) | VIA_BIT(VIRTIO_NET_F_STATUS) | \
	 VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))

static int setup(void **state)
{
	const struct via_device_config config = { .control_queue = true, .inband = true };

	return fe_setup_with(state, &config);
}

/* What is to be told is kept until there is room for it: nothing waits, and nothing piles up. */
static void a_front_end_that_does_not_read_is_told_once_it_does(void **state) /* R1 */
{
	struct frontend *fe = *state;
	struct vu_header header;
	int pair[2], small = 1, told = 0, asked = 0, got = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	fe_start(fe, ANNOUNCE_FEATURES, 2);
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	for (; asked < 10000 && !fe->dev->backend.config_changed; asked++)
		assert_int_equal(via_device_announce(fe->dev), 0);
	told = asked;
	assert_true(fe->dev->backend.config_changed);
	for (; asked < told + 100; asked++)
		assert_int_equal(via_device_announce(fe->dev), 0);
	fe_assert_traffic(fe, 0);

	while (recv(pair[0], &header, sizeof(header), MSG_DONTWAIT) == sizeof(header)) {
		assert_int_equal(header.request, VU_BACKEND_CONFIG_CHANGE);
		got++;
		fe_turn(fe);
	}
	assert_false(fe->dev->backend.config_changed);
	assert_int_equal(got, told);
	close(pair[0]);
}

/* Returns how many calls it took. */
static int call_until_full(struct frontend *fe)
{
	int n = 0;

	for (; n < 10000 && !fe->dev->backend.calls[0]; n++)
		vu_backend_call(fe->dev, 1);
	assert_true(fe->dev->backend.calls[0]);
	return n;
}

/* The same of calls. */
static void a_call_that_finds_no_room_comes_later(void **state) /* R1 */
{
	struct {
		struct vu_header header;
		struct vu_vring_state state;
	} called;
	struct frontend *fe = *state;
	int pair[2], small = 1, told, got = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	fe_start(fe, ANNOUNCE_FEATURES, 2);
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	told = call_until_full(fe);
	while (recv(pair[0], &called, sizeof(called), MSG_DONTWAIT) == sizeof(called)) {
		assert_int_equal(called.header.request, VU_BACKEND_VRING_CALL);
		assert_int_equal(called.state.index, 1);
		got++;
		fe_turn(fe);
	}
	assert_int_equal(got, told);

	call_until_full(fe);
	close(pair[0]); /* and if its reader goes, so does the channel */
	fe_turn(fe);
	assert_null(fe->dev->backend.conn);
	fe_assert_traffic(fe, 0);
}

/* A socket that a front-end has made say who sends: a process, a user and a group are no descriptors. */
static void who_sends_on_the_backend_channel_is_not_taken_for_descriptors(void **state) /* R3 */
{
	const struct vu_header header = { VU_BACKEND_VRING_CALL, VU_VERSION, 0 };
	const int one = 1, group = (int)getgid();
	struct frontend *fe = *state;
	int pair[2], fds;
	bool ours =
		fcntl(group, F_GETFD) < 0 && dup2(fe->mem_fd, group) == group; /* to be missed */

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	fe_start(fe, ANNOUNCE_FEATURES, 2);
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	fds = test_nr_fds();
	assert_int_equal(send(pair[0], &header, sizeof(header), 0), sizeof(header));
	fe_turn(fe);
	assert_null(fe->dev->backend.conn);
	assert_int_equal(test_nr_fds(), fds - 1); /* the channel's */
	close(pair[0]);
	close(pair[1]);
	if (ours)
		close(group);
}

/* Where it says so by a descriptor with each piece, none of them stays. */
static void a_backend_channel_whose_messages_bring_the_sender_takes_no_descriptors(void **state)
{
	const struct vu_header header = { VU_BACKEND_VRING_CALL, VU_VERSION, 0 };
	const int one = 1;
	struct frontend *fe = *state;
	int pair[2], fds;

	fe_start(fe, ANNOUNCE_FEATURES, 2);
	fds = test_nr_fds();
	for (size_t size = 1; size <= sizeof(header); size++) { /* of a piece */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		if (setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)) < 0)
			skip();
		assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
		close(pair[1]);
		for (size_t at = 0; at < sizeof(header); at += size)
			assert_true(send(pair[0], (const char *)&header + at,
					 at + size > sizeof(header) ? sizeof(header) - at : size,
					 MSG_NOSIGNAL) > 0);
		fe_turn(fe);
		assert_null(fe->dev->backend.conn);
		close(pair[0]);
		for (int i = 0; i < 1000 && test_nr_fds() > fds; i++)
			usleep(1000); /* discarded elsewhere */
		assert_int_equal(test_nr_fds(), fds);
	}
}

/* ---- in-band notifications ---- */

static void kicks_and_calls_may_be_messages(void **state)
{
	struct frontend *fe = *state;
	struct vu_header header;
	struct vu_vring_state called;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT,
		     FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_BACKEND_REQ) |
			     VIA_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS));
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &fe->mem_fd, 1), 1);
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	assert_int_equal(fe_set_memory(fe), 0);
	for (uint32_t i = 0; i < 2; i++) {
		fe_setup_queue(fe, i, 0, true);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, i, -1), 0);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, i, -1), 0);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
	assert_true(via_device_kick_fd(fe->dev, 0) >= 0); /* ours: a worker can sleep */
	assert_int_equal(fe_ack_state(fe, VU_VRING_KICK, 1, 0), 0);
	fe_assert_traffic(fe, 0);
	fe_turn(fe);
	assert_int_equal(recv(pair[0], &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	assert_int_equal(header.request, VU_BACKEND_VRING_CALL);
	assert_int_equal(header.flags, VU_VERSION);
	assert_int_equal(header.size, sizeof(called));
	assert_int_equal(recv(pair[0], &called, sizeof(called), MSG_DONTWAIT), sizeof(called));
	assert_true(called.index < 2);

	/* Who says something there that nobody waits for loses the channel, nothing else. */
	assert_int_equal(send(pair[0], &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(send(pair[0], &called, sizeof(called), 0), sizeof(called));
	fe_turn(fe);
	assert_null(fe->dev->backend.conn);
	fe_assert_traffic(fe, 0);
	close(pair[0]);
}

static void a_broken_queue_is_told_by_a_message_where_there_is_no_descriptor(void **state) /* R15 */
{
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);
	struct {
		struct vu_header header;
		struct vu_vring_state state;
	} told;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS));
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	assert_int_equal(fe_set_memory(fe), 0);
	fe_setup_queue(fe, 1, 0, true);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_ERR, 1, -1), 0);
	via_le16_store(&avail->idx, 30000);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	fe_turn(fe);
	assert_int_equal(recv(pair[0], &told, sizeof(told), MSG_DONTWAIT), sizeof(told));
	assert_int_equal(told.header.request, VU_BACKEND_VRING_ERR);
	assert_int_equal(told.state.index, 1);
	assert_int_equal(recv(pair[0], &told, sizeof(told), MSG_DONTWAIT), -1);
	close(pair[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_front_end_that_does_not_read_is_told_once_it_does),
		CASE(a_call_that_finds_no_room_comes_later),
		CASE(who_sends_on_the_backend_channel_is_not_taken_for_descriptors),
		CASE(a_backend_channel_whose_messages_bring_the_sender_takes_no_descriptors),
		CASE(kicks_and_calls_may_be_messages),
		CASE(a_broken_queue_is_told_by_a_message_where_there_is_no_descriptor),
	};

	return cmocka_run_group_tests_name("backend_channel", tests, NULL, NULL);
}
