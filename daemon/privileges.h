/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Privileges: what each process gives up, and when.
 *
 * The broker keeps four capabilities, of which none is in effect but while it does what needs it. Its
 * children have none. All of them are the configured user from the start, if there is one.
 */
#ifndef VIA_DAEMON_PRIVILEGES_H
#define VIA_DAEMON_PRIVILEGES_H

#include <stdint.h>
#include <sys/types.h>
#include <viaduct/error.h>

enum privileges_user { PRIVILEGES_KEEP_USER, PRIVILEGES_BECOME_USER };

/* What the broker may need again and again; a mask of those for privileges_use(). */
enum privileges {
	PRIVILEGES_NONE = 0,
	PRIVILEGES_INTERFACES = 1, /* CAP_NET_ADMIN: make TAPs, set them up */
	PRIVILEGES_PATHS = 2,      /* CAP_DAC_OVERRIDE: others' directories, sockets and files */
	PRIVILEGES_OWNERS = 4,     /* CAP_CHOWN, CAP_FOWNER: give sockets to their users */
};

/*
 * The broker's, for good: with PRIVILEGES_BECOME_USER becomes 'uid' and 'gid' without other groups; keeps
 * those of the four capabilities that it has, none in effect; never gains any, by exec neither.
 */
int privileges_keep_few(enum privileges_user user, uid_t uid, gid_t gid, struct via_error *err);
/* Of what was kept, puts exactly these in effect. */
void privileges_use(unsigned int mask);

/* Its children's, for good: no capability, and none by exec; dies with its parent. */
int privileges_drop(struct via_error *err);

#endif
