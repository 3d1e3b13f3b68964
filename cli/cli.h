/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli: viaduct, the command line. It asks viaductd over the control socket and shows the answer, as
 * tables for people or (-j) as the JSON that came.
 *
 *   main.c         options, the table of commands, help      table.c        aligned columns
 *   show.c         status, stats, port show, fdb show, vlan  change.c       port add|del|set, fdb, …
 *   top.c          rates, again and again                    capture.c      pcap from a running switch
 *   doctor.c       what is wrong                             bench.c        back-ends, or a switch of its own, measured
 *   bench_rings.c  what a packet costs in this process
 *
 * May use daemon/rpc_client.h, bench/ and what every program may use of lib/. Nobody includes it.
 */
#ifndef VIA_CLI_H
#define VIA_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/daemon.h"
#include "daemon/rpc_client.h"

enum cli_status { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli {
	const char *program; /* argv[0] */
	char socket[4096];   /* longer than allowed, so that the refusal can say so */
	bool json;
	struct rpc_caller caller;
};

struct cli_command {
	const char *words;      /* "port add" */
	const char *args;       /* for help: "NAME type=TYPE [KEY=VALUE]…" */
	const char *help;       /* a sentence */
	int min_args, max_args; /* max -1: any number */
	enum cli_status (*run)(struct cli *cli, int argc, char *argv[]);
	const char *more; /* further help, or NULL */
};
extern const struct cli_command cli_commands[]; /* ends with NULL words */

/* Says one sentence on stderr: "viaduct: …". Returns 'status'. */
enum cli_status cli_fail(enum cli_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Connects if need be and calls a method ('params' is consumed). NULL after having said why not. */
json_t *cli_ask(struct cli *cli, const char *method, json_t *params);
json_t *cli_ask_with_fd(struct cli *cli, const char *method, json_t *params, int fd);
bool cli_connect(struct cli *cli); /* false after having said why not */

/* Prints as JSON; consumes 'json'. */
enum cli_status cli_print_json(json_t *json);

/* "KEY=VALUE" words into an object; false after having said which is none. 'example' shows how. */
bool cli_parse_pairs(json_t *object, int argc, char *argv[], const char *example);

const char *cli_string(const json_t *object, const char *key); /* "" if it is not there */
long long cli_number(const json_t *object, const char *key);

/* ---- table.c ---- */
struct table;
/* Columns by their heads, separated by '|'; one that begins with '>' is aligned to the right. */
struct table *table_create(const char *heads);
/* The next cell of the current row; rows end by themselves. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct table *table, FILE *out); /* and frees it */
/* 1234567 as "1.23 M", for people. */
const char *table_short(char text[16], double value);

/* ---- commands ---- */
typedef enum cli_status cli_run(struct cli *cli, int argc, char *argv[]);
cli_run cli_status_command, cli_stats, cli_port_show, cli_fdb_show, cli_vlan; /* show.c */
cli_run cli_port_add, cli_port_del, cli_port_set, cli_fdb_add, cli_fdb_del, cli_fdb_flush,
	cli_reload, cli_save, cli_set, cli_call; /* change.c */
cli_run cli_top, cli_capture, cli_doctor, cli_bench, cli_bench_rings, cli_demo, cli_help;

#endif
