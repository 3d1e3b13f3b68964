/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the table that workers read: for each port its member, for each VLAN the members that a flood
 * goes to. It is built as a whole for each change; a VLAN's list costs nothing until it has members.
 */
#include "switch/table.h"

#include <errno.h>
#include <stdlib.h>

/* Calls for each VLAN that the member is in. */
static void each_vlan(const struct sw_member *m,
		      void (*fn)(struct sw_published *to, const struct sw_member *m, uint32_t vlan),
		      struct sw_published *to)
{
	if (m->kind != SW_TRUNK) {
		fn(to, m, m->vlan);
		return;
	}
	if (m->vlan)
		fn(to, m, m->vlan);
	for (uint32_t i = 0; i < ARRAY_SIZE(m->trunk->members); i++) {
		for (uint64_t bits = m->trunk->members[i]; bits; bits &= bits - 1) {
			const uint32_t vlan = i * 64 + (uint32_t)__builtin_ctzll(bits);

			if (vlan != m->vlan)
				fn(to, m, vlan);
		}
	}
}

static void count_in(struct sw_published *to, const struct sw_member *m, uint32_t vlan)
{
	(void)m;
	to->table.flood[vlan].n++;
}

static void list_in(struct sw_published *to, const struct sw_member *m, uint32_t vlan)
{
	struct sw_flood *flood = &to->table.flood[vlan];
	/* The lists are ours until they are published. */
	const struct sw_member **list = &to->lists[flood->member - to->lists];

	list[flood->n++] = m;
}

void sw_published_free(void *user)
{
	struct sw_published *p = user;

	if (!p)
		return;
	free(p->retired);
	free(p->lists);
	free(p);
}

/* Lays the lists out: all ports first, then the members of each VLAN. */
static int place_lists(struct sw_published *to, uint32_t nr_ports)
{
	uint64_t n = nr_ports;

	for (uint32_t v = 0; v < SW_NR_VLANS; v++)
		n += to->table.flood[v].n;
	to->lists = calloc(n + 1, sizeof(*to->lists));
	if (!to->lists)
		return -ENOMEM;
	n = nr_ports;
	for (uint32_t v = 0; v < SW_NR_VLANS; v++) {
		to->table.flood[v].member = to->lists + n;
		n += to->table.flood[v].n;
		to->table.flood[v].n = 0;
	}
	to->table.port = to->lists;
	to->table.nr_ports = nr_ports;
	return 0;
}

struct sw_published *sw_published_build(const struct sw_member *const *members, uint32_t n)
{
	struct sw_published *to = calloc(1, sizeof(*to));

	if (!to)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (members[i])
			each_vlan(members[i], count_in, to);
	}
	if (place_lists(to, n) < 0) {
		sw_published_free(to);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		to->lists[i] = members[i];
		if (members[i])
			each_vlan(members[i], list_in, to);
	}
	return to;
}
