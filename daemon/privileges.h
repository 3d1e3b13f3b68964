/* SPDX-License-Identifier: BSD-3-Clause */
/* What the data process and the exporter give up before they touch anybody's bytes. */
#ifndef VIA_DAEMON_PRIVILEGES_H
#define VIA_DAEMON_PRIVILEGES_H

#include <sys/types.h>
#include <viaduct/error.h>

enum privileges_user { PRIVILEGES_KEEP_USER, PRIVILEGES_BECOME_USER };

/*
 * For good: with PRIVILEGES_BECOME_USER becomes 'uid' and 'gid' without other
 * groups; never gains privileges again by exec; drops every capability; dies with its parent. The place where a seccomp filter goes.
 */
int privileges_drop(enum privileges_user user, uid_t uid, gid_t gid, struct via_error *err);

#endif
