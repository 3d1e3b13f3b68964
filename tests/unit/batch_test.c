/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/batch.c against the kernel, with datagrams between two sockets. */
#include "base/batch.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/memfd.h"

static int near, far;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	via_batch_begin();
	if (!via_batch_ready())
		print_message("# skipped: no io_uring: %s\n", strerror(-via_batch_error()));
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	near = fds[0];
	far = fds[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(near);
	close(far);
	via_batch_end();
	return 0;
}

#define NEED_RING()                     \
	do {                            \
		if (!via_batch_ready()) \
			skip();         \
	} while (0)

struct burst {
	uint32_t number[VIA_BATCH_MAX];
	struct iovec iov[VIA_BATCH_MAX];
	struct via_transfer transfer[VIA_BATCH_MAX];
};

static void burst_init(struct burst *b, uint32_t first)
{
	for (uint32_t i = 0; i < VIA_BATCH_MAX; i++) {
		b->number[i] = first + i;
		b->iov[i] = (struct iovec){ &b->number[i], sizeof(b->number[i]) };
		b->transfer[i] = (struct via_transfer){ .iov = &b->iov[i], .nr_iov = 1 };
	}
}

static uint32_t move(int fd, enum via_batch_op op, struct burst *b, uint32_t n)
{
	uint32_t moved = via_batch_move(fd, op, b->transfer, n);

	/* Sockets know RWF_NOWAIT since Linux 6.4. */
	if (moved > 0 && b->transfer[0].moved == -EOPNOTSUPP)
		skip();
	return moved;
}

/* ---- cases ---- */

static void what_is_written_in_one_call_is_read_in_one_call_in_order(void **state)
{
	struct burst out, in;

	(void)state;
	NEED_RING();
	for (uint32_t n = 1; n <= 8; n++) { /* what a socket of datagrams holds in any case */
		burst_init(&out, n * 100);
		burst_init(&in, 0);
		assert_int_equal(move(near, VIA_BATCH_WRITE, &out, n), n);
		assert_int_equal(move(far, VIA_BATCH_READ, &in, n + 1), n + 1);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(out.transfer[i].moved, sizeof(uint32_t));
			assert_int_equal(in.transfer[i].moved, sizeof(uint32_t));
			assert_int_equal(in.number[i], n * 100 + i);
		}
		assert_int_equal(in.transfer[n].moved, -EAGAIN); /* although 'far' may wait */
	}
}

static void a_transfer_that_fails_holds_no_other_up(void **state)
{
	struct burst out;

	(void)state;
	NEED_RING();
	burst_init(&out, 0);
	out.iov[1].iov_base = NULL;
	assert_int_equal(move(near, VIA_BATCH_WRITE, &out, 3), 3);
	assert_int_equal(out.transfer[0].moved, sizeof(uint32_t));
	assert_int_equal(out.transfer[1].moved, -EFAULT);
	assert_int_equal(out.transfer[2].moved, sizeof(uint32_t));
}

static void nothing_but_reads_and_writes_is_accepted(void **state)
{
	static const enum io_uring_op others[] = {
		IORING_OP_NOP,     IORING_OP_OPENAT,  IORING_OP_SENDMSG,   IORING_OP_POLL_ADD,
		IORING_OP_CONNECT, IORING_OP_CLOSE,   IORING_OP_FALLOCATE, IORING_OP_WRITE,
		IORING_OP_READ,    IORING_OP_TIMEOUT, IORING_OP_SPLICE,
	};
	struct burst b;

	(void)state;
	NEED_RING();
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		burst_init(&b, 0);
		assert_int_equal(via_batch_move(near, (enum via_batch_op)others[i], b.transfer, 1),
				 1);
		assert_int_equal(b.transfer[0].moved, -EACCES);
	}
}

/* The only one that this process has. */
static int ring_fd(void)
{
	DIR *fds = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -1;

	while ((entry = readdir(fds))) {
		char to[64] = "";

		if (readlinkat(dirfd(fds), entry->d_name, to, sizeof(to) - 1) > 0 &&
		    strcmp(to, "anon_inode:[io_uring]") == 0)
			found = atoi(entry->d_name);
	}
	closedir(fds);
	return found;
}

static void nothing_can_be_registered(void **state)
{
	int fds[] = { near };

	(void)state;
	NEED_RING();
	assert_true(ring_fd() >= 0);
	assert_int_equal(syscall(SYS_io_uring_register, ring_fd(), IORING_REGISTER_FILES, fds, 1),
			 -1);
	assert_int_equal(errno, EACCES);
}

static void *move_without_beginning(void *user)
{
	struct burst b;

	burst_init(&b, 0);
	*(uint32_t *)user = via_batch_move(near, VIA_BATCH_WRITE, b.transfer, 2);
	via_batch_end(); /* ends nothing */
	return NULL;
}

static void a_thread_that_is_no_worker_moves_nothing(void **state)
{
	const int before = test_nr_fds();
	pthread_t thread;
	uint32_t moved = 5;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, move_without_beginning, &moved), 0);
	pthread_join(thread, NULL);
	assert_int_equal(moved, 0);
	assert_int_equal(test_nr_fds(), before);
}

static atomic_bool ended;

static void *begin_and_end(void *user)
{
	struct burst b;

	(void)user;
	for (int i = 0; i < 100; i++) {
		via_batch_begin();
		burst_init(&b, 0);
		via_batch_move(near, VIA_BATCH_READ, b.transfer, 2);
		via_batch_end();
	}
	atomic_store(&ended, true);
	return NULL;
}

/* Descriptors go with the rings; and poll(), which a signal would end, goes on. */
static void rings_that_end_leave_nothing_and_interrupt_no_other_thread(void **state)
{
	const int before = test_nr_fds();
	struct pollfd wait = { .fd = far, .events = 0 };
	pthread_t thread;
	struct burst b;

	(void)state;
	NEED_RING();
	burst_init(&b, 0);
	assert_int_equal(move(near, VIA_BATCH_READ, &b, 2), 2);
	assert_int_equal(pthread_create(&thread, NULL, begin_and_end, NULL), 0);
	while (!atomic_load(&ended))
		assert_int_equal(poll(&wait, 1, 20), 0);
	pthread_join(thread, NULL);
	assert_int_equal(poll(&wait, 1, 200), 0); /* the kernel ends them some time later */
	assert_int_equal(test_nr_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_in_one_call_is_read_in_one_call_in_order),
		cmocka_unit_test(a_transfer_that_fails_holds_no_other_up),
		cmocka_unit_test(nothing_but_reads_and_writes_is_accepted),
		cmocka_unit_test(nothing_can_be_registered),
		cmocka_unit_test(a_thread_that_is_no_worker_moves_nothing),
		cmocka_unit_test(rings_that_end_leave_nothing_and_interrupt_no_other_thread),
	};

	return cmocka_run_group_tests_name("batch", tests, setup, teardown);
}
