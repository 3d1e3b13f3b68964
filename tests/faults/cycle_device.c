/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our driver and our device over a real socket: connect, negotiate, memory, rings, traffic both ways,
 * sleep, stop, disconnect, the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viaduct/device.h>
#include <viaduct/driver.h>

#include "base/base.h"
#include "cycle.h"
#include "inject.h"
#include "net/header.h"

#define NR_PAIRS   2
#define FRAME_SIZE 600
#define NR_FRAMES  4 /* each way, on each pair */

struct ends {
	struct via_loop *loop;
	struct via_device *device;
	struct via_driver *driver;
	struct via_burst *burst;
	struct via_queue_stats stats;
	bool closed;
	bool corrupt; /* a frame came that nobody has sent */
	uint32_t pair;
	uint32_t to_device, to_driver; /* frames that have come */
};

/* ---- traffic ---- */

static const uint8_t *frame(void)
{
	static uint8_t bytes[FRAME_SIZE];

	for (uint32_t i = 0; i < FRAME_SIZE; i++)
		bytes[i] = (uint8_t)(i * 7);
	bytes[0] = 2;
	return bytes;
}

static bool is_frame(const struct via_view *view)
{
	const uint8_t *want = frame() + view->snapshot_len;
	bool same =
		view->len == FRAME_SIZE && memcmp(view->snapshot, frame(), view->snapshot_len) == 0;

	for (uint32_t i = 0; same && i < view->nr_pieces; want += view->piece[i++].len)
		same = memcmp(view->piece[i].base, want, view->piece[i].len) == 0;
	return same;
}

static void send_both_ways(struct ends *e)
{
	const struct via_piece rest = { frame() + VIA_SNAPSHOT_SIZE,
					FRAME_SIZE - VIA_SNAPSHOT_SIZE };
	struct via_view view = {
		.len = FRAME_SIZE, .snapshot_len = VIA_SNAPSHOT_SIZE, .piece = &rest, .nr_pieces = 1
	};
	struct via_view *views[] = { &view };

	memcpy(view.snapshot, frame(), VIA_SNAPSHOT_SIZE);
	via_device_egress(e->device, e->pair, views, 1, true, &e->stats);
	via_driver_egress(e->driver, e->pair, views, 1, true, &e->stats);
}

static void check(struct ends *e, uint32_t n, uint32_t *came)
{
	for (uint32_t i = 0; i < n; i++)
		e->corrupt |= !is_frame(&e->burst->view[i]);
	*came += n;
}

static void receive_both_ways(struct ends *e)
{
	uint32_t n = via_device_ingress(e->device, e->pair, e->burst, VIA_BURST, &e->stats);

	check(e, n, &e->to_device);
	if (n)
		via_device_ingress_release(e->device, e->pair, 0);
	n = via_driver_ingress(e->driver, e->pair, e->burst, VIA_BURST, &e->stats);
	check(e, n, &e->to_driver);
	if (n)
		via_driver_ingress_release(e->driver, e->pair, 0);
}

static void sleep_and_wake(struct ends *e)
{
	via_device_arm(e->device, e->pair);
	via_driver_arm(e->driver, e->pair);
	via_device_disarm(e->device, e->pair);
	via_driver_disarm(e->driver, e->pair);
}

/* Frames may be lost with a connection, but in the end they come. */
static bool frames_come(void *user)
{
	struct ends *e = user;

	if (!via_driver_pair_runs(e->driver, e->pair) || !via_device_pair_runs(e->device, e->pair))
		return false;
	send_both_ways(e);
	receive_both_ways(e);
	sleep_and_wake(e);
	return e->to_device >= NR_FRAMES && e->to_driver >= NR_FRAMES;
}

/* ---- life ---- */

static bool link_is_down(void *user)
{
	return !via_device_pair_runs(((struct ends *)user)->device, 0);
}

static bool is_closed(void *user)
{
	return ((struct ends *)user)->closed;
}

static void on_closed(void *user)
{
	((struct ends *)user)->closed = true;
}

static int open_device(struct ends *e, const char *path, enum via_device_mode mode,
		       struct via_error *err)
{
	struct via_device_config config = { .name = "device",
					    .path = path,
					    .mode = mode,
					    .queue_pairs = NR_PAIRS,
					    .control_queue = true };
	int ret;

	faults_ignore(true);
	config.state_fd = memfd_create("positions", MFD_CLOEXEC);
	if (ftruncate(config.state_fd, (off_t)via_device_state_size(NR_PAIRS)) < 0)
		abort();
	faults_ignore(false);
	ret = via_device_open(&e->device, e->loop, &config, err);
	faults_ignore(true);
	if (ret < 0)
		close(config.state_fd);
	faults_ignore(false);
	return ret;
}

static int open_driver(struct ends *e, const char *path, enum via_driver_mode mode, uint64_t off,
		       struct via_error *err)
{
	const struct via_driver_config config = { .name = "driver",
						  .path = path,
						  .mode = mode,
						  .queue_pairs = NR_PAIRS,
						  .queue_size = 16,
						  .features_off = off };

	return via_driver_open(&e->driver, e->loop, &config, err);
}

/* Who listens comes first, or the other one would wait for its next try. */
static int open_ends(struct ends *e, const char *path, bool packed, struct via_error *err)
{
	int ret = via_loop_create(&e->loop, err);

	if (ret < 0)
		return ret;
	e->burst = via_burst_create();
	if (!e->burst)
		return via_fail(err, -ENOMEM, "no memory for a burst");
	if (packed) {
		ret = open_driver(e, path, VIA_DRIVER_SERVER, 0, err);
		return ret < 0 ? ret : open_device(e, path, VIA_DEVICE_CLIENT, err);
	}
	ret = open_device(e, path, VIA_DEVICE_SERVER, err);
	return ret < 0 ? ret
		       : open_driver(e, path, VIA_DRIVER_CLIENT, VIA_BIT(VIRTIO_F_RING_PACKED),
				     err);
}

static enum cycle_end talk(struct ends *e, struct cycle_story *story)
{
	for (e->pair = 0; e->pair < NR_PAIRS; e->pair++) {
		e->to_device = e->to_driver = 0;
		if (!cycle_wait(e->loop, frames_come, e))
			return cycle_failed(story,
					    "pair %u: %u frames came at the device and %u at "
					    "the driver",
					    e->pair, e->to_device, e->to_driver);
	}
	return e->corrupt ? cycle_failed(story, "a frame came that nobody has sent") : CYCLE_PASSED;
}

/* The driver first: it stops its rings, and the device sees it go. */
static enum cycle_end close_ends(struct ends *e, struct cycle_story *story, enum cycle_end end)
{
	if (e->driver) {
		e->closed = false;
		via_driver_close(e->driver, on_closed, e);
		if (!cycle_wait(e->loop, is_closed, e))
			return cycle_failed(story, "the driver does not close");
	}
	if (e->device && end == CYCLE_PASSED && !cycle_wait(e->loop, link_is_down, e))
		end = cycle_failed(story, "the device does not notice that the driver has gone");
	if (e->device) {
		e->closed = false;
		via_device_close(e->device, on_closed, e);
		if (!cycle_wait(e->loop, is_closed, e))
			return cycle_failed(story, "the device does not close");
	}
	via_burst_free(e->burst);
	via_loop_free(e->loop);
	return end;
}

static enum cycle_end device_cycle(struct cycle_story *story, bool packed)
{
	struct ends e = { 0 };
	struct via_error err = { "" };
	enum cycle_end end;
	char path[108];

	snprintf(path, sizeof(path), "%s.sock", story->path);
	if (open_ends(&e, path, packed, &err) < 0)
		end = cycle_refused(story, err.text);
	else
		end = talk(&e, story);
	return close_ends(&e, story, end);
}

enum cycle_end cycle_device_split(struct cycle_story *story)
{
	return device_cycle(story, false);
}

enum cycle_end cycle_device_packed(struct cycle_story *story)
{
	return device_cycle(story, true);
}
