/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for workers without blocking the control thread.
 *
 * Theory of operation. Calls queue up in 'waiting'. A helper thread, made when it is first needed,
 * takes all of them at once, waits for one grace period (liburcu, QSBR), moves them to 'done' and
 * writes the eventfd that the loop watches; the loop then runs them. There is one helper and both
 * lists are first-in first-out, so callbacks run in the order of the calls. While the helper waits
 * for one batch the next one gathers: a burst of changes costs two grace periods, not one each.
 *
 * No call is ever answered from within via_grace_call(): who makes one goes on using what the callback
 * frees. So a few calls are kept for when there is no memory, and control waits by itself, right there,
 * when there is no thread or those few are all used.
 *
 * As long as no worker was ever registered nobody can hold anything, and calls go to 'done' at once.
 * A worker that registers later cannot have seen what was unpublished before it began.
 *
 * A grace period that takes over a second is reported with the names of the workers that hold it.
 */
#include "base/grace.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/urcu-qsbr.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "base/calls.h"
#include "base/thread.h"
#include "base/workers.h"

#define SLOW_MS  1000
#define NR_SPARE 32

struct call {
	struct call *next;
	via_grace_fn *fn;
	void *user;
};

struct calls {
	struct call *first, **last;
};

struct via_grace {
	struct via_loop *loop;
	int event_fd; /* the helper has moved something to 'done' */
	struct via_watch *watch;
	struct via_timer *slow; /* runs while something waits */
	bool has_helper;        /* control */
	pthread_t helper;
	struct call spare[NR_SPARE];
	struct call *spares; /* unused ones; control */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;  /* the helper has something to do */
	pthread_cond_t idle;  /* it has done it */
	struct calls waiting, done;
	bool busy;     /* the helper is in a grace period */
	uint64_t mark; /* of workers.h, when it began */
	uint64_t since_us;
	bool reported;
	bool stop;
};

static void calls_init(struct calls *c)
{
	*c = (struct calls){ .last = &c->first };
}

static void calls_append(struct calls *to, struct calls *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	calls_init(from);
}

/* Unlocks while it waits. */
static void helper_serve_batch(struct via_grace *g)
{
	const uint64_t one = 1;
	struct calls batch;

	calls_init(&batch);
	calls_append(&batch, &g->waiting);
	g->busy = true;
	g->reported = false;
	g->since_us = via_clock_us();
	g->mark = via_workers_mark();
	pthread_mutex_unlock(&g->lock);

	urcu_qsbr_synchronize_rcu();
	via_workers_settle();

	pthread_mutex_lock(&g->lock);
	g->busy = false;
	calls_append(&g->done, &batch);
	pthread_cond_signal(&g->idle);
	/* Fails only when the counter is full, and then the loop is about to wake up anyway. */
	if (write(g->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void *helper_run(void *user)
{
	struct via_grace *g = user;

	pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		if (g->waiting.first)
			helper_serve_batch(g);
		else
			pthread_cond_wait(&g->wake, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static int helper_start(struct via_grace *g)
{
	int ret = via_thread_start(&g->helper, "via-grace", helper_run, g);

	g->has_helper = ret == 0;
	return ret;
}

static bool is_spare(const struct via_grace *g, const struct call *call)
{
	return call >= g->spare && call < g->spare + NR_SPARE;
}

static void give_back(struct via_grace *g, struct call *call)
{
	if (!is_spare(g, call)) {
		free(call);
		return;
	}
	call->next = g->spares;
	g->spares = call;
}

/* Runs what is done, in order. Callbacks may add calls. */
static void run_done(struct via_grace *g)
{
	struct calls batch;

	calls_init(&batch);
	pthread_mutex_lock(&g->lock);
	calls_append(&batch, &g->done);
	if (!g->busy && !g->waiting.first)
		via_timer_stop(g->slow);
	pthread_mutex_unlock(&g->lock);

	while (batch.first) {
		struct call *call = batch.first;

		batch.first = call->next;
		call->fn(call->user);
		give_back(g, call);
	}
}

static void on_done(void *user, uint32_t events)
{
	struct via_grace *g = user;
	uint64_t n;

	(void)events;
	if (read(g->event_fd, &n, sizeof(n)) < 0)
		return;
	run_done(g);
}

static void on_slow(void *user)
{
	struct via_grace *g = user;
	char names[256] = "";
	unsigned int n = 0;

	pthread_mutex_lock(&g->lock);
	if (g->busy && !g->reported && via_clock_us() - g->since_us >= SLOW_MS * 1000) {
		n = via_workers_late(g->mark, names, sizeof(names));
		g->reported = true;
	}
	if (g->busy || g->waiting.first)
		via_timer_start(g->slow, SLOW_MS);
	pthread_mutex_unlock(&g->lock);
	if (n > 0)
		via_log(VIA_LOG_WARNING,
			"a change has waited over %d ms for %u worker%s to be quiescent: %s",
			SLOW_MS, n, n == 1 ? "" : "s", names);
}

/* Waits right here until all is done that waits. */
static void wait_here(struct via_grace *g)
{
	struct calls batch;

	calls_init(&batch);
	pthread_mutex_lock(&g->lock);
	while (g->busy)
		pthread_cond_wait(&g->idle, &g->lock);
	calls_append(&batch, &g->waiting);
	pthread_mutex_unlock(&g->lock);

	urcu_qsbr_synchronize_rcu();
	via_workers_settle();

	pthread_mutex_lock(&g->lock);
	calls_append(&g->done, &batch);
	pthread_mutex_unlock(&g->lock);
}

static struct call *take_spare(struct via_grace *g)
{
	struct call *call;

	if (!g->spares) {
		wait_here(g);
		run_done(g);
	}
	call = g->spares;
	g->spares = call->next;
	return call;
}

/* What is done runs with the loop's next turn. The descriptor is ours and its counter far from full. */
static void tell_loop(struct via_grace *g)
{
	const uint64_t one = 1;

	if (write(g->event_fd, &one, sizeof(one)) < 0)
		run_done(g);
}

static bool has_calls(struct via_grace *g)
{
	bool any;

	pthread_mutex_lock(&g->lock);
	any = g->busy || g->waiting.first || g->done.first;
	pthread_mutex_unlock(&g->lock);
	return any;
}

static void helper_stop(struct via_grace *g)
{
	if (!g->has_helper)
		return;
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->helper, NULL);
	g->has_helper = false;
}

void via_grace_call(struct via_grace *g, via_grace_fn *fn, void *user)
{
	struct call *call = malloc(sizeof(*call));

	if (!call)
		call = take_spare(g);
	*call = (struct call){ .fn = fn, .user = user };

	pthread_mutex_lock(&g->lock);
	struct calls *queue = via_workers_ever() ? &g->waiting : &g->done;
	if (queue == &g->waiting && !g->waiting.first && !g->busy)
		via_timer_start(g->slow, SLOW_MS);
	*queue->last = call;
	queue->last = &call->next;
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);

	if (queue == &g->done) {
		tell_loop(g);
	} else if (!g->has_helper && helper_start(g) < 0) {
		wait_here(g);
		tell_loop(g);
	}
}

int via_grace_create(struct via_grace **grace, struct via_loop *loop, struct via_error *err)
{
	struct via_grace *g = malloc(sizeof(*g));
	int ret;

	if (!g)
		return via_fail(err, -ENOMEM, "no memory for the event loop");
	*g = (struct via_grace){ .loop = loop };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->wake, NULL);
	pthread_cond_init(&g->idle, NULL);
	calls_init(&g->waiting);
	calls_init(&g->done);
	for (int i = 0; i < NR_SPARE; i++)
		give_back(g, &g->spare[i]);

	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->event_fd < 0) {
		ret = via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto fail;
	}
	ret = via_timer_create(&g->slow, loop, on_slow, g, err);
	if (ret == 0)
		ret = via_loop_watch(&g->watch, loop, g->event_fd, EPOLLIN, on_done, g, err);
	if (ret < 0)
		goto fail;
	*grace = g;
	return 0;

fail:
	via_grace_free(g);
	return ret;
}

void via_grace_free(struct via_grace *g)
{
	if (!g)
		return;
	while (has_calls(g)) {
		wait_here(g);
		run_done(g);
	}
	helper_stop(g);
	via_loop_unwatch(g->watch);
	via_timer_free(g->slow);
	if (g->event_fd >= 0)
		close(g->event_fd);
	pthread_cond_destroy(&g->wake);
	pthread_cond_destroy(&g->idle);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

int via_grace_start(struct via_grace *g)
{
	return g->has_helper ? 0 : helper_start(g);
}

const struct via_need via_grace_needs[] = {
	VIA_NEED("futex", "threads wait for each other: locks, grace periods, their end"),
	VIA_NEED("poll", "the watchdog's pause; a grace period that takes long"),
	VIA_NEED("write", "eventfds: other threads, kicks and calls; lines of the log"),
	VIA_NEEDS_END,
};
