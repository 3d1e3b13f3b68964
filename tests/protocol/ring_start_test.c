/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost/ring_start.c: when a ring starts and when it does not, how it stops, and where one goes on that
 * was served before.
 */
#include <string.h>
#include <unistd.h>

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

/* Else it would be judged, counted and logged with every message. */
static void a_refused_ring_is_judged_again_when_something_else_is_said_of_it(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(fe_set_memory(fe), 0);
	fe_setup_queue(fe, 0, 0, true);
	fe_get_base(fe, 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 3), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0), 0);
	assert_int_equal(fe_set_addr(fe, 0), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick), 0);
	assert_int_equal(fe->dev->faults.starts, 1);
	fe_get(fe, VU_GET_FEATURES);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 1, FE_RING_SIZE), 0);
	assert_int_equal(fe->dev->faults.starts, 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, FE_RING_SIZE), 0);
	assert_true(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe->dev->faults.starts, 1);
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

#define IN_ORDER (FE_PACKED | VIA_BIT(VIRTIO_F_IN_ORDER))

/* Queue 1 is at slot 0 of its third lap, and a slot is as the driver offered it in the second: so the ring
 * is not fresh, and could as well be somewhere else. */
static void start_and_skip_a_slot_of_the_second_lap(struct frontend *fe)
{
	fe_start(fe, IN_ORDER, 2);
	transmit_and_take(fe, FE_RING_SIZE);
	fe_transmit(fe, 0, 1, 60);
	fe_transmit(fe, 0, 1, 60);
	assert_int_equal(fe_ingress(fe, 0, NULL), 2);
	transmit_and_take(fe, FE_RING_SIZE - 2);
}

static void a_base_that_we_have_told_is_believed_where_the_ring_does_not_show_it(void **state)
{
	struct frontend *fe = *state;

	start_and_skip_a_slot_of_the_second_lap(fe);
	assert_int_equal(fe_get_base(fe, 1), 0x80008000);
	fe_setup_queue(fe, 1, 0x80008000, false);
	transmit_and_take(fe, 3);
}

static void a_ring_whose_memory_comes_back_goes_on_where_it_was(void **state) /* VU-34 */
{
	struct frontend *fe = *state;
	const struct vu_single_region single = { .region = fe_region() };

	start_and_skip_a_slot_of_the_second_lap(fe);
	assert_int_equal(fe_ack(fe, VU_REM_MEM_REG, &single, sizeof(single), NULL, 0), 0);
	assert_int_equal(fe_set_memory(fe), 0);
	transmit_and_take(fe, 3);
}

/* What a VMM says that does not know better. One slot in 64 is marked as used, so that nothing of the ring
 * contradicts: but it has been served. */
static void a_ring_in_its_second_lap_is_not_taken_for_one_in_its_first(void **state) /* R11 */
{
	struct frontend *fe = *state;

	fe_start(fe, IN_ORDER, 2);
	for (int i = 0; i < FE_RING_SIZE; i++)
		fe_transmit(fe, 0, 1, 60);
	assert_int_equal(fe_ingress(fe, 0, NULL), FE_RING_SIZE);
	fe_transmit(fe, 0, 1, 60);
	reconnect(fe, IN_ORDER, 0x80008000);
	assert_non_null(strstr(fe->dev->queue[1].refused, "is not where the packed ring is"));
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

/* A process without the file has served it meanwhile, and the front-end knows where that ended. */
static void a_packed_ring_of_which_file_and_front_end_disagree_is_refused(void **state)
{
	struct frontend *fe = *state;
	struct via_device_config config = { .queue_pairs = 2 };
	int file = test_memfd(via_device_state_size(2), 0);

	config.state_fd = dup(file);
	fe_reopen_device(fe, &config);
	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 20; i++)
		fe_assert_traffic(fe, 0);
	config.state_fd = -1;
	fe_reopen_device(fe, &config);
	reconnect(fe, FE_PACKED, 0x80148014);
	for (int i = 0; i < 10; i++)
		fe_assert_traffic(fe, 0);
	config.state_fd = dup(file);
	fe_reopen_device(fe, &config);
	reconnect(fe, FE_PACKED, 0x801e801e);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_non_null(strstr(fe->dev->queue[0].refused, "is not at the kept position"));
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_ring_starts_whatever_is_said_last),
		CASE(a_ring_starts_without_protocol_features_and_enable),
		CASE(a_ring_that_cannot_be_is_not_started),
		CASE(a_ring_whose_parts_overlap_is_not_started),
		CASE(a_refused_ring_is_judged_again_when_something_else_is_said_of_it),
		CASE(misaligned_or_foreign_addresses_are_refused_at_once),
		CASE(a_stopped_ring_goes_on_from_the_base_that_was_told),
		CASE(a_stopped_ring_needs_everything_again),
		CASE(the_base_of_a_ring_that_never_ran_is_what_was_set),
		CASE(a_split_ring_goes_on_at_its_used_index_whatever_the_base),
		CASE(a_base_of_0_says_nothing_of_a_packed_rings_lap),
		CASE(a_base_of_0_that_we_have_told_is_where_the_ring_is),
		CASE(a_base_that_we_have_told_is_believed_where_the_ring_does_not_show_it),
		CASE(a_ring_whose_memory_comes_back_goes_on_where_it_was),
		CASE(a_ring_in_its_second_lap_is_not_taken_for_one_in_its_first),
		CASE(a_packed_ring_that_is_not_where_its_base_says_is_refused),
		CASE(rings_are_found_again_by_the_next_process),
		CASE(a_packed_ring_of_which_file_and_front_end_disagree_is_refused),
		CASE(a_guest_that_started_anew_meanwhile_starts_anew),
		CASE(a_position_file_of_another_shape_is_refused),
	};

	return cmocka_run_group_tests_name("ring_start", tests, NULL, NULL);
}
