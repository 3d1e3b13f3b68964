/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switch/switch.c and worker.c: ports that come and go, workers that poll, rest and sleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"
#include "switch/core.h"

#define PATIENCE_MS 5000

static struct via_loop *loop;
static struct sw_switch *sw;

static void start(uint32_t nr_workers, uint32_t poll_us)
{
	struct sw_config config = { .nr_workers = nr_workers, .poll_us = poll_us };

	assert_int_equal(via_loop_create(&loop, NULL), 0);
	config.loop = loop;
	assert_int_equal(sw_create(&sw, &config, NULL), 0);
}

static int add_with(const char *name, const char *queues, struct sw_port_config config)
{
	const struct via_port_option options[] = { { "queues", queues }, { NULL, NULL } };
	const struct via_port_config port = { .name = name, .options = options };

	return sw_port_add(sw, &fake_ops, &port, &config, NULL);
}

static struct fake_port *add(const char *name)
{
	const int index = add_with(name, "1", (struct sw_port_config){ 0 });

	assert_true(index >= 0);
	return fake(sw_port(sw, (uint32_t)index));
}

static void set_true(void *user)
{
	*(bool *)user = true;
}

static void del(uint32_t index)
{
	bool gone = false;

	assert_int_equal(sw_port_del(sw, index, set_true, &gone, NULL), 0);
	for (int i = 0; i < PATIENCE_MS / 10 && !gone; i++)
		via_loop_turn(loop, 10);
	assert_true(gone);
}

static void end(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		if (sw_port(sw, i))
			del(i);
	}
	sw_free(sw);
	via_loop_free(loop);
}

/* A frame from station 'from' to station 'to' (0: broadcast). */
static void give(struct fake_port *f, uint32_t q, uint8_t from, uint8_t to, uint32_t number)
{
	uint8_t frame[60] = { 2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x08, 0 };

	if (to == 0)
		memset(frame, 0xff, 6);
	while (!fake_give(f, q, frame, sizeof(frame), number))
		usleep(100);
}

/* Waits for the next frame at 'f'. */
static struct fake_frame take(struct fake_port *f)
{
	struct fake_frame frame = { 0 };

	for (int i = 0; i < PATIENCE_MS * 10; i++) {
		if (fake_take(f, &frame))
			return frame;
		usleep(100);
	}
	fail_msg("no frame came");
	return frame;
}

/* All queues are with their workers, and this one sleeps. */
static void wait_asleep(uint32_t worker)
{
	struct sw_worker_info info;
	uint32_t ports, queues;

	for (int i = 0; i < PATIENCE_MS; i++) {
		ports = queues = 0;
		for (uint32_t k = 0; k < 64; k++)
			ports += sw_port(sw, k) != NULL;
		for (uint32_t k = 0; k < sw_nr_workers(sw); k++) {
			sw_worker_info(sw, k, &info);
			queues += info.queues;
		}
		sw_worker_info(sw, worker, &info);
		if (queues == ports && info.asleep && info.polled == 0)
			return;
		usleep(1000);
	}
	fail_msg("worker does not sleep");
}

static void frames_cross_and_addresses_are_learned(void **state)
{
	(void)state;
	start(1, 50);
	struct fake_port *a = add("a"), *b = add("b"), *c = add("c");

	give(a, 0, 1, 0, 100);
	assert_int_equal(take(b).number, 100);
	assert_int_equal(take(c).number, 100);
	give(b, 0, 2, 1, 101);
	assert_int_equal(take(a).number, 101);
	give(a, 0, 1, 2, 102);
	assert_int_equal(take(b).number, 102);
	assert_int_equal(fake_nr_out(c), 0);
	end();
}

static void a_quiet_queue_rests_and_its_worker_sleeps(void **state)
{
	(void)state;
	for (int poll_us = 0; poll_us <= 100; poll_us += 100) {
		start(1, (uint32_t)poll_us);
		struct fake_port *a = add("a"), *b = add("b");

		wait_asleep(0);
		assert_true(fake_is_armed(a, 0));
		give(a, 0, 1, 0, 1);
		assert_int_equal(take(b).number, 1);
		wait_asleep(0);
		give(a, 0, 1, 0, 2);
		assert_int_equal(take(b).number, 2);
		end();
	}
}

static void note_entries(void *user, const char *name, uint64_t value)
{
	if (strcmp(name, "fdb_entries") == 0)
		*(uint64_t *)user = value;
}

static uint64_t nr_entries(void)
{
	uint64_t n = 0;

	sw_counters(sw, note_entries, &n);
	return n;
}

/* Of a thread of ours; sanitizers have threads of their own that we do not count. */
static long voluntary_switches(int tid)
{
	char path[64], line[128];
	long n = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
			n = strtol(line + 24, NULL, 10);
	}
	fclose(file);
	return n;
}

static long all_switches(void)
{
	long n = voluntary_switches(gettid());
	struct sw_worker_info info;

	for (uint32_t i = 0; i < sw_nr_workers(sw); i++) {
		sw_worker_info(sw, i, &info);
		n += voluntary_switches(info.tid);
	}
	return n;
}

/* Switches of control and workers while control waits in its loop. */
static long switches_in(struct via_loop *l, int ms)
{
	const long before = all_switches();

	via_loop_turn(l, ms);
	return all_switches() - before;
}

static void idle_means_no_wake_up_and_no_cpu(void **state)
{
	struct sw_worker_info before[2], after[2];

	(void)state;
	start(2, 50);
	struct fake_port *a = add("a"), *b = add("b"), *c = add("c");

	give(a, 0, 1, 0, 1); /* so that there is an address to age */
	take(b);
	take(c);
	for (int i = 0; i < 2; i++)
		wait_asleep((uint32_t)i);
	for (int i = 0; i < 20; i++)
		via_loop_turn(loop, 5); /* control has heard of it, and the watchdog sleeps */
	for (uint32_t i = 0; i < 2; i++)
		sw_worker_info(sw, i, &before[i]);
	/* our own wait is one */
	assert_in_range(switches_in(loop, 300), 0, 1);
	for (uint32_t i = 0; i < 2; i++) {
		sw_worker_info(sw, i, &after[i]);
		assert_true(after[i].asleep);
		assert_int_equal(before[i].wakeups, after[i].wakeups);
		assert_int_equal(before[i].sleeps, after[i].sleeps);
	}
	end();
}

static void what_is_learned_by_an_old_table_is_not_kept(void **state)
{
	const struct sw_port_config access = { .vlan = { .vlan = 7 } };
	struct sw_fdb *fdb;
	struct sw_fdb_bucket *bucket;

	(void)state;
	start(1, 10);
	add("a");
	fdb = &sw_core_of(sw)->fdb;
	bucket = sw_fdb_bucket(fdb, sw_fdb_key(0x102, 0));
	assert_int_equal(sw_port_set(sw, 0, &access, NULL), 0);
	/* A worker that has not seen the new table yet. */
	assert_true(sw_fdb_learn(fdb, bucket, sw_fdb_key(0x102, 0), sw_fdb_value_of(0, 1)));
	assert_int_equal(nr_entries(), 1);
	for (int i = 0; i < 100 && nr_entries(); i++)
		via_loop_turn(loop, 10);
	assert_int_equal(nr_entries(), 0);
	end();
}

static void learned_addresses_age_by_themselves(void **state)
{
	struct sw_config config = { .nr_workers = 1, .poll_us = 10, .ageing_s = 1 };

	(void)state;
	assert_int_equal(via_loop_create(&loop, NULL), 0);
	config.loop = loop;
	assert_int_equal(sw_create(&sw, &config, NULL), 0);
	struct fake_port *a = add("a"), *b = add("b");

	for (int round = 0; round < 2; round++) {
		give(a, 0, 1, 0, 1);
		take(b);
		assert_int_equal(nr_entries(), 1);
		for (int i = 0; i < 300 && nr_entries(); i++)
			via_loop_turn(loop, 10);
		assert_int_equal(nr_entries(), 0);
	}
	assert_in_range(switches_in(loop, 300), 0, 1); /* nothing to age, nothing to wake for */
	end();
}

static void no_wake_up_is_lost_however_work_and_sleep_meet(void **state)
{
	(void)state;
	for (int poll_us = 0; poll_us <= 20; poll_us += 20) {
		start(1, (uint32_t)poll_us);
		struct fake_port *a = add("a"), *b = add("b");

		for (uint32_t i = 0; i < 3000; i++) {
			give(a, 0, 1, 0, i);
			assert_int_equal(take(b).number, i);
			for (uint32_t spin = (i * 7) % 300; spin > 0; spin--)
				via_relax();
		}
		end();
	}
}

static void a_queue_that_does_not_run_is_left_alone(void **state)
{
	struct sw_worker_info info;

	(void)state;
	start(1, 0);
	struct fake_port *a = add("a"), *b = add("b");

	wait_asleep(0);
	a->says_fd[0] = VIA_FD_NONE;
	a->port.config.queue_changed(a->port.config.user, &a->port, 0);
	wait_asleep(0);
	usleep(20000);
	fake_notify(a, 0); /* the old descriptor means nothing now */
	give(a, 0, 1, 0, 1);
	usleep(20000);
	assert_int_equal(fake_nr_out(b), 0);

	a->says_fd[0] = VIA_FD_POLL;
	a->port.config.queue_changed(a->port.config.user, &a->port, 0);
	assert_int_equal(take(b).number, 1);
	usleep(20000);
	sw_worker_info(sw, 0, &info);
	assert_int_equal(info.polled, 1);
	assert_false(info.asleep);
	end();
}

static void a_replaced_descriptor_is_used_and_the_old_one_is_not(void **state)
{
	(void)state;
	start(1, 0);
	struct fake_port *a = add("a"), *b = add("b");
	int old;

	wait_asleep(0);
	old = dup(a->fd[0]); /* as a peer that keeps it open */
	close(a->fd[0]);
	a->fd[0] = a->says_fd[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->port.config.queue_changed(a->port.config.user, &a->port, 0);
	wait_asleep(0);
	give(a, 0, 1, 0, 1);
	assert_int_equal(take(b).number, 1);
	assert_int_equal(eventfd_write(old, 1), 0);
	close(old);
	wait_asleep(0);
	end();
}

static void poll_us_changes_while_workers_sleep(void **state)
{
	struct sw_worker_info info;

	(void)state;
	start(1, 0);
	add("a");
	add("b");
	wait_asleep(0);
	sw_set_poll_us(sw, SW_POLL_ALWAYS);
	usleep(50000);
	sw_worker_info(sw, 0, &info);
	assert_int_equal(info.polled, 2);
	sw_set_poll_us(sw, 10);
	wait_asleep(0);
	end();
}

static void a_deleted_port_is_forgotten_and_its_index_used_again(void **state)
{
	(void)state;
	start(2, 50);
	struct fake_port *a = add("a"), *b = add("b");
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };

	give(b, 0, 2, 0, 1);
	assert_int_equal(take(a).number, 1);
	assert_int_equal(sw_fdb_add(sw, mac, 0, 1, NULL), 0);
	del(1);
	assert_null(sw_port(sw, 1));
	assert_int_equal(sw_fdb_flush(sw, -1), 0);
	assert_int_equal(sw_fdb_del(sw, mac, 0, NULL), -ENOENT);
	give(a, 0, 1, 2, 2); /* to nobody */
	assert_int_equal(add_with("c", "1", (struct sw_port_config){ 0 }), 1);
	give(a, 0, 1, 2, 3);
	for (struct fake_frame f = take(fake(sw_port(sw, 1))); f.number != 3;)
		f = take(fake(sw_port(sw, 1)));
	assert_int_equal(sw_port_find(sw, "b"), -ENOENT);
	assert_int_equal(sw_port_find(sw, "c"), 1);
	end();
}

static uint64_t received(int index)
{
	return via_counter_read(&sw_port(sw, (uint32_t)index)->receive[0].packets);
}

static int add_gen(const char *name, const char *size, const char *dst)
{
	const struct via_port_option options[] = {
		{ "size", size }, { "dst_mac", dst }, { "check", "off" }, { NULL, NULL }
	};
	const struct via_port_config port = { .name = name, .options = options };

	return sw_port_add(sw, via_port_type("gen"), &port, &(struct sw_port_config){ 0 }, NULL);
}

static int add_sink(uint32_t i)
{
	char name[] = { 's', (char)('0' + i / 10), (char)('0' + i % 10), 0 };
	const struct via_port_config config = { .name = name };

	return sw_port_add(sw, via_port_type("sink"), &config, &(struct sw_port_config){ 0 }, NULL);
}

/* How many packets port 'index' gets through while another one sends 100,000 short ones. More may have been
 * sent when this thread looks again. */
static uint64_t share_of(int index, int brief)
{
	uint64_t before[2], sent;

	while (received(index) < 1000 || received(brief) < 1000)
		usleep(1000);
	before[0] = received(index);
	before[1] = received(brief);
	while ((sent = received(brief) - before[1]) < 100000)
		usleep(1000);
	return (received(index) - before[0]) * 100000 / sent;
}

/* R18 */
static void who_makes_much_work_does_not_keep_the_worker_from_others(void **state)
{
	static const uint8_t there[6] = { 2, 0, 0, 0, 0, 9 };
	int brief, lengthy, storm;

	(void)state;
	start(1, SW_POLL_ALWAYS);
	for (uint32_t i = 0; i < 60; i++)
		assert_true(add_sink(i) >= 0);
	assert_int_equal(sw_fdb_add(sw, there, 0, 0, NULL), 0);
	brief = add_gen("short", "60", "02:00:00:00:00:09");
	lengthy = add_gen("long", "65000", "02:00:00:00:00:09");
	assert_in_range(share_of(lengthy, brief), 10000, 20000);
	del((uint32_t)lengthy);
	storm = add_gen("storm", "60", "ff:ff:ff:ff:ff:ff");
	assert_in_range(share_of(storm, brief), 5000, 20000);
	end();
}

static void names_are_unique_and_vlans_possible(void **state)
{
	struct via_error err;
	const struct via_port_config port = { .name = "a" };

	(void)state;
	start(1, 50);
	add("a");
	assert_int_equal(sw_port_add(sw, &fake_ops, &port, &(struct sw_port_config){ 0 }, &err),
			 -EEXIST);
	assert_int_equal(
		sw_port_set(sw, 0, &(struct sw_port_config){ .vlan = { .vlan = 4095 } }, &err),
		-EINVAL);
	assert_int_equal(sw_port_set(sw, 1, &(struct sw_port_config){ 0 }, &err), -ENOENT);
	end();
}

static void queues_are_spread_over_workers(void **state)
{
	int of[2] = { 0, 0 };

	(void)state;
	start(2, 50);
	assert_int_equal(add_with("a", "4", (struct sw_port_config){ 0 }), 0);
	for (uint32_t q = 0; q < 4; q++)
		of[sw_queue_worker(sw, 0, q)]++;
	assert_int_equal(of[0], 2);
	assert_int_equal(of[1], 2);
	assert_int_equal(sw_queue_worker(sw, 0, 4), -1);
	end();
}

static void a_port_that_loses_its_link_is_forgotten(void **state)
{
	(void)state;
	start(1, 50);
	struct fake_port *a = add("a"), *b = add("b");

	give(a, 0, 1, 0, 1);
	take(b);
	a->port.link = false;
	a->port.config.link_changed(a->port.config.user, &a->port);
	assert_int_equal(sw_fdb_flush(sw, 0), 0);
	end();
}

static void an_announcement_is_flooded_and_learned(void **state)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	struct fake_frame frame;

	(void)state;
	start(1, 50);
	struct fake_port *a = add("a"), *b = add("b");

	a->port.config.announce(a->port.config.user, &a->port, mac);
	frame = take(b);
	assert_int_equal(frame.len, 60);
	assert_memory_equal(frame.bytes + 6, mac, 6);
	assert_int_equal(frame.bytes[12], 0x80);
	assert_int_equal(frame.bytes[13], 0x35);
	assert_memory_equal(frame.bytes + 22, mac, 6);
	assert_int_equal(sw_fdb_flush(sw, 0), 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_cross_and_addresses_are_learned),
		cmocka_unit_test(a_quiet_queue_rests_and_its_worker_sleeps),
		cmocka_unit_test(idle_means_no_wake_up_and_no_cpu),
		cmocka_unit_test(what_is_learned_by_an_old_table_is_not_kept),
		cmocka_unit_test(learned_addresses_age_by_themselves),
		cmocka_unit_test(no_wake_up_is_lost_however_work_and_sleep_meet),
		cmocka_unit_test(a_queue_that_does_not_run_is_left_alone),
		cmocka_unit_test(a_replaced_descriptor_is_used_and_the_old_one_is_not),
		cmocka_unit_test(poll_us_changes_while_workers_sleep),
		cmocka_unit_test(a_deleted_port_is_forgotten_and_its_index_used_again),
		cmocka_unit_test(who_makes_much_work_does_not_keep_the_worker_from_others),
		cmocka_unit_test(names_are_unique_and_vlans_possible),
		cmocka_unit_test(queues_are_spread_over_workers),
		cmocka_unit_test(a_port_that_loses_its_link_is_forgotten),
		cmocka_unit_test(an_announcement_is_flooded_and_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
