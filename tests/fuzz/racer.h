/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The racing peer: before each load that lib/ does of shared memory it may write there, or anywhere else in
 * what it shares. What is loaded in the end is written down, so that a target can tell what lib/ may know.
 *
 * Its moves come from the end of the input: how many loads to let pass, then what to write. When the input is
 * used up it does nothing any more.
 */
#ifndef VIA_FUZZ_RACER_H
#define VIA_FUZZ_RACER_H

#include "tests/fuzz/fuzz.h"

#define RACER_LOG 2048

/* A load, as the loader will see it. Those of more than 8 bytes have no value. */
struct racer_load {
	const uint8_t *at;
	uint32_t size;
	uint64_t value; /* little-endian */
};

struct racer {
	struct input *in; /* NULL: nobody races */
	uint32_t wait;    /* loads until the next move */
	/* memory beside the arena that is raced: none if 'size' is 0 */
	uint8_t *base;
	size_t size;
	uint32_t nr_loads; /* since racer_expect() */
	uint32_t max_loads;
	uint32_t nr_moves;
	uint32_t nr_log; /* RACER_LOG: there may have been more */
	struct racer_load log[RACER_LOG];
};

extern struct racer racer;

/* From now on 'in' races; the memory of the last run is forgotten. */
void racer_start(struct input *in);
void racer_stop(void);
/* What comes may load at most 'max_loads' times: work is bounded by our numbers (R10, R18). */
void racer_expect(uint32_t max_loads);

#endif
