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
#include <stdint.h>

/* Of BENCH_RUNS runs of the same: the least is what the code costs when nobody disturbs it. */
struct bench_cost {
	double least, median;
};

#define BENCH_RUNS  21
#define BENCH_PARTS 3

/*
 * Runs 'run' again and again; it stores what it cost in 'sample', 'n' numbers of at most BENCH_PARTS, of
 * which 'cost' says the least and the median. A run should take about a millisecond. One that shared its
 * core with another thread (a neighbour's on a virtual machine, which nothing here can see or stop) does
 * not count, as long as there are not too many of them.
 */
void bench_repeat(void (*run)(void *user, double *sample), void *user, struct bench_cost *cost,
		  uint32_t n);

/*
 * Zeroed memory at the beginning of a page, which page is another one each time: caches that guess by
 * the address (a first-level cache's way) let some places cost a fifth more than others. Ends the program
 * without memory. Freed by bench_free(), which accepts NULL.
 */
void *bench_alloc(size_t size);
void bench_free(void *memory);

/* Nanoseconds of a tick of via_cycles(), measured in 20 ms. */
double bench_ns_per_cycle(void);

#endif
