/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which worker serves which queue.
 *
 * A new queue goes to the worker with the fewest. Once a second, while workers are busy, the busiest
 * worker may give one queue to the idlest: the one that evens them out best, and only if that brings
 * the two closer by a fair part. A queue's load is its share of its worker's packets, times how busy
 * that worker was: no clock is read for it on the data path.
 */
#include <stdlib.h>

#include "switch/worker.h"

/* All in thousandths of a core. */
#define MIN_DIFFERENCE 150 /* below which two workers are even */
#define IDLE           10

struct sw_worker *sw_assign(struct sw_core *core)
{
	struct sw_worker *best = &core->worker[0];

	for (uint32_t i = 1; i < core->nr_workers; i++) {
		if (core->worker[i].assigned < best->assigned)
			best = &core->worker[i];
	}
	return best;
}

static void measure_worker(struct sw_worker *w, uint64_t elapsed_us)
{
	const uint64_t busy_us = via_counter_read(&w->busy_us);
	const uint64_t packets = via_counter_read(&w->packets);

	w->load = (uint32_t)((busy_us - w->busy_before_us) * 1000 / elapsed_us);
	w->recent_packets = packets - w->packets_before;
	w->busy_before_us = busy_us;
	w->packets_before = packets;
}

static void measure_queue(struct sw_queue *q)
{
	const uint64_t packets = via_counter_read(&q->packets);
	const uint64_t recent = packets - q->packets_before;

	q->packets_before = packets;
	q->load = q->home->recent_packets
			  ? (uint32_t)(q->home->load * recent / q->home->recent_packets)
			  : 0;
}

static uint32_t measure(struct sw_core *core, uint64_t elapsed_us)
{
	uint32_t busiest = 0;

	for (uint32_t i = 0; i < core->nr_workers; i++) {
		measure_worker(&core->worker[i], elapsed_us);
		if (core->worker[i].load > busiest)
			busiest = core->worker[i].load;
	}
	for (struct sw_queue *q = core->queues; q; q = q->next)
		measure_queue(q);
	return busiest;
}

/* The queue of 'from' whose move to 'to' leaves the least difference; NULL if none helps enough. */
static struct sw_queue *choose(struct sw_core *core, const struct sw_worker *from,
			       const struct sw_worker *to)
{
	const int difference = (int)(from->load - to->load);
	struct sw_queue *best = NULL;
	int least = difference * 3 / 4;

	for (struct sw_queue *q = core->queues; q; q = q->next) {
		const int after = abs(difference - 2 * (int)q->load);

		if (q->home == from && after < least) {
			least = after;
			best = q;
		}
	}
	return best;
}

void sw_queue_move(struct sw_core *core, struct sw_queue *q, struct sw_worker *to)
{
	if (q->home)
		q->home->assigned--;
	to->assigned++;
	sw_queue_give(core, q, to);
}

void sw_rebalance_begin(struct sw_core *core)
{
	measure(core, 1);
}

bool sw_rebalance(struct sw_core *core, uint64_t elapsed_us)
{
	struct sw_worker *from = &core->worker[0], *to = from;
	const uint32_t busiest = measure(core, elapsed_us ? elapsed_us : 1);
	struct sw_queue *q;

	for (uint32_t i = 1; i < core->nr_workers; i++) {
		struct sw_worker *w = &core->worker[i];

		from = w->load > from->load ? w : from;
		to = w->load < to->load ? w : to;
	}
	q = from->load - to->load >= MIN_DIFFERENCE ? choose(core, from, to) : NULL;
	if (q) {
		sw_queue_move(core, q, to);
		core->moves++;
	}
	return busiest >= IDLE;
}
