/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/control_queue.c: how much is served in a turn, and what is left alone. */
#include <string.h>
#include <viaduct/worker.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

#define CONTROL_FEATURES                                                              \
	(FE_SPLIT | VIA_BIT(VIRTIO_NET_F_MQ) | VIA_BIT(VIRTIO_NET_F_CTRL_VQ) |        \
	 VIA_BIT(VIRTIO_NET_F_CTRL_RX) | VIA_BIT(VIRTIO_NET_F_CTRL_VLAN) |            \
	 VIA_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
	 VIA_BIT(VIRTIO_NET_F_STATUS) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |            \
	 VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
#define CONTROL 4 /* its index with two pairs */

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2,
						  .control_queue = true,
						  .has_mac = true,
						  .mac = { 2, 0, 0, 0, 0, 1 } };

	return fe_setup_with(state, &config);
}

enum { OK = 0, NO_ANSWER = 0x77 };

/* The driver gives its 'nr'-th command and does not kick. Returns where its answer will be. */
static uint8_t *offer(struct frontend *fe, uint32_t nr, const uint8_t *bytes, uint32_t len)
{
	struct fe_queue *q = &fe->queue[CONTROL];
	const uint64_t at = FE_BUFFERS + 128 * (uint64_t)nr;
	const struct via_drv_buffer buf[2] = { { at, len }, { at + 64, 1 } };
	uint8_t *ack = fe->mem + at + 64;

	memcpy(fe->mem + at, bytes, len);
	*ack = NO_ANSWER;
	assert_int_equal(drv_add(&q->drv, buf, 1, 1, VIA_DRV_DIRECT, NULL, VIA_RING_SPLIT), 0);
	drv_publish(&q->drv, VIA_RING_SPLIT);
	return ack;
}

static void kick(struct frontend *fe)
{
	const uint64_t one = 1;

	assert_int_equal(write(fe->queue[CONTROL].kick, &one, sizeof(one)), sizeof(one));
}

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
	kick(fe);
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
	kick(fe);
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
	offer(fe, 0, promisc_off,
	      sizeof(promisc_off)); /* from the second one on there is something to wait for */
	ack = offer(fe, 1, promisc_off, sizeof(promisc_off));
	via_worker_register("test"); /* it is in the rings */
	kick(fe);
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_driver_with_many_commands_takes_turns_with_everybody_else),
		CASE(nothing_is_written_into_a_control_queue_that_is_broken),
		CASE(a_front_end_that_leaves_during_a_command_is_missed_when_that_is_done),
	};

	return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
