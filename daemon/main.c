/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viaductd: options, the first look at the configuration, and then the broker.
 *
 * The configuration is read here once, so that a mistake in it is the first thing that is said and
 * nothing has been started; the processes that follow keep its text, not its tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "daemon/broker.h"
#include "daemon/config.h"
#include "daemon/dlog.h"
#include "daemon/sandbox.h"

#define USAGE_STATUS 2

static const char usage[] =
	"viaductd: a virtual Ethernet switch for virtual machines and containers\n"
	"\n"
	"  viaductd --config FILE   run with this configuration, in the foreground\n"
	"  viaductd                 run with an empty one; ports are added with 'viaduct port add'\n"
	"  viaductd --check FILE    report every mistake in FILE, and exit\n"
	"  viaductd --keys          list every key that a configuration may have, and exit\n"
	"  viaductd --calls         list every system call that the data process may make, and exit\n"
	"  viaductd --version       say the version, and exit\n"
	"  viaductd --help          say this, and exit\n"
	"\n"
	"  --verbose                log debug lines as well\n"
	"\n"
	"Signals: SIGTERM ends it, SIGHUP reads FILE again.\n";

struct options {
	const char *config, *check;
	bool verbose;
};

/* ---- the configuration ---- */

static char *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct via_error err;
	char *text;

	if (fd < 0) {
		fprintf(stderr, "viaductd: cannot open '%s': %s\n", path, strerror(errno));
		return NULL;
	}
	text = daemon_read_fd(fd, size, &err);
	if (!text)
		fprintf(stderr, "viaductd: '%s': %s\n", path, err.text);
	close(fd);
	return text;
}

static struct cfg *parse(const char *path, const char *text, size_t size)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(text, size, CFG_HOST_ASK, &m);

	if (!cfg) {
		mistakes_print(&m, path, stderr);
		fprintf(stderr, "viaductd: %zu mistake%s in '%s'\n", m.n, m.n == 1 ? "" : "s",
			path);
	}
	mistakes_fini(&m);
	return cfg;
}

static int check(const char *path)
{
	size_t size;
	char *text = read_file(path, &size);
	struct cfg *cfg = text ? parse(path, text, size) : NULL;
	int status = cfg ? EXIT_SUCCESS : EXIT_FAILURE;

	if (cfg)
		printf("%s: no mistakes; %u port%s\n", path, cfg->nr_ports,
		       cfg->nr_ports == 1 ? "" : "s");
	cfg_free(cfg);
	free(text);
	return status;
}

/* ---- running ---- */

/* Names were checked to exist. */
static void find_user(struct broker_setup *setup, const struct cfg *cfg)
{
	const struct passwd *pw = cfg->user ? getpwnam(cfg->user) : NULL;
	const struct group *gr = cfg->group ? getgrnam(cfg->group) : NULL;

	if (geteuid() != 0 && (pw || gr))
		via_log(VIA_LOG_INFO, "'user' and 'group' mean nothing unless started as root");
	if (geteuid() != 0 || !pw)
		return;
	setup->user = PRIVILEGES_BECOME_USER;
	setup->uid = pw->pw_uid;
	setup->gid = gr ? gr->gr_gid : pw->pw_gid;
}

/* Some descriptors for each queue of each port and each worker: as many as this user may have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int run(const struct options *options)
{
	const char *path = options->config ? options->config : "the empty configuration";
	struct broker_setup setup = { .config_path = options->config };
	size_t size = 0;
	char *text = options->config ? read_file(options->config, &size) : strdup("");
	struct cfg *cfg = text ? parse(path, text, size) : NULL;
	char *control, *metrics, *run_dir;
	bool is_whole;
	int status;

	if (!cfg) {
		free(text);
		return EXIT_FAILURE;
	}
	find_user(&setup, cfg);
	raise_limit();
	control = strdup(cfg->control);
	metrics = cfg->metrics ? strdup(cfg->metrics) : NULL;
	run_dir = strdup(cfg->run_dir);
	is_whole = control && run_dir && (metrics || !cfg->metrics) &&
		   grants_add(&setup.grants, cfg) == 0;
	cfg_free(cfg);
	setup.config_text = text;
	setup.config_size = size;
	setup.control = control;
	setup.metrics = metrics;
	setup.run_dir = run_dir;
	malloc_trim(0);
	status = is_whole ? broker_run(&setup) : EXIT_FAILURE;
	if (!is_whole)
		fputs("viaductd: no memory to start\n", stderr);
	grants_fini(&setup.grants);
	free(control);
	free(metrics);
	free(run_dir);
	free(text);
	return status;
}

static int wrong_usage(const char *what, const char *word)
{
	fprintf(stderr, "viaductd: %s '%s'; 'viaductd --help' shows what there is\n", what, word);
	return USAGE_STATUS;
}

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char *argv[], struct options *options)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", required_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ "keys", no_argument, NULL, 'K' },
		{ "calls", no_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:hV", table, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = optarg;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'V':
			puts("viaductd " VIADUCT_VERSION);
			return EXIT_SUCCESS;
		case 'K':
			schema_print(stdout);
			return EXIT_SUCCESS;
		case 's':
			printf("%u system calls:\n", calls_count(data_calls()));
			calls_print(data_calls(), stdout);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case ':':
			return wrong_usage("a file name must follow", argv[optind - 1]);
		default:
			return wrong_usage("there is no option", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return wrong_usage("what is meant by", argv[optind]);
	return -1;
}

int main(int argc, char *argv[])
{
	struct options options = { 0 };
	int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	/* One arena, and back to the system what is free: this process lives long and idles much. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	dlog_start(options.verbose);
	return options.check ? check(options.check) : run(&options);
}
