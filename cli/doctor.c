/* SPDX-License-Identifier: BSD-3-Clause */
/* What is wrong: what the daemon finds, and what only we can see. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static void add(json_t *findings, const char *level, const char *port, json_t *text,
		const char *hint)
{
	json_array_append_new(findings, json_pack("{s:s, s:s, s:o, s:s}", "level", level, "port",
						  port, "text", text, "hint", hint));
}

static const char *name_of_user(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw ? pw->pw_name : "unknown";
}

/* Who may connect to a socket that a VMM must connect to. */
static void check_socket(json_t *findings, const char *port, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		add(findings, "error", port, json_sprintf("the socket '%s' is gone", path),
		    "somebody removed it; make it again: viaduct port del and port add, or restart "
		    "viaductd");
		return;
	}
	if (!S_ISSOCK(st.st_mode)) {
		add(findings, "error", port,
		    json_sprintf("'%s' is no socket any more: something else has its name", path),
		    "remove that, then: viaduct port del and port add, or restart viaductd");
		return;
	}
	if ((st.st_mode & 0022) == 0)
		add(findings, "note", port,
		    json_sprintf("only the user '%s' may connect to '%s'", name_of_user(st.st_uid),
				 path),
		    "a QEMU that runs as another user (libvirt: libvirt-qemu) needs the port's keys "
		    "owner, group or perm, such as group=kvm perm=0660");
}

static void check_port(struct cli *cli, json_t *findings, const char *name)
{
	json_t *port = cli_ask(cli, "port.show", json_pack("{s:s}", "name", name));
	const json_t *config = json_object_get(port, "config");
	const char *path = cli_string(config, "socket");

	if (port && path[0] && !json_is_true(json_object_get(port, "link")) &&
	    strcmp(cli_string(port, "type"), "vhost-user") == 0 &&
	    strcmp(cli_string(config, "mode"), "client") != 0)
		check_socket(findings, name, path);
	json_decref(port);
}

static bool is_wrong(const json_t *finding)
{
	return strcmp(cli_string(finding, "level"), "note") != 0;
}

static void print(const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
	{
		const char *port = cli_string(finding, "port");

		printf("%s: %s%s%s%s\n    %s\n", cli_string(finding, "level"),
		       port[0] ? "port '" : "", port, port[0] ? "': " : "",
		       cli_string(finding, "text"), cli_string(finding, "hint"));
	}
}

enum cli_status cli_doctor(struct cli *cli, int argc, char *argv[])
{
	json_t *findings = cli_ask(cli, "doctor", NULL), *ports, *port, *finding;
	enum cli_status status = CLI_OK;
	size_t i;

	(void)argc;
	(void)argv;
	if (!findings)
		return CLI_FAILED;
	ports = cli_ask(cli, "port.list", NULL);
	json_array_foreach(ports, i, port) check_port(cli, findings, cli_string(port, "name"));
	json_decref(ports);
	json_array_foreach(findings, i, finding) if (is_wrong(finding)) status = CLI_FAILED;
	if (cli->json) {
		cli_print_json(findings);
		return status;
	}
	print(findings);
	if (status == CLI_OK)
		puts("viaductd answers, and nothing is wrong.");
	json_decref(findings);
	return status;
}
