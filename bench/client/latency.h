/* SPDX-License-Identifier: BSD-3-Clause */
/* A histogram of durations in cycles, exact to 1/64. */
#ifndef VIA_BENCH_LATENCY_H
#define VIA_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS   64 /* buckets for each power of two */
#define LATENCY_BUCKETS (64 * LATENCY_STEPS)

struct latency {
	uint64_t count[LATENCY_BUCKETS];
	uint64_t total, max;
};

static inline uint32_t latency_bucket(uint64_t cycles)
{
	uint32_t power;

	if (cycles < 2 * LATENCY_STEPS)
		return (uint32_t)cycles;
	power = 63 - (uint32_t)__builtin_clzll(cycles) -
		6; /* that LATENCY_STEPS is multiplied by */
	return power * LATENCY_STEPS + (uint32_t)(cycles >> power);
}

static inline void latency_add(struct latency *l, uint64_t cycles)
{
	l->count[latency_bucket(cycles)]++;
	l->total++;
	if (cycles > l->max)
		l->max = cycles;
}

/* The least number of cycles of a bucket. */
static inline uint64_t latency_of_bucket(uint32_t bucket)
{
	uint32_t power = bucket / LATENCY_STEPS ? bucket / LATENCY_STEPS - 1 : 0;

	return (uint64_t)(bucket - power * LATENCY_STEPS) << power;
}

/* The duration that a 'share' of all do not exceed; 0 if there are none. */
static inline uint64_t latency_share(const struct latency *l, double share)
{
	uint64_t want = (uint64_t)(share * (double)l->total), seen = 0;

	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
		seen += l->count[i];
		if (seen > want)
			return latency_of_bucket(i);
	}
	return l->max;
}

#endif
