/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the kernel: each is read into a view's snapshot, its slot, and a part of the burst's
 * overflow that could hold 64 KiB. The first ones by readv(), then several in a call where there is
 * io_uring. A burst ends when the kernel has nothing more, or when the overflow has no such part.
 *
 * The kernel's header is judged as a guest's is (reference exception-path.md §6), although partial
 * checksums and GSO frames are the normal case here (EXP-09).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "net/header.h"
#include "port/tap.h"

#define ALIGN(x) (((x) + VIA_CACHE_LINE - 1) & ~(uint32_t)(VIA_CACHE_LINE - 1))

/* One byte more than a frame may have shows that one was longer: a read cuts off the rest. */
#define OVERFLOW_OF_FRAME ALIGN(VIA_FRAME_MAX + 1 - VIA_SNAPSHOT_SIZE - VIA_SLOT_SIZE)
#define FRAMES_AT_ONCE    (VIA_OVERFLOW_SIZE / OVERFLOW_OF_FRAME)

/* A burst that is being read. */
struct reading {
	struct via_burst *burst;
	uint32_t nr_views;
	uint64_t bytes;
	uint32_t slot, overflow; /* where the next frame goes */
	/* Of one call; frames that are dropped leave their slots unused. */
	struct via_transfer frame[FRAMES_AT_ONCE];
	struct via_net_hdr hdr[FRAMES_AT_ONCE];
	struct iovec iov[FRAMES_AT_ONCE][4];
};

static void prepare(struct reading *reading, uint32_t n)
{
	struct via_burst *burst = reading->burst;

	/* The kernel writes 10 bytes of a header and leaves the rest as it was. */
	memset(reading->hdr, 0, n * sizeof(reading->hdr[0]));
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t slot = reading->slot + i;
		uint8_t *overflow = burst->overflow + reading->overflow + i * OVERFLOW_OF_FRAME;
		struct iovec *iov = reading->iov[i];

		iov[0] = (struct iovec){ &reading->hdr[i], TAP_HDR_SIZE };
		iov[1] = (struct iovec){ burst->view[slot].snapshot, VIA_SNAPSHOT_SIZE };
		iov[2] = (struct iovec){ burst->slot[slot], VIA_SLOT_SIZE };
		iov[3] = (struct iovec){ overflow, OVERFLOW_OF_FRAME };
		reading->frame[i] =
			(struct via_transfer){ .iov = iov, .nr_iov = 4, .moved = -EAGAIN };
	}
}

static void add_piece(struct via_burst *burst, struct via_view *view, const uint8_t *base,
		      uint32_t len)
{
	burst->piece[burst->nr_pieces++] = (struct via_piece){ base, len };
	view->nr_pieces++;
}

/* Makes the next view of the call's frame 'i', which is 'len' bytes. Returns where in the overflow it
 * ends, or 0 if it is not there. */
static uint32_t make_view(struct reading *reading, uint32_t i, uint32_t len)
{
	const uint32_t slot = reading->slot + i;
	const uint32_t overflow = reading->overflow + i * OVERFLOW_OF_FRAME;
	struct via_burst *burst = reading->burst;
	struct via_view *view = &burst->view[reading->nr_views];
	uint32_t rest;

	memset(view, 0, offsetof(struct via_view, snapshot));
	view->len = len;
	view->snapshot_len = (uint16_t)via_min_u(len, VIA_SNAPSHOT_SIZE);
	if (via_unlikely(reading->nr_views != slot))
		memcpy(view->snapshot, burst->view[slot].snapshot, VIA_SNAPSHOT_SIZE);
	view->piece = &burst->piece[burst->nr_pieces];
	rest = len - view->snapshot_len;
	if (rest > 0)
		add_piece(burst, view, burst->slot[slot], via_min_u(rest, VIA_SLOT_SIZE));
	if (rest <= VIA_SLOT_SIZE)
		return 0;
	add_piece(burst, view, burst->overflow + overflow, rest - VIA_SLOT_SIZE);
	return overflow + ALIGN(rest - VIA_SLOT_SIZE);
}

static enum via_drop judge_length(ssize_t got)
{
	if (got < TAP_HDR_SIZE + 14)
		return VIA_DROP_SHORT;
	return got - TAP_HDR_SIZE > VIA_FRAME_MAX ? VIA_DROP_LONG : VIA_NR_DROPS;
}

/* Lends the call's frame 'i', or drops it. Returns where in the overflow it ends, or 0. */
static uint32_t take_frame(const struct tap *tap, struct via_queue_stats *stats,
			   struct reading *reading, uint32_t i)
{
	const ssize_t got = reading->frame[i].moved;
	const enum via_drop why = judge_length(got);
	struct via_view *view = &reading->burst->view[reading->nr_views];
	uint32_t end;

	if (why != VIA_NR_DROPS) {
		via_drop_count(stats, why, 1);
		return 0;
	}
	end = make_view(reading, i, (uint32_t)got - TAP_HDR_SIZE);
	if (!via_header_read(view, &reading->hdr[i], tap->gives, VIA_HDR_FROM_DEVICE)) {
		via_drop_count(stats, VIA_DROP_HEADER, 1);
		return 0;
	}
	reading->bytes += view->len;
	reading->nr_views++;
	return end;
}

/*
 * How many frames the next call asks for: as many as were read until now, so that a lone frame costs no
 * read in vain but the one that finds nothing; and no more than the overflow can hold whatever they are.
 * Among long frames one by one, as their calls cost nothing beside them.
 */
static uint32_t frames_to_ask(const struct tap *tap, const struct reading *reading, uint32_t max)
{
	const uint32_t room = (VIA_OVERFLOW_SIZE - reading->overflow) / OVERFLOW_OF_FRAME;
	const bool many = reading->slot > 0 && reading->overflow == 0 && tap_can_batch(tap);

	return via_min_u(via_min_u(max - reading->slot, room), many ? reading->slot : 1);
}

static void read_frames(struct tap_queue *queue, struct reading *reading, uint32_t n)
{
	struct via_transfer *last = &reading->frame[n - 1];

	prepare(reading, n);
	if (n == 1) {
		last->moved = readv(queue->fd, last->iov, last->nr_iov);
		last->moved = last->moved < 0 ? -errno : last->moved;
	} else {
		via_batch_move(queue->fd, VIA_BATCH_READ, reading->frame, n);
	}
	queue->drained = last->moved < 0;
}

static uint32_t read_burst(struct tap *tap, uint32_t q, struct via_burst *burst, uint32_t max)
{
	struct via_queue_stats *stats = &tap->port.receive[q];
	struct tap_queue *queue = &tap->queue[q];
	struct reading reading;
	uint32_t n;

	reading.burst = burst;
	reading.nr_views = reading.slot = reading.overflow = 0;
	reading.bytes = 0;
	queue->drained = false;
	/* Reads are counted, not views: what is dropped here costs as much. */
	while (!queue->drained && (n = frames_to_ask(tap, &reading, max)) > 0) {
		uint32_t used = reading.overflow;

		read_frames(queue, &reading, n);
		for (uint32_t i = 0; i < n; i++) {
			/* None there, but the next one may have come meanwhile. */
			if (reading.frame[i].moved < 0)
				continue;
			uint32_t end = take_frame(tap, stats, &reading, i);

			used = end > 0 ? end : used;
		}
		reading.slot += n;
		reading.overflow = used;
	}
	if (reading.nr_views > 0) {
		via_count(&stats->packets, reading.nr_views);
		via_count(&stats->bytes, reading.bytes);
	}
	return reading.nr_views;
}

uint32_t tap_ingress(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t max)
{
	struct tap *tap = tap_of(port);
	struct tap_queue *queue = &tap->queue[q];

	burst->nr_pieces = 0;
	queue->lent_again = !port_stash_is_empty(&queue->stash);
	queue->lent = via_unlikely(queue->lent_again) ? port_stash_lend(&queue->stash, burst, max)
						      : read_burst(tap, q, burst, max);
	return queue->lent;
}

void tap_release(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t undelivered)
{
	struct tap_queue *queue = &tap_of(port)->queue[q];

	if (via_likely(undelivered == 0))
		return;
	if (queue->lent_again)
		port_stash_return(&queue->stash, undelivered);
	else if (port_stash_keep(&queue->stash, burst, queue->lent - undelivered, undelivered) < 0)
		via_drop_count(&port->receive[q], VIA_DROP_FULL, undelivered);
}

/* The wake-up is edge-triggered: it tells of frames that come from now on. So look once more. */
bool tap_arm(struct via_port *port, uint32_t q)
{
	struct tap_queue *queue = &tap_of(port)->queue[q];
	struct pollfd look = { .fd = queue->fd, .events = POLLIN };

	if (!port_stash_is_empty(&queue->stash) || !queue->drained)
		return true;
	return poll(&look, 1, 0) > 0 && look.revents & POLLIN;
}

void tap_disarm(struct via_port *port, uint32_t q)
{
	(void)port, (void)q; /* the kernel tells of every frame; nobody listens meanwhile */
}
