/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views to a driver.
 *
 * A burst goes in rounds. Plain frames, which is what most bursts begin with and consist of, are copied
 * into single buffers as these are taken, while the lines of the next are on their way. For any other
 * frame buffers are reserved and their lines asked for, and it is copied when the round ends, at the
 * first frame that finds no room in it. Then all that was taken is pushed and published at once. The
 * driver is called at most once, at the end. Whatever it offers costs a bounded amount of work under the
 * lock, and between rounds that copied much the lock is let go.
 *
 * A chain that cannot take any packet (no room for the header, or a readable part) is given back with
 * length 0, in order. A chain that is good but too small for the packet at hand stays in the ring for
 * the next, so a driver that posts small buffers gets small frames and nothing wedges (HX-39).
 */
#include "net/header.h"
#include "net/net.h"
#include "net/scatter.h"
#include "net/wire.h"
#include "ring/vq.h"

enum {
	MAX_CHAINS = 512, /* of a round; so the most buffers that a packet can be merged from */
	MAX_SEGS = 1024,  /* of a round; so the most pieces that a packet's buffers can have */
	WALK_MAX = 4096,  /* descriptors that a burst looks at, beyond those of single buffers */
	LOCKED_BYTES = 256 << 10, /* after so many somebody else may have the lock */
	PLAIN_LEN = 4096,         /* bytes up to which a frame probably fits one buffer */
	AHEAD = 12, /* buffers whose lines are on their way while those before them are written: more
		    * than a core can ask for at once are not asked for at all */
	CUT_VIEWS = 32, /* segments of a GSO view in a round */
	CUT_PIECES = 512,
};

struct packet {
	const struct via_view *view;
	const struct via_seg *seg; /* where it goes */
	uint16_t nr_chains;        /* of the driver's buffers */
	uint8_t fix;               /* enum via_fix: NONE or CSUM */
};

/* A worker's turn at the queue; everything but the first members is one round's. */
struct turn {
	struct via_vq *vq;
	const struct via_ring *ring; /* NULL: the queue does not run (any more) */
	const struct via_vq_net *net;
	struct via_queue_stats *stats;
	uint32_t mtu;
	bool keep;
	uint32_t locked_bytes; /* copied since the lock was taken */
	uint32_t walked;       /* descriptors looked at in this turn, one by one */
	uint32_t least;        /* bytes below which a chain can take no packet */
	/* send() for this ring's format */
	uint32_t (*send)(struct turn *turn, struct via_view *const *views, uint32_t n);

	uint32_t nr_sent; /* packets in the round */
	uint32_t nr_packets, nr_chains, nr_segs, bytes;
	struct packet packet[VIA_VQ_BURST];       /* those of them that are not copied yet */
	struct via_batch_entry entry[MAX_CHAINS]; /* what goes back, with the bytes used of each */
	struct via_seg seg[MAX_SEGS];
};

/* ---- the lock ---- */

static void lock(struct via_vq *vq)
{
	while (atomic_flag_test_and_set_explicit(&vq->lock, memory_order_acquire))
		via_relax();
}

static void unlock(struct via_vq *vq)
{
	atomic_flag_clear_explicit(&vq->lock, memory_order_release);
}

/* The ring to send to; none if it is not there or the driver has disabled it (VN-55). */
static const struct via_ring *running_ring(const struct via_vq *vq)
{
	const struct via_ring *ring = vq_ring(vq);

	return ring && ring->enabled ? ring : NULL;
}

/* ---- reserving ---- */

enum reserve {
	RESERVED,
	ROUND_FULL, /* send what there is, then try again */
	RING_FULL,  /* the driver has no (more) buffers */
	TOO_SMALL,  /* its buffers cannot take this packet */
	BROKEN,
};

/* Takes the chains from 'first' on out of the round, and puts them back into the ring. */
static void put_back(struct turn *turn, struct via_ring_pos begin, uint32_t first,
		     uint32_t first_seg)
{
	vq_unpop(turn->vq, begin);
	turn->nr_chains = first;
	turn->nr_segs = first_seg;
}

/*
 * Why vq_pop() gave nothing, or the round has no room, when 'taken' chains were not enough. A round
 * that is full of unfit chains is not tried again: their driver may offer them as fast as we look. Nor
 * is a turn that has walked enough (R10): buffers in so many pieces, or of no bytes at all, are as good
 * as none.
 */
static enum reserve why_not(const struct turn *turn, int ret, uint32_t taken)
{
	if (ret == 0)
		return taken < turn->ring->size ? RING_FULL : TOO_SMALL;
	if (ret != -ENOBUFS)
		return BROKEN;
	if (turn->walked >= WALK_MAX)
		return RING_FULL;
	if (turn->nr_sent > 0)
		return ROUND_FULL;
	return turn->nr_chains == taken ? TOO_SMALL : RING_FULL;
}

/* Gives back the chains from 'first' on and the unfit one behind them, unused. */
static void give_back(struct turn *turn, uint32_t first, uint32_t first_seg)
{
	turn->nr_chains++;
	for (uint32_t i = first; i < turn->nr_chains; i++)
		turn->entry[i].len = 0;
	turn->nr_segs = first_seg;
}

/*
 * Reserves chains with room for 'total' bytes, of which all but the last are filled (VN-42). Without
 * mergeable buffers it must be one (VN-41). On failure the ring is as before, but for chains that can
 * take no packet: these are in the round, to be given back.
 */
static via_always_inline enum reserve reserve(struct turn *turn, uint32_t total,
					      enum via_ring_format format)
{
	const bool mergeable = turn->net->mergeable;
	const uint32_t first_seg = turn->nr_segs;
	uint64_t room = 0; /* a chain may describe nearly 4 GiB */
	uint32_t first = turn->nr_chains;
	struct via_ring_pos begin = turn->vq->avail;
	struct via_chain chain = { 0 };
	enum reserve why;

	do {
		int ret = -ENOBUFS;

		if (via_likely(turn->nr_chains < MAX_CHAINS && turn->walked < WALK_MAX))
			ret = vq_pop(turn->vq, turn->ring, &chain, turn->seg + turn->nr_segs,
				     MAX_SEGS - turn->nr_segs, format);
		turn->walked += ret == -ENOBUFS ? MAX_SEGS - turn->nr_segs : via_chain_room(&chain);
		if (via_unlikely(ret <= 0)) {
			why = why_not(turn, ret, turn->nr_chains - first);
			put_back(turn, begin, first, first_seg);
			return why;
		}
		turn->entry[turn->nr_chains] = (struct via_batch_entry){
			.len = chain.writable_len,
			.id = chain.id,
			.nr_slots = chain.nr_slots,
		};
		if (via_unlikely(chain.writable_len < turn->least || chain.nr_readable)) {
			give_back(turn, first, first_seg);
			begin = turn->vq->avail;
			first = turn->nr_chains;
			room = 0;
			continue;
		}
		room += chain.writable_len;
		if (via_unlikely(room < total && !mergeable)) {
			put_back(turn, begin, first, first_seg);
			return TOO_SMALL;
		}
		turn->nr_chains++;
		turn->nr_segs += chain.nr_writable;
	} while (room < total);

	turn->entry[turn->nr_chains - 1].len -= (uint32_t)(room - total);
	turn->packet[turn->nr_packets].seg = &turn->seg[first_seg];
	turn->packet[turn->nr_packets].nr_chains = (uint16_t)(turn->nr_chains - first);
	return RESERVED;
}

/* ---- copying and giving to the driver ---- */

/* The usual packet: at most 'max_len' bytes, and nothing to say in its header. */
static via_always_inline bool is_plain(const struct via_view *view, uint32_t max_len)
{
	const unsigned int asks = view->flags & (VIA_VIEW_NEEDS_CSUM | VIA_VIEW_CSUM_VALID);

	return via_likely(view->len <= max_len && !asks && view->gso == VIA_GSO_NONE);
}

/* Writes the header of a plain packet, which is the same for all. One that is 'alone' on its line probably says so
 * already, and is only written if not: a line that neither side writes needs not go from core to core. */
static via_always_inline void write_plain_header(uint8_t *to, bool alone)
{
	const uint64_t nothing = 0;
	const uint32_t one_buffer = htole32(UINT32_C(1) << 16);

	if (alone) {
		uint64_t first;
		uint32_t last;

		via_copy_private(&first, to, 8);
		via_copy_private(&last, to + 8, 4);
		if (via_likely(first == nothing && last == one_buffer))
			return;
	}
	__builtin_memcpy(to, &nothing, 8);
	__builtin_memcpy(to + 8, &one_buffer, 4);
}

/* Writes a plain packet into one buffer, behind a header of 12 bytes. False, and nothing is done, if it is
 * not plain or has no room there. */
static via_always_inline bool copy_plain(const struct via_seg *seg, const struct via_view *view,
					 uint32_t max_len, bool alone)
{
	uint8_t *to = seg->base;

	if (via_unlikely(!is_plain(view, max_len) || seg->len < VIA_NET_HDR_COMMON + view->len))
		return false;
	write_plain_header(to, alone);
	to += VIA_NET_HDR_COMMON;
	via_copy_snapshot(to, view->snapshot, view->snapshot_len);
	to += view->snapshot_len;
	for (uint32_t i = 0; i < view->nr_pieces; i++) {
		via_copy(to, view->piece[i].base, view->piece[i].len);
		to += view->piece[i].len;
	}
	return true;
}

static __attribute__((noinline)) void copy_packet(struct turn *turn, const struct packet *packet)
{
	const struct via_view *view = packet->view;
	const struct via_vq_net *net = turn->net;
	struct via_net_hdr hdr;

	via_header_write(&hdr, view, net->guest, (enum via_fix)packet->fix, packet->nr_chains);
	if (packet->fix == VIA_FIX_NONE) {
		via_scatter(packet->seg, &hdr, net->header_size, view);
	} else {
		via_scatter_csum(packet->seg, &hdr, net->header_size, view);
		via_count(&turn->stats->csum, 1);
	}
}

/* Ends a round: copies, pushes, publishes. */
static via_always_inline void flush(struct turn *turn, enum via_ring_format format)
{
	for (uint32_t i = 0; i < turn->nr_packets; i++)
		copy_packet(turn, &turn->packet[i]);
	vq_push_burst(turn->vq, turn->ring, turn->entry, turn->nr_chains, format);
	vq_publish(turn->vq, turn->ring, format);
	via_count(&turn->stats->packets, turn->nr_sent);
	via_count(&turn->stats->bytes, turn->bytes);
	turn->locked_bytes += turn->bytes;
	turn->nr_sent = turn->nr_packets = turn->nr_chains = turn->nr_segs = turn->bytes = 0;
}

static __attribute__((noinline)) void split_flush(struct turn *turn)
{
	flush(turn, VIA_RING_SPLIT);
}

static __attribute__((noinline)) void packed_flush(struct turn *turn)
{
	flush(turn, VIA_RING_PACKED);
}

/* Ends a round; if much was copied, other workers may have the queue before the next. */
static void end_round(struct turn *turn, enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_flush(turn);
	else
		split_flush(turn);
	if (turn->locked_bytes < LOCKED_BYTES)
		return;
	unlock(turn->vq);
	via_relax();
	lock(turn->vq);
	turn->locked_bytes = 0;
	/* Another ring cannot have been started: that waits for us to be quiescent. This one may have
	 * been stopped or broken. */
	turn->ring = running_ring(turn->vq);
}

static void drop(struct turn *turn, enum via_drop why, uint32_t n)
{
	via_drop_count(turn->stats, why, n);
}

/*
 * Sends the segments of a GSO view: a prefix of them is delivered if the queue fills, the others are
 * counted one by one. Returns false if there was no room for even the first and the view is kept.
 */
static __attribute__((noinline)) bool cut(struct turn *turn, struct via_view *view)
{
	const uint64_t before = via_counter_read(&turn->stats->packets);
	const uint32_t mtu = turn->mtu;
	const bool keep = turn->keep;
	struct via_view segment[CUT_VIEWS], *segments[CUT_VIEWS];
	struct via_piece piece[CUT_PIECES];
	uint32_t n = 0, dealt = 0, left;
	struct via_gso_iter iter;
	enum via_drop why;

	left = via_gso_begin(&iter, view, &why);
	if (left == 0) {
		drop(turn, why, 1);
		return true;
	}
	for (uint32_t i = 0; i < CUT_VIEWS; i++)
		segments[i] = &segment[i];

	turn->mtu = 0;     /* judged by gso_size already */
	turn->keep = true; /* to hear of a full queue: what is counted then is all that is left */
	while (dealt == n && (n = via_gso_next(&iter, segment, CUT_VIEWS, piece, CUT_PIECES)) > 0) {
		dealt = turn->send(turn, segments, n);
		left -= dealt;
	}
	turn->mtu = mtu;
	turn->keep = keep;
	if (keep && dealt < n && left == iter.nr_segments)
		return false;
	via_count(&turn->stats->segments, via_counter_read(&turn->stats->packets) - before);
	/* Either the queue is full, or a segment is in more pieces than anybody needs. */
	drop(turn, dealt < n ? VIA_DROP_FULL : VIA_DROP_NO_OFFLOAD, left);
	return true;
}

/* ---- a burst ---- */

static via_always_inline void add_packet(struct turn *turn, const struct via_view *view,
					 enum via_fix fix)
{
	struct packet *packet = &turn->packet[turn->nr_packets++];

	packet->view = view;
	packet->fix = (uint8_t)fix;
	turn->nr_sent++;
	turn->bytes += view->len;
	via_prefetch_write(packet->seg->base);
	via_prefetch_write(packet->seg->base + VIA_CACHE_LINE);
	if (view->nr_pieces)
		via_prefetch(view->piece->base);
}

/* Bytes up to which a view is plain; 0 where none is. */
static uint32_t plain_len(const struct turn *turn)
{
	if (turn->net->header_size != VIA_NET_HDR_COMMON)
		return 0;
	return turn->mtu ? via_min_u(turn->mtu + VIA_ETH_SIZE, PLAIN_LEN) : PLAIN_LEN;
}

/* Whether a header of 12 bytes at 'base' has a cache line for which the frame behind it has no use. */
static via_always_inline bool is_alone(const uint8_t *base)
{
	return (uintptr_t)base / VIA_CACHE_LINE !=
	       ((uintptr_t)base + VIA_NET_HDR_COMMON) / VIA_CACHE_LINE;
}

/* send_plain(), 'alone' being what headers were in the buffers before, and probably are in these. */
static via_always_inline uint32_t send_plain_so(struct turn *turn, struct via_view *const *views,
						uint32_t n, bool alone, enum via_ring_format format)
{
	const uint32_t max_len = plain_len(turn);
	struct via_batch_entry *entry = turn->entry + turn->nr_chains;
	struct via_seg *seg = turn->seg + turn->nr_segs;
	const struct via_ring_pos begin = turn->vq->avail;
	uint32_t got = 0, i = 0, run, bytes = 0;

	if (!is_plain(views[0], max_len))
		return 0;
	/* The round ends with VIA_VQ_BURST chains, so there is room for so many. */
	n = via_min_u(n, VIA_VQ_BURST - turn->nr_chains);
	do {
		const uint32_t end = got;

		run = vq_pop_singles(turn->vq, turn->ring, seg + got, entry + got,
				     via_min_u(n - got, AHEAD), alone ? VIA_NET_HDR_COMMON : 0,
				     VIA_WRITABLE, format);
		got += run;
		for (; i < end && via_likely(copy_plain(&seg[i], views[i], max_len, alone)); i++) {
			entry[i].len = VIA_NET_HDR_COMMON + views[i]->len;
			bytes += views[i]->len;
		}
		if (via_unlikely(i < end))
			break;
	} while (i < got);
	if (via_unlikely(i < got))
		vq_unpop(turn->vq, vq_ahead(turn->ring, begin, i, i, format));
	turn->nr_sent += i;
	turn->nr_chains += i;
	turn->nr_segs += i;
	turn->bytes += bytes;
	if (i > 0)
		turn->vq->header_alone = is_alone(seg[i - 1].base);
	return i;
}

/*
 * The usual case: a run of plain views, each into a chain of one descriptor, copied at once. Returns how
 * many of the views are in the round now; where it stops is something else, or the queue is full.
 */
static via_always_inline uint32_t send_plain(struct turn *turn, struct via_view *const *views,
					     uint32_t n, enum via_ring_format format)
{
	return turn->vq->header_alone ? send_plain_so(turn, views, n, true, format)
				      : send_plain_so(turn, views, n, false, format);
}

/* What is to be done after a view was dealt with, or not. */
enum next { GO_ON, STOP };

/* Any one view. Stores in '*dealt' how many of 'n', which begin with it, were dealt with. */
static via_always_inline enum next send_one(struct turn *turn, struct via_view *view, uint32_t n,
					    uint32_t *dealt, enum via_ring_format format)
{
	enum reserve reserved;
	enum via_drop why;
	enum via_fix fix = via_view_fix(view, turn->net->guest, turn->mtu, &why);

	*dealt = 1;
	if (fix == VIA_FIX_DROP) {
		drop(turn, why, 1);
		return GO_ON;
	}
	if (fix == VIA_FIX_SEGMENT) {
		end_round(turn, format);
		*dealt = turn->ring && cut(turn, view);
		return turn->ring && !*dealt ? STOP : GO_ON;
	}
	reserved = reserve(turn, turn->net->header_size + view->len, format);
	if (reserved == RESERVED) {
		add_packet(turn, view, fix);
		return GO_ON;
	}
	if (reserved == TOO_SMALL) {
		drop(turn, VIA_DROP_TOO_BIG, 1);
		return GO_ON;
	}
	end_round(turn, format);
	*dealt = 0;
	if (reserved == BROKEN)
		turn->ring = NULL;
	if (reserved != RING_FULL)
		return GO_ON;
	if (!turn->keep) {
		drop(turn, VIA_DROP_FULL, n);
		*dealt = n;
	}
	return STOP;
}

/* Sends views in order, as many as 'keep' allows; the round is empty before and after. Returns how many
 * were dealt with. */
static via_always_inline uint32_t send(struct turn *turn, struct via_view *const *views, uint32_t n,
				       enum via_ring_format format)
{
	uint32_t i = 0, dealt;
	bool plain = true;

	if (via_likely(turn->ring != NULL)) /* else lost with an earlier chunk of segments */
		vq_prefetch(turn->vq, turn->ring, via_min_u(n, VIA_VQ_BURST), format);
	while (i < n && turn->ring) {
		if (plain)
			i += send_plain(turn, views + i, n - i, format);
		if (i < n && turn->nr_chains < VIA_VQ_BURST) {
			if (send_one(turn, views[i], n - i, &dealt, format) == STOP)
				return i + dealt;
			i += dealt;
			plain = turn->nr_chains == 0;
		}
		if (turn->nr_chains >= VIA_VQ_BURST || turn->bytes >= LOCKED_BYTES) {
			end_round(turn, format);
			plain = true;
		}
	}
	if (turn->ring)
		end_round(turn, format);
	if (i < n)
		drop(turn, VIA_DROP_NO_QUEUE, n - i);
	return n;
}

static uint32_t split_send(struct turn *turn, struct via_view *const *views, uint32_t n)
{
	return send(turn, views, n, VIA_RING_SPLIT);
}

static uint32_t packed_send(struct turn *turn, struct via_view *const *views, uint32_t n)
{
	return send(turn, views, n, VIA_RING_PACKED);
}

/* Whether the driver wants to hear of what was published. */
static bool wants_call(struct via_vq *vq, const struct via_ring *ring)
{
	return ring->format == VIA_RING_PACKED ? vq_wants_call(vq, ring, VIA_RING_PACKED)
					       : vq_wants_call(vq, ring, VIA_RING_SPLIT);
}

/* The least that a chain must have room for: a header where packets can be merged from chains, a header
 * and an Ethernet header where one chain must do. */
static uint32_t least(const struct via_vq_net *net)
{
	return net->header_size + (net->mergeable ? 0u : VIA_ETH_SIZE);
}

/* Nobody waits for buffers: kicks that tell of them would only cost the driver. A ring asks for them when
 * it starts. */
static via_cold void disarm(struct via_vq *vq, const struct via_ring *ring)
{
	if (ring->format == VIA_RING_PACKED)
		vq_disarm(vq, ring, VIA_RING_PACKED);
	else
		vq_disarm(vq, ring, VIA_RING_SPLIT);
}

uint32_t via_vq_egress(struct via_vq *vq, const struct via_vq_net *net,
		       struct via_view *const *views, uint32_t n, uint32_t mtu, bool keep,
		       struct via_queue_stats *stats)
{
	const struct via_ring *ring;
	struct turn turn;
	bool call = false;
	uint32_t dealt;

	lock(vq);
	ring = running_ring(vq);
	if (ring) {
		if (via_unlikely(vq->armed))
			disarm(vq, ring);
		turn.vq = vq;
		turn.ring = ring;
		turn.net = net;
		turn.stats = stats;
		turn.mtu = mtu;
		turn.keep = keep;
		turn.locked_bytes = 0;
		turn.walked = 0;
		turn.least = least(net);
		turn.send = ring->format == VIA_RING_PACKED ? packed_send : split_send;
		turn.nr_sent = turn.nr_packets = turn.nr_chains = turn.nr_segs = turn.bytes = 0;
		dealt = turn.send(&turn, views, n);
		call = wants_call(vq, ring);
	} else {
		via_drop_count(stats, VIA_DROP_NO_QUEUE, n);
		dealt = n;
	}
	unlock(vq);
	if (call) /* nobody waits for us while we talk to the peer (R20) */
		vq_call(vq, ring);
	return dealt;
}
