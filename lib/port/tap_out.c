/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames to the kernel: each is a header made anew (R26), the snapshot, and the payload from where it
 * lies. Frames of a burst that need nothing else are written several in a call where there is io_uring,
 * any other, and a lone one, by writev().
 *
 * Where the kernel is not to be asked for a checksum, payload and sum must be of the same bytes, and the
 * payload may be a guest's memory that changes meanwhile. So it is copied once, summed while it is
 * copied, and the copy is what is written.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "net/scatter.h"
#include "port/tap.h"

#define TAP_SEGMENTS    32   /* cut at a time */
#define TAP_PIECES      4096 /* of these; a segment of more is not sent */

#define LONGEST_TO_WAIT 2048 /* bytes */

struct tap_out {
	struct via_view segment[TAP_SEGMENTS];
	struct via_piece piece[TAP_PIECES];
	/* A frame that is written by itself. */
	struct via_net_hdr hdr;
	struct iovec iov[IOV_MAX];
	uint8_t frame[TAP_HDR_SIZE + VIA_FRAME_MAX]; /* one that is copied first */
	/* Frames that are to be written together, before any other. */
	struct {
		uint32_t nr, nr_iov;
		struct via_transfer frame[VIA_BATCH_MAX];
		struct via_net_hdr hdr[VIA_BATCH_MAX];
		struct iovec iov[IOV_MAX];
	} waiting;
};

struct tap_out *tap_out_create(void)
{
	return calloc(1, sizeof(struct tap_out));
}

void tap_out_free(struct tap_out *out)
{
	free(out);
}

/* What a frame's turn at the queue knows. */
struct turn {
	struct tap_queue *queue;
	struct via_queue_stats *stats;
	uint32_t takes, mtu;
	bool keep, batch;
};

/* ---- one frame ---- */

static int copy_frame(struct tap_out *out, const struct via_view *view, enum via_fix fix)
{
	const struct via_seg seg = { out->frame, TAP_HDR_SIZE + view->len };

	if (fix == VIA_FIX_CSUM)
		via_scatter_csum(&seg, &out->hdr, TAP_HDR_SIZE, view);
	else
		via_scatter(&seg, &out->hdr, TAP_HDR_SIZE, view);
	out->iov[0] = (struct iovec){ seg.base, seg.len };
	return 1;
}

static int point_at_frame(struct iovec *iov, struct via_net_hdr *hdr, struct via_view *view)
{
	int n = 2;

	iov[0] = (struct iovec){ hdr, TAP_HDR_SIZE };
	iov[1] = (struct iovec){ view->snapshot, view->snapshot_len };
	for (uint32_t i = 0; i < view->nr_pieces; i++) {
		/* writev() reads through it; only its type says that it might write. */
		union {
			const uint8_t *from;
			void *base;
		} piece = { .from = view->piece[i].base };

		iov[n++] = (struct iovec){ piece.base, view->piece[i].len };
	}
	return n;
}

/* A front-end has taken its memory away: that costs it its device, as our own look would (R7). */
static via_cold void find_lost_memory(const struct iovec *iov, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		via_guard_touch(iov[i].iov_base, iov[i].iov_len);
}

/* Why the kernel did not take a frame. */
static enum via_drop why_refused(int error, const struct iovec *iov, uint32_t n)
{
	switch (error) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return VIA_DROP_FULL;
	case EFAULT:
		find_lost_memory(iov, n);
		return VIA_DROP_IO;
	default: /* the interface is down or gone, a header it does not take */
		return VIA_DROP_IO;
	}
}

/* Writes a frame. Returns VIA_NR_DROPS, or why it did not go. */
static enum via_drop write_frame(const struct turn *turn, struct via_view *view, enum via_fix fix)
{
	struct tap_out *out = turn->queue->out;
	int n;

	if (view->len > VIA_FRAME_MAX)
		return VIA_DROP_TOO_BIG;
	via_header_write(&out->hdr, view, turn->takes, fix, 0);
	if (via_likely(fix == VIA_FIX_NONE && view->nr_pieces <= IOV_MAX - 2))
		n = point_at_frame(out->iov, &out->hdr, view);
	else
		n = copy_frame(out, view, fix);
	if (via_unlikely(tap_write(turn->queue->fd, out->iov, n, 0) < 0))
		return why_refused(errno, out->iov, (uint32_t)n);
	via_count(&turn->stats->packets, 1);
	via_count(&turn->stats->bytes, view->len);
	if (fix == VIA_FIX_CSUM)
		via_count(&turn->stats->csum, 1);
	return VIA_NR_DROPS;
}

/* ---- segments ---- */

/* Writes a chunk of segments. Returns how many, with '*why' if not all. */
static uint32_t write_segments(const struct turn *turn, struct via_view *segments, uint32_t n,
			       enum via_drop *why)
{
	for (uint32_t i = 0; i < n; i++) {
		/* Their sizes are judged already. What is left is a checksum. */
		enum via_fix fix = via_view_fix(&segments[i], turn->takes, 0, why);

		if (fix != VIA_FIX_DROP)
			*why = write_frame(turn, &segments[i], fix);
		if (*why != VIA_NR_DROPS)
			return i;
	}
	return n;
}

/* Sends the segments of a GSO view: a prefix of them if not all go, the others are counted one by one.
 * Returns VIA_DROP_FULL, with nothing sent or counted, if there was no room for even the first. */
static enum via_drop send_segments(const struct turn *turn, struct via_view *view)
{
	struct tap_out *out = turn->queue->out;
	enum via_drop why = VIA_NR_DROPS;
	struct via_gso_iter iter;
	uint32_t left = via_gso_begin(&iter, view, &why), n = 0, written = 0;

	if (left == 0) {
		via_drop_count(turn->stats, why, 1);
		return VIA_NR_DROPS;
	}
	why = VIA_NR_DROPS;
	while (written == n &&
	       (n = via_gso_next(&iter, out->segment, TAP_SEGMENTS, out->piece, TAP_PIECES)) > 0) {
		written = write_segments(turn, out->segment, n, &why);
		left -= written;
	}
	if (why == VIA_DROP_FULL && left == iter.nr_segments)
		return why;
	via_count(&turn->stats->segments, iter.nr_segments - left);
	if (left > 0)
		via_drop_count(turn->stats, why == VIA_NR_DROPS ? VIA_DROP_NO_OFFLOAD : why, left);
	return VIA_NR_DROPS;
}

/* ---- several frames ---- */

/* Whether a frame can wait for others: where calls count, that is not beside a long one's copying. With
 * 'keep' none is tried before the one before it has gone. */
static bool can_wait(const struct turn *turn, const struct via_view *view, enum via_fix fix)
{
	return turn->batch && !turn->keep && fix == VIA_FIX_NONE && view->len >= 14 &&
	       view->len <= LONGEST_TO_WAIT && view->nr_pieces <= IOV_MAX - 2;
}

/* Counts frames that were tried. */
static void count_written(const struct turn *turn, const struct via_transfer *frames, uint32_t n)
{
	uint64_t packets = 0, bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (via_unlikely(frames[i].moved < 0)) {
			via_drop_count(turn->stats,
				       why_refused((int)-frames[i].moved, frames[i].iov,
						   (uint32_t)frames[i].nr_iov),
				       1);
			continue;
		}
		packets++;
		bytes += (uint64_t)frames[i].moved - TAP_HDR_SIZE;
	}
	via_count(&turn->stats->packets, packets);
	via_count(&turn->stats->bytes, bytes);
}

/* Writes the frames that wait: in one call, or what is left in a call each. */
static void write_waiting(const struct turn *turn)
{
	struct tap_out *out = turn->queue->out;
	const uint32_t n = out->waiting.nr;
	uint32_t i = 0;

	if (n == 0)
		return;
	if (n > 1)
		i = via_batch_move(turn->queue->fd, VIA_BATCH_WRITE, out->waiting.frame, n);
	for (; i < n; i++) {
		struct via_transfer *frame = &out->waiting.frame[i];

		frame->moved = tap_write(turn->queue->fd, frame->iov, frame->nr_iov, 0);
		frame->moved = frame->moved < 0 ? -errno : frame->moved;
	}
	count_written(turn, out->waiting.frame, n);
	out->waiting.nr = out->waiting.nr_iov = 0;
}

static void let_wait(const struct turn *turn, struct via_view *view)
{
	struct tap_out *out = turn->queue->out;
	struct iovec *iov;
	uint32_t i;

	if (out->waiting.nr == VIA_BATCH_MAX || out->waiting.nr_iov + 2 + view->nr_pieces > IOV_MAX)
		write_waiting(turn);
	i = out->waiting.nr++;
	iov = &out->waiting.iov[out->waiting.nr_iov];
	via_header_write(&out->waiting.hdr[i], view, turn->takes, VIA_FIX_NONE, 0);
	out->waiting.frame[i] = (struct via_transfer){
		.iov = iov,
		.nr_iov = point_at_frame(iov, &out->waiting.hdr[i], view),
	};
	out->waiting.nr_iov += (uint32_t)out->waiting.frame[i].nr_iov;
}

/* ---- a burst ---- */

/* Sends a view, or counts why not. Returns false if there is no room and it is to be kept. */
static bool send_view(const struct turn *turn, struct via_view *view)
{
	enum via_drop why = VIA_NR_DROPS;
	enum via_fix fix = via_view_fix(view, turn->takes, turn->mtu, &why);

	if (can_wait(turn, view, fix)) {
		let_wait(turn, view);
		return true;
	}
	write_waiting(turn);
	if (via_unlikely(view->len < 14))
		why = VIA_DROP_SHORT; /* never reaches the kernel (R26) */
	else if (via_unlikely(fix == VIA_FIX_SEGMENT))
		why = send_segments(turn, view);
	else if (via_likely(fix != VIA_FIX_DROP))
		why = write_frame(turn, view, fix);
	if (via_likely(why == VIA_NR_DROPS))
		return true;
	if (why == VIA_DROP_FULL && turn->keep)
		return false;
	via_drop_count(turn->stats, why, 1);
	return true;
}

/* The kernel learns from here which queue it gives a flow's answers to. */
static uint32_t queue_of(const struct tap *tap, struct via_view *view)
{
	return tap->port.nr_queues == 1 ? 0 : via_view_flow(view) % tap->port.nr_queues;
}

/* Sends the views at the front that go to the first one's queue. Returns how many were dealt with;
 * '*full' if the next one is kept. */
static uint32_t send_run(struct tap *tap, struct via_view *const *views, uint32_t n, bool keep,
			 bool *full)
{
	const uint32_t q = queue_of(tap, views[0]);
	const struct turn turn = {
		.queue = &tap->queue[q],
		.stats = &tap->port.transmit[q],
		.takes = tap->takes,
		.mtu = atomic_load_explicit(&tap->mtu, memory_order_relaxed),
		.keep = keep,
		.batch = tap_can_batch(tap),
	};
	uint32_t i = 0;

	pthread_mutex_lock(&turn.queue->lock);
	do {
		*full = !send_view(&turn, views[i]);
		i += !*full;
	} while (!*full && i < n && queue_of(tap, views[i]) == q);
	write_waiting(&turn);
	pthread_mutex_unlock(&turn.queue->lock);
	return i;
}

uint32_t tap_egress(struct via_port *port, struct via_view *const *views, uint32_t n, bool keep)
{
	struct tap *tap = tap_of(port);
	bool full = false;
	uint32_t i = 0;

	/* By runs, not sorted by queue: with 'keep' what was dealt with is a prefix. */
	while (i < n && !full)
		i += send_run(tap, views + i, n - i, keep, &full);
	return i;
}
