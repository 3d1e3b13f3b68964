/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/mem/mapping.c */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/base.h"
#include "mem/mem.h"
#include "tests/memfd.h"
#include "tests/test.h"

#define NR_GUARDS 65536 /* of lib/mem/guard.c */

static int open_mapping(int fd, uint64_t size, enum via_mem_policy policy, struct via_error *err)
{
	struct via_mapping *m = NULL;
	int ret = via_mapping_open(&m, fd, size, policy, err);

	via_mapping_put(m);
	return ret;
}

static void the_file_is_sealed_so_that_it_cannot_shrink(void **state)
{
	int fd = test_memfd(MIB, MFD_ALLOW_SEALING);
	struct via_mapping *m;

	(void)state;
	assert_int_equal(via_mapping_open(&m, fd, MIB, VIA_MEM_SEALED, NULL), 0);
	assert_true(via_mapping_is_sealed(m));
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	via_mapping_put(m);
	close(fd);
}

static void what_cannot_be_sealed_is_mapped_unless_the_port_wants_seals(void **state)
{
	int fd = test_memfd(MIB, 0);
	struct via_error err = { "" };
	struct via_mapping *m;

	(void)state;
	assert_int_equal(via_mapping_open(&m, fd, MIB, VIA_MEM_GUARDED, NULL), 0);
	assert_false(via_mapping_is_sealed(m));
	via_mapping_put(m);
	assert_int_equal(open_mapping(fd, MIB, VIA_MEM_SEALED, &err), -EPERM);
	assert_non_null(strstr(err.text, "memory-backend-memfd"));
	close(fd);
}

static void more_than_the_file_has_is_refused(void **state)
{
	int fd = test_memfd(MIB, MFD_ALLOW_SEALING);
	struct via_error err = { "" };

	(void)state;
	assert_int_equal(open_mapping(fd, MIB + 1, VIA_MEM_GUARDED, &err), -EINVAL);
	assert_string_equal(err.text,
			    "the memory's file has 1048576 bytes, 1048577 are to be mapped");
	assert_int_equal(fcntl(fd, F_GET_SEALS), 0); /* it may still become right */
	close(fd);
}

/* HX-10, HX-19 */
static void only_shared_memory_is_mapped(void **state)
{
	char path[] = "/tmp/viaduct-mapping-XXXXXX";
	int pipes[2];
	struct via_error err = { "" };

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	int fds[] = { open("/dev/zero", O_RDWR),
		      open("/dev/null", O_RDWR),
		      eventfd(0, 0),
		      open("/", O_PATH),
		      open("/proc/self/mem", O_RDWR),
		      pipes[0],
		      pipes[1],
		      -1 };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_true(open_mapping(fds[i], 4096, VIA_MEM_GUARDED, &err) < 0);
		assert_non_null(strstr(err.text, "the memory's"));
		if (fds[i] >= 0)
			close(fds[i]);
	}

	int fd = mkstemp(path);
	unlink(path);
	assert_int_equal(ftruncate(fd, 4096), 0);
	int ret = open_mapping(fd, 4096, VIA_MEM_GUARDED, &err);
	if (ret < 0) /* else /tmp is a tmpfs here */
		assert_non_null(strstr(err.text, "<access mode='shared'/>"));
	close(fd);
}

/* HX-19 */
static void files_that_we_cannot_write_are_refused_with_the_reason(void **state)
{
	int fd = test_memfd(MIB, MFD_ALLOW_SEALING), readonly;
	struct via_error err = { "" };
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY);
	assert_true(readonly >= 0);
	assert_int_equal(open_mapping(readonly, MIB, VIA_MEM_GUARDED, &err), -EACCES);
	assert_non_null(strstr(err.text, "must be writable"));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(open_mapping(fd, MIB, VIA_MEM_GUARDED, &err), -EPERM);
	assert_non_null(strstr(err.text, "must be writable"));
	close(readonly);
	close(fd);
}

/* HX-19: a pool without huge pages is an answer or a fault that the guard takes, never a wait. */
static void huge_pages_are_mapped_whole_or_refused(void **state)
{
	struct via_mapping *m = NULL;
	struct via_error err = { "" };
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	(void)state;
	if (fd < 0 || ftruncate(fd, 2 * (off_t)MIB) < 0) {
		if (fd >= 0)
			close(fd);
		skip();
	}
	if (via_mapping_open(&m, fd, 8192, VIA_MEM_GUARDED, &err) < 0)
		assert_non_null(strstr(err.text, "cannot map"));
	via_mapping_put(m); /* munmap() of part of a huge page would fail, and leak */
	close(fd);
}

static void the_last_user_unmaps(void **state)
{
	int fd = test_memfd(4096, 0);
	struct via_mapping *m;
	unsigned char vec;
	uint8_t *base;

	(void)state;
	assert_int_equal(via_mapping_open(&m, fd, 4096, VIA_MEM_GUARDED, NULL), 0);
	close(fd); /* not needed any more */
	base = via_mapping_base(m);
	base[0] = 1;
	via_mapping_put(via_mapping_get(m));
	assert_int_equal(mincore(base, 4096, &vec), 0);
	via_mapping_put(m);
	assert_int_equal(mincore(base, 4096, &vec), -1);
	via_mapping_put(NULL);
}

static void what_no_guard_is_left_for_is_refused_and_not_mapped(void **state)
{
	static uint8_t
		places[NR_GUARDS + 1]; /* never touched: of their own are only the addresses */
	int fd = test_memfd(4096, 0);
	struct via_error err = { "" };
	struct via_mapping *m = NULL;
	atomic_bool lost = false;
	unsigned int n = 0;

	(void)state;
	while (n <= NR_GUARDS && via_guard_add(&places[n], 1, &lost) == 0)
		n++;
	assert_int_equal(n, NR_GUARDS);
	assert_int_equal(via_guard_add(&places[n], 1, &lost), -ENOSPC);
	assert_int_equal(open_mapping(fd, 4096, VIA_MEM_GUARDED, &err), -ENOSPC);
	assert_string_equal(err.text, "too many memory regions of all ports together");
	via_guard_remove(&places[n - 1]);
	assert_int_equal(via_mapping_open(&m, fd, 4096, VIA_MEM_GUARDED, &err), 0);
	via_mapping_put(m);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_sealed_so_that_it_cannot_shrink),
		cmocka_unit_test(what_cannot_be_sealed_is_mapped_unless_the_port_wants_seals),
		cmocka_unit_test(more_than_the_file_has_is_refused),
		cmocka_unit_test(only_shared_memory_is_mapped),
		cmocka_unit_test(files_that_we_cannot_write_are_refused_with_the_reason),
		cmocka_unit_test(huge_pages_are_mapped_whole_or_refused),
		cmocka_unit_test(the_last_user_unmaps),
		/* The last one: it leaves guards behind, each of which takes long to find. */
		cmocka_unit_test(what_no_guard_is_left_for_is_refused_and_not_mapped),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
