/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One mapped file of a front-end's: what it must be, its seals, its guard, who uses it.
 *
 * The kind of file is asked by F_GET_SEALS, which only memfds and files on tmpfs and hugetlbfs
 * answer: unlike fstat() it never asks a file system that may not reply (FUSE).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mem/mem.h"

struct via_mapping {
	uint8_t *base;
	size_t size;
	atomic_bool lost; /* written by the SIGBUS handler, in any thread */
	bool sealed;
	unsigned int users;
	uint64_t dev, ino;
};

static int check_kind(int fd, struct via_error *err)
{
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return 0;
	if (errno == EINVAL)
		return via_fail(err, -EINVAL,
				"the memory's file is no memfd and not on tmpfs or hugetlbfs; "
				"%s",
				VIA_MEM_SHARE_HINT);
	return via_fail(err, -errno, "the memory's descriptor cannot be used: %s", strerror(errno));
}

static int check_size(int fd, uint64_t size, struct stat *st, struct via_error *err)
{
	if (via_fstat(fd, st) < 0)
		return via_fail(err, -errno, "cannot look at the memory's file: %s",
				strerror(errno));
	if ((uint64_t)st->st_size < size)
		return via_fail(err, -EINVAL,
				"the memory's file has %lld bytes, %llu are to be mapped",
				(long long)st->st_size, (unsigned long long)size);
	return 0;
}

/* Whether the file can no longer shrink: it came so, or we may make it so. */
static bool seal(int fd)
{
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK;
}

/* Huge pages are mapped and unmapped whole; of other files it is the page. Cannot wrap: the file has
 * 'size' bytes. */
static uint64_t round_to_pages(uint64_t size, const struct stat *st)
{
	const uint64_t page = (uint64_t)st->st_blksize;

	return (size + page - 1) / page * page;
}

static int map(struct via_mapping *m, int fd, uint64_t size, struct via_error *err)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (base == MAP_FAILED)
		return via_fail(err, -errno, "cannot map %llu bytes of the memory's file: %s%s",
				(unsigned long long)size, strerror(errno),
				errno == EACCES || errno == EPERM ? " (it must be writable)" : "");
	m->base = base;
	m->size = size;
	madvise(base, size, MADV_DONTDUMP); /* a guest's secrets do not belong into our core */
	if (via_guard_add(base, size, &m->lost) < 0)
		return via_fail(err, -ENOSPC, "too many memory regions of all ports together");
	return 0;
}

int via_mapping_open(struct via_mapping **mapping, int fd, uint64_t size,
		     enum via_mem_policy policy, struct via_error *err)
{
	struct via_mapping *m;
	struct stat st;
	int ret = check_kind(fd, err);

	if (ret == 0)
		ret = check_size(fd, size, &st, err);
	if (ret < 0)
		return ret;
	m = malloc(sizeof(*m));
	if (!m)
		return via_fail(err, -ENOMEM, "no memory for a memory region");
	*m = (struct via_mapping){ .users = 1, .dev = st.st_dev, .ino = st.st_ino };

	m->sealed = seal(fd);
	if (!m->sealed && policy == VIA_MEM_SEALED) {
		ret = via_fail(err, -EPERM,
			       "the memory's file cannot be sealed against shrinking, and the "
			       "port wants that (memory: sealed); with QEMU use -object "
			       "memory-backend-memfd,share=on, which seals");
		goto fail;
	}
	/* Once more: before the seal it may have shrunk. */
	ret = check_size(fd, size, &st, err);
	if (ret == 0)
		ret = map(m, fd, round_to_pages(size, &st), err);
	if (ret < 0)
		goto fail;
	*mapping = m;
	return 0;

fail:
	via_mapping_put(m);
	return ret;
}

struct via_mapping *via_mapping_get(struct via_mapping *m)
{
	m->users++;
	return m;
}

void via_mapping_put(struct via_mapping *m)
{
	if (!m || --m->users > 0)
		return;
	if (m->base) {
		via_guard_remove(m->base);
		munmap(m->base, m->size);
	}
	free(m);
}

uint8_t *via_mapping_base(const struct via_mapping *m)
{
	return m->base;
}

bool via_mapping_is_sealed(const struct via_mapping *m)
{
	return m->sealed;
}

bool via_mapping_is_lost(const struct via_mapping *m)
{
	/* Set by a handler in the thread that asks, or soon to be noticed: order does not matter. */
	return atomic_load_explicit(&m->lost, memory_order_relaxed);
}

void via_mapping_identity(const struct via_mapping *m, uint64_t *dev, uint64_t *ino)
{
	*dev = m->dev;
	*ino = m->ino;
}

const struct via_need via_mem_needs[] = {
	VIA_NEED_UNDER("mmap", 2, PROT_EXEC, 0,
		       "memory of guests; our own; never executable, so not to be made so either"),
	VIA_NEED("munmap", "when it goes"),
	VIA_NEED("madvise", "a guest's memory stays out of core files; free memory goes back"),
	VIA_NEED_IS("statx", 2, AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		    "what a descriptor is that a peer passed, and how large"),
	VIA_NEED_IS("fcntl", 1, F_GET_SEALS, "whether memory can shrink"),
	VIA_NEED_IS("fcntl", 1, F_ADD_SEALS, "it is made not to"),
	VIA_NEEDS_END,
};
