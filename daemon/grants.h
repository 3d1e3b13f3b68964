/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the data process may have opened: the broker's own record of what the operator has named.
 *
 * It grows with every configuration that the broker itself has read, at the start and at each reload, and
 * never shrinks: a port that cannot be reopened as wanted is opened again as it was. What a client of the
 * control API adds at run time reaches the broker by way of the data process, and so counts for nothing
 * here: such sockets must lie in a directory that is ours or that the operator has named for them, and such
 * interfaces must be new, or given to our user by who made them.
 */
#ifndef VIA_DAEMON_GRANTS_H
#define VIA_DAEMON_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"

struct grants {
	char **sockets, **interfaces, **dirs;
	uint32_t nr_sockets, nr_interfaces, nr_dirs;
};

/* Returns 0, or -ENOMEM with less granted than was named. */
int grants_add(struct grants *grants, const struct cfg *cfg);
bool grants_has_socket(const struct grants *grants, const char *path);
bool grants_has_interface(const struct grants *grants, const char *ifname);
void grants_fini(struct grants *grants);

#endif
