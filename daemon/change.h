/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the running switch. A port's end takes a grace period, so a change is an object: collect
 * what is to be done, run it, get a report when all of it is done. One change at a time.
 */
#ifndef VIA_DAEMON_CHANGE_H
#define VIA_DAEMON_CHANGE_H

#include "daemon/running.h"

/*
 * 'report' is a mapping (borrowed until return) with lists of port names "added", "removed",
 * "changed" (without disturbing it), "reopened" and of sentences "failed" and "notes".
 */
typedef void change_done_fn(void *user, const struct node *report);

/* Begins one; NULL: no memory, or another is under way. */
struct change *change_begin(struct daemon *d, change_done_fn *done, void *user);
/* 'port' is consumed. Duplicates have been checked before. */
void change_add(struct change *change, struct cfg_port *port);
void change_del(struct change *change, const char *name);
/* Makes the port of the same name what 'port' (consumed) says: in place if only its VLANs or its
 * isolation differ, else by closing and opening it. */
void change_set(struct change *change, struct cfg_port *port);
void change_note(struct change *change, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Does it. 'done' is called from here or later; then 'change' is gone. */
void change_run(struct change *change);

/* Collects what leads from the running configuration to 'wanted' (whose ports it takes). */
void change_collect(struct change *change, struct cfg *wanted);

/* At start: opens every port of d->cfg. Returns how many failed, each with an error in the log; those
 * are no longer in d->cfg. */
uint32_t change_open_all(struct daemon *d);

/* Gives memory that ports' comings and goings have left back to the system, after a grace period. */
void change_trim(struct daemon *d);

/* Static addresses: in the switch and in the running configuration. */
int change_add_static(struct daemon *d, const struct cfg_static *entry, struct via_error *err);
int change_del_static(struct daemon *d, const uint8_t mac[6], uint16_t vlan, struct via_error *err);

int change_set_poll_us(struct daemon *d, uint32_t poll_us, struct via_error *err);

/* Writes the running configuration for the broker (data.h). Called at the end of a change. */
void change_remember(struct daemon *d);

#endif
