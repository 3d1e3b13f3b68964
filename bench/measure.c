/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/measure.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

#define MAX_DISTURBED (4 * BENCH_RUNS)
#define MAX_GAP       64 /* pages */
#define PAGE          4096u

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In the page before the memory. */
struct mapping {
	size_t size;
	size_t offset; /* of the memory */
};

void *bench_alloc(size_t size)
{
	static uint32_t chance = 1;
	struct mapping m;
	uint8_t *base;

	chance = chance * 1103515245 + 12345;
	m.offset = (1 + (chance >> 16) % MAX_GAP) * PAGE;
	m.size = m.offset + size;
	base = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		perror("bench");
		exit(1);
	}
	memset(base + m.offset, 0, size); /* its pages are there from now on */
	memcpy(base + m.offset - PAGE, &m, sizeof(m));
	return base + m.offset;
}

void bench_free(void *memory)
{
	struct mapping m;

	if (!memory)
		return;
	memcpy(&m, (uint8_t *)memory - PAGE, sizeof(m));
	munmap((uint8_t *)memory - m.offset, m.size);
}

/* Cycles of a few thousand additions that keep all of a core's adders busy: more of them if the core is
 * shared. */
static uint64_t additions(void)
{
	const uint64_t begin = via_cycles();
	uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0;

	for (int i = 0; i < 5000; i++) {
		a++, b++, c++, d++, e++, f++;
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
	}
	return via_cycles() - begin;
}

static bool core_is_ours(uint64_t *least)
{
	const uint64_t now = additions();

	if (now < *least)
		*least = now;
	return now <= *least + *least / 10;
}

void bench_repeat(void (*run)(void *user, double *sample), void *user, struct bench_cost *cost,
		  uint32_t n)
{
	double sample[BENCH_PARTS][BENCH_RUNS], values[BENCH_PARTS];
	static uint64_t least = UINT64_MAX;
	uint32_t disturbed = 0;

	assert(n <= BENCH_PARTS);
	for (uint32_t k = 0; k < BENCH_RUNS;) {
		run(user, values);
		if (!core_is_ours(&least) && disturbed++ < MAX_DISTURBED)
			continue;
		for (uint32_t i = 0; i < n; i++)
			sample[i][k] = values[i];
		k++;
	}
	for (uint32_t i = 0; i < n; i++) {
		qsort(sample[i], BENCH_RUNS, sizeof(sample[i][0]), by_value);
		cost[i] = (struct bench_cost){ sample[i][0], sample[i][BENCH_RUNS / 2] };
	}
}

double bench_ns_per_cycle(void)
{
	const uint64_t us = via_clock_us(), at = via_cycles();

	usleep(20000);
	return (double)(via_clock_us() - us) * 1000 / (double)(via_cycles() - at);
}
