/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is taken away from a process that touches strangers' bytes, once it needs it no more; for good.
 *
 *   sandbox_files.c   the file system, and the network by name (Landlock)
 *   sandbox_calls.c   system calls (seccomp): any that its lists do not have ends the process
 *   calls.c           the data process's lists; each is beside the code that needs it (base/calls.h)
 *
 * docs/security.md says what that leaves.
 */
#ifndef VIA_DAEMON_SANDBOX_H
#define VIA_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stdio.h>
#include <viaduct/error.h>

#include "base/calls.h"

/*
 * Closes the file system, TCP by name, and signals and abstract sockets to processes outside.
 * Returns the version of Landlock's interface, 0 if this kernel has none, or a negative errno
 * with the reason in 'err'. Before other threads are made: it concerns the calling one and its children.
 */
int sandbox_close_files(struct via_error *err);

/*
 * Leaves the process's threads, all of them, the calls of 'lists' (ends with NULL). Returns how many
 * these are, 0 if this build has no seccomp, or a negative errno with the reason in 'err'.
 */
int sandbox_limit_calls(const struct via_need *const *lists, struct via_error *err);

/* ---- calls.c ---- */

/* The data process's. Thread: control. */
const struct via_need *const *data_calls(void);
/* Each call with its reasons, for people. */
void calls_print(const struct via_need *const *lists, FILE *out);
/* How many different ones there are. */
unsigned int calls_count(const struct via_need *const *lists);

/* What instrumented builds need beyond (sandbox_plain.c, sandbox_instrumented.c): sanitizers and coverage
 * read and write files of their own. */
extern const struct via_need build_needs[];
extern const bool build_opens_files;

#endif
