/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few offsets and constants of Ethernet, IP, TCP and UDP that this folder reads and writes.
 * Headers are byte arrays here, read by net/bytes.h: they lie at any alignment.
 */
#ifndef VIA_NET_WIRE_H
#define VIA_NET_WIRE_H

#define VIA_ETH_SIZE 14
#define VIA_TAG_SIZE 4

enum {
	VIA_ETHERTYPE_IPV4 = 0x0800,
	VIA_ETHERTYPE_IPV6 = 0x86dd,
	VIA_ETHERTYPE_TAG = 0x8100,  /* 802.1Q */
	VIA_ETHERTYPE_QINQ = 0x88a8, /* 802.1ad */
};

/* IPv4, RFC 791: offsets from the header's first byte. */
enum {
	VIA_IPV4_LENGTH = 2,
	VIA_IPV4_ID = 4,
	VIA_IPV4_FRAGMENT = 6,
	VIA_IPV4_PROTOCOL = 9,
	VIA_IPV4_CHECKSUM = 10,
	VIA_IPV4_ADDRESSES = 12, /* source, destination */
	VIA_IPV4_SIZE = 20,      /* without options */
	VIA_IPV4_MORE_OR_OFFSET = 0x3fff,
	VIA_IPV4_OFFSET = 0x1fff,
};

/* IPv6, RFC 8200. */
enum {
	VIA_IPV6_LENGTH = 4,
	VIA_IPV6_NEXT = 6,
	VIA_IPV6_ADDRESSES = 8,
	VIA_IPV6_SIZE = 40,
};

/* Extension headers that lead on to another header, and fragment's own fields. */
enum {
	VIA_IPV6_HOP_BY_HOP = 0,
	VIA_IPV6_ROUTING = 43,
	VIA_IPV6_FRAGMENT = 44,
	VIA_IPV6_AUTH = 51,
	VIA_IPV6_DESTINATION = 60,
	VIA_IPV6_MAX_EXTENSIONS = 8,
};

enum {
	VIA_PROTO_TCP = 6,
	VIA_PROTO_UDP = 17,
};

/* TCP, RFC 9293; UDP, RFC 768. */
enum {
	VIA_TCP_SEQ = 4,
	VIA_TCP_DATA_OFFSET = 12, /* in the upper four bits, in words of four bytes */
	VIA_TCP_FLAGS = 13,
	VIA_TCP_CHECKSUM = 16,
	VIA_TCP_SIZE = 20,
	VIA_TCP_FIN = 0x01,
	VIA_TCP_PSH = 0x08,
	VIA_TCP_CWR = 0x80,
	VIA_UDP_LENGTH = 4,
	VIA_UDP_CHECKSUM = 6,
	VIA_UDP_SIZE = 8,
};

#endif
