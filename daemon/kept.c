/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeping the running configuration without a system call. */
#include "daemon/kept.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

struct kept *kept_map(int fd, struct via_error *err)
{
	struct kept *kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (kept != MAP_FAILED)
		return kept;
	via_fail(err, -errno, "cannot map the running configuration: %s", strerror(errno));
	return NULL;
}

int kept_create(const char *text, size_t size, struct via_error *err)
{
	int fd = via_memfd_create(sizeof(struct kept), err);
	struct kept *kept = fd < 0 ? NULL : kept_map(fd, err);

	if (kept && kept_store(kept, text, size) == 0) {
		munmap(kept, sizeof(*kept));
		return fd;
	}
	if (kept)
		munmap(kept, sizeof(*kept));
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : via_fail(err, -EFBIG, "the configuration is too large to keep");
}

int kept_store(struct kept *kept, const char *text, size_t size)
{
	if (size > sizeof(kept->text))
		return -EFBIG;
	/* Nobody reads meanwhile; a crash in between must not leave half of a configuration. */
	atomic_store(&kept->size, 0);
	memcpy(kept->text, text, size);
	atomic_store(&kept->size, size);
	return 0;
}

size_t kept_size(const struct kept *kept)
{
	uint64_t size = atomic_load(&kept->size);

	return size <= sizeof(kept->text) ? (size_t)size : 0;
}
