/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/discard.c; R1, R3, R13 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "base/discard.h"
#include "base/passed.h"
#include "tests/fuse.h"
#include "tests/memfd.h"

#define PATIENCE_US UINT64_C(10000000)

static struct via_discards *discards;

static int setup(void **state)
{
	(void)state;
	discards = via_discards_create();
	return !discards || via_watchdog_start(NULL) < 0;
}

static int teardown(void **state)
{
	(void)state;
	via_discards_free(discards);
	return 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void wait_closed(int fd)
{
	for (uint64_t end = via_clock_us() + PATIENCE_US; is_open(fd) && via_clock_us() < end;)
		usleep(1000);
	assert_false(is_open(fd));
}

static void what_cannot_wait_is_closed_right_here(void **state)
{
	int fds[4], ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fds[0] = eventfd(0, EFD_CLOEXEC);
	fds[1] = test_memfd(4096, 0);
	fds[2] = ends[0];
	fds[3] = ends[1];
	for (int i = 0; i < 4; i++) {
		via_discard(discards, fds[i]);
		assert_false(is_open(fds[i]));
	}
}

/* A connection whose data nobody reads, and whose last descriptor goes with a wait of 600 s. */
static int lingering_socket(int *peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 600 };
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bytes[4096] = { 0 };

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(sock, (struct sockaddr *)&addr, len), 0);
	*peer = accept(listener, NULL, NULL);
	close(listener);
	while (send(sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(sock, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return sock;
}

static void a_socket_that_lingers_holds_nobody_up(void **state)
{
	int peer, sock = lingering_socket(&peer);

	(void)state;
	via_discard(discards, sock);
	wait_closed(sock); /* and not for long the thread either */
	close(peer);
}

/* Passes 'fd' into a socket that nobody reads. */
static void put_into(int sock, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				      .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &msg, 0), 1);
}

static void what_lies_in_a_socket_holds_nobody_up(void **state)
{
	int pair[2], peer, sock = lingering_socket(&peer);
	uint64_t begin;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	put_into(pair[1], sock);
	close(sock); /* the one in the socket is the last */
	begin = via_clock_us();
	via_discard_socket(discards, pair[0]);
	assert_false(is_open(pair[0]));
	assert_in_range(via_clock_us() - begin, 0, PATIENCE_US);
	close(pair[1]);
	close(peer);
}

/* Each message brings the descriptor of a process, though nobody has sent one. */
static void what_a_socket_adds_to_its_messages_is_closed_too(void **state) /* R3 */
{
	const int one = 1, fds = test_nr_fds();
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)) < 0) {
		close(pair[0]);
		close(pair[1]);
		skip();
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(send(pair[1], "", 1, 0), 1);
	via_discard_socket(discards, pair[0]);
	close(pair[1]);
	for (int i = 0; i < 1000 && test_nr_fds() > fds; i++)
		usleep(1000);
	assert_int_equal(test_nr_fds(), fds);
}

static void nobody_has_more_than_his_share_waiting(void **state) /* R13 */
{
	struct via_discards *other = via_discards_create();
	struct test_fuse fuse;
	int fds[17], fd;

	(void)state;
	if (!test_fuse_mount(&fuse))
		skip();
	for (int i = 0; i < 17; i++) {
		fds[i] = open(fuse.path, O_RDWR | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	fuse.silent = true;
	for (int i = 0; i < 17; i++) {
		assert_false(i < 16 && via_discards_are_many(discards));
		via_discard(discards, fds[i]); /* returns */
	}
	assert_true(via_discards_are_many(discards));
	fd = eventfd(0, EFD_CLOEXEC);
	via_discard(other, fd);
	assert_false(is_open(fd));
	assert_false(via_discards_are_many(other));
	test_fuse_unmount(&fuse);
	for (int i = 0; i < 17; i++)
		wait_closed(fds[i]);
	via_discards_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_wait_is_closed_right_here),
		cmocka_unit_test(a_socket_that_lingers_holds_nobody_up),
		cmocka_unit_test(what_lies_in_a_socket_holds_nobody_up),
		cmocka_unit_test(what_a_socket_adds_to_its_messages_is_closed_too),
		cmocka_unit_test(nobody_has_more_than_his_share_waiting),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
