/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread's events: epoll, with one timerfd for all timers.
 *
 * The timerfd is in the epoll set, so that via_loop_fd() alone tells an application's own loop about
 * timers as well; it is set only when the earliest deadline changes, and nothing wakes up when
 * nothing is due.
 *
 * A watch that is removed while a batch of events is being handed out may still be named by that
 * batch: it is marked dead, skipped, and freed when the outermost batch ends.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <viaduct/loop.h>

#include "base/base.h"
#include "base/calls.h"
#include "base/grace.h"
#include "base/timers.h"

#define BATCH 64

struct via_watch {
	struct via_loop *loop;
	int fd;
	via_watch_fn *fn; /* NULL: dead */
	void *user;
	struct via_watch *next_dead;
};

struct via_loop {
	int epoll_fd;
	int timer_fd;
	struct via_watch *timer_watch;
	uint64_t timer_set_us; /* what the timerfd is set to; 0: nothing */
	struct via_timers timers;
	struct via_grace *grace;
	unsigned int depth; /* of nested turns */
	struct via_watch *dead;
	bool stop;
};

/* ---- timers ---- */

/* Sets the timerfd to the earliest deadline, unless it is. */
static void timers_arm(struct via_loop *loop)
{
	const struct via_timer *first = via_timers_first(&loop->timers);
	uint64_t us = first ? first->deadline_us : 0;
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(us / 1000000),
			      .tv_nsec = (long)(us % 1000000) * 1000 },
	};

	if (us == loop->timer_set_us)
		return;
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	loop->timer_set_us = us;
}

static void on_timer_fd(void *user, uint32_t events)
{
	struct via_loop *loop = user;
	const uint64_t now = via_clock_us(), newest = loop->timers.serial;
	struct via_timer *timer;
	uint64_t n;

	(void)events;
	if (read(loop->timer_fd, &n, sizeof(n)) > 0)
		loop->timer_set_us = 0;
	/* What a callback starts waits for the next turn, however short its delay. */
	while ((timer = via_timers_first(&loop->timers)) && timer->deadline_us <= now &&
	       timer->serial <= newest) {
		via_timers_remove(&loop->timers, timer);
		timer->fn(timer->user); /* may free it */
	}
	timers_arm(loop);
}

VIA_EXPORT int via_timer_create(struct via_timer **timer, struct via_loop *loop, via_timer_fn *fn,
				void *user, struct via_error *err)
{
	struct via_timer *t = malloc(sizeof(*t));

	if (!t || via_timers_reserve(&loop->timers) < 0) {
		free(t);
		return via_fail(err, -ENOMEM, "no memory for a timer");
	}
	*t = (struct via_timer){ .loop = loop, .fn = fn, .user = user };
	*timer = t;
	return 0;
}

VIA_EXPORT void via_timer_start(struct via_timer *timer, uint32_t delay_ms)
{
	/* Never 0, which would stop the timerfd: the clock's beginning was long ago. */
	via_timers_insert(&timer->loop->timers, timer, via_clock_us() + delay_ms * UINT64_C(1000));
	timers_arm(timer->loop);
}

VIA_EXPORT void via_timer_stop(struct via_timer *timer)
{
	via_timers_remove(&timer->loop->timers, timer);
	timers_arm(timer->loop);
}

VIA_EXPORT void via_timer_free(struct via_timer *timer)
{
	if (!timer)
		return;
	via_timer_stop(timer);
	via_timers_release(&timer->loop->timers);
	free(timer);
}

/* ---- watches ---- */

VIA_EXPORT int via_loop_watch(struct via_watch **watch, struct via_loop *loop, int fd,
			      uint32_t events, via_watch_fn *fn, void *user, struct via_error *err)
{
	struct via_watch *w = malloc(sizeof(*w));
	struct epoll_event event = { .events = events, .data.ptr = w };
	int ret;

	if (!w)
		return via_fail(err, -ENOMEM, "no memory to watch a descriptor");
	*w = (struct via_watch){ .loop = loop, .fd = fd, .fn = fn, .user = user };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		ret = via_fail(err, -errno, "cannot watch descriptor %d: %s", fd, strerror(errno));
		free(w);
		return ret;
	}
	*watch = w;
	return 0;
}

VIA_EXPORT void via_watch_set(struct via_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

VIA_EXPORT void via_loop_unwatch(struct via_watch *watch)
{
	struct via_loop *loop;

	if (!watch)
		return;
	loop = watch->loop;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fn = NULL;
	if (loop->depth == 0) {
		free(watch);
		return;
	}
	watch->next_dead = loop->dead;
	loop->dead = watch;
}

static void free_dead(struct via_loop *loop)
{
	while (loop->dead) {
		struct via_watch *watch = loop->dead;

		loop->dead = watch->next_dead;
		free(watch);
	}
}

/* ---- turns ---- */

VIA_EXPORT void via_loop_turn(struct via_loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(loop->epoll_fd, events, BATCH, timeout_ms);

	loop->depth++;
	for (int i = 0; i < n; i++) {
		struct via_watch *watch = events[i].data.ptr;

		if (watch->fn)
			watch->fn(watch->user, events[i].events);
	}
	if (--loop->depth == 0)
		free_dead(loop);
}

VIA_EXPORT void via_loop_run(struct via_loop *loop)
{
	loop->stop = false;
	while (!loop->stop)
		via_loop_turn(loop, -1);
}

VIA_EXPORT void via_loop_stop(struct via_loop *loop)
{
	loop->stop = true;
}

VIA_EXPORT int via_loop_fd(const struct via_loop *loop)
{
	return loop->epoll_fd;
}

VIA_EXPORT int via_loop_prepare(struct via_loop *loop, struct via_error *err)
{
	int ret = via_grace_start(loop->grace);

	return ret < 0 ? via_fail(err, ret, "cannot make a thread: %s", strerror(-ret)) : 0;
}

VIA_EXPORT void via_loop_after_grace(struct via_loop *loop, via_grace_fn *fn, void *user)
{
	via_grace_call(loop->grace, fn, user);
}

/* ---- life ---- */

VIA_EXPORT int via_loop_create(struct via_loop **loop, struct via_error *err)
{
	struct via_loop *l = malloc(sizeof(*l));
	int ret;

	if (!l)
		return via_fail(err, -ENOMEM, "no memory for the event loop");
	*l = (struct via_loop){ .epoll_fd = -1, .timer_fd = -1 };

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll_fd < 0 || l->timer_fd < 0) {
		ret = via_fail(err, -errno, "cannot make the event loop: %s", strerror(errno));
		goto fail;
	}
	ret = via_loop_watch(&l->timer_watch, l, l->timer_fd, EPOLLIN, on_timer_fd, l, err);
	if (ret == 0)
		ret = via_grace_create(&l->grace, l, err);
	if (ret < 0)
		goto fail;
	*loop = l;
	return 0;

fail:
	via_loop_free(l);
	return ret;
}

VIA_EXPORT void via_loop_free(struct via_loop *loop)
{
	if (!loop)
		return;
	via_grace_free(loop->grace);
	via_loop_unwatch(loop->timer_watch);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

const struct via_need via_loop_needs[] = {
	VIA_NEED("epoll_wait", "control and idle workers wait for events"),
	VIA_NEED("epoll_ctl", "descriptors come and go with connections, queues and timers"),
	VIA_NEED("timerfd_settime", "the next deadline; when the next frame of 'gen' is due"),
	VIA_NEED("read", "eventfds, the timer, signals"),
	VIA_NEEDS_END,
};
