/* SPDX-License-Identifier: BSD-3-Clause */
/* Rates: two readings of the counters, and again. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

static const json_t *find_port(const json_t *stats, const char *name)
{
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(stats, "ports"), i,
			   port) if (strcmp(cli_string(port, "name"), name) == 0) return port;
	return NULL;
}

static double rate(const json_t *now, const json_t *before, const char *direction, const char *key,
		   double seconds)
{
	long long difference = cli_number(json_object_get(now, direction), key) -
			       cli_number(json_object_get(before, direction), key);

	return difference > 0 && seconds > 0 ? (double)difference / seconds : 0;
}

static void add_direction(struct table *table, const json_t *now, const json_t *before,
			  const char *direction, double seconds)
{
	char text[16];

	table_cell(table, "%s",
		   table_short(text, rate(now, before, direction, "packets", seconds)));
	table_cell(table, "%s",
		   table_short(text, rate(now, before, direction, "bytes", seconds) * 8));
	table_cell(table, "%s",
		   table_short(text, rate(now, before, direction, "dropped", seconds)));
}

static double seconds_between(const json_t *before, const json_t *now)
{
	return (double)(cli_number(now, "time_us") - cli_number(before, "time_us")) / 1e6;
}

static void print_rates(const json_t *now, const json_t *before)
{
	double seconds = seconds_between(before, now);
	struct table *table =
		table_create("PORT|TYPE|LINK|>RECEIVED/s|>bit/s|>DROPS/s|>SENT/s|>bit/s|>DROPS/s");
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(now, "ports"), i, port)
	{
		const json_t *old = find_port(before, cli_string(port, "name"));

		table_cell(table, "%s", cli_string(port, "name"));
		table_cell(table, "%s", cli_string(port, "type"));
		table_cell(table, "%s",
			   json_is_true(json_object_get(port, "link")) ? "up" : "down");
		add_direction(table, port, old, "receive", seconds);
		add_direction(table, port, old, "transmit", seconds);
	}
	table_print(table, stdout);
}

static json_t *direction_json(const json_t *now, const json_t *before, const char *direction,
			      double seconds)
{
	return json_pack("{s:f, s:f, s:f}", "packets_per_second",
			 rate(now, before, direction, "packets", seconds), "bits_per_second",
			 rate(now, before, direction, "bytes", seconds) * 8, "drops_per_second",
			 rate(now, before, direction, "dropped", seconds));
}

/* One object a reading, on a line of its own if others follow. */
static void print_rates_json(const json_t *now, const json_t *before)
{
	double seconds = seconds_between(before, now);
	json_t *ports = json_array(), *all;
	const json_t *port;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(now, "ports"), i, port)
	{
		const json_t *old = find_port(before, cli_string(port, "name"));

		json_array_append_new(
			ports, json_pack("{s:O, s:O, s:O, s:o, s:o}", "name",
					 json_object_get(port, "name"), "type",
					 json_object_get(port, "type"), "link",
					 json_object_get(port, "link"), "receive",
					 direction_json(port, old, "receive", seconds), "transmit",
					 direction_json(port, old, "transmit", seconds)));
	}
	all = json_pack("{s:f, s:o}", "seconds", seconds, "ports", ports);
	text = json_dumps(all, JSON_COMPACT);
	puts(text ? text : "{}");
	free(text);
	json_decref(all);
}

static bool parse(int argc, char *argv[], bool *once, double *seconds)
{
	*once = false;
	*seconds = 1;
	for (int i = 0; i < argc; i++) {
		char *end;

		if (strcmp(argv[i], "-1") == 0) {
			*once = true;
			continue;
		}
		*seconds = strtod(argv[i], &end);
		if (*end || *seconds < 0.1 || *seconds > 3600) {
			cli_fail(CLI_USAGE, "'%s' is no number of seconds from 0.1 to 3600",
				 argv[i]);
			return false;
		}
	}
	return true;
}

enum cli_status cli_top(struct cli *cli, int argc, char *argv[])
{
	double seconds;
	json_t *before, *now;
	bool once;

	if (!parse(argc, argv, &once, &seconds))
		return CLI_USAGE;
	before = cli_ask(cli, "stats", NULL);
	while (before) {
		const struct timespec wait = { (time_t)seconds,
					       (long)((seconds - (double)(time_t)seconds) * 1e9) };

		nanosleep(&wait, NULL);
		now = cli_ask(cli, "stats", NULL);
		if (!now)
			break;
		if (!once && !cli->json && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout); /* home, clear */
		if (cli->json)
			print_rates_json(now, before);
		else
			print_rates(now, before);
		fflush(stdout);
		json_decref(before);
		before = now;
		if (once || ferror(stdout)) {
			json_decref(now);
			return CLI_OK;
		}
	}
	json_decref(before);
	return CLI_FAILED;
}
