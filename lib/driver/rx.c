/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets from the back-end: used RX buffers become views, released views become RX buffers again.
 *
 * Frames that were taken from the ring stay in 'frame', in order, until they are released. What was
 * lent and not delivered comes first in the next burst, with a new snapshot.
 */
#include <unistd.h>

#include "base/tell.h"
#include "driver/queue.h"
#include "net/header.h"
#include "net/scatter.h"
#include "net/wire.h"

/* ---- trouble, kicks: of both directions ---- */

void drv_kick(struct drv_queue *q)
{
	if (!via_tell(q->kick_fd))
		drv_fail(q->life, DRV_BAD_KICK);
}

void drv_fail(struct drv_life *life, enum drv_trouble why)
{
	enum drv_trouble fine = DRV_FINE;
	const uint64_t one = 1;

	/* Only the first tells; a full eventfd tells as well. */
	if (atomic_compare_exchange_strong(&life->trouble, &fine, why) &&
	    write(life->trouble_fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- buffers to the back-end ---- */

static via_always_inline void post(struct drv_rx *rx, uint16_t i, enum via_ring_format format)
{
	struct via_drv_buffer buffer = {
		.addr = rx->q.buffer_addr + (uint64_t)i * rx->q.stride,
		.len = rx->q.stride,
	};

	/* There are as many buffers as slots: it fits. */
	drv_add(&rx->ring, &buffer, 0, 1, VIA_DRV_DIRECT, (void *)(uintptr_t)i, format);
}

static via_always_inline void publish(struct drv_rx *rx, enum via_ring_format format)
{
	drv_publish(&rx->ring, format);
	if (drv_wants_kick(&rx->ring, format))
		drv_kick(&rx->q);
}

void drv_rx_post(struct drv_rx *rx, uint16_t i)
{
	if (rx->ring.format == VIA_RING_PACKED)
		post(rx, i, VIA_RING_PACKED);
	else
		post(rx, i, VIA_RING_SPLIT);
}

void drv_rx_publish(struct drv_rx *rx)
{
	if (rx->ring.format == VIA_RING_PACKED)
		publish(rx, VIA_RING_PACKED);
	else
		publish(rx, VIA_RING_SPLIT);
}

static via_always_inline void give_back(struct drv_rx *rx, const struct drv_frame *frame,
					enum via_ring_format format)
{
	uint16_t i = frame->first;

	post(rx, i, format);
	for (uint32_t n = 1; via_unlikely(n < frame->nr_buffers); n++) {
		i = rx->next[i];
		post(rx, i, format);
	}
}

/* ---- frames from the back-end ---- */

static uint8_t *buffer_at(const struct drv_rx *rx, uint16_t i)
{
	return rx->q.buffer + (size_t)i * rx->q.stride;
}

/* In how many buffers the frame that begins in buffer 'i' lies: as the back-end says, read once. */
static via_always_inline uint32_t claimed_buffers(const struct drv_rx *rx, uint16_t i)
{
	const via_le16 *num_buffers;

	if (!rx->mergeable || rx->used[i] < rx->q.header_size)
		return 1;
	num_buffers = (const void *)(buffer_at(rx, i) + offsetof(struct via_net_hdr, num_buffers));
	return via_le16_load(num_buffers);
}

/* Takes one buffer from the ring: 1, 0 if there is none, or -EPROTO. */
static via_always_inline int take_buffer(struct drv_rx *rx, uint16_t *i,
					 enum via_ring_format format)
{
	struct via_drv_done done;
	int ret = drv_reap(&rx->ring, &done, format);

	if (ret > 0) {
		*i = (uint16_t)(uintptr_t)done.token;
		rx->used[*i] = done.len;
	}
	return ret;
}

/*
 * Takes one frame from the ring, with all its buffers: these were published together (VN-42), so one
 * that is missing is no matter of time. Returns 1, 0 if there is none, or -EPROTO.
 */
static via_always_inline int take_frame(struct drv_rx *rx, struct drv_frame *frame,
					enum via_ring_format format)
{
	uint16_t i;
	int ret = take_buffer(rx, &i, format);
	uint32_t n;

	if (ret <= 0)
		return ret;
	n = claimed_buffers(rx, i);
	*frame = (struct drv_frame){ .first = i, .nr_buffers = 1, .len = rx->used[i] };
	if (via_unlikely(n == 0 || n > rx->q.nr_buffers)) {
		drv_fail(rx->q.life, DRV_BAD_BUFFERS);
		return -EPROTO;
	}
	for (; frame->nr_buffers < n; frame->nr_buffers++) {
		uint16_t next;

		ret = take_buffer(rx, &next, format);
		if (via_unlikely(ret == 0)) {
			drv_fail(rx->q.life, DRV_BAD_BUFFERS);
			return -EPROTO;
		}
		if (ret < 0)
			return ret;
		rx->next[i] = next;
		frame->len += rx->used[next]; /* at most the ring's buffers: under 2^32 */
		i = next;
	}
	return 1;
}

static via_always_inline void take_frames(struct drv_rx *rx, uint32_t max,
					  enum via_ring_format format)
{
	while (rx->nr_frames < max) {
		struct drv_frame *frame = &rx->frame[rx->nr_frames];
		int ret = take_frame(rx, frame, format);

		if (via_unlikely(ret < 0))
			drv_fail(rx->q.life, DRV_BAD_USED);
		if (ret <= 0)
			return;
		via_prefetch(buffer_at(rx, frame->first));
		via_prefetch(buffer_at(rx, frame->first) + VIA_CACHE_LINE);
		rx->nr_frames++;
	}
}

/* ---- views ---- */

/* Walks the bytes of a frame's buffers. */
struct reader {
	const struct drv_rx *rx;
	uint16_t buffer;
	uint32_t offset; /* in it */
};

static void copy_out(struct reader *r, uint8_t *dst, uint32_t len)
{
	while (len > 0) {
		uint32_t part = via_min_u(len, r->rx->used[r->buffer] - r->offset);

		via_copy_private(dst, buffer_at(r->rx, r->buffer) + r->offset, part);
		dst += part;
		len -= part;
		r->offset += part;
		if (len > 0) {
			r->buffer = r->rx->next[r->buffer];
			r->offset = 0;
		}
	}
}

/* The remaining 'len' bytes, where they lie. */
static void lend(struct reader *r, struct via_burst *burst, struct via_view *view, uint32_t len)
{
	view->piece = &burst->piece[burst->nr_pieces];
	view->nr_pieces = 0;
	while (len > 0) {
		uint32_t part = via_min_u(len, r->rx->used[r->buffer] - r->offset);

		if (part > 0) {
			burst->piece[burst->nr_pieces++] = (struct via_piece){
				.base = buffer_at(r->rx, r->buffer) + r->offset,
				.len = part,
			};
			view->nr_pieces++;
			len -= part;
		}
		if (len > 0) {
			r->buffer = r->rx->next[r->buffer];
			r->offset = 0;
		}
	}
}

static bool drop(struct via_queue_stats *stats, enum via_drop why)
{
	via_drop_count(stats, why, 1);
	return false;
}

/* Header, snapshot and pieces of a frame that may lie in any number of buffers. */
static __attribute__((noinline)) void gather(const struct drv_rx *rx, const struct drv_frame *frame,
					     struct via_burst *burst, struct via_view *view,
					     struct via_net_hdr *hdr)
{
	struct reader r = { .rx = rx, .buffer = frame->first };

	copy_out(&r, (uint8_t *)hdr, rx->q.header_size);
	copy_out(&r, view->snapshot, view->snapshot_len);
	lend(&r, burst, view, view->len - view->snapshot_len);
}

/* The same of a frame in one buffer, with the header that drivers like us have. */
static via_always_inline void gather_one(const struct drv_rx *rx, const struct drv_frame *frame,
					 struct via_burst *burst, struct via_view *view,
					 struct via_net_hdr *hdr)
{
	const uint8_t *bytes = buffer_at(rx, frame->first);

	via_copy_private(hdr, bytes, 12);
	via_copy_snapshot(view->snapshot, bytes + 12, view->snapshot_len);
	view->piece = &burst->piece[burst->nr_pieces];
	view->nr_pieces = view->len > view->snapshot_len;
	if (view->nr_pieces)
		burst->piece[burst->nr_pieces++] = (struct via_piece){
			.base = bytes + 12 + view->snapshot_len,
			.len = view->len - view->snapshot_len,
		};
}

/* Makes a frame a view. Returns false if it is none; counted. */
static via_always_inline bool view_of_frame(const struct drv_rx *rx, const struct drv_frame *frame,
					    struct via_burst *burst, struct via_view *view,
					    struct via_queue_stats *stats)
{
	struct via_net_hdr hdr = { 0 };

	if (via_unlikely(frame->len < rx->q.header_size + VIA_ETH_SIZE))
		return drop(stats, VIA_DROP_SHORT);
	if (via_unlikely(frame->len - rx->q.header_size > VIA_FRAME_MAX))
		return drop(stats, VIA_DROP_LONG);

	view->len = frame->len - rx->q.header_size;
	view->snapshot_len = (uint16_t)via_min_u(view->len, VIA_SNAPSHOT_SIZE);
	view->flags = 0;
	view->flow = 0;
	if (via_likely(frame->nr_buffers == 1 && rx->q.header_size == 12))
		gather_one(rx, frame, burst, view, &hdr);
	else
		gather(rx, frame, burst, view, &hdr);
	if (via_likely(via_header_read(view, &hdr, rx->q.offloads, VIA_HDR_FROM_DEVICE)))
		return true;
	return drop(stats, VIA_DROP_HEADER);
}

/* Makes the first 'max' frames views; those that are none go back to the ring. */
static via_always_inline uint32_t lend_frames(struct drv_rx *rx, struct via_burst *burst,
					      uint32_t max, struct via_queue_stats *stats,
					      enum via_ring_format format)
{
	uint32_t seen, kept = 0;

	for (seen = 0; seen < rx->nr_frames && kept < max; seen++) {
		if (via_likely(
			    view_of_frame(rx, &rx->frame[seen], burst, &burst->view[kept], stats)))
			rx->frame[kept++] = rx->frame[seen];
		else
			give_back(rx, &rx->frame[seen], format);
	}
	if (via_unlikely(kept < seen)) {
		memmove(&rx->frame[kept], &rx->frame[seen],
			(rx->nr_frames - seen) * sizeof(rx->frame[0]));
		rx->nr_frames -= seen - kept;
		publish(rx, format);
	}
	return kept;
}

static via_always_inline uint32_t receive(struct drv_rx *rx, struct via_burst *burst, uint32_t max,
					  struct via_queue_stats *stats,
					  enum via_ring_format format)
{
	take_frames(rx, max, format);
	return lend_frames(rx, burst, max, stats, format);
}

uint32_t drv_rx_burst(struct drv_rx *rx, struct via_burst *burst, uint32_t max,
		      struct via_queue_stats *stats)
{
	max = via_min_u(max, VIA_BURST);
	burst->nr_pieces = 0;
	rx->stats = stats;
	rx->nr_lent = rx->ring.format == VIA_RING_PACKED
			      ? receive(rx, burst, max, stats, VIA_RING_PACKED)
			      : receive(rx, burst, max, stats, VIA_RING_SPLIT);
	return rx->nr_lent;
}

static via_always_inline void release(struct drv_rx *rx, uint32_t n, enum via_ring_format format)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		bytes += rx->frame[i].len - rx->q.header_size;
		give_back(rx, &rx->frame[i], format);
	}
	via_count(&rx->stats->packets, n);
	via_count(&rx->stats->bytes, bytes);
	publish(rx, format);
}

void drv_rx_release(struct drv_rx *rx, uint32_t undelivered)
{
	uint32_t n = rx->nr_lent - via_min_u(undelivered, rx->nr_lent);

	if (rx->nr_lent == 0)
		return;
	if (rx->ring.format == VIA_RING_PACKED)
		release(rx, n, VIA_RING_PACKED);
	else
		release(rx, n, VIA_RING_SPLIT);
	rx->nr_frames -= n;
	memmove(&rx->frame[0], &rx->frame[n], rx->nr_frames * sizeof(rx->frame[0]));
	rx->nr_lent = 0;
}

/* ---- interrupts ---- */

bool drv_rx_arm(struct drv_rx *rx)
{
	bool work = rx->ring.format == VIA_RING_PACKED ? drv_arm(&rx->ring, VIA_RING_PACKED)
						       : drv_arm(&rx->ring, VIA_RING_SPLIT);

	if (via_unlikely(rx->ring.broken))
		drv_fail(rx->q.life, DRV_BAD_USED);
	return work || rx->nr_frames > 0;
}

void drv_rx_disarm(struct drv_rx *rx)
{
	if (rx->ring.format == VIA_RING_PACKED)
		drv_disarm(&rx->ring, VIA_RING_PACKED);
	else
		drv_disarm(&rx->ring, VIA_RING_SPLIT);
}
