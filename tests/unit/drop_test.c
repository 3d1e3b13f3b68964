/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/drop.c: the names that metrics and people know reasons by. */
#include <ctype.h>
#include <string.h>
#include <viaduct/stats.h>

#include "base/base.h"
#include "tests/test.h"

static void every_reason_has_a_label_of_its_own_and_a_text(void **state)
{
	(void)state;
	for (int why = 0; why < VIA_NR_DROPS; why++) {
		const char *label = via_drop_label((enum via_drop)why);

		assert_true(strlen(label) > 0 && strlen(via_drop_text((enum via_drop)why)) > 0);
		for (const char *c = label; *c; c++) /* as a label of a metric may be */
			assert_true(islower((unsigned char)*c) || *c == '_');
		for (int other = 0; other < why; other++)
			assert_string_not_equal(label, via_drop_label((enum via_drop)other));
	}
}

static void what_is_no_reason_is_unknown(void **state)
{
	(void)state;
	assert_string_equal(via_drop_label(VIA_NR_DROPS), "unknown");
	assert_string_equal(via_drop_text((enum via_drop) - 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_label_of_its_own_and_a_text),
		cmocka_unit_test(what_is_no_reason_is_unknown),
	};

	return cmocka_run_group_tests_name("drop", tests, NULL, NULL);
}
