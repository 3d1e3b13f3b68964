/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory as front-ends have it, for tests. */
#ifndef VIA_TEST_MEMFD_H
#define VIA_TEST_MEMFD_H

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/test.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

/* A memfd of 'size' bytes; 'flags' 0 makes one that nobody can seal. */
static inline int test_memfd(uint64_t size, unsigned int flags)
{
	int fd = memfd_create("viaduct-test", MFD_CLOEXEC | flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* How many descriptors this process has. */
static inline int test_nr_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF;
	return n;
}

#endif
