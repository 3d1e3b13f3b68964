/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/measure.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct bench_cost bench_cost_of(double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), by_value);
	return (struct bench_cost){ .least = samples[0], .median = samples[n / 2] };
}

double bench_ns_per_cycle(void)
{
	const uint64_t us = via_clock_us(), at = via_cycles();

	usleep(20000);
	return (double)(via_clock_us() - us) * 1000 / (double)(via_cycles() - at);
}
