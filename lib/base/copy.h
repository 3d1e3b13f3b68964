/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving packets' bytes between memories, one of which may be changing under us.
 *
 * Short copies (headers, small frames, the tails of long ones) are open-coded: two moves that overlap
 * in the middle copy any length between one and two times their width, without a loop and without a
 * test a byte. Long ones go to libc, which has chosen the widest way for this CPU at program start.
 *
 * Where the moves overlap a byte is read twice, and the later read is what arrives. That is harmless
 * here and only here: nobody looks at these bytes but their receiver. What is judged is in snapshots.
 */
#ifndef VIA_COPY_H
#define VIA_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

/* A move of a constant width: one load and one store. */
#define VIA_MOVE(type, dst, src)                                  \
	do {                                                      \
		type value_;                                      \
		__builtin_memcpy(&value_, (src), sizeof(value_)); \
		__builtin_memcpy((dst), &value_, sizeof(value_)); \
	} while (0)

/* 16 bytes, in a vector register where there is one. */
typedef uint64_t via_move16 __attribute__((vector_size(16)));

/* Copies 'len' bytes; the areas do not overlap. Thread: any. */
static via_always_inline void via_copy(void *dst, const void *src, size_t len)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	VIA_FUZZ_LOAD(src, len);
	if (len > 64) {
		memcpy(d, s, len);
	} else if (len >= 32) {
		VIA_MOVE(via_move16, d, s);
		VIA_MOVE(via_move16, d + 16, s + 16);
		VIA_MOVE(via_move16, d + len - 32, s + len - 32);
		VIA_MOVE(via_move16, d + len - 16, s + len - 16);
	} else if (len >= 16) {
		VIA_MOVE(via_move16, d, s);
		VIA_MOVE(via_move16, d + len - 16, s + len - 16);
	} else if (len >= 8) {
		VIA_MOVE(uint64_t, d, s);
		VIA_MOVE(uint64_t, d + len - 8, s + len - 8);
	} else if (len >= 4) {
		VIA_MOVE(uint32_t, d, s);
		VIA_MOVE(uint32_t, d + len - 4, s + len - 4);
	} else if (len >= 2) {
		VIA_MOVE(uint16_t, d, s);
		VIA_MOVE(uint16_t, d + len - 2, s + len - 2);
	} else if (len == 1) {
		*d = *s;
	}
}

/* Makes a private copy of 'len' bytes that a peer may be writing: what is judged afterwards is the copy, and
 * nothing of it is read again. Thread: any. */
static via_always_inline void via_copy_private(void *dst, const void *src, size_t len)
{
	VIA_FUZZ_LOAD(src, len);
	__builtin_memcpy(dst, src, len);
}

#endif
