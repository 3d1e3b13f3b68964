/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench: what a packet costs in this process, with nothing around it.
 *
 *   measure.h    samples and what they say           queue.h   a virtqueue with both its sides
 *   rings.h      the ring cost: ten paths, frames of six sizes, operations; operations.c: those
 *   core.h       a switch without workers            bench_rings.c, bench_switch.c   the programs
 *
 * May use all of lib and switch. The command line shows the ring cost as well ('viaduct bench rings').
 * Thread: all of it is one thread's, which is worker and driver at once.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>

/* Of several runs of the same: the least is what the code costs when nobody disturbs it. */
struct bench_cost {
	double least, median;
};

/* 'n' samples, not 0; sorts them. */
struct bench_cost bench_cost_of(double *samples, size_t n);

/* Nanoseconds of a tick of via_cycles(), measured in 20 ms. */
double bench_ns_per_cycle(void);

#endif
