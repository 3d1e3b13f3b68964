/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that a peer shares with us, in parts of exact size: a byte outside of them cannot be touched (with
 * the address sanitizer), and every part can be compared with how it was. One arena a process.
 */
#ifndef VIA_FUZZ_ARENA_H
#define VIA_FUZZ_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_SIZE  (64u << 10)
#define ARENA_PARTS 16

struct arena_part {
	uint32_t start; /* offset in the arena */
	uint32_t size;
};

struct arena {
	uint32_t nr_parts;
	struct arena_part part[ARENA_PARTS];
};

extern struct arena arena;
extern uint8_t arena_memory[ARENA_SIZE];
extern uint8_t
	arena_before[ARENA_SIZE]; /* arena_remember()'s copy, with what the peer wrote since */

/* Forgets all parts; nothing may be touched. */
void arena_reset(void);
/* A new zeroed part, aligned for rings. */
uint8_t *arena_add(uint32_t size);

/* Where 'at' lies: an offset, or UINT32_MAX where it does not. */
uint32_t arena_offset(const void *at);
/* Whether [at, at + size) lies within one part. */
bool arena_has(const void *at, size_t size);
/* How many bytes lie between 'at' and the end of its part. */
uint32_t arena_left(const void *at);

/* What the peer writes: in both copies. */
void arena_write(uint8_t *at, const void *bytes, uint32_t size);

void arena_remember(void);
/* Calls back for each byte that changed since by other means than arena_write(). */
void arena_changes(void (*changed)(void *user, uint32_t offset), void *user);

#endif
