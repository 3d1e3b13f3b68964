/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switch/assign.c: which worker gets a queue, and which queue moves when load does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "switch/worker.h"

#define WORKERS 3
#define QUEUES  6

static struct sw_core *core;
static struct sw_queue *queue[QUEUES];

static int set_up(void **state)
{
	(void)state;
	core = aligned_alloc(VIA_CACHE_LINE, sizeof(*core));
	memset(core, 0, sizeof(*core));
	core->worker = aligned_alloc(VIA_CACHE_LINE, WORKERS * sizeof(*core->worker));
	memset(core->worker, 0, WORKERS * sizeof(*core->worker));
	core->nr_workers = WORKERS;
	pthread_mutex_init(&core->mail_lock, NULL);
	for (uint32_t i = 0; i < WORKERS; i++) {
		core->worker[i].index = i;
		core->worker[i].mail_fd = -1; /* nobody reads */
	}
	for (uint32_t i = 0; i < QUEUES; i++) {
		queue[i] = aligned_alloc(VIA_CACHE_LINE, sizeof(*queue[i]));
		memset(queue[i], 0, sizeof(*queue[i]));
		queue[i]->next = core->queues;
		core->queues = queue[i];
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < QUEUES; i++)
		free(queue[i]);
	pthread_mutex_destroy(&core->mail_lock);
	free(core->worker);
	free(core);
	return 0;
}

/* A second passes, in which the queue moved 'packets' and took 'busy' thousandths of a core. */
static void work(uint32_t q, uint64_t packets, uint64_t busy)
{
	via_count(&queue[q]->packets, packets);
	via_count(&queue[q]->home->packets, packets);
	via_count(&queue[q]->home->busy_us, busy * 1000);
}

static void new_queues_go_where_the_fewest_are(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < QUEUES; i++)
		sw_queue_move(core, queue[i], sw_assign(core));
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(core->worker[i].assigned, QUEUES / WORKERS);
}

static void the_queue_that_evens_out_best_moves(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < QUEUES; i++)
		sw_queue_move(core, queue[i], &core->worker[0]);
	sw_queue_move(core, queue[5], &core->worker[1]);
	sw_queue_move(core, queue[4], &core->worker[2]);
	sw_rebalance_begin(core);
	work(0, 450, 450);
	work(1, 200, 200);
	work(2, 250, 250);
	work(5, 100, 200);
	work(4, 100, 100);
	assert_true(sw_rebalance(core, 1000000)); /* 900, 200, 100: 400 would be best */
	assert_int_equal(queue[0]->home->index, 2);
	assert_int_equal(core->moves, 1);
	assert_int_equal(core->worker[0].assigned, 3);
	assert_int_equal(core->worker[2].assigned, 2);
}

static void what_would_not_help_stays(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < QUEUES; i++)
		sw_queue_move(core, queue[i], &core->worker[i % 2]);
	sw_rebalance_begin(core);
	for (int round = 0; round < 10; round++) {
		work(0, 1000, 900); /* alone with it: elsewhere it would be the same */
		work(1, 100, 50);
		assert_true(sw_rebalance(core, 1000000));
	}
	for (int round = 0; round < 10; round++) {
		work(0, 100, 300); /* nearly even */
		work(1, 100, 250);
		work(2, 100, 0);
		via_count(&core->worker[2].busy_us, 200000);
		assert_true(sw_rebalance(core, 1000000));
	}
	assert_int_equal(core->moves, 0);
}

static void idleness_is_noticed(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < QUEUES; i++)
		sw_queue_move(core, queue[i], &core->worker[i % 2]);
	sw_rebalance_begin(core);
	work(0, 1000, 5);
	assert_false(sw_rebalance(core, 1000000));
	assert_int_equal(core->moves, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(new_queues_go_where_the_fewest_are),
		TEST(the_queue_that_evens_out_best_moves),
		TEST(what_would_not_help_stays),
		TEST(idleness_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
