/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers in network order at any address of private memory (a view's snapshot, a header on the
 * stack). Memory that a peer also writes is never accessed by these: see base/shared.h.
 */
#ifndef VIA_NET_BYTES_H
#define VIA_NET_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t via_get_be16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

static inline uint32_t via_get_be32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static inline void via_put_be16(uint8_t *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void via_put_be32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

#endif
