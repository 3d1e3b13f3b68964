/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/loop.c, lib/base/timers.c */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <viaduct/loop.h>

#include "base/base.h"
#include "base/timers.h"
#include "tests/test.h"

static int setup(void **state)
{
	return via_loop_create((struct via_loop **)state, NULL);
}

static int teardown(void **state)
{
	via_loop_free(*state);
	return 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* ---- watches ---- */

struct watched {
	int fd;
	unsigned int calls;
	struct via_watch *watch;
	struct watched *victim; /* whom the callback unwatches */
};

static void on_event(void *user, uint32_t events)
{
	struct watched *w = user;

	assert_true(events & EPOLLIN);
	w->calls++;
	if (w->victim) {
		via_loop_unwatch(w->victim->watch);
		w->victim->watch = NULL;
	}
}

static void watch_ready(struct via_loop *loop, struct watched *w)
{
	w->fd = eventfd(1, EFD_CLOEXEC);
	assert_true(w->fd >= 0);
	assert_int_equal(via_loop_watch(&w->watch, loop, w->fd, EPOLLIN, on_event, w, NULL), 0);
}

static void a_watch_fires_while_its_descriptor_is_ready(void **state)
{
	struct watched w = { 0 };

	watch_ready(*state, &w);
	via_loop_turn(*state, 0);
	via_loop_turn(*state, 0);
	assert_int_equal(w.calls, 2);
	via_watch_set(w.watch, 0);
	via_loop_turn(*state, 0);
	assert_int_equal(w.calls, 2);
	via_loop_unwatch(w.watch);
	close(w.fd);
}

static void a_watch_never_fires_after_it_was_removed_in_the_same_batch(void **state)
{
	struct watched a = { 0 }, b = { 0 };

	a.victim = &b;
	b.victim = &a;
	watch_ready(*state, &a);
	watch_ready(*state, &b);
	via_loop_turn(*state, 0);
	assert_int_equal(a.calls + b.calls, 1);
	via_loop_turn(*state, 0);
	assert_int_equal(a.calls + b.calls, 2); /* the survivor, which has nobody left to remove */
	via_loop_unwatch(a.watch);
	via_loop_unwatch(b.watch);
	close(a.fd);
	close(b.fd);
}

static void a_watch_may_remove_itself(void **state)
{
	struct watched w = { 0 };

	w.victim = &w;
	watch_ready(*state, &w);
	via_loop_turn(*state, 0);
	via_loop_turn(*state, 0);
	assert_int_equal(w.calls, 1);
	close(w.fd);
}

static void a_bad_descriptor_is_refused_with_the_reason(void **state)
{
	struct via_watch *watch = NULL;
	struct via_error err;

	assert_int_equal(via_loop_watch(&watch, *state, -1, EPOLLIN, on_event, NULL, &err), -EBADF);
	assert_non_null(strstr(err.text, "-1"));
	assert_null(watch);
	via_loop_unwatch(NULL);
}

/* ---- timers ---- */

static char order[16];

static void on_timer(void *user)
{
	const char *name = user;

	strncat(order, name, sizeof(order) - strlen(order) - 1);
}

static void timers_run_in_the_order_of_deadlines_then_of_starts(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	static const uint32_t delays[] = { 8, 2, 2, 4, 0 };
	struct via_timer *timer[5];

	order[0] = '\0';
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(via_timer_create(&timer[i], *state, on_timer,
						  (void *)(uintptr_t)names[i], NULL),
				 0);
	for (unsigned int i = 0; i < 5; i++)
		via_timer_start(timer[i], delays[i]);
	via_timer_stop(timer[3]);
	while (strlen(order) < 4)
		via_loop_turn(*state, -1);
	assert_string_equal(order, "ebca");
	assert_false(readable(via_loop_fd(*state)));
	for (unsigned int i = 0; i < 5; i++)
		via_timer_free(timer[i]);
}

static struct via_timer *again;
static unsigned int nr_again;

static void on_again(void *user)
{
	(void)user;
	nr_again++;
	via_timer_start(again, 0);
}

static void a_timer_that_restarts_itself_at_once_lets_the_loop_go_on(void **state)
{
	nr_again = 0;
	assert_int_equal(via_timer_create(&again, *state, on_again, NULL, NULL), 0);
	via_timer_start(again, 0);
	via_loop_turn(*state, -1);
	assert_int_equal(nr_again, 1);
	via_loop_turn(*state, -1);
	assert_int_equal(nr_again, 2);
	via_timer_free(again);
}

static void on_free(void *user)
{
	struct via_timer **timer = user;

	via_timer_free(*timer);
	*timer = NULL;
}

static void a_timer_may_free_itself(void **state)
{
	struct via_timer *timer;

	assert_int_equal(via_timer_create(&timer, *state, on_free, &timer, NULL), 0);
	via_timer_start(timer, 1);
	while (timer)
		via_loop_turn(*state, -1);
	via_timer_free(NULL);
}

static void the_descriptor_of_the_loop_tells_of_timers(void **state)
{
	struct via_timer *timer;
	struct pollfd p = { .fd = via_loop_fd(*state), .events = POLLIN };

	order[0] = '\0';
	assert_false(readable(p.fd));
	assert_int_equal(via_timer_create(&timer, *state, on_timer, (void *)(uintptr_t) "x", NULL),
			 0);
	via_timer_start(timer, 3);
	assert_int_equal(poll(&p, 1, 5000), 1);
	via_loop_turn(*state, 0);
	assert_string_equal(order, "x");
	via_timer_free(timer);
}

static void a_heap_gives_timers_back_in_order_whatever_is_inserted_and_removed(void **state)
{
	enum { NR = 200 };
	struct via_timers timers = { 0 };
	struct via_timer timer[NR] = { 0 };
	struct via_timer *first;
	uint64_t last = 0;
	unsigned int seed = 7, n = 0;

	(void)state;
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(via_timers_reserve(&timers), 0);
	for (unsigned int i = 0; i < 5 * NR; i++) {
		struct via_timer *t = &timer[(unsigned int)rand_r(&seed) % NR];

		if (rand_r(&seed) % 3)
			via_timers_insert(&timers, t, (uint64_t)rand_r(&seed) % 100);
		else
			via_timers_remove(&timers, t);
	}
	for (unsigned int i = 0; i < NR; i++)
		n += timer[i].place > 0;
	assert_int_equal(n, timers.nr_running);
	while ((first = via_timers_first(&timers))) {
		assert_true(first->deadline_us >= last);
		last = first->deadline_us;
		via_timers_remove(&timers, first);
	}
	for (unsigned int i = 0; i < NR; i++)
		via_timers_release(&timers);
}

static void on_stop(void *user)
{
	via_loop_stop(user);
}

static void a_loop_runs_until_it_is_stopped(void **state)
{
	struct via_timer *timer;

	assert_int_equal(via_timer_create(&timer, *state, on_stop, *state, NULL), 0);
	via_timer_start(timer, 1);
	via_loop_run(*state);
	via_timer_free(timer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_watch_fires_while_its_descriptor_is_ready),
		CASE(a_watch_never_fires_after_it_was_removed_in_the_same_batch),
		CASE(a_watch_may_remove_itself),
		CASE(a_bad_descriptor_is_refused_with_the_reason),
		CASE(timers_run_in_the_order_of_deadlines_then_of_starts),
		CASE(a_timer_that_restarts_itself_at_once_lets_the_loop_go_on),
		CASE(a_timer_may_free_itself),
		CASE(the_descriptor_of_the_loop_tells_of_timers),
		cmocka_unit_test(
			a_heap_gives_timers_back_in_order_whatever_is_inserted_and_removed),
		CASE(a_loop_runs_until_it_is_stopped),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
