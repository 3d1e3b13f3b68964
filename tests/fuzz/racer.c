/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/racer.h"

#include <endian.h>
#include <string.h>

#include "tests/fuzz/arena.h"
#include "tests/fuzz/hook.h"

struct racer racer;

void racer_start(struct input *in)
{
	racer.in = in;
	racer.wait = in_last(in);
	racer.base = NULL;
	racer.size = 0;
	racer.nr_moves = 0;
	racer_expect(UINT32_MAX);
}

void racer_stop(void)
{
	racer.in = NULL;
	racer.size = 0;
}

void racer_expect(uint32_t max_loads)
{
	racer.nr_loads = 0;
	racer.nr_log = 0;
	racer.max_loads = max_loads;
}

/* ---- moves ---- */

static void write_at(const uint8_t *at, const void *bytes, uint32_t size)
{
	if (arena_offset(at) != UINT32_MAX)
		arena_write(arena_memory + arena_offset(at), bytes, size);
	else
		memcpy(racer.base + (at - racer.base), bytes, size);
}

static uint64_t last_bytes(uint32_t n)
{
	uint64_t value = 0;

	while (n-- > 0)
		value = value << 8 | in_last(racer.in);
	return value;
}

/* What the last load of these bytes saw, if there was one. */
static bool seen_before(const uint8_t *at, uint32_t size, uint64_t *value)
{
	for (uint32_t i = racer.nr_log; i-- > 0;) {
		if (racer.log[i].at != at || racer.log[i].size != size)
			continue;
		*value = racer.log[i].value;
		return true;
	}
	return false;
}

/* A 16-bit word of the bytes that are about to be loaded, made anew from itself. */
static void change_word(const uint8_t *at, uint32_t size, uint16_t (*make)(uint16_t))
{
	uint32_t offset = size > 2 ? (in_last(racer.in) & ~1u) % (size & ~1u) : 0;
	uint16_t word;

	if (size < 2)
		return;
	memcpy(&word, at + offset, 2);
	word = htole16(make(le16toh(word)));
	write_at(at + offset, &word, 2);
}

static uint16_t flipped(uint16_t word)
{
	return word ^ (uint16_t)(1u << in_last(racer.in) % 16);
}

static uint16_t moved(uint16_t word)
{
	return (uint16_t)(word + (int8_t)in_last(racer.in));
}

static uint16_t replaced(uint16_t word)
{
	(void)word;
	return (uint16_t)last_bytes(2);
}

static uint16_t telling(uint16_t word)
{
	static const uint16_t words[] = {
		0, 1, 2, 4, 7, 8, 15, 16, 0x7fff, 0x8000, 0x8080, 0xffff
	};

	(void)word;
	return words[in_last(racer.in) % (sizeof(words) / sizeof(words[0]))];
}

static void write_elsewhere(void)
{
	const uint8_t *at = arena_memory + last_bytes(2) % ARENA_SIZE;
	uint16_t word = (uint16_t)last_bytes(2);

	if (arena_has(at, 2))
		write_at(at, &word, 2);
}

static void move(const uint8_t *at, uint32_t size)
{
	static uint16_t (*const words[])(uint16_t) = { flipped, moved, replaced, telling };
	uint8_t kind = in_last(racer.in);
	uint64_t value;

	racer.wait = kind >> 3;
	switch (kind & 7) {
	case 0:
	case 1:
	case 2:
	case 3:
		change_word(at, size, words[kind & 3]);
		break;
	case 4:
		if (size <= 8 && seen_before(at, size, &value))
			write_at(at, &value, size);
		break;
	case 5:
		value = htole64(last_bytes(8));
		write_at(at, &value, size < 8 ? size : 8);
		break;
	case 6:
		write_elsewhere();
		break;
	default:
		racer.wait = in_last(racer.in); /* waits for long */
	}
}

/* ---- loads ---- */

static bool is_shared(const uint8_t *at, size_t size)
{
	if (arena_offset(at) != UINT32_MAX)
		return arena_has(at, size); /* else the load itself is the fault */
	return racer.size && (size_t)(at - racer.base) < racer.size;
}

static void write_down(const uint8_t *at, uint32_t size)
{
	struct racer_load *load;

	if (racer.nr_log == RACER_LOG)
		return;
	load = &racer.log[racer.nr_log++];
	*load = (struct racer_load){ .at = at, .size = size };
	if (size <= 8)
		memcpy(&load->value, at, size);
}

void racer_before_load(const void *where, size_t size)
{
	const uint8_t *at = where;

	if (!racer.in || size == 0 || !is_shared(at, size))
		return;
	INSIST(racer.nr_loads++ < racer.max_loads);
	if (racer.wait > 0) {
		racer.wait--;
	} else if (in_more(racer.in)) {
		racer.nr_moves++;
		move(at, (uint32_t)size);
	}
	write_down(at, (uint32_t)size);
}
