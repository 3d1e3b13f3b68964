/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queues a worker polls, and which descriptors it waits for. The theory of operation is in worker.c.
 * Thread: the worker, but for what says otherwise.
 */
#ifndef SW_POLLING_H
#define SW_POLLING_H

#include "switch/worker.h"

/* Nobody may use its port any more. Whoever still sees false is waited for by control's grace period. */
static inline bool sw_queue_is_dead(const struct sw_queue *q)
{
	return atomic_load_explicit(&q->dead, memory_order_relaxed);
}

/* Microseconds without work after which a queue rests, or SW_POLL_ALWAYS. */
static inline uint32_t sw_poll_us(const struct sw_worker *w)
{
	return atomic_load_explicit(&w->core->poll_us, memory_order_relaxed);
}

/* How many queues are in the polling set. */
static inline uint32_t sw_nr_polled(const struct sw_worker *w)
{
	return atomic_load_explicit(&w->nr_polled, memory_order_relaxed);
}

/* Puts the queue into the polling set, disarmed, to stay for 'linger_us' without work. */
void sw_poll_begin(struct sw_worker *w, struct sw_queue *q, uint32_t linger_us);
/* Takes it out, if it is in. */
void sw_poll_end(struct sw_worker *w, struct sw_queue *q);
/* Puts all queues that can be waited for into the set: poll_us is another one. */
void sw_poll_everything(struct sw_worker *w);

/* Has epoll tell of q->fd, if it is a descriptor. What cannot be watched is polled. */
void sw_watch(struct sw_worker *w, struct sw_queue *q);
/* No more; the descriptor stays open. */
void sw_unwatch(struct sw_worker *w, struct sw_queue *q);
/* The queue that an event's data tells of; NULL if it is gone. */
struct sw_queue *sw_watched(const struct sw_worker *w, uint64_t event);

#endif
