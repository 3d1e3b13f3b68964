/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that races: writes into shared memory, or kicks, as fast as it can.
 *
 *   pounce MEMORY SIZE KICK SECONDS flip16|flip64 WHERE VALUE...   one word, through these values
 *   pounce MEMORY SIZE KICK SECONDS kick                           the eventfd
 *   pounce MEMORY SIZE KICK SECONDS maul PACKED SEED DESC DRIVER DEVICE DESC DRIVER DEVICE TABLE BUFFER END
 *                                                                  all words of two rings
 *
 * MEMORY and KICK are descriptors that it inherits.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "ring/ring.h"

#define RING_SIZE 256
#define LOOK      1024 /* writes between two looks at the clock */
#define MAX_WORDS 16

static uint8_t *memory;
static uint64_t size, deadline_us;
static uint64_t word[MAX_WORDS]; /* of the command line */
static int nr_words, kick_fd;

static bool is_over(void)
{
	return via_clock_us() >= deadline_us;
}

static void flip16(void)
{
	_Atomic(uint16_t) *at = (_Atomic(uint16_t) *)(void *)(memory + word[0]);

	while (!is_over())
		for (int i = 0; i < LOOK; i++)
			atomic_store_explicit(at, (uint16_t)word[1 + i % (nr_words - 1)],
					      memory_order_relaxed);
}

static void flip64(void)
{
	_Atomic(uint64_t) *at = (_Atomic(uint64_t) *)(void *)(memory + word[0]);

	while (!is_over())
		for (int i = 0; i < LOOK; i++)
			atomic_store_explicit(at + i % 2, word[1 + i % (nr_words - 1)],
					      memory_order_relaxed);
}

static void kick(void)
{
	const uint64_t one = 1;

	while (!is_over())
		for (int i = 0; i < LOOK; i++)
			if (write(kick_fd, &one, sizeof(one)) < 0)
				exit(1);
}

/* ---- all words of a ring ---- */

enum { PACKED, SEED, RINGS, TABLE = RINGS + 6, BUFFER, END, NR_MAUL };

static uint64_t pick(uint64_t *state, const uint64_t *from, uint32_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return from[(*state >> 33) % n];
}

static void put16(uint64_t at, uint64_t value)
{
	atomic_store_explicit((_Atomic(uint16_t) *)(void *)(memory + at), (uint16_t)value,
			      memory_order_relaxed);
}

static void put32(uint64_t at, uint64_t value)
{
	atomic_store_explicit((_Atomic(uint32_t) *)(void *)(memory + at), (uint32_t)value,
			      memory_order_relaxed);
}

static void put64(uint64_t at, uint64_t value)
{
	atomic_store_explicit((_Atomic(uint64_t) *)(void *)(memory + at), value,
			      memory_order_relaxed);
}

/* A descriptor: most are right, so that walks go deep. */
static void maul_descriptor(uint64_t at, uint64_t *state)
{
	const uint64_t addr[] = { word[BUFFER],  word[BUFFER], word[TABLE], word[TABLE] + 5,
				  word[END] - 8, 1ULL << 63,   UINT64_MAX,  0 };
	const uint64_t len[] = { 76, 76, 12, 64, 32, 0, 16, 2048, 0xffffffff, 0x10000000 };
	const uint64_t flags[] = { 0, 0, 1, 2, 4, 5, 6, 7, 0xffff };
	const uint64_t lap[] = { VIA_DESC_AVAIL, VIA_DESC_USED, 0, VIA_DESC_AVAIL | VIA_DESC_USED };
	const uint64_t link[] = { 0, 1, 2, 7, 255, 256, 0xffff };

	put64(at, pick(state, addr, ARRAY_SIZE(addr)));
	put32(at + 8, pick(state, len, ARRAY_SIZE(len)));
	if (word[PACKED]) {
		put16(at + 12, pick(state, link, ARRAY_SIZE(link)));
		put16(at + 14,
		      pick(state, flags, ARRAY_SIZE(flags)) | pick(state, lap, ARRAY_SIZE(lap)));
	} else {
		put16(at + 12, pick(state, flags, ARRAY_SIZE(flags)));
		put16(at + 14, pick(state, link, ARRAY_SIZE(link)));
	}
}

static void maul_split(const uint64_t *ring, uint64_t *state, uint16_t *index)
{
	const uint64_t head[] = { 0, 1, 2, 3, 100, 255, 256, 0xffff };
	const uint64_t any[] = { 0, 1, 2, 3, 0x8000, 0xffff };
	const uint64_t jump[] = { 0, 1, 1, 1, 2, 8, 255, 300 };

	put16(ring[1] + 4 + 2 * (*index % RING_SIZE), pick(state, head, ARRAY_SIZE(head)));
	*index = (uint16_t)(*index + pick(state, jump, ARRAY_SIZE(jump)));
	put16(ring[1] + 2, *index);
	put16(ring[1], pick(state, any, ARRAY_SIZE(any)));
	put16(ring[1] + 4 + 2 * RING_SIZE, pick(state, any, ARRAY_SIZE(any)));
	put16(ring[2] + 2, pick(state, any, ARRAY_SIZE(any))); /* ours to write: VX-36 */
}

static void maul_packed(const uint64_t *ring, uint64_t *state)
{
	const uint64_t any[] = { 0, 1, 2, 3, 0x8000, 0xffff };

	put16(ring[1], pick(state, any, ARRAY_SIZE(any)));
	put16(ring[1] + 2, pick(state, any, ARRAY_SIZE(any)));
	put16(ring[2] + 2, pick(state, any, ARRAY_SIZE(any)));
}

/* The buffer that most descriptors name begins with the virtio-net header. */
static void maul_header(uint64_t *state)
{
	const uint64_t bytes[] = { 0, 0, 0, 1, 3, 0xff, 34, 54, 0xffff, 64 };

	for (uint64_t i = 0; i < 12; i += 2)
		put16(word[BUFFER] + i, pick(state, bytes, ARRAY_SIZE(bytes)) |
						pick(state, bytes, ARRAY_SIZE(bytes)) << 8);
}

static void *maul(void *user)
{
	const uint64_t *ring = user;
	uint64_t state = word[SEED] * 2 + (ring == word + RINGS);
	uint16_t index = 200; /* as the front-end left it */

	while (!is_over()) {
		for (uint32_t i = 0; i < RING_SIZE; i++) {
			maul_descriptor(ring[0] + 16 * ((state >> 20) % RING_SIZE), &state);
			maul_descriptor(word[TABLE] + 16 * (i % 4), &state);
			if (i % 16 == 0 && word[PACKED])
				maul_packed(ring, &state);
			if (i % 64 == 0 && !word[PACKED])
				maul_split(ring, &state, &index);
			if (i % 8 == 0)
				maul_header(&state);
		}
	}
	return NULL;
}

static void maul_both(void)
{
	pthread_t other;

	if (nr_words != NR_MAUL || pthread_create(&other, NULL, maul, word + RINGS) != 0)
		exit(1);
	maul(word + RINGS + 3);
	pthread_join(other, NULL);
}

int main(int argc, char *argv[])
{
	if (argc < 6)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	size = strtoull(argv[2], NULL, 0);
	kick_fd = atoi(argv[3]);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	if (memory == MAP_FAILED)
		return 1;
	deadline_us = via_clock_us() + (uint64_t)(atof(argv[4]) * 1e6);
	for (int i = 6; i < argc && nr_words < MAX_WORDS; i++)
		word[nr_words++] = strtoull(argv[i], NULL, 0);

	if (strcmp(argv[5], "flip16") == 0 && nr_words > 1)
		flip16();
	else if (strcmp(argv[5], "flip64") == 0 && nr_words > 1)
		flip64();
	else if (strcmp(argv[5], "kick") == 0)
		kick();
	else if (strcmp(argv[5], "maul") == 0)
		maul_both();
	else
		return 2;
	return 0;
}
