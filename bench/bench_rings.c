/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring cost (rings.h), for those who change the rings.
 *
 *   bench-rings                                        everything: half a minute
 *   bench-rings -o forward -p "split merg" -l 64       one case: an operation, a path, a length
 *   bench-rings -o forward -l 1518 -c header -e        frames cut so; with EVENT_IDX
 *   bench-rings -j …                                   a JSON object a line
 *   bench-rings -n …                                   for bench/instructions: see rings_count()
 *   bench-rings -b                                     how it was built
 *
 * Prints TSC cycles a packet: what the driver does to offer it, the device's part (the median of 21
 * runs, and the least), what the driver does to take it back. A TSC cycle is one of the nominal clock,
 * whatever the core does.
 */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/rings.h"

#define USAGE                                                                                \
	"usage: bench-rings [-o forward|dequeue|enqueue|switch|ring] [-p PATH] [-l BYTES]\n" \
	"                   [-c one|header|linear|indirect|fragments|pages] [-e] [-j] [-n | -b]\n"

struct options {
	struct rings_filter filter;
	bool json, count;
	double ns; /* of a cycle */
};

static void print_json(const struct rings_case *what, const struct bench_cost *cost)
{
	printf("{\"operation\": \"%s\", \"path\": \"%s\", \"frame\": \"%s\", \"len\": %u",
	       what->operation->name, what->path->name, what->frame.name, what->frame.len);
	if (cost)
		printf(", \"adds\": %.1f, \"device\": %.1f, \"least\": %.1f, \"reaps\": %.1f",
		       cost[RINGS_ADDS].median, cost[RINGS_DEVICE].median, cost[RINGS_DEVICE].least,
		       cost[RINGS_REAPS].median);
	puts("}");
}

static void print_line(const struct rings_case *what, const struct bench_cost *cost, double ns)
{
	printf("%-8s %-30s %5u%s  driver %7.1f  device %7.1f (least %7.1f, %7.1f ns)  driver "
	       "%7.1f\n",
	       what->operation->name, what->path->name, what->frame.len,
	       what->frame.gso ? " GSO" : "    ", cost[RINGS_ADDS].median,
	       cost[RINGS_DEVICE].median, cost[RINGS_DEVICE].least, cost[RINGS_DEVICE].least * ns,
	       cost[RINGS_REAPS].median);
}

static void run_case(void *user, const struct rings_case *what)
{
	const struct options *o = user;
	struct rings_cost cost;

	if (o->count) {
		rings_count(what);
		print_json(what, NULL);
		return;
	}
	cost = rings_measure(what);
	if (o->json)
		print_json(what, cost.part);
	else
		print_line(what, cost.part, o->ns);
	fflush(stdout);
}

static enum bench_form_number form_of(const char *name)
{
	for (int i = 0; i < BENCH_NR_FORMS; i++)
		if (strcmp(name, bench_forms[i].name) == 0)
			return (enum bench_form_number)i;
	fputs(USAGE, stderr);
	exit(2);
}

static uint32_t length_of(const char *text)
{
	const unsigned long len = strtoul(text, NULL, 10);

	if (len >= 14 && len <= VIA_FRAME_MAX)
		return (uint32_t)len;
	fprintf(stderr, "bench-rings: frames have 14 to %d bytes\n", VIA_FRAME_MAX);
	exit(2);
}

static struct options options_of(int argc, char **argv)
{
	struct options o = { .json = false };
	int opt;

	while ((opt = getopt(argc, argv, "o:p:l:c:ejnb")) != -1) {
		switch (opt) {
		case 'o':
			o.filter.operation = optarg;
			break;
		case 'p':
			o.filter.path = optarg;
			break;
		case 'l':
			o.filter.len = length_of(optarg);
			break;
		case 'c':
			o.filter.form = form_of(optarg);
			break;
		case 'e':
			o.filter.event_idx = true;
			break;
		case 'j':
			o.json = true;
			break;
		case 'n':
			o.count = true;
			break;
		case 'b':
			printf("%s-glibc-%s\n", BENCH_BUILD, gnu_get_libc_version());
			exit(0);
		default:
			fputs(USAGE, stderr);
			exit(2);
		}
	}
	return o;
}

int main(int argc, char **argv)
{
	struct options o = options_of(argc, argv);

	o.ns = bench_ns_per_cycle();
	if (rings_each(&o.filter, run_case, &o) > 0)
		return 0;
	fputs("bench-rings: no such operation or path\n" USAGE, stderr);
	return 2;
}
