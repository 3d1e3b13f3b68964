/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/copy.h */
#include <string.h>

#include "base/copy.h"
#include "tests/test.h"

#define LONGEST 300
#define MARGIN  16

static void exactly_the_bytes_asked_for_arrive_at_every_length_and_alignment(void **state)
{
	uint8_t src[LONGEST + MARGIN], dst[LONGEST + 2 * MARGIN];

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(1 + i % 250);
	for (size_t len = 0; len <= LONGEST; len++) {
		for (size_t at = 0; at < MARGIN; at++) {
			memset(dst, 0, sizeof(dst));
			via_copy(dst + at, src + MARGIN - at, len);
			assert_memory_equal(dst + at, src + MARGIN - at, len);
			for (size_t i = 0; i < at; i++)
				assert_int_equal((int)dst[i], 0);
			for (size_t i = at + len; i < sizeof(dst); i++)
				assert_int_equal((int)dst[i], 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_the_bytes_asked_for_arrive_at_every_length_and_alignment),
	};

	return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
