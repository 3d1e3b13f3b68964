/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before everything else when the checks and barriers of lib/ can be taken away: each has a
 * number, and VIA_MUTANT in the environment says which one is missing. So all of them are compiled at
 * once. The file that VIA_MUTANT_SEEN names has a byte for each, set when something depended on it.
 */
#ifndef VIA_TESTS_MUTANT_H
#define VIA_TESTS_MUTANT_H

extern unsigned int via_mutant;
extern unsigned char *via_mutant_seen;

/* Whether check or barrier 'n' is there. */
static inline int via_is_there(unsigned int n)
{
	if (via_mutant_seen) /* any thread, and no race for the thread sanitizer */
		__atomic_store_n(&via_mutant_seen[n], 1, __ATOMIC_RELAXED);
	return via_mutant != n;
}

#define VIA_MUTANT_CHECK(n, ...) ((__VA_ARGS__) && via_is_there(n))  /* else never true */
#define VIA_MUTANT_NEED(n, ...)  ((__VA_ARGS__) || !via_is_there(n)) /* else always true */

#endif
