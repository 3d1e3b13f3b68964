/* SPDX-License-Identifier: BSD-3-Clause */
/* What a virtio_net_hdr may ask for, and what a receiver is told. See header.h. */
#include "net/header.h"

#include "net/wire.h"

enum { VIRTIO_NET_F_HASH_REPORT = 57 };

uint32_t via_net_header_size(uint64_t features)
{
	if (via_has(features, VIRTIO_NET_F_HASH_REPORT))
		return 20;
	if (via_has(features, VIRTIO_NET_F_MRG_RXBUF) || via_has(features, VIRTIO_F_VERSION_1))
		return 12;
	return 10;
}

struct via_vq_net via_vq_net_of(uint64_t features)
{
	uint32_t size = via_net_header_size(features);

	return (struct via_vq_net){
		.header_size = (uint8_t)size,
		.mergeable = via_has(features, VIRTIO_NET_F_MRG_RXBUF),
		.has_num_buffers = size >= 12,
		.host = via_offloads_of_host(features),
		.guest = via_offloads_of_guest(features),
	};
}

/*
 * A partial checksum must lie in the packet, and behind what was judged: one that "covers" an Ethernet
 * or IP header would let a sender have us write addresses that nobody checked.
 */
static bool checksum_is_possible(struct via_view *view, uint32_t start, uint32_t offset)
{
	uint32_t lowest;

	if (start + offset + 2 > view->len)
		return false;
	if (!(view->flags & VIA_VIEW_PARSED))
		via_view_parse(view);
	lowest = view->l4 ? view->l4 : view->l3;
	return start >= lowest && start >= VIA_ETH_SIZE;
}

struct gso_kind {
	enum via_gso gso;
	uint16_t ethertype; /* 0: as the offload says for each */
	uint8_t l4_proto;
	uint8_t csum_offset;
};

static const struct gso_kind *gso_kind(uint8_t type)
{
	static const struct gso_kind tcp4 = { VIA_GSO_TCPV4, VIA_ETHERTYPE_IPV4, VIA_PROTO_TCP,
					      VIA_TCP_CHECKSUM };
	static const struct gso_kind tcp6 = { VIA_GSO_TCPV6, VIA_ETHERTYPE_IPV6, VIA_PROTO_TCP,
					      VIA_TCP_CHECKSUM };
	static const struct gso_kind udp = { VIA_GSO_UDP, 0, VIA_PROTO_UDP, VIA_UDP_CHECKSUM };

	switch (type) {
	case VIA_HDR_GSO_TCPV4:
		return &tcp4;
	case VIA_HDR_GSO_TCPV6:
		return &tcp6;
	case VIA_HDR_GSO_UDP_L4:
		return &udp;
	default:
		return NULL; /* UFO and tunnels are never negotiated */
	}
}

/* Whether the packet is what gso_type says: all its headers found, the checksum that of its transport
 * header, no fragment (VN-36). */
static bool packet_agrees(const struct via_view *view, const struct gso_kind *kind)
{
	if (view->payload == 0 || view->l4_proto != kind->l4_proto)
		return false;
	if (kind->ethertype ? view->ethertype != kind->ethertype
			    : view->ethertype != VIA_ETHERTYPE_IPV4 &&
				      view->ethertype != VIA_ETHERTYPE_IPV6)
		return false;
	return view->csum_start == view->l4 && view->csum_offset == kind->csum_offset;
}

static bool read_gso(struct via_view *view, const struct via_net_hdr *hdr, uint32_t offloads)
{
	const struct gso_kind *kind = gso_kind(hdr->gso_type & (uint8_t)~VIA_HDR_GSO_ECN);

	if (!kind || hdr->gso_size == 0 || !(view->flags & VIA_VIEW_NEEDS_CSUM))
		return false;
	if (hdr->gso_type & VIA_HDR_GSO_ECN) {
		if (kind->gso == VIA_GSO_UDP)
			return false;
		view->flags |= VIA_VIEW_ECN;
	}
	view->gso = (uint8_t)kind->gso;
	view->gso_size = le16toh(hdr->gso_size);
	return packet_agrees(view, kind) && !(via_view_gso_needs(view) & ~offloads);
}

bool via_header_read_offload(struct via_view *view, const struct via_net_hdr *hdr,
			     uint32_t offloads, enum via_hdr_from from)
{
	if (offloads == 0 && from == VIA_HDR_FROM_DRIVER)
		return true; /* it may ask for nothing: what its headers say has no meaning */
	if (hdr->flags & VIA_HDR_NEEDS_CSUM) {
		view->csum_start = le16toh(hdr->csum_start);
		view->csum_offset = le16toh(hdr->csum_offset);
		if (!(offloads & VIA_OFFLOAD_CSUM) ||
		    !checksum_is_possible(view, view->csum_start, view->csum_offset))
			return false;
		view->flags |= VIA_VIEW_NEEDS_CSUM;
	} else if (hdr->flags & VIA_HDR_DATA_VALID && from == VIA_HDR_FROM_DEVICE) {
		view->flags |= VIA_VIEW_CSUM_VALID;
	}
	return hdr->gso_type == VIA_HDR_GSO_NONE || read_gso(view, hdr, offloads);
}

static uint8_t gso_type(const struct via_view *view)
{
	static const uint8_t types[] = {
		[VIA_GSO_NONE] = VIA_HDR_GSO_NONE,
		[VIA_GSO_TCPV4] = VIA_HDR_GSO_TCPV4,
		[VIA_GSO_TCPV6] = VIA_HDR_GSO_TCPV6,
		[VIA_GSO_UDP] = VIA_HDR_GSO_UDP_L4,
	};

	return types[view->gso] | (view->flags & VIA_VIEW_ECN ? VIA_HDR_GSO_ECN : 0);
}

void via_header_write_offload(struct via_net_hdr *hdr, const struct via_view *view,
			      uint32_t offloads)
{
	if (!(offloads & VIA_OFFLOAD_CSUM))
		return; /* not even DATA_VALID: a receiver without GUEST_CSUM gets flags 0 (VN-43) */
	if (!(view->flags & VIA_VIEW_NEEDS_CSUM)) {
		hdr->flags = VIA_HDR_DATA_VALID;
		return;
	}
	hdr->flags = VIA_HDR_NEEDS_CSUM;
	hdr->csum_start = htole16(view->csum_start);
	hdr->csum_offset = htole16(view->csum_offset);
	if (view->gso == VIA_GSO_NONE)
		return;
	hdr->gso_type = gso_type(view);
	hdr->gso_size = htole16(view->gso_size);
	hdr->hdr_len =
		htole16(view->payload); /* all headers: parsed, never the sender's word (VN-50) */
}
