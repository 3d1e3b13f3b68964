/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/error.c */
#include <errno.h>
#include <string.h>
#include <viaduct/error.h>

#include "base/base.h"
#include "tests/test.h"

static void the_code_comes_back_and_the_sentence_is_written(void **state)
{
	struct via_error err;

	(void)state;
	assert_int_equal(via_fail(&err, -EINVAL, "queue %u: too long", 3), -EINVAL);
	assert_string_equal(err.text, "queue 3: too long");
	assert_int_equal(via_fail(NULL, -ENOMEM, "nobody reads this"), -ENOMEM);
	assert_int_equal(via_fail_in(NULL, -ENOMEM, "nor this"), -ENOMEM);
}

static void a_context_goes_in_front(void **state)
{
	struct via_error err;

	(void)state;
	via_fail(&err, -EINVAL, "size 3 is not a power of two");
	assert_int_equal(via_fail_in(&err, -EINVAL, "port '%s'", "vm1"), -EINVAL);
	assert_string_equal(err.text, "port 'vm1': size 3 is not a power of two");
}

static void what_is_too_long_loses_its_end_and_stays_terminated(void **state)
{
	char longest[2 * sizeof(struct via_error)];
	struct via_error err;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';

	via_fail(&err, -EINVAL, "%s", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	via_fail_in(&err, -EINVAL, "port");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "port: xx", 8);
	via_fail_in(&err, -EINVAL, "%s", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_comes_back_and_the_sentence_is_written),
		cmocka_unit_test(a_context_goes_in_front),
		cmocka_unit_test(what_is_too_long_loses_its_end_and_stays_terminated),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
