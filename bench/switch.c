/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the switch itself costs a packet: bursts from a port that only lends, to ports that only count.
 *
 *   bench-switch [PATTERN [TURNS]]
 *
 * Patterns: 'flow' (one destination, one source), 'runs' (trains of 8), 'mixed' (each packet to
 * another of 16 stations), 'flood', 'vlan' (access to trunk: each frame gets a tag).
 * Prints nanoseconds per packet. For instructions per packet:
 *
 *   valgrind --tool=callgrind --toggle-collect=sw_forward bench-switch flow 1000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "switch/forward.h"

#define PORTS    18
#define STATIONS 16
#define N        32 /* packets in a burst */

struct pattern {
	const char *name;
	unsigned int train; /* packets to one station before the next; 0: broadcast */
	bool vlan;
};

static const struct pattern patterns[] = {
	{ "flow", 1 << 30, false }, { "runs", 8, false },      { "mixed", 1, false },
	{ "flood", 0, false },      { "vlan", 1 << 30, true },
};

static uint64_t counted;

static uint32_t count_burst(struct via_port *port, struct via_view *const *views, uint32_t n,
			    bool keep)
{
	(void)port;
	(void)views;
	(void)keep;
	counted += n;
	return n;
}

static const struct via_port_ops ops = { .type = "count", .egress_burst = count_burst };

static struct via_port port[PORTS];
static struct sw_member member[PORTS];
static const struct sw_member *places[PORTS];
static struct sw_table table;
static struct sw_vlan trunk;

static void make_table(const struct pattern *pattern)
{
	trunk.members[0] = 1 << 5;
	for (uint32_t i = 0; i < PORTS; i++) {
		port[i].ops = &ops;
		port[i].receive = calloc(1, sizeof(*port[i].receive));
		port[i].transmit = calloc(1, sizeof(*port[i].transmit));
		member[i].port = &port[i];
		member[i].index = (uint16_t)i;
		member[i].kind = !pattern->vlan ? SW_UNAWARE : i == 0 ? SW_ACCESS : SW_TRUNK;
		member[i].vlan = member[i].kind == SW_ACCESS ? 5 : 0;
		member[i].trunk = &trunk;
		places[i] = &member[i];
	}
	table.port = places;
	table.nr_ports = PORTS;
	table.flood[pattern->vlan ? 5 : 0] = (struct sw_flood){ places, PORTS };
}

static void make_frame(struct via_view *view, const struct pattern *pattern, uint32_t i)
{
	const uint8_t to = pattern->train ? (uint8_t)(1 + i / pattern->train % STATIONS) : 0;
	const uint8_t macs[14] = { 2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 200, 8, 0 };

	memset(view, 0, sizeof(*view));
	view->len = view->snapshot_len = 60;
	memcpy(view->snapshot, macs, sizeof(macs));
	if (to == 0)
		memset(view->snapshot, 0xff, 6);
}

static double measure(struct sw_pass *pass, uint32_t turns)
{
	struct sw_source source = { .port = &port[0] };
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (uint32_t i = 0; i < turns; i++)
		sw_forward(pass, &source, N, 1000000);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
	       (turns * (double)N);
}

static void run(const struct pattern *pattern, uint32_t turns)
{
	struct sw_core *core = aligned_alloc(VIA_CACHE_LINE, sizeof(*core));
	struct sw_pass *pass;

	memset(core, 0, sizeof(*core));
	if (sw_fdb_init(&core->fdb, &(struct sw_config){ 0 }, NULL) < 0)
		abort();
	make_table(pattern);
	atomic_store(&core->table, &table);
	for (uint32_t i = 1; i <= STATIONS; i++) {
		const uint64_t mac = 2 | (uint64_t)i << 40;

		sw_fdb_put_static(&core->fdb, sw_fdb_key(mac, pattern->vlan ? 5 : 0), i, NULL);
	}
	pass = sw_pass_create(core, 0);
	for (uint32_t i = 0; i < N; i++)
		make_frame(&pass->burst->view[i], pattern, i);
	counted = 0;
	printf("%-6s %6.2f ns a packet", pattern->name, measure(pass, turns));
	printf(" (%.1f copies)\n", (double)counted / (turns * (double)N));
	sw_pass_free(pass);
	sw_fdb_fini(&core->fdb);
	free(core);
}

int main(int argc, char **argv)
{
	const uint32_t turns = argc > 2 ? (uint32_t)atoi(argv[2]) : 200000;

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (argc < 2 || strcmp(argv[1], patterns[i].name) == 0)
			run(&patterns[i], turns);
	}
	return 0;
}
