/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving up privileges, in the order in which it can be done. */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int become(uid_t uid, gid_t gid, struct via_error *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return via_fail(err, -errno, "cannot become user %u, group %u: %s", uid, gid,
				strerror(errno));
	return 0;
}

static int drop_capabilities(struct via_error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { 0 };

	if (syscall(SYS_capset, &header, none) < 0)
		return via_fail(err, -errno, "cannot drop capabilities: %s", strerror(errno));
	return 0;
}

int privileges_drop(enum privileges_user user, uid_t uid, gid_t gid, struct via_error *err)
{
	int ret = user == PRIVILEGES_BECOME_USER ? become(uid, gid, err) : 0;

	if (ret == 0)
		ret = drop_capabilities(err);
	if (ret < 0)
		return ret;
	/* After the change of user, which resets it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return via_fail(err, -errno, "prctl: %s", strerror(errno));
	return 0;
}
