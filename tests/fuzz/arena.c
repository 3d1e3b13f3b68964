/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/arena.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/poison.h"

#define GAP 64 /* bytes between parts: longer strides over it are strides into another part */

struct arena arena;
_Alignas(4096) uint8_t arena_memory[ARENA_SIZE];
uint8_t arena_before[ARENA_SIZE];

static uint32_t arena_end(void)
{
	const struct arena_part *last;

	if (arena.nr_parts == 0)
		return 0;
	last = &arena.part[arena.nr_parts - 1];
	return last->start + last->size;
}

void arena_reset(void)
{
	if (arena.nr_parts == 0) /* the first time: all of it */
		ASAN_POISON_MEMORY_REGION(arena_memory, ARENA_SIZE);
	else
		ASAN_POISON_MEMORY_REGION(arena_memory, arena_end());
	arena.nr_parts = 0;
}

uint8_t *arena_add(uint32_t size)
{
	uint32_t start = (arena_end() + GAP + 63) & ~63u;

	INSIST(arena.nr_parts < ARENA_PARTS && start + size + GAP <= ARENA_SIZE);
	arena.part[arena.nr_parts++] = (struct arena_part){ start, size };
	ASAN_UNPOISON_MEMORY_REGION(arena_memory + start, size);
	memset(arena_memory + start, 0, size);
	return arena_memory + start;
}

uint32_t arena_offset(const void *at)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)arena_memory;

	return offset < ARENA_SIZE ? (uint32_t)offset : UINT32_MAX;
}

uint32_t arena_left(const void *at)
{
	uint32_t offset = arena_offset(at);

	for (uint32_t i = 0; i < arena.nr_parts; i++)
		if (offset - arena.part[i].start < arena.part[i].size)
			return arena.part[i].size - (offset - arena.part[i].start);
	return 0;
}

bool arena_has(const void *at, size_t size)
{
	return size <= arena_left(at);
}

void arena_write(uint8_t *at, const void *bytes, uint32_t size)
{
	INSIST(arena_has(at, size));
	memcpy(at, bytes, size);
	memcpy(arena_before + arena_offset(at), bytes, size);
}

void arena_remember(void)
{
	for (uint32_t i = 0; i < arena.nr_parts; i++)
		memcpy(arena_before + arena.part[i].start, arena_memory + arena.part[i].start,
		       arena.part[i].size);
}

static void part_changes(const struct arena_part *part, void (*changed)(void *, uint32_t),
			 void *user)
{
	const uint32_t end = part->start + part->size;

	if (memcmp(arena_memory + part->start, arena_before + part->start, part->size) == 0)
		return;
	for (uint32_t i = part->start; i < end; i++)
		if (arena_memory[i] != arena_before[i])
			changed(user, i);
}

void arena_changes(void (*changed)(void *user, uint32_t offset), void *user)
{
	for (uint32_t i = 0; i < arena.nr_parts; i++)
		part_changes(&arena.part[i], changed, user);
}
