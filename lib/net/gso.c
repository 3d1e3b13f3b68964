/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segmentation: a TCP or UDP packet of up to 64 KiB becomes the packets that a network card would have
 * made of it (TSO, USO).
 *
 * Each segment is a view whose snapshot is a rewritten copy of the headers and whose pieces are slices
 * of the original's payload, so nothing of the payload is touched here. The transport checksum field
 * gets the sum of the pseudo header: the segment is a packet with a partial checksum like any other.
 *
 * Headers are those of the snapshot, found by our parser. What the sender wrote into length and
 * checksum fields of the big packet is not used (some systems leave them zero).
 */
#include "net/bytes.h"
#include "net/net.h"
#include "net/wire.h"

/* A routing header changes which destination the pseudo header has; authentication and fragments make
 * no sense in what is yet to be cut. */
static bool has_unfit_extension(const struct via_view *view)
{
	const uint8_t *bytes = view->snapshot;
	uint8_t next = bytes[view->l3 + VIA_IPV6_NEXT];
	uint32_t at = view->l3 + VIA_IPV6_SIZE;

	/* The parser has walked the same headers: all lie before l4. */
	while (at < view->l4) {
		if (next == VIA_IPV6_ROUTING || next == VIA_IPV6_AUTH || next == VIA_IPV6_FRAGMENT)
			return true;
		next = bytes[at];
		at += (bytes[at + 1] + 1u) * 8;
	}
	return false;
}

static bool can_cut(struct via_view *view)
{
	if (!(view->flags & VIA_VIEW_PARSED))
		via_view_parse(view);
	if (view->gso_size == 0 || view->payload == 0 || view->payload > view->snapshot_len)
		return false;
	if (view->l4_proto != (view->gso == VIA_GSO_UDP ? VIA_PROTO_UDP : VIA_PROTO_TCP))
		return false;
	/* A segment's length must fit its 16-bit fields. */
	if (view->payload - view->l3 + via_min_u(view->gso_size, view->len - view->payload) >
	    UINT16_MAX)
		return false;
	switch (view->ethertype) {
	case VIA_ETHERTYPE_IPV4:
		return view->gso != VIA_GSO_TCPV6;
	case VIA_ETHERTYPE_IPV6:
		return view->gso != VIA_GSO_TCPV4 && !has_unfit_extension(view);
	default:
		return false;
	}
}

/* The pseudo header's sum but for the length (RFC 9293 §3.1, RFC 8200 §8.1). */
static uint32_t sum_addresses(const struct via_view *view)
{
	const uint8_t *ip = view->snapshot + view->l3;
	uint32_t sum = htobe16(view->l4_proto);

	return view->ethertype == VIA_ETHERTYPE_IPV4
		       ? via_csum_add(sum, ip + VIA_IPV4_ADDRESSES, 8)
		       : via_csum_add(sum, ip + VIA_IPV6_ADDRESSES, 32);
}

uint32_t via_gso_begin(struct via_gso_iter *iter, struct via_view *view, enum via_drop *why)
{
	uint32_t n = 0;

	if (view->gso != VIA_GSO_NONE && can_cut(view))
		n = (view->len - view->payload + view->gso_size - 1) / view->gso_size;
	if (n == 0 || n > VIA_GSO_MAX_SEGMENTS) { /* 0 also where nothing follows the headers */
		*why = VIA_DROP_NO_OFFLOAD;
		return 0;
	}
	*iter = (struct via_gso_iter){
		.view = view,
		.offset = view->payload,
		.nr_segments = n,
		.addresses = sum_addresses(view),
	};
	return n;
}

/* ---- headers of one segment ---- */

static void rewrite_ip(uint8_t *ip, const struct via_view *view, uint32_t index, uint32_t len)
{
	uint16_t id;

	if (view->ethertype == VIA_ETHERTYPE_IPV6) {
		via_put_be16(ip + VIA_IPV6_LENGTH, (uint16_t)(len - VIA_IPV6_SIZE));
		return;
	}
	via_put_be16(ip + VIA_IPV4_LENGTH, (uint16_t)len);
	id = via_get_be16(ip + VIA_IPV4_ID);
	via_put_be16(ip + VIA_IPV4_ID, (uint16_t)(id + index));
	memset(ip + VIA_IPV4_CHECKSUM, 0, 2);
	id = via_csum_fold(via_csum_add(0, ip, (ip[0] & 15u) * 4));
	memcpy(ip + VIA_IPV4_CHECKSUM, &id, 2);
}

static void rewrite_tcp(uint8_t *tcp, const struct via_gso_iter *iter)
{
	uint32_t seq = via_get_be32(tcp + VIA_TCP_SEQ);

	via_put_be32(tcp + VIA_TCP_SEQ, seq + iter->index * iter->view->gso_size);
	if (iter->index > 0)
		tcp[VIA_TCP_FLAGS] &= (uint8_t)~VIA_TCP_CWR;
	if (iter->index + 1 < iter->nr_segments)
		tcp[VIA_TCP_FLAGS] &= (uint8_t) ~(VIA_TCP_FIN | VIA_TCP_PSH);
}

/* The partial checksum is the pseudo header's sum, not complemented. */
static void put_pseudo_sum(uint8_t *field, uint32_t addresses, uint32_t l4_len)
{
	uint16_t length = htobe16((uint16_t)l4_len);
	uint16_t sum = (uint16_t)~via_csum_fold(via_csum_add(addresses, &length, 2));

	memcpy(field, &sum, 2);
}

static void make_segment(const struct via_gso_iter *iter, struct via_view *segment,
			 uint32_t payload_len)
{
	const struct via_view *view = iter->view;
	uint32_t len = view->payload + payload_len;
	uint8_t *l4;

	memcpy(segment, view, offsetof(struct via_view, snapshot));
	memcpy(segment->snapshot, view->snapshot, view->payload);
	segment->len = len;
	segment->snapshot_len = view->payload;
	segment->gso = VIA_GSO_NONE;
	segment->gso_size = 0;
	segment->flags &= (uint8_t) ~(VIA_VIEW_ECN | VIA_VIEW_CSUM_VALID);
	segment->flags |= VIA_VIEW_NEEDS_CSUM;
	segment->csum_start = view->l4;
	segment->csum_offset = view->gso == VIA_GSO_UDP ? VIA_UDP_CHECKSUM : VIA_TCP_CHECKSUM;

	rewrite_ip(segment->snapshot + view->l3, view, iter->index, len - view->l3);
	l4 = segment->snapshot + view->l4;
	if (view->gso == VIA_GSO_UDP)
		via_put_be16(l4 + VIA_UDP_LENGTH, (uint16_t)(len - view->l4));
	else
		rewrite_tcp(l4, iter);
	put_pseudo_sum(l4 + segment->csum_offset, iter->addresses, len - view->l4);
}

/* ---- payload of one segment ---- */

static struct via_piece piece_at(const struct via_gso_iter *iter)
{
	const struct via_view *view = iter->view;

	if (iter->nr_piece == 0)
		return (struct via_piece){ view->snapshot + view->payload,
					   (uint32_t)(view->snapshot_len - view->payload) };
	return view->piece[iter->nr_piece - 1];
}

/* Slices the next 'len' payload bytes. Returns how many pieces that took, or 0 if 'max' are too few:
 * then 'iter' has not moved. */
static uint32_t slice(struct via_gso_iter *iter, uint32_t len, struct via_piece *pieces,
		      uint32_t max)
{
	struct via_gso_iter next = *iter;
	uint32_t n = 0;

	while (len > 0) {
		struct via_piece whole = piece_at(&next);
		uint32_t take = via_min_u(whole.len - next.piece_used, len);

		if (take > 0) {
			if (n == max)
				return 0;
			pieces[n++] = (struct via_piece){ whole.base + next.piece_used, take };
			next.piece_used += take;
			next.offset += take;
			len -= take;
		}
		if (next.piece_used == whole.len) {
			next.nr_piece++;
			next.piece_used = 0;
		}
	}
	*iter = next;
	return n;
}

uint32_t via_gso_next(struct via_gso_iter *iter, struct via_view *views, uint32_t max,
		      struct via_piece *pieces, uint32_t max_pieces)
{
	const struct via_view *view = iter->view;
	uint32_t n, used = 0;

	for (n = 0; n < max && iter->index < iter->nr_segments; n++) {
		uint32_t len = via_min_u(view->gso_size, view->len - iter->offset);
		uint32_t nr = slice(iter, len, pieces + used, max_pieces - used);

		if (nr == 0)
			break;
		make_segment(iter, &views[n], len);
		views[n].piece = pieces + used;
		views[n].nr_pieces = (uint16_t)nr;
		used += nr;
		iter->index++;
	}
	return n;
}
