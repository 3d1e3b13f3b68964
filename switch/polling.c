/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queues that a worker polls, and those that it waits for.
 *
 * Epoll. What is watched is a duplicate of the port's descriptor, which only the worker closes, after
 * EPOLL_CTL_DEL: had we watched the port's own, then closing it while the peer still holds its
 * eventfd would leave an entry in our epoll that nothing can remove. An event carries a place in
 * 'slot' and its generation and is resolved when the worker is online again, so an event that was
 * collected before its queue went away means nothing instead of something freed.
 */
#include "switch/polling.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <viaduct/log.h>

/* ---- those that are polled ---- */

static void set_nr_polled(struct sw_worker *w, uint32_t n)
{
	atomic_store_explicit(&w->nr_polled, n, memory_order_relaxed);
}

void sw_poll_begin(struct sw_worker *w, struct sw_queue *q, uint32_t linger_us)
{
	const uint32_t n = sw_nr_polled(w);

	q->linger_us = linger_us;
	q->worked_us = w->now_us;
	if (q->polled_at != SW_NOT_POLLED)
		return;
	if (q->armed)
		q->ops->disarm(q->port, q->source.q);
	q->armed = false;
	q->polled_at = n;
	w->polled[n] = q;
	set_nr_polled(w, n + 1);
}

void sw_poll_end(struct sw_worker *w, struct sw_queue *q)
{
	const uint32_t n = sw_nr_polled(w) - 1;

	if (q->polled_at == SW_NOT_POLLED)
		return;
	w->polled[q->polled_at] = w->polled[n];
	w->polled[q->polled_at]->polled_at = q->polled_at;
	q->polled_at = SW_NOT_POLLED;
	set_nr_polled(w, n);
}

void sw_poll_everything(struct sw_worker *w)
{
	for (uint32_t i = 0; i < w->nr_slots; i++) {
		if (w->slot[i].queue && !sw_queue_is_dead(w->slot[i].queue))
			sw_poll_begin(w, w->slot[i].queue, sw_poll_us(w));
	}
}

/* ---- those that are waited for ---- */

static uint64_t event_of(const struct sw_worker *w, uint32_t slot)
{
	return (uint64_t)w->slot[slot].generation << 32 | slot;
}

static uint32_t take_slot(struct sw_worker *w, struct sw_queue *q)
{
	uint32_t i = w->free_slot;

	if (i != SW_NO_SLOT)
		w->free_slot = w->slot[i].next_free;
	else
		i = w->nr_slots++; /* there are places for all queues of the switch */
	w->slot[i].queue = q;
	return i;
}

static void drop_slot(struct sw_worker *w, uint32_t i)
{
	w->slot[i].queue = NULL;
	w->slot[i].generation++;
	w->slot[i].next_free = w->free_slot;
	w->free_slot = i;
}

struct sw_queue *sw_watched(const struct sw_worker *w, uint64_t event)
{
	const struct sw_slot *slot = &w->slot[(uint32_t)event];

	return slot->generation == event >> 32 ? slot->queue : NULL;
}

void sw_watch(struct sw_worker *w, struct sw_queue *q)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	if (q->fd < 0)
		return;
	q->slot = take_slot(w, q);
	event.data.u64 = event_of(w, q->slot);
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, q->fd, &event) == 0)
		return;
	via_log(VIA_LOG_WARNING,
		"port '%s': queue %u is polled, its descriptor cannot be watched: %s",
		q->port->name, q->source.q, strerror(errno));
	drop_slot(w, q->slot);
	close(q->fd);
	q->fd = VIA_FD_POLL;
}

void sw_unwatch(struct sw_worker *w, struct sw_queue *q)
{
	if (q->fd < 0)
		return;
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, q->fd, NULL);
	drop_slot(w, q->slot);
}
