/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that only show. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "net/drop.h"

static const char *up_or_down(const json_t *port)
{
	return json_is_true(json_object_get(port, "link")) ? "up" : "down";
}

/* ---- status ---- */

static void print_duration(long long seconds)
{
	if (seconds >= 86400)
		printf("%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 3600)
		printf("%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else if (seconds >= 60)
		printf("%lld min %lld s", seconds / 60, seconds % 60);
	else
		printf("%lld s", seconds);
}

static void print_workers(const json_t *workers)
{
	struct table *table =
		table_create(">WORKER|CPU|STATE|>QUEUES|>POLLED|>BUSY|>PACKETS|>SLEEPS");
	const json_t *worker;
	size_t i;

	json_array_foreach(workers, i, worker)
	{
		long long cpu = cli_number(worker, "cpu");
		char text[16];

		table_cell(table, "%zu", i);
		if (cpu < 0)
			table_cell(table, "any");
		else
			table_cell(table, "%lld", cpu);
		table_cell(table, "%s",
			   json_is_true(json_object_get(worker, "asleep")) ? "asleep" : "awake");
		table_cell(table, "%lld", cli_number(worker, "queues"));
		table_cell(table, "%lld", cli_number(worker, "polled"));
		table_cell(table, "%.1f s", (double)cli_number(worker, "busy_us") / 1e6);
		table_cell(table, "%s", table_short(text, (double)cli_number(worker, "packets")));
		table_cell(table, "%lld", cli_number(worker, "sleeps"));
	}
	table_print(table, stdout);
}

static void print_sandbox(const json_t *sandbox)
{
	long long calls = cli_number(sandbox, "calls"), landlock = cli_number(sandbox, "landlock");

	printf("  sandbox        ");
	if (calls)
		printf("%lld system calls", calls);
	else
		printf("every system call");
	if (landlock)
		printf(", no files (Landlock %lld)\n", landlock);
	else
		printf(", no Landlock\n");
}

enum cli_status cli_status_command(struct cli *cli, int argc, char *argv[])
{
	json_t *status = cli_ask(cli, "status", NULL);
	const json_t *poll_us;

	(void)argc;
	(void)argv;
	if (!status)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(status);
	printf("viaductd %s, process %lld, up ", cli_string(status, "version"),
	       cli_number(status, "pid"));
	print_duration(cli_number(status, "uptime_s"));
	printf("\n  configuration  %s\n", cli_string(status, "config")[0]
						  ? cli_string(status, "config")
						  : "none (started without)");
	printf("  control        %s\n", cli_string(status, "control"));
	if (cli_string(status, "metrics")[0])
		printf("  metrics        %s\n", cli_string(status, "metrics"));
	printf("  ports          %lld, %lld of them up\n", cli_number(status, "ports"),
	       cli_number(status, "ports_up"));
	printf("  MAC addresses  %lld\n", cli_number(status, "fdb_entries"));
	print_sandbox(json_object_get(status, "sandbox"));
	poll_us = json_object_get(status, "poll_us");
	if (json_is_string(poll_us))
		printf("  polling        always\n\n");
	else if (json_integer_value(poll_us) == 0)
		printf("  polling        never (interrupts only)\n\n");
	else
		printf("  polling        %lld us after the last packet\n\n",
		       (long long)json_integer_value(poll_us));
	print_workers(json_object_get(status, "workers"));
	json_decref(status);
	return CLI_OK;
}

/* ---- ports ---- */

static void print_value(const json_t *value);

/* "packed: off, indirect: off" */
static void print_map(const json_t *map)
{
	/* The cast is for jansson's iterator, which does not write. */
	json_t *object = (json_t *)(uintptr_t)map, *value;
	const char *key, *comma = "";

	json_object_foreach(object, key, value)
	{
		printf("%s%s: ", comma, key);
		print_value(value);
		comma = ", ";
	}
}

static void print_value(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		fputs(json_string_value(value), stdout);
	} else if (json_is_boolean(value)) {
		fputs(json_is_true(value) ? "on" : "off", stdout);
	} else if (json_is_object(value)) {
		print_map(value);
	} else {
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		fputs(text ? text : "", stdout);
		free(text);
	}
}

static void print_facts(const json_t *facts, const char *title)
{
	size_t width = 0;
	const char *key;
	json_t *value;
	json_t *object =
		(json_t *)(uintptr_t)facts; /* for jansson's iterator, which does not write */

	if (json_object_size(facts) == 0)
		return;
	printf("%s\n", title);
	json_object_foreach(object, key, value) if (strlen(key) > width) width = strlen(key);
	json_object_foreach(object, key, value)
	{
		printf("  %-*s  ", (int)width, key);
		print_value(value);
		fputc('\n', stdout);
	}
}

static void print_direction(const json_t *port, const char *direction, const char *title)
{
	json_t *stats = json_object_get(port, direction), *count;
	const char *reason;

	printf("%s\n  packets %lld, bytes %lld, dropped %lld\n", title,
	       cli_number(stats, "packets"), cli_number(stats, "bytes"),
	       cli_number(stats, "dropped"));
	json_object_foreach(json_object_get(stats, "drops"), reason, count)
		printf("    %lld %s\n", (long long)json_integer_value(count), reason);
}

static enum cli_status show_port(struct cli *cli, const char *name)
{
	json_t *port = cli_ask(cli, "port.show", json_pack("{s:s}", "name", name));

	if (!port)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(port);
	printf("%s: %s, %s\n", cli_string(port, "name"), cli_string(port, "type"),
	       up_or_down(port));
	print_facts(json_object_get(port, "config"), "settings");
	print_facts(json_object_get(port, "facts"), "now");
	print_direction(port, "receive", "received from it");
	print_direction(port, "transmit", "sent to it");
	json_decref(port);
	return CLI_OK;
}

enum cli_status cli_port_show(struct cli *cli, int argc, char *argv[])
{
	json_t *ports, *port;
	struct table *table;
	size_t i;

	if (argc == 1)
		return show_port(cli, argv[0]);
	ports = cli_ask(cli, "port.list", NULL);
	if (!ports)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(ports);
	table = table_create("NAME|TYPE|LINK|>QUEUES|>MTU");
	json_array_foreach(ports, i, port)
	{
		table_cell(table, "%s", cli_string(port, "name"));
		table_cell(table, "%s", cli_string(port, "type"));
		table_cell(table, "%s", up_or_down(port));
		table_cell(table, "%lld", cli_number(port, "queues"));
		if (cli_number(port, "mtu"))
			table_cell(table, "%lld", cli_number(port, "mtu"));
		else
			table_cell(table, "-");
	}
	table_print(table, stdout);
	json_decref(ports);
	return CLI_OK;
}

/* ---- stats ---- */

static const char *text_of_reason(const char *label)
{
	for (int i = 0; i < VIA_NR_DROPS; i++)
		if (strcmp(via_drop_label((enum via_drop)i), label) == 0)
			return via_drop_text((enum via_drop)i);
	return "";
}

static void print_drops(const json_t *port, const char *direction)
{
	json_t *drops = json_object_get(json_object_get(port, direction), "drops"), *count;
	const char *reason;

	json_object_foreach(drops, reason, count)
		printf("%s: %lld dropped, %s: %s\n", cli_string(port, "name"),
		       (long long)json_integer_value(count), reason, text_of_reason(reason));
}

static void add_direction(struct table *table, const json_t *port, const char *direction)
{
	const json_t *stats = json_object_get(port, direction);

	table_cell(table, "%lld", cli_number(stats, "packets"));
	table_cell(table, "%lld", cli_number(stats, "bytes"));
	table_cell(table, "%lld", cli_number(stats, "dropped"));
}

enum cli_status cli_stats(struct cli *cli, int argc, char *argv[])
{
	json_t *stats = cli_ask(cli, "stats", argc ? json_pack("{s:s}", "port", argv[0]) : NULL);
	json_t *ports = json_object_get(stats, "ports"), *port;
	struct table *table;
	size_t i;

	if (!stats)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(stats);
	table = table_create("PORT|LINK|>RECEIVED|>BYTES|>DROPPED|>SENT|>BYTES|>DROPPED");
	json_array_foreach(ports, i, port)
	{
		table_cell(table, "%s", cli_string(port, "name"));
		table_cell(table, "%s", up_or_down(port));
		add_direction(table, port, "receive");
		add_direction(table, port, "transmit");
	}
	table_print(table, stdout);
	printf("\nReceived and sent as the switch sees it: received is what came from the port.\n");
	json_array_foreach(ports, i, port)
	{
		print_drops(port, "receive");
		print_drops(port, "transmit");
	}
	json_decref(stats);
	return CLI_OK;
}

/* ---- addresses and VLANs ---- */

enum cli_status cli_fdb_show(struct cli *cli, int argc, char *argv[])
{
	json_t *params = json_object(), *answer, *entry;
	struct table *table;
	size_t i, shown;

	if (argc && !strchr(argv[0], '=')) {
		json_object_set_new(params, "port", json_string(argv[0]));
		argc--;
		argv++;
	}
	if (!cli_parse_pairs(params, argc, argv, "viaduct fdb show vm1 limit=5000")) {
		json_decref(params);
		return CLI_USAGE;
	}
	answer = cli_ask(cli, "fdb.show", params);
	if (!answer)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(answer);
	table = table_create("MAC|>VLAN|PORT|>AGE|KIND");
	json_array_foreach(json_object_get(answer, "entries"), i, entry)
	{
		table_cell(table, "%s", cli_string(entry, "mac"));
		if (cli_number(entry, "vlan"))
			table_cell(table, "%lld", cli_number(entry, "vlan"));
		else
			table_cell(table, "-");
		table_cell(table, "%s", cli_string(entry, "port"));
		if (json_is_true(json_object_get(entry, "static"))) {
			table_cell(table, "-");
			table_cell(table, "static");
		} else {
			table_cell(table, "%lld s", cli_number(entry, "age_s"));
			table_cell(table, "learned");
		}
	}
	table_print(table, stdout);
	shown = json_array_size(json_object_get(answer, "entries"));
	if ((long long)shown < cli_number(answer, "total"))
		printf("… %zu of %lld shown; limit=N shows more\n", shown,
		       cli_number(answer, "total"));
	json_decref(answer);
	return CLI_OK;
}

enum cli_status cli_vlan(struct cli *cli, int argc, char *argv[])
{
	json_t *ports = cli_ask(cli, "vlan.show", NULL), *port;
	struct table *table;
	size_t i;

	(void)argc;
	(void)argv;
	if (!ports)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(ports);
	table = table_create("PORT|MODE|UNTAGGED|TAGGED|ISOLATED");
	json_array_foreach(ports, i, port)
	{
		table_cell(table, "%s", cli_string(port, "port"));
		table_cell(table, "%s", cli_string(port, "mode"));
		if (cli_number(port, "vlan"))
			table_cell(table, "%lld", cli_number(port, "vlan"));
		else
			table_cell(table, "-");
		table_cell(table, "%s",
			   cli_string(port, "trunk")[0] ? cli_string(port, "trunk") : "-");
		table_cell(table, "%s",
			   json_is_true(json_object_get(port, "isolated")) ? "isolated" : "-");
	}
	table_print(table, stdout);
	json_decref(ports);
	return CLI_OK;
}
