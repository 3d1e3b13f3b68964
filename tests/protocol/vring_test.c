/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/vring.c, ring_start.c, device.c: what is said again, left out, or asked of what is not there. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static void one_part_of_a_ring_that_runs_does_not_move_alone(void **state) /* R11 */
{
	struct frontend *fe = *state;
	const struct vu_vring_addr addr = { .desc = FE_USER_ADDR,
					    .avail = FE_USER_ADDR + FE_AVAIL,
					    .used = FE_USER_ADDR + FE_USED };
	struct vu_vring_addr moved;
	uint32_t changes;

	fe_start(fe, FE_SPLIT, 2);
	for (int part = 0; part < 3; part++) {
		moved = addr;
		*(part == 0 ? &moved.desc : part == 1 ? &moved.avail : &moved.used) += MIB;
		assert_int_equal(fe_ack(fe, VU_SET_VRING_ADDR, &moved, sizeof(moved), NULL, 0), 1);
	}
	assert_int_equal(fe_ack(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	changes = fe->pair_changes[0];
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 2), 1);
	assert_int_equal(fe->pair_changes[0],
			 changes); /* nothing has, and the owner hears nothing */
	fe_assert_traffic(fe, 0);
}

enum said { NUM, BASE, ADDR, KICK, NR_SAID };

static void say_all_but(struct frontend *fe, int left_out)
{
	fe_init_ring(fe, 1);
	if (left_out != NUM)
		fe_ack_state(fe, VU_SET_VRING_NUM, 1, FE_RING_SIZE);
	if (left_out != BASE)
		fe_ack_state(fe, VU_SET_VRING_BASE, 1, 0);
	if (left_out != ADDR)
		fe_set_addr(fe, 1);
	if (left_out != KICK)
		fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fe->queue[1].kick);
	fe_ack_state(fe, VU_SET_VRING_ENABLE, 1, 1);
}

static void a_ring_does_not_start_before_all_is_said(void **state) /* HX-12 */
{
	struct frontend *fe = *state;

	for (int left_out = 0; left_out <= NR_SAID; left_out++) {
		fe_connect(fe);
		fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
		assert_int_equal(fe_set_memory(fe), 0);
		say_all_but(fe, left_out);
		assert_int_equal(via_device_pair_runs(fe->dev, 0), left_out == NR_SAID);
		fe_disconnect(fe);
	}
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	say_all_but(fe, NR_SAID); /* without memory */
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe_set_memory(fe), 0);
	assert_true(via_device_pair_runs(fe->dev, 0));
	fe_disconnect(fe);
}

/* Else it would be a ring of the format that no driver has chosen yet. */
static void a_ring_does_not_start_before_the_features_are_said(void **state)
{
	const uint64_t protocol = VIA_BIT(VU_PROTOCOL_REPLY_ACK);
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_send(fe, VU_SET_PROTOCOL_FEATURES, VU_VERSION, &protocol, sizeof(protocol), NULL, 0);
	assert_int_equal(fe_set_memory(fe), 0);
	say_all_but(fe, NR_SAID);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, FE_PACKED), 0);
	assert_true(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe->dev->queue[1].format, VIA_RING_PACKED);
}

static void a_packed_base_beyond_the_ring_is_refused(void **state) /* R11 */
{
	static const uint32_t bases[] = { 0x80648064, 0x80408040, 0x7fff7fff, 0x00640000, 0x64 };
	struct frontend *fe = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		fe_connect(fe);
		fe_negotiate(fe, FE_PACKED, FE_PROTOCOL);
		assert_int_equal(fe_set_memory(fe), 0);
		fe_setup_queue(fe, 1, bases[i], true);
		assert_false(via_device_pair_runs(fe->dev, 0));
		assert_non_null(strstr(fe->dev->queue[1].refused, "outside its 64 slots"));
		fe_disconnect(fe);
	}
}

static void what_was_not_delivered_is_lent_again(void **state)
{
	static const uint64_t formats[] = { FE_SPLIT, FE_PACKED };
	struct frontend *fe = *state;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		fe_start(fe, formats[i], 2);
		for (uint8_t fill = 1; fill <= 3; fill++)
			fe_transmit(fe, 0, fill, 60);
		assert_int_equal(via_device_ingress(fe->dev, 0, fe->burst, VIA_BURST, &fe->stats),
				 3);
		via_device_ingress_release(fe->dev, 0, 2);
		assert_int_equal(via_device_ingress(fe->dev, 0, fe->burst, VIA_BURST, &fe->stats),
				 2);
		assert_int_equal(fe->burst->view[0].snapshot[12], 2);
		assert_int_equal(fe->burst->view[1].snapshot[12], 3);
		via_device_ingress_release(fe->dev, 0, 0);
		assert_int_equal(fe_ingress(fe, 0, NULL), 0);
		fe_disconnect(fe);
	}
}

static void a_pair_that_is_not_there_is_asked_in_vain(void **state)
{
	struct frontend *fe = *state;
	struct via_view *view = &fe->burst->view[0];

	*view = (struct via_view){ .len = 60, .snapshot_len = 60 };
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_int_equal(via_device_egress(fe->dev, 0, &view, 1, true, &fe->stats), 1);
	assert_int_equal(via_counter_read(&fe->stats.drops[VIA_DROP_NO_QUEUE]), 1);
	assert_false(via_device_arm(fe->dev, 0));
	via_device_disarm(fe->dev, 0);
	assert_int_equal(via_device_kick_fd(fe->dev, 0), -1);
	assert_int_equal(via_device_kick_fd(fe->dev, 1), -1);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_false(via_device_pair_runs(fe->dev, 1));
	assert_int_equal(via_device_steer(fe->dev, 1), -1);
	fe_start(fe, FE_SPLIT, 2);
	assert_null(fe->dev->steer.flow); /* of one pair there is nothing to learn */
	via_device_steer_learn(fe->dev, 1, 0);
	assert_int_equal(via_device_steer(fe->dev, 1), 0);
	assert_int_equal(via_device_kick_fd(fe->dev, 1), -1);
	fe_assert_traffic(fe, 0);
}

/* The one that finds it has a fault; the others look at the count of faults. */
static void memory_that_one_queue_finds_gone_is_gone_for_the_others(void **state) /* R7, HX-16 */
{
	struct frontend *fe = *state;
	struct via_view *view = &fe->burst->view[0];

	assert_int_equal(via_guard_install(NULL), 0);
	fe_use_unsealable_memory(fe);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	fe_transmit(fe, 0, 1, 60);
	fe_post(fe, 0, 1);
	assert_int_equal(ftruncate(fe->mem_fd, 0), 0);
	*view = (struct via_view){ .len = 60, .snapshot_len = 60 };
	assert_int_equal(via_device_egress(fe->dev, 0, &view, 1, false, &fe->stats), 1);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_int_equal(atomic_load(&fe->dev->queue[1].vq.broken), VIA_BROKEN_MEMORY_LOST);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &(struct vu_msg){ 0 }), FE_CLOSED);
}

/* User-mode Linux closes it when it unloads its driver: that is no reason to keep it away. */
static void a_call_that_is_a_closed_socket_costs_the_queue_only(void **state) /* R19 */
{
	struct frontend *fe = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, 1, pair[1]), 0);
	close(pair[0]);
	close(pair[1]);
	fe_transmit(fe, 0, 1, 60);
	fe_ingress(fe, 0, NULL);
	fe_turn(fe);
	assert_int_equal(fe->dev->faults.broken[VIA_BROKEN_NOTIFY], 1);
	fe_post(fe, 0, 1);
	assert_true(fe_egress(fe, 0, 1, 60));
	assert_true(fe_get(fe, VU_GET_FEATURES) != 0);
}

static void a_size_that_no_ring_has_is_refused_at_once(void **state)
{
	static const uint32_t wrong[] = { 0, 32769, 65536, 0x10040, UINT32_MAX };
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, wrong[i]), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 32768), 0);
}

/* Only what a ring that ran was told counts as ours: this one repeats the front-end's own word. */
static void a_base_that_was_only_said_back_proves_nothing(void **state) /* R11 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 20; i++)
		fe_assert_traffic(fe, 0);
	fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_PACKED, FE_PROTOCOL);
	assert_int_equal(fe_set_memory(fe), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0x80058005), 0);
	assert_int_equal(fe_get_base(fe, 0), 0x80058005);
	fe_setup_queue(fe, 0, 0x80058005, false);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_non_null(strstr(fe->dev->queue[0].refused, "is not where the packed ring is"));
}

static bool loop_is_woken(struct frontend *fe)
{
	struct pollfd p = { .fd = via_loop_fd(fe->loop), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void a_worker_that_looks_at_a_broken_queue_wakes_control_once(void **state) /* R15 */
{
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);

	fe_start(fe, FE_SPLIT, 2);
	via_le16_store(&avail->idx, 30000);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_true(loop_is_woken(fe));
	fe_turn(fe);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_false(loop_is_woken(fe));
	assert_int_equal(fe->dev->faults.broken[VIA_BROKEN_AVAIL_INDEX], 1);
}

/* Its first signal is still due when it stops. */
static void
a_stopped_queue_has_no_ring_to_signal_by_and_a_start_signals_once(void **state) /* VU-21 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	fe_get_base(fe, 1);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_false(fe_was_called(fe, 1));
	fe_setup_queue(fe, 1, 0, true);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_true(fe_was_called(fe, 1));
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_false(fe_was_called(fe, 1));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_part_of_a_ring_that_runs_does_not_move_alone),
		CASE(a_ring_does_not_start_before_all_is_said),
		CASE(a_ring_does_not_start_before_the_features_are_said),
		CASE(a_packed_base_beyond_the_ring_is_refused),
		CASE(a_size_that_no_ring_has_is_refused_at_once),
		CASE(a_base_that_was_only_said_back_proves_nothing),
		CASE(a_worker_that_looks_at_a_broken_queue_wakes_control_once),
		CASE(a_stopped_queue_has_no_ring_to_signal_by_and_a_start_signals_once),
		CASE(what_was_not_delivered_is_lent_again),
		CASE(a_pair_that_is_not_there_is_asked_in_vain),
		CASE(a_call_that_is_a_closed_socket_costs_the_queue_only),
		CASE(memory_that_one_queue_finds_gone_is_gone_for_the_others),
	};

	return cmocka_run_group_tests_name("vring", tests, NULL, NULL);
}
