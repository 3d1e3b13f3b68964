/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that a driver sent, as views.
 *
 * A burst goes through stages, so that the cache misses of its packets overlap: all chains are taken
 * from the ring, and where each begins is prefetched; then the headers are gathered and judged and the
 * snapshots filled in. Segments are collected right where the views have their pieces: a view's pieces
 * are its chain's segments, less what the header and the snapshot took.
 *
 * A chain that is no frame stays among those lent, marked, so that all go back in the order in which
 * they came (IN_ORDER, VQ-C-08), and is counted when it goes back: a burst that is returned to the
 * ring is judged again and must not count twice.
 */
#include "net/header.h"
#include "net/net.h"
#include "net/scatter.h"
#include "net/wire.h"
#include "ring/vq.h"

static_assert(sizeof(struct via_seg) == sizeof(struct via_piece) &&
		      offsetof(struct via_seg, base) == offsetof(struct via_piece, base) &&
		      offsetof(struct via_seg, len) == offsetof(struct via_piece, len),
	      "a chain's segments are a view's pieces");
static_assert(VIA_VQ_BURST <= 64, "one bit of a mask for each chain");
static_assert(VIA_BURST_PIECES >= VIA_CHAIN_MAX_SEGS, "any chain fits an empty burst");

/* What a taken chain holds. The lengths are the ring's word, checked by it. */
struct taken {
	struct via_piece *piece;
	uint32_t len;
	uint16_t nr_pieces;
	bool writable; /* it has a part that the driver wants written: no frame */
};

/* ---- taking ---- */

static void lent_begin(struct via_lent *lent, struct via_vq *vq, const struct via_ring *ring,
		       struct via_queue_stats *stats)
{
	lent->ring = ring;
	lent->stats = stats;
	lent->begin = vq->avail;
	lent->n = 0;
	lent->nr_views = 0;
	lent->dropped = 0;
}

static void lent_drop(struct via_lent *lent, uint32_t i, enum via_drop why)
{
	lent->dropped |= UINT64_C(1) << i;
	lent->why[i] = (uint8_t)why;
}

/* The first stage: chains from the ring, and their first lines on the way. */
static via_always_inline uint32_t take(struct via_vq *vq, struct via_lent *lent,
				       struct via_burst *burst, struct taken *taken, uint32_t max,
				       enum via_ring_format format)
{
	const struct via_ring *ring = lent->ring;
	uint32_t n, used = 0;

	vq_prefetch(vq, ring, max, format);
	for (n = 0; n < max; n++) {
		struct via_piece *piece = burst->piece + used;
		struct via_chain chain = {
			0
		}; /* for a compiler that cannot know when it is filled */

		if (vq_pop(vq, ring, &chain, (struct via_seg *)piece, VIA_BURST_PIECES - used,
			   format) <= 0)
			break; /* no more, no more room, or broken: what came before is good */
		lent->chain[n].id = chain.id;
		lent->chain[n].nr_slots = chain.nr_slots;
		lent->chain[n].len = 0;
		taken[n] = (struct taken){
			.piece = piece,
			.len = chain.readable_len,
			.nr_pieces = chain.nr_readable,
			.writable = chain.nr_writable > 0,
		};
		used += chain.nr_readable;
		if (via_likely(chain.nr_readable > 0)) {
			__builtin_prefetch(piece->base);
			__builtin_prefetch(piece->base + VIA_CACHE_LINE);
		}
	}
	burst->nr_pieces = used;
	lent->n = (uint16_t)n;
	return n;
}

/* ---- reading ---- */

/* Copies the next 'len' bytes out of the chain, which has them, wherever they are cut. */
static void gather(struct taken *t, uint8_t *to, uint32_t len)
{
	while (len > 0) {
		uint32_t part = via_min_u(t->piece->len, len);

		via_copy(to, t->piece->base, part);
		to += part;
		len -= part;
		t->piece->base += part;
		t->piece->len -= part;
		if (t->piece->len == 0) {
			t->piece++;
			t->nr_pieces--;
		}
	}
}

/* 'gather' where the next 'len' bytes lie in one piece; that is then shortened. */
static via_always_inline void shorten(struct taken *t, uint32_t len)
{
	if (t->piece->len == len) {
		t->piece++;
		t->nr_pieces--;
	} else {
		t->piece->base += len;
		t->piece->len -= len;
	}
}

/* Header and snapshot of a chain that is at least a header and 14 bytes long. */
static via_always_inline void read_head(struct taken *t, struct via_view *view,
					struct via_net_hdr *hdr, uint32_t hdr_size)
{
	const uint32_t snapshot = view->snapshot_len;

	if (via_likely(hdr_size == 12 && t->piece->len >= 12 + snapshot)) {
		/* header and data in one piece */
		__builtin_memcpy(hdr, t->piece->base, 12);
		via_copy_snapshot(view->snapshot, t->piece->base + 12, snapshot);
		shorten(t, 12 + snapshot);
	} else if (hdr_size == 12 && t->piece->len == 12 && t->piece[1].len >= snapshot) {
		__builtin_memcpy(hdr, t->piece->base, 12);
		shorten(t, 12);
		via_copy_snapshot(view->snapshot, t->piece->base, snapshot);
		shorten(t, snapshot);
	} else {
		gather(t, (uint8_t *)hdr, hdr_size);
		gather(t, view->snapshot, snapshot);
	}
}

/* Whether a chain can be a frame by its lengths alone; the reason if not. */
static via_always_inline bool length_is_right(const struct taken *t, uint32_t hdr_size,
					      enum via_drop *why)
{
	if (via_likely(t->len - hdr_size - VIA_ETH_SIZE <= VIA_FRAME_MAX - VIA_ETH_SIZE &&
		       !t->writable))
		return true;
	if (t->writable)
		*why = VIA_DROP_HEADER; /* a request that no network device knows */
	else
		*why = t->len < hdr_size + VIA_ETH_SIZE ? VIA_DROP_SHORT : VIA_DROP_LONG;
	return false;
}

/* The second stage for one chain. False with the reason if it is no frame. */
static via_always_inline bool read_view(struct taken *t, struct via_view *view,
					const struct via_vq_net *net, enum via_drop *why)
{
	const uint32_t hdr_size = net->header_size;
	struct via_net_hdr hdr;

	if (!length_is_right(t, hdr_size, why))
		return false;
	memset(view, 0, offsetof(struct via_view, snapshot));
	view->len = t->len - hdr_size;
	view->snapshot_len = (uint16_t)via_min_u(view->len, VIA_SNAPSHOT_SIZE);
	read_head(t, view, &hdr, hdr_size);
	view->piece = t->piece;
	view->nr_pieces = t->nr_pieces;
	*why = VIA_DROP_HEADER;
	return via_header_read(view, &hdr, net->host, VIA_HDR_FROM_DRIVER);
}

static uint32_t read_views(struct via_lent *lent, const struct via_vq_net *net,
			   struct via_burst *burst, struct taken *taken)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < lent->n; i++) {
		enum via_drop why;

		if (via_likely(read_view(&taken[i], &burst->view[n], net, &why)))
			lent->chain[i].len = burst->view[n++].len;
		else
			lent_drop(lent, i, why);
	}
	return n;
}

/* VN-38: what comes on a disabled queue is consumed and discarded. */
static void drop_all(struct via_lent *lent)
{
	for (uint32_t i = 0; i < lent->n; i++)
		lent_drop(lent, i, VIA_DROP_DISABLED);
}

uint32_t via_vq_ingress(struct via_vq *vq, const struct via_vq_net *net, struct via_lent *lent,
			struct via_burst *burst, uint32_t max, struct via_queue_stats *stats)
{
	const struct via_ring *ring = vq_ring(vq);
	struct taken taken[VIA_VQ_BURST];

	lent->n = 0;
	burst->nr_pieces = 0;
	if (!ring)
		return 0;
	max = via_min_u(max, VIA_VQ_BURST);
	lent_begin(lent, vq, ring, stats);
	if (ring->format == VIA_RING_PACKED)
		take(vq, lent, burst, taken, max, VIA_RING_PACKED);
	else
		take(vq, lent, burst, taken, max, VIA_RING_SPLIT);
	if (via_unlikely(!ring->enabled))
		drop_all(lent);
	else
		lent->nr_views = (uint16_t)read_views(lent, net, burst, taken);
	if (lent->nr_views == 0)
		via_vq_ingress_release(vq, lent); /* nobody else would */
	return lent->nr_views;
}

/* ---- giving back ---- */

/* Slots that the first 'n' chains took. */
static uint32_t slots_of(const struct via_lent *lent, uint32_t n)
{
	uint32_t slots = 0;

	for (uint32_t i = 0; i < n; i++)
		slots += lent->chain[i].nr_slots;
	return slots;
}

/* Where the ring's taking end was when the first 'n' chains had been taken. */
static struct via_ring_pos position_of(const struct via_lent *lent, uint32_t n)
{
	if (lent->ring->format == VIA_RING_PACKED)
		return packed_advance(lent->begin, slots_of(lent, n), lent->ring->size);
	return (struct via_ring_pos){ .idx = (uint16_t)(lent->begin.idx + n) };
}

void via_vq_ingress_return(struct via_vq *vq, struct via_lent *lent, uint32_t n)
{
	uint32_t keep = lent->n;

	/* Chains that are no views and lie behind the last view that stays go with them: they have not
	 * been counted yet. */
	for (n = via_min_u(n, lent->nr_views); n > 0; n -= !(lent->dropped >> keep & 1))
		keep--;
	if (keep == lent->n)
		return;
	lent->n = (uint16_t)keep;
	lent->dropped &= (UINT64_C(1) << keep) - 1;
	vq_unpop(vq, position_of(lent, keep));
}

static via_always_inline void push_all(struct via_vq *vq, const struct via_lent *lent,
				       enum via_ring_format format)
{
	const struct via_ring *ring = lent->ring;

	if (ring->in_order) {
		vq_push_batch(vq, ring, lent->n, slots_of(lent, lent->n),
			      lent->chain[lent->n - 1].id, format);
	} else {
		for (uint32_t i = 0; i < lent->n; i++) {
			const struct via_chain chain = { .id = lent->chain[i].id,
							 .nr_slots = lent->chain[i].nr_slots };

			vq_push(vq, ring, &chain, 0, format); /* VN-37 */
		}
	}
	vq_publish(vq, ring, format);
	if (vq_wants_call(vq, ring, format))
		vq_call(vq, ring);
}

static void count_all(const struct via_lent *lent)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < lent->n; i++)
		bytes += lent->chain[i].len;
	via_count(&lent->stats->packets, lent->n - (uint32_t)__builtin_popcountll(lent->dropped));
	via_count(&lent->stats->bytes, bytes);
	for (uint64_t dropped = lent->dropped; dropped; dropped &= dropped - 1)
		via_drop_count(lent->stats, (enum via_drop)lent->why[__builtin_ctzll(dropped)], 1);
}

void via_vq_ingress_release(struct via_vq *vq, struct via_lent *lent)
{
	if (lent->n == 0)
		return;
	count_all(lent);
	if (lent->ring->format == VIA_RING_PACKED)
		push_all(vq, lent, VIA_RING_PACKED);
	else
		push_all(vq, lent, VIA_RING_SPLIT);
	lent->n = 0;
}
