/* SPDX-License-Identifier: BSD-3-Clause */
/* The data process's system calls, from the folders that need them. */
#include <string.h>

#include "daemon/sandbox.h"
#include "mem/mem.h"
#include "switch/switch.h"
#include "vhost/vhost.h"

/* What no line of ours calls. */
static const struct via_need libc_needs[] = {
	VIA_NEED("brk", "memory"),
	VIA_NEED("clock_gettime", "the time, where the kernel's page cannot tell it"),
	VIA_NEED("exit_group", "the end of the process"),
	VIA_NEED("restart_syscall", "the kernel goes on with a call that SIGSTOP interrupted"),
	VIA_NEED("rt_sigprocmask", "a thread that ends takes no more signals"),
	VIA_NEEDS_END,
};

static const struct via_need *const core[] = {
	libc_needs,      via_loop_needs, via_grace_needs, via_tell_needs, via_unix_needs,
	via_batch_needs, via_mem_needs,  vu_needs,        sw_needs,       build_needs,
};

#define MAX_LISTS 32

const struct via_need *const *data_calls(void)
{
	static const struct via_need *lists[MAX_LISTS];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(core); i++)
		lists[n++] = core[i];
	for (const struct via_port_ops *const *ops = via_port_types; *ops; ops++)
		if ((*ops)->needs && n < MAX_LISTS - 1)
			lists[n++] = (*ops)->needs;
	return lists;
}
