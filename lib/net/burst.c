/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a burst. It is large and mostly never touched (pieces and slots are for the worst
 * case), so it is mapped by itself: pages become resident when they are first used.
 */
#include <sys/mman.h>
#include <viaduct/view.h>

#include "base/base.h"

VIA_EXPORT struct via_burst *via_burst_create(void)
{
	void *at = mmap(NULL, sizeof(struct via_burst), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

VIA_EXPORT void via_burst_free(struct via_burst *burst)
{
	if (burst)
		munmap(burst, sizeof(*burst));
}
