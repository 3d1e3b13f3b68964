/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that a lossless destination did not take, kept until it does.
 *
 * A ring takes chains back and hands them out again. What was read from a descriptor cannot be put
 * back, so a port that reads keeps copies: the undelivered end of a burst, lent again, in order,
 * before anything new is read.
 */
#ifndef VIA_PORT_STASH_H
#define VIA_PORT_STASH_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/view.h>

/* Of one ingress queue, used by its worker. Zeroed: empty. */
struct port_stash {
	struct via_burst *burst; /* its memory; made when first needed */
	uint32_t next, n;        /* views [next, n) wait */
};

static inline bool port_stash_is_empty(const struct port_stash *stash)
{
	return stash->next == stash->n;
}

/*
 * Keeps copies of views [first, first + n) of 'burst'; the stash is empty before. What follows their
 * snapshots is at most a slot and, together, the overflow of a burst: as ports that read have it.
 * Returns 0 or -ENOMEM.
 */
int port_stash_keep(struct port_stash *stash, const struct via_burst *burst, uint32_t first,
		    uint32_t n);

/* Lends up to 'max' of what waits in burst->view[0 …]; their pieces lie in the stash. Returns how
 * many. */
uint32_t port_stash_lend(struct port_stash *stash, struct via_burst *burst, uint32_t max);

/* The last 'undelivered' of what was lent wait again. */
void port_stash_return(struct port_stash *stash, uint32_t undelivered);

void port_stash_free(struct port_stash *stash);

#endif
