/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/checksum.c */
#include <pthread.h>

#include "frame.h"

static uint8_t src[70000], dst[70000 + 64];

static void fill(void)
{
	srand(7);
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)rand();
}

/* The stored bytes, as a big-endian number. */
static uint32_t stored(uint32_t sum)
{
	uint16_t folded = via_csum_fold(sum);
	uint8_t bytes[2];

	memcpy(bytes, &folded, 2);
	return frame_get16(bytes);
}

static uint32_t plain(const uint8_t *bytes, uint32_t len)
{
	return ~plain_sum(0, bytes, len) & 0xffff;
}

static void sums_agree_with_rfc_1071_at_every_length_and_alignment(void **state)
{
	(void)state;
	fill();
	for (uint32_t len = 0; len < 700; len++)
		for (uint32_t at = 0; at < 9; at++)
			assert_int_equal(stored(via_csum_add(0, src + at, len)),
					 plain(src + at, len));
	assert_int_equal(stored(via_csum_add(0, src, 65535)), plain(src, 65535));
	memset(src, 0xff, sizeof(src));
	assert_int_equal(stored(via_csum_add(0, src, 65535)), plain(src, 65535));
}

static void a_copy_copies_exactly_and_sums_what_it_copied(void **state)
{
	(void)state;
	fill();
	for (uint32_t len = 0; len < 700; len++) {
		for (uint32_t at = 0; at < 5; at++) {
			memset(dst, 0xa5, len + 64);
			assert_int_equal(stored(via_csum_copy(dst + at, src + 5 - at, len, 0)),
					 plain(src + 5 - at, len));
			assert_memory_equal(dst + at, src + 5 - at, len);
			assert_int_equal(dst[at + len], 0xa5);
			assert_true(at == 0 || dst[at - 1] == 0xa5);
		}
	}
	assert_int_equal(stored(via_csum_copy(dst, src, 65535, 0)), plain(src, 65535));
	assert_memory_equal(dst, src, 65535);
}

static void parts_of_any_length_add_up_with_a_swap_at_odd_offsets(void **state)
{
	(void)state;
	fill();
	for (int round = 0; round < 2000; round++) {
		uint32_t len = (uint32_t)rand() % 3000, sum = 0, part;

		for (uint32_t at = 0; at < len; at += part) {
			uint32_t of_part;

			part = 1 + (uint32_t)rand() % 200;
			if (part > len - at)
				part = len - at;
			of_part = via_csum_add(0, src + at, part);
			if (at % 2)
				of_part = via_csum_swap(of_part);
			sum = via_csum_fold(sum) ^ 0xffff;
			sum += via_csum_fold(of_part) ^ 0xffff;
		}
		assert_int_equal(stored(sum), plain(src, len));
	}
}

static _Atomic(bool) done;

static void *rewrite(void *arg)
{
	volatile uint8_t *at = arg;

	for (uint32_t i = 0; !done; i++)
		at[i % 4096] = (uint8_t)i;
	return NULL;
}

static void the_sum_is_of_the_bytes_stored_while_the_source_changes(void **state)
{
	pthread_t thread;

	(void)state;
#if defined(__SANITIZE_THREAD__)
	skip(); /* a race is what this is about */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	skip();
#endif
#endif
	fill();
	done = false;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, src), 0);
	for (int i = 0; i < 20000; i++) {
		uint32_t len = 100 + (uint32_t)i % 3000;
		uint32_t sum = via_csum_copy(dst, src, len, 0);

		assert_int_equal(stored(sum), stored(via_csum_add(0, dst, len)));
	}
	done = true;
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_agree_with_rfc_1071_at_every_length_and_alignment),
		cmocka_unit_test(a_copy_copies_exactly_and_sums_what_it_copied),
		cmocka_unit_test(parts_of_any_length_add_up_with_a_swap_at_odd_offsets),
		cmocka_unit_test(the_sum_is_of_the_bytes_stored_while_the_source_changes),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
