/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mirrors frames into a descriptor.
 *
 * Each worker has a ring of its own, which it alone fills and control alone empties. A record in it
 * is what a pcap file has: a header of 16 bytes and the frame's first bytes. What does not fit is
 * lost and counted; no packet waits for a reader.
 *
 * Control sleeps while there is nothing: 'asleep' is set, and the worker that next adds a record
 * clears it and writes the eventfd. From then on control looks every PERIOD_MS until it finds
 * nothing. When the descriptor takes no more, control waits for EPOLLOUT, and the rings fill.
 */
#include "switch/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/shared.h"
#include "base/tell.h"

#define RING_SIZE (1u << 20)
#define OUT_SIZE  (128u << 10)
#define PERIOD_MS 2
#define DRAINS    8 /* times OUT_SIZE in a period */

/* A pcap file (draft-ietf-opsawg-pcap): times in nanoseconds, our own byte order. */
struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t reserved1, reserved2, snaplen, link_type;
};
struct record_header {
	uint32_t seconds, nanoseconds, size, len;
};
static_assert(sizeof(struct file_header) == 24 && sizeof(struct record_header) == 16, "pcap");

#define PCAP_MAGIC_NS 0xa1b23c4d
#define LINK_ETHERNET 1
static_assert(OUT_SIZE > sizeof(struct record_header) + VIA_FRAME_MAX, "a record fits");

struct ring {
	via_cache_aligned _Atomic(uint64_t) head; /* bytes ever added; worker */
	via_counter lost;                         /* worker */
	via_cache_aligned _Atomic(uint64_t) tail; /* bytes ever taken; control */
	uint8_t data[RING_SIZE];
};

struct sw_capture {
	/* constant */
	int port; /* -1: all */
	uint32_t snaplen;
	uint32_t nr_rings;
	struct ring *ring;
	int event_fd;
	struct via_loop *loop;

	_Atomic(bool) asleep; /* control waits for the eventfd */

	/* control */
	int fd;
	struct via_watch *event, *writable; /* 'writable' is NULL for files, which always are */
	struct via_timer *timer;
	uint64_t frames, lost;
	bool broken; /* nobody reads any more */
	uint32_t out_begin, out_end;
	uint8_t out[OUT_SIZE];
};

/* ---- the workers' side ---- */

static void ring_put(struct ring *r, uint64_t at, const void *data, uint32_t len)
{
	const uint32_t begin = at & (RING_SIZE - 1);
	const uint32_t first = via_min_u(len, RING_SIZE - begin);

	memcpy(r->data + begin, data, first);
	memcpy(r->data, (const uint8_t *)data + first, len - first);
}

static void put_frame(struct ring *r, uint64_t at, const struct via_view *view, uint32_t size)
{
	uint32_t n = via_min_u(size, view->snapshot_len);

	ring_put(r, at, view->snapshot, n);
	for (uint32_t i = 0, done = n; i < view->nr_pieces && done < size; i++, done += n) {
		n = via_min_u(size - done, view->piece[i].len);
		ring_put(r, at + done, view->piece[i].base, n);
	}
}

/* Returns the ring's new head, or 'head' if there was no room. */
static uint64_t put_record(const struct sw_capture *c, struct ring *r, uint64_t head,
			   const struct via_view *view, const struct timespec *now)
{
	const struct record_header header = {
		.seconds = (uint32_t)now->tv_sec,
		.nanoseconds = (uint32_t)now->tv_nsec,
		.size = via_min_u(view->len, c->snaplen),
		.len = view->len,
	};
	const uint64_t size = sizeof(header) + header.size;

	/* Pairs with take_record(): what it has read may be overwritten. */
	if (RING_SIZE - (head - atomic_load_explicit(&r->tail, memory_order_acquire)) < size) {
		via_count(&r->lost, 1);
		return head;
	}
	ring_put(r, head, &header, sizeof(header));
	put_frame(r, head + sizeof(header), view, header.size);
	return head + size;
}

void sw_capture_views(struct sw_capture *c, uint32_t worker, uint32_t port,
		      struct via_view *const *views, uint32_t n)
{
	struct ring *r = &c->ring[worker];
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	const uint64_t one = 1;
	struct timespec now;

	if (c->port >= 0 && (uint32_t)c->port != port)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	for (uint32_t i = 0; i < n; i++)
		head = put_record(c, r, head, views[i], &now);
	/* Sequentially consistent, with the exchange below, as in fall_asleep(): one of the two
	 * sees the other. The release pairs with oldest(). */
	atomic_store(&r->head, head);
	if (atomic_load(&c->asleep) && atomic_exchange(&c->asleep, false)) {
		if (write(c->event_fd, &one, sizeof(one)) < 0)
			return; /* full: control is about to wake up anyway */
	}
}

/* ---- control's side ---- */

static void ring_get(const struct ring *r, uint64_t at, void *data, uint32_t len)
{
	const uint32_t begin = at & (RING_SIZE - 1);
	const uint32_t first = via_min_u(len, RING_SIZE - begin);

	memcpy(data, r->data + begin, first);
	memcpy((uint8_t *)data + first, r->data, len - first);
}

static bool is_before(const struct record_header *a, const struct record_header *b)
{
	return a->seconds != b->seconds ? a->seconds < b->seconds : a->nanoseconds < b->nanoseconds;
}

/* The ring whose next record is the oldest, and that record's header; NULL if all are empty. */
static struct ring *oldest(struct sw_capture *c, struct record_header *header)
{
	struct ring *found = NULL;

	for (uint32_t i = 0; i < c->nr_rings; i++) {
		struct ring *r = &c->ring[i];
		const uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
		struct record_header h;

		/* Pairs with sw_capture_views(): the record is there. */
		if (atomic_load(&r->head) == tail)
			continue;
		ring_get(r, tail, &h, sizeof(h));
		if (found && !is_before(&h, header))
			continue;
		found = r;
		*header = h;
	}
	return found;
}

static void take_record(struct sw_capture *c, struct ring *r, uint32_t size)
{
	const uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	ring_get(r, tail, c->out + c->out_end, size);
	c->out_end += size;
	atomic_store_explicit(&r->tail, tail + size, memory_order_release);
}

/* Moves records from the rings to 'out'. Returns how many. */
static uint32_t gather(struct sw_capture *c)
{
	struct record_header header;
	struct ring *r;
	uint32_t n = 0;

	if (c->out_begin == c->out_end)
		c->out_begin = c->out_end = 0;
	while ((r = oldest(c, &header))) {
		const uint32_t size = (uint32_t)sizeof(header) + header.size;

		if (OUT_SIZE - c->out_end < size)
			break;
		take_record(c, r, size);
		if (c->broken) {
			c->out_end -= size;
			c->lost++;
		} else {
			c->frames++;
		}
		n++;
	}
	return n;
}

static void break_off(struct sw_capture *c)
{
	via_loop_unwatch(c->writable);
	c->writable = NULL;
	c->broken = true;
	c->out_begin = c->out_end = 0;
}

/* Returns false if the descriptor takes no more now. */
static bool flush(struct sw_capture *c)
{
	while (c->out_begin < c->out_end) {
		const ssize_t n =
			via_write(c->fd, c->out + c->out_begin, c->out_end - c->out_begin);

		if (n == -EAGAIN)
			return false;
		if (n < 0) /* also one that its reader has made block: control cannot wait */
			break_off(c);
		else
			c->out_begin += (uint32_t)n;
	}
	return true;
}

enum drained {
	NOTHING, /* to drain */
	SOME,    /* and so there may be more soon */
	BLOCKED, /* the descriptor takes no more */
};

/* Workers may add as fast as we take, so it ends after a while: control has other things to do. */
static enum drained drain(struct sw_capture *c)
{
	for (uint32_t i = 0; i < DRAINS; i++) {
		if (!flush(c))
			return BLOCKED;
		if (gather(c) == 0)
			return i ? SOME : NOTHING;
	}
	return SOME;
}

static void fall_asleep(struct sw_capture *c)
{
	struct record_header header;

	atomic_store(&c->asleep, true);
	if (oldest(c, &header) && atomic_exchange(&c->asleep, false))
		via_timer_start(c->timer, PERIOD_MS);
}

static void on_timer(void *user)
{
	struct sw_capture *c = user;

	switch (drain(c)) {
	case NOTHING:
		fall_asleep(c);
		break;
	case SOME:
		via_timer_start(c->timer, PERIOD_MS);
		break;
	case BLOCKED:
		via_watch_set(c->writable, EPOLLOUT);
		break;
	}
}

static void on_event(void *user, uint32_t events)
{
	struct sw_capture *c = user;
	uint64_t n;

	(void)events;
	if (read(c->event_fd, &n, sizeof(n)) < 0)
		return;
	on_timer(c);
}

static void on_writable(void *user, uint32_t events)
{
	struct sw_capture *c = user;

	if (events & (EPOLLERR | EPOLLHUP))
		break_off(c);
	else
		via_watch_set(c->writable, 0);
	on_timer(c);
}

/* ---- beginning and end ---- */

static int watch(struct sw_capture *c, struct via_error *err)
{
	int ret;

	c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event_fd < 0)
		return via_fail(err, -errno, "no descriptor for a capture: %s", strerror(errno));
	ret = via_loop_watch(&c->event, c->loop, c->event_fd, EPOLLIN, on_event, c, err);
	if (ret < 0)
		return ret;
	ret = via_timer_create(&c->timer, c->loop, on_timer, c, err);
	if (ret < 0)
		return ret;
	fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
	ret = via_loop_watch(&c->writable, c->loop, c->fd, 0, on_writable, c, err);
	return ret == -EPERM ? 0 : ret; /* a file: nothing to wait for */
}

static void put_file_header(struct sw_capture *c)
{
	const struct file_header header = { .magic = PCAP_MAGIC_NS,
					    .major = 2,
					    .minor = 4,
					    .snaplen = c->snaplen,
					    .link_type = LINK_ETHERNET };

	memcpy(c->out, &header, sizeof(header));
	c->out_end = sizeof(header);
}

int sw_capture_create(struct sw_capture **capture, struct via_loop *loop, uint32_t nr_workers,
		      int port, int fd, uint32_t snaplen, struct via_error *err)
{
	struct sw_capture *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return via_fail(err, -ENOMEM, "no memory for a capture");
	c->port = port;
	c->fd = fd;
	c->event_fd = -1;
	c->loop = loop;
	c->snaplen = snaplen && snaplen < VIA_FRAME_MAX ? snaplen : VIA_FRAME_MAX;
	c->nr_rings = nr_workers;
	c->ring = mmap(NULL, nr_workers * sizeof(*c->ring), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->ring == MAP_FAILED) {
		c->ring = NULL;
		ret = via_fail(err, -ENOMEM, "no memory for a capture's buffers");
	} else {
		ret = watch(c, err);
	}
	if (ret < 0) {
		sw_capture_end(c, NULL, NULL);
		sw_capture_free(c);
		return ret;
	}
	put_file_header(c);
	on_timer(c);
	*capture = c;
	return 0;
}

void sw_capture_end(struct sw_capture *c, uint64_t *frames, uint64_t *lost)
{
	if (c->ring)
		while (flush(c) && gather(c) > 0)
			;
	for (uint32_t i = 0; c->ring && i < c->nr_rings; i++)
		c->lost += via_counter_read(&c->ring[i].lost);
	if (frames)
		*frames = c->frames;
	if (lost)
		*lost = c->lost;
	via_loop_unwatch(c->writable);
	via_loop_unwatch(c->event);
	via_timer_free(c->timer);
}

void sw_capture_free(struct sw_capture *c)
{
	if (!c)
		return;
	if (c->event_fd >= 0)
		close(c->event_fd);
	if (c->ring)
		munmap(c->ring, c->nr_rings * sizeof(*c->ring));
	free(c);
}
