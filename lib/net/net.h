/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/net: packets. What a header says, what an offload asks for, and how frames get from and into
 * virtqueues.
 *
 *   drop.h        the reasons for which a packet is dropped, and queue counters
 *   header.h      virtio_net_hdr in all its sizes; from header to view and back
 *   bytes.h       numbers in network order      wire.h    offsets and constants of the protocols
 *   burst.c       the memory of a burst
 *   parse.c       offsets of L3 and L4 in a view's snapshot, flow hash
 *   checksum.c    the Internet checksum, alone and while copying
 *   offload.c     what an egress must do to a view before it fits (checksum, segment, drop)
 *   gso.c         segments of a GSO view, in bursts, as views
 *   scatter.h     copying a view into segments, whatever the shapes; with a checksum: scatter.c
 *   vq_ingress.c  views from a device-side queue (driver's TX)
 *   vq_egress.c   views into a device-side queue (driver's RX), mergeable or not
 *
 * May use base, mem, ring. Called by vhost (control queue), driver, port.
 */
#ifndef VIA_NET_H
#define VIA_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/view.h>

#include "base/shared.h"
#include "net/drop.h"
#include "ring/ring.h"

/* Feature numbers of virtio-net (VIRTIO 1.3 §5.1.3; reference virtio-net.md §1). */
enum {
	VIRTIO_NET_F_CSUM = 0,
	VIRTIO_NET_F_GUEST_CSUM = 1,
	VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2,
	VIRTIO_NET_F_MTU = 3,
	VIRTIO_NET_F_MAC = 5,
	VIRTIO_NET_F_GUEST_TSO4 = 7,
	VIRTIO_NET_F_GUEST_TSO6 = 8,
	VIRTIO_NET_F_GUEST_ECN = 9,
	VIRTIO_NET_F_GUEST_UFO = 10,
	VIRTIO_NET_F_HOST_TSO4 = 11,
	VIRTIO_NET_F_HOST_TSO6 = 12,
	VIRTIO_NET_F_HOST_ECN = 13,
	VIRTIO_NET_F_HOST_UFO = 14,
	VIRTIO_NET_F_MRG_RXBUF = 15,
	VIRTIO_NET_F_STATUS = 16,
	VIRTIO_NET_F_CTRL_VQ = 17,
	VIRTIO_NET_F_CTRL_RX = 18,
	VIRTIO_NET_F_CTRL_VLAN = 19,
	VIRTIO_NET_F_CTRL_RX_EXTRA = 20,
	VIRTIO_NET_F_GUEST_ANNOUNCE = 21,
	VIRTIO_NET_F_MQ = 22,
	VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
	VIRTIO_NET_F_GUEST_USO4 = 54,
	VIRTIO_NET_F_GUEST_USO6 = 55,
	VIRTIO_NET_F_HOST_USO = 56,
};

/*
 * What a destination takes as it is; everything else is made right first. For a guest these follow
 * from its negotiated (and, by GUEST_OFFLOADS, currently enabled) GUEST_* features.
 */
enum {
	VIA_OFFLOAD_CSUM = 1, /* partial checksums */
	VIA_OFFLOAD_TSO4 = 2,
	VIA_OFFLOAD_TSO6 = 4,
	VIA_OFFLOAD_ECN = 8,
	VIA_OFFLOAD_USO4 = 16,
	VIA_OFFLOAD_USO6 = 32,
	VIA_OFFLOAD_ALL = 63,
};

/* From GUEST_* features (what a driver takes), and from CSUM and HOST_* (what a device takes), to
 * VIA_OFFLOAD_*. Those whose requirements are missing are off. Where GUEST_OFFLOADS has switched some
 * off, hand in the features without them. */
uint32_t via_offloads_of_guest(uint64_t features);
uint32_t via_offloads_of_host(uint64_t features);

/* ---- parse.c ---- */

/* Fills l3, l4, payload, ethertype, l4_proto (VIA_VIEW_PARSED, VIA_VIEW_TAGGED) from the snapshot.
 * Bounded by the snapshot; up to two VLAN tags; IPv6 extension headers up to 8. Never fails: what it
 * cannot find stays 0. */
void via_view_parse(struct via_view *view);

/* The flow hash of a view: the same for all packets of a flow, in both directions (IP addresses, with
 * ports for TCP and UDP; fragments: addresses only; else MAC addresses). Never 0. Parses if need be. */
uint32_t via_view_flow(struct via_view *view);

/* ---- checksum.c: 32-bit partial sums in the bytes' own order ---- */
/* 'sum' and the bytes of 'data'; 'len' may be odd only at the end of the whole. */
uint32_t via_csum_add(uint32_t sum, const void *data, size_t len);
uint16_t via_csum_fold(uint32_t sum); /* complemented, ready to be stored */
/* Copies and returns the sum of the bytes stored: 'src' may change meanwhile and is read once. */
uint32_t via_csum_copy(void *dst, const void *src, size_t len, uint32_t sum);
/* 'sum' of bytes that begin at an odd offset of the whole. */
uint32_t via_csum_swap(uint32_t sum);

/* ---- offload.c ---- */

enum via_fix {
	VIA_FIX_NONE,    /* goes as it is */
	VIA_FIX_CSUM,    /* fill the checksum in while copying */
	VIA_FIX_SEGMENT, /* cut into segments, each with its checksum */
	VIA_FIX_DROP,    /* cannot be made to fit: '*why' */
};

/* VIA_OFFLOAD_* that a GSO view needs of its destination; 0 for other views. */
uint32_t via_view_gso_needs(const struct via_view *view);

/* The slow half of via_view_fix(). */
enum via_fix via_view_fix_slow(struct via_view *view, uint32_t offloads, uint32_t mtu,
			       enum via_drop *why);

/*
 * What a destination with 'offloads' (VIA_OFFLOAD_*) and 'mtu' (0: no limit; bytes of L3) must do to
 * 'view'. Parses it where the answer needs that. A GSO view is judged by the size of its segments.
 */
static via_always_inline enum via_fix via_view_fix(struct via_view *view, uint32_t offloads,
						   uint32_t mtu, enum via_drop *why)
{
	if (via_likely(view->gso == VIA_GSO_NONE && !(view->flags & VIA_VIEW_NEEDS_CSUM) &&
		       (mtu == 0 || view->len <= mtu + 14)))
		return VIA_FIX_NONE;
	return via_view_fix_slow(view, offloads, mtu, why);
}

/* ---- gso.c ---- */

/*
 * Cuts a GSO view into views of at most gso_size payload bytes each, headers rewritten, each with
 * VIA_VIEW_NEEDS_CSUM set (the destination fills it in while copying, or passes it on). The snapshot of
 * a segment holds its headers only; its pieces lie in the snapshot and the pieces of the view that is
 * cut, which must stay as they are until the segments are sent.
 */
struct via_gso_iter {
	const struct via_view *view;
	uint32_t offset;      /* of the next segment's payload in the frame */
	uint32_t nr_segments; /* in all */
	uint32_t index;       /* of the next segment */
	uint32_t nr_piece; /* where 'offset' lies: 0 is what the snapshot has behind the headers */
	uint32_t piece_used; /* bytes of that piece */
	uint32_t addresses;  /* checksum of the pseudo header but for the length */
};

#define VIA_GSO_MAX_SEGMENTS \
	2048 /* 64 KiB at 32 bytes: beyond that somebody wants to keep us busy */

/* Begins. Returns the number of segments (at least 1), or 0 with '*why' if the headers do not allow
 * it (not in the snapshot, lengths that do not agree, a routing header) or they are too many. */
uint32_t via_gso_begin(struct via_gso_iter *iter, struct via_view *view, enum via_drop *why);

/*
 * The next segments, at most 'max', into 'views', with pieces from 'pieces' ('max_pieces' of them).
 * Returns how many; 0 at the end, or if a single segment needs more pieces than there are: then
 * iter->index is less than iter->nr_segments.
 */
uint32_t via_gso_next(struct via_gso_iter *iter, struct via_view *views, uint32_t max,
		      struct via_piece *pieces, uint32_t max_pieces);

/* ---- vq_ingress.c ---- */

/* What an ingress burst keeps until it is released; opaque to its holder, who zeroes it once. */
struct via_lent {
	const struct via_ring *ring; /* of this burst: valid until the worker is quiescent */
	struct via_queue_stats *stats;
	struct via_ring_pos begin; /* where the first chain was taken */
	uint16_t n;                /* chains taken */
	uint16_t nr_views;         /* of them, those that are views */
	uint64_t dropped;          /* mask of those that are not */
	struct via_batch_entry entry[VIA_VQ_BURST];
	uint32_t len[VIA_VQ_BURST]; /* of the frames; of a chain that is none, 0 */
	uint8_t why[VIA_VQ_BURST];  /* enum via_drop of those that are none */
};

/* What is the same for all packets of a device-side queue: published with the ring's features. */
struct via_vq_net {
	uint8_t header_size;  /* 10, 12, … of virtio_net_hdr */
	bool mergeable;       /* MRG_RXBUF */
	bool has_num_buffers; /* header_size >= 12 */
	uint32_t host;  /* VIA_OFFLOAD_* that the driver may use when it sends (HOST_*, CSUM) */
	uint32_t guest; /* VIA_OFFLOAD_* that the driver takes */
};

/* All of it from the negotiated features (see via_offloads_of_guest() about GUEST_OFFLOADS). */
struct via_vq_net via_vq_net_of(uint64_t features);

/*
 * Lends up to 'max' (at most VIA_VQ_BURST) views of what the driver sent, with snapshots filled in.
 * Chains that are no frame (too short, impossible header) are given back and counted in 'stats', and
 * do not appear. A queue that is disabled gives everything back (VN-38). Returns the number of views.
 * Resets burst->nr_pieces. 'stats' counts packets, bytes and drops when they are released; it is
 * borrowed until then.
 * Thread: the queue's worker.
 */
uint32_t via_vq_ingress(struct via_vq *vq, const struct via_vq_net *net, struct via_lent *lent,
			struct via_burst *burst, uint32_t max, struct via_queue_stats *stats);

/* Gives back what was lent, publishes, notifies. To be called after each via_vq_ingress() that
 * returned more than 0 (after others it does nothing), before the next and before the worker is
 * quiescent. */
void via_vq_ingress_release(struct via_vq *vq, struct via_lent *lent);

/* Takes the last 'n' views of what was lent back into the ring, in order: they were not delivered and
 * come again with the next burst (lossless). Before release. */
void via_vq_ingress_return(struct via_vq *vq, struct via_lent *lent, uint32_t n);

/* ---- vq_egress.c ---- */

/*
 * Copies views to the driver, fixing up offloads that it did not negotiate, publishes once, notifies
 * at most once. Takes vq->lock. Views are sent in order; each is delivered or counted in 'stats' as
 * dropped for one reason. 'mtu' 0: no limit. With 'keep' set (lossless) it stops at the first view for
 * which the queue has no room and does not count it.
 * Returns how many views were dealt with (n unless 'keep').
 * Thread: any worker.
 */
uint32_t via_vq_egress(struct via_vq *vq, const struct via_vq_net *net,
		       struct via_view *const *views, uint32_t n, uint32_t mtu, bool keep,
		       struct via_queue_stats *stats);

#endif
