/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/vring.c, ring_start.c: rings start, change, stop, and are found again. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <viaduct/worker.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2 };

	return fe_setup_with(state, &config);
}

/* ---- starting ---- */

/* One step of a ring's setup. */
static int say(struct frontend *fe, int step, uint32_t i)
{
	switch (step) {
	case 0:
		return fe_ack_state(fe, VU_SET_VRING_NUM, i, FE_RING_SIZE);
	case 1:
		return fe_ack_state(fe, VU_SET_VRING_BASE, i, 0);
	case 2:
		return fe_set_addr(fe, i);
	case 3:
		return fe_set_notifier(fe, VU_SET_VRING_KICK, i, fe->queue[i].kick);
	case 4:
		return fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1);
	case 5:
		return fe_set_memory(fe);
	default:
		return fe_set_notifier(fe, VU_SET_VRING_CALL, i, fe->queue[i].call);
	}
}

#define NR_STEPS 7

static void try_order(struct frontend *fe, const int *order)
{
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	fe_init_ring(fe, 0);
	for (int s = 0; s < NR_STEPS; s++) {
		assert_false(s == 0 && via_device_pair_runs(fe->dev, 0));
		assert_int_equal(say(fe, order[s], 0), 0);
	}
	assert_true(via_device_pair_runs(fe->dev, 0));
	fe_post(fe, 0, 1);
	assert_true(fe_egress(fe, 0, 1, 60));
	fe_disconnect(fe);
}

static void permute(struct frontend *fe, int *order, int n)
{
	if (n == NR_STEPS) {
		try_order(fe, order);
		return;
	}
	for (int i = n; i < NR_STEPS; i++) {
		int other = order[i];

		order[i] = order[n];
		order[n] = other;
		permute(fe, order, n + 1);
		order[n] = order[i];
		order[i] = other;
	}
}

static void a_ring_starts_whatever_is_said_last(void **state) /* VU-20 */
{
	struct frontend *fe = *state;
	int order[NR_STEPS] = { 0, 1, 2, 3, 4, 5, 6 };

	permute(fe, order, 0); /* 5,040 orders */
}

static void a_ring_starts_without_protocol_features_and_enable(void **state) /* §5 */
{
	struct frontend *fe = *state;
	const uint64_t features = VIA_BIT(VIRTIO_F_VERSION_1);
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };

	fe_start(fe, FE_SPLIT, 2); /* initialises the driver's rings */
	fe_disconnect(fe);
	fe_connect(fe);
	fe_send(fe, VU_SET_OWNER, VU_VERSION, NULL, 0, NULL, 0);
	fe_send(fe, VU_SET_FEATURES, VU_VERSION, &features, 8, NULL, 0);
	fe_send(fe, VU_SET_MEM_TABLE, VU_VERSION, &table, 40, &fe->mem_fd, 1);
	for (uint32_t i = 0; i < 2; i++) {
		const struct vu_vring_state num = { i, FE_RING_SIZE }, base = { i, 0 };
		const struct vu_vring_addr addr = {
			.index = i,
			.desc = FE_USER_ADDR + FE_RING_AT(i),
			.avail = FE_USER_ADDR + FE_RING_AT(i) + FE_AVAIL,
			.used = FE_USER_ADDR + FE_RING_AT(i) + FE_USED,
		};
		const uint64_t word = i;

		fe_send(fe, VU_SET_VRING_NUM, VU_VERSION, &num, 8, NULL, 0);
		fe_send(fe, VU_SET_VRING_BASE, VU_VERSION, &base, 8, NULL, 0);
		fe_send(fe, VU_SET_VRING_ADDR, VU_VERSION, &addr, 40, NULL, 0);
		fe_send(fe, VU_SET_VRING_KICK, VU_VERSION, &word, 8, &fe->queue[i].kick, 1);
	}
	fe_turn(fe);
	fe_assert_traffic(fe, 0);
}

static void a_ring_that_cannot_be_is_not_started(void **state) /* R11, HX-25, HX-26 */
{
	struct frontend *fe = *state;
	static const uint32_t sizes[] = { 3, 5, 255, 32767 };

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	fe_set_memory(fe);
	fe_setup_queue(fe, 0, 0, true);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fe_get_base(fe, 0);
		fe_ack_state(fe, VU_SET_VRING_NUM, 0, sizes[i]);
		fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0);
		fe_set_addr(fe, 0);
		fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick);
		assert_false(via_device_pair_runs(fe->dev, 0));
	}
	/* Its parts must lie within memory: 32,768 slots from here reach beyond. */
	fe_get_base(fe, 0);
	fe_ack_state(fe, VU_SET_VRING_NUM, 0, 32768);
	fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0);
	const struct vu_vring_addr beyond = { .desc = FE_USER_ADDR + FE_MEM_SIZE - 4096,
					      .avail = FE_USER_ADDR,
					      .used = FE_USER_ADDR };
	fe_ack(fe, VU_SET_VRING_ADDR, &beyond, sizeof(beyond), NULL, 0);
	fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_non_null(strstr(fe->dev->queue[0].refused, "descriptor ring"));
}

/* Says a ring of 'size' slots with its parts at these offsets. Returns whether it runs. */
static bool runs_with_parts_at(struct frontend *fe, uint32_t size, uint64_t desc, uint64_t avail,
			       uint64_t used)
{
	const struct vu_vring_addr addr = { .desc = FE_USER_ADDR + desc,
					    .avail = FE_USER_ADDR + avail,
					    .used = FE_USER_ADDR + used };

	fe_get_base(fe, 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, size), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0), 0);
	assert_int_equal(fe_ack(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick), 0);
	return via_device_pair_runs(fe->dev, 0);
}

static void a_ring_whose_parts_overlap_is_not_started(void **state) /* R11, HX-26 */
{
	static const struct {
		uint64_t features;
		uint64_t desc, avail, used; /* parts of 16 slots */
		bool runs;
	} cases[] = {
		{ FE_SPLIT, 0, 256, 512, true },
		{ FE_SPLIT, 0, 256, 292, true }, /* no event index: 36 bytes are all of it */
		{ FE_SPLIT, 0, 256, 288, false },
		{ FE_SPLIT, 256, 220, 0, true },
		{ FE_SPLIT, 256, 222, 0, false },
		{ FE_SPLIT, 0, 0, 512, false },
		{ FE_SPLIT, 0, 512, 252, false },
		{ FE_SPLIT, 0, 512, 512, false },
		{ FE_SPLIT | VIA_BIT(VIRTIO_F_EVENT_IDX), 0, 256, 292, false },
		{ FE_SPLIT | VIA_BIT(VIRTIO_F_EVENT_IDX), 0, 256, 296, true },
		{ FE_PACKED, 0, 256, 260, true },
		{ FE_PACKED, 0, 256, 256, false },
		{ FE_PACKED, 0, 252, 260, false },
		{ FE_PACKED, 0, 260, 0, false },
	};
	struct frontend *fe = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fe_connect(fe);
		fe_negotiate(fe, cases[i].features, FE_PROTOCOL);
		memset(fe->mem, 0, 4096);
		assert_int_equal(fe_set_memory(fe), 0);
		assert_int_equal(
			runs_with_parts_at(fe, 16, cases[i].desc, cases[i].avail, cases[i].used),
			cases[i].runs);
		if (!cases[i].runs)
			assert_non_null(strstr(fe->dev->queue[0].refused, "overlap"));
		fe_disconnect(fe);
	}
}

static void misaligned_or_foreign_addresses_are_refused_at_once(void **state)
{
	static const struct vu_vring_addr wrong[] = {
		{ .desc = FE_USER_ADDR + 8, .avail = FE_USER_ADDR, .used = FE_USER_ADDR },
		{ .desc = FE_USER_ADDR, .avail = FE_USER_ADDR + 1, .used = FE_USER_ADDR },
		{ .desc = FE_USER_ADDR, .avail = FE_USER_ADDR, .used = FE_USER_ADDR + 2 },
		{ .desc = 0x1000, .avail = FE_USER_ADDR, .used = FE_USER_ADDR },
		{ .flags = 2, .desc = FE_USER_ADDR, .avail = FE_USER_ADDR, .used = FE_USER_ADDR },
	};
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	fe_set_memory(fe);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(
			fe_ack(fe, VU_SET_VRING_ADDR, &wrong[i], sizeof(wrong[i]), NULL, 0), 1);
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

/* ---- stopping ---- */

static void a_stopped_ring_goes_on_from_the_base_that_was_told(void **state) /* VU-23, VU-24 */
{
	static const uint64_t formats[] = { FE_SPLIT, FE_PACKED };
	struct frontend *fe = *state;

	for (size_t f = 0; f < 2; f++) {
		fe_start(fe, formats[f], 2);
		for (int round = 0; round < 150; round++) { /* several laps, every slot a base */
			uint32_t base[2];

			fe_assert_traffic(fe, 0);
			for (uint32_t i = 0; i < 2; i++)
				base[i] = fe_get_base(fe, i);
			assert_false(via_device_pair_runs(fe->dev, 0));
			for (uint32_t i = 0; i < 2; i++)
				fe_setup_queue(fe, i, base[i], false);
		}
		fe_assert_traffic(fe, 0);
		fe_disconnect(fe);
	}
}

static void a_stopped_ring_needs_everything_again(void **state) /* R29, HX-12 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	fe_get_base(fe, 0);
	fe_get_base(fe, 1);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fe->queue[1].kick), 0);
	assert_false(via_device_pair_runs(fe->dev, 0));
}

static void the_base_of_a_ring_that_never_ran_is_what_was_set(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 1, 77), 0);
	assert_int_equal(fe_get_base(fe, 1), 77);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 1, 0x10000), 1);
}

/* ---- rings that were served before ---- */

static void reconnect(struct frontend *fe, uint64_t features, uint32_t base)
{
	if (fe->fd >= 0)
		fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, features, FE_PROTOCOL);
	fe_set_memory(fe);
	for (uint32_t i = 0; i < 2; i++) {
		fe_setup_queue(fe, i, base, false);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
}

static void a_split_ring_goes_on_at_its_used_index_whatever_the_base(void **state) /* §12 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	for (int i = 0; i < 70; i++)
		fe_assert_traffic(fe, 0);
	reconnect(fe, FE_SPLIT, 3);
	fe_assert_traffic(fe, 0);
}

static void a_base_of_0_says_nothing_of_a_packed_rings_lap(void **state) /* design §6 */
{
	struct frontend *fe = *state;

	for (int laps = 0; laps < 4; laps++) {
		fe_start(fe, FE_PACKED, 2);
		for (int i = 0; i < laps * FE_RING_SIZE; i++)
			fe_assert_traffic(fe, 0);
		if (laps % 2) {
			reconnect(fe, FE_PACKED,
				  0); /* at slot 0, in a lap that only slot 0 tells */
			fe_assert_traffic(fe, 0);
		}
		fe_disconnect(fe);
	}
}

static void transmit_and_take(struct frontend *fe, int n)
{
	for (int i = 0; i < n; i++) {
		fe_transmit(fe, 0, 1, 60);
		assert_int_equal(fe_ingress(fe, 0, NULL), 1);
	}
}

/* At slot 0 of an even lap with nothing offered, where an in-order batch of the odd lap skipped that slot:
 * its flags look as if it were offered. */
static void a_base_of_0_that_we_have_told_is_where_the_ring_is(void **state)
{
	struct frontend *fe = *state;
	uint8_t fill = 0;

	fe_start(fe, FE_PACKED | VIA_BIT(VIRTIO_F_IN_ORDER), 2);
	transmit_and_take(fe, 2 * FE_RING_SIZE - 1);
	fe_transmit(fe, 0, 1, 60);
	fe_transmit(fe, 0, 1, 60);
	assert_int_equal(fe_ingress(fe, 0, NULL), 2);
	transmit_and_take(fe, FE_RING_SIZE - 1);
	assert_int_equal(fe_get_base(fe, 1), 0);
	fe_setup_queue(fe, 1, 0, false);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	fe_transmit(fe, 0, 7, 60);
	assert_int_equal(fe_ingress(fe, 0, &fill), 1);
	assert_int_equal(fill, 7);
	/* And a driver that begins anew has a fresh ring. */
	transmit_and_take(fe, FE_RING_SIZE - 1);
	transmit_and_take(fe, FE_RING_SIZE);
	assert_int_equal(fe_get_base(fe, 1), 0);
	fe_setup_queue(fe, 1, 0, true);
	transmit_and_take(fe, 3);
}

static void a_packed_ring_that_is_not_where_its_base_says_is_refused(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 20; i++)
		fe_assert_traffic(fe, 0);
	/* As a VMM that does not know better says after it was disconnected. */
	reconnect(fe, FE_PACKED, 0x80008000);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_non_null(strstr(fe->dev->queue[0].refused, "base"));
	/* The right one is accepted. */
	reconnect(fe, FE_PACKED, 0x80148014);
	fe_assert_traffic(fe, 0);
}

/* HX-47: the process ends with the rings as they are; another one finds them. */
static void rings_are_found_again_by_the_next_process(void **state)
{
	static const uint64_t formats[] = { FE_SPLIT, FE_PACKED,
					    FE_PACKED | VIA_BIT(VIRTIO_F_IN_ORDER) |
						    VIA_BIT(VIRTIO_F_EVENT_IDX) };
	struct frontend *fe = *state;
	struct via_device_config config = { .queue_pairs = 2 };
	int file = test_memfd(via_device_state_size(2), 0);

	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		config.state_fd = dup(file);
		fe_reopen_device(fe, &config);
		fe_start(fe, formats[f], 2);
		for (int round = 0; round < 5; round++) {
			for (int i = 0; i < 30 + round; i++)
				fe_assert_traffic(fe, 0);
			fe_post(fe, 0, 10); /* outstanding */
			config.state_fd = dup(file);
			fe_reopen_device(fe, &config);
			reconnect(fe, formats[f], 0x80008000 & (f ? UINT32_MAX : 0));
			for (int i = 0; i < 10; i++)
				assert_true(fe_egress(fe, 0, 1, 60));
			fe_assert_traffic(fe, 0);
		}
		fe_disconnect(fe);
	}
	close(file);
}

static void a_guest_that_started_anew_meanwhile_starts_anew(void **state)
{
	struct frontend *fe = *state;
	struct via_device_config config = { .queue_pairs = 2 };
	int file = test_memfd(via_device_state_size(2), 0);

	config.state_fd = dup(file);
	fe_reopen_device(fe, &config);
	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 30; i++)
		fe_assert_traffic(fe, 0);
	config.state_fd = dup(file);
	fe_reopen_device(fe, &config);
	fe_start(fe, FE_PACKED, 2); /* the same memory, fresh rings */
	fe_assert_traffic(fe, 0);
	close(file);
}

static void a_position_file_of_another_shape_is_refused(void **state)
{
	struct frontend *fe = *state;
	int file = test_memfd(100, 0);
	const struct via_device_config config = { .path = "/tmp/viaduct-no.sock",
						  .state_fd = file };
	struct via_device *dev;
	struct via_error err;

	assert_int_equal(via_device_open(&dev, fe->loop, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "position file"));
	close(file); /* it stayed ours */
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
		CASE(a_ring_starts_whatever_is_said_last),
		CASE(a_ring_starts_without_protocol_features_and_enable),
		CASE(a_ring_that_cannot_be_is_not_started),
		CASE(a_ring_whose_parts_overlap_is_not_started),
		CASE(misaligned_or_foreign_addresses_are_refused_at_once),
		CASE(geometry_does_not_change_under_a_ring_that_runs),
		CASE(a_driver_may_be_loaded_anew_without_asking_for_the_base),
		CASE(a_driver_may_be_loaded_anew_at_the_same_addresses),
		CASE(a_call_may_be_swapped_and_is_signalled_once),
		CASE(a_new_call_is_signalled_after_workers_have_left_the_old_one),
		CASE(a_call_may_be_a_socket),
		CASE(nobody_has_to_poll_a_pair_of_which_only_rx_runs),
		CASE(a_kick_may_be_swapped_and_its_owner_is_told),
		CASE(a_disabled_ring_gets_nothing_and_what_it_sends_is_discarded),
		CASE(a_stopped_ring_goes_on_from_the_base_that_was_told),
		CASE(a_stopped_ring_needs_everything_again),
		CASE(the_base_of_a_ring_that_never_ran_is_what_was_set),
		CASE(a_split_ring_goes_on_at_its_used_index_whatever_the_base),
		CASE(a_base_of_0_says_nothing_of_a_packed_rings_lap),
		CASE(a_base_of_0_that_we_have_told_is_where_the_ring_is),
		CASE(a_packed_ring_that_is_not_where_its_base_says_is_refused),
		CASE(rings_are_found_again_by_the_next_process),
		CASE(a_guest_that_started_anew_meanwhile_starts_anew),
		CASE(a_position_file_of_another_shape_is_refused),
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
