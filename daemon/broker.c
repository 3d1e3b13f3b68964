/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker: the parent of the data process and of the exporter.
 *
 * Theory of operation: one poll loop over the channel and a signalfd; no threads. The data process is
 * started once, and again when it dies of a signal (broker_children.c says how
 * often); what it had been told at run time it finds in the running-configuration file.
 * Its plain exit is an answer: before it was ready that the configuration does not work, later that
 * it was told to end. SIGTERM and SIGINT are passed on; who does not end within BROKER_END_PATIENCE_US is
 * killed. Sockets that we made are removed last.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "daemon/broker_inside.h"
#include "daemon/kept.h"

#ifndef VIADUCT_LIBEXECDIR
#define VIADUCT_LIBEXECDIR "/usr/local/libexec"
#endif

/* ---- the loop ---- */

static void on_signal(struct broker *broker)
{
	struct signalfd_siginfo info;

	if (read(broker->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		broker_reap(broker);
		break;
	case SIGHUP:
		if (broker->data)
			kill(broker->data, SIGHUP);
		break;
	default:
		broker_end(broker, EXIT_SUCCESS);
		break;
	}
}

static int patience_ms(struct broker *broker)
{
	uint64_t now = via_clock_us();

	if (!broker->ending)
		return -1;
	if (now < broker->deadline_us)
		return (int)((broker->deadline_us - now) / 1000) + 1;
	via_log(VIA_LOG_WARNING, "a process does not end; killing it");
	if (broker->data)
		kill(broker->data, SIGKILL);
	if (broker->exporter)
		kill(broker->exporter, SIGKILL);
	broker->deadline_us = now + BROKER_END_PATIENCE_US;
	return 1000;
}

static void run(struct broker *broker)
{
	while (!broker->ending || broker->data || broker->exporter) {
		struct pollfd fds[2] = { { .fd = broker->signal_fd, .events = POLLIN },
					 { .fd = broker->channel, .events = POLLIN } };

		if (poll(fds, 2, patience_ms(broker)) < 0 && errno != EINTR)
			nanosleep(&broker_moment, NULL);
		if (fds[1].revents)
			broker_serve(broker);
		if (fds[0].revents)
			on_signal(broker);
	}
}

/* ---- start ---- */

/* A socket of our own, whose name no port may take. */
static int listen_own(struct broker *broker, const char *path, uint32_t mode, struct via_error *err)
{
	int fd;

	privileges_use(PRIVILEGES_PATHS);
	fd = broker_listen(&broker->files, path, UINT32_MAX, UINT32_MAX, mode, err);
	privileges_use(PRIVILEGES_NONE);
	if (fd >= 0)
		broker->files.sockets[broker->files.nr_sockets - 1].is_own = true;
	return fd;
}

static int open_control(struct broker *broker, struct via_error *err)
{
	broker->control_fd = listen_own(broker, broker->setup->control, 0660, err);
	return broker->control_fd < 0 ? via_fail_in(err, broker->control_fd, "control") : 0;
}

static bool find_exporter(struct broker *broker)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len < 0 ? 0 : len] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		snprintf(broker->exporter_path, sizeof(broker->exporter_path),
			 "%.4000s/viaduct-exporter", self);
		if (access(broker->exporter_path, X_OK) == 0)
			return true;
	}
	snprintf(broker->exporter_path, sizeof(broker->exporter_path),
		 VIADUCT_LIBEXECDIR "/viaduct-exporter");
	return access(broker->exporter_path, X_OK) == 0;
}

static int open_metrics(struct broker *broker, struct via_error *err)
{
	const char *address = broker->setup->metrics;
	int fd;

	if (!address)
		return 0;
	if (!find_exporter(broker))
		return via_fail(
			err, -ENOENT,
			"metrics: the program viaduct-exporter is not there; build it (it needs "
			"libmicrohttpd-dev) or remove the key 'metrics'");
	if (strncmp(address, "unix:", 5) != 0)
		fd = broker_listen_tcp(address, err);
	else
		fd = listen_own(broker, address + 5, 0666, err);
	if (fd < 0)
		return strncmp(err->text, "metrics", 7) == 0 ? fd : via_fail_in(err, fd, "metrics");
	/* Of our own: the list of sockets closes its descriptor itself. */
	broker->metrics_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (strncmp(address, "unix:", 5) != 0)
		close(fd);
	return broker->metrics_fd < 0 ? via_fail(err, -errno, "metrics: %s", strerror(errno)) : 0;
}

static int open_kept(struct broker *broker, struct via_error *err)
{
	broker->kept_fd = kept_create(broker->setup->config_text, broker->setup->config_size, err);
	return broker->kept_fd < 0 ? broker->kept_fd : 0;
}

static int open_signals(struct broker *broker, struct via_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return via_fail(err, -errno, "sigprocmask: %s", strerror(errno));
	broker->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (broker->signal_fd < 0)
		return via_fail(err, -errno, "signalfd: %s", strerror(errno));
	return 0;
}

static int start(struct broker *broker, struct via_error *err)
{
	const struct broker_setup *setup = broker->setup;
	int ret = open_signals(broker, err);

	if (ret == 0)
		ret = open_kept(broker, err);
	if (ret == 0)
		ret = open_metrics(broker, err); /* its port may be one of root's */
	if (ret == 0)
		ret = privileges_keep_few(setup->user, setup->uid, setup->gid, err);
	if (ret == 0)
		ret = open_control(broker, err);
	return ret;
}

int broker_run(struct broker_setup *setup)
{
	struct broker broker = { .setup = setup,
				 .files = { .patient_until_us = via_clock_us() + BROKER_PATIENCE_US,
					    .run_dir = setup->run_dir,
					    .config_path = setup->config_path },
				 .signal_fd = -1,
				 .channel = -1,
				 .kept_fd = -1,
				 .control_fd = -1,
				 .metrics_fd = -1 };
	struct via_error err;

	if (start(&broker, &err) < 0) {
		via_log(VIA_LOG_ERROR, "%s", err.text);
		broker.status = EXIT_FAILURE;
	} else if (broker_start_data_process(&broker) < 0) {
		broker.status = EXIT_FAILURE;
	} else {
		broker_start_exporter(&broker);
		run(&broker);
	}
	privileges_use(PRIVILEGES_PATHS | PRIVILEGES_OWNERS);
	broker_unlink_all(&broker.files);
	free(broker.taps.index);
	return broker.status;
}
