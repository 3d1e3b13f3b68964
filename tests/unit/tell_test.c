/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/tell.c: R19, HX-10 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "base/tell.h"
#include "tests/test.h"

static int setup(void **state)
{
	(void)state;
	return via_watchdog_start(NULL) || via_watchdog_start(NULL);
}

static void clear_nonblock(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* An eventfd that takes no more, and blocks. */
static int spoiled_eventfd(void)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	clear_nonblock(fd);
	return fd;
}

static void an_eventfd_counts_what_it_is_told(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t n;

	(void)state;
	assert_true(via_tell(fd));
	assert_true(via_tell(fd));
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 2);
	close(fd);
}

static void a_full_one_has_told_already(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), ends[2];
	char page[4096] = { 0 };

	(void)state;
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	assert_true(via_tell(fd));
	close(fd);

	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	assert_true(via_tell(ends[1]));
	close(ends[0]);
	close(ends[1]);
}

static void one_that_cannot_be_written_is_unusable(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_false(via_tell(fd));
	assert_false(via_tell(-1));
	close(fd);
}

static void a_write_that_blocks_is_ended_within_moments(void **state)
{
	int fd = spoiled_eventfd(), ends[2];
	char page[4096] = { 0 };
	uint64_t begin;

	(void)state;
	for (int i = 0; i < 3; i++) {
		begin = via_clock_us();
		assert_false(via_tell(fd));
		assert_in_range(via_clock_us() - begin, 0, 2000000); /* milliseconds, if not busy */
	}
	close(fd);

	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	clear_nonblock(ends[1]);
	assert_false(via_tell(ends[1]));
	assert_int_equal(via_write(ends[1], page, sizeof(page)), -EINTR);
	assert_int_equal(read(ends[0], page, sizeof(page)), sizeof(page));
	assert_int_equal(via_write(ends[1], page, sizeof(page)), sizeof(page));
	close(ends[0]);
	close(ends[1]);
}

static void a_descriptors_type_is_known(void **state)
{
	int ends[2], fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(via_fd_type(fd), 0);
	assert_int_equal(via_fd_type(ends[1]), S_IFIFO);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	assert_int_equal(via_fd_type(fd), -EBADF);
}

/* Tells a good peer all the time, while others hang. */
static void *teller(void *user)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bool *good = user;

	*good = true;
	for (int i = 0; i < 20000; i++)
		*good &= via_tell(fd);
	close(fd);
	return NULL;
}

static void *hanger(void *user)
{
	bool *good = user;
	int fd = spoiled_eventfd();
	sigset_t all;

	sigfillset(&all); /* as a thread does that leaves signals to others */
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	*good = true;
	for (int i = 0; i < 5; i++)
		*good &= !via_tell(fd);
	close(fd);
	return NULL;
}

static void threads_that_do_not_hang_lose_nothing(void **state)
{
	void *(*const runs[])(void *) = { teller, hanger, teller, hanger };
	pthread_t thread[4];
	bool good[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, runs[i], &good[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_true(good[i]);
	}
}

/* How often the watchdog has slept; -1 if there is none. */
static long watchdog_switches(void)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[300], line[128];
	struct dirent *task;
	long switches = -1;

	while ((task = readdir(tasks))) {
		bool is_it = false;
		FILE *status;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		status = fopen(path, "re");
		while (status && fgets(line, sizeof(line), status)) {
			is_it |= strcmp(line, "Name:\tvia-watchdog\n") == 0;
			if (is_it && strncmp(line, "voluntary", 9) == 0)
				switches = strtol(strchr(line, ':') + 1, NULL, 10);
		}
		if (status)
			fclose(status);
	}
	closedir(tasks);
	return switches;
}

static void the_watchdog_sleeps_while_nobody_tells(void **state)
{
	int fd = spoiled_eventfd();
	long before, after;

	(void)state;
	for (int tries = 0; tries < 20; tries++) { /* it may not have come to rest yet */
		poll(NULL, 0, 50);
		before = watchdog_switches();
		poll(NULL, 0, 50);
		after = watchdog_switches();
		if (before == after)
			break;
	}
	assert_true(before > 0);
	assert_int_equal(before, after);
	assert_false(via_tell(fd)); /* and wakes up */
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_eventfd_counts_what_it_is_told),
		cmocka_unit_test(a_full_one_has_told_already),
		cmocka_unit_test(one_that_cannot_be_written_is_unusable),
		cmocka_unit_test(a_write_that_blocks_is_ended_within_moments),
		cmocka_unit_test(a_descriptors_type_is_known),
		cmocka_unit_test(threads_that_do_not_hang_lose_nothing),
		cmocka_unit_test(the_watchdog_sleeps_while_nobody_tells),
	};

	return cmocka_run_group_tests_name("tell", tests, setup, NULL);
}
