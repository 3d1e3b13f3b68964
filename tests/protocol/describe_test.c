/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/describe.c: what 'viaduct port show' says of a device, whatever its front-end has done. */
#include <stdio.h>
#include <string.h>
#include <viaduct/log.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

struct wanted {
	const char *key;
	char value[1100];
};

static void look_for(void *user, const char *key, const char *value)
{
	struct wanted *wanted = user;

	if (strcmp(key, wanted->key) != 0)
		return;
	assert_true(snprintf(wanted->value, sizeof(wanted->value), "%s", value) <
		    (int)sizeof(wanted->value));
}

/* The line of that key; "" if there is none. */
static const char *said(struct frontend *fe, const char *key)
{
	static struct wanted wanted;

	wanted = (struct wanted){ .key = key };
	via_device_describe(fe->dev, look_for, &wanted);
	return wanted.value;
}

#define assert_says(fe, key, text) assert_non_null(strstr(said(fe, key), text))

static void who_is_not_there_is_said_and_why_the_last_one_went(void **state)
{
	struct frontend *fe = *state;

	assert_string_equal(said(fe, "mode"), "server");
	assert_string_equal(said(fe, "peer"), "none");
	assert_string_equal(said(fe, "last peer"), "");
	fe_start(fe, FE_SPLIT, 2);
	assert_says(fe, "peer", "process");
	assert_says(fe, "memory", "4 MiB in 1 regions, 1 sealed");
	fe_disconnect(fe);
	assert_string_equal(said(fe, "peer"), "none");
	assert_says(fe, "last peer", "closed the connection");
	assert_string_equal(said(fe, "memory"), "");
	assert_string_equal(said(fe, "queue 0"), "");
}

static void a_client_says_what_keeps_it_from_connecting(void **state)
{
	struct frontend *fe = *state;
	const struct via_device_config config = { .mode = VIA_DEVICE_CLIENT };

	fe_reopen_device(fe, &config);
	fe_turn(fe);
	assert_string_equal(said(fe, "mode"), "client");
	assert_says(fe, "peer", fe->path);
	for (int i = 0; i < 3; i++) /* it tries again, and says the same once */
		via_loop_turn(fe->loop, 1000);
	assert_says(fe, "peer", fe->path);
}

static void a_front_end_that_has_said_nothing_has_nothing(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_turn(fe);
	assert_string_equal(said(fe, "features"), "none");
	assert_string_equal(said(fe, "protocol"), "none");
	assert_string_equal(said(fe, "memory"), "");
}

static void what_was_refused_is_said_until_the_next_front_end(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, UINT64_MAX), 1);
	assert_says(fe, "refused", "SET_FEATURES");
	fe_disconnect(fe);
	fe_connect(fe);
	fe_turn(fe);
	assert_string_equal(said(fe, "refused"), "");
}

static void each_state_of_a_queue_has_its_words(void **state)
{
	struct frontend *fe = *state;
	struct via_split_avail *avail = (void *)(fe->mem + FE_RING_AT(1) + FE_AVAIL);

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(fe_set_memory(fe), 0);
	assert_string_equal(said(fe, "queue 1"), "");
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, 1, FE_RING_SIZE), 0);
	assert_string_equal(said(fe, "queue 1"), "stopped");
	fe_setup_queue(fe, 1, 0, true);
	assert_says(fe, "queue 1", "runs, split, 64 slots, disabled");
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, 1, 1), 0);
	assert_says(fe, "queue 1", "runs, split, 64 slots,");
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, 1, -1), 0);
	assert_says(fe, "queue 1", ", polled");
	via_le16_store(&avail->idx, 30000);
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
	assert_says(fe, "queue 1", "broken: the available index runs ahead");
}

/* Addresses of the parts of queue 0's ring, one of them too near the end of memory. */
static struct vu_vring_addr addresses_beyond(int part)
{
	uint64_t at[3] = { FE_USER_ADDR, FE_USER_ADDR + MIB, FE_USER_ADDR + 2 * MIB };

	at[part] = FE_USER_ADDR + FE_MEM_SIZE - 4096;
	return (struct vu_vring_addr){ .desc = at[0], .avail = at[1], .used = at[2] };
}

static void a_queue_whose_ring_leaves_memory_says_which_part_does(void **state) /* R11, HX-26 */
{
	static const char *const parts[] = { "descriptor ring", "driver area", "device area" };
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	for (int part = 0; part < 3; part++) {
		const struct vu_vring_addr addr = addresses_beyond(part);

		fe_get_base(fe, 0);
		fe_ack_state(fe, VU_SET_VRING_NUM, 0, 32768);
		fe_ack_state(fe, VU_SET_VRING_BASE, 0, 0);
		fe_ack(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
		fe_set_notifier(fe, VU_SET_VRING_KICK, 0, fe->queue[0].kick);
		assert_says(fe, "queue 0", "refused: ");
		assert_says(fe, "queue 0", parts[part]);
	}
	fe_get_base(fe, 0);
	fe_setup_queue(fe, 0, 0, true);
	fe_assert_traffic(fe, 0);
}

static void faults_of_all_kinds_have_room_in_one_line(void **state)
{
	struct frontend *fe = *state;

	fe->dev->faults.requests = fe->dev->faults.starts = fe->dev->faults.sessions = UINT32_MAX;
	for (int i = VIA_BROKEN_NONE + 1; i < VIA_NR_BROKEN; i++)
		fe->dev->faults.broken[i] = UINT32_MAX;
	assert_says(fe, "faults", "refused requests: 4294967295 | refused queues: 4294967295 | ");
	for (int i = VIA_BROKEN_NONE + 1; i < VIA_NR_BROKEN; i++)
		assert_says(fe, "faults", via_broken_text((enum via_broken)i));
}

static unsigned int nr_lines;
static char left_out[128];

static void note_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	if (level > VIA_LOG_WARNING)
		return;
	if (strstr(line, "left out"))
		snprintf(left_out, sizeof(left_out), "%s", line);
	else
		nr_lines++;
}

static void trouble_beyond_its_share_of_the_log_is_counted(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	via_log_to(note_line, NULL);
	for (int i = 0; i < 30; i++)
		assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, UINT64_MAX), 1);
	assert_int_equal(nr_lines, 20);
	fe->dev->log[true].since_us = 0; /* as if it were a while ago */
	assert_int_equal(fe_ack_u64(fe, VU_SET_FEATURES, UINT64_MAX), 1);
	assert_int_equal(nr_lines, 21);
	assert_string_equal(left_out, "vm: 10 more lines left out");
	via_log_to(NULL, NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_is_not_there_is_said_and_why_the_last_one_went),
		CASE(a_client_says_what_keeps_it_from_connecting),
		CASE(a_front_end_that_has_said_nothing_has_nothing),
		CASE(what_was_refused_is_said_until_the_next_front_end),
		CASE(each_state_of_a_queue_has_its_words),
		CASE(a_queue_whose_ring_leaves_memory_says_which_part_does),
		CASE(faults_of_all_kinds_have_room_in_one_line),
		CASE(trouble_beyond_its_share_of_the_log_is_counted),
	};

	return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
