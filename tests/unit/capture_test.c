/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switch/capture.c: frames of a port as a pcap file, and readers that are slow or gone. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include <cmocka.h>

#include "switch/capture.h"

static struct via_loop *loop;
static struct via_view *views[VIA_BURST];

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(via_loop_create(&loop, NULL), 0);
	for (uint32_t i = 0; i < VIA_BURST; i++) {
		views[i] = aligned_alloc(64, sizeof(*views[i]));
		memset(views[i], 0, sizeof(*views[i]));
		views[i]->len = views[i]->snapshot_len = 60;
		memset(views[i]->snapshot, (int)i + 1, 60);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VIA_BURST; i++)
		free(views[i]);
	via_loop_free(loop);
	return 0;
}

static struct sw_capture *begin(int port, int fd, uint32_t snaplen)
{
	struct sw_capture *c = NULL;

	assert_int_equal(sw_capture_create(&c, loop, 2, port, fd, snaplen, NULL), 0);
	return c;
}

static void turn_for(int ms)
{
	for (int i = 0; i < ms; i++)
		via_loop_turn(loop, 1);
}

static void end(struct sw_capture *c, uint64_t *frames, uint64_t *lost)
{
	sw_capture_end(c, frames, lost);
	sw_capture_free(c);
}

static uint32_t word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static void frames_of_the_port_are_written_as_pcap(void **state)
{
	uint8_t rest[200], file[1024];
	struct via_piece piece = { rest, sizeof(rest) };
	uint64_t frames, lost;
	int fds[2];
	struct sw_capture *c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c = begin(7, fds[1], 100);
	memset(rest, 9, sizeof(rest));
	views[1]->len = 60 + sizeof(rest);
	views[1]->piece = &piece;
	views[1]->nr_pieces = 1;
	sw_capture_views(c, 0, 8, views, 1); /* another port's */
	sw_capture_views(c, 0, 7, views, 2);
	turn_for(10);
	assert_int_equal(read(fds[0], file, sizeof(file)), 24 + 16 + 60 + 16 + 100);
	assert_int_equal(word(file), 0xa1b23c4d);
	assert_int_equal(word(file + 16), 100);
	assert_int_equal(word(file + 20), 1);
	assert_int_equal(word(file + 24 + 8), 60);
	assert_memory_equal(file + 24 + 16, views[0]->snapshot, 60);
	assert_int_equal(word(file + 24 + 16 + 60 + 8), 100);
	assert_int_equal(word(file + 24 + 16 + 60 + 12), 260);
	assert_int_equal(file[24 + 16 + 60 + 16 + 59], 2);
	assert_int_equal(file[24 + 16 + 60 + 16 + 60], 9);
	end(c, &frames, &lost);
	assert_int_equal(frames, 2);
	assert_int_equal(lost, 0);
	close(fds[0]);
	close(fds[1]);
}

static void workers_frames_are_merged_by_time(void **state)
{
	uint8_t file[24 + 4 * 76];
	int fds[2];
	struct sw_capture *c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c = begin(-1, fds[1], 0);
	for (uint32_t i = 0; i < 4; i++) {
		sw_capture_views(c, 1 - i % 2, i, &views[i], 1);
		usleep(10);
	}
	turn_for(10);
	assert_int_equal(read(fds[0], file, sizeof(file)), sizeof(file));
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(file[24 + i * 76 + 16], i + 1);
	end(c, NULL, NULL);
	close(fds[0]);
	close(fds[1]);
}

static void a_slow_reader_loses_frames_and_whole_ones(void **state)
{
	static uint8_t file[4 << 20];
	uint64_t frames, lost, sent = 0;
	size_t size = 0, at = 24;
	struct sw_capture *c;
	ssize_t n;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	c = begin(-1, fds[1], 0);
	for (int i = 0; i < 1000; i++) {
		sw_capture_views(c, 0, 0, views, VIA_BURST);
		sent += VIA_BURST;
		if (i % 100 == 0)
			turn_for(1);
	}
	while ((n = read(fds[0], file + size, sizeof(file) - size)) > 0) {
		size += (size_t)n;
		turn_for(3);
	}
	end(c, &frames, &lost);
	assert_true(lost > 0);
	assert_int_equal(frames + lost, sent);
	for (uint64_t i = 0; i < frames; i++, at += 76) {
		assert_int_equal(word(file + at + 8), 60);
		assert_in_range(file[at + 16], 1, VIA_BURST);
	}
	assert_int_equal(at, size);
	close(fds[0]);
	close(fds[1]);
}

static void a_reader_that_stops_reading_wakes_nobody(void **state)
{
	struct sw_capture *c;
	uint8_t some[65536];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	c = begin(-1, fds[1], 0);
	for (int i = 0; i < 100; i++)
		sw_capture_views(c, 0, 0, views, VIA_BURST);
	turn_for(20);
	assert_int_equal(poll(&(struct pollfd){ via_loop_fd(loop), POLLIN, 0 }, 1, 50), 0);
	assert_true(read(fds[0], some, sizeof(some)) > 0);
	assert_int_equal(poll(&(struct pollfd){ via_loop_fd(loop), POLLIN, 0 }, 1, 1000), 1);
	end(c, NULL, NULL);
	close(fds[0]);
	close(fds[1]);
}

/* Workers may add as fast as control takes, and it has other things to do. */
static void control_takes_a_bounded_amount_at_a_time(void **state)
{
	static uint8_t rest[8000];
	struct via_piece piece = { rest, sizeof(rest) };
	int fd = memfd_create("capture", 0);
	uint64_t frames;
	struct sw_capture *c;

	(void)state;
	for (uint32_t i = 0; i < VIA_BURST; i++) {
		views[i]->len = 60 + sizeof(rest);
		views[i]->piece = &piece;
		views[i]->nr_pieces = 1;
	}
	c = begin(-1, fd, 0);
	for (uint32_t i = 0; i < 8; i++) /* more than there is room for */
		sw_capture_views(c, i % 2, 0, views, VIA_BURST);
	via_loop_turn(loop, 1000);
	assert_in_range(lseek(fd, 0, SEEK_END), 1 << 19, 1 << 20);
	turn_for(20);
	assert_in_range(lseek(fd, 0, SEEK_END), 2040000, 2 << 20);
	end(c, &frames, NULL);
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + frames * (16 + 60 + sizeof(rest)));
	close(fd);
}

static void a_reader_that_goes_away_stops_nothing(void **state)
{
	uint64_t frames, lost;
	int fds[2];
	struct sw_capture *c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c = begin(-1, fds[1], 0);
	sw_capture_views(c, 0, 0, views, 1);
	turn_for(10);
	close(fds[0]);
	for (int i = 0; i < 100; i++) {
		sw_capture_views(c, 0, 0, views, VIA_BURST);
		turn_for(1);
	}
	end(c, &frames, &lost);
	assert_int_equal(frames + lost, 1 + 100 * VIA_BURST);
	close(fds[1]);
}

/* O_NONBLOCK is of the open file, which the reader shares. */
static void a_reader_that_makes_its_pipe_block_ends_the_capture(void **state) /* R1, R19 */
{
	uint64_t frames, lost;
	struct sw_capture *c;
	int fds[2];

	(void)state;
	assert_int_equal(via_watchdog_start(NULL), 0);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	c = begin(-1, fds[1], 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
	for (int i = 0; i < 100; i++) {
		sw_capture_views(c, 0, 0, views, VIA_BURST);
		turn_for(1); /* returns: or the test hangs here */
	}
	end(c, &frames, &lost);
	assert_int_equal(frames + lost, 100 * VIA_BURST);
	assert_true(lost > 0);
	close(fds[0]);
	close(fds[1]);
}

static void a_file_takes_all(void **state)
{
	uint64_t frames, lost;
	int fd = memfd_create("capture", 0);
	struct sw_capture *c;

	(void)state;
	c = begin(-1, fd, 0);
	for (int i = 0; i < 300; i++) {
		sw_capture_views(c, 1, 0, views, VIA_BURST);
		turn_for(1);
	}
	end(c, &frames, &lost);
	assert_int_equal(frames, 300 * VIA_BURST);
	assert_int_equal(lost, 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 24 + 300 * VIA_BURST * 76);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(frames_of_the_port_are_written_as_pcap),
		TEST(workers_frames_are_merged_by_time),
		TEST(a_slow_reader_loses_frames_and_whole_ones),
		TEST(a_reader_that_stops_reading_wakes_nobody),
		TEST(control_takes_a_bounded_amount_at_a_time),
		TEST(a_reader_that_goes_away_stops_nothing),
		TEST(a_reader_that_makes_its_pipe_block_ends_the_capture),
		TEST(a_file_takes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
