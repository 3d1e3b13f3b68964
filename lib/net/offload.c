/* SPDX-License-Identifier: BSD-3-Clause */
/* Which offloads a peer takes, what a view needs, and what an egress must do in between. */
#include "net/bytes.h"
#include "net/header.h"
#include "net/wire.h"

static uint32_t pick(uint64_t features, unsigned int number, uint32_t offload)
{
	return via_has(features, number) ? offload : 0;
}

/* Segmentation builds on checksums, ECN on TCP segmentation (virtio-net.md §1, VN-08): without what
 * it builds on, an offload is off, however GUEST_OFFLOADS was used. */
static uint32_t with_requirements(uint32_t offloads)
{
	if (!(offloads & VIA_OFFLOAD_CSUM))
		return 0;
	if (!(offloads & (VIA_OFFLOAD_TSO4 | VIA_OFFLOAD_TSO6)))
		offloads &= ~(uint32_t)VIA_OFFLOAD_ECN;
	return offloads;
}

uint32_t via_offloads_of_guest(uint64_t features)
{
	return with_requirements(pick(features, VIRTIO_NET_F_GUEST_CSUM, VIA_OFFLOAD_CSUM) |
				 pick(features, VIRTIO_NET_F_GUEST_TSO4, VIA_OFFLOAD_TSO4) |
				 pick(features, VIRTIO_NET_F_GUEST_TSO6, VIA_OFFLOAD_TSO6) |
				 pick(features, VIRTIO_NET_F_GUEST_ECN, VIA_OFFLOAD_ECN) |
				 pick(features, VIRTIO_NET_F_GUEST_USO4, VIA_OFFLOAD_USO4) |
				 pick(features, VIRTIO_NET_F_GUEST_USO6, VIA_OFFLOAD_USO6));
}

uint32_t via_offloads_of_host(uint64_t features)
{
	return with_requirements(
		pick(features, VIRTIO_NET_F_CSUM, VIA_OFFLOAD_CSUM) |
		pick(features, VIRTIO_NET_F_HOST_TSO4, VIA_OFFLOAD_TSO4) |
		pick(features, VIRTIO_NET_F_HOST_TSO6, VIA_OFFLOAD_TSO6) |
		pick(features, VIRTIO_NET_F_HOST_ECN, VIA_OFFLOAD_ECN) |
		pick(features, VIRTIO_NET_F_HOST_USO, VIA_OFFLOAD_USO4 | VIA_OFFLOAD_USO6));
}

uint32_t via_view_gso_needs(const struct via_view *view)
{
	uint32_t needs = VIA_OFFLOAD_CSUM;

	if (view->flags & VIA_VIEW_ECN)
		needs |= VIA_OFFLOAD_ECN;
	switch (view->gso) {
	case VIA_GSO_TCPV4:
		return needs | VIA_OFFLOAD_TSO4;
	case VIA_GSO_TCPV6:
		return needs | VIA_OFFLOAD_TSO6;
	case VIA_GSO_UDP:
		return needs | (view->ethertype == VIA_ETHERTYPE_IPV4 ? VIA_OFFLOAD_USO4
								      : VIA_OFFLOAD_USO6);
	default:
		return 0;
	}
}

/* Tagged frames carry an MTU's worth behind their tags (VN-03, 802.1Q). */
static bool is_over_mtu(const struct via_view *view, uint32_t mtu)
{
	uint32_t room = mtu + VIA_ETH_SIZE;

	for (uint32_t at = 12; at <= 16 && view->len > room && at + 2 <= view->snapshot_len;
	     at += 4) {
		uint16_t type = via_get_be16(view->snapshot + at);

		if (type != VIA_ETHERTYPE_TAG && type != VIA_ETHERTYPE_QINQ)
			break;
		room += VIA_TAG_SIZE;
	}
	return view->len > room;
}

static enum via_fix fix_gso(struct via_view *view, uint32_t offloads, uint32_t mtu,
			    enum via_drop *why)
{
	uint32_t needs, segment;

	if (!(view->flags & VIA_VIEW_PARSED))
		via_view_parse(view);
	segment = via_min_u(view->gso_size, view->len - view->payload);
	if (mtu && view->payload - view->l3 + segment > mtu) {
		*why = VIA_DROP_TOO_BIG;
		return VIA_FIX_DROP;
	}
	needs = via_view_gso_needs(view);
	return needs & ~offloads ? VIA_FIX_SEGMENT : VIA_FIX_NONE;
}

enum via_fix via_view_fix_slow(struct via_view *view, uint32_t offloads, uint32_t mtu,
			       enum via_drop *why)
{
	if (view->gso != VIA_GSO_NONE)
		return fix_gso(view, offloads, mtu, why);
	if (mtu && is_over_mtu(view, mtu)) {
		*why = VIA_DROP_TOO_BIG;
		return VIA_FIX_DROP;
	}
	if (!(view->flags & VIA_VIEW_NEEDS_CSUM) || offloads & VIA_OFFLOAD_CSUM)
		return VIA_FIX_NONE;
	/* The field is patched in a private copy of the snapshot: it must be there. */
	if (view->csum_start + view->csum_offset + 2u > view->snapshot_len) {
		*why = VIA_DROP_NO_OFFLOAD;
		return VIA_FIX_DROP;
	}
	return VIA_FIX_CSUM;
}
