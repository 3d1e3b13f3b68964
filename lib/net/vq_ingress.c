/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that a driver sent, as views.
 *
 * A burst goes through stages, so that the cache misses of its packets overlap: all chains are taken
 * from the ring, and where each begins is prefetched; then the headers are read and judged and the
 * snapshots filled in. Segments are collected right where the views have their pieces: a view's pieces
 * are its chain's segments, less what the header and the snapshot took.
 *
 * The usual chain is a single segment. It has a path of its own in both stages; what is otherwise is
 * gathered from wherever it is cut.
 *
 * A chain that is no frame stays among those lent, marked, so that all go back in the order in which
 * they came (IN_ORDER, VQ-C-08), and is counted when it goes back: a burst that is returned to the
 * ring is judged again and must not count twice.
 */
#include "base/check.h"
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

/* Descriptors of long chains after which a burst takes no further one (R18). */
#define WALK_MAX 4096

/* A burst's chains as they were taken. Pieces of chain i follow those of chain i - 1. */
struct taken {
	uint64_t singles; /* mask of those of one readable segment */
	uint32_t nr_singles;
	/* of the others */
	uint32_t len[VIA_VQ_BURST]; /* readable bytes */
	uint16_t nr_pieces[VIA_VQ_BURST];
	bool writable[VIA_VQ_BURST]; /* there is a part that the driver wants written: no frame */
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
	lent->len[i] = 0;
}

static void take_chain(struct via_lent *lent, struct taken *taken, uint32_t i,
		       const struct via_chain *chain)
{
	lent->entry[i] = (struct via_batch_entry){ .id = chain->id, .nr_slots = chain->nr_slots };
	taken->len[i] = chain->readable_len;
	taken->nr_pieces[i] = chain->nr_readable;
	taken->writable[i] = chain->nr_writable > 0;
	for (uint32_t k = 0; k < via_min_u(chain->nr_readable, 2); k++)
		chain_prefetch(chain->seg[k].base, chain->seg[k].len, 0, VIA_READABLE);
}

/* The first stage: up to 'max' chains from the ring, and their first lines on the way; of each chain 'unread' bytes
 * will not be read. */
static via_always_inline void take(struct via_vq *vq, struct via_lent *lent,
				   struct via_burst *burst, struct taken *taken, uint32_t max,
				   uint32_t unread, enum via_ring_format format)
{
	struct via_seg *seg = (struct via_seg *)burst->piece;
	const struct via_ring *ring = lent->ring;
	struct via_chain chain = { .nr_readable = 1 };
	uint32_t n = 0, used = 0, walked = 0, run;

	vq_prefetch(vq, ring, max, format);
	taken->singles = 0;
	taken->nr_singles = 0;
	for (;;) {
		run = 0;
		if (chain.nr_readable == 1) /* a driver that has just cut a chain cuts others */
			run = vq_pop_singles(vq, ring, seg + used, lent->entry + n,
					     via_min_u(max - n, VIA_BURST_PIECES - used), unread,
					     VIA_READABLE, format);
		if (run > 0)
			taken->singles |= (UINT64_MAX >> (64 - run)) << n;
		taken->nr_singles += run;
		n += run;
		used += run;
		/* Another look at the driver's index would take its line away: not for a few more. */
		if (n == max || (n > 0 && vq_is_drained(vq, format)))
			break;
		if (vq_pop(vq, ring, &chain, seg + used, VIA_BURST_PIECES - used, format) <= 0)
			break; /* no more, no more room, or broken: what came before is good */
		take_chain(lent, taken, n++, &chain);
		used += chain.nr_readable;
		walked += via_chain_room(&chain);
		if (via_unlikely(walked >= WALK_MAX))
			break;
	}
	burst->nr_pieces = used;
	burst->nr_walked += walked;
	lent->n = (uint16_t)n;
}

/* ---- reading ---- */

/* Whether the common header has nothing to say: its driver may ask for nothing. It is not read then, as its line is
 * often one that the frame is not on. */
static via_always_inline bool is_silent(const struct via_vq_net *net)
{
	return net->host == 0 && net->header_size == VIA_NET_HDR_COMMON;
}

/* Whether 'len' bytes behind the header can be a frame; the reason if not. */
static via_always_inline bool length_is_right(uint32_t len, uint32_t hdr_size, enum via_drop *why)
{
	if (via_holds(len - hdr_size - VIA_ETH_SIZE <= VIA_FRAME_MAX - VIA_ETH_SIZE))
		return true;
	*why = len < hdr_size + VIA_ETH_SIZE ? VIA_DROP_SHORT : VIA_DROP_LONG;
	return false;
}

/* A new view of 'len' bytes; its pieces are all that is left to say. Returns the snapshot's length. */
static via_always_inline uint32_t begin_view(struct via_view *view, uint32_t len)
{
	const uint32_t snapshot = via_min_u(len, VIA_SNAPSHOT_SIZE);

	static_assert(offsetof(struct via_view, flags) == 16, "what follows the pieces is zeroed");
	view->len = len;
	view->snapshot_len = (uint16_t)snapshot;
	memset(&view->flags, 0, offsetof(struct via_view, snapshot) - 16);
	return snapshot;
}

/*
 * The second stage for a chain of one segment, with the common header of 12 bytes. The header's first
 * word says whether it asks for anything; if it does, it is judged by a copy of its own, read anew. If it is
 * 'silent' it is not read at all.
 */
static via_always_inline bool read_single(struct via_piece *piece, struct via_view *view,
					  const struct via_vq_net *net, bool silent,
					  enum via_drop *why)
{
	const uint8_t *base = piece->base;
	const uint32_t len = piece->len;
	struct via_net_hdr hdr;
	uint32_t snapshot;
	uint16_t first = 0;

	if (!length_is_right(len, VIA_NET_HDR_COMMON, why))
		return false;
	if (!silent)
		via_copy_private(&first, base, sizeof(first));
	snapshot = begin_view(view, len - VIA_NET_HDR_COMMON);
	via_copy_snapshot(view->snapshot, base + VIA_NET_HDR_COMMON, snapshot);
	piece->base = base + VIA_NET_HDR_COMMON + snapshot;
	piece->len = len - VIA_NET_HDR_COMMON - snapshot;
	view->piece = piece;
	view->nr_pieces = piece->len > 0;
	if (via_likely(!(first & VIA_HDR_ASKS_MASK)))
		return true;
	via_copy_private(&hdr, base, VIA_NET_HDR_COMMON);
	*why = VIA_DROP_HEADER;
	return via_header_read(view, &hdr, net->host, VIA_HDR_FROM_DRIVER);
}

/* What is left of a chain's pieces. */
struct rest {
	struct via_piece *piece;
	uint16_t nr_pieces;
};

/* Copies the next 'len' bytes, a header or a snapshot, out of the chain, which has them, wherever they
 * are cut. */
static via_always_inline void gather(struct rest *rest, uint8_t *to, uint32_t len)
{
	while (len > 0) {
		uint32_t part = via_min_u(rest->piece->len, len);

		via_copy_snapshot(to, rest->piece->base, part);
		to += part;
		len -= part;
		rest->piece->base += part;
		rest->piece->len -= part;
		if (rest->piece->len == 0) {
			rest->piece++;
			rest->nr_pieces--;
		}
	}
}

/* The second stage for any chain. False with the reason if it is no frame. */
static __attribute__((noinline)) bool read_chain(struct rest rest, uint32_t len, bool writable,
						 struct via_view *view,
						 const struct via_vq_net *net, enum via_drop *why)
{
	const uint32_t hdr_size = net->header_size;
	struct via_net_hdr hdr;
	uint32_t snapshot;

	*why = VIA_DROP_HEADER; /* a writable part asks for what no network device knows */
	if (writable || !length_is_right(len, hdr_size, why))
		return false;
	snapshot = begin_view(view, len - hdr_size);
	gather(&rest, (uint8_t *)&hdr, hdr_size);
	gather(&rest, view->snapshot, snapshot);
	view->piece = rest.piece;
	view->nr_pieces = rest.nr_pieces;
	return via_header_read(view, &hdr, net->host, VIA_HDR_FROM_DRIVER);
}

/* Any chains. Returns the number of views. */
static __attribute__((noinline)) uint32_t read_chains(struct via_lent *lent,
						      const struct via_vq_net *net,
						      struct via_burst *burst,
						      const struct taken *taken)
{
	struct via_piece *piece = burst->piece;
	uint32_t n = 0;

	for (uint32_t i = 0; i < lent->n; i++) {
		struct via_view *view = &burst->view[n];
		const bool single = taken->singles >> i & 1;
		const struct rest rest = { piece, single ? 1 : taken->nr_pieces[i] };
		enum via_drop why;
		bool good;

		if (single && net->header_size == VIA_NET_HDR_COMMON)
			good = read_single(piece, view, net, is_silent(net), &why);
		else
			good = read_chain(rest, single ? piece->len : taken->len[i],
					  !single && taken->writable[i], view, net, &why);
		piece += rest.nr_pieces;
		lent->len[i] = view->len;
		n += good;
		if (via_unlikely(!good))
			lent_drop(lent, i, why);
	}
	return n;
}

/* The usual burst: chains of one segment, with headers of 12 bytes. Returns the number of views. */
static via_always_inline uint32_t read_singles(struct via_lent *lent, const struct via_vq_net *net,
					       struct via_burst *burst, bool silent)
{
	const uint32_t nr_chains = lent->n;
	struct via_view *view = burst->view;

	for (uint32_t i = 0; i < nr_chains; i++) {
		enum via_drop why;

		if (via_likely(read_single(&burst->piece[i], view, net, silent, &why)))
			lent->len[i] = view++->len;
		else
			lent_drop(lent, i, why);
	}
	return (uint32_t)(view - burst->view);
}

/* VN-38: what comes on a disabled queue is consumed and discarded. */
static void drop_all(struct via_lent *lent)
{
	for (uint32_t i = 0; i < lent->n; i++)
		lent_drop(lent, i, VIA_DROP_DISABLED);
}

static via_always_inline void take_and_read(struct via_vq *vq, const struct via_vq_net *net,
					    struct via_lent *lent, struct via_burst *burst,
					    uint32_t max, bool silent)
{
	const struct via_ring *ring = lent->ring;
	const uint32_t unread = silent ? VIA_NET_HDR_COMMON : 0;
	struct taken taken;

	if (ring->format == VIA_RING_PACKED)
		take(vq, lent, burst, &taken, max, unread, VIA_RING_PACKED);
	else
		take(vq, lent, burst, &taken, max, unread, VIA_RING_SPLIT);
	if (via_unlikely(!ring->enabled))
		drop_all(lent);
	else if (via_likely(net->header_size == VIA_NET_HDR_COMMON && taken.nr_singles == lent->n))
		lent->nr_views = (uint16_t)read_singles(lent, net, burst, silent);
	else
		lent->nr_views = (uint16_t)read_chains(lent, net, burst, &taken);
}

uint32_t via_vq_ingress(struct via_vq *vq, const struct via_vq_net *net, struct via_lent *lent,
			struct via_burst *burst, uint32_t max, struct via_queue_stats *stats)
{
	const struct via_ring *ring = vq_ring(vq);

	lent->n = lent->nr_views = 0;
	burst->nr_pieces = 0;
	if (!ring)
		return 0;
	max = via_min_u(max, VIA_VQ_BURST);
	lent_begin(lent, vq, ring, stats);
	if (is_silent(net))
		take_and_read(vq, net, lent, burst, max, true);
	else
		take_and_read(vq, net, lent, burst, max, false);
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
		slots += lent->entry[i].nr_slots;
	return slots;
}

void via_vq_ingress_return(struct via_vq *vq, struct via_lent *lent, uint32_t n)
{
	uint32_t keep = lent->n;

	n = via_min_u(n, lent->nr_views);
	lent->nr_views = (uint16_t)(lent->nr_views - n);
	/* Chains that are no views and lie behind the last view that stays go with them: they have not
	 * been counted yet. */
	for (; n > 0; n -= !(lent->dropped >> keep & 1))
		keep--;
	if (keep == lent->n)
		return;
	lent->n = (uint16_t)keep;
	lent->dropped &= (UINT64_C(1) << keep) - 1;
	vq_unpop(vq,
		 vq_ahead(lent->ring, lent->begin, keep, slots_of(lent, keep), lent->ring->format));
}

static via_always_inline void push_all(struct via_vq *vq, const struct via_lent *lent,
				       enum via_ring_format format)
{
	const struct via_ring *ring = lent->ring;

	if (ring->in_order)
		vq_push_batch(vq, ring, lent->n, slots_of(lent, lent->n),
			      lent->entry[lent->n - 1].id, format);
	else
		vq_push_burst(vq, ring, lent->entry, lent->n, format); /* len 0: VN-37 */
	vq_publish(vq, ring, format);
	if (vq_wants_call(vq, ring, format))
		vq_call(vq, ring);
}

static void count_all(const struct via_lent *lent)
{
	uint32_t packets = lent->n;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < lent->n; i++)
		bytes += lent->len[i];
	for (uint64_t left = lent->dropped; left; left &= left - 1, packets--)
		via_drop_count(lent->stats, (enum via_drop)lent->why[__builtin_ctzll(left)], 1);
	via_count(&lent->stats->packets, packets);
	via_count(&lent->stats->bytes, bytes);
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
	lent->n = lent->nr_views = 0;
}
