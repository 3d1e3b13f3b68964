/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for tests of lib/net: built plainly, byte by byte, and seen as views over pieces of any size.
 * Knows the protocols by itself, on purpose: it is what the library is compared with.
 */
#ifndef TEST_FRAME_H
#define TEST_FRAME_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/header.h"
#include "net/net.h"
#include "tests/test.h"

struct frame {
	uint32_t len, l3, l4, payload;
	uint8_t bytes[70000];
};

struct frame_shape {
	int tags;    /* VLAN tags, outermost 802.1Q */
	int version; /* 4 or 6; 0: no IP */
	int proto;   /* 6, 17 or another */
	int ip_options; /* bytes, IPv4: a multiple of 4; IPv6: of one extension header, multiple of 8 */
	int tcp_options;  /* bytes, a multiple of 4 */
	uint32_t payload; /* bytes */
	uint8_t tcp_flags;
};

static inline void frame_put16(struct frame *f, uint32_t at, uint32_t value)
{
	f->bytes[at] = (uint8_t)(value >> 8);
	f->bytes[at + 1] = (uint8_t)value;
}

static inline uint32_t frame_get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* The sum of 16-bit big-endian words, as RFC 1071 says it, folded at once. */
static inline uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* The sum of the transport pseudo header of 'f', for 'l4_len' bytes. */
static inline uint32_t plain_pseudo(const struct frame *f, uint32_t proto, uint32_t l4_len)
{
	const uint8_t *ip = f->bytes + f->l3;
	uint8_t tail[4] = { (uint8_t)(l4_len >> 8), (uint8_t)l4_len, 0, (uint8_t)proto };
	uint32_t sum = ip[0] >> 4 == 4 ? plain_sum(0, ip + 12, 8) : plain_sum(0, ip + 8, 32);

	return plain_sum(sum, tail, 4);
}

static inline uint32_t frame_csum_offset(int proto)
{
	return proto == 6 ? 16 : 6;
}

static inline void frame_ip(struct frame *f, const struct frame_shape *s)
{
	uint8_t *ip = f->bytes + f->l3;

	if (s->version == 4) {
		ip[0] = (uint8_t)(0x45 + s->ip_options / 4);
		frame_put16(f, f->l3 + 2, f->len - f->l3);
		frame_put16(f, f->l3 + 4, 0xfffe); /* wraps within three segments */
		frame_put16(f, f->l3 + 6, 0x4000);
		ip[8] = 64;
		ip[9] = (uint8_t)s->proto;
		memcpy(ip + 12, "\x0a\x01\x02\x03\xc0\xa8\x07\x09", 8);
		memset(ip + 20, 1, (size_t)s->ip_options);
		frame_put16(f, f->l3 + 10, ~plain_sum(0, ip, 20 + (uint32_t)s->ip_options));
	} else {
		ip[0] = 0x60;
		frame_put16(f, f->l3 + 4, f->len - f->l3 - 40);
		ip[6] = (uint8_t)(s->ip_options ? 60 : s->proto);
		ip[7] = 64;
		for (int i = 0; i < 32; i++)
			ip[8 + i] = (uint8_t)(0x20 + 7 * i);
		if (s->ip_options) {
			memset(ip + 40, 0, (size_t)s->ip_options);
			ip[40] = (uint8_t)s->proto;
			ip[41] = (uint8_t)(s->ip_options / 8 - 1);
		}
	}
}

/* Fills 'f' with the frame of that shape; payload bytes are a pattern; the transport checksum field
 * holds the pseudo header's sum, as with NEEDS_CSUM. */
static inline void frame_make(struct frame *f, const struct frame_shape *s)
{
	uint32_t l4_size = s->proto == 6 ? 20 + (uint32_t)s->tcp_options : 8;

	memset(f->bytes, 0, 256);
	memcpy(f->bytes, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01", 12);
	f->l3 = 12;
	for (int i = 0; i < s->tags; i++, f->l3 += 4) {
		frame_put16(f, f->l3, 0x8100);
		frame_put16(f, f->l3 + 2, 100 + (uint32_t)i);
	}
	frame_put16(f, f->l3, s->version == 4 ? 0x0800 : s->version == 6 ? 0x86dd : 0x88b5);
	f->l3 += 2;
	if (s->version == 0) {
		f->l4 = f->payload = f->l3;
	} else {
		f->l4 = f->l3 + (s->version == 4 ? 20 : 40) + (uint32_t)s->ip_options;
		f->payload = f->l4 + l4_size;
	}
	f->len = f->payload + s->payload;
	for (uint32_t i = f->payload; i < f->len; i++)
		f->bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + 1);
	if (s->version == 0)
		return;
	frame_ip(f, s);
	frame_put16(f, f->l4, 1234);
	frame_put16(f, f->l4 + 2, 443);
	if (s->proto == 6) {
		frame_put16(f, f->l4 + 4, 0xffff);
		frame_put16(f, f->l4 + 6, 0xfff0); /* sequence numbers wrap */
		f->bytes[f->l4 + 12] = (uint8_t)(l4_size / 4 << 4);
		f->bytes[f->l4 + 13] = s->tcp_flags;
		memset(f->bytes + f->l4 + 20, 1, (size_t)s->tcp_options);
	} else if (s->proto == 17) {
		frame_put16(f, f->l4 + 4, f->len - f->l4);
	}
	if (s->proto == 6 || s->proto == 17)
		frame_put16(f, f->l4 + frame_csum_offset(s->proto),
			    plain_pseudo(f, (uint32_t)s->proto, f->len - f->l4));
}

/* Segment 'i' of 'f' cut at 'size', into 'out': what its sender would itself have sent in packets of that
 * size, headers as the RFCs want them, full checksum included. */
static inline void frame_segment(struct frame *out, const struct frame *f,
				 const struct frame_shape *s, uint32_t size, uint32_t i)
{
	uint32_t at = f->payload + i * size;
	uint32_t part = f->len - at < size ? f->len - at : size;
	bool last = at + part == f->len;
	uint32_t field = f->l4 + frame_csum_offset(s->proto), seq;

	out->l3 = f->l3;
	out->l4 = f->l4;
	out->len = f->payload + part;
	memcpy(out->bytes, f->bytes, f->payload);
	memcpy(out->bytes + f->payload, f->bytes + at, part);
	if (s->version == 4) {
		uint8_t *ip = out->bytes + f->l3;

		frame_put16(out, f->l3 + 2, out->len - f->l3);
		frame_put16(out, f->l3 + 4, frame_get16(ip + 4) + i);
		frame_put16(out, f->l3 + 10, 0);
		frame_put16(out, f->l3 + 10, ~plain_sum(0, ip, f->l4 - f->l3));
	} else {
		frame_put16(out, f->l3 + 4, out->len - f->l3 - 40);
	}
	if (s->proto == 6) {
		seq = (frame_get16(f->bytes + f->l4 + 4) << 16 |
		       frame_get16(f->bytes + f->l4 + 6)) +
		      i * size;
		frame_put16(out, f->l4 + 4, seq >> 16);
		frame_put16(out, f->l4 + 6, seq);
		if (i > 0)
			out->bytes[f->l4 + 13] &= 0x7f;
		if (!last)
			out->bytes[f->l4 + 13] &= 0xf6;
	} else {
		frame_put16(out, f->l4 + 4, out->len - f->l4);
	}
	frame_put16(out, field, 0);
	frame_put16(out, field,
		    ~plain_sum(plain_pseudo(out, (uint32_t)s->proto, out->len - f->l4),
			       out->bytes + f->l4, out->len - f->l4));
}

/* A view of the frame: the snapshot, then pieces of at most 'piece_size' bytes from 'pieces'. */
static inline void frame_view(struct via_view *view, const struct frame *f,
			      struct via_piece *pieces, uint32_t piece_size)
{
	uint32_t at, n = 0;

	memset(view, 0, sizeof(*view));
	view->len = f->len;
	view->snapshot_len = (uint16_t)(f->len < VIA_SNAPSHOT_SIZE ? f->len : VIA_SNAPSHOT_SIZE);
	memcpy(view->snapshot, f->bytes, view->snapshot_len);
	memset(view->snapshot + view->snapshot_len, 0xee, VIA_SNAPSHOT_SIZE - view->snapshot_len);
	for (at = view->snapshot_len; at < f->len; at += pieces[n++].len) {
		pieces[n].base = f->bytes + at;
		pieces[n].len = f->len - at < piece_size ? f->len - at : piece_size;
	}
	view->piece = pieces;
	view->nr_pieces = (uint16_t)n;
}

/* All bytes of a view, in order. Returns how many. */
static inline uint32_t view_bytes(const struct via_view *view, uint8_t *to)
{
	uint32_t n = view->snapshot_len;

	memcpy(to, view->snapshot, n);
	for (uint32_t i = 0; i < view->nr_pieces; i++) {
		memcpy(to + n, view->piece[i].base, view->piece[i].len);
		n += view->piece[i].len;
	}
	return n;
}

#endif
