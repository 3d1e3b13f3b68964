/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port/vhost_user.c, with lib/port/virtio_user.c as the guest: two ports of one process on the two
 * ends of a socket, and gens that check what crosses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/gen.h"
#include "tests/memfd.h"

static struct via_loop *loop;
static struct via_burst *burst;
static struct via_opener opener; /* the direct one, with state files that leave nothing behind */
static char dir[] = "/tmp/viaduct-vhost-user-XXXXXX";
static char path[64];

static int no_state_file(void *user, const char *name, uint64_t size, struct via_error *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	(void)user, (void)err;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	opener = via_opener_direct;
	opener.state_file = no_state_file;
	burst = via_burst_create();
	return via_loop_create(&loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	via_burst_free(burst);
	via_loop_free(loop);
	return rmdir(dir);
}

/* ---- ports ---- */

static int nr_queue_changes, nr_link_changes;

static void on_queue(void *user, struct via_port *port, uint32_t q)
{
	(void)user, (void)port, (void)q;
	nr_queue_changes++;
}

static void on_link(void *user, struct via_port *port)
{
	(void)user, (void)port;
	nr_link_changes++;
}

static int try_open(struct via_port **port, const char *type, const struct via_port_option *options,
		    struct via_error *err)
{
	const struct via_port_config config = { .name = type,
						.options = options,
						.opener = &opener,
						.loop = loop,
						.queue_changed = on_queue,
						.link_changed = on_link };

	return via_port_type(type)->open(port, &config, err);
}

static struct via_port *open_port(const char *type, const struct via_port_option *options)
{
	struct via_error err = { "" };
	struct via_port *port;

	if (try_open(&port, type, options, &err) < 0)
		fail_msg("%s", err.text);
	return port;
}

#define OPEN(type, ...) \
	open_port(type, \
		  (const struct via_port_option[]){ __VA_ARGS__ __VA_OPT__(, ){ NULL, NULL } })

static void set_flag(void *user)
{
	*(bool *)user = true;
}

static void close_port(struct via_port *port)
{
	bool closed = false;

	port->ops->close(port, set_flag, &closed);
	for (int turns = 0; turns < 300 && !closed; turns++)
		via_loop_turn(loop, 10);
	assert_true(closed);
}

static void wait_for_link(const struct via_port *port, bool up)
{
	for (int turns = 0; turns < 500 && port->link != up; turns++)
		via_loop_turn(loop, 10);
	assert_int_equal(port->link, up);
}

/* Moves up to a burst from queue 'q' of one port to another. Returns how many. */
static uint32_t move(struct via_port *from, uint32_t q, struct via_port *to)
{
	struct via_view *refs[VIA_BURST];
	uint32_t n = from->ops->ingress_burst(from, q, burst, VIA_BURST);

	for (uint32_t i = 0; i < n; i++)
		refs[i] = &burst->view[i];
	if (n > 0) {
		assert_int_equal(to->ops->egress_burst(to, refs, n, false), n);
		from->ops->ingress_release(from, q, burst, 0);
	}
	return n;
}

static void move_all(struct via_port *from, struct via_port *to)
{
	for (uint32_t q = 0; q < from->nr_queues; q++)
		while (move(from, q, to) > 0)
			;
}

static struct gen_report report_of(struct via_port *gen)
{
	struct gen_report report;

	port_gen_report(gen, &report);
	return report;
}

/* Sends 'bursts' of traffic from one end of the socket to the other; all of it must arrive. */
static void cross(struct via_port *near, struct via_port *far, struct via_port *gen, int bursts)
{
	uint64_t before = report_of(gen).received - report_of(gen).sent;
	struct gen_report r;

	for (int i = 0; i < bursts; i++) {
		assert_true(move(gen, 0, near) > 0);
		move_all(far, gen);
	}
	r = report_of(gen);
	assert_int_equal(r.received - r.sent, before);
	assert_int_equal(r.lost + r.reordered + r.duplicates + r.corrupt + r.bad_checksum +
				 r.foreign + r.untracked,
			 0);
}

static uint64_t sum_drops(const struct via_port *port, enum via_drop why)
{
	uint64_t n = 0;

	for (uint32_t q = 0; q < port->nr_queues; q++)
		n += via_counter_read(&port->transmit[q].drops[why]);
	return n;
}

/* ---- cases ---- */

static void cross_with(const char *pairs, const char *features, const char *device_mode,
		       const char *driver_mode)
{
	struct via_port *device = OPEN("vhost-user", { "socket", path }, { "queue_pairs", pairs },
				       { "features", features }, { "mode", device_mode });
	struct via_port *driver = OPEN("virtio-user", { "socket", path }, { "queue_pairs", pairs },
				       { "mode", driver_mode });
	struct via_port *gen = OPEN("gen", { "size", "60,1514,400,9000" }, { "flows", "50" },
				    { "csum", "partial" }, { "gso", "1400" });

	print_message("# %s pairs, without %s, %s and %s\n", pairs, features, device_mode,
		      driver_mode);
	assert_int_equal(device->ops->ingress_fd(device, 0), VIA_FD_NONE);
	wait_for_link(device, true);
	wait_for_link(driver, true);
	assert_true(device->ops->ingress_fd(device, 0) >= 0);
	cross(device, driver, gen, 20);
	cross(driver, device, gen, 20);
	close_port(driver);
	wait_for_link(device, false);
	assert_int_equal(device->ops->ingress_fd(device, 0), VIA_FD_NONE);
	close_port(device);
	close_port(gen);
	assert_int_equal(access(path, F_OK), -1);
}

static void frames_cross_with_every_kind_of_ring(void **state)
{
	(void)state;
	cross_with("1", "in_order", "server", "client");
	cross_with("1", "packed", "server", "client");
	cross_with("1", "mrg_rxbuf,guest_tso4,guest_uso4,guest_uso6,host_uso", "server", "client");
	cross_with("4", "packed,in_order", "server", "client");
	cross_with("4", "event_idx", "client", "server");
}

static void answers_go_to_the_pair_on_which_the_guest_asked(void **state)
{
	struct via_port *device = OPEN("vhost-user", { "socket", path }, { "queue_pairs", "4" });
	struct via_port *driver = OPEN("virtio-user", { "socket", path }, { "queue_pairs", "4" });
	struct via_port *gen = OPEN("gen", { "flows", "64" });
	uint64_t sent[4];

	(void)state;
	wait_for_link(device, true);
	wait_for_link(driver, true);
	/* The guest sends each flow on one pair; the same flows then go back to it. */
	move(gen, 0, driver);
	for (uint32_t q = 0; q < 4; q++) {
		sent[q] = via_counter_read(&driver->transmit[q].packets);
		while (move(device, q, gen) > 0)
			;
	}
	move(gen, 0, device);
	for (uint32_t q = 0; q < 4; q++)
		assert_int_equal(via_counter_read(&device->transmit[q].packets), sent[q]);
	assert_true(sent[0] && sent[1] && sent[2] && sent[3]);
	close_port(driver);
	close_port(device);
	close_port(gen);
}

static void without_a_guest_what_is_sent_is_dropped_and_counted(void **state)
{
	static const char *const pairs[] = { "1", "2" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct via_port *device =
			OPEN("vhost-user", { "socket", path }, { "queue_pairs", pairs[i] });
		struct via_port *gen = OPEN("gen", { "flows", "8" });

		move(gen, 0, device);
		assert_int_equal(sum_drops(device, VIA_DROP_NO_QUEUE), 64);
		assert_int_equal(move(device, 0, gen), 0);
		close_port(device);
		close_port(gen);
	}
}

static void a_full_lossless_port_takes_a_prefix(void **state)
{
	struct via_port *device = OPEN("vhost-user", { "socket", path }, { "queue_pairs", "2" });
	struct via_port *driver = OPEN("virtio-user", { "socket", path }, { "queue_pairs", "2" });
	struct via_port *gen = OPEN("gen", { "size", "1514" }, { "flows", "3" });
	struct via_view *refs[VIA_BURST];
	uint32_t taken = VIA_BURST;

	(void)state;
	wait_for_link(device, true);
	wait_for_link(driver, true);
	for (int round = 0; round < 200; round++) {
		uint32_t n = gen->ops->ingress_burst(gen, 0, burst, VIA_BURST);

		for (uint32_t i = 0; i < n; i++)
			refs[i] = &burst->view[i];
		taken = device->ops->egress_burst(device, refs, n, true);
		gen->ops->ingress_release(gen, 0, burst, n - taken);
		if (taken < n)
			move_all(driver, gen);
	}
	move_all(driver, gen);
	assert_int_equal(report_of(gen).received, report_of(gen).sent);
	assert_int_equal(report_of(gen).lost + report_of(gen).reordered, 0);
	assert_int_equal(sum_drops(device, VIA_DROP_FULL), 0);
	close_port(driver);
	close_port(device);
	close_port(gen);
}

static void a_guest_that_comes_again_is_served_again(void **state)
{
	struct via_port *device = OPEN("vhost-user", { "socket", path });
	struct via_port *gen = OPEN("gen");

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct via_port *driver = OPEN("virtio-user", { "socket", path });

		nr_queue_changes = nr_link_changes = 0;
		wait_for_link(device, true);
		wait_for_link(driver, true);
		assert_true(nr_queue_changes >= 2 && nr_link_changes == 2);
		cross(device, driver, gen, 5);
		cross(driver, device, gen, 5);
		close_port(driver);
		wait_for_link(device, false);
	}
	close_port(device);
	close_port(gen);
}

static void the_socket_has_the_mode_and_owner_that_were_asked_for(void **state)
{
	struct via_port *device;
	struct via_port_option options[] = { { "socket", path },
					     { "perm", "0640" },
					     { "owner", "0" },
					     { "group", "root" },
					     { NULL, NULL } };
	struct stat st;

	(void)state;
	if (getuid() != 0) {
		print_message("# needs root\n");
		skip();
	}
	device = open_port("vhost-user", options);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_uid, 0);
	close_port(device);
}

static void mistakes_are_explained_and_leave_nothing_open(void **state)
{
	static const struct {
		struct via_port_option option;
		const char *says;
	} cases[] = {
		{ { "queue_pairs", "129" }, "queue_pairs is '129'; it must be a number from 1" },
		{ { "mac", "01:00:5e:00:00:01" }, "must be the address of one station" },
		{ { "mac", "00:00:00:00:00:00" }, "must be the address of one station" },
		{ { "owner", "nobody-of-this-name" },
		  "there is no user 'nobody-of-this-name' on this host" },
		{ { "group", "none-of-this-name" },
		  "there is no group 'none-of-this-name' on this host" },
		{ { "features", "uso" }, "features has no 'uso'; there are" },
		{ { "memory", "shared" }, "memory is 'shared'; it must be one of guarded|sealed" },
	};
	struct via_error err;
	struct via_port *port;
	int before = test_nr_fds();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct via_port_option options[] = { { "socket", path },
							   cases[i].option,
							   { NULL, NULL } };

		assert_int_equal(try_open(&port, "vhost-user", options, &err), -EINVAL);
		print_message("# %s\n", err.text);
		assert_non_null(strstr(err.text, cases[i].says));
	}
	assert_int_equal(try_open(&port, "vhost-user", NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a port of type vhost-user needs 'socket'"));
	assert_int_equal(test_nr_fds(), before);
}

static void a_path_that_somebody_listens_on_is_refused(void **state)
{
	const struct via_port_option options[] = { { "socket", path }, { NULL, NULL } };
	struct via_port *first, *second;
	struct via_error err;
	int before = test_nr_fds();

	(void)state;
	first = open_port("vhost-user", options);
	assert_int_equal(try_open(&second, "vhost-user", options, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(access(path, F_OK), 0);
	close_port(first);
	assert_int_equal(test_nr_fds(), before);
}

static void pairs_up_to_128_can_be_offered(void **state)
{
	struct via_port *device = OPEN("vhost-user", { "socket", path }, { "queue_pairs", "128" });

	(void)state;
	assert_int_equal(device->nr_queues, 128);
	close_port(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_cross_with_every_kind_of_ring),
		cmocka_unit_test(answers_go_to_the_pair_on_which_the_guest_asked),
		cmocka_unit_test(without_a_guest_what_is_sent_is_dropped_and_counted),
		cmocka_unit_test(a_full_lossless_port_takes_a_prefix),
		cmocka_unit_test(a_guest_that_comes_again_is_served_again),
		cmocka_unit_test(the_socket_has_the_mode_and_owner_that_were_asked_for),
		cmocka_unit_test(mistakes_are_explained_and_leave_nothing_open),
		cmocka_unit_test(a_path_that_somebody_listens_on_is_refused),
		cmocka_unit_test(pairs_up_to_128_can_be_offered),
	};

	return cmocka_run_group_tests_name("vhost-user", tests, setup, teardown);
}
