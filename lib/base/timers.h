/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The timers of a loop: a binary heap by deadline. Knows no clock and no descriptor.
 */
#ifndef VIA_TIMERS_H
#define VIA_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <viaduct/loop.h>

struct via_timer {
	struct via_loop *loop;
	via_timer_fn *fn;
	void *user;
	uint64_t deadline_us;
	uint64_t serial; /* of its start: equal deadlines run in the order of their starts */
	size_t place;    /* in the heap, from 1; 0: it does not run */
};

struct via_timers {
	struct via_timer **heap; /* [1 .. nr_running]; the earliest is first */
	size_t nr_running;
	size_t nr_timers; /* that exist; 'heap' has room for all of them */
	uint64_t serial;
};

/* Makes room for one timer more. Returns 0 or -ENOMEM. */
int via_timers_reserve(struct via_timers *timers);
void via_timers_release(struct via_timers *timers); /* one less; the last one frees the heap */

void via_timers_insert(struct via_timers *timers, struct via_timer *timer, uint64_t deadline_us);
void via_timers_remove(struct via_timers *timers, struct via_timer *timer);

/* The earliest running timer; NULL if none runs. */
static inline struct via_timer *via_timers_first(const struct via_timers *timers)
{
	return timers->nr_running ? timers->heap[1] : NULL;
}

#endif
