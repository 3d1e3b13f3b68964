/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the running switch.
 *
 * A change runs in two phases: all ports that go or are reopened are closed; when the last is gone
 * (so that its socket and interface are free) the new ones are opened. A port that cannot be opened
 * as wanted is opened again as it was, if it was. Ports that do not differ are not touched.
 */
#include "daemon/change.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "daemon/methods.h"

struct planned {
	struct cfg_port *port; /* to open; owned */
	struct cfg_port *old;  /* what it replaces, closed by then; owned; NULL: nothing */
};

struct change {
	struct daemon *d;
	struct planned *planned;
	uint32_t nr_planned;
	uint32_t nr_closing;        /* ports that are not gone yet, and one while collecting */
	struct cfg_static *statics; /* to add when the ports are there */
	uint32_t nr_statics;
	struct node *report;
	struct node *spare; /* of the report: what to say where there is no memory to say more */
	change_done_fn *done;
	void *user;
};

static void report(struct change *change, const char *list, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Something is missing in the report: then something has failed. */
static void report_loss(struct change *change)
{
	struct node *failed = node_get(change->report, "failed");

	if (failed && failed->first)
		return;
	if (failed)
		node_remove(change->report, "failed");
	node_add(change->report, NULL,
		 change->spare); /* has its key, so that this needs no memory */
	change->spare = NULL;
}

static void report(struct change *change, const char *list, const char *format, ...)
{
	struct node *names = node_get(change->report, list);
	char text[400];
	va_list ap;

	if (!names)
		names = node_add(change->report, list, node_create(NODE_LIST, NULL));
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (!node_add_string(names, NULL, text))
		report_loss(change);
}

void change_note(struct change *change, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report(change, "notes", "%s", text);
}

static struct node *spare_report(void)
{
	struct node *map = node_create(NODE_MAP, NULL), *spare = NULL;
	struct node *list = map ? node_add(map, "failed", node_create(NODE_LIST, NULL)) : NULL;

	if (list && node_add_string(list, NULL, "no memory to say all that happened")) {
		spare = list;
		map->first = map->last = NULL; /* the list is nobody's */
	}
	node_free(map);
	return spare;
}

static void change_free(struct change *change)
{
	node_free(change->report);
	node_free(change->spare);
	free(change->planned);
	free(change->statics);
	free(change);
}

struct change *change_begin(struct daemon *d, change_done_fn *done, void *user)
{
	struct change *change = d->change ? NULL : calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	*change = (struct change){ .d = d,
				   .nr_closing = 1,
				   .report = node_create(NODE_MAP, NULL),
				   .spare = spare_report(),
				   .done = done,
				   .user = user };
	if (!change->report || !change->spare) {
		change_free(change);
		return NULL;
	}
	d->change = change;
	return change;
}

/* ---- ports in and out of the switch ---- */

/* Each opened port leaves an old version of what workers read, freed after a grace period: gives that
 * back to the system. */
static void trim(void *user)
{
	(void)user;
	malloc_trim(0);
}

void change_trim(struct daemon *d)
{
	via_loop_after_grace(d->loop, trim, NULL);
}

static via_cold void add_statics_of(struct daemon *d, const char *name)
{
	int index = sw_port_find(d->sw, name);
	struct via_error err;

	for (uint32_t i = 0; i < d->cfg->nr_statics && index >= 0; i++) {
		const struct cfg_static *s = &d->cfg->statics[i];

		if (strcmp(s->port, name) == 0 &&
		    sw_fdb_add(d->sw, s->mac, s->vlan, (uint32_t)index, &err) < 0)
			via_log(VIA_LOG_WARNING, "port '%s': %s", name, err.text);
	}
}

static int open_port(struct daemon *d, const struct cfg_port *port, struct via_error *err)
{
	static const struct via_port_option no_options[] = { { NULL, NULL } };
	const struct via_port_config config = {
		.name = port->name,
		.mtu = port->mtu,
		.lossless = port->lossless,
		.options = port->options ? port->options : no_options,
		.opener = d->opener,
	};
	int ret = sw_port_add(d->sw, port->ops, &config, &port->sw, err);

	return ret < 0 ? ret : 0;
}

/* Opens 'port' and takes it into the running configuration, which then owns it. */
static int bring_in(struct daemon *d, struct cfg_port *port, struct via_error *err)
{
	int ret;

	if (cfg_add_port(d->cfg, port) < 0)
		return via_fail(err, -ENOMEM, "port '%s': no memory", port->name);
	ret = open_port(d, port, err);
	if (ret < 0) {
		char name[64];

		cfg_take_port(d->cfg, port->name);
		snprintf(name, sizeof(name), "port '%s'", port->name);
		return strstr(err->text, name) ? ret : via_fail_in(err, ret, "%s", name);
	}
	add_statics_of(d, port->name);
	return 0;
}

uint32_t change_open_all(struct daemon *d)
{
	uint32_t nr_failed = 0, nr_ports = d->cfg->nr_ports;
	struct cfg_port **ports = d->cfg->ports;
	struct via_error err;

	d->cfg->ports = NULL;
	d->cfg->nr_ports = 0;
	for (uint32_t i = 0; i < nr_ports; i++) {
		if (bring_in(d, ports[i], &err) == 0)
			continue;
		via_log(VIA_LOG_ERROR, "%s", err.text);
		cfg_port_free(ports[i]);
		nr_failed++;
	}
	free(ports);
	return nr_failed;
}

/* ---- running a change ---- */

static void open_planned(struct change *change, struct planned *planned)
{
	struct daemon *d = change->d;
	struct via_error err, again;

	if (bring_in(d, planned->port, &err) == 0) {
		report(change, planned->old ? "reopened" : "added", "%s", planned->port->name);
		cfg_port_free(planned->old);
		return;
	}
	if (!planned->old) {
		report(change, "failed", "%s", err.text);
		if (d->broker)
			broker_forget(d->broker, planned->port->name);
	} else if (bring_in(d, planned->old, &again) == 0) {
		report(change, "failed", "%s; it is as before", err.text);
		planned->old = NULL;
	} else {
		report(change, "failed", "%s; and it cannot be opened as before: %s", err.text,
		       again.text);
	}
	cfg_port_free(planned->port);
	cfg_port_free(planned->old);
}

static void drop_statics_without_port(struct cfg *cfg)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cfg->nr_statics; i++)
		if (cfg_find_port(cfg, cfg->statics[i].port))
			cfg->statics[kept++] = cfg->statics[i];
	cfg->nr_statics = kept;
}

/* Ports that are gone for good leave nothing: another one of that name begins anew. */
static void forget_removed(struct change *change)
{
	const struct node *removed = node_get(change->report, "removed");

	for (const struct node *name = removed ? removed->first : NULL; name; name = name->next)
		if (change->d->broker)
			broker_forget(change->d->broker, name->text);
}

static void finish(struct change *change)
{
	struct daemon *d = change->d;
	struct via_error err;

	forget_removed(change);
	for (uint32_t i = 0; i < change->nr_planned; i++)
		open_planned(change, &change->planned[i]);
	drop_statics_without_port(d->cfg);
	for (uint32_t i = 0; i < change->nr_statics; i++)
		if (change_add_static(d, &change->statics[i], &err) < 0)
			report(change, "failed", "%s", err.text);
	change_remember(d);
	change_trim(d);
	d->change = NULL;
	change->done(change->user, change->report);
	change_free(change);
	d->change_ended(d);
}

static void one_closed(void *user)
{
	struct change *change = user;

	if (--change->nr_closing == 0)
		finish(change);
}

void change_run(struct change *change)
{
	one_closed(change); /* the one of change_begin() */
}

/* Makes sure that plan() works: before a port is closed for it. Reports if not. */
static bool can_plan(struct change *change, const char *name)
{
	struct planned *planned =
		realloc(change->planned, (change->nr_planned + 1) * sizeof(*planned));

	if (!planned) {
		report(change, "failed", "port '%s': no memory to plan what is to be done", name);
		return false;
	}
	change->planned = planned;
	return true;
}

static void plan(struct change *change, struct cfg_port *port, struct cfg_port *old)
{
	change->planned[change->nr_planned++] = (struct planned){ port, old };
}

/* Closes the port; it leaves the running configuration at once. Returns what it was (owned by the
 * caller), or NULL after having reported why not. */
static struct cfg_port *close_port(struct change *change, const char *name)
{
	struct daemon *d = change->d;
	int index = sw_port_find(d->sw, name);
	struct via_error err;

	if (index >= 0)
		method_port_closing(d, index);
	change->nr_closing++;
	if (index < 0) {
		report(change, "failed", "there is no port '%s'", name);
	} else if (sw_port_del(d->sw, (uint32_t)index, one_closed, change, &err) < 0) {
		report(change, "failed", "port '%s': %s", name, err.text);
	} else {
		return cfg_take_port(d->cfg, name);
	}
	change->nr_closing--;
	return NULL;
}

void change_add(struct change *change, struct cfg_port *port)
{
	if (can_plan(change, port->name))
		plan(change, port, NULL);
	else
		cfg_port_free(port);
}

void change_del(struct change *change, const char *name)
{
	struct cfg_port *port = close_port(change, name);

	if (!port)
		return;
	report(change, "removed", "%s", port->name);
	cfg_port_free(port);
}

/* Only VLANs or isolation: the port goes on meanwhile. */
static void set_in_place(struct change *change, struct cfg_port *running,
			 const struct cfg_port *wanted)
{
	struct daemon *d = change->d;
	int index = sw_port_find(d->sw, running->name);
	struct via_error err;

	if (index < 0 || sw_port_set(d->sw, (uint32_t)index, &wanted->sw, &err) < 0) {
		report(change, "failed", "port '%s': %s", running->name,
		       index < 0 ? "it is not there" : err.text);
		return;
	}
	running->sw = wanted->sw;
	report(change, "changed", "%s", running->name);
}

void change_set(struct change *change, struct cfg_port *port)
{
	struct cfg_port *running = cfg_find_port(change->d->cfg, port->name);

	if (running && cfg_port_opens_same(running, port)) {
		if (!cfg_vlan_same(&running->sw, &port->sw))
			set_in_place(change, running, port);
		cfg_port_free(port);
		return;
	}
	running = can_plan(change, port->name) ? close_port(change, port->name) : NULL;
	if (running)
		plan(change, port, running);
	else
		cfg_port_free(port);
}

/* ---- from one configuration to another ---- */

static void note_restart(struct change *change, const char *key, bool differs)
{
	if (differs)
		change_note(change,
			    "'%s' has changed: that takes effect when viaductd is restarted", key);
}

static bool text_differs(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) != 0 : a != b;
}

static bool cpus_differ(const struct cfg *a, const struct cfg *b)
{
	if (a->nr_workers != b->nr_workers || !a->cpus != !b->cpus)
		return true;
	return a->cpus && memcmp(a->cpus, b->cpus, a->nr_workers * sizeof(int)) != 0;
}

static void note_restarts(struct change *change, const struct cfg *now, const struct cfg *wanted)
{
	note_restart(change, "control", text_differs(now->control, wanted->control));
	note_restart(change, "metrics", text_differs(now->metrics, wanted->metrics));
	note_restart(change, "run_dir", text_differs(now->run_dir, wanted->run_dir));
	note_restart(change, "user", text_differs(now->user, wanted->user));
	note_restart(change, "group", text_differs(now->group, wanted->group));
	note_restart(change, "workers", cpus_differ(now, wanted));
	note_restart(change, "fdb",
		     now->fdb_ageing_s != wanted->fdb_ageing_s ||
			     now->fdb_size != wanted->fdb_size ||
			     now->fdb_port_limit != wanted->fdb_port_limit);
}

static via_cold const struct cfg_static *find_static(const struct cfg *cfg,
						     const struct cfg_static *like)
{
	for (uint32_t i = 0; i < cfg->nr_statics; i++) {
		const struct cfg_static *s = &cfg->statics[i];

		if (memcmp(s->mac, like->mac, 6) == 0 && s->vlan == like->vlan &&
		    strcmp(s->port, like->port) == 0)
			return s;
	}
	return NULL;
}

static void collect_statics(struct change *change, const struct cfg *wanted)
{
	struct cfg *now = change->d->cfg;

	for (uint32_t i = now->nr_statics; i-- > 0;) {
		const struct cfg_static s = now->statics[i];

		if (!find_static(wanted, &s))
			change_del_static(change->d, s.mac, s.vlan, NULL);
	}
	change->statics = calloc(wanted->nr_statics + 1, sizeof(*change->statics));
	if (!change->statics) {
		report(change, "failed", "no memory for static addresses");
		return;
	}
	for (uint32_t i = 0; i < wanted->nr_statics; i++)
		if (!find_static(now, &wanted->statics[i]))
			change->statics[change->nr_statics++] = wanted->statics[i];
}

/* The broker knows of them already. */
static void take_socket_dirs(struct cfg *now, struct cfg *wanted)
{
	char **dirs = now->socket_dirs;
	uint32_t nr_dirs = now->nr_socket_dirs;

	now->socket_dirs = wanted->socket_dirs;
	now->nr_socket_dirs = wanted->nr_socket_dirs;
	wanted->socket_dirs = dirs;
	wanted->nr_socket_dirs = nr_dirs;
}

void change_collect(struct change *change, struct cfg *wanted)
{
	struct cfg *now = change->d->cfg;
	struct via_error err;

	note_restarts(change, now, wanted);
	if (now->poll_us != wanted->poll_us &&
	    change_set_poll_us(change->d, wanted->poll_us, &err) < 0)
		report(change, "failed", "poll_us: %s", err.text);
	take_socket_dirs(now, wanted);
	collect_statics(change, wanted);
	for (uint32_t i = now->nr_ports; i-- > 0;)
		if (!cfg_find_port(wanted, now->ports[i]->name))
			change_del(change, now->ports[i]->name);
	for (uint32_t i = 0; i < wanted->nr_ports; i++) {
		struct cfg_port *port = wanted->ports[i];

		if (cfg_find_port(now, port->name))
			change_set(change, port);
		else
			change_add(change, port);
	}
	wanted->nr_ports = 0; /* they are ours now */
}

/* ---- single settings ---- */

int change_add_static(struct daemon *d, const struct cfg_static *entry, struct via_error *err)
{
	int index = sw_port_find(d->sw, entry->port);
	int ret;

	if (index < 0)
		return via_fail(err, -ENOENT, "there is no port '%s'", entry->port);
	if (cfg_add_static(d->cfg, entry) < 0)
		return via_fail(err, -ENOMEM, "no memory to remember the address");
	ret = sw_fdb_add(d->sw, entry->mac, entry->vlan, (uint32_t)index, err);
	if (ret < 0)
		cfg_remove_static(d->cfg, entry->mac, entry->vlan);
	return ret;
}

int change_del_static(struct daemon *d, const uint8_t mac[6], uint16_t vlan, struct via_error *err)
{
	int ret = sw_fdb_del(d->sw, mac, vlan, err);

	if (ret == 0)
		cfg_remove_static(d->cfg, mac, vlan);
	return ret;
}

int change_set_poll_us(struct daemon *d, uint32_t poll_us, struct via_error *err)
{
	int ret = sw_set_poll_us(d->sw, poll_us);

	if (ret < 0)
		return via_fail(err, ret, "the switch refuses it: %s", strerror(-ret));
	d->cfg->poll_us = poll_us;
	return 0;
}

void change_remember(struct daemon *d)
{
	struct node *tree = d->kept ? cfg_to_node(d->cfg) : NULL;
	char *text = tree ? node_to_yaml(tree) : NULL;

	if (d->kept && !text)
		via_log(VIA_LOG_WARNING, "no memory to remember the configuration");
	else if (text && kept_store(d->kept, text, strlen(text)) < 0)
		via_log(VIA_LOG_WARNING, "the configuration is too large to outlive a crash");
	free(text);
	node_free(tree);
}
