/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switch/fdb.c: the MAC table. The clock is a parameter. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "switch/fdb.h"

static struct sw_fdb *create(uint32_t size, uint32_t port_limit)
{
	struct sw_fdb *fdb = aligned_alloc(VIA_CACHE_LINE, sizeof(*fdb));
	const struct sw_config config = { .fdb_size = size,
					  .fdb_port_limit = port_limit,
					  .ageing_s = 300 };

	memset(fdb, 0, sizeof(*fdb));
	assert_int_equal(sw_fdb_init(fdb, &config, NULL), 0);
	return fdb;
}

static void destroy(struct sw_fdb *fdb)
{
	sw_fdb_fini(fdb);
	free(fdb);
}

/* The n-th station's key. */
static uint64_t key(uint32_t n)
{
	return sw_fdb_key(0x02 | (uint64_t)n << 8, 0);
}

static bool learn(struct sw_fdb *fdb, uint64_t k, uint32_t port, uint32_t now_s)
{
	return sw_fdb_learn(fdb, sw_fdb_bucket(fdb, k), k, sw_fdb_value_of(port, now_s));
}

static int port_of(struct sw_fdb *fdb, uint64_t k)
{
	const sw_fdb_value value = sw_fdb_find(sw_fdb_bucket(fdb, k), k);

	return value == SW_FDB_NONE ? -1 : (int)sw_fdb_port(value);
}

static uint64_t counted(struct sw_fdb *fdb, enum sw_fdb_counter what)
{
	return atomic_load(&fdb->count[what]);
}

static void a_learned_address_is_found_and_others_are_not(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	assert_int_equal(port_of(fdb, key(1)), -1);
	assert_true(learn(fdb, key(1), 7, 0));
	assert_int_equal(port_of(fdb, key(1)), 7);
	assert_int_equal(port_of(fdb, key(2)), -1);
	assert_int_equal(port_of(fdb, sw_fdb_key(key(1) & ((UINT64_C(1) << 48) - 1), 5)), -1);
	assert_int_equal(port_of(fdb, sw_fdb_key(0, 0)), -1); /* not a free place */
	destroy(fdb);
}

static void addresses_move_but_static_ones_never(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	assert_true(learn(fdb, key(1), 7, 0));
	assert_true(learn(fdb, key(1), 8, 0));
	assert_int_equal(port_of(fdb, key(1)), 8);
	assert_int_equal(counted(fdb, SW_FDB_COUNT_MOVED), 1);
	assert_int_equal(atomic_load(&fdb->of_port[7]), 0);
	assert_int_equal(atomic_load(&fdb->of_port[8]), 1);

	assert_int_equal(sw_fdb_put_static(fdb, key(1), 9, NULL), 0);
	assert_int_equal(atomic_load(&fdb->of_port[8]), 0);
	assert_int_equal(atomic_load(&fdb->learned), 0);
	assert_false(learn(fdb, key(1), 8, 0));
	assert_true(learn(fdb, key(1), 9, 0));
	assert_int_equal(port_of(fdb, key(1)), 9);
	destroy(fdb);
}

static void a_port_has_a_share_and_cannot_take_others(void **state)
{
	struct sw_fdb *fdb = create(1024, 10); /* R27 */

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		assert_true(learn(fdb, key(i), 1, 0));
	assert_int_equal(atomic_load(&fdb->of_port[1]), 10);
	assert_int_equal(counted(fdb, SW_FDB_COUNT_PORT_FULL), 90);
	assert_true(learn(fdb, key(200), 2, 0));
	assert_int_equal(port_of(fdb, key(200)), 2);
	/* nor by a move */
	assert_true(learn(fdb, key(200), 1, 0));
	assert_int_equal(port_of(fdb, key(200)), 2);
	destroy(fdb);
}

static void nearly_all_of_a_full_table_fits_and_no_more(void **state)
{
	struct sw_fdb *fdb = create(1 << 16, 1 << 20);
	uint32_t found = 0;

	(void)state;
	for (uint32_t i = 0; i < 2 << 16; i++)
		learn(fdb, key(i), 1, 0);
	assert_in_range(atomic_load(&fdb->entries), (1 << 16) * 98 / 100, 1 << 16);
	for (uint32_t i = 0; i < 2 << 16; i++)
		found += port_of(fdb, key(i)) == 1;
	assert_int_equal(found, atomic_load(&fdb->entries));
	assert_int_equal(counted(fdb, SW_FDB_COUNT_FULL), (2 << 16) - found);
	destroy(fdb);
}

static void a_million_addresses_are_possible(void **state)
{
	struct sw_fdb *fdb = create(1 << 20, 1 << 20);
	uint32_t found = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000000; i++)
		learn(fdb, key(i), i % 1000, 0);
	for (uint32_t i = 0; i < 1000000; i++)
		found += port_of(fdb, key(i)) == (int)(i % 1000);
	assert_in_range(found, 995000, 1000000);
	destroy(fdb);
}

static void addresses_counted_up_spread_whatever_the_secret(void **state)
{
	static const uint64_t secrets[] = { 0, 1, 1ull << 40, 0x8000000000000001, UINT64_MAX };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(secrets); s++) {
		struct sw_fdb *fdb = create(1 << 14, 1 << 20);

		fdb->secret = secrets[s];
		for (uint32_t i = 0; i < 1 << 14; i++)
			learn(fdb, key(i), 1, 0);
		assert_in_range(atomic_load(&fdb->entries), (1 << 14) * 995 / 1000, 1 << 14);
		destroy(fdb);
	}
}

static void what_is_not_seen_for_the_ageing_time_is_forgotten(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	learn(fdb, key(1), 1, 10);
	learn(fdb, key(2), 1, 10);
	sw_fdb_put_static(fdb, key(3), 1, NULL);
	learn(fdb, key(2), 1, 200);
	assert_int_equal(sw_fdb_age(fdb, 309), 0);
	assert_int_equal(sw_fdb_age(fdb, 310), 1);
	assert_int_equal(port_of(fdb, key(1)), -1);
	assert_int_equal(port_of(fdb, key(2)), 1);
	assert_int_equal(sw_fdb_age(fdb, 500), 1);
	assert_int_equal(port_of(fdb, key(3)), 1);
	assert_int_equal(atomic_load(&fdb->entries), 1);
	assert_int_equal(counted(fdb, SW_FDB_COUNT_AGED), 2);
	destroy(fdb);
}

static void ages_survive_the_wrap_of_the_clock(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	learn(fdb, key(1), 1, SW_FDB_TIMES - 5);
	assert_int_equal(sw_fdb_age(fdb, SW_FDB_TIMES + 10), 0);
	assert_int_equal(sw_fdb_age(fdb, SW_FDB_TIMES - 6), 0); /* a clock a turn behind */
	assert_int_equal(sw_fdb_age(fdb, SW_FDB_TIMES + 296), 1);
	destroy(fdb);
}

static void the_longest_ageing_time_ends_with_the_sweep_after_it(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	fdb->ageing_s = SW_FDB_MAX_AGE;
	learn(fdb, key(1), 1, 10);
	assert_int_equal(sw_fdb_age(fdb, 9 + SW_FDB_MAX_AGE), 0);
	assert_int_equal(sw_fdb_age(fdb, 9 + SW_FDB_MAX_AGE + SW_FDB_MAX_AGE / 4), 1);
	destroy(fdb);
}

static void forgetting_a_port_leaves_the_others(void **state)
{
	struct sw_fdb *fdb = create(0, 0);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		learn(fdb, key(i), i % 4, 0);
	sw_fdb_put_static(fdb, key(5000), 2, NULL);
	assert_int_equal(sw_fdb_forget(fdb, 2, SW_FDB_LEARNED), 250);
	assert_int_equal(port_of(fdb, key(5000)), 2);
	assert_int_equal(sw_fdb_forget(fdb, 2, SW_FDB_ALL), 1);
	assert_int_equal(atomic_load(&fdb->entries), 750);
	assert_int_equal(atomic_load(&fdb->of_port[2]), 0);
	assert_int_equal(sw_fdb_forget(fdb, -1, SW_FDB_LEARNED), 750);
	assert_int_equal(atomic_load(&fdb->entries), 0);
	destroy(fdb);
}

static void sum_entries(void *user, const struct sw_fdb_entry *e)
{
	uint32_t *sum = user;

	assert_int_equal(e->mac[0], 2);
	assert_int_equal(e->mac[1], e->is_static ? 99 : e->port);
	assert_int_equal(e->vlan, e->is_static ? 4094 : 0);
	assert_int_equal(e->age_s, e->is_static ? 0 : 30);
	sum[0]++;
	sum[1] += e->port;
}

static void a_walk_meets_every_entry_once(void **state)
{
	struct sw_fdb *fdb = create(0, 0);
	uint32_t sum[2] = { 0, 0 };

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		learn(fdb, key(i), i, 10);
	sw_fdb_put_static(fdb, sw_fdb_key(0x02 | 99 << 8, 4094), 4095, NULL);
	sw_fdb_each(fdb, 40, sum_entries, sum);
	assert_int_equal(sum[0], 101);
	assert_int_equal(sum[1], 4950 + 4095);
	assert_int_equal(sw_fdb_remove(fdb, sw_fdb_key(0x02 | 99 << 8, 4094)), 0);
	assert_int_equal(sw_fdb_remove(fdb, sw_fdb_key(0x02 | 99 << 8, 4094)), -ENOENT);
	destroy(fdb);
}

static void an_unused_table_takes_no_memory(void **state)
{
	struct sw_fdb *fdb = create(SW_FDB_MAX_ENTRIES, 0); /* 1 GiB if it were touched */

	(void)state;
	learn(fdb, key(1), 1, 0);
	assert_int_equal(sw_fdb_age(fdb, 1000), 1);
	destroy(fdb);
}

/* Pages of the table that have memory. */
static uint32_t pages_there(const struct sw_fdb *fdb)
{
	const uint64_t nr_pages = fdb->nr_buckets / SW_FDB_PAGE;
	uint8_t *there = malloc(nr_pages);
	uint32_t n = 0;

	assert_int_equal(mincore(fdb->bucket, nr_pages * SW_FDB_PAGE * sizeof(*fdb->bucket), there),
			 0);
	for (uint64_t i = 0; i < nr_pages; i++)
		n += there[i] & 1;
	free(there);
	return n;
}

/* TAPs that come and go announce themselves by a new address each. */
static void stations_that_came_and_went_have_left_no_memory(void **state)
{
	struct sw_fdb *fdb = create(1 << 16, 1 << 16);

	(void)state;
	if (sysconf(_SC_PAGESIZE) != SW_FDB_PAGE * sizeof(*fdb->bucket))
		skip();
	for (uint32_t i = 0; i < 25000; i++) /* about 24 a page */
		learn(fdb, key(i), 1, 0);
	assert_int_equal(sw_fdb_put_static(fdb, key(30000), 2, NULL), 0);
	assert_int_equal(pages_there(fdb), (1 << 16) / SW_FDB_PAGE);
	sw_fdb_forget(fdb, 1, SW_FDB_ALL);
	assert_int_equal(pages_there(fdb), 1);
	assert_int_equal(port_of(fdb, key(30000)), 2);
	assert_int_equal(sw_fdb_remove(fdb, key(30000)), 0);
	assert_int_equal(pages_there(fdb), 0);

	assert_true(learn(fdb, key(1), 3, 0));
	assert_int_equal(port_of(fdb, key(1)), 3);
	assert_int_equal(sw_fdb_age(fdb, 1000), 1);
	assert_int_equal(pages_there(fdb), 0);
	destroy(fdb);
}

#define STATIONS 300 /* in 128 buckets: of two pages, which are often empty */

struct crowd {
	struct sw_fdb *fdb;
	_Atomic(bool) stop;
};

static void *learn_and_find(void *user)
{
	struct crowd *crowd = user;

	for (uint32_t n = 0; !atomic_load(&crowd->stop); n = (n + 1) % STATIONS) {
		const int port = port_of(crowd->fdb, key(n));

		if (port != -1)
			assert_int_equal(port, 1 + n % 7);
		assert_true(learn(crowd->fdb, key(n), 1 + n % 7, 0));
	}
	return NULL;
}

static void nothing_is_lost_or_mistaken_while_memory_is_given_back(void **state)
{
	struct crowd crowd = { .fdb = create(128, 1000) };
	pthread_t thread[2];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, learn_and_find, &crowd), 0);
	for (uint32_t i = 0; i < 100000; i++)
		sw_fdb_forget(crowd.fdb, -1, SW_FDB_LEARNED);
	atomic_store(&crowd.stop, true);
	for (uint32_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);

	sw_fdb_forget(crowd.fdb, -1, SW_FDB_LEARNED);
	assert_int_equal(atomic_load(&crowd.fdb->entries), 0);
	for (uint32_t port = 0; port < 8; port++)
		assert_int_equal(atomic_load(&crowd.fdb->of_port[port]), 0);
	for (uint32_t n = 0; n < STATIONS; n++)
		assert_int_equal(port_of(crowd.fdb, key(n)), -1);
	destroy(crowd.fdb);
}

static void impossible_sizes_are_refused_with_the_reason(void **state)
{
	struct sw_fdb fdb = { 0 };
	struct via_error err;

	(void)state;
	assert_int_equal(
		sw_fdb_init(&fdb, &(struct sw_config){ .fdb_size = SW_FDB_MAX_ENTRIES + 1 }, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "16777216"));
	assert_int_equal(
		sw_fdb_init(&fdb, &(struct sw_config){ .ageing_s = SW_FDB_MAX_AGE + 1 }, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "200000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_learned_address_is_found_and_others_are_not),
		cmocka_unit_test(addresses_move_but_static_ones_never),
		cmocka_unit_test(a_port_has_a_share_and_cannot_take_others),
		cmocka_unit_test(nearly_all_of_a_full_table_fits_and_no_more),
		cmocka_unit_test(a_million_addresses_are_possible),
		cmocka_unit_test(addresses_counted_up_spread_whatever_the_secret),
		cmocka_unit_test(what_is_not_seen_for_the_ageing_time_is_forgotten),
		cmocka_unit_test(ages_survive_the_wrap_of_the_clock),
		cmocka_unit_test(the_longest_ageing_time_ends_with_the_sweep_after_it),
		cmocka_unit_test(forgetting_a_port_leaves_the_others),
		cmocka_unit_test(a_walk_meets_every_entry_once),
		cmocka_unit_test(an_unused_table_takes_no_memory),
		cmocka_unit_test(stations_that_came_and_went_have_left_no_memory),
		cmocka_unit_test(nothing_is_lost_or_mistaken_while_memory_is_given_back),
		cmocka_unit_test(impossible_sizes_are_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
