/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change the running daemon, and saving what it runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define ADD_EXAMPLE "viaduct port add vm1 type=vhost-user socket=/run/viaduct/vm1.sock"

/* "added: vm1, vm2" for each list of a report. */
static enum cli_status print_report(struct cli *cli, json_t *report)
{
	const char *what;
	json_t *list, *name;
	size_t i;

	if (!report)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(report);
	json_object_foreach(report, what, list)
	{
		if (strcmp(what, "notes") == 0) { /* sentences */
			json_array_foreach(list, i, name)
				printf("note: %s\n", json_string_value(name));
			continue;
		}
		printf("%s: ", what);
		json_array_foreach(list, i, name)
			printf("%s%s", i ? ", " : "", json_string_value(name));
		fputc('\n', stdout);
	}
	if (json_object_size(report) == 0)
		puts("done");
	json_decref(report);
	return CLI_OK;
}

static enum cli_status ask_with_pairs(struct cli *cli, const char *method, const char *first_key,
				      int argc, char *argv[], const char *example)
{
	json_t *params = json_pack("{s:s}", first_key, argv[0]);

	if (!params)
		return cli_fail(CLI_USAGE, "'%s' has bytes that are no UTF-8 text", argv[0]);
	if (strchr(argv[0], '=')) {
		json_decref(params);
		return cli_fail(CLI_USAGE, "first comes the %s, then KEY=VALUE; for example: %s",
				first_key, example);
	}
	if (!cli_parse_pairs(params, argc - 1, argv + 1, example)) {
		json_decref(params);
		return CLI_USAGE;
	}
	return print_report(cli, cli_ask(cli, method, params));
}

enum cli_status cli_port_add(struct cli *cli, int argc, char *argv[])
{
	return ask_with_pairs(cli, "port.add", "name", argc, argv, ADD_EXAMPLE);
}

enum cli_status cli_port_del(struct cli *cli, int argc, char *argv[])
{
	return ask_with_pairs(cli, "port.del", "name", argc, argv, "viaduct port del vm1");
}

enum cli_status cli_port_set(struct cli *cli, int argc, char *argv[])
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "name=", 5) == 0)
			return cli_fail(CLI_USAGE,
					"a port keeps its name; delete it and add another");
	return ask_with_pairs(cli, "port.set", "name", argc, argv, "viaduct port set vm1 vlan=10");
}

enum cli_status cli_fdb_add(struct cli *cli, int argc, char *argv[])
{
	return ask_with_pairs(cli, "fdb.add", "mac", argc, argv,
			      "viaduct fdb add 52:54:00:12:34:56 port=vm1");
}

enum cli_status cli_fdb_del(struct cli *cli, int argc, char *argv[])
{
	return ask_with_pairs(cli, "fdb.del", "mac", argc, argv,
			      "viaduct fdb del 52:54:00:12:34:56 vlan=10");
}

enum cli_status cli_fdb_flush(struct cli *cli, int argc, char *argv[])
{
	json_t *answer =
		cli_ask(cli, "fdb.flush", argc ? json_pack("{s:s}", "port", argv[0]) : NULL);

	if (!answer)
		return CLI_FAILED;
	if (cli->json)
		return cli_print_json(answer);
	printf("forgot %lld addresses\n", cli_number(answer, "forgotten"));
	json_decref(answer);
	return CLI_OK;
}

enum cli_status cli_set(struct cli *cli, int argc, char *argv[])
{
	json_t *params = json_object();

	if (!cli_parse_pairs(params, argc, argv, "viaduct set poll_us=50")) {
		json_decref(params);
		return CLI_USAGE;
	}
	return print_report(cli, cli_ask(cli, "set", params));
}

enum cli_status cli_reload(struct cli *cli, int argc, char *argv[])
{
	(void)argc;
	(void)argv;
	return print_report(cli, cli_ask(cli, "reload", NULL));
}

enum cli_status cli_call(struct cli *cli, int argc, char *argv[])
{
	json_t *params = json_object(), *result;

	if (!cli_parse_pairs(params, argc - 1, argv + 1, "viaduct call port.show name=vm1")) {
		json_decref(params);
		return CLI_USAGE;
	}
	result = cli_ask(cli, argv[0], params);
	return result ? cli_print_json(result) : CLI_FAILED;
}

/* ---- save ---- */

static bool write_all(int fd, const char *text)
{
	size_t size = strlen(text);

	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		size -= (size_t)n;
	}
	return true;
}

/* Beside the file, then in its place: a crash leaves the old one or the new one. */
static enum cli_status replace_file(const char *path, const char *text)
{
	struct stat st = { .st_mode = 0644 };
	char *temporary = NULL;
	enum cli_status status = CLI_OK;
	bool kept;
	int fd;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return cli_fail(CLI_FAILED, "no memory");
	kept = stat(path, &st) == 0;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		status =
			cli_fail(CLI_FAILED, "cannot write beside '%s': %s", path, strerror(errno));
	} else {
		/* Whose file it was, as far as we may give it away. */
		if (kept && fchown(fd, st.st_uid, st.st_gid) < 0)
			st.st_mode &= 0755;
		if (fchmod(fd, st.st_mode & 0777) < 0 || !write_all(fd, text) || fsync(fd) < 0 ||
		    rename(temporary, path) < 0) {
			status = cli_fail(CLI_FAILED, "cannot write '%s': %s", path,
					  strerror(errno));
			unlink(temporary);
		}
		close(fd);
	}
	free(temporary);
	return status;
}

/* To the file that 'path' names in the end: a link stays a link. */
static enum cli_status write_file(const char *path, const char *text)
{
	char *real = realpath(path, NULL);
	enum cli_status status = replace_file(real ? real : path, text);

	free(real);
	return status;
}

enum cli_status cli_save(struct cli *cli, int argc, char *argv[])
{
	json_t *answer = cli_ask(cli, "save", NULL);
	const char *path = argc ? argv[0] : cli_string(answer, "config");
	bool to_stdout = strcmp(path, "-") == 0;
	enum cli_status status = CLI_OK;

	if (!answer)
		return CLI_FAILED;
	if (!path[0])
		status = cli_fail(CLI_FAILED,
				  "viaductd was started without --config, so there is no "
				  "usual file; name one: viaduct save FILE");
	else if (!to_stdout)
		status = write_file(path, cli_string(answer, "yaml"));
	if (status == CLI_OK && cli->json)
		return cli_print_json(answer);
	if (status == CLI_OK && to_stdout)
		fputs(cli_string(answer, "yaml"), stdout);
	else if (status == CLI_OK)
		printf("saved to '%s'\n", path);
	json_decref(answer);
	return status;
}
