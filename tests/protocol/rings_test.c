/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost/vring.c and what workers tell of rings: what may change under a ring that runs, several
 * pairs, resets, and queues that break. How rings start and stop is in ring_start_test.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2 };

	return fe_setup_with(state, &config);
}

/* ---- under a running ring ---- */

static void geometry_does_not_change_under_a_ring_that_runs(void **state) /* R11 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 128), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, FE_RING_SIZE), 0); /* as it is */
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0), 1);
	assert_int_equal(fe_set_addr(fe, 0), 0);                            /* as it is: VU-27 */
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, fe->features), 0); /* VU-26 */
	assert_int_equal(
		fe_ack_u64(fe, VU_SET_FEATURES, fe->features | VIA_BIT(VIRTIO_F_RING_PACKED)), 1);
	const struct vu_vring_addr moved = { .desc = FE_USER_ADDR + MIB,
					     .avail = FE_USER_ADDR + MIB + FE_AVAIL,
					     .used = FE_USER_ADDR + MIB + FE_USED };
	assert_int_equal(fe_ack(fe, VU_SET_VRING_ADDR, &moved, sizeof(moved), NULL, 0), 1);
	fe_assert_traffic(fe, 0);
}

static void a_driver_may_be_loaded_anew_without_asking_for_the_base(void **state) /* design §6 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_PACKED, 2);
	for (int life = 0; life < 5; life++) {
		for (int i = 0; i < 45; i++)
			fe_assert_traffic(fe, 0);
		for (uint32_t i = 0; i < 2; i++)
			assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 0), 0);
		/* Another format, with the next driver. */
		fe->features = life % 2 ? FE_PACKED : FE_SPLIT;
		assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, fe->features), 0);
		assert_false(via_device_pair_runs(fe->dev, 0));
		for (uint32_t i = 0; i < 2; i++) {
			fe_setup_queue(fe, i, 0, true);
			assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
		}
	}
	fe_assert_traffic(fe, 0);
}

/* As rust-vmm's front-ends do: size, addresses, base, and no word about features that stay as they are. */
static void a_driver_may_be_loaded_anew_at_the_same_addresses(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 0), 0);
	for (uint32_t i = 0; i < 2; i++) {
		fe_init_ring(fe, i);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, i, FE_RING_SIZE), 0);
		assert_int_equal(fe_set_addr(fe, i), 0);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, i, 0), 0);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, i, fe->queue[i].kick), 0);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
	fe_assert_traffic(fe, 0);
}

static void a_call_may_be_swapped_and_is_signalled_once(void **state) /* VU-21, R13, HX-46 */
{
	struct frontend *fe = *state;
	int before, other = fe->queue[2].call;

	fe_start(fe, FE_SPLIT, 2);
	before = test_nr_fds();
	for (int i = 0; i < 100; i++) {
		fe_assert_traffic(fe, 0);
		while (fe_was_called(fe, 1) || fe_was_called(fe, 2))
			;
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, 1,
						 i % 2 ? fe->queue[1].call : other),
				 0);
		fe_ingress(fe, 0, NULL); /* the worker's look, which the device has asked for */
		assert_true(fe_was_called(fe, i % 2 ? 1 : 2));
		assert_false(fe_was_called(fe, i % 2 ? 2 : 1));
	}
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, 1, -1), 0);
	fe_assert_traffic(fe, 0);
	assert_int_equal(test_nr_fds(), before - 1);
}

/* A worker may still tell by the old one of what it publishes, which nobody hears any more. */
static void a_new_call_is_signalled_after_workers_have_left_the_old_one(void **state) /* VU-21 */
{
	struct frontend *fe = *state;
	const uint64_t queue = 1;

	fe_start(fe, FE_SPLIT | VIA_BIT(VIRTIO_F_EVENT_IDX), 2);
	fe_assert_traffic(fe, 0);
	fe_send(fe, VU_SET_VRING_CALL, VU_VERSION, &queue, sizeof(queue), &fe->queue[2].call, 1);
	via_loop_turn(fe->loop, 0);
	assert_true(vu_is_settling(fe->dev));
	fe_ingress(fe, 0, NULL);
	while (fe_was_called(fe, 1) || fe_was_called(fe, 2))
		;
	fe_turn(fe);
	fe_ingress(fe, 0, NULL);
	assert_true(fe_was_called(fe, 2));
}

static void a_call_may_be_a_socket(void **state) /* user-mode Linux */
{
	struct frontend *fe = *state;
	uint64_t count = 0;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, 1, pair[1]), 0);
	fe_assert_traffic(fe, 0);
	assert_int_equal(recv(pair[0], &count, sizeof(count), MSG_DONTWAIT), sizeof(count));
	assert_int_equal(count, 1);
	/* A front-end that dies raises no signal here. */
	close(pair[0]);
	close(pair[1]);
	fe_transmit(fe, 0, 1, 60);
	fe_ingress(fe, 0, NULL);
}

static void nobody_has_to_poll_a_pair_of_which_only_rx_runs(void **state)
{
	struct frontend *fe = *state;
	int tx;

	fe_start(fe, FE_SPLIT, 2);
	tx = via_device_kick_fd(fe->dev, 0);
	fe_get_base(fe, 1);
	assert_true(via_device_pair_runs(fe->dev, 0));
	assert_true(via_device_kick_fd(fe->dev, 0) >= 0); /* RX's */
	assert_int_not_equal(via_device_kick_fd(fe->dev, 0), tx);
	assert_false(via_device_arm(fe->dev, 0));
	fe_get_base(fe, 0);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(via_device_kick_fd(fe->dev, 0), -1);
}

static void a_kick_may_be_swapped_and_its_owner_is_told(void **state)
{
	struct frontend *fe = *state;
	uint32_t changes;
	int first;

	fe_start(fe, FE_SPLIT, 2);
	changes = fe->pair_changes[0];
	first = via_device_kick_fd(fe->dev, 0);
	assert_true(first >= 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fe->queue[3].kick), 0);
	assert_int_equal(fe->pair_changes[0], changes + 1);
	assert_int_not_equal(via_device_kick_fd(fe->dev, 0), first);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, -1), 0);
	assert_int_equal(via_device_kick_fd(fe->dev, 0), -1); /* polled */
	assert_true(via_device_pair_runs(fe->dev, 0));
	fe_assert_traffic(fe, 0);
}

static void
a_disabled_ring_gets_nothing_and_what_it_sends_is_discarded(void **state) /* VN-38, VN-55 */
{
	struct frontend *fe = *state;
	uint64_t drops;

	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 0), 0);
	assert_int_equal(via_device_steer(fe->dev, 1), -1);
	assert_false(fe->link);
	fe_transmit(fe, 0, 1, 60);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	fe_post(fe, 0, 1);
	drops = via_counter_read(&fe->stats.drops[VIA_DROP_NO_QUEUE]);
	assert_false(fe_egress(fe, 0, 1, 60));
	assert_int_equal(via_counter_read(&fe->stats.drops[VIA_DROP_NO_QUEUE]), drops + 1);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	assert_true(fe->link);
	assert_true(fe_egress(fe, 0, 1, 60));
	fe_assert_traffic(fe, 0);
}

/* ---- pairs ---- */

static void a_flow_goes_back_where_it_came_from_among_enabled_pairs(void **state) /* VN-16, VU-25 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT | VIA_BIT(VIRTIO_NET_F_MQ), 4);
	fe_assert_traffic(fe, 0);
	fe_assert_traffic(fe, 1);
	assert_int_equal(via_device_steer(fe->dev, 6), 0);
	assert_int_equal(via_device_steer(fe->dev, 7), 1);
	via_device_steer_learn(fe->dev, 6, 1);
	assert_int_equal(via_device_steer(fe->dev, 6), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 2, 0), 0);
	assert_int_equal(via_device_steer(fe->dev, 6), 0);
	assert_int_equal(via_device_steer(fe->dev, 7), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 2, 1), 0);
	assert_int_equal(via_device_steer(fe->dev, 6), 1);
}

static void pairs_come_late_while_others_run(void **state) /* §5.1 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT | VIA_BIT(VIRTIO_NET_F_MQ), 2);
	fe_assert_traffic(fe, 0);
	assert_false(via_device_pair_runs(fe->dev, 1));
	for (uint32_t i = 2; i < 4; i++) {
		fe_setup_queue(fe, i, 0, true);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
	fe_assert_traffic(fe, 0);
	fe_assert_traffic(fe, 1);
}

/* ---- resets, and queues that break ---- */

static void a_reset_device_serves_the_next_driver(void **state)
{
	struct frontend *fe = *state;
	static const uint32_t resets[] = { VU_RESET_DEVICE, VU_RESET_OWNER };

	for (size_t r = 0; r < ARRAY_SIZE(resets); r++) {
		fe_connect(fe);
		fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_RESET_DEVICE));
		fe_set_memory(fe);
		for (int life = 0; life < 3; life++) {
			for (uint32_t i = 0; i < 2; i++) {
				fe_setup_queue(fe, i, 0, true);
				assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
			}
			fe_assert_traffic(fe, 0);
			assert_int_equal(fe_ack(fe, resets[r], NULL, 0, NULL, 0), 0);
			assert_false(via_device_pair_runs(fe->dev, 0));
		}
		fe_disconnect(fe);
	}
}

static void a_broken_queue_is_told_once_and_starts_again(void **state) /* R15 */
{
	struct frontend *fe = *state;
	struct via_split_avail *avail;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 0;
	uint32_t base;

	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_ERR, 1, err), 0);
	fe_assert_traffic(fe, 0);
	avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);
	via_le16_store(&avail->idx, 30000);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	fe_turn(fe);
	assert_int_equal(fe->dev->queue[1].told, VIA_BROKEN_AVAIL_INDEX);
	assert_int_equal(read(err, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	fe_post(fe, 0, 1);
	assert_true(fe_egress(fe, 0, 1, 60)); /* the other queue goes on */
	base = fe_get_base(fe, 1);
	assert_int_equal(base, 1);
	fe_setup_queue(fe, 1, 0, true);
	fe_assert_traffic(fe, 0);
	close(err);
}

static void note_faults(void *user, const char *key, const char *value)
{
	if (strcmp(key, "faults") == 0)
		snprintf(user, 256, "%s", value);
}

static void what_was_broken_and_refused_is_counted_across_front_ends(void **state)
{
	struct frontend *fe = *state;
	char faults[256] = "";

	fe_start(fe, FE_SPLIT, 2);
	via_device_describe(fe->dev, note_faults, faults);
	assert_string_equal(faults, "");
	for (int i = 0; i < 3; i++) {
		struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);

		via_le16_store(&avail->idx, 30000);
		assert_int_equal(fe_ingress(fe, 0, NULL), 0);
		fe_turn(fe);
		assert_int_not_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 0), 0);
		fe_send_bytes(fe, "not a header", 12, NULL, 0);
		fe_turn(fe);
		fe_disconnect(fe);
		fe_start(fe, FE_SPLIT, 2);
	}
	via_device_describe(fe->dev, note_faults, faults);
	assert_string_equal(faults, "refused requests: 3 | dropped connections: 3 | the available "
				    "index runs ahead of the ring (VX-01): 3");
}

static void a_queue_found_broken_on_the_way_to_sleep_is_told(void **state) /* R15 */
{
	struct frontend *fe = *state;
	struct via_split_avail *avail;

	fe_start(fe, FE_SPLIT, 2);
	avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);
	via_le16_store(&avail->idx, 30000);
	assert_false(via_device_arm(fe->dev, 0));
	fe_turn(fe);
	assert_int_equal(fe->dev->queue[1].told, VIA_BROKEN_AVAIL_INDEX);
}

/* An eventfd that is full and blocks. */
static int stuck_eventfd(void)
{
	const uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	return fd;
}

static void a_front_end_that_holds_a_worker_up_is_kept_away_for_a_while(void **state) /* R19 */
{
	static const uint32_t which[] = { VU_SET_VRING_CALL, VU_SET_VRING_ERR };
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);
	struct vu_msg reply;
	int answered = 0;

	assert_int_equal(via_watchdog_start(NULL), 0);
	for (size_t i = 0; i < 2; i++, answered = 0) {
		int stuck = stuck_eventfd();

		fe_start(fe, FE_SPLIT, 2);
		fe_assert_traffic(fe, 0);
		assert_int_equal(fe_set_notifier(fe, which[i], 1, stuck), 0);
		if (which[i] == VU_SET_VRING_ERR)
			via_le16_store(&avail->idx, 30000);
		assert_int_equal(fe_ingress(fe, 0, NULL), 0);
		fe_turn(fe);
		assert_false(via_device_pair_runs(fe->dev, 0));
		assert_int_equal(fe_recv(fe, &reply), FE_CLOSED);
		fe_disconnect(fe);

		fe_connect(fe); /* waits */
		fe_send(fe, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0);
		fe_turn(fe);
		assert_int_equal(fe_recv(fe, &reply), 0);
		for (int n = 0; n < 50 && answered == 0; n++) {
			via_loop_turn(fe->loop, 100);
			answered = fe_recv(fe, &reply);
		}
		assert_int_equal(answered, 1);
		fe_disconnect(fe);
		close(stuck);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(geometry_does_not_change_under_a_ring_that_runs),
		CASE(a_driver_may_be_loaded_anew_without_asking_for_the_base),
		CASE(a_driver_may_be_loaded_anew_at_the_same_addresses),
		CASE(a_call_may_be_swapped_and_is_signalled_once),
		CASE(a_new_call_is_signalled_after_workers_have_left_the_old_one),
		CASE(a_call_may_be_a_socket),
		CASE(nobody_has_to_poll_a_pair_of_which_only_rx_runs),
		CASE(a_kick_may_be_swapped_and_its_owner_is_told),
		CASE(a_disabled_ring_gets_nothing_and_what_it_sends_is_discarded),
		CASE(a_flow_goes_back_where_it_came_from_among_enabled_pairs),
		CASE(pairs_come_late_while_others_run),
		CASE(a_reset_device_serves_the_next_driver),
		CASE(a_broken_queue_is_told_once_and_starts_again),
		CASE(what_was_broken_and_refused_is_counted_across_front_ends),
		CASE(a_queue_found_broken_on_the_way_to_sleep_is_told),
		CASE(a_front_end_that_holds_a_worker_up_is_kept_away_for_a_while),
	};

	return cmocka_run_group_tests_name("rings", tests, NULL, NULL);
}
