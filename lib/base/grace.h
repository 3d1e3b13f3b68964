/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of a loop that waits for workers: see via_loop_after_grace() in viaduct/loop.h. */
#ifndef VIA_GRACE_H
#define VIA_GRACE_H

#include <viaduct/loop.h>

struct via_grace; /* opaque */

/* Thread of all: control. */
int via_grace_create(struct via_grace **grace, struct via_loop *loop, struct via_error *err);
/* Runs what is outstanding, also what its callbacks add, then frees. Accepts NULL. */
void via_grace_free(struct via_grace *grace);
/* Starts the thread that waits, which else happens when it is first needed. Returns 0 or a negative
 * errno. */
int via_grace_start(struct via_grace *grace);
void via_grace_call(struct via_grace *grace, via_grace_fn *fn, void *user);

#endif
