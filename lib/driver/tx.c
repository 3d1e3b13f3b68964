/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets to the back-end: views are copied into TX buffers of our own, with whatever offload the
 * back-end does not take made right on the way. Buffers come back when the back-end has used them,
 * which is looked for when a burst begins and when one runs out.
 *
 * A frame takes as many buffers as it needs: a chain of descriptors, or one indirect descriptor.
 */
#include "driver/queue.h"
#include "net/header.h"
#include "net/scatter.h"

enum {
	CUT_VIEWS = 32, /* segments of a GSO view at a time */
	CUT_PIECES = 512,
};

/* A chain's token: its first buffer and how many there are. */
static void *token_of(uint16_t first, uint32_t n)
{
	return (void *)((uintptr_t)n << 16 | first);
}

static void lock(struct drv_tx *tx)
{
	while (atomic_flag_test_and_set_explicit(&tx->lock, memory_order_acquire))
		via_relax();
}

static void unlock(struct drv_tx *tx)
{
	atomic_flag_clear_explicit(&tx->lock, memory_order_release);
}

/* ---- buffers ---- */

static void put_buffers(struct drv_tx *tx, void *token)
{
	uint16_t i = (uint16_t)(uintptr_t)token;

	for (uintptr_t n = (uintptr_t)token >> 16; n > 0; n--) {
		tx->free[tx->nr_free++] = i;
		i = tx->next[i];
	}
}

/* Takes 'n' buffers; there are as many. Returns the first; 'seg' and 'buf' get them all. */
static uint16_t get_buffers(struct drv_tx *tx, uint32_t n, uint32_t total, struct via_seg *seg,
			    struct via_drv_buffer *buf)
{
	uint16_t first = tx->free[tx->nr_free - 1];

	for (uint32_t k = 0; k < n; k++) {
		uint16_t i = tx->free[--tx->nr_free];
		uint32_t len = via_min_u(total, tx->q.stride);

		seg[k] = (struct via_seg){ tx->q.buffer + (size_t)i * tx->q.stride, len };
		buf[k] = (struct via_drv_buffer){ tx->q.buffer_addr + (uint64_t)i * tx->q.stride,
						  len };
		total -= len;
		if (k + 1 < n)
			tx->next[i] = tx->free[tx->nr_free - 1];
	}
	return first;
}

static via_always_inline void reap(struct drv_tx *tx, enum via_ring_format format)
{
	struct via_drv_done done;
	int ret;

	while ((ret = drv_reap(&tx->ring, &done, format)) > 0)
		put_buffers(tx, done.token);
	if (via_unlikely(ret < 0))
		drv_fail(tx->q.life, DRV_BAD_USED);
}

/* ---- one view ---- */

enum sent {
	SENT,
	FULL,
	TOO_BIG, /* for any state of this ring */
};

static bool has_room(const struct drv_tx *tx, uint32_t buffers, uint32_t slots)
{
	return tx->nr_free >= buffers && tx->ring.nr_free >= slots;
}

static via_always_inline enum sent send_view(struct drv_tx *tx, const struct via_view *view,
					     enum via_fix fix, struct via_queue_stats *stats,
					     enum via_ring_format format)
{
	const uint32_t total = tx->q.header_size + view->len;
	const uint32_t n = (total + tx->q.stride - 1) / tx->q.stride;
	const bool table = n > 1 && tx->indirect;
	const uint32_t slots = table ? 1 : n;
	struct via_drv_buffer buf[DRV_MAX_SLOTS];
	struct via_seg seg[DRV_MAX_SLOTS];
	struct via_net_hdr hdr;
	uint16_t first;

	if (via_unlikely(n > DRV_MAX_SLOTS || slots > tx->ring.size))
		return TOO_BIG;
	if (via_unlikely(!has_room(tx, n, slots))) {
		drv_publish(&tx->ring, format);
		reap(tx, format);
		if (!has_room(tx, n, slots))
			return FULL;
	}
	first = get_buffers(tx, n, total, seg, buf);

	via_header_write(&hdr, view, tx->q.offloads, fix, 0); /* VD-01 */
	hdr.flags &= (uint8_t)~VIA_HDR_DATA_VALID;            /* VD-02 */
	if (via_likely(fix == VIA_FIX_NONE)) {
		via_scatter(seg, &hdr, tx->q.header_size, view);
	} else {
		via_scatter_csum(seg, &hdr, tx->q.header_size, view);
		via_count(&stats->csum, 1);
	}
	drv_add(&tx->ring, buf, n, 0, table ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT, token_of(first, n),
		format);
	via_count(&stats->packets, 1);
	via_count(&stats->bytes, view->len);
	return SENT;
}

/*
 * Sends the segments of a GSO view. If the ring fills, a prefix of them is sent and the others are
 * counted; FULL is returned only if there was no room for the first.
 */
static via_always_inline enum sent send_segments(struct drv_tx *tx, struct via_view *view,
						 struct via_queue_stats *stats,
						 enum via_ring_format format)
{
	struct via_view segment[CUT_VIEWS];
	struct via_piece piece[CUT_PIECES];
	struct via_gso_iter iter;
	enum via_drop why;
	uint32_t n, sent = 0, left = via_gso_begin(&iter, view, &why);

	if (left == 0) {
		via_drop_count(stats, why, 1);
		return SENT;
	}
	while ((n = via_gso_next(&iter, segment, CUT_VIEWS, piece, CUT_PIECES)) > 0) {
		for (uint32_t i = 0; i < n; i++, sent++, left--) {
			enum via_fix fix = via_view_fix(&segment[i], tx->q.offloads, 0, &why);
			enum sent ret;

			if (fix == VIA_FIX_DROP)
				goto rest;
			ret = send_view(tx, &segment[i], fix, stats, format);
			if (ret == FULL && sent == 0)
				return FULL;
			why = ret == FULL ? VIA_DROP_FULL : VIA_DROP_TOO_BIG;
			if (ret != SENT)
				goto rest;
		}
	}
	why = VIA_DROP_NO_OFFLOAD; /* a segment in more pieces than anybody needs */
rest:
	via_count(&stats->segments, sent);
	via_drop_count(stats, why, left);
	return SENT;
}

/* ---- a burst ---- */

static __attribute__((noinline)) enum sent split_segments(struct drv_tx *tx, struct via_view *view,
							  struct via_queue_stats *stats)
{
	return send_segments(tx, view, stats, VIA_RING_SPLIT);
}

static __attribute__((noinline)) enum sent packed_segments(struct drv_tx *tx, struct via_view *view,
							   struct via_queue_stats *stats)
{
	return send_segments(tx, view, stats, VIA_RING_PACKED);
}

static via_always_inline uint32_t send_views(struct drv_tx *tx, struct via_view *const *views,
					     uint32_t n, bool keep, struct via_queue_stats *stats,
					     enum via_ring_format format)
{
	uint32_t i;

	reap(tx, format);
	for (i = 0; i < n && drv_is_fine(tx->q.life); i++) {
		enum sent sent = SENT;
		enum via_drop why;
		enum via_fix fix = via_view_fix(views[i], tx->q.offloads, 0, &why);

		if (via_unlikely(fix == VIA_FIX_DROP))
			via_drop_count(stats, why, 1);
		else if (via_unlikely(fix == VIA_FIX_SEGMENT))
			sent = format == VIA_RING_PACKED ? packed_segments(tx, views[i], stats)
							 : split_segments(tx, views[i], stats);
		else
			sent = send_view(tx, views[i], fix, stats, format);

		if (via_unlikely(sent == FULL && keep))
			break;
		if (via_unlikely(sent != SENT))
			via_drop_count(stats, sent == FULL ? VIA_DROP_FULL : VIA_DROP_TOO_BIG, 1);
	}
	drv_publish(&tx->ring, format);
	return i;
}

uint32_t drv_tx_burst(struct drv_tx *tx, struct via_view *const *views, uint32_t n, bool keep,
		      struct via_queue_stats *stats)
{
	bool kick;
	uint32_t dealt;

	lock(tx);
	if (tx->ring.format == VIA_RING_PACKED) {
		dealt = send_views(tx, views, n, keep, stats, VIA_RING_PACKED);
		kick = drv_wants_kick(&tx->ring, VIA_RING_PACKED);
	} else {
		dealt = send_views(tx, views, n, keep, stats, VIA_RING_SPLIT);
		kick = drv_wants_kick(&tx->ring, VIA_RING_SPLIT);
	}
	if (via_unlikely(!drv_is_fine(tx->q.life))) {
		via_drop_count(stats, VIA_DROP_NO_QUEUE, n - dealt);
		dealt = n;
	}
	unlock(tx);
	if (kick)
		drv_kick(&tx->q);
	return dealt;
}
