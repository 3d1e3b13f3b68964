/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_net_hdr, in all its sizes: what stands before each frame in a virtqueue and in a TAP's
 * stream (VIRTIO 1.3 §5.1.6; reference virtio-net.md §2, §3, §9).
 *
 * A header is gathered once into a private struct via_net_hdr, judged there and turned into members of
 * the view; what a receiver gets is made anew from the view. No bit passes from one to the other
 * without a name (VN-30, R17, R26).
 */
#ifndef VIA_NET_HEADER_H
#define VIA_NET_HEADER_H

#include <endian.h>
#include <string.h>

#include "net/net.h"

enum {
	VIA_HDR_NEEDS_CSUM = 1,
	VIA_HDR_DATA_VALID = 2,
};

enum {
	VIA_HDR_GSO_NONE = 0,
	VIA_HDR_GSO_TCPV4 = 1,
	VIA_HDR_GSO_TCPV6 = 4,
	VIA_HDR_GSO_UDP_L4 = 5,
	VIA_HDR_GSO_ECN = 0x80,
};

/* Bits of a header's first two bytes, read as a number of this machine, that ask for something: the flags
 * that mean something and all of gso_type. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VIA_HDR_ASKS_MASK (VIA_HDR_NEEDS_CSUM | VIA_HDR_DATA_VALID | 0xff00)
#else
#define VIA_HDR_ASKS_MASK ((VIA_HDR_NEEDS_CSUM | VIA_HDR_DATA_VALID) << 8 | 0xff)
#endif

/* As it lies in memory, little-endian; shorter ones end earlier. */
struct via_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers; /* from 12 bytes on */
	uint32_t hash_value;  /* from 20 bytes on: zero here, as is all that follows */
	uint16_t hash_report;
	uint16_t padding;
};
static_assert(sizeof(struct via_net_hdr) == 20, "VIRTIO 1.3 §5.1.6");

#define VIA_NET_HDR_COMMON \
	12 /* bytes of the one that nearly all drivers have, for which there are fast paths */
#define VIA_NET_HDR_MAX 20 /* of the longest that is spoken */

/* The header's size under these negotiated features: the only place that knows (R17). */
uint32_t via_net_header_size(uint64_t features);

/* Who wrote a header decides what it may say. */
enum via_hdr_from {
	VIA_HDR_FROM_DRIVER, /* a guest: its DATA_VALID means nothing (§5.1.6.2) */
	VIA_HDR_FROM_DEVICE, /* a device that we drive, or the kernel: has validated what it says */
};

/* The slow half of via_header_read(): something is asked for. */
bool via_header_read_offload(struct via_view *view, const struct via_net_hdr *hdr,
			     uint32_t offloads, enum via_hdr_from from);

/*
 * Takes what 'hdr' (private, read once) asks for into 'view', whose len, snapshot and snapshot_len are
 * filled in and whose 'flags' are 0. 'offloads' are the VIA_OFFLOAD_* that the sender negotiated.
 * Returns false if it asks for the impossible: drop the frame (VIA_DROP_HEADER). The view is parsed
 * where the answer needs it.
 */
static via_always_inline bool via_header_read(struct via_view *view, const struct via_net_hdr *hdr,
					      uint32_t offloads, enum via_hdr_from from)
{
	view->gso = VIA_GSO_NONE;
	if (via_likely(!(hdr->flags & (VIA_HDR_NEEDS_CSUM | VIA_HDR_DATA_VALID)) &&
		       hdr->gso_type == VIA_HDR_GSO_NONE))
		return true;
	return via_header_read_offload(view, hdr, offloads, from);
}

/* The slow half of via_header_write(). */
void via_header_write_offload(struct via_net_hdr *hdr, const struct via_view *view,
			      uint32_t offloads);

/*
 * Makes the header with which 'view' goes to a receiver that takes 'offloads', in 'nr_buffers' buffers
 * (VN-40). 'fix' is what is done to the view on the way, from via_view_fix(): NONE or CSUM. Every byte
 * of 'hdr' is written (VN-53).
 */
static via_always_inline void via_header_write(struct via_net_hdr *hdr, const struct via_view *view,
					       uint32_t offloads, enum via_fix fix,
					       uint16_t nr_buffers)
{
	memset(hdr, 0, sizeof(*hdr));
	hdr->num_buffers = htole16(nr_buffers);
	/* A checksum that we fill in is one that nobody has validated: flags stay 0 (VN-43). */
	if (via_unlikely(fix == VIA_FIX_NONE &&
			 (view->flags & (VIA_VIEW_NEEDS_CSUM | VIA_VIEW_CSUM_VALID))))
		via_header_write_offload(hdr, view, offloads);
}

#endif
