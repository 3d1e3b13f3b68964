/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/session.c, device.c: front-ends come, are served, and go. */
#include "tests/protocol/frontend.h"

#include <stdio.h>
#include <string.h>

#include "base/unix.h"

static int setup(void **state)
{
	static struct frontend fe;

	fe_open(&fe, NULL);
	*state = &fe;
	return 0;
}

static int teardown(void **state)
{
	fe_close(*state);
	return 0;
}

static void a_split_device_carries_packets_both_ways(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	assert_true(fe->link);
	assert_true(via_device_pair_runs(fe->dev, 0));
	for (int i = 0; i < 200; i++)
		fe_assert_traffic(fe, 0);
}

static void a_packed_device_carries_packets_both_ways(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_PACKED, 2);
	for (int i = 0; i < 200; i++)
		fe_assert_traffic(fe, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_split_device_carries_packets_both_ways),
		CASE(a_packed_device_carries_packets_both_ways),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
