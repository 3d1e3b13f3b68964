/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost/dispatch.c: what every message must satisfy, what is answered, and that whatever is refused
 * changes nothing. What single messages do is in negotiate_test.c and kick_test.c.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2, .mtu = 1500 };

	return fe_setup_with(state, &config);
}

/* Connects anew if the device has closed the connection. */
static void reconnect(struct frontend *fe)
{
	struct vu_msg reply;

	if (fe->fd >= 0 && fe_recv(fe, &reply) != FE_CLOSED)
		return;
	if (fe->fd >= 0)
		fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
}

/* Right sizes, in bytes; descriptors of right ones. Those with their own reply are marked. */
static const struct {
	uint32_t request;
	uint32_t size;
	uint32_t fds;
	bool replies;
} requests[] = {
	{ VU_GET_FEATURES, 0, 0, true },
	{ VU_SET_FEATURES, 8, 0, false },
	{ VU_SET_OWNER, 0, 0, false },
	{ VU_RESET_OWNER, 0, 0, false },
	{ VU_SET_MEM_TABLE, 40, 1, false },
	{ VU_SET_LOG_FD, 0, 1, false },
	{ VU_SET_VRING_NUM, 8, 0, false },
	{ VU_SET_VRING_ADDR, 40, 0, false },
	{ VU_SET_VRING_BASE, 8, 0, false },
	{ VU_GET_VRING_BASE, 8, 0, true },
	{ VU_SET_VRING_KICK, 8, 1, false },
	{ VU_SET_VRING_CALL, 8, 1, false },
	{ VU_SET_VRING_ERR, 8, 1, false },
	{ VU_GET_PROTOCOL_FEATURES, 0, 0, true },
	{ VU_SET_PROTOCOL_FEATURES, 8, 0, false },
	{ VU_GET_QUEUE_NUM, 0, 0, true },
	{ VU_SET_VRING_ENABLE, 8, 0, false },
	{ VU_SEND_RARP, 8, 0, false },
	{ VU_NET_SET_MTU, 8, 0, false },
	{ VU_SET_BACKEND_REQ_FD, 0, 1, false },
	{ VU_GET_CONFIG, 12, 0, true },
	{ VU_SET_CONFIG, 12, 0, false },
	{ VU_RESET_DEVICE, 0, 0, false },
	{ VU_GET_MAX_MEM_SLOTS, 0, 0, true },
	{ VU_ADD_MEM_REG, 40, 1, false },
	{ VU_REM_MEM_REG, 40, 0, false },
	{ VU_SET_STATUS, 8, 0, false },
	{ VU_GET_STATUS, 0, 0, true },
};

/* Sends; true if it was refused: by an acknowledgement that says so, or by closing the connection. */
static bool is_refused(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
		       const int *fds, uint32_t n)
{
	struct vu_msg reply;

	fe_send(fe, request, VU_VERSION | VU_NEED_REPLY_MASK, payload, size, fds, n);
	fe_turn(fe);
	switch (fe_recv(fe, &reply)) {
	case FE_CLOSED:
		return true;
	case 1:
		assert_int_equal(reply.header.request, request);
		if (request == VU_GET_CONFIG)
			return reply.header.size == 0;
		return reply.header.size == 8 && reply.payload.u64 == 1;
	default:
		fail_msg("request %u of %u bytes was not answered", request, size);
		return false;
	}
}

static void a_payload_of_a_wrong_size_is_refused(void **state) /* VU-06, HX-05 */
{
	static const uint8_t fills[] = { 0x00, 0xff, 0xa5 };
	struct frontend *fe = *state;
	const int fds = test_nr_fds();
	uint8_t payload[512];

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (uint32_t size = 0; size <= requests[i].size + 8; size++) {
			if (size == requests[i].size)
				continue;
			for (size_t f = 0; f < sizeof(fills); f++) {
				reconnect(fe);
				memset(payload, fills[f], sizeof(payload));
				assert_true(is_refused(fe, requests[i].request, payload, size,
						       &fe->mem_fd, requests[i].fds));
			}
		}
	}
	fe_disconnect(fe);
	assert_int_equal(test_nr_fds(), fds);
}

static void a_second_place_in_a_table_of_one_region_is_tolerated(void **state) /* user-mode Linux */
{
	struct frontend *fe = *state;
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };
	const uint32_t one = 8 + sizeof(struct vu_region);

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	for (uint32_t more = 8; more < sizeof(struct vu_region); more += 8)
		assert_int_equal(fe_ack(fe, VU_SET_MEM_TABLE, &table, one + more, &fe->mem_fd, 1),
				 1);
	assert_int_equal(fe_ack(fe, VU_SET_MEM_TABLE, &table, one + sizeof(struct vu_region),
				&fe->mem_fd, 1),
			 0);
	assert_int_equal(fe->dev->memory->mem->nr_regions, 1);
}

/* What is in the message cannot be, or does not fit what came of it. */
static void counts_that_cannot_be_are_refused_with_a_sentence(void **state) /* R2, VU-06 */
{
	static const struct {
		uint32_t request, size;
		uint32_t words[2];
		const char *says;
	} wrong[] = {
		{ VU_SET_MEM_TABLE, 8, { 0 }, "SET_MEM_TABLE: 0 regions; 1 to 8 are possible" },
		{ VU_SET_MEM_TABLE, 40, { 9 }, "SET_MEM_TABLE: 9 regions; 1 to 8 are possible" },
		{ VU_SET_MEM_TABLE, /* as many as make 40 bytes in 32 bits */
		  40,
		  { 0x08000001 },
		  "SET_MEM_TABLE: 134217729 regions; 1 to 8 are possible" },
		{ VU_SET_MEM_TABLE, 4, { 1 }, "SET_MEM_TABLE: a payload of 4 bytes instead of 40" },
		{ VU_SET_CONFIG,
		  268,
		  { 0, 257 },
		  "SET_CONFIG: 257 bytes of configuration; at most 256 are possible" },
		{ VU_SET_CONFIG, /* as many as make 8 bytes in 32 bits */
		  8,
		  { 0, 0xfffffffc },
		  "SET_CONFIG: 4294967292 bytes of configuration; at most 256 are possible" },
		{ VU_SET_CONFIG, 8, { 0, 1 }, "SET_CONFIG: a payload of 8 bytes instead of 13" },
	};
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint8_t payload[268] = { 0 };

		memcpy(payload, wrong[i].words, sizeof(wrong[i].words));
		assert_int_equal(fe_ack(fe, wrong[i].request, payload, wrong[i].size, NULL, 0), 1);
		assert_string_equal(fe->dev->refused.text, wrong[i].says);
	}
}

static void a_wrong_number_of_descriptors_is_refused(void **state) /* VU-04, HX-09 */
{
	static const uint32_t counts[] = { 0, 1, 2, 7, 8, 9, 16, 64, 253 };
	struct frontend *fe = *state;
	const int before = test_nr_fds();
	uint8_t payload[64] = { 0 };
	int fds[253];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fe->mem_fd;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
			if (counts[c] == requests[i].fds ||
			    (requests[i].request == VU_REM_MEM_REG && counts[c] == 1))
				continue;
			reconnect(fe);
			payload[0] = requests[i].request == VU_SET_MEM_TABLE;
			assert_true(is_refused(fe, requests[i].request, payload, requests[i].size,
					       fds, counts[c]));
		}
	}
	fe_disconnect(fe);
	assert_int_equal(test_nr_fds(), before);
}

static void unknown_and_unsupported_requests_are_refused(void **state) /* VU-07, HX-06 */
{
	static const uint32_t unknown[] = { 0,  4711, 6,  7,   22,   23,         26,        27, 28,
					    29, 30,   31, 32,  33,   41,         42,        43, 44,
					    45, 63,   99, 255, 9999, 0x80000000, 0xffffffff };
	struct frontend *fe = *state;
	const int before = test_nr_fds();
	int fds[4] = { fe->mem_fd, fe->mem_fd, fe->mem_fd, fe->mem_fd };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		for (uint32_t n = 0; n <= 4; n += 4) {
			reconnect(fe);
			assert_true(is_refused(fe, unknown[i], "01234567", 8, fds, n));
			reconnect(fe);
			/* Without NEED_REPLY there is nothing left but to close. */
			fe_send(fe, unknown[i], VU_VERSION, "01234567", 8, fds, n);
			fe_turn(fe);
			assert_int_equal(fe_recv(fe, &(struct vu_msg){ 0 }), FE_CLOSED);
		}
	}
	fe_disconnect(fe);
	assert_int_equal(test_nr_fds(), before);
}

/* The header's bytes alone, each all right but for one thing: else it would be something else's fault. Then with
 * descriptors, and with what may or may not be its payload. */
static void
a_header_that_cannot_be_trusted_ends_the_connection(void **state) /* VU-05, HX-04, HX-07 */
{
	static const char version[] = "a message of another protocol version than 1",
			  reply[] = "a reply that nobody waits for",
			  reserved[] = "a message with reserved flags set",
			  too_long[] = "a message longer than any of the protocol";
	static const struct {
		const char *what;
		struct vu_header header;
		const char *says;
	} wrong[] = {
		{ "version 0", { VU_GET_FEATURES, 0, 0 }, version },
		{ "version 2", { VU_GET_FEATURES, 2, 0 }, version },
		{ "version 3", { VU_GET_FEATURES, 3, 0 }, version },
		{ "a reply", { VU_GET_FEATURES, VU_VERSION | VU_REPLY_MASK, 0 }, reply },
		{ "a reserved flag", { VU_GET_FEATURES, VU_VERSION | 0x10, 0 }, reserved },
		{ "the last flag", { VU_GET_FEATURES, VU_VERSION | 0x80000000, 0 }, reserved },
		{ "all reserved flags", { VU_GET_FEATURES, 0xfffffff1, 0 }, reserved },
		{ "269 bytes", { VU_SET_CONFIG, VU_VERSION, VU_MAX_PAYLOAD + 1 }, too_long },
		{ "4096 bytes", { VU_SET_MEM_TABLE, VU_VERSION, 4096 }, too_long },
		{ "64 KiB", { VU_SET_MEM_TABLE, VU_VERSION, 0x10000 }, too_long },
		{ "2 GiB", { VU_SET_MEM_TABLE, VU_VERSION, 0x7fffffff }, too_long },
		{ "4 GiB", { VU_SET_MEM_TABLE, VU_VERSION, 0xffffffff }, too_long },
	};
	static const struct {
		uint32_t junk, fds; /* behind the header, with it */
	} more[] = { { 0, 0 }, { 0, 8 }, { 64, 8 } };
	struct frontend *fe = *state;
	const int before = test_nr_fds();
	uint8_t bytes[sizeof(struct vu_header) + 64];
	int fds[8];

	for (int i = 0; i < 8; i++)
		fds[i] = fe->mem_fd;
	memset(bytes, 0xa5, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		print_message("%s\n", wrong[i].what);
		memcpy(bytes, &wrong[i].header, sizeof(struct vu_header));
		for (size_t k = 0; k < ARRAY_SIZE(more); k++) {
			fe_connect(fe);
			fe_send_bytes(fe, bytes, sizeof(struct vu_header) + more[k].junk, fds,
				      more[k].fds);
			fe_turn(fe);
			assert_int_equal(fe_recv(fe, &(struct vu_msg){ 0 }), FE_CLOSED);
			assert_string_equal(fe->dev->ended, wrong[i].says);
			fe_disconnect(fe);
		}
	}
	assert_int_equal(test_nr_fds(), before);
}

static void need_reply_means_nothing_before_it_is_negotiated(void **state) /* VU-12, HX-07 */
{
	struct frontend *fe = *state;
	struct vu_msg reply;

	fe_connect(fe);
	fe_send(fe, VU_SET_OWNER, VU_VERSION | VU_NEED_REPLY_MASK, NULL, 0, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 0);
	fe_send(fe, VU_SET_VRING_NUM, VU_VERSION | VU_NEED_REPLY_MASK, "\0\0\0\0\0\0\0\0", 8, NULL,
		0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), FE_CLOSED);
}

static void a_request_whose_feature_was_not_negotiated_is_refused(void **state) /* VU-12 */
{
	static const uint32_t gated[] = { VU_GET_QUEUE_NUM, VU_SET_BACKEND_REQ_FD, VU_RESET_DEVICE,
					  VU_SET_STATUS,    VU_GET_STATUS,         VU_NET_SET_MTU,
					  VU_SEND_RARP,     VU_GET_MAX_MEM_SLOTS,  VU_ADD_MEM_REG,
					  VU_REM_MEM_REG,   VU_GET_CONFIG,         VU_SET_CONFIG,
					  VU_VRING_KICK };
	struct frontend *fe = *state;

	for (size_t g = 0; g < ARRAY_SIZE(gated); g++) {
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
			const uint8_t payload[64] = { 0 };

			if (requests[i].request != gated[g])
				continue;
			fe_connect(fe);
			fe_negotiate(fe, FE_SPLIT, VIA_BIT(VU_PROTOCOL_REPLY_ACK));
			assert_true(is_refused(fe, gated[g], payload, requests[i].size, &fe->mem_fd,
					       requests[i].fds));
			fe_disconnect(fe);
		}
	}
}

static void an_index_beyond_the_queues_is_refused_at_full_width(void **state) /* R4, HX-11 */
{
	static const uint32_t by_state[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
					     VU_SET_VRING_ENABLE };
	static const uint32_t by_word[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL,
					    VU_SET_VRING_ERR };
	static const uint32_t indexes[] = { 4,      5,       255,     256,       257,
					    0x7fff, 0x10000, 0x10001, 0xffffffff };
	struct frontend *fe = *state;

	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		const struct vu_vring_addr addr = { .index = indexes[i] };
		const uint64_t word = indexes[i];
		const struct vu_vring_state st = { indexes[i], 1 };

		for (size_t r = 0; r < ARRAY_SIZE(by_state); r++) {
			reconnect(fe);
			assert_true(is_refused(fe, by_state[r], &st, sizeof(st), NULL, 0));
		}
		reconnect(fe);
		assert_true(is_refused(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0));
		if (word == 256 || word == 257)
			continue; /* in that word bit 8 says that no descriptor comes along */
		for (size_t r = 0; r < ARRAY_SIZE(by_word); r++) {
			reconnect(fe);
			assert_true(is_refused(fe, by_word[r], &word, sizeof(word),
					       &fe->queue[0].kick, 1));
		}
	}
}

/* By the protocol's MQ, or by virtio's, or because the driver itself reaches us. */
static void more_than_a_pair_is_for_who_speaks_of_pairs(void **state) /* §5.1 */
{
	const struct via_device_config control = { .queue_pairs = 2, .control_queue = true };
	const uint64_t ack = VIA_BIT(VU_PROTOCOL_REPLY_ACK), mq = VIA_BIT(VIRTIO_NET_F_MQ);
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, ack);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 1, 64), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 2, 64), 1);
	fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, ack | VIA_BIT(VU_PROTOCOL_MQ));
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 3, 64), 0);
	fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT | mq, ack);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 3, 64), 0);
	fe_reopen_device(fe, &control);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, ack);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 4, 64), 0);
}

/* ---- what is refused changes nothing ---- */

/* All that a device is, but for what is about the message at hand, and what tells people of it. */
struct snapshot {
	struct via_device dev;
	struct vu_queue queue[FE_QUEUES];
};

static void take_snapshot(const struct frontend *fe, struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(&s->dev, fe->dev, sizeof(s->dev));
	memcpy(s->queue, fe->dev->queue, fe->dev->nr_queues * sizeof(s->queue[0]));
	s->dev.msg = NULL;
	s->dev.handler = NULL;
	s->dev.result = 0;
	memset(s->dev.log, 0, sizeof(s->dev.log));
	memset(&s->dev.why, 0, sizeof(s->dev.why));
	memset(&s->dev.reply, 0, sizeof(s->dev.reply));
	memset(&s->dev.refused, 0, sizeof(s->dev.refused));
	memset(&s->dev.faults, 0, sizeof(s->dev.faults));
}

/* A device with a pair that runs, and another of which all is known but the kick. */
static void start_for_snapshots(struct frontend *fe)
{
	if (fe->fd >= 0)
		fe_disconnect(fe);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL & ~VIA_BIT(VU_PROTOCOL_STATUS));
	assert_int_equal(fe_set_memory(fe), 0);
	for (uint32_t i = 0; i < 4; i++) {
		fe_init_ring(fe, i);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, i, FE_RING_SIZE), 0);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, i, 0), 0);
		assert_int_equal(fe_set_addr(fe, i), 0);
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, i, fe->queue[i].call), 0);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, i, fe->queue[i].kick), 0);
	fe_assert_traffic(fe, 0);
}

/* Bytes that mean something, and bytes that do not. */
static void make_payload(uint8_t *payload, uint32_t size, uint32_t round)
{
	static const uint8_t fills[] = { 0x00, 0xff, 0x01, 0xa5 };

	if (round < ARRAY_SIZE(fills)) {
		memset(payload, fills[round], size);
		return;
	}
	for (uint32_t i = 0; i < size; i++)
		payload[i] = rand() % 3 ? 0 : (uint8_t)rand();
}

static void whatever_is_refused_leaves_the_state_bit_identical(void **state) /* R12 */
{
	static struct snapshot before, after;
	struct frontend *fe = *state;
	uint32_t refused = 0;
	uint8_t payload[64];
	int fds[2];

	srand(12);
	start_for_snapshots(fe);
	fds[0] = fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (uint32_t round = 0; round < 60; round++) {
			const uint32_t nr_fds = round % 7 ? requests[i].fds : round % 3;
			const uint32_t size = round % 11 ? requests[i].size : round % 50;
			struct vu_msg reply;
			int got;

			make_payload(payload, sizeof(payload), round);
			take_snapshot(fe, &before);
			fe_send(fe, requests[i].request, VU_VERSION | VU_NEED_REPLY_MASK, payload,
				size, fds, nr_fds);
			fe_turn(fe);
			got = fe_recv(fe, &reply);
			if (got == 1 && !requests[i].replies && reply.payload.u64) {
				take_snapshot(fe, &after);
				assert_memory_equal(&before, &after, sizeof(before));
				refused++;
			} else {
				start_for_snapshots(fe); /* it was taken, or ended the session */
			}
		}
	}
	assert_true(refused > 500);
	fe_assert_traffic(fe, 0);
	close(fds[0]);
}

static void a_refused_message_changes_nothing(void **state) /* R12 */
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, UINT64_MAX), 1);
	assert_int_equal(fe_ack_u64(fe, VU_SET_PROTOCOL_FEATURES, UINT64_MAX), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 0), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 0, 32769), 1);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 0, 2), 1);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, fe->mem_fd), 1);
	fe_assert_traffic(fe, 0);
}

/* ---- replies, and any bytes ---- */

static void replies_hold_nothing_but_what_was_asked_for(void **state) /* VU-09, R30 */
{
	struct frontend *fe = *state;
	struct vu_config ask = { .offset = 0, .size = 28 };
	struct vu_msg first, again;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_ALL_PROTOCOL);
	memset(ask.data, 0xa5, sizeof(ask.data));
	for (int i = 0; i < 100; i++) {
		fe_send(fe, VU_GET_CONFIG, VU_VERSION, &ask, VU_CONFIG_HEAD + 28, NULL, 0);
		fe_turn(fe);
		assert_int_equal(fe_recv(fe, i ? &again : &first), 1);
		if (i)
			assert_memory_equal(&again, &first, sizeof(first));
	}
	assert_int_equal(first.header.size, VU_CONFIG_HEAD + 28);
	assert_int_equal(first.payload.config.data[6], 1); /* link up */
	assert_int_equal(first.payload.config.data[8], 2); /* pairs */
	assert_int_equal(first.payload.config.data[10], 1500 & 0xff);
	assert_int_equal(first.payload.config.data[12], 0);
}

static void any_bytes_at_all_leave_the_device_serving(void **state)
{
	struct frontend *fe = *state;
	const int before = test_nr_fds();
	unsigned int seed = 4711;
	uint8_t payload[268];

	for (int round = 0; round < 3000; round++) {
		uint32_t request = (uint32_t)rand_r(&seed) % 48;
		uint32_t size = (uint32_t)rand_r(&seed) % 4 ? 8u * ((uint32_t)rand_r(&seed) % 6)
							    : (uint32_t)rand_r(&seed) % 268;

		reconnect(fe);
		for (size_t i = 0; i < size; i++)
			payload[i] = (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed));
		fe_send(fe, request, VU_VERSION | (rand_r(&seed) % 4 ? VU_NEED_REPLY_MASK : 0),
			payload, size, rand_r(&seed) % 2 ? &fe->mem_fd : &fe->queue[0].kick,
			(uint32_t)rand_r(&seed) % 2);
		fe_turn(fe);
	}
	fe_disconnect(fe);
	assert_int_equal(test_nr_fds(), before);
	fe_start(fe, FE_SPLIT, 4);
	fe_assert_traffic(fe, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_payload_of_a_wrong_size_is_refused),
		CASE(a_second_place_in_a_table_of_one_region_is_tolerated),
		CASE(counts_that_cannot_be_are_refused_with_a_sentence),
		CASE(a_wrong_number_of_descriptors_is_refused),
		CASE(unknown_and_unsupported_requests_are_refused),
		CASE(a_header_that_cannot_be_trusted_ends_the_connection),
		CASE(need_reply_means_nothing_before_it_is_negotiated),
		CASE(a_request_whose_feature_was_not_negotiated_is_refused),
		CASE(an_index_beyond_the_queues_is_refused_at_full_width),
		CASE(more_than_a_pair_is_for_who_speaks_of_pairs),
		CASE(whatever_is_refused_leaves_the_state_bit_identical),
		CASE(a_refused_message_changes_nothing),
		CASE(replies_hold_nothing_but_what_was_asked_for),
		CASE(any_bytes_at_all_leave_the_device_serving),
	};

	return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
