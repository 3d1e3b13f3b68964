/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker: the parent of the data process and of the exporter.
 *
 * Theory of operation: one poll loop over the channel and a signalfd; no threads. The data process is
 * started once, and again when it dies of a signal (at most RESTART_MAX times within
 * RESTART_PERIOD_US); what it had been told at run time it finds in the running-configuration file.
 * Its plain exit is an answer: before it was ready that the configuration does not work, later that
 * it was told to end. SIGTERM and SIGINT are passed on; who does not end within END_PATIENCE_US is
 * killed. Sockets that we made are removed last.
 */
#include "daemon/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "daemon/data.h"
#include "daemon/fdpass.h"
#include "daemon/kept.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"

#define RESTART_MAX       5
#define FORK_TRIES        5
#define RESTART_PERIOD_US 60000000
#define END_PATIENCE_US   5000000

#ifndef VIADUCT_LIBEXECDIR
#define VIADUCT_LIBEXECDIR "/usr/local/libexec"
#endif

/* Interfaces that we have made or that the file names, by number: a name may be somebody else's later. */
struct taps {
	unsigned int *index;
	uint32_t nr;
};

struct broker {
	struct broker_setup *setup;
	struct broker_files files;
	struct taps taps;
	int signal_fd, channel, kept_fd, control_fd, metrics_fd; /* -1: not there */
	pid_t data, exporter;                                    /* 0: not there */
	bool ready, ending;
	int status; /* to exit with */
	unsigned int restarts, exporter_restarts;
	uint64_t period_start_us, deadline_us;
	char exporter_path[PATH_MAX];
};

static bool taps_have(const struct taps *taps, unsigned int index)
{
	for (uint32_t i = 0; i < taps->nr; i++)
		if (taps->index[i] == index)
			return true;
	return false;
}

/* Those that are gone make room. */
static void taps_forget_gone(struct taps *taps)
{
	char ifname[IFNAMSIZ];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < taps->nr; i++)
		if (if_indextoname(taps->index[i], ifname))
			taps->index[kept++] = taps->index[i];
	taps->nr = kept;
}

/* Without memory it cannot be set up. */
static void taps_add(struct taps *taps, unsigned int index)
{
	unsigned int *larger;

	if (index == 0 || taps_have(taps, index))
		return;
	taps_forget_gone(taps);
	larger = realloc(taps->index, (taps->nr + 1) * sizeof(*larger));
	if (!larger)
		return;
	taps->index = larger;
	larger[taps->nr++] = index;
}

/* ---- requests ---- */

typedef int broker_fn(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd);

/* What a taken-over data process asks for is nothing that the operator has named. */
static int check_socket(struct broker *broker, const char *path, struct via_error *err)
{
	if (path[0] != '/' || strlen(path) >= DAEMON_PATH_SIZE)
		return via_fail(err, -EINVAL, "'%.64s' is no path of a socket", path);
	if (broker_is_own(&broker->files, path))
		return via_fail(err, -EPERM, "the socket '%s' is no port's", path);
	if (grants_has_socket(&broker->setup->grants, path))
		return 0;
	return via_fail(
		err, -EPERM,
		"the socket '%s' is not in the configuration file, nor in a directory of its "
		"socket_dirs, nor beside the control socket; add it there and reload",
		path);
}

static int do_listen(struct broker *broker, struct broker_request *request,
		     struct broker_reply *reply, bool *keep_fd)
{
	int ret = check_socket(broker, request->text, &reply->err);

	if (ret == 0 && broker->files.nr_sockets > SW_MAX_PORTS)
		ret = via_fail(&reply->err, -EMFILE, "more sockets than there can be ports");
	*keep_fd = true;
	return ret < 0 ? ret
		       : broker_listen(&broker->files, request->text, request->uid, request->gid,
				       request->mode == UINT32_MAX ? UINT32_MAX
								   : request->mode & 0777,
				       &reply->err);
}

static int do_connect(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd)
{
	int ret = check_socket(broker, request->text, &reply->err);

	(void)keep_fd;
	return ret < 0 ? ret
		       : via_opener_direct.connect_unix(via_opener_direct.user, request->text,
							&reply->err);
}

static int do_unlink(struct broker *broker, struct broker_request *request,
		     struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	if (!broker_is_own(&broker->files, request->text))
		broker_unlink(&broker->files, request->text);
	return 0;
}

static int take_ifname(const struct broker_request *request, char ifname[IFNAMSIZ],
		       struct via_error *err)
{
	const size_t len = strlen(request->text);

	if (len >= IFNAMSIZ)
		return via_fail(err, -ENAMETOOLONG,
				"'%.32s' is no name of an interface: it can have %d bytes",
				request->text, IFNAMSIZ - 1);
	memcpy(ifname, request->text, len + 1);
	return 0;
}

/*
 * An interface that exists and that the file does not name is somebody's: it is used with no more rights
 * than our user has, which is what 'ip tuntap add … user' gives.
 */
static bool is_ours(const struct broker *broker, const char *ifname)
{
	const unsigned int index = if_nametoindex(ifname);

	if (index == 0)
		return errno == ENODEV;
	return taps_have(&broker->taps, index) ||
	       grants_has_interface(&broker->setup->grants, ifname);
}

static int do_tap(struct broker *broker, struct broker_request *request, struct broker_reply *reply,
		  bool *keep_fd)
{
	int fd, ret = take_ifname(request, reply->name, &reply->err);
	bool ours;

	(void)keep_fd;
	if (ret < 0)
		return ret;
	ours = is_ours(broker, reply->name);
	if (ours)
		privileges_use(PRIVILEGES_INTERFACES | PRIVILEGES_PATHS);
	fd = via_opener_direct.tap(via_opener_direct.user, reply->name, request->number,
				   &reply->err);
	if (fd >= 0 && ours)
		taps_add(&broker->taps, if_nametoindex(reply->name));
	return fd;
}

static int do_tap_setup(struct broker *broker, struct broker_request *request,
			struct broker_reply *reply, bool *keep_fd)
{
	int ret = take_ifname(request, reply->name, &reply->err);

	(void)keep_fd;
	if (ret == 0 && taps_have(&broker->taps, if_nametoindex(reply->name)))
		privileges_use(PRIVILEGES_INTERFACES);
	if (ret == 0)
		ret = via_opener_direct.tap_setup(via_opener_direct.user, reply->name,
						  request->number, &reply->err);
	return ret;
}

static int do_account(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd)
{
	(void)broker;
	(void)keep_fd;
	return via_opener_direct.account(via_opener_direct.user, request->text,
					 request->number == 1, &reply->id, &reply->err);
}

static int do_state_file(struct broker *broker, struct broker_request *request,
			 struct broker_reply *reply, bool *keep_fd)
{
	(void)keep_fd;
	return broker_state_file(&broker->files, request->text, request->size, &reply->err);
}

static int do_forget_state(struct broker *broker, struct broker_request *request,
			   struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	broker_forget_state(&broker->files, request->text);
	return 0;
}

/* Takes note of what the file names by now. What is wrong with it stops nobody here: the data process,
 * which gets the same text, refuses it. */
static int take_config(struct broker *broker, const char *text, size_t size,
		       struct broker_reply *reply)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(text, size, CFG_HOST_ASK, &m);
	int ret = cfg ? grants_add(&broker->setup->grants, cfg) : 0;

	if (m.n) {
		reply->id = m.list[0].line;
		via_fail(&reply->err, 0, "%s", m.list[0].text);
	}
	mistakes_fini(&m);
	cfg_free(cfg);
	malloc_trim(0);
	return ret;
}

static int do_read_config(struct broker *broker, struct broker_request *request,
			  struct broker_reply *reply, bool *keep_fd)
{
	int ret, fd = broker_config_file(&broker->files, &reply->err);
	char *text = NULL;
	size_t size;

	(void)request;
	(void)keep_fd;
	if (fd < 0)
		return fd;
	text = daemon_read_fd(fd, &size, &reply->err);
	close(fd);
	if (!text)
		return -EIO;
	ret = take_config(broker, text, size, reply);
	fd = ret < 0 ? via_fail(&reply->err, ret, "no memory to take note of the file")
		     : broker_text(text, size, &reply->err);
	free(text);
	return fd;
}

static int do_link_events(struct broker *broker, struct broker_request *request,
			  struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)request, (void)keep_fd;
	return via_opener_direct.link_events(via_opener_direct.user, &reply->err);
}

static int do_shared_memory(struct broker *broker, struct broker_request *request,
			    struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)keep_fd;
	if (request->size == 0 || request->size > BROKER_MEMORY_MAX)
		return via_fail(&reply->err, -EINVAL, "no port shares %llu bytes with its peer",
				(unsigned long long)request->size);
	return via_opener_direct.shared_memory(via_opener_direct.user, request->size, &reply->err);
}

static int do_timer(struct broker *broker, struct broker_request *request,
		    struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)request, (void)keep_fd;
	return via_opener_direct.timer(via_opener_direct.user, &reply->err);
}

static int do_ready(struct broker *broker, struct broker_request *request,
		    struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	broker->ready = true;
	via_log(VIA_LOG_INFO, "ready: %s", request->text);
	notify("READY=1\n");
	return 0;
}

static const struct {
	broker_fn *serve;
	bool gives_fd;     /* what 'serve' returns is a descriptor, else 0 */
	unsigned int uses; /* privileges */
} kinds[BROKER_NR_KINDS] = {
	[BROKER_LISTEN_UNIX] = { do_listen, true, PRIVILEGES_PATHS | PRIVILEGES_OWNERS },
	[BROKER_CONNECT_UNIX] = { do_connect, true, PRIVILEGES_PATHS },
	[BROKER_ACCOUNT] = { do_account, false, PRIVILEGES_NONE },
	[BROKER_UNLINK_UNIX] = { do_unlink, false, PRIVILEGES_PATHS | PRIVILEGES_OWNERS },
	[BROKER_TAP] = { do_tap, true, PRIVILEGES_NONE }, /* it depends */
	[BROKER_TAP_SETUP] = { do_tap_setup, false, PRIVILEGES_NONE },
	[BROKER_STATE_FILE] = { do_state_file, true, PRIVILEGES_PATHS },
	[BROKER_FORGET_STATE] = { do_forget_state, false, PRIVILEGES_PATHS },
	[BROKER_READ_CONFIG] = { do_read_config, true, PRIVILEGES_PATHS },
	[BROKER_LINK_EVENTS] = { do_link_events, true, PRIVILEGES_NONE },
	[BROKER_SHARED_MEMORY] = { do_shared_memory, true, PRIVILEGES_NONE },
	[BROKER_TIMER] = { do_timer, true, PRIVILEGES_NONE },
	[BROKER_READY] = { do_ready, false, PRIVILEGES_NONE },
};

/* The data process waits for its answer: where a descriptor cannot be passed it is told so, and where
 * nothing can, another one must take its place. */
static void send_reply(struct broker *broker, struct broker_reply *reply, int fd)
{
	int ret = fdpass_send(broker->channel, reply, sizeof(*reply), fd);

	if (ret < 0) {
		reply->ret = via_fail(&reply->err, ret, "the broker's answer got lost: %s",
				      strerror(-ret));
		ret = fdpass_send(broker->channel, reply, sizeof(*reply), -1);
	}
	if (ret < 0 && broker->data) {
		via_log(VIA_LOG_ERROR, "the data process does not take an answer: %s",
			strerror(-ret));
		kill(broker->data, SIGKILL);
	}
}

static void serve_request(struct broker *broker, struct broker_request *request)
{
	struct broker_reply reply = { .serial = request->serial };
	bool keep_fd = false;
	int fd = -1;

	request->text[sizeof(request->text) - 1] = '\0';
	if (request->kind >= BROKER_NR_KINDS || !kinds[request->kind].serve) {
		reply.ret = via_fail(&reply.err, -EINVAL, "the broker knows no request %u",
				     request->kind);
	} else {
		privileges_use(kinds[request->kind].uses);
		reply.ret = kinds[request->kind].serve(broker, request, &reply, &keep_fd);
		privileges_use(PRIVILEGES_NONE);
		if (kinds[request->kind].gives_fd && reply.ret >= 0) {
			fd = reply.ret;
			reply.ret = 0;
		}
	}
	send_reply(broker, &reply, fd);
	if (fd >= 0 && !keep_fd)
		close(fd);
}

static void on_channel(struct broker *broker)
{
	struct broker_request request;
	int fd;
	ssize_t got = fdpass_recv(broker->channel, &request, sizeof(request), &fd);

	if (fd >= 0)
		close(fd); /* nobody asked for one */
	if (got == (ssize_t)sizeof(request)) {
		serve_request(broker, &request);
		return;
	}
	if (got > 0)
		via_log(VIA_LOG_ERROR, "a request of %zd bytes from the data process", got);
	close(broker->channel); /* at its end SIGCHLD tells the rest */
	broker->channel = -1;
}

/* ---- children ---- */

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

/* What there is no process or no memory for may be there in a moment. */
static const struct timespec a_moment = { .tv_nsec = 20000000 };

static pid_t fork_patiently(void)
{
	pid_t pid = fork();

	for (int tries = 1; pid < 0 && tries < FORK_TRIES; tries++) {
		nanosleep(&a_moment, NULL);
		pid = fork();
	}
	return pid;
}

static int start_data_process(struct broker *broker)
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

static void start_exporter(struct broker *broker)
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

static void end(struct broker *broker, int status)
{
	if (!broker->ending) {
		notify("STOPPING=1\n");
		broker->deadline_us = via_clock_us() + END_PATIENCE_US;
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
		end(broker, WEXITSTATUS(how));
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
		end(broker, EXIT_FAILURE);
		return;
	}
	via_log(VIA_LOG_WARNING, "starting the data process again; ports keep their sockets");
	if (start_data_process(broker) < 0)
		end(broker, EXIT_FAILURE);
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
		start_exporter(broker);
	else
		via_log(VIA_LOG_ERROR, "no metrics from now on; packets are not concerned");
}

static void reap(struct broker *broker)
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

/* ---- the loop ---- */

static void on_signal(struct broker *broker)
{
	struct signalfd_siginfo info;

	if (read(broker->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(broker);
		break;
	case SIGHUP:
		if (broker->data)
			kill(broker->data, SIGHUP);
		break;
	default:
		end(broker, EXIT_SUCCESS);
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
	broker->deadline_us = now + END_PATIENCE_US;
	return 1000;
}

static void run(struct broker *broker)
{
	while (!broker->ending || broker->data || broker->exporter) {
		struct pollfd fds[2] = { { .fd = broker->signal_fd, .events = POLLIN },
					 { .fd = broker->channel, .events = POLLIN } };

		if (poll(fds, 2, patience_ms(broker)) < 0 && errno != EINTR)
			nanosleep(&a_moment, NULL);
		if (fds[1].revents)
			on_channel(broker);
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
	} else if (start_data_process(&broker) < 0) {
		broker.status = EXIT_FAILURE;
	} else {
		start_exporter(&broker);
		run(&broker);
	}
	privileges_use(PRIVILEGES_PATHS | PRIVILEGES_OWNERS);
	broker_unlink_all(&broker.files);
	free(broker.taps.index);
	return broker.status;
}
