/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/control_queue.c: how much is served in a turn, and what is left alone. */
#include <viaduct/worker.h>

#include "tests/protocol/control.h"
#include "vhost/vhost.h"

/* A ring of 256 slots, where fe_setup_queue() makes one of 64. */
static void start_with_much_room(struct frontend *fe)
{
	struct fe_queue *q = &fe->queue[CONTROL];
	uint8_t *at = fe->mem + FE_RING_AT(CONTROL);
	const struct via_drv_config config = { .format = VIA_RING_SPLIT,
					       .size = 256,
					       .desc = at,
					       .avail = at + FE_AVAIL,
					       .used = at + FE_USED };

	fe_start(fe, CONTROL_FEATURES, CONTROL);
	assert_int_equal(via_drv_init(&q->drv, &config, NULL), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, CONTROL, 256), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, CONTROL, 0), 0);
	assert_int_equal(fe_set_addr(fe, CONTROL), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, CONTROL, q->kick), 0);
	fe_turn(fe);
}

static uint32_t reap_all(struct frontend *fe)
{
	struct via_drv_done done;
	uint32_t n = 0;

	while (drv_reap(&fe->queue[CONTROL].drv, &done, VIA_RING_SPLIT) == 1)
		n++;
	return n;
}

static void a_driver_with_many_commands_takes_turns_with_everybody_else(void **state) /* R10 */
{
	struct frontend *fe = *state;
	const struct via_drv_buffer buf = { FE_BUFFERS, 1 }; /* no command, and no answer wanted */
	struct via_drv_ring *drv = &fe->queue[CONTROL].drv;
	uint32_t answered = 0;

	start_with_much_room(fe);
	for (int i = 0; i < 200; i++)
		assert_int_equal(drv_add(drv, &buf, 1, 0, VIA_DRV_DIRECT, NULL, VIA_RING_SPLIT), 0);
	drv_publish(drv, VIA_RING_SPLIT);
	control_kick(fe);
	for (int turn = 0; turn < 100 && answered < 200; turn++) {
		uint32_t n;

		via_loop_turn(fe->loop, 10);
		n = reap_all(fe);
		assert_in_range(n, 0, 64);
		answered += n;
	}
	assert_int_equal(answered, 200);
}

static void nothing_is_written_into_a_control_queue_that_is_broken(void **state)
{
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(CONTROL) + FE_AVAIL);
	struct via_split_used *used = (void *)(fe->mem + FE_RING_AT(CONTROL) + FE_USED);

	fe_start(fe, CONTROL_FEATURES, 5);
	fe_turn(fe);
	via_le16_store(&used->flags, 0x5555); /* ours, not to want kicks or to want them */
	via_le16_store(&avail->idx, 30000);
	control_kick(fe);
	fe_turn(fe);
	assert_int_equal(fe->dev->queue[CONTROL].told, VIA_BROKEN_AVAIL_INDEX);
	assert_int_equal(via_le16_load(&used->flags), 0x5555);
}

/* Last of all: where there was a worker, changes take their time from then on. */
static void a_front_end_that_leaves_during_a_command_is_missed_when_that_is_done(void **state)
{
	static const uint8_t promisc_off[] = { 0, 0, 0 };
	struct frontend *fe = *state;
	uint8_t *ack;

	fe_start(fe, CONTROL_FEATURES, 5);
	control_offer(
		fe, 0, promisc_off,
		sizeof(promisc_off)); /* from the second one on there is something to wait for */
	ack = control_offer(fe, 1, promisc_off, sizeof(promisc_off));
	via_worker_register("test"); /* it is in the rings */
	control_kick(fe);
	fe_turn(fe);
	assert_true(vu_is_settling(fe->dev));
	close(fe->fd);
	fe->fd = -1;
	fe_turn(fe);
	assert_int_equal(fe->dev->session, VU_CONNECTED);
	via_worker_unregister();
	for (int i = 0; i < 500 && fe->dev->session != VU_IDLE; i++)
		via_loop_turn(fe->loop, 10);
	assert_int_equal(fe->dev->session, VU_IDLE);
	assert_int_equal(*ack, OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, control_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_driver_with_many_commands_takes_turns_with_everybody_else),
		CASE(nothing_is_written_into_a_control_queue_that_is_broken),
		CASE(a_front_end_that_leaves_during_a_command_is_missed_when_that_is_done),
	};

	return cmocka_run_group_tests_name("control turns", tests, NULL, NULL);
}
