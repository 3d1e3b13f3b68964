/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words in memory that a peer (guest, device, other process) also reads and writes.
 *
 * A shared word is a struct, so that using it as a number does not compile: every access names its
 * byte order and its memory order, and happens exactly once. Nothing else in this tree (volatile,
 * __sync, inline assembly) touches shared memory, except the copy routines for packets' bytes (copy.h).
 *
 *   look at a field, prepare a field            via_leN_load, via_leN_store (relaxed)
 *   see what the peer published, publish        via_leN_load_acquire, via_leN_store_release
 *   publish, then ask whether the peer sleeps   via_fence() between the two
 */
#ifndef VIA_SHARED_H
#define VIA_SHARED_H

#include <endian.h>
#include <stdatomic.h>
#include <stdint.h>
#include <viaduct/stats.h>

#include "base/base.h"

#define VIA_SHARED_WORD(bits)                                                                  \
	typedef struct {                                                                       \
		_Atomic(uint##bits##_t) raw;                                                   \
	} via_le##bits;                                                                        \
	static inline uint##bits##_t via_le##bits##_load(const via_le##bits *w)                \
	{                                                                                      \
		VIA_FUZZ_LOAD(w, sizeof(*w));                                                  \
		return le##bits##toh(atomic_load_explicit(&w->raw, memory_order_relaxed));     \
	}                                                                                      \
	static inline uint##bits##_t via_le##bits##_load_acquire(const via_le##bits *w)        \
	{                                                                                      \
		VIA_FUZZ_LOAD(w, sizeof(*w));                                                  \
		return le##bits##toh(atomic_load_explicit(&w->raw, memory_order_acquire));     \
	}                                                                                      \
	static inline void via_le##bits##_store(via_le##bits *w, uint##bits##_t value)         \
	{                                                                                      \
		atomic_store_explicit(&w->raw, htole##bits(value), memory_order_relaxed);      \
	}                                                                                      \
	static inline void via_le##bits##_store_release(via_le##bits *w, uint##bits##_t value) \
	{                                                                                      \
		atomic_store_explicit(&w->raw, htole##bits(value), memory_order_release);      \
	}

VIA_SHARED_WORD(16)
VIA_SHARED_WORD(32)
VIA_SHARED_WORD(64)

/* Store then load, in that order, as the peer sees them. Its partner is the peer's own full barrier. */
static inline void via_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* Adds to a counter (viaduct/stats.h): one thread adds, any thread reads. */
static inline void via_count(via_counter *c, uint64_t n)
{
	/* One writer, so a load and a store do; a locked add would cost twenty cycles a packet. */
	atomic_store_explicit(&c->raw, atomic_load_explicit(&c->raw, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
