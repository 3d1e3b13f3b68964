/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Getting rid of descriptors that a peer has sent.
 *
 * close() may wait for whoever is behind a file: a FUSE server that hears of it and never answers, whom
 * not even a signal ends, or a network socket that lingers. What we take from peers is of kinds that cannot
 * (eventfds, memory); what is refused may be anything, and is closed by a thread that does nothing else
 * (R1, R3). It is started with the watchdog; before that, close() is called right here.
 */
#ifndef VIA_DISCARD_H
#define VIA_DISCARD_H

#include <stdbool.h>

/* One peer's, so that nobody has more than his share waiting (R13). */
struct via_discards; /* opaque */

struct via_discards *via_discards_create(void); /* NULL without memory */
void via_discards_free(
	struct via_discards *discards); /* what waits goes on waiting; accepts NULL */

/* Closes 'fd', now or later. Thread: any. */
void via_discard(struct via_discards *discards, int fd);

/* Closes a UNIX stream socket after what its peer has put into it: descriptors lie there too. */
void via_discard_socket(struct via_discards *discards, int fd);

/* Whether so many wait that nothing more should be taken from this peer. Thread: any. */
bool via_discards_are_many(const struct via_discards *discards);

/* The thread, for who starts it; and that it is there. */
void *via_discard_run(void *user);
void via_discard_started(void);

#endif
