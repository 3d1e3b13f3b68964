/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A quick measurement: of the back-ends on sockets (bench/client), or of a viaductd of our own with a
 * generator and a sink, for a few seconds. The latter says how fast this machine's switch is with
 * nothing around it, not how fast guests are.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/client.h"
#include "cli/cli.h"

#define START_PATIENCE_MS 5000

struct bench {
	char dir[64], config[96], socket[96];
	pid_t pid; /* 0: not started */
};

static void wait_ms(long ms)
{
	const struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&wait, NULL);
}

/* viaductd beside this program, or in the sbin beside its folder, else wherever PATH has it. */
static void exec_daemon(const struct bench *bench)
{
	static const char *const beside[] = { "viaductd", "../sbin/viaductd" };
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);
	char *slash;

	path[len < 0 ? 0 : len] = '\0';
	slash = strrchr(path, '/');
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (size_t i = 0; slash && i < sizeof(beside) / sizeof(beside[0]); i++) {
		strcpy(slash + 1, beside[i]);
		execl(path, "viaductd", "--config", bench->config, NULL);
	}
	execlp("viaductd", "viaductd", "--config", bench->config, NULL);
	fprintf(stderr, "viaduct: cannot start viaductd: %s\n", strerror(errno));
	_exit(127);
}

static bool write_config(struct bench *bench)
{
	FILE *out;

	snprintf(bench->dir, sizeof(bench->dir), "/tmp/viaduct-bench-XXXXXX");
	if (!mkdtemp(bench->dir)) {
		cli_fail(CLI_FAILED, "cannot make a directory in /tmp: %s", strerror(errno));
		return false;
	}
	snprintf(bench->config, sizeof(bench->config), "%s/viaduct.yaml", bench->dir);
	snprintf(bench->socket, sizeof(bench->socket), "%s/control.sock", bench->dir);
	out = fopen(bench->config, "we");
	if (!out) {
		cli_fail(CLI_FAILED, "cannot write '%s': %s", bench->config, strerror(errno));
		return false;
	}
	fprintf(out,
		"control: %s\n"
		"ports:\n"
		"  - {name: gen, type: gen}\n"
		"  - {name: sink, type: sink}\n",
		bench->socket);
	return fclose(out) == 0;
}

static bool start(struct bench *bench, struct cli *cli)
{
	bench->pid = fork();
	if (bench->pid == 0)
		exec_daemon(bench);
	if (bench->pid < 0) {
		bench->pid = 0;
		cli_fail(CLI_FAILED, "fork: %s", strerror(errno));
		return false;
	}
	snprintf(cli->socket, sizeof(cli->socket), "%s", bench->socket);
	for (int ms = 0; ms < START_PATIENCE_MS; ms += 20) {
		struct via_error err;

		if (rpc_connect(&cli->caller, cli->socket, &err) == 0)
			return true;
		if (waitpid(bench->pid, NULL, WNOHANG) == bench->pid) {
			bench->pid = 0;
			cli_fail(CLI_FAILED, "viaductd did not start; its reason is above");
			return false;
		}
		wait_ms(20);
	}
	cli_fail(CLI_FAILED, "viaductd is not ready after %d ms", START_PATIENCE_MS);
	return false;
}

static void stop(struct bench *bench)
{
	if (bench->pid) {
		kill(bench->pid, SIGTERM);
		waitpid(bench->pid, NULL, 0);
	}
	unlink(bench->config);
	unlink(bench->socket);
	rmdir(bench->dir);
}

static long long received(const json_t *stats)
{
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(stats, "ports"), i,
			   port) if (strcmp(cli_string(port, "name"), "sink") ==
				     0) return cli_number(json_object_get(port, "transmit"),
							  "packets");
	return 0;
}

static enum cli_status measure(struct cli *cli, long seconds)
{
	json_t *before, *after;
	double rate, duration;

	wait_ms(200); /* it warms up */
	before = cli_ask(cli, "stats", NULL);
	wait_ms(seconds * 1000);
	after = before ? cli_ask(cli, "stats", NULL) : NULL;
	if (!after) {
		json_decref(before);
		return CLI_FAILED;
	}
	duration = (double)(cli_number(after, "time_us") - cli_number(before, "time_us")) / 1e6;
	rate = (double)(received(after) - received(before)) / duration;
	json_decref(before);
	json_decref(after);
	if (cli->json)
		return cli_print_json(
			json_pack("{s:f, s:f}", "packets_per_second", rate, "seconds", duration));
	printf("%.2f million packets a second through one worker (generator to sink, 64 bytes, %.1f "
	       "s)\n",
	       rate / 1e6, duration);
	return CLI_OK;
}

static enum cli_status bench_own(struct cli *cli, long seconds)
{
	struct bench bench = { 0 };
	enum cli_status status = CLI_FAILED;

	if (!write_config(&bench))
		return CLI_FAILED;
	if (start(&bench, cli))
		status = measure(cli, seconds);
	stop(&bench);
	return status;
}

enum cli_status cli_bench(struct cli *cli, int argc, char *argv[])
{
	char *end = NULL;
	long seconds = argc == 1 ? strtol(argv[0], &end, 10) : 3;

	/* The exit codes of client_main() are ours. */
	if (argc > 1 || (argc == 1 && strchr(argv[0], '/')))
		return (enum cli_status)client_main(argc, argv, cli->json);
	if (seconds < 1 || seconds > 600 || (end && *end))
		return cli_fail(
			CLI_USAGE,
			"'%s' is no number of seconds from 1 to 600, no path of a socket and "
			"not 'rings'",
			argv[0]);
	return bench_own(cli, seconds);
}

enum cli_status cli_demo(struct cli *cli, int argc, char *argv[])
{
	(void)cli;
	(void)argc;
	(void)argv;
	puts("Two guests talk through viaductd. In viaduct's source tree:\n\n"
	     "    make demo         user-mode Linux guests, as any user, without KVM\n"
	     "    make demo-qemu    QEMU guests\n\n"
	     "It installs what is missing from Debian's packages when run as root, and says the exact\n"
	     "command otherwise.");
	return CLI_OK;
}
