/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the switch itself costs a packet: bursts from a port that only lends, to ports that only count.
 *
 *   bench-switch [PATTERN [TURNS]]
 *
 * Patterns: 'flow' (one destination, one source), 'runs' (trains of 8), 'mixed' (each packet to
 * another of 16 stations), 'flood', 'vlan' (access to trunk: each frame gets a tag), 'thousand' and
 * 'million' (each packet between another pair of so many stations).
 * Prints TSC cycles and nanoseconds a packet, medians of 21 runs. For instructions:
 *
 *   valgrind --tool=callgrind --toggle-collect=sw_forward bench-switch flow 1000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/core.h"
#include "bench/measure.h"

#define N    64 /* packets in a burst */
#define VLAN 5

struct pattern {
	const char *name;
	unsigned int train; /* packets to one station before the next; 0: broadcast */
	uint16_t vlan;
	uint32_t stations; /* 0: BENCH_STATIONS, and one source */
};

static const struct pattern patterns[] = {
	{ "flow", 1 << 30, 0, 0 },    { "runs", 8, 0, 0 },          { "mixed", 1, 0, 0 },
	{ "flood", 0, 0, 0 },         { "vlan", 1 << 30, VLAN, 0 }, { "thousand", 1, 0, 1000 },
	{ "million", 1, 0, 1000000 },
};

static uint64_t copies;

static uint32_t count_burst(struct via_port *port, struct via_view *const *views, uint32_t n,
			    bool keep)
{
	(void)port;
	(void)views;
	(void)keep;
	copies += n;
	return n;
}

static const struct via_port_ops ops = { .type = "count", .egress_burst = count_burst };

static void make_frame(struct via_view *view, const struct pattern *pattern, uint32_t i)
{
	const uint8_t to = pattern->train ? (uint8_t)(1 + i / pattern->train % BENCH_STATIONS) : 0;
	const uint8_t macs[] = BENCH_MACS(to);

	view->len = view->snapshot_len = 60;
	memcpy(view->snapshot, macs, sizeof(macs));
	view->snapshot[12] = 8; /* IPv4 */
	if (to == 0)
		memset(view->snapshot, 0xff, 6);
}

/* The address of a station: those with even numbers are at the source's port, the others at port 1. */
static void put_station(uint8_t mac[6], uint32_t i)
{
	const uint8_t bytes[6] = {
		2, 1, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i
	};

	memcpy(mac, bytes, sizeof(bytes));
}

static void learn_stations(struct bench_core *core, uint32_t nr_stations)
{
	uint8_t mac[6];

	for (uint32_t i = 0; i < nr_stations; i++) {
		put_station(mac, i);
		bench_core_learn(core, mac, i & 1);
	}
}

/* The next N pairs of stations. */
static void change_stations(struct via_view *view, uint32_t nr_stations)
{
	static uint32_t next;

	for (uint32_t i = 0; i < N; i++) {
		put_station(view[i].snapshot, nr_stations - 1 - next);
		put_station(view[i].snapshot + 6, next);
		next = (next + 2) % nr_stations;
	}
}

struct load {
	struct bench_core *core;
	const struct pattern *pattern;
	uint32_t turns;
};

static void run(void *user, double *cycles)
{
	const struct load *load = user;
	const uint32_t stations = load->pattern->stations;
	const uint64_t begin = via_cycles();

	for (uint32_t i = 0; i < load->turns; i++) {
		if (stations)
			change_stations(load->core->pass->burst->view, stations);
		bench_core_forward(load->core, N);
	}
	*cycles = (double)(via_cycles() - begin) / (load->turns * (double)N);
}

/* How many copies become of a packet. */
static double count_copies(struct bench_core *core)
{
	copies = 0;
	bench_core_forward(core, N);
	return (double)copies / N;
}

static void measure(const struct pattern *pattern, uint32_t turns, double ns)
{
	struct load load = { bench_core_open(&ops, NULL, pattern->vlan), pattern, turns };
	struct bench_cost cost;

	for (uint32_t i = 0; i < N; i++)
		make_frame(&load.core->pass->burst->view[i], pattern, i);
	learn_stations(load.core, pattern->stations);
	bench_repeat(run, &load, &cost, 1);
	printf("%-8s %6.1f cycles %6.2f ns a packet (%.1f copies)\n", pattern->name, cost.median,
	       cost.median * ns, count_copies(load.core));
	bench_core_close(load.core);
}

int main(int argc, char **argv)
{
	const uint32_t turns = argc > 2 ? (uint32_t)atoi(argv[2]) : 10000;
	const double ns = bench_ns_per_cycle();

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (argc < 2 || strcmp(argv[1], patterns[i].name) == 0)
			measure(&patterns[i], turns, ns);
	}
	return 0;
}
