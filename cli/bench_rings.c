/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring cost on this machine (bench/rings.h): no daemon, no socket, one thread. */
#include <string.h>

#include "bench/rings.h"
#include "cli/cli.h"

struct view {
	const struct rings_operation *shown; /* that 'table' is about */
	struct table *table;
	json_t *json; /* an array; NULL: tables for people */
};

static void end_table(struct view *view)
{
	if (!view->table)
		return;
	printf("%s: %s\n", view->shown->name, view->shown->help);
	table_print(view->table, stdout);
	putchar('\n');
	fflush(stdout);
	view->table = NULL;
}

static void begin_table(struct view *view, const struct rings_operation *operation)
{
	char heads[128] = "cycles a packet";

	for (int i = 0; i < RINGS_NR_FRAMES; i++) {
		strcat(heads, "|>");
		strcat(heads, rings_frames[i].name);
	}
	view->table = table_create(heads);
	view->shown = operation;
}

static void show_case(void *user, const struct rings_case *what)
{
	struct view *view = user;
	const struct bench_cost cost = rings_measure(what).part[RINGS_DEVICE];

	if (view->json) {
		json_array_append_new(view->json,
				      json_pack("{s:s, s:s, s:s, s:i, s:f, s:f}", "operation",
						what->operation->name, "path", what->path->name,
						"frame", what->frame.name, "bytes",
						(int)what->frame.len, "cycles", cost.median,
						"least", cost.least));
		return;
	}
	if (view->shown != what->operation) {
		end_table(view);
		begin_table(view, what->operation);
	}
	if (strcmp(what->frame.name, rings_frames[0].name) == 0)
		table_cell(view->table, "%s", what->path->name);
	table_cell(view->table, "%.0f", cost.median);
}

enum cli_status cli_bench_rings(struct cli *cli, int argc, char *argv[])
{
	const struct rings_filter filter = { .operation = argc ? argv[0] : NULL };
	struct view view = { .json = cli->json ? json_array() : NULL };

	if (rings_each(&filter, show_case, &view) == 0) {
		json_decref(view.json);
		return cli_fail(CLI_USAGE,
				"there is no operation '%s'; 'viaduct help bench rings' lists them",
				argv[0]);
	}
	if (cli->json)
		return cli_print_json(view.json);
	end_table(&view);
	printf("A cycle is one of the processor's clock at its nominal frequency: %.2f ns.\n",
	       bench_ns_per_cycle());
	return CLI_OK;
}
