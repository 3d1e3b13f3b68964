/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost/negotiate.c, config_space.c: what is offered, acknowledged and told, and the messages about
 * the device as a whole.
 */
#include <string.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2, .mtu = 1500 };

	return fe_setup_with(state, &config);
}

/* ---- features ---- */

static void only_what_was_offered_can_be_acknowledged(void **state) /* R25, VU-10 */
{
	struct frontend *fe = *state;
	uint64_t features, protocol;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	features = fe_get(fe, VU_GET_FEATURES);
	protocol = fe_get(fe, VU_GET_PROTOCOL_FEATURES);
	for (unsigned int bit = 0; bit < 64; bit++) {
		assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, FE_SPLIT | VIA_BIT(bit)),
				 !via_has(features, bit));
		assert_int_equal(
			fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES, fe->protocol | VIA_BIT(bit)),
			!via_has(protocol, bit));
	}
}

static void features_taken_away_take_what_needs_them_along(void **state) /* VN-08 */
{
	struct frontend *fe = *state;
	struct via_device_config config = { .features_off = VIA_BIT(VIRTIO_NET_F_CSUM) |
							    VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) |
							    VIA_BIT(VIRTIO_F_RING_PACKED) };
	uint64_t features;

	fe_reopen_device(fe, &config);
	fe_connect(fe);
	features = fe_get(fe, VU_GET_FEATURES);
	assert_false(via_has(features, VIRTIO_NET_F_CSUM));
	assert_false(via_has(features, VIRTIO_NET_F_HOST_TSO4));
	assert_false(via_has(features, VIRTIO_NET_F_HOST_USO));
	assert_false(via_has(features, VIRTIO_NET_F_HOST_ECN));
	assert_false(via_has(features, VIRTIO_NET_F_GUEST_TSO4));
	assert_true(via_has(features, VIRTIO_NET_F_GUEST_TSO6));
	assert_true(via_has(features, VIRTIO_NET_F_GUEST_ECN));
	assert_false(via_has(features, VIRTIO_F_RING_PACKED));
	assert_false(via_has(features, VIRTIO_NET_F_MQ));
	assert_false(via_has(features, VIRTIO_NET_F_MTU));
	assert_false(via_has(features, VIRTIO_NET_F_CTRL_VQ));

	config = (struct via_device_config){ .control_queue = true,
					     .queue_pairs = 2,
					     .features_off = VIA_BIT(VIRTIO_NET_F_CTRL_VQ) };
	fe_reopen_device(fe, &config);
	fe_connect(fe);
	features = fe_get(fe, VU_GET_FEATURES);
	assert_false(via_has(features, VIRTIO_NET_F_MQ));
	assert_false(via_has(features, VIRTIO_NET_F_CTRL_RX));
	assert_false(via_has(features, VIRTIO_NET_F_GUEST_ANNOUNCE));
}

static void rings_are_not_enabled_by_a_driver_that_cannot(void **state) /* VU-25 */
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, VIA_BIT(VIRTIO_F_VERSION_1)), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), 1);
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, FE_SPLIT), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), 0);
}

static void protocol_features_do_not_change_under_queues_that_run(void **state)
{
	struct frontend *fe = *state;
	uint64_t fewer;

	fe_start(fe, FE_SPLIT, 2);
	fewer = fe->protocol & ~VIA_BIT(VU_PROTOCOL_CONFIG);
	assert_int_equal(fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES, fe->protocol), 0);
	assert_int_equal(fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES, fewer), 1);
	assert_true(vu_has_protocol(fe->dev, VU_PROTOCOL_CONFIG));
	fe_assert_traffic(fe, 0);
	fe_get_base(fe, 0);
	fe_get_base(fe, 1);
	assert_int_equal(fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES, fewer), 0);
	assert_false(vu_has_protocol(fe->dev, VU_PROTOCOL_CONFIG));
}

/* ---- the device as a whole ---- */

static void the_configuration_is_read_only_within_its_bounds(void **state)
{
	struct frontend *fe = *state;
	struct vu_config c = { .offset = 20, .size = 9 };
	struct vu_msg reply;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	fe_send(fe, VU_GET_CONFIG, VU_VERSION, &c, VU_CONFIG_HEAD + 9, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	assert_int_equal(reply.header.size, 0); /* its error value; the connection stays */
	c = (struct vu_config){ .offset = 0xffffffff, .size = 1 };
	fe_send(fe, VU_GET_CONFIG, VU_VERSION, &c, VU_CONFIG_HEAD + 1, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	assert_int_equal(reply.header.size, 0);

	c = (struct vu_config){ .offset = 0, .size = 6, .data = { 2, 1, 2, 3, 4, 5 } };
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 1);
	c.flags = 1; /* a migration may */
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 0);
	fe_send(fe, VU_GET_CONFIG, VU_VERSION, &c, VU_CONFIG_HEAD + 6, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	assert_memory_equal(reply.payload.config.data, c.data, 6);
}

static void only_what_is_there_can_be_written_and_only_by_whom_it_may(void **state)
{
	struct frontend *fe = *state;
	struct vu_config c = { .offset = 0, .size = 6, .data = { 2, 1, 2, 3, 4, 5 } };
	struct vu_config same = { .offset = 8, .size = 2, .data = { 2 } }; /* pairs, as they are */

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &same, VU_CONFIG_HEAD + 2, NULL, 0), 0);
	c.flags = 2;
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 1);
	c.flags = 1;
	c.offset = 26;
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 1);
	c.offset = UINT32_MAX;
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 1);
	assert_int_equal(fe->dev->mac[0], 0);

	fe_disconnect(fe); /* a driver from before VIRTIO 1 sets its address this way */
	fe_connect(fe);
	fe_negotiate(fe, VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES), FE_ALL_PROTOCOL);
	c.flags = 0;
	c.offset = 0;
	assert_int_equal(fe_ack(fe, VU_SET_CONFIG, &c, VU_CONFIG_HEAD + 6, NULL, 0), 0);
	assert_memory_equal(fe->dev->mac, c.data, 6);
}

static void an_announcement_is_passed_on_unless_its_address_is_none(void **state)
{
	static const uint8_t good[8] = { 2, 1, 2, 3, 4, 5 }, multicast[8] = { 3 }, zero[8];
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	assert_int_equal(fe_ack(fe, VU_SEND_RARP, good, 8, NULL, 0), 0);
	assert_int_equal(fe->announcements, 1);
	assert_memory_equal(fe->announced, good, 6);
	assert_int_equal(fe_ack(fe, VU_SEND_RARP, multicast, 8, NULL, 0), 0);
	assert_int_equal(fe_ack(fe, VU_SEND_RARP, zero, 8, NULL, 0), 0);
	assert_int_equal(fe->announcements, 1);
}

static void status_gates_the_rings_and_zero_resets(void **state) /* VU-20, VU-29 */
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_STATUS));
	assert_int_equal(fe_set_memory(fe), 0);
	fe_setup_queue(fe, 0, 0, true);
	fe_setup_queue(fe, 1, 0, true);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 1, 1), 0);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe_ack_u64(fe, VU_SET_STATUS, 0x0f), 0);
	assert_int_equal(fe_get(fe, VU_GET_STATUS), 0x0f);
	fe_assert_traffic(fe, 0);
	assert_int_equal(fe_ack_u64(fe, VU_SET_STATUS, 0x100), 1);
	assert_int_equal(fe_ack_u64(fe, VU_SET_STATUS, 0), 0);
	assert_false(via_device_pair_runs(fe->dev, 0));
	assert_int_equal(fe_get(fe, VU_GET_STATUS), 0);
}

static void a_driver_is_told_that_its_device_needs_a_reset(void **state) /* VU-29 */
{
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);

	for (int refused = 0; refused < 2; refused++) {
		fe_connect(fe);
		fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL | VIA_BIT(VU_PROTOCOL_STATUS));
		assert_int_equal(fe_set_memory(fe), 0);
		fe_setup_queue(fe, 1, 0, true);
		assert_int_equal(fe_ack_u64(fe, VU_SET_STATUS, 0x0f), 0);
		assert_int_equal(fe_get(fe, VU_GET_STATUS), 0x0f);
		if (refused) {
			fe_get_base(fe, 1);
			assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 1, 3), 0);
			assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, 1, 0), 0);
			assert_int_equal(fe_set_addr(fe, 1), 0);
			fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fe->queue[1].kick);
		} else {
			via_le16_store(&avail->idx, 30000);
			assert_int_equal(fe_ingress(fe, 0, NULL), 0);
		}
		assert_int_equal(fe_get(fe, VU_GET_STATUS), 0x4f);
		assert_int_equal(fe_ack_u64(fe, VU_SET_STATUS, 0), 0);
		assert_int_equal(fe_get(fe, VU_GET_STATUS), 0);
		fe_disconnect(fe);
	}
}

static void numbers_of_the_device_are_told(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	assert_int_equal(fe_get(fe, VU_GET_QUEUE_NUM), 2); /* pairs */
	assert_int_equal(fe_get(fe, VU_GET_MAX_MEM_SLOTS), 509);
	assert_int_equal(fe_ack_u64(fe, VU_NET_SET_MTU, 1500), 0);
	assert_int_equal(fe_ack_u64(fe, VU_NET_SET_MTU, 67), 1);
	assert_int_equal(fe_ack_u64(fe, VU_NET_SET_MTU, 65536), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(rings_are_not_enabled_by_a_driver_that_cannot),
		CASE(only_what_was_offered_can_be_acknowledged),
		CASE(features_taken_away_take_what_needs_them_along),
		CASE(the_configuration_is_read_only_within_its_bounds),
		CASE(only_what_is_there_can_be_written_and_only_by_whom_it_may),
		CASE(protocol_features_do_not_change_under_queues_that_run),
		CASE(an_announcement_is_passed_on_unless_its_address_is_none),
		CASE(status_gates_the_rings_and_zero_resets),
		CASE(a_driver_is_told_that_its_device_needs_a_reset),
		CASE(numbers_of_the_device_are_told),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
