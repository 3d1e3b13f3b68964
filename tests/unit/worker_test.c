/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of switch/worker.c under load: several workers, ports and queues that come, go and move while
 * frames cross. Meant to run under ThreadSanitizer as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"
#include "switch/switch.h"
#include "switch/worker.h"

#define PATIENCE_MS 10000

static struct via_loop *loop;
static struct sw_switch *sw;

/* Plays the stations behind a port: sends numbered frames by each queue to a station. */
struct player {
	struct fake_port *port;
	uint32_t queues, frames;
	uint8_t from, to; /* 'from' and one more for each queue */
	bool paced;       /* leaves queues time to rest */
	pthread_t thread;
};

static void *play(void *user)
{
	struct player *p = user;

	for (uint32_t n = 0; n < p->frames; n++) {
		for (uint32_t q = 0; q < p->queues; q++) {
			uint8_t frame[60] = { 2,    0, 0, 0, 0, p->to,
					      2,    0, 0, 0, 0, (uint8_t)(p->from + q),
					      0x08, 0 };

			while (!fake_give(p->port, q, frame, sizeof(frame), n))
				usleep(50);
		}
		if (p->paced && n % 64 == 0)
			usleep(n % 640 ? 20 : 500);
	}
	return NULL;
}

static void start(uint32_t nr_workers, uint32_t poll_us)
{
	struct sw_config config = { .nr_workers = nr_workers, .poll_us = poll_us };

	assert_int_equal(via_loop_create(&loop, NULL), 0);
	config.loop = loop;
	assert_int_equal(sw_create(&sw, &config, NULL), 0);
}

static struct fake_port *add(const char *name, const char *queues)
{
	const struct via_port_option options[] = { { "queues", queues }, { NULL, NULL } };
	const struct via_port_config port = { .name = name, .options = options };
	const int index = sw_port_add(sw, &fake_ops, &port, &(struct sw_port_config){ 0 }, NULL);

	assert_true(index >= 0);
	return fake(sw_port(sw, (uint32_t)index));
}

static void set_true(void *user)
{
	*(bool *)user = true;
}

static void del(uint32_t index)
{
	bool gone = false;

	assert_int_equal(sw_port_del(sw, index, set_true, &gone, NULL), 0);
	for (int i = 0; i < PATIENCE_MS / 10 && !gone; i++)
		via_loop_turn(loop, 10);
	assert_true(gone);
}

static void end(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		if (sw_port(sw, i))
			del(i);
	}
	sw_free(sw);
	via_loop_free(loop);
}

static bool is_drained(struct fake_port *f, uint32_t q)
{
	bool drained;

	pthread_mutex_lock(&f->lock);
	drained = f->in[q].head == f->in[q].tail;
	pthread_mutex_unlock(&f->lock);
	return drained;
}

static void wait_drained(struct fake_port *f, uint32_t queues)
{
	for (uint32_t q = 0; q < queues; q++) {
		for (int i = 0; i < PATIENCE_MS && !is_drained(f, q); i++)
			usleep(1000);
		assert_true(is_drained(f, q));
	}
}

/* Takes what came to the port; each sender's numbers must rise. */
static uint32_t check_order(struct fake_port *f, uint32_t *last)
{
	struct fake_frame got;
	uint32_t n = 0;

	while (fake_take(f, &got)) {
		const uint8_t from = got.bytes[11];

		assert_true(got.number + 1 > last[from]);
		last[from] = got.number + 1;
		n++;
	}
	return n;
}

static void queues_move_between_workers_and_keep_their_order(void **state)
{
	struct player p = { .queues = 4, .frames = 20000, .from = 10, .to = 99, .paced = true };
	struct sw_core *core;
	uint32_t last[256] = { 0 }, n = 0;

	(void)state;
	start(3, 20);
	core = sw_core_of(sw);
	p.port = add("a", "4");
	struct fake_port *b = add("b", "1");

	assert_int_equal(pthread_create(&p.thread, NULL, play, &p), 0);
	for (uint32_t i = 0; n < 4 * p.frames && i < 2000; i++) {
		struct sw_queue *q = core->queues;

		for (uint32_t k = i * 7 % 5; k > 0 && q->next; k--)
			q = q->next;
		sw_queue_move(core, q, &core->worker[i % 3]);
		n += check_order(b, last);
		via_loop_turn(loop, 0);
		usleep(100);
	}
	pthread_join(p.thread, NULL);
	wait_drained(p.port, 4);
	n += check_order(b, last);
	assert_int_equal(n + b->full, 4 * p.frames); /* full: on a busy machine we are too slow */
	assert_false(p.port->overlapped);
	end();
}

static void ports_come_and_go_under_traffic(void **state)
{
	struct player p[2] = { { .queues = 2, .frames = 15000, .from = 10, .to = 20 },
			       { .queues = 2, .frames = 15000, .from = 20, .to = 10 } };
	int fds[2];

	(void)state;
	start(2, 10);
	p[0].port = add("a", "2");
	p[1].port = add("b", "2");
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&p[i].thread, NULL, play, &p[i]), 0);
	for (int i = 0; i < 40; i++) {
		struct player guest = { .queues = 1, .frames = 200, .from = 30, .to = 10 };
		uint64_t frames, lost;

		guest.port = add("c", "1");
		assert_int_equal(sw_capture_start(sw, -1, fds[1], 64, NULL), 0);
		play(&guest);
		guest.port->says_fd[0] = i % 2 ? VIA_FD_POLL : VIA_FD_NONE;
		guest.port->port.config.queue_changed(guest.port->port.config.user,
						      &guest.port->port, 0);
		sw_fdb_flush(sw, i % 3);
		sw_set_poll_us(sw, i % 4 ? (uint32_t)i : SW_POLL_ALWAYS);
		via_loop_turn(loop, 1);
		sw_capture_stop(sw, &frames, &lost);
		del(2);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(p[i].thread, NULL);
	for (int i = 0; i < 2; i++) {
		wait_drained(p[i].port, 2);
		assert_false(p[i].port->overlapped);
		assert_true(p[i].port->delivered > 0);
	}
	end();
	close(fds[0]);
	close(fds[1]);
}

/* How often the worker sleeps while a queue gets 20 frames, one each 'gap_us'. */
static uint64_t sleeps_of(struct fake_port *port, unsigned int gap_us)
{
	const uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x08, 0 };
	struct sw_worker_info before, after;

	sw_worker_info(sw, 0, &before);
	for (uint32_t i = 0; i < 20; i++) {
		assert_true(fake_give(port, 0, frame, sizeof(frame), i));
		usleep(gap_us);
	}
	sw_worker_info(sw, 0, &after);
	return after.sleeps - before.sleeps;
}

static void a_queue_that_is_called_back_soon_stays_longer_and_no_other(void **state)
{
	struct fake_port *port;

	(void)state;
	start(1, 20000);
	port = add("a", "1");
	add("b", "1");
	/* Each frame comes when the queue has rested, but not for long: the first few, until it stays. */
	assert_in_range(sleeps_of(port, 30000), 0, 9);
	/* Later than it would ever stay: it rests each time. Late sleepers are this test's, not ours. */
	assert_in_range(sleeps_of(port, 100000), 15, 40);
	end();
}

static uint32_t nr_ingress(struct fake_port *port)
{
	uint32_t n;

	pthread_mutex_lock(&port->lock);
	n = port->nr_ingress;
	pthread_mutex_unlock(&port->lock);
	return n;
}

/* A guest whose chains take the time of many bursts, and lead to no packet at all. */
static void who_has_long_chains_walked_for_nothing_waits_for_the_others(void **state) /* R18 */
{
	struct fake_port *greedy, *other;
	uint32_t turns, served;

	(void)state;
	start(1, SW_POLL_ALWAYS);
	greedy = add("a", "1");
	other = add("b", "1");
	pthread_mutex_lock(&greedy->lock);
	greedy->walk = 32768; /* looks, which take as long as 8 bursts */
	pthread_mutex_unlock(&greedy->lock);
	served = nr_ingress(greedy);
	turns = nr_ingress(other);
	while (nr_ingress(other) - turns < 8000)
		usleep(1000);
	served = nr_ingress(greedy) - served;
	turns = nr_ingress(other) - turns;
	assert_in_range(served, 1, turns / 4);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_move_between_workers_and_keep_their_order),
		cmocka_unit_test(ports_come_and_go_under_traffic),
		cmocka_unit_test(a_queue_that_is_called_back_soon_stays_longer_and_no_other),
		cmocka_unit_test(who_has_long_chains_walked_for_nothing_waits_for_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
