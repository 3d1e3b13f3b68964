/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/client/frame.h"

#include <string.h>

#include "net/bytes.h"
#include "net/header.h"
#include "net/wire.h"

enum { L3 = VIA_ETH_SIZE, L4 = L3 + VIA_IPV4_SIZE };

uint32_t frame_headers(const struct frame_spec *spec)
{
	return L4 + (spec->gso ? VIA_TCP_SIZE : VIA_UDP_SIZE);
}

static void put_address(uint8_t mac[6], uint32_t number)
{
	const uint8_t unicast[6] = {
		0x02, 0x76, 0x64, 0x00, (uint8_t)(number >> 8), (uint8_t)number
	};

	if (number == FRAME_TO_ALL)
		memset(mac, 0xff, 6);
	else
		memcpy(mac, unicast, 6);
}

static uint32_t sum(const uint8_t *bytes, uint32_t len)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < len; i += 2)
		total += via_get_be16(bytes + i);
	return total;
}

static uint16_t fold(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	return (uint16_t)(total + (total >> 16));
}

static void put_ipv4(uint8_t *ip, const struct frame_spec *spec)
{
	ip[0] = 0x45;
	via_put_be16(ip + VIA_IPV4_LENGTH, (uint16_t)(spec->size - L3));
	ip[8] = 64;
	ip[VIA_IPV4_PROTOCOL] = spec->gso ? VIA_PROTO_TCP : VIA_PROTO_UDP;
	via_put_be16(ip + VIA_IPV4_ADDRESSES, 0x0a4c); /* 10.76.x.y: a port's number */
	via_put_be16(ip + VIA_IPV4_ADDRESSES + 2, (uint16_t)(spec->from + 1));
	via_put_be16(ip + VIA_IPV4_ADDRESSES + 4, 0x0a4c);
	via_put_be16(ip + VIA_IPV4_ADDRESSES + 6, (uint16_t)(spec->to + 1));
	via_put_be16(ip + VIA_IPV4_CHECKSUM, (uint16_t)~fold(sum(ip, VIA_IPV4_SIZE)));
}

static void put_udp(uint8_t *udp, const struct frame_spec *spec)
{
	via_put_be16(udp, 9);
	via_put_be16(udp + 2, 9);
	via_put_be16(udp + VIA_UDP_LENGTH, (uint16_t)(spec->size - L4)); /* without checksum */
}

/* With the sum of the pseudo header where the checksum belongs: the rest is the receiver's. */
static void put_tcp(uint8_t *tcp, const uint8_t *ip, const struct frame_spec *spec)
{
	via_put_be16(tcp, 9);
	via_put_be16(tcp + 2, 9);
	tcp[VIA_TCP_DATA_OFFSET] = VIA_TCP_SIZE / 4 << 4;
	tcp[VIA_TCP_FLAGS] = 0x10;      /* ACK */
	via_put_be16(tcp + 14, 0xffff); /* window */
	via_put_be16(tcp + VIA_TCP_CHECKSUM,
		     fold(sum(ip + VIA_IPV4_ADDRESSES, 8) + VIA_PROTO_TCP + spec->size - L4));
}

void frame_write(uint8_t *bytes, const struct frame_spec *spec)
{
	struct via_net_hdr hdr = { 0 };
	uint8_t *frame = bytes + FRAME_HEADER;

	memset(frame, 0, spec->size);
	put_address(frame, spec->to);
	put_address(frame + 6, spec->from);
	via_put_be16(frame + 12, VIA_ETHERTYPE_IPV4);
	put_ipv4(frame + L3, spec);
	if (spec->gso) {
		put_tcp(frame + L4, frame + L3, spec);
		hdr = (struct via_net_hdr){
			.flags = VIA_HDR_NEEDS_CSUM,
			.gso_type = VIA_HDR_GSO_TCPV4,
			.hdr_len = htole16((uint16_t)frame_headers(spec)),
			.gso_size = htole16(FRAME_MSS),
			.csum_start = htole16(L4),
			.csum_offset = htole16(VIA_TCP_CHECKSUM),
		};
	} else {
		put_udp(frame + L4, spec);
	}
	memcpy(bytes, &hdr, FRAME_HEADER);
}

uint64_t frame_mark(const struct frame_spec *spec)
{
	uint8_t addresses[12];
	uint64_t mark;

	put_address(addresses, spec->to);
	put_address(addresses + 6, spec->from);
	memcpy(&mark, addresses + FRAME_MARK, sizeof(mark));
	return mark;
}
