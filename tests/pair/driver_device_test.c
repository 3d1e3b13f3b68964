/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our driver (viaduct/driver.h) against our device (viaduct/device.h), over a real socket, both on one
 * loop: what two programs that use libviaduct do.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <viaduct/device.h>
#include <viaduct/driver.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "tests/test.h"
#include "tests/unit/frame.h"

#define PATIENCE_US 20000000

static char dir[] = "/tmp/viaduct-pair-XXXXXX";
static char path[64];

struct both {
	struct via_loop *loop;
	struct via_device *device;
	struct via_driver *driver;
	struct via_burst *burst;
	struct via_queue_stats stats[4]; /* device in, out; driver in, out */
	int device_up, driver_up;        /* link */
	int closed;
};

enum { DEVICE_IN, DEVICE_OUT, DRIVER_IN, DRIVER_OUT };

static void on_device_link(void *user, bool up)
{
	((struct both *)user)->device_up = up;
}

static void on_driver_link(void *user, bool up)
{
	((struct both *)user)->driver_up = up;
}

static const struct via_device_events device_events = { .link_changed = on_device_link };
static const struct via_driver_events driver_events = { .link_changed = on_driver_link };

static void on_closed(void *user)
{
	((struct both *)user)->closed++;
}

static void open_device(struct both *b, enum via_device_mode mode, uint16_t pairs)
{
	struct via_device_config config = { .name = "device",
					    .path = path,
					    .mode = mode,
					    .queue_pairs = pairs,
					    .events = &device_events,
					    .user = b };
	struct via_error err = { "" };

	if (via_device_open(&b->device, b->loop, &config, &err) < 0)
		fail_msg("%s", err.text);
}

static void open_driver(struct both *b, enum via_driver_mode mode, uint16_t pairs,
			uint64_t features_off)
{
	struct via_driver_config config = { .name = "driver",
					    .path = path,
					    .mode = mode,
					    .queue_pairs = pairs,
					    .queue_size = 64,
					    .features_off = features_off,
					    .events = &driver_events,
					    .user = b };
	struct via_error err = { "" };

	if (via_driver_open(&b->driver, b->loop, &config, &err) < 0)
		fail_msg("%s", err.text);
}

/* Turns the loop until a condition holds. */
#define WAIT(b, condition)                                                      \
	do {                                                                    \
		uint64_t deadline_ = via_clock_us() + PATIENCE_US;              \
		while (!(condition)) {                                          \
			via_loop_turn((b)->loop, 50);                           \
			if (via_clock_us() > deadline_)                         \
				fail_msg("waited in vain for: %s", #condition); \
		}                                                               \
	} while (0)

static void wait_up(struct both *b)
{
	WAIT(b, b->device_up && b->driver_up && via_driver_pair_runs(b->driver, 0) &&
			via_device_pair_runs(b->device, 0));
}

static void close_device(struct both *b)
{
	int closed = b->closed;

	via_device_close(b->device, on_closed, b);
	b->device = NULL;
	WAIT(b, b->closed > closed);
}

static void close_driver(struct both *b)
{
	int closed = b->closed;

	via_driver_close(b->driver, on_closed, b);
	b->driver = NULL;
	WAIT(b, b->closed > closed);
}

static void begin(struct both *b)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(via_loop_create(&b->loop, NULL), 0);
	b->burst = via_burst_create();
	assert_non_null(b->burst);
}

static void end(struct both *b)
{
	if (b->driver)
		close_driver(b);
	if (b->device)
		close_device(b);
	via_burst_free(b->burst);
	via_loop_free(b->loop);
	unlink(path);
}

static void log_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	if (level <= VIA_LOG_WARNING)
		print_message("# %s\n", line);
}

static int setup(void **state)
{
	(void)state;
	via_log_to(log_line, NULL);
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

/* ---- traffic ---- */

static const uint32_t payloads[] = { 0, 1, 46, 113, 114, 115, 500, 1500, 2085, 1000 };

static void make_frame(struct frame *f, uint32_t number)
{
	frame_make(f, &(struct frame_shape){ .payload = payloads[number % 10] });
	memcpy(f->bytes + 6, "\x02\x00", 2);
	memcpy(f->bytes + 8, &number, sizeof(number)); /* the source address */
	for (uint32_t i = 18; i < f->len; i += 89)
		f->bytes[i] ^= (uint8_t)(number >> 2);
}

static void assert_is_frame(const struct via_view *view, uint32_t number)
{
	static struct frame want;
	static uint8_t got[70000];

	make_frame(&want, number);
	assert_int_equal(view->len, want.len);
	assert_int_equal(view_bytes(view, got), want.len);
	assert_memory_equal(got, want.bytes, want.len);
}

/* One direction, seen from either end. */
struct way {
	struct both *b;
	uint32_t pair;
	bool to_device;
	uint32_t sent, received;
};

static void send_some(struct way *w, uint32_t n)
{
	static struct frame f;
	struct via_piece pieces[80];
	struct via_view view, *views[] = { &view };

	for (; n > 0; n--, w->sent++) {
		uint32_t done;

		make_frame(&f, w->sent);
		frame_view(&view, &f, pieces, 700);
		done = w->to_device ? via_driver_egress(w->b->driver, w->pair, views, 1, true,
							&w->b->stats[DRIVER_OUT])
				    : via_device_egress(w->b->device, w->pair, views, 1, true,
							&w->b->stats[DEVICE_OUT]);
		if (done == 0)
			return;
	}
}

static uint32_t receive_some(struct way *w, uint32_t max)
{
	struct both *b = w->b;
	uint32_t n = w->to_device ? via_device_ingress(b->device, w->pair, b->burst, max,
						       &b->stats[DEVICE_IN])
				  : via_driver_ingress(b->driver, w->pair, b->burst, max,
						       &b->stats[DRIVER_IN]);

	for (uint32_t i = 0; i < n; i++)
		assert_is_frame(&b->burst->view[i], w->received++);
	if (n && w->to_device)
		via_device_ingress_release(b->device, w->pair, 0);
	else if (n)
		via_driver_ingress_release(b->driver, w->pair, 0);
	return n;
}

static void exchange(struct both *b, uint32_t pair, uint32_t nr_frames)
{
	struct way ways[2] = { { .b = b, .pair = pair, .to_device = true },
			       { .b = b, .pair = pair, .to_device = false } };
	uint64_t deadline = via_clock_us() + PATIENCE_US;

	while (ways[0].received < nr_frames || ways[1].received < nr_frames) {
		for (int i = 0; i < 2; i++) {
			struct way *w = &ways[i];
			uint32_t left = nr_frames - w->sent;

			send_some(w, via_min_u(left, 1 + w->sent % 31));
			receive_some(w, 1 + w->received % 64);
		}
		if (via_clock_us() > deadline)
			fail_msg("stuck: to the device %u of %u, to the driver %u of %u",
				 ways[0].received, ways[0].sent, ways[1].received, ways[1].sent);
	}
	for (int i = 0; i < 4; i++)
		for (int why = 0; why < VIA_NR_DROPS; why++)
			assert_int_equal(via_counter_read(&b->stats[i].drops[why]), 0);
}

/* ---- cases ---- */

static const unsigned int optional[] = { VIRTIO_F_RING_PACKED, VIRTIO_NET_F_MRG_RXBUF,
					 VIRTIO_F_IN_ORDER, VIRTIO_F_EVENT_IDX,
					 VIRTIO_F_INDIRECT_DESC };

static void traffic_passes_both_ways_with_all_features(void **state)
{
	(void)state;
	for (uint32_t mask = 0; mask < 1 << ARRAY_SIZE(optional); mask++) {
		uint64_t off = 0, on = 0;
		struct both b;

		for (uint32_t i = 0; i < ARRAY_SIZE(optional); i++)
			*(mask & 1 << i ? &off : &on) |= VIA_BIT(optional[i]);
		begin(&b);
		open_device(&b, VIA_DEVICE_SERVER, 1);
		open_driver(&b, VIA_DRIVER_CLIENT, 1, off);
		wait_up(&b);
		assert_int_equal(via_driver_features(b.driver) & off, 0);
		assert_int_equal(via_driver_features(b.driver) & on, on);
		exchange(&b, 0, 300);
		end(&b);
	}
}

static void several_pairs_run_side_by_side(void **state)
{
	struct both b;

	(void)state;
	begin(&b);
	open_device(&b, VIA_DEVICE_SERVER, 4);
	open_driver(&b, VIA_DRIVER_CLIENT, 3, 0);
	wait_up(&b);
	assert_int_equal(via_driver_pairs(b.driver), 3);
	assert_false(via_device_pair_runs(b.device, 3));
	for (uint32_t pair = 0; pair < 3; pair++)
		exchange(&b, pair, 200);
	end(&b);
}

static void fewer_pairs_are_used_where_the_device_has_fewer(void **state)
{
	struct both b;

	(void)state;
	begin(&b);
	open_device(&b, VIA_DEVICE_SERVER, 2);
	open_driver(&b, VIA_DRIVER_CLIENT, 8, 0);
	wait_up(&b);
	assert_int_equal(via_driver_pairs(b.driver), 2);
	exchange(&b, 1, 100);
	end(&b);
}

static void a_listening_driver_serves_a_device_that_connects(void **state)
{
	struct both b;

	(void)state;
	begin(&b);
	open_driver(&b, VIA_DRIVER_SERVER, 1, 0);
	open_device(&b, VIA_DEVICE_CLIENT, 1);
	wait_up(&b);
	exchange(&b, 0, 200);
	end(&b);
}

static void a_device_that_comes_back_is_found_and_served(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct both b;

		begin(&b);
		open_driver(&b, VIA_DRIVER_CLIENT, 1,
			    packed ? 0 : VIA_BIT(VIRTIO_F_RING_PACKED)); /* before the device */
		for (int round = 0; round < 3; round++) {
			open_device(&b, VIA_DEVICE_SERVER, 1);
			wait_up(&b);
			exchange(&b, 0, 100);
			close_device(&b);
			WAIT(&b, !b.driver_up);
			assert_false(via_driver_pair_runs(b.driver, 0));
			assert_int_equal(via_driver_call_fd(b.driver, 0), -1);
		}
		end(&b);
	}
}

static void a_driver_that_comes_back_is_served_again(void **state)
{
	struct both b;

	(void)state;
	begin(&b);
	open_device(&b, VIA_DEVICE_SERVER, 1);
	for (int round = 0; round < 3; round++) {
		open_driver(&b, VIA_DRIVER_CLIENT, 1, 0);
		wait_up(&b);
		exchange(&b, 0, 100);
		close_driver(&b);
		WAIT(&b, !b.device_up);
	}
	end(&b);
}

/* Both ends sleep until they are told. */
static bool told_within(struct both *b, int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	(void)b;
	return poll(&p, 1, ms) == 1 && read(fd, &n, sizeof(n)) > 0;
}

static void a_sleeping_end_is_woken_and_a_busy_one_is_not(void **state)
{
	(void)state;
	for (uint32_t mask = 0; mask < 4; mask++) {
		struct both b;
		struct way down = { .b = &b, .to_device = false };
		struct way up = { .b = &b, .to_device = true };
		int call_fd, kick_fd;

		begin(&b);
		open_device(&b, VIA_DEVICE_SERVER, 1);
		open_driver(&b, VIA_DRIVER_CLIENT, 1,
			    (mask & 1 ? VIA_BIT(VIRTIO_F_RING_PACKED) : 0) |
				    (mask & 2 ? VIA_BIT(VIRTIO_F_EVENT_IDX) : 0));
		wait_up(&b);
		call_fd = via_driver_call_fd(b.driver, 0);
		kick_fd = via_device_kick_fd(b.device, 0);
		assert_true(call_fd >= 0 && kick_fd >= 0);

		for (int round = 0; round < 50; round++) {
			while (told_within(&b, call_fd, 0) || told_within(&b, kick_fd, 0))
				; /* from the start, or from before it slept */
			assert_false(via_driver_arm(b.driver, 0));
			assert_false(via_device_arm(b.device, 0));
			send_some(&down, 1);
			assert_true(told_within(&b, call_fd, 1000));
			send_some(&up, 1);
			assert_true(told_within(&b, kick_fd, 1000));
			via_driver_disarm(b.driver, 0);
			via_device_disarm(b.device, 0);
			while (receive_some(&down, 64) + receive_some(&up, 64) > 0)
				;
			assert_int_equal(down.received, down.sent);
			assert_int_equal(up.received, up.sent);
		}
		end(&b);
	}
}

static void nothing_works_and_nothing_breaks_without_a_device(void **state)
{
	struct frame *f = malloc(sizeof(*f));
	struct via_piece pieces[80];
	struct via_view view, *views[] = { &view };
	struct both b;

	(void)state;
	begin(&b);
	open_driver(&b, VIA_DRIVER_CLIENT, 1, 0);
	via_loop_turn(b.loop, 10);
	make_frame(f, 7);
	frame_view(&view, f, pieces, 700);
	assert_int_equal(via_driver_egress(b.driver, 0, views, 1, true, &b.stats[DRIVER_OUT]), 1);
	assert_int_equal(via_counter_read(&b.stats[DRIVER_OUT].drops[VIA_DROP_NO_QUEUE]), 1);
	assert_int_equal(via_driver_ingress(b.driver, 0, b.burst, 64, &b.stats[DRIVER_IN]), 0);
	via_driver_ingress_release(b.driver, 0, 0);
	assert_false(via_driver_arm(b.driver, 0));
	assert_int_equal(via_driver_features(b.driver), 0);
	free(f);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traffic_passes_both_ways_with_all_features),
		cmocka_unit_test(several_pairs_run_side_by_side),
		cmocka_unit_test(fewer_pairs_are_used_where_the_device_has_fewer),
		cmocka_unit_test(a_listening_driver_serves_a_device_that_connects),
		cmocka_unit_test(a_device_that_comes_back_is_found_and_served),
		cmocka_unit_test(a_driver_that_comes_back_is_served_again),
		cmocka_unit_test(a_sleeping_end_is_woken_and_a_busy_one_is_not),
		cmocka_unit_test(nothing_works_and_nothing_breaks_without_a_device),
	};

	return cmocka_run_group_tests_name("driver_device", tests, setup, teardown);
}
