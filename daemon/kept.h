/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running configuration, in memory that outlives a data process: the broker makes it, each data
 * process in turn maps it, reads what the one before has left, and stores its own after each change.
 * The broker never reads it again, so nothing in it can harm anybody else.
 */
#ifndef VIA_DAEMON_KEPT_H
#define VIA_DAEMON_KEPT_H

#include <stdint.h>

#include "daemon/daemon.h"

struct kept {
	_Atomic(uint64_t) size; /* of 'text'; 0 while it changes: an empty configuration is valid */
	char text[DAEMON_CONFIG_MAX];
};

/* A memfd (owned by the caller) with this text, or a negative errno. */
int kept_create(const char *text, size_t size, struct via_error *err);
/* Maps it for good; NULL with the reason in 'err'. */
struct kept *kept_map(int fd, struct via_error *err);
/* Returns 0, or -EFBIG and leaves what was there. */
int kept_store(struct kept *kept, const char *text, size_t size);
/* How much of 'text' there is. */
size_t kept_size(const struct kept *kept);

#endif
