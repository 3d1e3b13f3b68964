/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost/filter.c where threads meet: what a worker sees of a filter while control publishes it. What
 * filters want is in tests/protocol/control_test.c.
 */
#include <pthread.h>

#include "tests/test.h"
#include "vhost/vhost.h"

static struct via_device dev;

/* A worker with a frame for somebody else, which the driver wants until it says otherwise. */
static void *offer_until_it_is_not_wanted(void *user)
{
	struct via_view view = { .len = 60, .snapshot_len = 60, .snapshot = { 2, 0, 0, 0, 0, 9 } };

	(void)user;
	while (via_device_wants(&dev, &view))
		;
	return NULL;
}

/* Only the thread sanitizer can tell on x86: without the release or the acquire it is a race. */
static void a_filter_is_complete_when_a_worker_sees_it(void **state) /* R6 */
{
	static const uint8_t tables[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0 };
	pthread_t worker;

	(void)state;
	assert_int_equal(pthread_create(&worker, NULL, offer_until_it_is_not_wanted, NULL), 0);
	assert_int_equal(vu_filter_set_table(&dev, tables, sizeof(tables)), 0);
	assert_int_equal(vu_filter_set_mode(&dev, VU_FILTER_PROMISC, false), 0);
	assert_int_equal(pthread_join(worker, NULL), 0);
	vu_filter_reset(&dev);
	vu_retired_free(&dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_is_complete_when_a_worker_sees_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
