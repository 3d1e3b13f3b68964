/* SPDX-License-Identifier: BSD-3-Clause */
/* viaduct: options, the table of commands, and asking. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/client/client.h"
#include "cli/cli.h"
#include "daemon/value.h"

#define PORT_KEYS                                                                                   \
	"Keys are those of the configuration: mtu, vlan, trunk=10,20-30, lossless, isolated, and\n" \
	"the type's own (socket, mode, queue_pairs, …); 'viaductd --keys' lists all of them."

const struct cli_command cli_commands[] = {
	{ "status", "", "The daemon and its workers.", 0, 0, cli_status_command, NULL },
	{ "port show", "[NAME]", "All ports, or one with all that is known of it.", 0, 1,
	  cli_port_show, NULL },
	{ "port add", "NAME type=TYPE [KEY=VALUE]…", "Adds a port.", 2, -1, cli_port_add,
	  "viaduct port add vm1 type=vhost-user socket=/run/viaduct/vm1.sock\n" PORT_KEYS },
	{ "port del", "NAME", "Closes a port.", 1, 1, cli_port_del, NULL },
	{ "port set", "NAME KEY=VALUE…", "Changes keys of a port; KEY= removes one.", 2, -1,
	  cli_port_set,
	  "VLANs and isolation change while packets flow; anything else closes and opens the port.\n" PORT_KEYS },
	{ "fdb show", "[PORT] [limit=N]", "The table of MAC addresses.", 0, 2, cli_fdb_show, NULL },
	{ "fdb add", "MAC port=PORT [vlan=N]", "Adds a static address.", 2, 3, cli_fdb_add, NULL },
	{ "fdb del", "MAC [vlan=N]", "Removes an address.", 1, 2, cli_fdb_del, NULL },
	{ "fdb flush", "[PORT]", "Forgets learned addresses; asks guests to announce themselves.",
	  0, 1, cli_fdb_flush, NULL },
	{ "vlan", "", "Ports and their VLANs.", 0, 0, cli_vlan, NULL },
	{ "stats", "[PORT]", "Counters, and why packets were dropped.", 0, 1, cli_stats, NULL },
	{ "top", "[-1] [SECONDS]", "Rates of all ports, every second; -1: once.", 0, 2, cli_top,
	  NULL },
	{ "capture", "PORT|all [-w FILE] [SNAPLEN]", "Writes frames as pcap to stdout or FILE.", 1,
	  4, cli_capture, "viaduct capture vm1 | tcpdump -n -r -" },
	{ "doctor", "", "What is wrong, and what to do about it.", 0, 0, cli_doctor, NULL },
	{ "set", "poll_us=N|always", "Changes a setting of the daemon.", 1, 1, cli_set, NULL },
	{ "reload", "", "Makes the daemon read its file again.", 0, 0, cli_reload, NULL },
	{ "save", "[FILE]", "Writes the running configuration; '-': to stdout.", 0, 1, cli_save,
	  NULL },
	{ "bench rings", "[OPERATION]", "What a packet costs in each kind of virtqueue.", 0, 1,
	  cli_bench_rings,
	  "Operations: forward, dequeue, enqueue, switch, ring; all of them if none is said." },
	{ "bench", "[SECONDS] | SOCKET… [OPTION]…",
	  "Measures a switch of its own, or the vhost-user back-ends on sockets.", 0, -1, cli_bench,
	  client_usage },
	{ "demo", "", "Two guests that talk through a switch.", 0, 0, cli_demo, NULL },
	{ "call", "METHOD [KEY=VALUE]…", "Calls a method of the control API.", 1, -1, cli_call,
	  "viaduct call help   lists them" },
	{ "help", "[COMMAND]", "This, or more about a command.", 0, 2, cli_help, NULL },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL },
};

enum cli_status cli_fail(enum cli_status status, const char *format, ...)
{
	va_list ap;

	fputs("viaduct: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* ---- asking ---- */

bool cli_connect(struct cli *cli)
{
	struct via_error err;

	if (cli->caller.sock >= 0)
		return true;
	if (!cli->socket[0]) {
		cli_fail(CLI_FAILED,
			 "XDG_RUNTIME_DIR is not set, so there is no usual place of the "
			 "control socket; name it with -s");
		return false;
	}
	if (rpc_connect(&cli->caller, cli->socket, &err) == 0)
		return true;
	cli_fail(CLI_FAILED, "%s", err.text);
	return false;
}

json_t *cli_ask_with_fd(struct cli *cli, const char *method, json_t *params, int fd)
{
	struct via_error err;
	json_t *result;
	int ret;

	if (!cli_connect(cli)) {
		json_decref(params);
		return NULL;
	}
	ret = rpc_call_method(&cli->caller, method, params, fd, &result, &err);
	if (ret == 0)
		return result;
	/* The whole message: a list of mistakes may be longer than a sentence. */
	if (ret == -EREMOTEIO && json_is_string(json_object_get(result, "message")))
		cli_fail(CLI_FAILED, "%s", cli_string(result, "message"));
	else
		cli_fail(CLI_FAILED, "%s", err.text);
	json_decref(result);
	return NULL;
}

json_t *cli_ask(struct cli *cli, const char *method, json_t *params)
{
	return cli_ask_with_fd(cli, method, params, -1);
}

enum cli_status cli_print_json(json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);

	json_decref(json);
	if (!text)
		return cli_fail(CLI_FAILED, "no memory");
	puts(text);
	free(text);
	return CLI_OK;
}

bool cli_parse_pairs(json_t *object, int argc, char *argv[], const char *example)
{
	for (int i = 0; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals || equals == argv[i]) {
			cli_fail(CLI_USAGE, "'%s' is not KEY=VALUE; for example: %s", argv[i],
				 example);
			return false;
		}
		*equals = '\0';
		if (json_object_get(object, argv[i])) {
			cli_fail(CLI_USAGE, "'%s' is given twice", argv[i]);
			return false;
		}
		if (json_object_set_new(object, argv[i], json_string(equals + 1)) < 0) {
			cli_fail(CLI_USAGE, "'%s' has bytes that are no UTF-8 text", argv[i]);
			return false;
		}
	}
	return true;
}

const char *cli_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long cli_number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* ---- commands ---- */

/* How many of 'argv' are the words of 'command': all of them, or 0. */
static int match(const struct cli_command *command, int argc, char *argv[])
{
	const char *space = strchr(command->words, ' ');
	size_t len = space ? (size_t)(space - command->words) : strlen(command->words);

	if (argc < 1 || strlen(argv[0]) != len || strncmp(argv[0], command->words, len) != 0)
		return 0;
	if (!space)
		return 1;
	return argc >= 2 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static const struct cli_command *find(int argc, char *argv[], int *nr_words)
{
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		*nr_words = match(c, argc, argv);
		if (*nr_words)
			return c;
	}
	return NULL;
}

/* "add, del, set, show" for "port"; empty if no command of two words begins so. */
static void list_second_words(const char *first, char *list, size_t size)
{
	size_t len = strlen(first), used = 0;

	list[0] = '\0';
	for (const struct cli_command *c = cli_commands; c->words; c++)
		if (strncmp(c->words, first, len) == 0 && c->words[len] == ' ' && used < size)
			used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "",
						 c->words + len + 1);
}

/* The first word of a command that 'typed' is most like, or NULL. */
static const char *closest_word(const char *typed, char word[32])
{
	unsigned int best = (unsigned int)strlen(typed) / 5 + 2;
	const char *found = NULL;

	for (const struct cli_command *c = cli_commands; c->words; c++) {
		char candidate[32];
		unsigned int distance;

		snprintf(candidate, sizeof(candidate), "%.*s", (int)strcspn(c->words, " "),
			 c->words);
		distance = value_distance(typed, candidate);
		if (distance < best) {
			best = distance;
			memcpy(word, candidate, sizeof(candidate));
			found = word;
		}
	}
	return found;
}

static enum cli_status unknown(int argc, char *argv[])
{
	char list[100], word[32];
	const char *best;

	list_second_words(argv[0], list, sizeof(list));
	if (list[0] && argc < 2)
		return cli_fail(CLI_USAGE, "'%s' needs one more word: %s", argv[0], list);
	if (list[0])
		return cli_fail(CLI_USAGE, "there is no '%s %s'; there are: %s", argv[0], argv[1],
				list);
	best = closest_word(argv[0], word);
	if (best)
		return cli_fail(CLI_USAGE, "there is no command '%s'; did you mean '%s'?", argv[0],
				best);
	return cli_fail(CLI_USAGE, "there is no command '%s'; 'viaduct help' lists them", argv[0]);
}

static enum cli_status run(struct cli *cli, int argc, char *argv[])
{
	int nr_words;
	const struct cli_command *c = find(argc, argv, &nr_words);

	if (!c)
		return unknown(argc, argv);
	argc -= nr_words;
	argv += nr_words;
	if (argc < c->min_args || (c->max_args >= 0 && argc > c->max_args))
		return cli_fail(CLI_USAGE, "too %s words; it is: viaduct %s%s%s",
				argc < c->min_args ? "few" : "many", c->words,
				c->args[0] ? " " : "", c->args);
	return c->run(cli, argc, argv);
}

static void print_usage(FILE *out)
{
	fputs("viaduct: the command line of viaductd, a virtual Ethernet switch\n\n"
	      "  viaduct [-s SOCKET] [-j] COMMAND …\n\n"
	      "  -s SOCKET   the control socket; else $VIADUCT_SOCKET or the usual place\n"
	      "  -j          print JSON\n\n",
	      out);
	for (const struct cli_command *c = cli_commands; c->words; c++)
		fprintf(out, "  %s%s%s\n      %s\n", c->words, c->args[0] ? " " : "", c->args,
			c->help);
	fputs("\nExit codes: 0 done, 1 it did not work, 2 the command line is wrong.\n", out);
}

/* All commands that begin with 'first'. Returns whether there are some. */
static bool print_group(const char *first)
{
	size_t len = strlen(first);
	bool some = false;

	for (const struct cli_command *c = cli_commands; c->words; c++) {
		if (strncmp(c->words, first, len) != 0 || c->words[len] != ' ')
			continue;
		printf("viaduct %s %s\n    %s\n", c->words, c->args, c->help);
		some = true;
	}
	return some;
}

enum cli_status cli_help(struct cli *cli, int argc, char *argv[])
{
	const struct cli_command *c;
	int nr_words;

	(void)cli;
	if (argc == 0) {
		print_usage(stdout);
		return CLI_OK;
	}
	c = find(argc, argv, &nr_words);
	if (!c && argc == 1 && print_group(argv[0]))
		return CLI_OK;
	if (!c)
		return unknown(argc, argv);
	printf("viaduct %s %s\n%s\n", c->words, c->args, c->help);
	if (c->more)
		printf("%s\n", c->more);
	return CLI_OK;
}

/* ---- options: before or behind the command's words ---- */

static void default_socket(struct cli *cli)
{
	const char *named = getenv("VIADUCT_SOCKET");
	char path[DAEMON_PATH_SIZE] = "";

	if (named && named[0]) {
		snprintf(cli->socket, sizeof(cli->socket), "%s", named);
		return;
	}
	if (daemon_default_control(path) < 0 || access(path, F_OK) < 0)
		if (access("/run/viaduct/control.sock", F_OK) == 0)
			snprintf(path, sizeof(path), "/run/viaduct/control.sock");
	snprintf(cli->socket, sizeof(cli->socket), "%s", path);
}

/* Takes the general options out of 'argv'. Returns how many words are left, or -1 - status. */
static int take_options(struct cli *cli, int argc, char *argv[])
{
	int kept = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0) {
			cli->json = true;
		} else if (strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--socket") == 0) {
			if (i + 1 == argc || !argv[i + 1][0]) {
				cli_fail(CLI_USAGE, "a path must follow '%s'", argv[i]);
				return -1 - CLI_USAGE;
			}
			snprintf(cli->socket, sizeof(cli->socket), "%s", argv[++i]);
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("viaduct " VIADUCT_VERSION);
			return -1 - CLI_OK;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_usage(stdout);
			return -1 - CLI_OK;
		} else if (kept == 0 && argv[i][0] == '-') {
			cli_fail(CLI_USAGE,
				 "there is no option '%s'; 'viaduct --help' shows what there is",
				 argv[i]);
			return -1 - CLI_USAGE;
		} else {
			argv[kept++] = argv[i];
		}
	}
	return kept;
}

int main(int argc, char *argv[])
{
	struct cli cli = { .program = argv[0], .caller = { .sock = -1 } };
	enum cli_status status;
	int nr_words;

	signal(SIGPIPE, SIG_IGN);
	default_socket(&cli);
	nr_words = take_options(&cli, argc, argv);
	if (nr_words < 0)
		return -1 - nr_words;
	if (nr_words == 0) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	status = run(&cli, nr_words, argv);
	rpc_disconnect(&cli.caller);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_OK)
		return errno == EPIPE ? CLI_FAILED
				      : (int)cli_fail(CLI_FAILED, "cannot write the output: %s",
						      strerror(errno));
	return (int)status;
}
