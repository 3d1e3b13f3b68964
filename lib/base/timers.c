/* SPDX-License-Identifier: BSD-3-Clause */
/* A binary heap of timers, numbered from 1 so that n's parent is n / 2. */
#include "base/timers.h"

#include <errno.h>
#include <stdlib.h>

static bool earlier(const struct via_timer *a, const struct via_timer *b)
{
	if (a->deadline_us != b->deadline_us)
		return a->deadline_us < b->deadline_us;
	return a->serial < b->serial;
}

static void put(struct via_timers *timers, struct via_timer *timer, size_t place)
{
	timers->heap[place] = timer;
	timer->place = place;
}

/* Puts 'timer' where it belongs, from the free 'place' upwards or downwards. */
static void settle(struct via_timers *timers, struct via_timer *timer, size_t place)
{
	while (place > 1 && earlier(timer, timers->heap[place / 2])) {
		put(timers, timers->heap[place / 2], place);
		place /= 2;
	}
	for (;;) {
		size_t child = 2 * place;

		if (child < timers->nr_running &&
		    earlier(timers->heap[child + 1], timers->heap[child]))
			child++;
		if (child > timers->nr_running || !earlier(timers->heap[child], timer))
			break;
		put(timers, timers->heap[child], place);
		place = child;
	}
	put(timers, timer, place);
}

int via_timers_reserve(struct via_timers *timers)
{
	size_t nr = timers->nr_timers + 1;
	struct via_timer **heap = realloc(timers->heap, (nr + 1) * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	timers->nr_timers = nr;
	return 0;
}

void via_timers_release(struct via_timers *timers)
{
	if (--timers->nr_timers > 0)
		return;
	free(timers->heap);
	timers->heap = NULL;
}

void via_timers_insert(struct via_timers *timers, struct via_timer *timer, uint64_t deadline_us)
{
	via_timers_remove(timers, timer);
	timer->deadline_us = deadline_us;
	timer->serial = ++timers->serial;
	settle(timers, timer, ++timers->nr_running);
}

void via_timers_remove(struct via_timers *timers, struct via_timer *timer)
{
	size_t place = timer->place;
	struct via_timer *last;

	if (place == 0)
		return;
	last = timers->heap[timers->nr_running--];
	timer->place = 0;
	if (last != timer)
		settle(timers, last, place);
}
