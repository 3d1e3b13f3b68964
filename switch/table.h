/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of ports and VLANs (core.h) as control makes and frees it.
 */
#ifndef SW_TABLE_H
#define SW_TABLE_H

#include "switch/core.h"

/* A table with its lists, and a member that went out of use with it. */
struct sw_published {
	struct sw_table table;
	const struct sw_member **lists; /* what table.port and table.flood point into */
	struct sw_member *retired;      /* owned; NULL: none */
};

/* Builds the table of members[0 … n - 1] (borrowed while the table lives; NULL where there is none).
 * NULL without memory. Thread: control. */
struct sw_published *sw_published_build(const struct sw_member *const *members, uint32_t n);

/* Frees a struct sw_published and what it retired, after a grace period. Accepts NULL. */
void sw_published_free(void *published);

#endif
