/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of system calls: counting and printing them. */
#include <string.h>

#include "daemon/sandbox.h"

/* Whether 'need' is the first that names its call. */
static bool is_first(const struct via_need *const *lists, const struct via_need *need)
{
	for (; *lists; lists++)
		for (const struct via_need *n = *lists; n->call; n++)
			if (strcmp(n->call, need->call) == 0)
				return n == need;
	return true;
}

unsigned int calls_count(const struct via_need *const *lists)
{
	unsigned int count = 0;

	for (const struct via_need *const *list = lists; *list; list++)
		for (const struct via_need *n = *list; n->call; n++)
			count += is_first(lists, n);
	return count;
}

static void print_reasons(const struct via_need *const *lists, const char *call, FILE *out)
{
	for (; *lists; lists++)
		for (const struct via_need *n = *lists; n->call; n++)
			if (strcmp(n->call, call) == 0)
				fprintf(out, "      %s%s\n", n->why,
					n->rule == VIA_NEED_ANY ? "" : " (no other arguments)");
}

void calls_print(const struct via_need *const *lists, FILE *out)
{
	for (const struct via_need *const *list = lists; *list; list++)
		for (const struct via_need *n = *list; n->call; n++)
			if (is_first(lists, n)) {
				fprintf(out, "  %s\n", n->call);
				print_reasons(lists, n->call, out);
			}
}
