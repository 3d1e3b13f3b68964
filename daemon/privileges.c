/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving up privileges, in the order in which it can be done. */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

static const struct {
	unsigned int capability;
	enum privileges use;
} kept[] = {
	{ CAP_NET_ADMIN, PRIVILEGES_INTERFACES },
	{ CAP_DAC_OVERRIDE, PRIVILEGES_PATHS },
	{ CAP_CHOWN, PRIVILEGES_OWNERS },
	{ CAP_FOWNER, PRIVILEGES_OWNERS },
};

/* All of 'kept' have numbers under 32. */
static uint32_t capabilities_of(unsigned int mask)
{
	uint32_t capabilities = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (mask & kept[i].use)
			capabilities |= UINT32_C(1) << kept[i].capability;
	return capabilities;
}

/* Sets both sets to what is permitted and in these masks. */
static int set_capabilities(uint32_t permitted, uint32_t effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	permitted &= data[0].permitted;
	memset(data, 0, sizeof(data));
	data[0].permitted = permitted;
	data[0].effective = permitted & effective;
	return (int)syscall(SYS_capset, &header, data);
}

void privileges_use(unsigned int mask)
{
	/* Cannot fail: it asks for nothing that is not permitted. What then lacks it says so itself. */
	set_capabilities(UINT32_MAX, capabilities_of(mask));
}

/* What not even a program that is started could have. Who has no privileges may not do this, and need
 * not. */
static void narrow_bounds(uint32_t bounds)
{
	for (unsigned int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (i >= 32 || !(bounds >> i & 1))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int become(uid_t uid, gid_t gid, struct via_error *err)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return via_fail(err, -errno, "cannot become user %u, group %u: %s", uid, gid,
				strerror(errno));
	return 0;
}

static int limit(uint32_t permitted, struct via_error *err)
{
	if (set_capabilities(permitted, 0) < 0)
		return via_fail(err, -errno, "cannot drop capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return via_fail(err, -errno, "prctl: %s", strerror(errno));
	return 0;
}

int privileges_keep_few(enum privileges_user user, uid_t uid, gid_t gid, struct via_error *err)
{
	const uint32_t few = capabilities_of(UINT32_MAX);
	int ret = 0;

	set_capabilities(UINT32_MAX, UINT32_MAX);
	narrow_bounds(few);
	if (user == PRIVILEGES_BECOME_USER)
		ret = become(uid, gid, err);
	return ret < 0 ? ret : limit(few, err);
}

int privileges_drop(struct via_error *err)
{
	narrow_bounds(0);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return via_fail(err, -errno, "prctl: %s", strerror(errno));
	return limit(0, err);
}
