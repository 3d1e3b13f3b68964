/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of switch/input.c and forward.c: to which ports the frames of one burst go, in which order, and
 * what a port that is full makes of it.
 */
#include <sys/mman.h>

#include "forward_rig.h"
#include "switch/capture.h"

/* ---- destinations ---- */

static void unknown_destinations_are_flooded_and_known_ones_are_not(void **state)
{
	(void)state;
	send(0, (struct frame){ .from = 10, .to = 11 });
	expect_nothing(0);
	for (uint32_t i = 1; i < PORTS; i++)
		expect_frame(i, (struct frame){ .from = 10, .to = 11 });
	send(1, (struct frame){ .from = 11, .to = 10 });
	expect_frame(0, (struct frame){ .from = 11, .to = 10 });
	for (uint32_t i = 1; i < PORTS; i++)
		expect_nothing(i);
}

static void a_frame_for_its_own_port_goes_nowhere(void **state)
{
	(void)state;
	send(0, (struct frame){ .from = 10, .to = 0 });
	send(0, (struct frame){ .from = 20, .to = 10 });
	assert_int_equal(drops(0, VIA_DROP_NOWHERE), 1);
	expect_nothing(0);
}

static void bridges_reserved_addresses_are_not_forwarded(void **state)
{
	uint8_t bytes[60] = { 1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 10, 8, 0 };

	(void)state;
	for (bytes[5] = 0; bytes[5] < 0x12; bytes[5]++) {
		fake_give(port[0], 0, bytes, sizeof(bytes), 0);
		turn(0);
	}
	assert_int_equal(drops(0, VIA_DROP_RESERVED), 16);
	assert_int_equal(fake_nr_out(port[1]), 2);
}

static void sources_that_cannot_be_one_are_dropped(void **state)
{
	uint8_t bytes[60] = { 2, 0, 0, 0, 0, 11, 3, 0, 0, 0, 0, 10, 8, 0 };

	(void)state;
	fake_give(port[0], 0, bytes, sizeof(bytes), 0); /* a group */
	memset(bytes + 6, 0, 6);
	fake_give(port[0], 0, bytes, sizeof(bytes), 0); /* nobody */
	turn(0);
	assert_int_equal(drops(0, VIA_DROP_SOURCE), 2);

	assert_int_equal(
		sw_fdb_put_static(&core->fdb, sw_fdb_key(2 | UINT64_C(12) << 40, 0), 2, NULL), 0);
	send(0, (struct frame){ .from = 12, .to = 0 }); /* another port's by configuration */
	assert_int_equal(drops(0, VIA_DROP_SOURCE), 3);
	expect_nothing(1);
	send(0, (struct frame){ .from = 10, .to = 12 });
	expect_frame(2, (struct frame){ .from = 10, .to = 12 });
	expect_nothing(1);
}

static void the_order_of_a_burst_is_kept_at_each_port(void **state)
{
	struct fake_frame got;
	uint32_t last;

	(void)state;
	introduce_all();
	for (uint32_t n = 0; n < VIA_BURST; n++) {
		/* known, flooded for being unknown, broadcast, by turns of different lengths */
		const uint8_t to[] = { 11, 12, 0, 99, 11, 11, 0 };

		queue_up(0, &(struct frame){ .from = 10, .to = to[n % 7] }, n + 1);
	}
	assert_int_equal(turn(0), 0);
	for (uint32_t i = 1; i < PORTS; i++) {
		last = 0;
		while (fake_take(port[i], &got)) {
			assert_true(got.number > last);
			last = got.number;
		}
		assert_true(last > 50);
		assert_int_equal(port[i]->nr_egress, 5 + 1); /* introductions and one burst */
	}
}

static void isolated_ports_meet_only_others(void **state)
{
	(void)state;
	introduce_all();
	member[0].isolated = member[1].isolated = true;
	send(0, (struct frame){ .from = 10, .to = 11 });
	expect_nothing(1);
	assert_int_equal(via_counter_read(&port[1]->port.transmit[0].drops[VIA_DROP_ISOLATED]), 1);
	send(0, (struct frame){ .from = 10, .to = 0 });
	expect_nothing(1);
	expect_frame(2, (struct frame){ .from = 10, .to = 0 });
	send(2, (struct frame){ .from = 12, .to = 11 });
	expect_frame(1, (struct frame){ .from = 12, .to = 11 });
}

/* ---- floods ---- */

/* Long frames cost more: R27. */
static void floods_have_a_budget_but_one_frame_always_goes(void **state)
{
	const uint32_t lens[] = { 60, 65536 }, cost[] = { 1, 33 };

	(void)state;
	for (uint32_t k = 0; k < ARRAY_SIZE(lens); k++) {
		const uint64_t before = drops(0, VIA_DROP_FLOOD);
		const uint64_t fits = SW_FLOOD_BUDGET / (PORTS * cost[k]);
		const struct via_piece rest = { forwarder->burst->view[0].snapshot, lens[k] - 60 };
		uint32_t n;

		for (uint32_t i = 0; i < VIA_BURST; i++)
			queue_up(0, &(struct frame){ .from = 10 }, i);
		n = fake_ingress_burst(&port[0]->port, 0, forwarder->burst, VIA_BURST);
		for (uint32_t i = 0; i < n; i++) {
			struct via_view *v = &forwarder->burst->view[i];

			v->len = lens[k];
			v->piece = &rest;
			v->nr_pieces = lens[k] > 60;
		}
		assert_int_equal(sw_forward(forwarder, &source[0], n, now_us), 0);
		fake_ingress_release(&port[0]->port, 0, forwarder->burst, 0);
		assert_int_equal(drops(0, VIA_DROP_FLOOD) - before, n > fits ? n - fits : 0);
		for (uint32_t i = 1; i < PORTS; i++) {
			assert_int_equal(fake_nr_out(port[i]), n > fits ? fits : n);
			port[i]->out.head = port[i]->out.tail;
		}
	}
}

static void floods_of_many_segments_are_counted_as_many(void **state)
{
	static const uint8_t rest[65000];
	const struct via_piece piece = { rest, sizeof(rest) };
	struct fake_frame got;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct via_view *v = &forwarder->burst->view[i];

		memset(v, 0, sizeof(*v));
		build(v->snapshot, &(struct frame){ .from = 10, .len = 128 });
		v->snapshot_len = VIA_SNAPSHOT_SIZE;
		v->len = VIA_SNAPSHOT_SIZE + sizeof(rest);
		v->piece = &piece;
		v->nr_pieces = 1;
		v->gso = VIA_GSO_UDP;
		v->gso_size = 32;
	}
	assert_int_equal(sw_forward(forwarder, &source[0], 3, now_us), 0);
	assert_true(fake_take(port[1], &got)); /* one goes, whatever it is */
	assert_false(fake_take(port[1], &got));
	assert_int_equal(via_counter_read(&port[0]->port.receive[0].drops[VIA_DROP_FLOOD]), 2);
}

/* ---- lossless ---- */

/* Takes what came to the port and expects these numbers. */
static void expect_numbers(uint32_t i, uint32_t first, uint32_t n, uint32_t step)
{
	struct fake_frame got;

	for (uint32_t k = 0; k < n; k++) {
		assert_true(fake_take(port[i], &got));
		assert_int_equal(got.number, first + k * step);
	}
	expect_nothing(i);
}

static void what_a_full_lossless_port_does_not_take_comes_again(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 3;
	for (uint32_t n = 0; n < 10; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = 11 }, n);
	assert_int_equal(turn(0), 7);
	expect_numbers(1, 0, 3, 1);
	assert_int_equal(turn(0), 7);
	port[1]->room = 5;
	assert_int_equal(turn(0), 2);
	expect_numbers(1, 3, 5, 1);
	port[1]->room = UINT32_MAX;
	assert_int_equal(turn(0), 0);
	expect_numbers(1, 8, 2, 1);
	assert_int_equal(port[1]->full, 0);
}

static void others_get_their_frames_once_while_one_is_full(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = port[2]->port.lossless = true;
	port[1]->room = 0;
	port[2]->room = 4;
	/* by turns to full port 1, nearly full port 2, port 3, everybody */
	for (uint32_t n = 0; n < 40; n++) {
		const uint8_t to[] = { 11, 12, 13, 0 };

		queue_up(0, &(struct frame){ .from = 10, .to = to[n % 4] }, n);
	}
	/* more is behind them than a burst holds */
	for (uint32_t n = 40; n < 100; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = 13 }, n);
	assert_true(turn(0) > 0);
	for (int i = 0; i < 5; i++)
		assert_true(turn(0) > 0);
	assert_true(port[3]->nr_egress > 0);
	port[1]->room = port[2]->room = UINT32_MAX;
	while (turn(0) > 0 || port[0]->in[0].head != port[0]->in[0].tail)
		;
	/* port 1: its own, in order; floods while it was full are lost there and nowhere else */
	expect_numbers(1, 0, 10, 4);
	assert_int_equal(port[1]->full, 10);
	assert_int_equal(fake_nr_out(port[3]), 10 + 10 + 60);
	assert_int_equal(fake_nr_out(port[4]), 10);
}

static void a_lossless_port_that_stays_full_for_100_ms_is_lossy_until_it_drains(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 0;
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 1);
	assert_int_equal(turn(0), 1);
	now_us += 98000;
	assert_int_equal(turn(0), 1);
	now_us += 4000;
	assert_int_equal(turn(0), 0);
	assert_int_equal(port[1]->full, 1);
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 2);
	assert_int_equal(turn(0), 0); /* nobody waits for it now */
	assert_int_equal(port[1]->full, 2);
	port[1]->room = 1;
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 3);
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 4);
	assert_int_equal(turn(0), 1); /* it took one: worth waiting for */
	now_us += 50000;
	assert_int_equal(turn(0), 1);
}

static void nobody_waits_for_a_lossless_port_that_has_been_full_for_weeks(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 0;
	queue_up(0, &(struct frame){ .from = 10, .to = 0 }, 1);
	assert_int_equal(turn(0), 0);
	for (uint32_t days = 1; days < 45; days++) {
		now_us += UINT64_C(86400000000);
		introduce_all(); /* nobody is forgotten */
		queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 2);
		assert_int_equal(turn(0), 0);
	}
}

static void a_capture_sees_what_comes_again_once(void **state)
{
	int fd = memfd_create("capture", 0);
	struct sw_capture *capture;
	struct via_loop *loop;
	uint64_t frames, lost;

	(void)state;
	introduce_all();
	assert_int_equal(via_loop_create(&loop, NULL), 0);
	assert_int_equal(sw_capture_create(&capture, loop, 1, -1, fd, 64, NULL), 0);
	atomic_store(&core->capture, capture);
	port[1]->port.lossless = true;
	port[1]->room = 3;
	for (uint32_t n = 0; n < 10; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = n % 2 ? 11 : 12 }, n);
	assert_true(turn(0) > 0);
	assert_true(turn(0) > 0);
	port[1]->room = UINT32_MAX;
	assert_int_equal(turn(0), 0);
	assert_int_equal(source[0].captured, 0);
	sw_capture_end(capture, &frames, &lost);
	sw_capture_free(capture);
	via_loop_free(loop);
	assert_int_equal(frames, 10 + 10);
	assert_int_equal(lost, 0);
	close(fd);
}

/* ---- learning ---- */

static void learning_is_refreshed_once_a_second(void **state)
{
	struct sw_fdb_bucket *b;
	uint32_t seq;

	(void)state;
	introduce_all();
	b = sw_fdb_bucket(&core->fdb, sw_fdb_key(2 | UINT64_C(10) << 40, 0));
	seq = atomic_load(&b->seq);
	now_us += 900000;
	send(0, (struct frame){ .from = 10, .to = 11 });
	assert_int_equal(atomic_load(&b->seq), seq);
	now_us += 200000;
	send(0, (struct frame){ .from = 10, .to = 11 });
	send(0, (struct frame){ .from = 10, .to = 11 });
	assert_int_equal(atomic_load(&b->seq), seq + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_destinations_are_flooded_and_known_ones_are_not),
		TEST(a_frame_for_its_own_port_goes_nowhere),
		TEST(bridges_reserved_addresses_are_not_forwarded),
		TEST(sources_that_cannot_be_one_are_dropped),
		TEST(the_order_of_a_burst_is_kept_at_each_port),
		TEST(isolated_ports_meet_only_others),
		TEST(floods_have_a_budget_but_one_frame_always_goes),
		TEST(what_a_full_lossless_port_does_not_take_comes_again),
		TEST(others_get_their_frames_once_while_one_is_full),
		TEST(a_lossless_port_that_stays_full_for_100_ms_is_lossy_until_it_drains),
		TEST(floods_of_many_segments_are_counted_as_many),
		TEST(nobody_waits_for_a_lossless_port_that_has_been_full_for_weeks),
		TEST(a_capture_sees_what_comes_again_once),
		TEST(learning_is_refreshed_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
