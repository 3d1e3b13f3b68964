/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker's children: the data process and the exporter begin, end, and begin again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "daemon/broker_inside.h"
#include "daemon/data.h"
#include "daemon/notify.h"

#define RESTART_MAX       5
#define FORK_TRIES        5
#define RESTART_PERIOD_US 60000000

/* In the data process, between fork and its own life: only what it is meant to have stays open. */
static int become_data_process(struct broker *broker, int channel)
{
	const struct broker_setup *setup = broker->setup;
	const struct data_start start = { .broker_fd = channel,
					  .control_fd = broker->control_fd,
					  .kept_fd = broker->kept_fd,
					  .restarted = broker->ready,
					  .config_path = setup->config_path };
	struct via_error err;

	for (uint32_t i = 0; i < broker->files.nr_sockets; i++)
		if (broker->files.sockets[i].fd != broker->control_fd)
			close(broker->files.sockets[i].fd);
	free(broker->files.sockets);
	close(broker->signal_fd);
	if (broker->metrics_fd >= 0)
		close(broker->metrics_fd);
	if (privileges_drop(&err) < 0) {
		via_log(VIA_LOG_ERROR, "%s", err.text);
		return EXIT_FAILURE;
	}
	return data_run(&start);
}

static pid_t fork_patiently(void)
{
	pid_t pid = fork();

	for (int tries = 1; pid < 0 && tries < FORK_TRIES; tries++) {
		nanosleep(&broker_moment, NULL);
		pid = fork();
	}
	return pid;
}

int broker_start_data_process(struct broker *broker)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		via_log(VIA_LOG_ERROR, "socketpair: %s", strerror(errno));
		return -1;
	}
	broker->data = fork_patiently();
	if (broker->data == 0) {
		close(pair[0]);
		exit(become_data_process(broker, pair[1]));
	}
	close(pair[1]);
	broker->channel = pair[0];
	if (broker->data < 0) {
		broker->data = 0;
		via_log(VIA_LOG_ERROR, "fork: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static void exec_exporter(struct broker *broker)
{
	const struct broker_setup *setup = broker->setup;
	struct via_error err;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (privileges_drop(&err) < 0 || dup2(broker->metrics_fd, 3) < 0 ||
	    fcntl(3, F_SETFD, 0) < 0)
		_exit(EXIT_FAILURE);
	execl(broker->exporter_path, "viaduct-exporter", "--fd", "3", "-s", setup->control, NULL);
	_exit(EXIT_FAILURE);
}

void broker_start_exporter(struct broker *broker)
{
	if (broker->metrics_fd < 0)
		return;
	broker->exporter = fork_patiently();
	if (broker->exporter == 0)
		exec_exporter(broker);
	if (broker->exporter < 0) {
		broker->exporter = 0;
		via_log(VIA_LOG_ERROR, "metrics: fork: %s", strerror(errno));
	}
}

/* Whether another restart is sensible now. */
static bool may_restart(struct broker *broker)
{
	uint64_t now = via_clock_us();

	if (now - broker->period_start_us > RESTART_PERIOD_US) {
		broker->period_start_us = now;
		broker->restarts = 0;
	}
	return ++broker->restarts <= RESTART_MAX;
}

void broker_end(struct broker *broker, int status)
{
	if (!broker->ending) {
		notify("STOPPING=1\n");
		broker->deadline_us = via_clock_us() + BROKER_END_PATIENCE_US;
		broker->status = status;
	}
	broker->ending = true;
	if (broker->data)
		kill(broker->data, SIGTERM);
	if (broker->exporter)
		kill(broker->exporter, SIGTERM);
}

static void data_process_ended(struct broker *broker, int how)
{
	broker->data = 0;
	if (broker->channel >= 0)
		close(broker->channel);
	broker->channel = -1;
	if (broker->ending)
		return;
	if (WIFEXITED(how) && (WEXITSTATUS(how) == 0 || !broker->ready)) {
		broker_end(broker, WEXITSTATUS(how));
		return;
	}
	if (WIFSIGNALED(how) && WTERMSIG(how) == SIGSYS)
		via_log(VIA_LOG_ERROR,
			"the data process was killed by its sandbox: it made a system call that is "
			"none of 'viaductd --calls'; the kernel's log has its number (type=1326)");
	else if (WIFSIGNALED(how))
		via_log(VIA_LOG_ERROR, "the data process died of signal %d (%s)", WTERMSIG(how),
			strsignal(WTERMSIG(how)));
	else
		via_log(VIA_LOG_ERROR, "the data process gave up with status %d", WEXITSTATUS(how));
	if (!broker->ready || !may_restart(broker)) {
		via_log(VIA_LOG_ERROR, "not starting it again: %s",
			broker->ready ? "it died too often" : "it never was ready");
		broker_end(broker, EXIT_FAILURE);
		return;
	}
	via_log(VIA_LOG_WARNING, "starting the data process again; ports keep their sockets");
	if (broker_start_data_process(broker) < 0)
		broker_end(broker, EXIT_FAILURE);
}

static void exporter_ended(struct broker *broker, int how)
{
	broker->exporter = 0;
	if (broker->ending)
		return;
	via_log(VIA_LOG_ERROR, "viaduct-exporter ended (%s %d)",
		WIFSIGNALED(how) ? "signal" : "status",
		WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
	if (++broker->exporter_restarts <= RESTART_MAX)
		broker_start_exporter(broker);
	else
		via_log(VIA_LOG_ERROR, "no metrics from now on; packets are not concerned");
}

void broker_reap(struct broker *broker)
{
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid == broker->data)
			data_process_ended(broker, how);
		else if (pid == broker->exporter)
			exporter_ended(broker, how);
	}
}
