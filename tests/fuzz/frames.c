/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame of any bytes with a virtio-net header of any bytes, from a sender with any offloads to a receiver
 * with any others: header.c, parse.c, offload.c, gso.c, checksum.c, scatter.c, as ports call them.
 *
 * What arrives is taken apart again by code that is slow and obvious: payload bytes are those that were sent,
 * checksums are right, no frame is longer than the receiver takes, and its header asks for nothing that the
 * receiver has not agreed to.
 */
#include <endian.h>
#include <string.h>

#include "net/header.h"
#include "net/net.h"
#include "net/scatter.h"
#include "tests/fuzz/arena.h"
#include "tests/fuzz/fuzz.h"

#define MAX_FRAME 20000
#define MAX_SENT  256 /* segments that are looked at */

static struct input in;
static uint8_t frame[MAX_FRAME];
static uint8_t arrived[VIA_FRAME_MAX + VIA_NET_HDR_MAX];

/* ---- slow and obvious ---- */

static uint32_t be16_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t be32_at(const uint8_t *at)
{
	return be16_at(at) << 16 | be16_at(at + 2);
}

/* Adds big-endian 16-bit words; a last odd byte is the upper half of one. */
static uint64_t slow_sum(uint64_t sum, const uint8_t *at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	return sum;
}

static uint32_t slow_fold(uint64_t sum)
{
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

static uint64_t slow_pseudo(const uint8_t *bytes, const struct via_view *view, uint32_t l4_len)
{
	const uint8_t *ip = bytes + view->l3;
	uint64_t sum = l4_len + view->l4_proto;

	return view->ethertype == 0x0800 ? slow_sum(sum, ip + 12, 8) : slow_sum(sum, ip + 8, 32);
}

/* ---- what goes in ---- */

static void make_ip(uint8_t how, uint32_t len)
{
	uint32_t at = 12;

	memset(frame, 0, 14);
	frame[5] = 1;
	frame[11] = 2;
	for (uint32_t tags = how >> 4 & 3; tags > 0 && tags < 3; tags--, at += 4) {
		frame[at] = tags == 2 ? 0x88 : 0x81;
		frame[at + 1] = tags == 2 ? 0xa8 : 0;
		frame[at + 3] = in_u8(&in);
	}
	frame[at] = how & 1 ? 0x86 : 0x08;
	frame[at + 1] = how & 1 ? 0xdd : 0;
	at += 2;
	if (how & 1) {
		frame[at] = 0x60;
		frame[at + 4] = (uint8_t)((len - at - 40) >> 8);
		frame[at + 5] = (uint8_t)(len - at - 40);
		frame[at + 6] = how & 2 ? 17 : 6;
		at += 40;
		if (how & 4) { /* an extension header */
			frame[at - 34] = in_u8(&in);
			frame[at] = how & 2 ? 17 : 6;
			frame[at + 1] = in_u8(&in) & 1;
			at += 8 + frame[at + 1] * 8u;
		}
	} else {
		frame[at] = how & 4 ? 0x46 : 0x45;
		frame[at + 2] = (uint8_t)((len - at) >> 8);
		frame[at + 3] = (uint8_t)(len - at);
		frame[at + 9] = how & 2 ? 17 : 6;
		at += how & 4 ? 24 : 20;
	}
	if (how & 2) {
		frame[at + 4] = (uint8_t)((len - at) >> 8);
		frame[at + 5] = (uint8_t)(len - at);
	} else {
		frame[at + 12] = how & 8 ? 0x80 : 0x50;
		frame[at + 13] = in_u8(&in);
	}
}

/* Where L4 probably begins, for a header that is probably right. */
static uint32_t guess_l4(uint8_t how)
{
	uint32_t tags = how >> 4 & 3;

	return 14 + (tags < 3 ? 4 * tags : 0) + (how & 1 ? 40 : 20) +
	       (how & 4 ? (how & 1 ? 8 : 4) : 0);
}

static uint32_t make_frame(struct via_net_hdr *hdr)
{
	const uint8_t how = in_u8(&in), asks = in_u8(&in);
	uint32_t len = in_u16(&in) % MAX_FRAME;
	uint32_t n = in_u8(&in);

	if (asks & 1)
		len %= 256;
	if (len < 14)
		len = 14;
	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 13 + (i >> 7));
	if ((how & 0x40) && len > 120)
		make_ip(how, len);
	for (n &= 15; n > 0; n--) { /* and some other bytes */
		uint32_t at = in_u8(&in);

		frame[at % len] = in_u8(&in);
	}
	memset(hdr, 0, sizeof(*hdr));
	if (!(asks & 2))
		return len;
	hdr->flags = VIA_HDR_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)guess_l4(how);
	hdr->csum_offset = how & 2 ? 6 : 16;
	hdr->hdr_len = (uint16_t)(hdr->csum_start + 20);
	if (asks & 4) {
		hdr->gso_type = how & 2   ? VIA_HDR_GSO_UDP_L4
				: how & 1 ? VIA_HDR_GSO_TCPV6
					  : VIA_HDR_GSO_TCPV4;
		hdr->gso_size = in_u16(&in) & 2047;
	}
	if (asks & 8)
		hdr->gso_type |= VIA_HDR_GSO_ECN;
	if (asks & 0x10)
		hdr->csum_start = in_u16(&in);
	if (asks & 0x20)
		hdr->csum_offset = in_u16(&in);
	if (asks & 0x40)
		hdr->gso_type = in_u8(&in);
	if (asks & 0x80)
		hdr->flags = in_u8(&in);
	return len;
}

static void cut_frame(struct via_view *view, struct via_piece *piece, uint32_t max)
{
	const uint8_t step = in_u8(&in);
	uint32_t at = view->snapshot_len;

	view->piece = piece;
	while (at < view->len) {
		uint32_t part = view->len - at;

		if (step > 0 && view->nr_pieces + 1u < max && part > step)
			part = view->nr_pieces & 1 ? step : step * 7u < part ? step * 7u : part;
		piece[view->nr_pieces++] = (struct via_piece){ frame + at, part };
		at += part;
	}
}

/* ---- what was found in it ---- */

static void check_parsed(struct via_view *view)
{
	struct via_view other;

	via_view_parse(view);
	INSIST(view->l3 <= view->snapshot_len && view->l4 <= view->snapshot_len);
	INSIST(view->payload <= view->len);
	INSIST(view->l4 == 0 || view->l4 > view->l3);
	INSIST(view->payload == 0 || view->payload > view->l4);
	INSIST(via_view_flow(view) != 0);
	if (view->l4 == 0 || view->l4_proto == 0 || view->l4 + 4u > view->snapshot_len ||
	    (view->ethertype == 0x0800 && be16_at(view->snapshot + view->l3 + 6) & 0x3fff))
		return;
	/* The way back is the same flow. */
	other = *view;
	other.flow = 0;
	for (uint32_t i = 0; i < (view->ethertype == 0x0800 ? 4u : 16u); i++) {
		const uint32_t size = view->ethertype == 0x0800 ? 4 : 16;
		const uint32_t source = view->l3 + (size == 4 ? 12u : 8u) + i;

		other.snapshot[source] = view->snapshot[source + size];
		other.snapshot[source + size] = view->snapshot[source];
	}
	if (view->l4_proto == 6 || view->l4_proto == 17) {
		memcpy(other.snapshot + view->l4, view->snapshot + view->l4 + 2, 2);
		memcpy(other.snapshot + view->l4 + 2, view->snapshot + view->l4, 2);
	}
	INSIST(via_view_flow(&other) == view->flow);
}

/* ---- what arrives ---- */

static struct via_net_hdr arrived_header(uint32_t hdr_size)
{
	struct via_net_hdr hdr = { 0 };

	memcpy(&hdr, arrived, hdr_size);
	return hdr;
}

/* Writes the view into a receiver's buffers of odd sizes between bytes that cannot be touched, then gathers
 * it in 'arrived'. */
static void send(const struct via_view *view, uint32_t offloads, enum via_fix fix,
		 uint32_t hdr_size, uint8_t step)
{
	const uint32_t total = hdr_size + view->len;
	struct via_seg seg[8];
	struct via_net_hdr hdr;
	uint32_t n = 0, at = 0;

	arena_reset();
	while (at < total) {
		uint32_t part = n < 7 && step && total - at > step ? step : total - at;

		seg[n++] = (struct via_seg){ arena_add(part), part };
		at += part;
	}
	via_header_write(&hdr, view, offloads, fix, 1);
	if (fix == VIA_FIX_CSUM)
		via_scatter_csum(seg, &hdr, hdr_size, view);
	else
		via_scatter(seg, &hdr, hdr_size, view);
	at = 0;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(arrived + at, seg[i].base, seg[i].len);
		at += seg[i].len;
	}
}

static void check_header(const struct via_view *view, uint32_t offloads, enum via_fix fix,
			 uint32_t hdr_size)
{
	const struct via_net_hdr hdr = arrived_header(hdr_size);
	uint32_t needs = 0;

	INSIST(hdr.hash_value == 0 && hdr.hash_report == 0 && hdr.padding == 0);
	if (hdr.flags & VIA_HDR_NEEDS_CSUM) {
		INSIST(fix == VIA_FIX_NONE && offloads & VIA_OFFLOAD_CSUM);
		INSIST(le16toh(hdr.csum_start) + le16toh(hdr.csum_offset) + 2u <= view->len);
	}
	switch (hdr.gso_type & 0x7f) {
	case VIA_HDR_GSO_NONE:
		break;
	case VIA_HDR_GSO_TCPV4:
		needs = VIA_OFFLOAD_TSO4;
		break;
	case VIA_HDR_GSO_TCPV6:
		needs = VIA_OFFLOAD_TSO6;
		break;
	default:
		INSIST(hdr.gso_type == VIA_HDR_GSO_UDP_L4);
		INSIST(offloads & (VIA_OFFLOAD_USO4 | VIA_OFFLOAD_USO6));
	}
	INSIST((offloads & needs) == needs);
	INSIST(!(hdr.gso_type & VIA_HDR_GSO_ECN) || offloads & VIA_OFFLOAD_ECN);
	if (hdr.gso_type)
		INSIST(hdr.flags & VIA_HDR_NEEDS_CSUM && le16toh(hdr.gso_size) > 0);
}

/* The frame as it was, but for the checksum that was to be filled in. */
static void check_whole(const struct via_view *view, enum via_fix fix, uint32_t hdr_size)
{
	const uint8_t *got = arrived + hdr_size;
	const uint32_t field = view->csum_start + view->csum_offset;
	uint32_t sum;

	for (uint32_t i = 0; i < view->len; i++)
		if (fix == VIA_FIX_NONE || (i != field && i != field + 1))
			INSIST(got[i] == frame[i]);
	if (fix != VIA_FIX_CSUM)
		return;
	sum = 0xffff &
	      ~slow_fold(slow_sum(0, frame + view->csum_start, view->len - view->csum_start));
	if (sum == 0 && view->csum_offset == 6)
		sum = 0xffff;
	/* The field may lie at an odd place of the sum: then its bytes count the other way round. */
	INSIST(be16_at(got + field) == sum || view->csum_offset & 1);
}

/* One segment: headers of its own, the slice of the payload, checksums. */
static void check_segment(const struct via_view *whole, uint32_t index, uint32_t count,
			  uint32_t mtu, enum via_fix fix, uint32_t len, uint32_t hdr_size)
{
	const uint8_t *got = arrived + hdr_size;
	const uint32_t payload_len = len - whole->payload, l4_len = len - whole->l4;
	const uint32_t done = index * whole->gso_size;
	const uint32_t field = whole->l4 + (whole->gso == VIA_GSO_UDP ? 6u : 16u);
	uint64_t sum;

	INSIST(payload_len > 0 && payload_len <= whole->gso_size);
	INSIST(payload_len == whole->gso_size || index + 1 == count);
	INSIST(mtu == 0 || len - whole->l3 <= mtu);
	INSIST(memcmp(got + whole->payload, frame + whole->payload + done, payload_len) == 0);
	INSIST(memcmp(got, frame, whole->l3) == 0);
	if (whole->ethertype == 0x0800) {
		const uint32_t ihl = (got[whole->l3] & 15u) * 4;

		INSIST(be16_at(got + whole->l3 + 2) == len - whole->l3);
		INSIST(slow_fold(slow_sum(0, got + whole->l3, ihl)) == 0xffff);
		INSIST((uint16_t)(be16_at(frame + whole->l3 + 4) + index) ==
		       be16_at(got + whole->l3 + 4));
	} else {
		INSIST(be16_at(got + whole->l3 + 4) == len - whole->l3 - 40);
	}
	if (whole->gso == VIA_GSO_UDP)
		INSIST(be16_at(got + whole->l4 + 4) == l4_len);
	else
		INSIST(be32_at(got + whole->l4 + 4) == be32_at(frame + whole->l4 + 4) + done);
	sum = slow_pseudo(got, whole, l4_len);
	if (fix == VIA_FIX_CSUM)
		INSIST(slow_fold(slow_sum(sum, got + whole->l4, l4_len)) == 0xffff);
	else
		INSIST(slow_fold(sum) % 0xffff == be16_at(got + field) % 0xffff);
}

static void check_cut(struct via_view *view, uint32_t offloads, uint32_t mtu, uint32_t hdr_size,
		      uint8_t step)
{
	struct via_view segment[8];
	struct via_piece piece[64];
	struct via_gso_iter iter;
	enum via_drop why;
	uint32_t n, sent = 0, payload = 0;
	const uint32_t count = via_gso_begin(&iter, view, &why);

	INSIST(count <= VIA_GSO_MAX_SEGMENTS);
	if (count == 0)
		return;
	while ((n = via_gso_next(&iter, segment, 8, piece, 64)) > 0) {
		for (uint32_t i = 0; i < n; i++, sent++) {
			const enum via_fix fix = via_view_fix(&segment[i], offloads, 0, &why);

			INSIST(fix == VIA_FIX_NONE || fix == VIA_FIX_CSUM);
			payload += segment[i].len - view->payload;
			if (sent >= MAX_SENT)
				continue;
			send(&segment[i], offloads, fix, hdr_size, step);
			check_header(&segment[i], offloads, fix, hdr_size);
			check_segment(view, sent, count, mtu, fix, segment[i].len, hdr_size);
		}
	}
	INSIST(sent == iter.index);
	INSIST(sent < count || payload == view->len - view->payload);
}

/* To one receiver. */
static void check_receiver(const struct via_view *original, uint32_t offloads, uint32_t mtu,
			   uint32_t hdr_size, uint8_t step)
{
	struct via_view view = *original;
	enum via_drop why = VIA_NR_DROPS;
	const enum via_fix fix = via_view_fix(&view, offloads, mtu, &why);

	switch (fix) {
	case VIA_FIX_DROP:
		INSIST(why < VIA_NR_DROPS);
		return;
	case VIA_FIX_SEGMENT:
		check_cut(&view, offloads, mtu, hdr_size, step);
		return;
	default:
		if (mtu && view.gso == VIA_GSO_NONE)
			INSIST(view.len <= mtu + 14 + 12); /* three tags at most */
		send(&view, offloads, fix, hdr_size, step);
		check_header(&view, offloads, fix, hdr_size);
		check_whole(&view, fix, hdr_size);
	}
}

/* What requirements leave of a choice, as negotiation would (VN-08). */
static uint32_t pick_offloads(void)
{
	uint32_t offloads = in_u8(&in) & VIA_OFFLOAD_ALL;

	if (!(offloads & VIA_OFFLOAD_CSUM))
		return 0;
	if (!(offloads & (VIA_OFFLOAD_TSO4 | VIA_OFFLOAD_TSO6)))
		offloads &= ~(uint32_t)VIA_OFFLOAD_ECN;
	return offloads;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t sizes[] = { 10, 12, 20, 12 };
	static struct via_piece piece[40];
	struct via_view view = { 0 };
	struct via_net_hdr hdr;
	uint32_t from, to, mtu, hdr_size;
	enum via_hdr_from who;
	uint8_t how, step;

	in = (struct input){ data, data + size };
	from = pick_offloads();
	to = pick_offloads();
	how = in_u8(&in);
	step = in_u8(&in);
	who = how & 1 ? VIA_HDR_FROM_DRIVER : VIA_HDR_FROM_DEVICE;
	hdr_size = sizes[how >> 1 & 3];
	mtu = how & 8 ? 68 + (how >> 4) * 600u : 0;
	view.len = make_frame(&hdr);
	view.snapshot_len = (uint16_t)via_min_u(view.len, VIA_SNAPSHOT_SIZE);
	memcpy(view.snapshot, frame, view.snapshot_len);
	cut_frame(&view, piece, ARRAY_SIZE(piece));
	if (!via_header_read(&view, &hdr, from, who))
		return 0;
	check_parsed(&view);
	check_receiver(&view, to, mtu, hdr_size, step);
	check_receiver(&view, 0, mtu, 12, step);
	check_receiver(&view, VIA_OFFLOAD_ALL, 0, 12, 0);
	return 0;
}
