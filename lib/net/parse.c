/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a frame's headers are. Only the snapshot is looked at, every offset is compared with its
 * length before the byte is read, and every walk has a limit of its own (HX-38, R27).
 *
 * What the members mean for frames that are not plain:
 *   a first fragment           l4 and l4_proto are known, payload is not (0)
 *   a later fragment           l4, l4_proto and payload are 0
 *   headers past the snapshot  what lies beyond it stays 0
 */
#include "net/bytes.h"
#include "net/net.h"
#include "net/wire.h"

struct cursor {
	const uint8_t *bytes;
	uint32_t len; /* of the snapshot */
	uint32_t at;
};

static inline int has(const struct cursor *c, uint32_t size)
{
	return c->len >= size && c->at <= c->len - size;
}

/* Passes the Ethernet header and up to two tags; returns the type of what follows, 0 if there is
 * none. */
static uint16_t parse_ethernet(struct via_view *view, struct cursor *c)
{
	uint16_t type;

	if (!has(c, VIA_ETH_SIZE))
		return 0;
	type = via_get_be16(c->bytes + 12);
	c->at = VIA_ETH_SIZE;
	for (int tags = 0; tags < 2; tags++) {
		if (type != VIA_ETHERTYPE_TAG && type != VIA_ETHERTYPE_QINQ)
			break;
		if (!has(c, VIA_TAG_SIZE))
			return 0;
		if (tags == 0 && type == VIA_ETHERTYPE_TAG)
			view->flags |= VIA_VIEW_TAGGED;
		type = via_get_be16(c->bytes + c->at + 2);
		c->at += VIA_TAG_SIZE;
	}
	return type;
}

enum fragment { WHOLE, FIRST_FRAGMENT, LATER_FRAGMENT, UNKNOWN };

static enum fragment parse_ipv4(struct cursor *c, uint8_t *proto)
{
	const uint8_t *ip = c->bytes + c->at;
	uint32_t size;
	uint16_t fragment;

	if (!has(c, VIA_IPV4_SIZE) || ip[0] >> 4 != 4)
		return UNKNOWN;
	size = (ip[0] & 15u) * 4;
	if (size < VIA_IPV4_SIZE || !has(c, size))
		return UNKNOWN;
	fragment = via_get_be16(ip + VIA_IPV4_FRAGMENT);
	*proto = ip[VIA_IPV4_PROTOCOL];
	c->at += size;
	if (fragment & VIA_IPV4_OFFSET)
		return LATER_FRAGMENT;
	return fragment & VIA_IPV4_MORE_OR_OFFSET ? FIRST_FRAGMENT : WHOLE;
}

/* Bytes of the extension header at 'c'; 0 if 'next' names none that leads on. */
static uint32_t extension_size(const struct cursor *c, uint8_t next)
{
	const uint8_t *at = c->bytes + c->at;

	if (!has(c, 8))
		return 0;
	switch (next) {
	case VIA_IPV6_HOP_BY_HOP:
	case VIA_IPV6_ROUTING:
	case VIA_IPV6_DESTINATION:
		return (at[1] + 1u) * 8;
	case VIA_IPV6_AUTH:
		return (at[1] + 2u) * 4;
	case VIA_IPV6_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static int is_extension(uint8_t next)
{
	return next == VIA_IPV6_HOP_BY_HOP || next == VIA_IPV6_ROUTING ||
	       next == VIA_IPV6_DESTINATION || next == VIA_IPV6_AUTH || next == VIA_IPV6_FRAGMENT;
}

static enum fragment parse_ipv6(struct cursor *c, uint8_t *proto)
{
	const uint8_t *ip = c->bytes + c->at;
	enum fragment fragment = WHOLE;
	uint8_t next;

	if (!has(c, VIA_IPV6_SIZE) || ip[0] >> 4 != 6)
		return UNKNOWN;
	next = ip[VIA_IPV6_NEXT];
	c->at += VIA_IPV6_SIZE;
	for (int i = 0; is_extension(next); i++) {
		uint32_t size = extension_size(c, next);

		if (i == VIA_IPV6_MAX_EXTENSIONS || size == 0 || !has(c, size))
			return UNKNOWN;
		if (next == VIA_IPV6_FRAGMENT) {
			uint16_t place = via_get_be16(c->bytes + c->at + 2);

			if (place & 0xfff8)
				return LATER_FRAGMENT;
			if (place & 1)
				fragment = FIRST_FRAGMENT;
		}
		next = c->bytes[c->at];
		c->at += size;
	}
	*proto = next;
	return fragment;
}

/* The transport header's length, or 0 if it is not known or not all in the snapshot. */
static uint32_t transport_size(const struct cursor *c, uint8_t proto)
{
	uint32_t size;

	switch (proto) {
	case VIA_PROTO_TCP:
		if (!has(c, VIA_TCP_SIZE))
			return 0;
		size = (uint32_t)(c->bytes[c->at + VIA_TCP_DATA_OFFSET] >> 4) * 4;
		return size >= VIA_TCP_SIZE && has(c, size) ? size : 0;
	case VIA_PROTO_UDP:
		return has(c, VIA_UDP_SIZE) ? VIA_UDP_SIZE : 0;
	default:
		return 0;
	}
}

void via_view_parse(struct via_view *view)
{
	struct cursor c = { .bytes = view->snapshot, .len = view->snapshot_len };
	enum fragment fragment = UNKNOWN;
	uint8_t proto = 0;
	uint32_t size;

	view->flags &= (uint8_t)~VIA_VIEW_TAGGED;
	view->flags |= VIA_VIEW_PARSED;
	view->l3 = view->l4 = view->payload = 0;
	view->l4_proto = 0;
	view->ethertype = parse_ethernet(view, &c);
	if (view->ethertype == 0)
		return;
	view->l3 = (uint16_t)c.at;

	if (view->ethertype == VIA_ETHERTYPE_IPV4)
		fragment = parse_ipv4(&c, &proto);
	else if (view->ethertype == VIA_ETHERTYPE_IPV6)
		fragment = parse_ipv6(&c, &proto);
	if (fragment == UNKNOWN || fragment == LATER_FRAGMENT)
		return;
	view->l4 = (uint16_t)c.at;
	view->l4_proto = proto;
	size = transport_size(&c, proto);
	if (fragment == WHOLE && size > 0)
		view->payload = (uint16_t)(c.at + size);
}

/* ---- flow hash ---- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xe7037ed1a0b428dbu);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* One end of a flow: an address and, where the packet has them all, a port. */
struct ends {
	uint64_t source, destination;
};

static struct ends ends_of_macs(const struct via_view *view)
{
	const uint8_t *mac = view->snapshot;

	if (view->snapshot_len < VIA_ETH_SIZE)
		return (struct ends){ 0, 0 };
	return (struct ends){
		.source = (uint64_t)via_get_be32(mac + 6) << 16 | via_get_be16(mac + 10),
		.destination = (uint64_t)via_get_be32(mac) << 16 | via_get_be16(mac + 4),
	};
}

static struct ends ends_of(const struct via_view *view)
{
	const uint8_t *ip = view->snapshot + view->l3;
	struct ends e;

	if (view->ethertype == VIA_ETHERTYPE_IPV4 &&
	    view->l3 + VIA_IPV4_SIZE <= view->snapshot_len) {
		e.source = via_get_be32(ip + VIA_IPV4_ADDRESSES);
		e.destination = via_get_be32(ip + VIA_IPV4_ADDRESSES + 4);
	} else if (view->ethertype == VIA_ETHERTYPE_IPV6 &&
		   view->l3 + VIA_IPV6_SIZE <= view->snapshot_len) {
		ip += VIA_IPV6_ADDRESSES;
		e.source = mix(load64(ip), load64(ip + 8));
		e.destination = mix(load64(ip + 16), load64(ip + 24));
	} else {
		return ends_of_macs(view);
	}
	if (view->payload) { /* TCP or UDP, no fragment */
		e.source ^= (uint64_t)via_get_be16(view->snapshot + view->l4) << 40;
		e.destination ^= (uint64_t)via_get_be16(view->snapshot + view->l4 + 2) << 40;
	}
	return e;
}

uint32_t via_view_flow(struct via_view *view)
{
	struct ends e;
	uint64_t hash;

	if (view->flow)
		return view->flow;
	if (!(view->flags & VIA_VIEW_PARSED))
		via_view_parse(view);
	e = ends_of(view);
	/* In the order of their values, so that both directions of a flow have the same hash. */
	hash = e.source < e.destination ? mix(e.source, e.destination)
					: mix(e.destination, e.source);
	if (view->payload)
		hash ^= view->l4_proto; /* all fragments of a packet have the same hash */
	view->flow = (uint32_t)hash ^ (uint32_t)(hash >> 32);
	if (view->flow == 0)
		view->flow = 1;
	return view->flow;
}
