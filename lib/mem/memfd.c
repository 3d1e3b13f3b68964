/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of our own that others will map. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

int via_memfd_create(uint64_t size, struct via_error *err)
{
	int ret, fd = memfd_create("viaduct", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return fd;
	ret = via_fail(err, -errno, "cannot make %llu bytes of shared memory: %s",
		       (unsigned long long)size, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}
