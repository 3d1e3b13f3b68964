/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data process: start, signals, end.
 *
 * Its end takes a moment: every port is closed, which takes a grace period of the workers, then the
 * workers end, then the loop.
 */
#include "daemon/data.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <viaduct/log.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "daemon/change.h"
#include "daemon/methods.h"
#include "daemon/sandbox.h"
#include "mem/mem.h"

struct data {
	struct daemon daemon; /* first: what methods have */
	struct broker_client broker;
	int signal_fd;
	struct via_watch *signal_watch, *broker_watch;
	uint32_t nr_closing;
	bool wants_reload; /* a SIGHUP came during a change */
};

static void reload(struct data *data);

/* ---- the end ---- */

static void one_closed(void *user)
{
	struct data *data = user;

	if (--data->nr_closing == 0)
		via_loop_stop(data->daemon.loop);
}

/* Once more where that had no memory: nobody else closes it. */
static bool close_port(struct data *data, uint32_t index)
{
	struct sw_switch *sw = data->daemon.sw;

	return sw_port_del(sw, index, one_closed, data, NULL) == 0 ||
	       sw_port_del(sw, index, one_closed, data, NULL) == 0;
}

/* Closes all ports, then ends the loop; returns at once. */
static void data_end(struct daemon *d)
{
	struct data *data = via_container_of(d, struct data, daemon);

	if (d->ending)
		return;
	d->ending = true;
	if (d->change)
		return; /* goes on in change_ended() */
	data->nr_closing = 1;
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		int index = sw_port_find(d->sw, d->cfg->ports[i]->name);

		data->nr_closing++;
		if (index < 0 || !close_port(data, (uint32_t)index))
			data->nr_closing--;
	}
	one_closed(data);
}

static void data_change_ended(struct daemon *d)
{
	struct data *data = via_container_of(d, struct data, daemon);

	if (d->ending) {
		d->ending = false;
		data_end(d);
		return;
	}
	if (data->wants_reload)
		reload(data);
	rpc_change_ended(d->rpc);
}

/* ---- signals ---- */

static void log_change(const char *what, const char *text)
{
	if (what && text)
		via_log(strcmp(what, "failed") == 0 ? VIA_LOG_ERROR : VIA_LOG_INFO,
			"reload: %s: %s", what, text);
}

static void log_report(void *user, const struct node *report)
{
	(void)user;
	for (const struct node *list = report->first; list; list = list->next)
		for (const struct node *text = list->first; text; text = text->next)
			log_change(list->key, text->text);
	via_log(VIA_LOG_INFO, "reload: done");
}

static void reload(struct data *data)
{
	struct mistakes m = { 0 };
	struct via_error err;

	data->wants_reload = data->daemon.change;
	if (data->wants_reload)
		return;
	if (method_start_reload(&data->daemon, log_report, NULL, &m, &err) == 0)
		return;
	for (size_t i = 0; i < m.n; i++)
		via_log(VIA_LOG_ERROR, "%s:%u: %s", data->daemon.config_path, m.list[i].line,
			m.list[i].text);
	via_log(VIA_LOG_ERROR, "reload: %s", err.text);
	mistakes_fini(&m);
}

static void on_signal(void *user, uint32_t events)
{
	struct data *data = user;
	struct signalfd_siginfo info;

	(void)events;
	if (read(data->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload(data);
	else
		data_end(&data->daemon);
}

/* The channel says nothing of itself: it is readable only when the broker is gone. */
static void on_broker(void *user, uint32_t events)
{
	struct data *data = user;

	(void)events;
	via_log(VIA_LOG_ERROR, "the broker process is gone; ending");
	via_loop_unwatch(data->broker_watch);
	data->broker_watch = NULL;
	data_end(&data->daemon);
}

static int watch_signals(struct data *data, struct via_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL); /* workers inherit it */
	data->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (data->signal_fd < 0)
		return via_fail(err, -errno, "signalfd: %s", strerror(errno));
	return via_loop_watch(&data->signal_watch, data->daemon.loop, data->signal_fd, EPOLLIN,
			      on_signal, data, err);
}

/* ---- start ---- */

/* What the broker has checked, or what the data process before us had made of it. */
static struct cfg *read_kept(const struct kept *kept, struct via_error *err)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(kept->text, kept_size(kept), CFG_HOST_KNOWN, &m);

	if (!cfg)
		via_fail(err, -EINVAL, "the configuration has mistakes: %s",
			 m.n ? m.list[0].text : "no memory");
	mistakes_fini(&m);
	return cfg;
}

/* From here on nothing is opened. Before any thread is made. */
static int close_files(struct daemon *d, struct via_error *err)
{
	json_object_seed(0); /* reads a file the first time */
	d->sandbox.landlock = build_opens_files ? 0 : sandbox_close_files(err);
	return d->sandbox.landlock < 0 ? d->sandbox.landlock : 0;
}

/* All threads are there; nothing of a peer's has been looked at. */
static int limit_calls(struct daemon *d, struct via_error *err)
{
	d->sandbox.calls = sandbox_limit_calls(data_calls(), err);
	return d->sandbox.calls < 0 ? d->sandbox.calls : 0;
}

static int create_switch(struct daemon *d, struct via_error *err)
{
	const struct sw_config config = {
		.nr_workers = d->cfg->nr_workers,
		.cpus = d->cfg->cpus,
		.poll_us = d->cfg->poll_us,
		.ageing_s = d->cfg->fdb_ageing_s,
		.fdb_size = d->cfg->fdb_size,
		.fdb_port_limit = d->cfg->fdb_port_limit,
		.loop = d->loop,
	};

	return sw_create(&d->sw, &config, err);
}

static int open_ports(struct daemon *d, bool lenient, struct via_error *err)
{
	uint32_t failed = change_open_all(d);

	if (failed && !lenient)
		return via_fail(err, -EINVAL, "%u of the ports cannot be opened; not starting",
				failed);
	return 0;
}

static int start(struct data *data, const struct data_start *s, struct via_error *err)
{
	struct daemon *d = &data->daemon;
	int ret = close_files(d, err);

	d->kept = ret < 0 ? NULL : kept_map(s->kept_fd, err);
	d->cfg = d->kept ? read_kept(d->kept, err) : NULL;
	if (!d->cfg)
		return -EINVAL;
	/* Against peers that take their memory away (R7) or make their descriptors block (R19). */
	ret = via_guard_install(err);
	if (ret == 0)
		ret = via_watchdog_start(err);
	if (ret == 0)
		ret = via_loop_create(&d->loop, err);
	if (ret == 0)
		ret = watch_signals(data, err);
	if (ret == 0)
		ret = via_loop_watch(&data->broker_watch, d->loop, s->broker_fd, EPOLLRDHUP,
				     on_broker, data, err);
	if (ret == 0)
		ret = via_loop_prepare(d->loop, err);
	if (ret == 0)
		ret = create_switch(d, err);
	if (ret == 0)
		ret = limit_calls(d, err);
	if (ret == 0)
		ret = open_ports(d, s->restarted, err);
	if (ret == 0)
		ret = rpc_create(&d->rpc, d, s->control_fd, method_client_gone, err);
	return ret;
}

static void say_ready(struct data *data)
{
	const struct daemon *d = &data->daemon;
	char summary[256];

	snprintf(summary, sizeof(summary), "%u port%s, %u worker%s, control socket '%s'",
		 d->cfg->nr_ports, d->cfg->nr_ports == 1 ? "" : "s", d->cfg->nr_workers,
		 d->cfg->nr_workers == 1 ? "" : "s", d->cfg->control);
	broker_say_ready(&data->broker, summary);
}

/* In the reverse order of start(); accepts what is half there. */
static void finish(struct data *data)
{
	struct daemon *d = &data->daemon;

	rpc_free(d->rpc);
	sw_free(d->sw);
	via_loop_unwatch(data->broker_watch);
	via_loop_unwatch(data->signal_watch);
	via_loop_free(d->loop);
	cfg_free(d->cfg);
	if (data->signal_fd >= 0)
		close(data->signal_fd);
}

int data_run(const struct data_start *s)
{
	struct data data = { .daemon = { .config_path = s->config_path,
					 .pid = getpid(),
					 .uid = geteuid(),
					 .capture_fd = -1,
					 .start_us = via_clock_us(),
					 .change_ended = data_change_ended,
					 .end = data_end },
			     .signal_fd = -1 };
	struct daemon *d = &data.daemon;
	struct via_error err;
	int ret;

	broker_client_init(&data.broker, s->broker_fd);
	d->broker = &data.broker;
	d->opener = &data.broker.opener;
	ret = start(&data, s, &err);
	if (ret < 0) {
		via_log(VIA_LOG_ERROR, "%s", err.text);
		if (d->sw)
			data_end(d);
	} else {
		change_remember(d);
		change_trim(d);
		say_ready(&data);
	}
	if (ret == 0 || data.nr_closing)
		via_loop_run(d->loop);
	finish(&data);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
