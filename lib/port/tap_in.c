/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the kernel: one readv() each, into the view's snapshot, its slot, and what is left of
 * the burst's overflow. A burst ends when the kernel has nothing more, or when the overflow could not
 * hold another frame of 64 KiB.
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

/* One byte more than a frame may have shows that one was longer: a read cuts off the rest. */
#define OVERFLOW_OF_FRAME (VIA_FRAME_MAX + 1 - VIA_SNAPSHOT_SIZE - VIA_SLOT_SIZE)
#define ALIGN(x)          (((x) + VIA_CACHE_LINE - 1) & ~(uint32_t)(VIA_CACHE_LINE - 1))

static ssize_t read_frame(int fd, struct via_net_hdr *hdr, struct via_burst *burst, uint32_t i,
			  uint32_t overflow_used)
{
	const struct iovec iov[] = {
		{ hdr, TAP_HDR_SIZE },
		{ burst->view[i].snapshot, VIA_SNAPSHOT_SIZE },
		{ burst->slot[i], VIA_SLOT_SIZE },
		{ burst->overflow + overflow_used, OVERFLOW_OF_FRAME },
	};

	/* The kernel writes 10 of its bytes and leaves the rest as it was. */
	memset(hdr, 0, sizeof(*hdr));
	return readv(fd, iov, ARRAY_SIZE(iov));
}

static void add_piece(struct via_burst *burst, struct via_view *view, const uint8_t *base,
		      uint32_t len)
{
	burst->piece[burst->nr_pieces++] = (struct via_piece){ base, len };
	view->nr_pieces++;
}

/* Makes view 'i' of a frame of 'len' bytes. Returns how much of the overflow it has. */
static uint32_t make_view(struct via_burst *burst, uint32_t i, uint32_t len, uint32_t overflow_used)
{
	struct via_view *view = &burst->view[i];
	uint32_t rest;

	memset(view, 0, offsetof(struct via_view, snapshot));
	view->len = len;
	view->snapshot_len = (uint16_t)via_min_u(len, VIA_SNAPSHOT_SIZE);
	view->piece = &burst->piece[burst->nr_pieces];
	rest = len - view->snapshot_len;
	if (rest > 0)
		add_piece(burst, view, burst->slot[i], via_min_u(rest, VIA_SLOT_SIZE));
	if (rest <= VIA_SLOT_SIZE)
		return 0;
	add_piece(burst, view, burst->overflow + overflow_used, rest - VIA_SLOT_SIZE);
	return rest - VIA_SLOT_SIZE;
}

static enum via_drop judge_length(ssize_t got)
{
	if (got < TAP_HDR_SIZE + 14)
		return VIA_DROP_SHORT;
	return got - TAP_HDR_SIZE > VIA_FRAME_MAX ? VIA_DROP_LONG : VIA_NR_DROPS;
}

static uint32_t read_burst(struct tap *tap, uint32_t q, struct via_burst *burst, uint32_t max)
{
	struct via_queue_stats *stats = &tap->port.receive[q];
	struct tap_queue *queue = &tap->queue[q];
	uint32_t n = 0, overflow_used = 0;
	uint64_t bytes = 0;

	queue->drained = false;
	/* Reads are counted, not views: what is dropped here costs as much. */
	for (uint32_t reads = 0;
	     reads < max && overflow_used <= VIA_OVERFLOW_SIZE - OVERFLOW_OF_FRAME; reads++) {
		struct via_net_hdr hdr;
		ssize_t got = read_frame(queue->fd, &hdr, burst, n, overflow_used);
		enum via_drop why;
		uint32_t more;

		if (got < 0) {
			queue->drained = true;
			break;
		}
		why = judge_length(got);
		if (why != VIA_NR_DROPS) {
			via_drop_count(stats, why, 1);
			continue;
		}
		more = make_view(burst, n, (uint32_t)got - TAP_HDR_SIZE, overflow_used);
		if (!via_header_read(&burst->view[n], &hdr, tap->gives, VIA_HDR_FROM_DEVICE)) {
			via_drop_count(stats, VIA_DROP_HEADER, 1);
			continue;
		}
		overflow_used += ALIGN(more);
		bytes += burst->view[n++].len;
	}
	if (n > 0) {
		via_count(&stats->packets, n);
		via_count(&stats->bytes, bytes);
	}
	return n;
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
