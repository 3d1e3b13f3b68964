/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/mem/table.c */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "mem/mem.h"
#include "tests/memfd.h"
#include "tests/test.h"

#define USER UINT64_C(0x7f0000000000)

static struct via_mem *table_of(const struct via_region_desc *descs, uint32_t n)
{
	int fds[VIA_MEM_MAX_REGIONS] = { 0 };
	struct via_error err = { "" };
	struct via_mem *mem = NULL;

	for (uint32_t i = 0; i < n; i++)
		fds[i] = test_memfd(descs[i].mmap_offset + descs[i].size, MFD_ALLOW_SEALING);
	if (via_mem_create(&mem, descs, fds, n, VIA_MEM_GUARDED, &err) < 0)
		fail_msg("%s", err.text);
	return mem;
}

/* What a 4 MiB file is refused for, with all descriptors left open and nothing left mapped. */
static void tables_that_break_a_rule_are_refused_as_a_whole(void **state)
{
	static const struct {
		const char *what;
		struct via_region_desc d[2];
		const char *says;
	} cases[] = {
		{ "a region of size 0", { { 0, 0, USER, 0 } }, "size is 0" },
		{ "a region of 2^64 - 1 bytes", { { 0, UINT64_MAX, USER, 0 } }, "wraps" },
		{ "guest addresses that wrap", { { UINT64_MAX - 4095, 8192, USER, 0 } }, "wraps" },
		{ "user addresses that wrap", { { 0, 8192, UINT64_MAX - 4095, 0 } }, "wraps" },
		{ "an offset that wraps", { { 0, 8192, USER, UINT64_MAX - 4095 } }, "wraps" },
		{ "an offset inside a page", { { 0, 8192, USER, 512 } }, "not on a page" },
		{ "an offset beyond the end", { { 0, 4096, USER, 4 * MIB } }, "has 4194304 bytes" },
		{ "a size beyond the end (HX-15)",
		  { { 0, 64 * MIB, USER, 0 } },
		  "67108864 are to be mapped" },
		{ "the same guest addresses twice",
		  { { 0, MIB, USER, 0 }, { 0, MIB, USER + MIB, 0 } },
		  "guest addresses" },
		{ "guest addresses that overlap by a byte",
		  { { 4096, 4096, USER, 0 }, { 1, 4096, USER + MIB, 0 } },
		  "guest addresses" },
		{ "user addresses that overlap",
		  { { 0, MIB, USER, 0 }, { MIB, MIB, USER + MIB - 4096, 0 } },
		  "user addresses" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fds[2] = { test_memfd(4 * MIB, 0), test_memfd(4 * MIB, 0) };
		uint32_t n = cases[i].d[1].size ? 2 : 1;
		struct via_mem *mem = NULL;
		struct via_error err = { "" };
		int before = test_nr_fds();

		print_message("%s\n", cases[i].what);
		assert_int_equal(via_mem_create(&mem, cases[i].d, fds, n, VIA_MEM_GUARDED, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_non_null(strstr(err.text, "memory region"));
		assert_null(mem);
		assert_int_equal(test_nr_fds(), before);
		close(fds[0]);
		close(fds[1]);
	}
}

static void more_regions_than_509_are_refused_before_any_is_looked_at(void **state)
{
	struct via_mem *mem = NULL;
	struct via_error err;

	(void)state;
	assert_int_equal(via_mem_create(&mem, NULL, NULL, 510, VIA_MEM_GUARDED, &err), -EINVAL);
	assert_int_equal(via_mem_create(&mem, NULL, NULL, UINT32_MAX, VIA_MEM_GUARDED, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "4294967295"));
}

static void files_of_holes_do_not_take_all_addresses(void **state) /* R13 */
{
	const uint64_t half = VIA_MEM_MAX_MAPPED / 2;
	const struct via_region_desc d[] = {
		{ 0, half, USER, 0 },
		{ half, half, USER + half, 0 },
		{ 2 * half, 4096, USER + 2 * half, 0 },
	};
	const struct via_region_desc far = { 0, 4096, USER, 2 * half };
	int fds[3], file = test_memfd(2 * half + 4096, MFD_ALLOW_SEALING);
	struct via_mem *mem = NULL, *more = NULL;
	struct via_error err = { "" };

	(void)state;
	for (int i = 0; i < 3; i++)
		fds[i] = dup(file);
	assert_int_equal(via_mem_create(&mem, d, fds, 3, VIA_MEM_GUARDED, &err), -EINVAL);
	assert_non_null(strstr(err.text, "are to be mapped"));
	assert_int_equal(via_mem_create(&mem, &far, fds, 1, VIA_MEM_GUARDED, NULL), -EINVAL);
	assert_int_equal(via_mem_create(&mem, d, fds, 1, VIA_MEM_GUARDED, NULL), 0);
	assert_int_equal(via_mem_add(&more, mem, &d[1], fds[1], VIA_MEM_GUARDED, NULL), 0);
	via_mem_free(mem);
	assert_int_equal(via_mem_add(&mem, more, &d[2], fds[2], VIA_MEM_GUARDED, NULL), -EINVAL);
	via_mem_free(more);
	close(fds[2]);
	close(file);
}

static void an_empty_table_translates_nothing(void **state)
{
	struct via_mem_hint hint = { 0 };
	struct via_mem *mem = table_of(NULL, 0);
	uint64_t contiguous;

	(void)state;
	assert_null(via_mem_translate(mem, &hint, 0, &contiguous));
	assert_null(via_mem_translate_user(mem, 0, 1));
	assert_false(via_mem_is_lost(mem));
	via_mem_free(mem);
	via_mem_free(NULL);
}

static void descriptors_are_consumed_on_success(void **state)
{
	struct via_region_desc d = { 0, MIB, USER, 0 };
	int before = test_nr_fds();
	struct via_mem *mem = table_of(&d, 1);

	(void)state;
	assert_int_equal(test_nr_fds(), before);
	via_mem_free(mem);
}

static void bytes_are_found_with_how_many_follow_in_one_piece(void **state)
{
	struct via_region_desc d[] = { { MIB, 8192, USER, 4096 }, { 0, 4096, USER + MIB, 0 } };
	struct via_mem *mem = table_of(d, 2);
	struct via_mem_hint hint = { 0 };
	uint64_t contiguous;
	uint8_t *at;

	(void)state;
	assert_int_equal(mem->region[0].gpa, 0); /* sorted */
	at = via_mem_translate(mem, &hint, MIB, &contiguous);
	assert_non_null(at);
	assert_int_equal(contiguous, 8192);
	assert_int_equal(hint.region, 1);
	assert_ptr_equal(via_mem_translate(mem, &hint, MIB + 8191, &contiguous), at + 8191);
	assert_int_equal(contiguous, 1);
	assert_null(via_mem_translate(mem, &hint, MIB + 8192, &contiguous));
	assert_null(via_mem_translate(mem, &hint, MIB - 1, &contiguous));
	assert_null(via_mem_translate(mem, &hint, UINT64_MAX, &contiguous));
	assert_non_null(via_mem_translate(mem, &hint, 0, &contiguous));
	hint.region = 77; /* of another, longer table */
	assert_ptr_equal(via_mem_translate(mem, &hint, MIB, &contiguous), at);
	via_mem_free(mem);
}

/* VU-32, HX-21 */
static void regions_adjacent_for_the_guest_are_two_pieces(void **state)
{
	struct via_region_desc d[] = { { 0, MIB, USER, 0 }, { MIB, MIB, USER + MIB, 0 } };
	struct via_mem *mem = table_of(d, 2);
	struct via_mem_hint hint = { 0 };
	uint64_t contiguous;

	(void)state;
	assert_non_null(via_mem_translate(mem, &hint, MIB - 8, &contiguous));
	assert_int_equal(contiguous, 8);
	assert_non_null(via_mem_translate(mem, &hint, MIB, &contiguous));
	assert_int_equal(contiguous, MIB);
	assert_non_null(via_mem_translate_user(mem, USER + MIB - 8, 8));
	assert_null(via_mem_translate_user(mem, USER + MIB - 8, 9)); /* a ring would cross */
	via_mem_free(mem);
}

static void user_addresses_are_translated_only_as_a_whole(void **state)
{
	struct via_region_desc d = { MIB, MIB, USER, 0 };
	struct via_mem *mem = table_of(&d, 1);

	(void)state;
	assert_ptr_equal(via_mem_translate_user(mem, USER, MIB), mem->region[0].host);
	assert_null(via_mem_translate_user(mem, USER, MIB + 1));
	assert_null(via_mem_translate_user(mem, USER + 1, UINT64_MAX));
	assert_null(via_mem_translate_user(mem, USER - 1, 1));
	assert_null(via_mem_translate_user(mem, USER + MIB, 0));
	via_mem_free(mem);
}

/* HX-18: "same fd twice with shifted off (legal)" */
static void two_regions_of_one_file_show_the_same_bytes(void **state)
{
	struct via_region_desc d[] = { { 0, 8192, USER, 0 }, { MIB, 4096, USER + MIB, 4096 } };
	int fd = test_memfd(8192, 0), fds[2] = { fd, dup(fd) };
	struct via_mem *mem;
	uint64_t dev[2], ino[2];

	(void)state;
	assert_int_equal(via_mem_create(&mem, d, fds, 2, VIA_MEM_GUARDED, NULL), 0);
	mem->region[1].host[5] = 42;
	assert_int_equal(mem->region[0].host[4096 + 5], 42);
	assert_true(via_mem_identity(mem, USER + 100, &dev[0], &ino[0]));
	assert_true(via_mem_identity(mem, USER + MIB, &dev[1], &ino[1]));
	assert_true(dev[0] == dev[1] && ino[0] == ino[1]);
	assert_false(via_mem_identity(mem, 0, &dev[0], &ino[0]));
	via_mem_free(mem);
}

static void every_byte_of_509_regions_is_found_in_its_own(void **state)
{
	static struct via_region_desc d[VIA_MEM_MAX_REGIONS];
	struct via_mem_hint hint = { 0 };
	struct via_mem *mem, *more = NULL;
	uint64_t contiguous;
	struct via_error err;
	int fd;

	(void)state;
	for (uint32_t i = 0; i < VIA_MEM_MAX_REGIONS; i++) /* in no order, with gaps */
		d[i] = (struct via_region_desc){ (uint64_t)(i * 7 % 509) * 8192, 4096,
						 USER + i * UINT64_C(4096), 0 };
	mem = table_of(d, VIA_MEM_MAX_REGIONS);
	assert_int_equal(mem->nr_regions, VIA_MEM_MAX_REGIONS);
	for (uint32_t i = 0; i < VIA_MEM_MAX_REGIONS; i++) {
		uint8_t *user = via_mem_translate_user(mem, d[i].user_addr, 4096);

		assert_ptr_equal(via_mem_translate(mem, &hint, d[i].gpa, &contiguous), user);
		assert_ptr_equal(via_mem_translate(mem, &hint, d[i].gpa + 4095, &contiguous),
				 user + 4095);
		hint.region = 0;
		assert_null(via_mem_translate(mem, &hint, d[i].gpa + 4096, &contiguous));
	}
	d[0] = (struct via_region_desc){ 512 * MIB, 4096, USER + 512 * MIB, 0 };
	fd = test_memfd(4096, 0);
	assert_int_equal(via_mem_add(&more, mem, d, fd, VIA_MEM_GUARDED, &err), -EINVAL);
	close(fd);
	via_mem_free(mem);
}

/* VU-34, VU-35 */
/* What lies behind the regions of a table may be what a longer one had there. */
static void a_hint_of_a_longer_table_does_not_find_what_is_gone(void **state)
{
	const struct via_region_desc d[] = { { 0, 4096, USER, 0 }, { MIB, 4096, USER + MIB, 0 } };
	struct via_mem *mem = table_of(d, 2);
	struct via_mem_hint hint = { 0 };
	uint64_t contiguous;

	(void)state;
	assert_non_null(via_mem_translate(mem, &hint, MIB, &contiguous));
	assert_int_equal(hint.region, 1);
	mem->nr_regions = 1;
	assert_null(via_mem_translate(mem, &hint, MIB, &contiguous));
	mem->nr_regions = 2;
	via_mem_free(mem);
}

static void a_region_is_removed_only_by_all_that_describes_it(void **state)
{
	const struct via_region_desc region = { MIB, 4096, USER, 0 };
	const struct via_region_desc others[] = { { 2 * MIB, 4096, USER, 0 },
						  { MIB, 8192, USER, 0 },
						  { MIB, 4096, USER + 4096, 0 } };
	struct via_mem *mem = table_of(&region, 1), *none = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(via_mem_remove(&none, mem, &others[i], NULL), -ENOENT);
	via_mem_free(mem);
}

static void regions_come_and_go_while_the_old_table_stays_valid(void **state)
{
	struct via_region_desc a = { 0, 4096, USER, 0 }, b = { MIB, 4096, USER + MIB, 0 };
	struct via_mem *one = table_of(&a, 1), *both, *last, *none;
	struct via_error err;
	int fd = test_memfd(4096, 0), before = test_nr_fds();

	(void)state;
	one->region[0].host[0] = 1;
	assert_int_equal(via_mem_add(&none, one, &a, fd, VIA_MEM_GUARDED, &err), -EINVAL);
	assert_non_null(strstr(err.text, "overlap"));
	b.size = 8192;
	assert_int_equal(via_mem_add(&none, one, &b, fd, VIA_MEM_GUARDED, &err), -EINVAL);
	assert_string_equal(err.text, "memory region to add: the memory's file has 4096 bytes, "
				      "8192 are to be mapped");
	b.size = 4096;
	assert_int_equal(test_nr_fds(), before);
	assert_int_equal(via_mem_add(&both, one, &b, fd, VIA_MEM_GUARDED, &err), 0);
	assert_int_equal(test_nr_fds(), before - 1);
	assert_ptr_equal(both->region[0].host, one->region[0].host);
	via_mem_free(one);
	assert_int_equal(both->region[0].host[0], 1);

	assert_int_equal(via_mem_remove(&last, both, &a, &err), 0);
	assert_int_equal(both->region[0].host[0], 1);
	via_mem_free(both);
	assert_int_equal(last->nr_regions, 1);
	assert_int_equal(last->region[0].gpa, MIB);
	assert_int_equal(last->region[0].host[0], 0);
	assert_int_equal(via_mem_remove(&none, last, &a, &err), -ENOENT);
	via_mem_free(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_that_break_a_rule_are_refused_as_a_whole),
		cmocka_unit_test(more_regions_than_509_are_refused_before_any_is_looked_at),
		cmocka_unit_test(files_of_holes_do_not_take_all_addresses),
		cmocka_unit_test(an_empty_table_translates_nothing),
		cmocka_unit_test(descriptors_are_consumed_on_success),
		cmocka_unit_test(bytes_are_found_with_how_many_follow_in_one_piece),
		cmocka_unit_test(regions_adjacent_for_the_guest_are_two_pieces),
		cmocka_unit_test(user_addresses_are_translated_only_as_a_whole),
		cmocka_unit_test(two_regions_of_one_file_show_the_same_bytes),
		cmocka_unit_test(every_byte_of_509_regions_is_found_in_its_own),
		cmocka_unit_test(a_hint_of_a_longer_table_does_not_find_what_is_gone),
		cmocka_unit_test(a_region_is_removed_only_by_all_that_describes_it),
		cmocka_unit_test(regions_come_and_go_while_the_old_table_stays_valid),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
