/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker: polls queues that have work, rests those that have none, sleeps when all rest.
 *
 * Theory of operation
 *
 * States of a queue, seen by the worker that holds it:
 *
 *   polled    in the polling set: looked at once a turn, at most one burst each time (R18)
 *   resting   not in the set, armed: the port notifies its descriptor, which is in our epoll
 *   idle      the port says that the queue does not run (VIA_FD_NONE): only mail brings it back
 *
 * A polled queue that had no work for poll_us is armed: notifications on, and one more look. Work
 * found by that look keeps it polled; otherwise it rests. No wake-up can be lost: work that came
 * before the look is seen by it, work that comes after it is notified, and a notification stays in
 * epoll until somebody asks. The descriptor is watched edge-triggered and never read, since it is the
 * peer's and a read could block (R19): each write to an eventfd is an edge of its own, whatever its
 * count. A queue without a descriptor never rests.
 *
 * How long a queue lingers in the polling set adapts. Who is called back soon after it has rested, as
 * by a round trip that takes a little longer than poll_us, would have had the packet at once and for less
 * by staying: it lingers twice as long the next time, up to LINGER times poll_us. Who is called back
 * later lingers for poll_us again.
 *
 * A worker with queues to poll asks epoll without waiting every LOOK_US. With none it goes offline
 * for RCU and waits: an idle worker makes no system call and no context switch until somebody wants
 * something from it.
 *
 * Sets of queues and epoll: polling.c. What control wants: mail.c. Threads: crew.c.
 */
#include "switch/worker.h"

#include <sys/epoll.h>
#include <viaduct/worker.h>

#include "switch/mail.h"
#include "switch/polling.h"

#define LOOK_US       20     /* between looks at epoll while polling */
#define EVENTS        64     /* taken from epoll at once */
#define LITTLE        16     /* packets in a turn; with fewer a pause pays */
#define FAIR_BYTES    524288 /* of a queue in a turn, about */
#define COPY_BYTES    1024   /* what takes the time of one copy of a flood */
#define SEGMENT_BYTES 256    /* what may take the time of one segment more */
#define WALK_BYTES    128    /* what takes the time of a descriptor's look */
#define LINGER        4      /* times poll_us that a queue may stay quiet before it rests */
#define RETRY_US      10     /* before a queue whose packets nobody took is looked at again */
#define BUSY_US       50000  /* of work between nudges to rebalance */

/* ---- a turn ---- */

/*
 * Who sends long frames, or ones of many segments or many descriptors, or to all ports, gets the time of
 * the others, not their number of frames (R18): fewer a burst, and more again only step by step, so that
 * other frames in between win nothing. Where one frame alone is too much, as one that a driver has cut
 * into thousands of pieces, the others have their turns first. What no packet came of counts as well.
 */
static void share_fairly(struct sw_queue *q, const struct sw_pass *pass, uint32_t n)
{
	uint32_t bytes = pass->burst->nr_walked * WALK_BYTES;

	if (n > 0)
		bytes += (SW_FLOOD_BUDGET - pass->flood_left) * COPY_BYTES;
	for (uint32_t i = 0; i < n; i++) {
		const struct via_view *view = &pass->burst->view[i];

		bytes += view->len + (sw_nr_segments(view) - 1) * SEGMENT_BYTES;
	}
	if (via_unlikely(bytes > FAIR_BYTES)) {
		q->max = n * FAIR_BYTES / bytes + 1;
		q->skip = bytes / FAIR_BYTES - 1;
	} else if (via_unlikely(q->max < VIA_BURST && bytes <= FAIR_BYTES / 2)) {
		q->max = via_min_u(2 * q->max, VIA_BURST);
	}
}

/* Gives the queue one burst. Returns how many packets went on. */
static uint32_t serve(struct sw_worker *w, struct sw_queue *q)
{
	const uint64_t begin = via_cycles();
	uint32_t n, undelivered;

	if (sw_queue_is_dead(q) || (q->retry_us && w->now_us < q->retry_us))
		return 0;
	if (via_unlikely(q->skip > 0)) {
		q->skip--;
		return 0;
	}
	w->pass->burst->nr_walked = 0;
	n = q->ops->ingress_burst(q->port, q->source.q, w->pass->burst, q->max);
	q->retry_us = 0;
	if (n == 0) {
		if (via_unlikely(w->pass->burst->nr_walked > 0))
			share_fairly(q, w->pass, 0);
		return 0;
	}
	undelivered = sw_forward(w->pass, &q->source, n, w->now_us);
	share_fairly(q, w->pass, n);
	q->ops->ingress_release(q->port, q->source.q, w->pass->burst, undelivered);
	q->worked_us = w->now_us;
	n -= undelivered;
	if (n == 0)
		q->retry_us = w->now_us + RETRY_US;
	via_count(&q->packets, n);
	via_count(&w->busy_cycles, via_cycles() - begin);
	return n;
}

static bool may_rest(const struct sw_worker *w, const struct sw_queue *q)
{
	return q->fd >= 0 && sw_poll_us(w) != SW_POLL_ALWAYS && q->retry_us == 0 &&
	       w->now_us - q->worked_us >= q->linger_us;
}

/* Arms the queue and lets it go, unless arming finds work. */
static void rest(struct sw_worker *w, struct sw_queue *q)
{
	if (sw_queue_is_dead(q)) {
		sw_poll_end(w, q);
	} else if (q->ops->arm(q->port, q->source.q)) {
		q->ops->disarm(q->port, q->source.q);
	} else {
		q->armed = true;
		sw_poll_end(w, q);
	}
}

static uint32_t serve_all(struct sw_worker *w)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < sw_nr_polled(w);) {
		struct sw_queue *q = w->polled[i];
		const uint32_t n = serve(w, q);

		found += n;
		if (n == 0 && may_rest(w, q))
			rest(w, q);
		if (q->polled_at == i) /* else another one is in its place now */
			i++;
	}
	return found;
}

/* ---- the loop ---- */

/* How long a queue that is called back now should linger. */
static uint32_t adapted_us(const struct sw_worker *w, const struct sw_queue *q)
{
	const uint32_t most = LINGER * sw_poll_us(w);
	const uint64_t quiet = w->now_us - q->worked_us;

	return quiet < most ? via_min_u(2 * q->linger_us, most) : sw_poll_us(w);
}

static void handle(struct sw_worker *w, const struct epoll_event *events, int n)
{
	bool mail = false;

	for (int i = 0; i < n; i++) {
		struct sw_queue *q;

		if (events[i].data.u64 == SW_MAIL_EVENT) {
			mail = true;
			continue;
		}
		q = sw_watched(w, events[i].data.u64);
		if (q && !sw_queue_is_dead(q) && q->polled_at == SW_NOT_POLLED)
			sw_poll_begin(w, q, adapted_us(w, q));
	}
	if (mail) /* last, since it frees queues */
		sw_mail_read(w);
}

static void look(struct sw_worker *w)
{
	struct epoll_event events[EVENTS];

	w->looked_us = w->now_us;
	handle(w, events, epoll_wait(w->epoll_fd, events, EVENTS, 0));
}

static void sleep_until_event(struct sw_worker *w)
{
	struct epoll_event events[EVENTS];
	int n;

	via_count(&w->sleeps, 1);
	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	via_worker_offline();
	n = epoll_wait(w->epoll_fd, events, EVENTS, -1);
	via_worker_online();
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	via_count(&w->wakeups, 1);
	w->now_us = w->looked_us = via_clock_us();
	handle(w, events, n);
}

/* Looking at a ring's index takes its cache line from the driver about to write it, so who found
 * little waits for more: at most a microsecond, less when work begins to come. */
static void pause_politely(struct sw_worker *w, uint32_t found)
{
	if (found >= LITTLE) {
		w->relax /= 2;
		return;
	}
	w->relax = via_min_u(w->relax * 2 + 1, w->relax_max);
	for (uint32_t i = 0; i < w->relax; i++)
		via_relax();
}

static void account(struct sw_worker *w, uint64_t before_us, uint32_t found)
{
	uint64_t busy_us;

	if (found == 0)
		return;
	via_count(&w->packets, found);
	via_count(&w->busy_us, w->now_us - before_us);
	busy_us = via_counter_read(&w->busy_us);
	if (w->core->nr_workers > 1 && busy_us - w->nudged_busy_us >= BUSY_US) {
		w->nudged_busy_us = busy_us;
		sw_nudge(w->core, SW_NUDGE_REBALANCE);
	}
}

void sw_worker_loop(struct sw_worker *w)
{
	w->now_us = via_clock_us();
	while (!w->stopping) {
		const uint64_t before_us = w->now_us;
		const uint32_t found = serve_all(w);

		via_worker_quiescent();
		if (sw_nr_polled(w) == 0) {
			w->now_us = via_clock_us();
			account(w, before_us, found);
			sleep_until_event(w);
			continue;
		}
		pause_politely(w, found);
		w->now_us = via_clock_us();
		account(w, before_us, found);
		if (w->now_us - w->looked_us >= LOOK_US)
			look(w);
	}
}
