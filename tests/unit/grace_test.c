/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/grace.c, lib/base/worker.c */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <viaduct/log.h>
#include <viaduct/loop.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "base/workers.h"
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

/* A worker that does one step at a time, when it is told to. */
struct stepper {
	pthread_t thread;
	sem_t go, gone;
	void (*step)(void);
};

static void *stepper_run(void *user)
{
	struct stepper *s = user;

	for (;;) {
		while (sem_wait(&s->go) < 0)
			;
		if (!s->step)
			return NULL;
		s->step();
		sem_post(&s->gone);
	}
}

static void stepper_start(struct stepper *s)
{
	sem_init(&s->go, 0, 0);
	sem_init(&s->gone, 0, 0);
	assert_int_equal(pthread_create(&s->thread, NULL, stepper_run, s), 0);
}

static void stepper_do(struct stepper *s, void (*step)(void))
{
	s->step = step;
	sem_post(&s->go);
	if (!step) {
		pthread_join(s->thread, NULL);
		return;
	}
	while (sem_wait(&s->gone) < 0)
		;
}

static void step_register(void)
{
	via_worker_register("w0");
}

static char order[16];

static void note(void *user)
{
	const char *name = user;

	strncat(order, name, sizeof(order) - strlen(order) - 1);
}

static char *name_of(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void without_workers_callbacks_run_later_and_in_order(void **state)
{
	order[0] = '\0';
	assert_false(via_workers_ever());
	via_loop_after_grace(*state, note, name_of("a"));
	via_loop_after_grace(*state, note, name_of("b"));
	assert_string_equal(order, "");
	while (strlen(order) < 2)
		via_loop_turn(*state, -1);
	assert_string_equal(order, "ab");
}

static void a_callback_waits_until_the_worker_was_quiescent(void **state)
{
	struct stepper s = { 0 };

	order[0] = '\0';
	stepper_start(&s);
	stepper_do(&s, step_register);
	via_loop_after_grace(*state, note, name_of("a"));
	via_loop_after_grace(*state, note, name_of("b"));
	via_loop_turn(*state, 20);
	assert_string_equal(order, "");

	while (strlen(order) < 2) {
		stepper_do(&s, via_worker_quiescent);
		via_loop_turn(*state, 1);
	}
	assert_string_equal(order, "ab");
	stepper_do(&s, via_worker_unregister);
	stepper_do(&s, NULL);
}

static void an_offline_worker_is_not_waited_for(void **state)
{
	struct stepper s = { 0 };

	order[0] = '\0';
	stepper_start(&s);
	stepper_do(&s, step_register);
	stepper_do(&s, via_worker_offline);
	via_loop_after_grace(*state, note, name_of("a"));
	while (strlen(order) < 1)
		via_loop_turn(*state, -1);
	stepper_do(&s, via_worker_online);
	stepper_do(&s, via_worker_unregister);
	stepper_do(&s, NULL);
}

static char logged[256];

static void keep_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	assert_int_equal(level, VIA_LOG_WARNING);
	strncpy(logged, line, sizeof(logged) - 1);
}

static void a_worker_that_holds_a_change_over_a_second_is_named(void **state)
{
	struct stepper s = { 0 };

	order[0] = '\0';
	logged[0] = '\0';
	via_log_to(keep_line, NULL);
	stepper_start(&s);
	stepper_do(&s, step_register);
	via_loop_after_grace(*state, note, name_of("a"));
	while (!logged[0])
		via_loop_turn(*state, -1);
	assert_non_null(strstr(logged, ": w0"));
	assert_string_equal(order, "");
	stepper_do(&s, via_worker_unregister);
	while (strlen(order) < 1)
		via_loop_turn(*state, -1);
	stepper_do(&s, NULL);
	via_log_to(NULL, NULL);
}

static struct via_loop *loop_of_chain;

static void note_and_call_again(void *user)
{
	note(user);
	via_loop_after_grace(loop_of_chain, note, name_of("z"));
}

static void freeing_the_loop_runs_what_is_outstanding(void **state)
{
	struct via_loop *loop;

	(void)state;
	order[0] = '\0';
	assert_int_equal(via_loop_create(&loop, NULL), 0);
	loop_of_chain = loop;
	via_loop_after_grace(loop, note_and_call_again, name_of("a"));
	via_loop_after_grace(loop, note, name_of("b"));
	via_loop_free(loop);
	assert_string_equal(order, "abz");
}

/* What control has unpublished and, after a grace period, poisoned must never be seen by a worker. */
static _Atomic(int *) published;
static atomic_bool stop_reading;

static void *reader_run(void *user)
{
	bool *saw_poison = user;

	via_worker_register("reader");
	while (!atomic_load(&stop_reading)) {
		const int *p = atomic_load(&published);

		for (int i = 0; i < 100; i++)
			*saw_poison |= __atomic_load_n(p, __ATOMIC_RELAXED) != 1;
		via_worker_quiescent();
	}
	via_worker_unregister();
	return NULL;
}

static void poison(void *user)
{
	int *value = user;

	__atomic_store_n(value, 0, __ATOMIC_RELAXED);
	note(name_of("p"));
}

static void nothing_unpublished_is_still_in_a_workers_hands(void **state)
{
	int value[2] = { 1, 1 };
	bool saw_poison = false;
	pthread_t reader;

	atomic_store(&stop_reading, false);
	atomic_store(&published, &value[0]);
	assert_int_equal(pthread_create(&reader, NULL, reader_run, &saw_poison), 0);
	for (int i = 1; i < 200; i++) {
		int *old = atomic_load(&published);

		order[0] = '\0';
		value[i % 2] = 1;
		atomic_store(&published, &value[i % 2]);
		via_loop_after_grace(*state, poison, old);
		while (!order[0])
			via_loop_turn(*state, -1);
	}
	atomic_store(&stop_reading, true);
	pthread_join(reader, NULL);
	assert_false(saw_poison);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_workers_callbacks_run_later_and_in_order),
		cmocka_unit_test(freeing_the_loop_runs_what_is_outstanding),
		CASE(a_callback_waits_until_the_worker_was_quiescent),
		CASE(an_offline_worker_is_not_waited_for),
		CASE(a_worker_that_holds_a_change_over_a_second_is_named),
		CASE(nothing_unpublished_is_still_in_a_workers_hands),
		cmocka_unit_test(freeing_the_loop_runs_what_is_outstanding),
	};

	return cmocka_run_group_tests_name("grace", tests, NULL, NULL);
}
