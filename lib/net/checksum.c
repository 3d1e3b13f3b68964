/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071), alone and while copying.
 *
 * Sums are of 16-bit words as they lie in memory, so that nothing is swapped: the folded result is
 * stored as it is. The bulk adds the two halves of 64-bit words (AVX2: of four such words at a time)
 * into 64-bit lanes, which cannot overflow before 2^32 additions; what is left below a block is done
 * by words and, for the odd last byte, by a byte with zero after it.
 *
 * A copy loads each part once into a register, stores that register and adds that register: the
 * source may be memory that a peer rewrites meanwhile, and the sum must be of what was stored.
 */
#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "net/net.h"

#define BLOCK 64 /* bytes of a step of the bulk */

static inline uint32_t fold64(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

/* A load that happens exactly once, whatever the compiler thinks of the memory's stability. */
#define LOAD_ONCE(name, type)                                                    \
	static via_always_inline type name(const uint8_t *src)                   \
	{                                                                        \
		struct __attribute__((packed, may_alias)) word {                 \
			type value;                                              \
		};                                                               \
		return ((const volatile struct word *)(const void *)src)->value; \
	}
LOAD_ONCE(load64, uint64_t)
LOAD_ONCE(load32, uint32_t)
LOAD_ONCE(load16, uint16_t)
LOAD_ONCE(load8, uint8_t)

enum keep { SUM_ONLY, COPY_TOO };

static via_always_inline uint8_t *put(uint8_t *dst, const void *bytes, size_t size, enum keep keep)
{
	if (keep == SUM_ONLY)
		return NULL;
	memcpy(dst, bytes, size);
	return dst + size;
}

/* What is left after the blocks, or all where there are no wide vectors. */
static via_always_inline uint64_t sum_words(uint8_t *dst, const uint8_t *src, size_t len,
					    uint64_t sum, enum keep keep)
{
	for (; len >= 8; len -= 8, src += 8) {
		uint64_t word = load64(src);

		sum += (word & 0xffffffff) + (word >> 32);
		dst = put(dst, &word, 8, keep);
	}
	if (len & 4) {
		uint32_t half = load32(src);

		sum += half;
		dst = put(dst, &half, 4, keep);
		src += 4;
	}
	if (len & 2) {
		uint16_t quarter = load16(src);

		sum += quarter;
		dst = put(dst, &quarter, 2, keep);
		src += 2;
	}
	if (len & 1) {
		uint8_t last[2] = { load8(src), 0 };
		uint16_t padded;

		memcpy(&padded, last, sizeof(padded));
		sum += padded;
		put(dst, last, 1, keep);
	}
	return sum;
}

typedef uint64_t lanes __attribute__((vector_size(32)));
typedef uint64_t lanes_once __attribute__((vector_size(32), aligned(1), may_alias));

static via_always_inline uint64_t sum_wide(uint8_t *dst, const uint8_t *src, size_t len,
					   uint64_t sum, enum keep keep)
{
	const lanes low = { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff };
	lanes a = { 0 }, b = { 0 };

	for (; len >= BLOCK; len -= BLOCK) {
		lanes first = *(const volatile lanes_once *)(const void *)src;
		lanes second = *(const volatile lanes_once *)(const void *)(src + 32);

		if (keep == COPY_TOO) {
			*(lanes_once *)(void *)dst = first;
			*(lanes_once *)(void *)(dst + 32) = second;
			dst += BLOCK;
		}
		src += BLOCK;
		a += (first & low) + (first >> 32);
		b += (second & low) + (second >> 32);
	}
	a += b;
	/* Each lane holds less than 2^33 times the number of blocks: their sum fits as well. */
	return sum_words(dst, src, len, sum + a[0] + a[1] + a[2] + a[3], keep);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_avx2(uint8_t *dst, const uint8_t *src,
							 size_t len, uint64_t sum, enum keep keep)
{
	return keep == COPY_TOO ? sum_wide(dst, src, len, sum, COPY_TOO)
				: sum_wide(dst, src, len, sum, SUM_ONLY);
}

static bool has_avx2;

__attribute__((constructor)) static void look_at_cpu(void)
{
	has_avx2 = __builtin_cpu_supports("avx2");
}
#else
#define has_avx2 false
#define sum_avx2 sum_wide
#endif

static via_always_inline uint32_t sum_any(uint8_t *dst, const uint8_t *src, size_t len,
					  uint32_t sum, enum keep keep)
{
	if (len >= 2 * BLOCK && has_avx2)
		return fold64(sum_avx2(dst, src, len, sum, keep));
	return fold64(sum_words(dst, src, len, sum, keep));
}

uint32_t via_csum_add(uint32_t sum, const void *data, size_t len)
{
	return sum_any(NULL, data, len, sum, SUM_ONLY);
}

uint32_t via_csum_copy(void *dst, const void *src, size_t len, uint32_t sum)
{
	VIA_FUZZ_LOAD(src, len);
	return sum_any(dst, src, len, sum, COPY_TOO);
}

uint16_t via_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t via_csum_swap(uint32_t sum)
{
	/* 2^16 is 1 in these sums, so turning 32 bits by a byte swaps the bytes of the folded sum. */
	return sum << 24 | sum >> 8;
}
