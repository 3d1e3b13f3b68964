/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/port/sink.c, and with it what lib/port/port.c gives to all types. */
#include <errno.h>
#include <string.h>

#include "port/port.h"
#include "tests/test.h"

static struct via_loop *loop;
static int nr_closed;

static void count_closed(void *user)
{
	assert_ptr_equal(user, &nr_closed);
	nr_closed++;
}

static int setup(void **state)
{
	(void)state;
	return via_loop_create(&loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	via_loop_free(loop);
	return 0;
}

static void a_type_is_found_by_its_name(void **state)
{
	(void)state;
	assert_non_null(via_port_type("sink"));
	assert_string_equal(via_port_type("sink")->type, "sink");
	assert_null(via_port_type("sinc"));
}

static void a_sink_counts_and_drops(void **state)
{
	const struct via_port_ops *ops = via_port_type("sink");
	const struct via_port_config config = { .name = "hole", .loop = loop };
	static struct via_view a = { .len = 60 }, b = { .len = 1514 };
	struct via_view *views[] = { &a, &b };
	struct via_port *port;

	(void)state;
	assert_int_equal(ops->open(&port, &config, NULL), 0);
	assert_string_equal(port->name, "hole");
	assert_true(port->link);
	assert_int_equal(ops->ingress_fd(port, 0), VIA_FD_NONE);
	assert_int_equal(ops->egress_burst(port, views, 2, false), 2);
	assert_int_equal(ops->egress_burst(port, views, 1, true), 1);
	assert_int_equal(via_counter_read(&port->transmit[0].packets), 3);
	assert_int_equal(via_counter_read(&port->transmit[0].bytes), 60 + 1514 + 60);
	ops->close(port, count_closed, &nr_closed);
	for (int turns = 0; turns < 100 && nr_closed == 0; turns++)
		via_loop_turn(loop, 10);
	assert_int_equal(nr_closed, 1);
}

static void a_name_that_cannot_be_a_name_is_refused(void **state)
{
	static const char *const bad[] = { "", "a b", "a/b", "x23456789012345678901234567890ab",
					   "\xc3\xa4" };
	const struct via_port_ops *ops = via_port_type("sink");
	struct via_port *port;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct via_port_config config = { .name = bad[i], .loop = loop };
		struct via_error err = { "" };

		assert_int_equal(ops->open(&port, &config, &err), -EINVAL);
		assert_non_null(strstr(err.text, "must be 1 to 31 letters"));
	}
}

static void an_option_that_it_does_not_have_is_refused(void **state)
{
	const struct via_port_option options[] = { { "depth", "3" }, { NULL, NULL } };
	const struct via_port_config config = { .name = "s", .loop = loop, .options = options };
	struct via_error err = { "" };
	struct via_port *port;

	(void)state;
	assert_int_equal(via_port_type("sink")->open(&port, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a port of type sink has no 'depth'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_is_found_by_its_name),
		cmocka_unit_test(a_sink_counts_and_drops),
		cmocka_unit_test(a_name_that_cannot_be_a_name_is_refused),
		cmocka_unit_test(an_option_that_it_does_not_have_is_refused),
	};

	return cmocka_run_group_tests_name("sink", tests, setup, teardown);
}
