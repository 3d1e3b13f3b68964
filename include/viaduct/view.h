/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet where it lies, and what was read of it.
 *
 * There is no packet pool. A source port lends views of packets in guest memory, in a TAP read slot
 * or wherever they are; the destination copies from there to where they must end. The first bytes
 * are read once into the view's own 'snapshot', and only the snapshot is classified, judged and sent:
 * a guest that rewrites its headers meanwhile changes nothing. What follows the snapshot is payload.
 *
 * Views live in a burst (struct via_burst), which belongs to one worker and is reused: a view is
 * valid from the port's ingress_burst() until its ingress_release().
 */
#ifndef VIADUCT_VIEW_H
#define VIADUCT_VIEW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIA_SNAPSHOT_SIZE 128   /* Ethernet, two VLAN tags, IPv6, TCP with all options: 122 */
#define VIA_BURST         64    /* views in a burst */
#define VIA_FRAME_MAX     65589 /* 14 + 40 + 65535: the longest frame a segmentation offload makes */

/* A piece of a packet, mapped here. Same shape as lib/ring's. */
struct via_piece {
	const uint8_t *base;
	uint32_t len; /* bytes, never 0 */
};

enum via_gso { VIA_GSO_NONE, VIA_GSO_TCPV4, VIA_GSO_TCPV6, VIA_GSO_UDP /* USO, v4 and v6 */ };

/* Flags of a view. */
enum {
	VIA_VIEW_NEEDS_CSUM =
		1, /* the checksum at csum_start + csum_offset covers a pseudo header only */
	VIA_VIEW_CSUM_VALID = 2, /* somebody we trust has validated the checksums */
	VIA_VIEW_ECN = 4,        /* TCP GSO with CWR */
	VIA_VIEW_TAGGED = 8,     /* the snapshot has an 802.1Q tag at offset 12 */
	VIA_VIEW_PARSED = 16,    /* the l3 and l4 members are filled in */
};

struct via_view {
	/* line 0: all that forwarding a frame needs */
	uint32_t len;          /* of the whole frame, bytes */
	uint16_t snapshot_len; /* bytes of it in 'snapshot': min(len, VIA_SNAPSHOT_SIZE), up to 4
				* fewer once the switch has taken a VLAN tag out; the headers
				* alone in a segment that was cut from a GSO frame */
	uint16_t nr_pieces;    /* of what follows the snapshot */
	const struct via_piece *piece; /* nr_pieces of them; together len - snapshot_len bytes */
	uint8_t flags;                 /* VIA_VIEW_… */
	uint8_t gso;                   /* enum via_gso */
	uint16_t gso_size;             /* payload bytes of a segment */
	uint16_t csum_start;  /* from the frame's first byte; valid with VIA_VIEW_NEEDS_CSUM */
	uint16_t csum_offset; /* from csum_start */
	uint16_t vlan;        /* the VLAN that the frame is in (0: none), set by the switch */
	uint16_t ingress;     /* port index, set by the switch */
	uint16_t l3, l4;  /* offsets of the headers; valid with VIA_VIEW_PARSED; l4 0: none known */
	uint16_t payload; /* offset of what follows the transport header; 0: none known */
	uint16_t ethertype; /* of l3, host order */
	uint8_t l4_proto;   /* IPPROTO_…; 0 for fragments beyond the first and unknown ones */
	uint8_t reserved[3];
	uint32_t flow;   /* hash of addresses and ports; 0: not computed */
	uint64_t egress; /* scratch of the switch: where to */
	/* lines 1 and 2 */
	_Alignas(64) uint8_t snapshot[VIA_SNAPSHOT_SIZE];
};
static_assert(offsetof(struct via_view, snapshot) == 64, "forwarding metadata is one cache line");

/*
 * Pieces of a burst's views. A chain may have as many pieces as its ring has slots, and a few more
 * where it crosses regions; only what is used is ever touched.
 */
#define VIA_BURST_PIECES (32768 + 1024)

/* Room for frames that a port must read before it can lend them (TAP, AF_PACKET): a small slot for
 * each view and an overflow that long frames share. Touched only if used. */
#define VIA_SLOT_SIZE     2048
#define VIA_OVERFLOW_SIZE (512 * 1024)

struct via_burst {
	struct via_view view[VIA_BURST];
	uint32_t nr_pieces; /* used of 'piece' */
	/* Descriptors of chains that a peer has made longer than one: looking at them costs, whether or
	 * not there is a packet in the end. Ports add, their caller zeroes it. */
	uint32_t nr_walked;
	struct via_piece piece[VIA_BURST_PIECES];
	uint8_t slot[VIA_BURST][VIA_SLOT_SIZE];
	uint8_t overflow[VIA_OVERFLOW_SIZE];
};

/* A burst for one worker, from zeroed pages of its own; NULL without memory. Thread: any. */
struct via_burst *via_burst_create(void);
void via_burst_free(struct via_burst *burst); /* accepts NULL */

#ifdef __cplusplus
}
#endif
#endif
