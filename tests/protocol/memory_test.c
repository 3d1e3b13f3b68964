/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/vhost/memory.c: regions come and go, also under running rings. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <viaduct/worker.h>

#include "tests/protocol/frontend.h"
#include "vhost/vhost.h"

static int set_table(struct frontend *fe, const struct vu_region *regions, uint32_t n,
		     const int *fds)
{
	struct vu_regions table = { .nr_regions = n };

	memcpy(table.region, regions, n * sizeof(*regions));
	return fe_ack(fe, VU_SET_MEM_TABLE, &table, 8 + n * (uint32_t)sizeof(*regions), fds, n);
}

static int change_region(struct frontend *fe, uint32_t request, struct vu_region region, int fd)
{
	const struct vu_single_region single = { .region = region };

	return fe_ack(fe, request, &single, sizeof(single), &fd, fd >= 0 ? 1 : 0);
}

static void wrong_tables_are_refused_and_the_old_one_stays(void **state) /* VU-30, HX-15, HX-18 */
{
	static const struct {
		const char *what;
		struct vu_region a, b;
	} wrong[] = {
		{ "size 0", { 0, 0, 0x1000, 0 }, { MIB, MIB, MIB, 0 } },
		{ "size 2^64 - 1", { 0, UINT64_MAX, 0x1000, 0 }, { MIB, MIB, MIB, 0 } },
		{ "gpa wraps", { -MIB, 2 * MIB, 0, 0 }, { 4 * MIB, MIB, 4 * MIB, 0 } },
		{ "user address wraps", { 0, 2 * MIB, -MIB, 0 }, { 4 * MIB, MIB, 4 * MIB, 0 } },
		{ "offset wraps", { 0, MIB, 0, -(MIB / 2) }, { 4 * MIB, MIB, 4 * MIB, 0 } },
		{ "offset is not on a page", { 0, MIB, 0, 8 }, { 4 * MIB, MIB, 4 * MIB, 0 } },
		{ "beyond the end", { 0, 5 * MIB, 0, 0 }, { 8 * MIB, MIB, 8 * MIB, 0 } },
		{ "offset beyond the end", { 0, MIB, 0, 4 * MIB }, { 8 * MIB, MIB, 8 * MIB, 0 } },
		{ "overlap in gpa", { 0, 2 * MIB, 0, 0 }, { MIB, MIB, 8 * MIB, 0 } },
		{ "overlap in user", { 0, 2 * MIB, 0, 0 }, { 8 * MIB, MIB, MIB, 0 } },
		{ "identical", { 0, MIB, 0, 0 }, { 0, MIB, 0, 0 } },
	};
	struct frontend *fe = *state;
	const int fds[2] = { fe->mem_fd, fe->mem_fd };
	int before;

	fe_start(fe, FE_SPLIT, 2);
	before = test_nr_fds();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct vu_region regions[2] = { wrong[i].a, wrong[i].b };

		print_message("%s\n", wrong[i].what);
		assert_int_equal(set_table(fe, regions, 2, fds), 1);
		fe_assert_traffic(fe, 0);
	}
	assert_int_equal(test_nr_fds(), before);
}

static void only_memory_is_taken_for_memory(void **state) /* R3 */
{
	struct frontend *fe = *state;
	const struct vu_region region = fe_region();

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(set_table(fe, &region, 1, &fe->queue[0].kick), 1);
	assert_int_equal(set_table(fe, &region, 1, &fe->fd), 1);
	assert_int_equal(set_table(fe, &region, 1, &fe->mem_fd), 0);
}

static void a_table_may_be_replaced_under_running_rings(void **state) /* VU-33 */
{
	struct frontend *fe = *state;

	for (int packed = 0; packed < 2; packed++) {
		fe_start(fe, packed ? FE_PACKED : FE_SPLIT, 2);
		for (int i = 0; i < 50; i++) {
			fe_assert_traffic(fe, 0);
			assert_int_equal(fe_set_memory(fe), 0);
			assert_true(via_device_pair_runs(fe->dev, 0));
		}
		fe_disconnect(fe);
	}
}

static void a_ring_without_its_memory_stops_and_goes_on_where_it_was(void **state) /* VU-34 */
{
	struct frontend *fe = *state;

	for (int packed = 0; packed < 2; packed++) {
		fe_start(fe, packed ? FE_PACKED : FE_SPLIT, 2);
		for (int i = 0; i < 100; i++) {
			fe_assert_traffic(fe, 0);
			assert_int_equal(change_region(fe, VU_REM_MEM_REG, fe_region(), -1), 0);
			assert_false(via_device_pair_runs(fe->dev, 0));
			assert_int_equal(fe_ingress(fe, 0, NULL), 0);
			assert_int_equal(change_region(fe, VU_ADD_MEM_REG, fe_region(), fe->mem_fd),
					 0);
			assert_true(via_device_pair_runs(fe->dev, 0));
		}
		fe_assert_traffic(fe, 0);
		assert_int_equal(fe->dev->faults.starts, 0); /* it waited, nobody was at fault */
		fe_disconnect(fe);
	}
}

static void a_ring_without_its_memory_still_tells_its_base(void **state)
{
	struct frontend *fe = *state;

	fe_start(fe, FE_SPLIT, 2);
	for (int i = 0; i < 7; i++)
		fe_assert_traffic(fe, 0);
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, fe_region(), -1), 0);
	assert_int_equal(fe_get_base(fe, 1), 7);
	assert_int_equal(change_region(fe, VU_ADD_MEM_REG, fe_region(), fe->mem_fd), 0);
	assert_true(via_device_pair_runs(fe->dev, 0)); /* queue 0 goes on, 1 was stopped */
	assert_int_equal(fe_ingress(fe, 0, NULL), 0);
}

static void regions_are_added_and_removed_one_by_one(void **state)
{
	struct frontend *fe = *state;
	struct vu_region region = { .size = 64 * KIB };
	struct vu_region other;

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, fe_region(), -1), 1);
	for (uint64_t i = 0; i < 20; i++) {
		region.gpa = i * MIB;
		region.user_addr = FE_USER_ADDR + i * MIB;
		assert_int_equal(change_region(fe, VU_ADD_MEM_REG, region, fe->mem_fd), 0);
		assert_int_equal(change_region(fe, VU_ADD_MEM_REG, region, fe->mem_fd), 1);
	}
	other = region;
	other.size++;
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, other, -1), 1);
	other = region;
	other.mmap_offset = 77; /* is not compared (§4.2) */
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, other, -1), 0);
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, other, -1), 1);
}

static void a_descriptor_with_a_removal_is_tolerated_and_closed(void **state)
{
	struct frontend *fe = *state;
	int before;

	fe_start(fe, FE_SPLIT, 2);
	before = test_nr_fds();
	assert_int_equal(change_region(fe, VU_REM_MEM_REG, fe_region(), fe->mem_fd), 0);
	assert_true(test_nr_fds() <= before);
}

static void slots_end_at_what_was_promised(void **state)
{
	struct frontend *fe = *state;
	struct vu_region region = { .size = 4 * KIB };

	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	for (uint64_t i = 0; i <= VIA_MEM_MAX_REGIONS; i++) {
		region.gpa = i * MIB;
		region.user_addr = FE_USER_ADDR + i * MIB;
		assert_int_equal(change_region(fe, VU_ADD_MEM_REG, region, fe->mem_fd),
				 i == VIA_MEM_MAX_REGIONS);
	}
}

static void memory_that_is_truncated_costs_its_owner_the_device_only(void **state) /* R7, HX-16 */
{
	struct frontend *fe = *state;

	assert_int_equal(via_guard_install(NULL), 0);
	fe_use_unsealable_memory(fe);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
	fe_transmit(fe, 0, 1, 60);
	assert_int_equal(ftruncate(fe->mem_fd, 0), 0);
	for (int i = 0; i < 3; i++)
		fe_ingress(fe, 0, NULL);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &(struct vu_msg){ 0 }), FE_CLOSED);
	assert_false(via_device_pair_runs(fe->dev, 0));

	fe_disconnect(fe);
	assert_int_equal(ftruncate(fe->mem_fd, FE_MEM_SIZE), 0);
	fe_start(fe, FE_SPLIT, 2);
	fe_assert_traffic(fe, 0);
}

static void a_port_that_wants_sealed_memory_refuses_other(void **state)
{
	struct frontend *fe = *state;
	const struct via_device_config config = { .sealed_only = true };
	const struct vu_region region = fe_region();
	int unsealable = test_memfd(FE_MEM_SIZE, 0);

	fe_reopen_device(fe, &config);
	fe_connect(fe);
	fe_negotiate(fe, FE_SPLIT, FE_PROTOCOL);
	assert_int_equal(set_table(fe, &region, 1, &unsealable), 1);
	assert_int_equal(set_table(fe, &region, 1, &fe->mem_fd), 0);
	assert_int_equal(ftruncate(fe->mem_fd, 0), -1); /* sealed now */
	close(unsealable);
}

/* ---- with a worker that is really another thread ---- */

static atomic_bool stop_worker;
static atomic_ulong received;

static void *run_worker(void *user)
{
	struct frontend *fe = user;
	struct via_queue_stats stats = { 0 };
	struct via_burst *burst = via_burst_create();

	via_worker_register("test");
	while (!atomic_load(&stop_worker)) {
		uint32_t n = via_device_ingress(fe->dev, 0, burst, VIA_BURST, &stats);

		if (n)
			via_device_ingress_release(fe->dev, 0, 0);
		atomic_fetch_add(&received, n);
		via_worker_quiescent();
	}
	via_worker_unregister();
	via_burst_free(burst);
	return NULL;
}

/* Waits for the answer: a grace period takes as long as the worker takes. */
static int wait_ack(struct frontend *fe)
{
	struct vu_msg reply;

	for (int i = 0; i < 5000; i++) {
		via_loop_turn(fe->loop, 10);
		switch (fe_recv(fe, &reply)) {
		case 1:
			return (int)reply.payload.u64;
		case FE_CLOSED:
			return FE_CLOSED;
		}
	}
	return FE_CLOSED;
}

static void changes_under_traffic_lose_no_packet(void **state) /* R6 */
{
	struct frontend *fe = *state;
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };
	const struct vu_vring_state state_num = { 1, 0 };
	const uint64_t word = 1;
	pthread_t worker;
	unsigned long sent = 0;
	struct vu_msg reply;

	fe_start(fe, FE_PACKED, 2);
	atomic_store(&stop_worker, false);
	atomic_store(&received, 0);
	assert_int_equal(pthread_create(&worker, NULL, run_worker, fe), 0);
	for (int i = 0; i < 300; i++) {
		for (int n = 0; n < 8; n++, sent++)
			fe_transmit(fe, 0, 1, 60);
		if (i % 2) {
			fe_send(fe, VU_SET_MEM_TABLE, VU_VERSION | VU_NEED_REPLY_MASK, &table, 40,
				&fe->mem_fd, 1);
			assert_int_equal(wait_ack(fe), 0);
		} else {
			fe_send(fe, VU_SET_VRING_CALL, VU_VERSION | VU_NEED_REPLY_MASK, &word, 8,
				&fe->queue[1].call, 1);
			assert_int_equal(wait_ack(fe), 0);
		}
		while (atomic_load(&received) < sent)
			;
	}
	fe_send(fe, VU_GET_VRING_BASE, VU_VERSION, &state_num, sizeof(state_num), NULL, 0);
	for (int i = 0; i < 5000 && fe_recv(fe, &reply) == 0; i++)
		via_loop_turn(fe->loop, 10);
	assert_int_equal(fe_recv(fe, &reply), 0);
	atomic_store(&stop_worker, true);
	pthread_join(worker, NULL);
	assert_int_equal(atomic_load(&received), sent);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(wrong_tables_are_refused_and_the_old_one_stays),
		CASE(only_memory_is_taken_for_memory),
		CASE(a_table_may_be_replaced_under_running_rings),
		CASE(a_ring_without_its_memory_stops_and_goes_on_where_it_was),
		CASE(a_ring_without_its_memory_still_tells_its_base),
		CASE(regions_are_added_and_removed_one_by_one),
		CASE(a_descriptor_with_a_removal_is_tolerated_and_closed),
		CASE(slots_end_at_what_was_promised),
		CASE(memory_that_is_truncated_costs_its_owner_the_device_only),
		CASE(a_port_that_wants_sealed_memory_refuses_other),
		/* Last: once there has been a worker, grace periods take a thread. */
		CASE(changes_under_traffic_lose_no_packet),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
