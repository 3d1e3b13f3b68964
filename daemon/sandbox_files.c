/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock: a ruleset that handles all the kernel knows of and allows nothing.
 *
 * Each version of the interface (ABI) knows more; what a kernel does not know must not be asked for.
 * Descriptors that are open already are not concerned.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/sandbox.h"

/* As the kernel of ABI 6 has it: the C library's header may be older. */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define GET_VERSION 1 /* LANDLOCK_CREATE_RULESET_VERSION */
#define FIRST(n)    ((UINT64_C(1) << (n)) - 1)

static struct ruleset everything_of(int abi)
{
	struct ruleset rules = { .handled_access_fs = FIRST(13) };

	if (abi >= 2)
		rules.handled_access_fs = FIRST(14); /* links between folders */
	if (abi >= 3)
		rules.handled_access_fs = FIRST(15); /* truncation */
	if (abi >= 4)
		rules.handled_access_net = FIRST(2); /* bind and connect of TCP */
	if (abi >= 5)
		rules.handled_access_fs = FIRST(16); /* ioctl of devices that are opened */
	if (abi >= 6)
		rules.scoped = FIRST(2); /* abstract sockets and signals to others */
	return rules;
}

/* An older kernel takes a shorter structure. */
static size_t size_of(int abi)
{
	return abi >= 6 ? sizeof(struct ruleset) : abi >= 4 ? 16 : 8;
}

static int restrict_self(int abi, struct via_error *err)
{
	const struct ruleset rules = everything_of(abi);
	int ret = 0, fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size_of(abi), 0);

	if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		ret = via_fail(err, -errno, "Landlock (ABI %d): %s", abi, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

int sandbox_close_files(struct via_error *err)
{
	int ret, abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, GET_VERSION);

	if (abi <= 0)
		return 0;
	ret = restrict_self(abi, err);
	return ret < 0 ? ret : abi;
}
