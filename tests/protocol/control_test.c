/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/control_queue.c, filter.c: what a driver tells us. */
#include <string.h>
#include <sys/socket.h>
#include <viaduct/worker.h>

#include "tests/protocol/control.h"
#include "vhost/vhost.h"

/* The driver gives a command of 'len' bytes, cut into pieces of 'piece', with 'room' for the answer. */
static int command_in(struct frontend *fe, const uint8_t *bytes, uint32_t len, uint32_t piece,
		      uint32_t room)
{
	struct fe_queue *q = &fe->queue[CONTROL];
	struct via_drv_buffer buf[FE_RING_SIZE];
	struct via_drv_done done;
	uint32_t n = 0;
	uint8_t *ack = fe->mem + FE_BUFFERS + 3 * MIB / 2;

	memcpy(fe->mem + FE_BUFFERS, bytes, len);
	*ack = NO_ANSWER;
	for (uint32_t at = 0; at < len; at += piece)
		buf[n++] = (struct via_drv_buffer){ FE_BUFFERS + at,
						    len - at < piece ? len - at : piece };
	if (room)
		buf[n] = (struct via_drv_buffer){ FE_BUFFERS + 3 * MIB / 2, room };
	if (q->drv.format == VIA_RING_PACKED) {
		assert_int_equal(
			drv_add(&q->drv, buf, n, room > 0, VIA_DRV_DIRECT, NULL, VIA_RING_PACKED),
			0);
		drv_publish(&q->drv, VIA_RING_PACKED);
	} else {
		assert_int_equal(
			drv_add(&q->drv, buf, n, room > 0, VIA_DRV_DIRECT, NULL, VIA_RING_SPLIT),
			0);
		drv_publish(&q->drv, VIA_RING_SPLIT);
	}
	control_kick(fe);
	fe_turn(fe);
	assert_int_equal(q->drv.format == VIA_RING_PACKED
				 ? drv_reap(&q->drv, &done, VIA_RING_PACKED)
				 : drv_reap(&q->drv, &done, VIA_RING_SPLIT),
			 1);
	assert_int_equal(done.len, room > 0);
	return *ack;
}

static int command(struct frontend *fe, const uint8_t *bytes, uint32_t len)
{
	return command_in(fe, bytes, len, len, 1);
}

#define COMMAND(fe, ...) \
	command(fe, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static bool wants(struct frontend *fe, const uint8_t *mac, int vid)
{
	struct via_view *view = &fe->burst->view[0];

	*view = (struct via_view){ .len = 60, .snapshot_len = 60 };
	memset(view->snapshot, 0, 60);
	memcpy(view->snapshot, mac, 6);
	if (vid >= 0) {
		view->snapshot[12] = 0x81;
		view->snapshot[14] = (uint8_t)(vid >> 8);
		view->snapshot[15] = (uint8_t)vid;
	}
	return via_device_wants(fe->dev, view);
}

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 9 },
		     multi[6] = { 1, 0, 0x5e, 0, 0, 1 },
		     broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void a_session_that_used_the_control_queue_leaves_no_memory_behind(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(COMMAND(fe, 0, 0, 1), 0);
	assert_non_null(fe->dev->control.seg);
	fe_disconnect(fe);
	assert_null(fe->dev->control.seg);
}

static void a_driver_that_says_nothing_sees_everything(void **state) /* VN-09 */
{
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_true(wants(fe, other, -1));
	assert_true(wants(fe, multi, 7));
}

static void the_receive_filter_passes_what_the_driver_listed(void **state) /* VN-10 to VN-12 */
{
	struct frontend *fe = *state;

	for (int packed = 0; packed < 2; packed++) {
		fe_start(fe, CONTROL_FEATURES | (packed ? VIA_BIT(VIRTIO_F_RING_PACKED) : 0), 5);
		assert_int_equal(COMMAND(fe, 0, 0, 0), OK); /* promiscuous off */
		assert_true(wants(fe, own, -1));
		assert_true(wants(fe, broadcast, -1));
		assert_false(wants(fe, other, -1));
		assert_false(wants(fe, multi, -1));
		assert_int_equal(COMMAND(fe, 0, 1, 1), OK); /* all multicast */
		assert_true(wants(fe, multi, -1));
		assert_int_equal(COMMAND(fe, 0, 1, 0), OK);
		assert_int_equal(COMMAND(fe, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0,
					 0x5e, 0, 0, 1),
				 OK);
		assert_true(wants(fe, other, -1));
		assert_true(wants(fe, multi, -1));
		assert_int_equal(COMMAND(fe, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), OK);
		assert_false(wants(fe, other, -1));
		assert_int_equal(COMMAND(fe, 1, 1, 2, 0, 0, 0, 0, 9), OK); /* own address */
		assert_true(wants(fe, other, -1));
		assert_false(wants(fe, own, -1));
		assert_false(wants(fe, other, 7));
		assert_int_equal(COMMAND(fe, 2, 0, 7, 0), OK);
		assert_true(wants(fe, other, 7));
		assert_false(wants(fe, other, 8));
		assert_int_equal(COMMAND(fe, 2, 1, 7, 0), OK);
		assert_false(wants(fe, other, 7));
		fe_disconnect(fe);
		assert_true(wants(fe, multi, 9)); /* the next driver begins anew */
	}
}

/* Tables of so many unicast and multicast addresses: 2:0:0:0:1:i and 1:0:0:0:1:i. */
static int set_tables(struct frontend *fe, uint8_t unicast, uint8_t multicast)
{
	uint8_t bytes[2 + 2 * (4 + 6 * 80)] = { 1, 0 };
	uint32_t len = 2;

	for (uint8_t kind = 2; kind >= 1; kind--) {
		const uint8_t n = kind == 2 ? unicast : multicast;

		bytes[len] = n;
		len += 4;
		for (uint8_t i = 0; i < n; i++, len += 6)
			memcpy(bytes + len, (const uint8_t[]){ kind, 0, 0, 0, 1, i }, 6);
	}
	return command(fe, bytes, len);
}

static void a_table_that_is_too_long_passes_all_of_its_kind(void **state) /* VN-11 */
{
	static const uint8_t last[6] = { 2, 0, 0, 0, 1, 63 };
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(COMMAND(fe, 0, 0, 0), OK); /* promiscuous off */
	assert_int_equal(set_tables(fe, 64, 64), OK);
	assert_true(wants(fe, last, -1));
	assert_false(wants(fe, other, -1));
	assert_false(wants(fe, multi, -1));
	assert_int_equal(set_tables(fe, 65, 1), OK);
	assert_true(wants(fe, other, -1));
	assert_false(wants(fe, multi, -1));
	assert_int_equal(set_tables(fe, 1, 80), OK);
	assert_false(wants(fe, other, -1));
	assert_true(wants(fe, multi, -1));
}

static void a_frame_too_short_for_a_tag_has_none(void **state)
{
	struct frontend *fe = *state;
	struct via_view *view = &fe->burst->view[0];

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(COMMAND(fe, 0, 0, 0), OK);
	assert_false(wants(fe, own, 7));
	view->len = 14;
	view->snapshot_len = 14;
	assert_true(via_device_wants(fe->dev, view));
	view->snapshot[5]++; /* another's address */
	assert_false(via_device_wants(fe->dev, view));
	assert_int_equal(COMMAND(fe, 0, 0, 1), OK); /* promiscuous again */
	assert_true(via_device_wants(fe->dev, view));
	assert_false(wants(fe, other, 7)); /* of other VLANs it is not */
}

static void one_pair_is_used_until_the_driver_asks_for_more(void **state) /* VN-14, VN-15 */
{
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	for (uint32_t flow = 1; flow < 9; flow++)
		assert_int_equal(via_device_steer(fe->dev, flow), 0);
	assert_int_equal(COMMAND(fe, 4, 0, 2, 0), OK);
	assert_int_equal(via_device_steer(fe->dev, 6), 0);
	assert_int_equal(via_device_steer(fe->dev, 7), 1);
	fe_assert_traffic(fe, 1);
	assert_int_equal(COMMAND(fe, 4, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(fe, 4, 0, 3, 0), ERR);
	assert_int_equal(COMMAND(fe, 4, 0, 0xff, 0xff), ERR);
	assert_int_equal(COMMAND(fe, 4, 0, 1, 0), OK);
	assert_int_equal(via_device_steer(fe->dev, 7), 0);
	fe_post(fe, 1, 1);
	assert_false(fe_egress(fe, 1, 1, 60));
	fe_assert_traffic(fe, 0);
}

static void the_control_queue_is_behind_the_only_pair_without_mq(void **state) /* design §6 */
{
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES & ~VIA_BIT(VIRTIO_NET_F_MQ), 3);
	assert_int_equal(vu_control_index(fe->dev), 2);
	fe_assert_traffic(fe, 0);
	for (uint32_t flow = 1; flow < 9; flow++) /* it is no RX queue */
		assert_int_equal(via_device_steer(fe->dev, flow), 0);
}

static void offloads_may_be_switched_off_and_on(void **state) /* VN-24 */
{
	struct frontend *fe = *state;
	uint8_t bytes[10] = { 5, 0 };

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_not_equal(fe->dev->queue[0].ring->net.guest, 0);
	assert_int_equal(command(fe, bytes, sizeof(bytes)), OK);
	assert_int_equal(fe->dev->queue[0].ring->net.guest, 0);
	bytes[2] = 1 << VIRTIO_NET_F_GUEST_CSUM;
	assert_int_equal(command(fe, bytes, sizeof(bytes)), OK);
	assert_int_equal(fe->dev->queue[0].ring->net.guest, VIA_OFFLOAD_CSUM);
	bytes[3] = 1; /* TSO6 was not negotiated */
	assert_int_equal(command(fe, bytes, sizeof(bytes)), ERR);
	fe_assert_traffic(fe, 0);
}

static void the_control_queue_is_no_pair(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_true(via_device_pair_runs(fe->dev, 1));
	assert_false(via_device_pair_runs(fe->dev, 2));
	assert_true(
		vu_queue_is_enabled(&fe->dev->queue[CONTROL])); /* however few pairs are in use */
	assert_int_equal(via_device_kick_fd(fe->dev, 2), -1);
}

static void wrong_commands_are_answered_and_the_queue_lives(void **state) /* HX-42 */
{
	static const struct {
		const char *what;
		uint8_t bytes[16];
		uint32_t len;
	} wrong[] = {
		{ "one byte", { 0 }, 1 },
		{ "no data", { 0, 0 }, 2 },
		{ "too much data", { 0, 0, 1, 1 }, 4 },
		{ "promiscuous 2", { 0, 0, 2 }, 3 },
		{ "unknown class", { 77, 0, 0 }, 3 },
		{ "unknown command", { 0, 9, 0 }, 3 },
		{ "alluni, not offered", { 0, 2, 1 }, 3 },
		{ "a table cut off", { 1, 0, 1, 0, 0, 0, 2, 0 }, 8 },
		{ "a table of 65535", { 1, 0, 0xff, 0xff, 0, 0, 2, 0, 0, 0, 0, 0 }, 12 },
		{ "a table of 2^32 - 1", { 1, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0 }, 10 },
		{ "no second table", { 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9 }, 12 },
		{ "a second table cut off", { 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0 }, 14 },
		{ "bytes behind the tables", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 }, 11 },
		{ "a multicast address", { 1, 1, 3, 0, 0, 0, 0, 1 }, 8 },
		{ "VLAN 4096", { 2, 0, 0, 0x10 }, 4 },
		{ "half a VLAN", { 2, 0, 1 }, 3 },
		{ "RSS", { 4, 1, 0, 0, 0, 0 }, 6 },
		{ "half the offloads", { 5, 0, 0, 0, 0, 0 }, 6 },
	};
	struct frontend *fe = *state;
	static const uint8_t promisc[] = { 0, 0, 1 };
	static uint8_t huge[64 * KIB], full[8 * KIB] = { 1, 0, 1364 & 0xff, 1364 >> 8 };

	fe_start(fe, CONTROL_FEATURES, 5);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		print_message("%s\n", wrong[i].what);
		assert_int_equal(command(fe, wrong[i].bytes, wrong[i].len), ERR);
		assert_int_equal(command_in(fe, wrong[i].bytes, wrong[i].len, 1, 1), ERR);
		assert_int_equal(command_in(fe, wrong[i].bytes, wrong[i].len, 2, 0), NO_ANSWER);
	}
	assert_int_equal(command(fe, huge, sizeof(huge)), ERR);
	assert_int_equal(command(fe, full, sizeof(full)), ERR); /* half a count behind a table */
	assert_int_equal(command_in(fe, promisc, 3, 1, 1), OK); /* in any pieces */
	assert_int_equal(command_in(fe, promisc, 3, 3, 1), OK);
	assert_int_equal(command_in(fe, promisc, 0, 1, 1), ERR); /* no command at all */
	for (int i = 0; i < 70000; i++)                          /* the index wraps */
		assert_int_equal(command(fe, promisc, 3), OK);
	fe_assert_traffic(fe, 0);
}

static void commands_need_their_features(void **state) /* VN-08 */
{
	static const struct {
		unsigned int feature;
		uint8_t bytes[10];
		uint32_t len;
	} gated[] = {
		{ VIRTIO_NET_F_CTRL_RX, { 0, 0, 1 }, 3 },
		{ VIRTIO_NET_F_CTRL_MAC_ADDR, { 1, 1, 2, 0, 0, 0, 0, 9 }, 8 },
		{ VIRTIO_NET_F_CTRL_VLAN, { 2, 0, 7, 0 }, 4 },
		{ VIRTIO_NET_F_GUEST_ANNOUNCE, { 3, 0 }, 2 },
		{ VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, { 5, 0 }, 10 },
	};
	struct frontend *fe = *state;

	for (size_t i = 0; i < ARRAY_SIZE(gated); i++) {
		fe_start(fe, CONTROL_FEATURES, 5);
		assert_int_equal(command(fe, gated[i].bytes, gated[i].len), OK);
		fe_disconnect(fe);
		fe_start(fe, CONTROL_FEATURES & ~VIA_BIT(gated[i].feature), 5);
		assert_int_equal(command(fe, gated[i].bytes, gated[i].len), ERR);
		fe_disconnect(fe);
	}
}

static uint16_t status_of(struct frontend *fe)
{
	struct vu_config config = { .offset = 6, .size = 2 };
	uint16_t status;

	struct vu_msg reply;

	fe_send(fe, VU_GET_CONFIG, VU_VERSION, &config, VU_CONFIG_HEAD + 2, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	memcpy(&status, reply.payload.config.data, sizeof(status));
	return status;
}

static void a_guest_is_asked_to_announce_itself_until_it_did(void **state) /* VN-13 */
{
	struct frontend *fe = *state;
	struct vu_header header;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(via_device_announce(fe->dev), -EOPNOTSUPP); /* nobody to tell */
	assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);

	assert_int_equal(via_device_announce(fe->dev), 0);
	fe_turn(fe);
	assert_int_equal(recv(pair[0], &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	assert_int_equal(header.request, VU_BACKEND_CONFIG_CHANGE);
	assert_int_equal(status_of(fe), 3);
	assert_int_equal(COMMAND(fe, 3, 0), OK);
	assert_int_equal(status_of(fe), 1);
	close(pair[0]);
}

static void a_guest_is_asked_only_if_it_and_its_front_end_understand(void **state) /* VN-13 */
{
	const uint64_t announce = VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE);
	struct frontend *fe = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int lacks = 0; lacks < 3; lacks++) {
		fe_connect(fe);
		fe_negotiate(fe, CONTROL_FEATURES & ~(lacks == 1 ? announce : 0),
			     FE_PROTOCOL & ~(lacks == 2 ? VIA_BIT(VU_PROTOCOL_CONFIG) : 0));
		assert_int_equal(fe_ack(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
		assert_int_equal(via_device_announce(fe->dev), lacks ? -EOPNOTSUPP : 0);
		assert_int_equal(fe->dev->announcing, !lacks);
		fe_disconnect(fe);
	}
	close(pair[0]);
	close(pair[1]);
}

/* ---- a driver that breaks rules ---- */

/* Offers what cannot be, and kicks. */
static void break_control(struct frontend *fe)
{
	struct via_desc_words *desc = (void *)(fe->mem + FE_RING_AT(CONTROL));
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(CONTROL) + FE_AVAIL);

	if (fe->queue[CONTROL].drv.format == VIA_RING_PACKED)
		for (int i = 0; i < FE_RING_SIZE; i++) /* a chain without end */
			via_le64_store(&desc[i].tail, 8 | (uint64_t)(VIA_DESC_NEXT | VIA_DESC_AVAIL)
								      << 48);
	else
		via_le16_store(&avail->idx, 30000);
	control_kick(fe);
	fe_turn(fe);
}

static void a_broken_control_queue_is_told_once_and_packets_go_on(void **state) /* R15 */
{
	static const uint8_t promisc[] = { 0, 0, 1 };
	struct frontend *fe = *state;

	for (int packed = 0; packed < 2; packed++) {
		fe_start(fe, CONTROL_FEATURES | (packed ? VIA_BIT(VIRTIO_F_RING_PACKED) : 0), 5);
		for (int i = 0; i < 2; i++)
			break_control(fe);
		assert_int_equal(fe->dev->queue[CONTROL].told,
				 packed ? VIA_BROKEN_LOOP : VIA_BROKEN_AVAIL_INDEX);
		assert_int_equal(fe->dev->faults.broken[fe->dev->queue[CONTROL].told], 1);
		fe_assert_traffic(fe, 0);
		fe_get_base(fe, CONTROL);
		fe_setup_queue(fe, CONTROL, 0, true);
		assert_int_equal(command(fe, promisc, sizeof(promisc)), OK);
		fe_disconnect(fe);
	}
}

static void memory_that_is_truncated_breaks_the_control_queue(void **state) /* R7, HX-16 */
{
	struct frontend *fe = *state;

	assert_int_equal(via_guard_install(NULL), 0);
	fe_use_unsealable_memory(fe);
	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(ftruncate(fe->mem_fd, 0), 0);
	for (int i = 0; i < 2; i++) { /* the first look is who finds zeros */
		control_kick(fe);
		fe_turn(fe);
	}
	assert_int_equal(fe->dev->faults.broken[VIA_BROKEN_MEMORY_LOST], 1);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &(struct vu_msg){ 0 }), FE_CLOSED);
}

static void who_never_kicks_is_looked_at_now_and_then(void **state)
{
	static const uint8_t promisc[] = { 0, 0, 0 };
	struct frontend *fe = *state;
	uint8_t *ack;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, CONTROL, -1), 0);
	ack = control_offer(fe, 0, promisc, sizeof(promisc));
	for (int i = 0; i < 100 && *ack == NO_ANSWER; i++)
		via_loop_turn(fe->loop, 100);
	assert_int_equal(*ack, OK);
	assert_false(wants(fe, other, -1));
}

/* A turn of the loop: the command is run, and waits for workers to be answered. */
static void begin_command(struct frontend *fe, const uint8_t *bytes, uint32_t len)
{
	control_offer(fe, 0, bytes, len);
	control_kick(fe);
	via_loop_turn(fe->loop, 0);
	assert_true(vu_is_settling(fe->dev));
}

static void one_command_waits_for_the_one_before(void **state) /* VN-15 */
{
	static const uint8_t pairs[] = { 4, 0, 2, 0 };
	struct frontend *fe = *state;
	struct via_drv_done done;

	fe_start(fe, CONTROL_FEATURES, 5);
	control_offer(fe, 0, pairs, sizeof(pairs));
	begin_command(fe, pairs, sizeof(pairs)); /* two of them */
	assert_int_equal(drv_reap(&fe->queue[CONTROL].drv, &done, VIA_RING_SPLIT), 0);
	fe_turn(fe);
	for (int i = 0; i < 2; i++)
		assert_int_equal(drv_reap(&fe->queue[CONTROL].drv, &done, VIA_RING_SPLIT), 1);
	assert_int_equal(COMMAND(fe, 4, 0, 1, 0), OK);
}

static enum vu_session when_told;

static void note_session(void *user, uint32_t pair)
{
	const struct frontend *fe = user;

	(void)pair;
	when_told = fe->dev->session;
}

static void a_session_that_ends_within_a_command_is_told_when_it_is_over(void **state)
{
	static const struct via_device_events events = { .pair_changed = note_session };
	static const uint8_t pairs[] = { 4, 0, 2, 0 };
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	begin_command(fe, pairs, sizeof(pairs));
	fe->dev->config.events = &events;
	when_told = VU_CONNECTED;
	vu_session_end(fe->dev, VU_END_FAULT, "as when its memory was lost");
	fe_turn(fe);
	assert_int_equal(when_told, VU_IDLE);
}

static void on_closed(void *user)
{
	struct frontend *fe = user;

	fe->closed = true;
}

static void close_when_told(void *user, uint32_t pair)
{
	struct frontend *fe = user;

	(void)pair;
	via_device_close(fe->dev, on_closed, fe);
	fe->dev = NULL;
}

static void an_owner_may_close_the_device_when_a_command_changes_its_pairs(void **state)
{
	static const struct via_device_events events = { .pair_changed = close_when_told };
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	fe->dev->config.events = &events;
	assert_int_equal(COMMAND(fe, 4, 0, 2, 0), OK);
	assert_true(fe->closed);
	close(fe->fd);
	fe->fd = -1;
	fe_open_device(fe, NULL);
}

static void a_control_queue_that_lost_its_memory_listens_to_no_kick(void **state) /* VU-34 */
{
	const struct vu_regions elsewhere = {
		.nr_regions = 1,
		.region = { { .gpa = 0, .size = 4096, .user_addr = FE_USER_ADDR - 4096 } },
	};
	struct frontend *fe = *state;

	fe_start(fe, CONTROL_FEATURES, 5);
	assert_non_null(fe->dev->control.watch);
	assert_int_equal(fe_ack(fe, VU_SET_MEM_TABLE, &elsewhere, 8 + sizeof(struct vu_region),
				&fe->mem_fd, 1),
			 0);
	assert_null(fe->dev->control.watch);
	assert_int_equal(fe_set_memory(fe), 0);
	assert_non_null(fe->dev->control.watch);
	assert_int_equal(COMMAND(fe, 0, 0, 1), OK);
}

/* Last of all: where there was a worker, changes take their time from then on. */
static void commands_and_messages_wait_for_each_other(void **state)
{
	static const uint8_t promisc[] = { 0, 0, 0 };
	struct frontend *fe = *state;
	const uint64_t queue = 1;
	struct vu_msg reply;

	fe_start(fe, CONTROL_FEATURES, 5);
	for (int kick_first = 0; kick_first < 2; kick_first++) {
		uint8_t *ack = control_offer(fe, 0, promisc, sizeof(promisc));
		int answered = 0;

		via_worker_register("test"); /* it is in the rings */
		for (int what = 0; what < 2; what++) {
			if (what == kick_first)
				fe_send(fe, VU_SET_VRING_CALL, VU_VERSION | VU_NEED_REPLY_MASK,
					&queue, sizeof(queue), &fe->queue[1].call, 1);
			else
				control_kick(fe);
			fe_turn(fe);
		}
		assert_int_equal(*ack, NO_ANSWER);
		assert_int_equal(fe_recv(fe, &reply), 0);
		via_worker_unregister();
		for (int i = 0; i < 500 && (*ack == NO_ANSWER || answered == 0); i++) {
			via_loop_turn(fe->loop, 10);
			if (answered == 0)
				answered = fe_recv(fe, &reply);
		}
		assert_int_equal(*ack, OK);
		assert_int_equal(answered, 1);
		assert_int_equal(reply.payload.u64, 0);
	}

	/* That its sender is gone wakes us; the message waits all the same. */
	via_worker_register("test");
	begin_command(fe, promisc, sizeof(promisc));
	fe_send(fe, VU_RESET_OWNER, VU_VERSION, NULL, 0, NULL, 0);
	fe_disconnect(fe);
	assert_true(vu_is_settling(fe->dev));
	assert_null(fe->dev->msg);
	via_worker_unregister();
	for (int i = 0; i < 500 && fe->dev->session != VU_IDLE; i++)
		via_loop_turn(fe->loop, 10);
	assert_int_equal(fe->dev->session, VU_IDLE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, control_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_driver_that_says_nothing_sees_everything),
		CASE(a_session_that_used_the_control_queue_leaves_no_memory_behind),
		CASE(the_receive_filter_passes_what_the_driver_listed),
		CASE(a_table_that_is_too_long_passes_all_of_its_kind),
		CASE(a_frame_too_short_for_a_tag_has_none),
		CASE(one_pair_is_used_until_the_driver_asks_for_more),
		CASE(the_control_queue_is_behind_the_only_pair_without_mq),
		CASE(offloads_may_be_switched_off_and_on),
		CASE(the_control_queue_is_no_pair),
		CASE(wrong_commands_are_answered_and_the_queue_lives),
		CASE(commands_need_their_features),
		CASE(a_guest_is_asked_only_if_it_and_its_front_end_understand),
		CASE(a_guest_is_asked_to_announce_itself_until_it_did),
		CASE(a_broken_control_queue_is_told_once_and_packets_go_on),
		CASE(memory_that_is_truncated_breaks_the_control_queue),
		CASE(who_never_kicks_is_looked_at_now_and_then),
		CASE(one_command_waits_for_the_one_before),
		CASE(a_session_that_ends_within_a_command_is_told_when_it_is_over),
		CASE(an_owner_may_close_the_device_when_a_command_changes_its_pairs),
		CASE(a_control_queue_that_lost_its_memory_listens_to_no_kick),
		CASE(commands_and_messages_wait_for_each_other),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
