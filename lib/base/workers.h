/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What grace.c wants to know of the workers: are there any, and who holds a grace period up?
 *
 * liburcu does the waiting; it cannot name whom it waits for, so each worker also notes the last mark
 * that it saw when it was quiescent.
 */
#ifndef VIA_WORKERS_H
#define VIA_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether any thread was ever registered. Thread: any. */
bool via_workers_ever(void);

/* After a grace period: orders what workers did before it before what the caller does next. liburcu
 * does so too, but by means that ThreadSanitizer cannot see. Thread: any. */
void via_workers_settle(void);

/* Begins a new mark: workers that are quiescent from now on have seen it. Thread: any. */
uint64_t via_workers_mark(void);

/* Writes the names of the workers that have not been quiescent since 'mark' into 'text', separated
 * by ", ", as far as they fit. Returns how many there are. Thread: any. */
unsigned int via_workers_late(uint64_t mark, char *text, size_t size);

#endif
