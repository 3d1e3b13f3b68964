/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of keys: what may be in a configuration, which form it has, and what it means. Ports have
 * theirs in schema_port.c; what they must not share is in schema_pairs.c.
 */
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/reader.h"
#include "daemon/schema.h"
#include "daemon/value.h"

/* ---- static addresses ---- */

#define MAC_FORM "the MAC address of one station, such as 52:54:00:12:34:56"

static void static_mac(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, MAC_FORM);

	if (text && !value_mac(text, r->entry->mac))
		reader_wrong(r, value, MAC_FORM);
}

static void static_vlan(struct reader *r, const struct node *value)
{
	r->entry->vlan = (uint16_t)reader_uint(r, value, 0, 4094);
}

static void static_port(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, "the name of a port");

	if (text)
		snprintf(r->entry->port, sizeof(r->entry->port), "%s", text);
}

static const struct schema_key static_keys[] = {
	{ "mac", static_mac, MAC_FORM, "The address." },
	{ "vlan", static_vlan, "a number from 0 to 4094", "Its VLAN; 0: none." },
	{ "port", static_port, "the name of a port", "Where it is." },
	{ NULL, NULL, NULL, NULL },
};

void schema_read_static(struct cfg_static *entry, const struct node *map, struct mistakes *m)
{
	struct reader r = { .m = m, .entry = entry, .where = "fdb entry: " };

	*entry = (struct cfg_static){ .line = map->line };
	if (map->kind != NODE_MAP) {
		mistakes_add(m, map->line,
			     "an fdb entry must be a mapping, such as "
			     "{mac: 52:54:00:12:34:56, port: vm1}");
		return;
	}
	reader_map(&r, map, static_keys);
	if (!node_get(map, "mac"))
		reader_missing(&r, map->line, "mac", "the address");
	if (!node_get(map, "port"))
		reader_missing(&r, map->line, "port", "the name of the port where the address is");
}

void schema_check_static(const struct cfg *cfg, const struct cfg_static *entry, struct mistakes *m)
{
	if (entry->port[0] && !cfg_find_port(cfg, entry->port))
		mistakes_add(m, entry->line, "fdb entry: there is no port '%s'", entry->port);
}

/* ---- fdb ---- */

static void fdb_ageing(struct reader *r, const struct node *value)
{
	r->cfg->fdb_ageing_s = (uint32_t)reader_uint(r, value, 10, 200000);
}

static void fdb_size(struct reader *r, const struct node *value)
{
	r->cfg->fdb_size = (uint32_t)reader_uint(r, value, 256, 1048576);
}

static void fdb_port_limit(struct reader *r, const struct node *value)
{
	r->cfg->fdb_port_limit = (uint32_t)reader_uint(r, value, 1, 1048576);
}

/* One address is at one place. */
static void check_twice(struct reader *r, const struct cfg_static *entry)
{
	for (uint32_t i = 0; i < r->cfg->nr_statics; i++) {
		const struct cfg_static *other = &r->cfg->statics[i];

		if (entry->port[0] && other->port[0] && entry->vlan == other->vlan &&
		    memcmp(entry->mac, other->mac, sizeof(entry->mac)) == 0)
			mistakes_add(r->m, entry->line,
				     "fdb entry: its address is already in line %u", other->line);
	}
}

static void fdb_static(struct reader *r, const struct node *value)
{
	struct cfg_static entry;

	if (value->kind != NODE_LIST) {
		reader_wrong(r, value, "a list, such as [{mac: 52:54:00:12:34:56, port: vm1}]");
		return;
	}
	for (const struct node *child = value->first; child; child = child->next) {
		schema_read_static(&entry, child, r->m);
		check_twice(r, &entry);
		if (cfg_add_static(r->cfg, &entry) < 0)
			reader_no_memory(r);
	}
}

static const struct schema_key fdb_keys[] = {
	{ "ageing", fdb_ageing, "a number from 10 to 200000",
	  "Seconds after which an address that was not seen is forgotten; 300 if not set." },
	{ "size", fdb_size, "a number from 256 to 1048576",
	  "Addresses that the switch can remember; 65536 if not set." },
	{ "port_limit", fdb_port_limit, "a number from 1 to 1048576",
	  "Addresses that are learned from one port; 4096 if not set." },
	{ "static", fdb_static, "a list of {mac, vlan, port}", "Addresses that never move." },
	{ NULL, NULL, NULL, NULL },
};
/* ---- the top ---- */

static void top_control(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, "the absolute path of a UNIX socket");

	if (!text || !reader_is_socket_path(r, value, text))
		return;
	free(r->cfg->control);
	r->cfg->control = reader_copy(r, text);
}

#define METRICS_FORM "unix:/path/of/socket or ADDRESS:PORT, such as 127.0.0.1:9101"

static void top_metrics(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, METRICS_FORM), *colon;
	uint64_t number;

	if (!text)
		return;
	colon = strrchr(text, ':');
	if (strncmp(text, "unix:", 5) == 0) {
		if (!reader_is_socket_path(r, value, text + 5))
			return;
	} else if (!colon || colon == text || strlen(text) > 80 ||
		   !value_uint(colon + 1, 1, 65535, &number)) {
		reader_wrong(r, value, METRICS_FORM);
		return;
	}
	r->metrics_line = value->line;
	free(r->cfg->metrics);
	r->cfg->metrics = reader_copy(r, text);
}

static void top_run_dir(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, "the absolute path of a directory");

	if (!text)
		return;
	if (text[0] != '/' || strlen(text) > 200) {
		reader_wrong(r, value, "the absolute path of a directory, at most 200 bytes");
		return;
	}
	free(r->cfg->run_dir);
	r->cfg->run_dir = reader_copy(r, text);
}

#define DIRS_FORM "a list of absolute paths of directories, such as [/run/vms]"

static void top_socket_dirs(struct reader *r, const struct node *value)
{
	char dir[DAEMON_PATH_SIZE];

	if (value->kind != NODE_LIST) {
		reader_wrong(r, value, DIRS_FORM);
		return;
	}
	for (const struct node *child = value->first; child; child = child->next) {
		const char *text = child->kind == NODE_TEXT ? child->text : "";
		size_t len = strlen(text);

		while (len > 1 && text[len - 1] == '/')
			len--;
		snprintf(dir, sizeof(dir), "%.*s", (int)via_min_u((unsigned int)len, 107), text);
		if (dir[0] == '/' && dir[1] && len < sizeof(dir)) {
			if (cfg_add_socket_dir(r->cfg, dir) < 0)
				reader_no_memory(r);
		} else {
			mistakes_add(r->m, child->line,
				     "socket_dirs has '%.64s'; an entry must be the absolute path "
				     "of a directory, of at most 107 bytes and not '/'",
				     text);
		}
	}
}

static void top_user(struct reader *r, const struct node *value)
{
	free(r->cfg->user);
	r->cfg->user = reader_string(r, value, "the name of a user");
	if (r->cfg->user && r->host == CFG_HOST_ASK && !getpwnam(r->cfg->user))
		mistakes_add(r->m, value->line, "user: there is no user '%.32s' on this machine",
			     r->cfg->user);
}

static void top_group(struct reader *r, const struct node *value)
{
	free(r->cfg->group);
	r->cfg->group = reader_string(r, value, "the name of a group");
	if (r->cfg->group && r->host == CFG_HOST_ASK && !getgrnam(r->cfg->group))
		mistakes_add(r->m, value->line, "group: there is no group '%.32s' on this machine",
			     r->cfg->group);
}

#define WORKERS_FORM "a number from 1 to 64, or a list such as [{cpu: 2}, {cpu: 3}]"

static int read_cpu(struct reader *r, const struct node *worker)
{
	const struct node *value = worker->kind == NODE_MAP ? node_get(worker, "cpu") : NULL;
	long nr_cpus = r->host == CFG_HOST_ASK ? sysconf(_SC_NPROCESSORS_CONF) : CPU_SETSIZE;
	uint64_t cpu;

	if (!value || value->next || value != worker->first || value->kind != NODE_TEXT) {
		mistakes_add(r->m, worker->line, "workers: an entry must be {cpu: N}");
		return -1;
	}
	if (!value_uint(value->text, 0, (uint64_t)nr_cpus - 1, &cpu)) {
		mistakes_add(r->m, value->line,
			     "workers: there is no CPU '%.16s'; this machine has 0 to %ld",
			     value->text, nr_cpus - 1);
		return -1;
	}
	return (int)cpu;
}

static void read_cpus(struct reader *r, const struct node *list)
{
	uint32_t n = 0;

	for (const struct node *worker = list->first; worker; worker = worker->next)
		n++;
	if (n == 0 || n > SW_MAX_WORKERS) {
		reader_wrong(r, list, "a list of 1 to 64 workers, such as [{cpu: 2}, {cpu: 3}]");
		return;
	}
	free(r->cfg->cpus);
	r->cfg->cpus = calloc(n, sizeof(int));
	if (!r->cfg->cpus) {
		reader_no_memory(r);
		return;
	}
	r->cfg->nr_workers = n;
	n = 0;
	for (const struct node *worker = list->first; worker; worker = worker->next, n++) {
		int cpu = read_cpu(r, worker);

		for (uint32_t i = 0; i < n && cpu >= 0; i++)
			if (r->cfg->cpus[i] == cpu)
				mistakes_add(r->m, worker->line,
					     "workers: CPU %d is given twice; two workers on one "
					     "CPU only take turns",
					     cpu);
		r->cfg->cpus[n] = cpu;
	}
}

static void top_workers(struct reader *r, const struct node *value)
{
	uint64_t number = 1;

	if (value->kind == NODE_LIST) {
		read_cpus(r, value);
		return;
	}
	if (value->kind != NODE_TEXT || !value_uint(value->text, 1, SW_MAX_WORKERS, &number))
		reader_wrong(r, value, WORKERS_FORM);
	r->cfg->nr_workers = (uint32_t)number;
}

#define POLL_FORM "a number of microseconds from 0 to 1000000, or always"

static void top_poll_us(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, POLL_FORM);
	uint64_t number = CFG_POLL_US;

	if (text && strcmp(text, "always") == 0)
		number = SW_POLL_ALWAYS;
	else if (text && !value_uint(text, 0, 1000000, &number))
		reader_wrong(r, value, POLL_FORM);
	r->cfg->poll_us = (uint32_t)number;
}

static void top_fdb(struct reader *r, const struct node *value)
{
	if (value->kind != NODE_MAP) {
		reader_wrong(r, value, "a mapping, such as {ageing: 300, size: 65536}");
		return;
	}
	snprintf(r->where, sizeof(r->where), "fdb: ");
	reader_map(r, value, fdb_keys);
	r->where[0] = '\0';
}

static void read_port_of_list(struct reader *r, const struct node *map)
{
	struct cfg_port *port = calloc(1, sizeof(*port));

	if (!port) {
		reader_no_memory(r);
		return;
	}
	schema_read_port(port, map, r->host, r->m);
	if (port->ops && port->name[0])
		schema_check_among_ports(r->cfg, port, NULL, r->m);
	if (cfg_add_port(r->cfg, port) == 0)
		return;
	reader_no_memory(r);
	cfg_port_free(port);
}

static void top_ports(struct reader *r, const struct node *value)
{
	uint32_t n = 0;

	if (value->kind == NODE_TEXT && value->is_null)
		return;
	if (value->kind != NODE_LIST) {
		reader_wrong(r, value, "a list, each entry beginning with '- '");
		return;
	}
	for (const struct node *child = value->first; child; child = child->next) {
		if (++n > SW_MAX_PORTS) {
			mistakes_add(r->m, child->line, "ports: there can be at most %d",
				     SW_MAX_PORTS);
			return;
		}
		read_port_of_list(r, child);
	}
}

static const struct schema_key top_keys[] = {
	{ "control", top_control, "the absolute path of a UNIX socket",
	  "The control socket: JSON-RPC 2.0, one object a line. If not set "
	  "/run/viaduct/control.sock, for other users than root $XDG_RUNTIME_DIR/viaduct/control.sock." },
	{ "metrics", top_metrics, METRICS_FORM, "Where Prometheus may ask; not set: nowhere." },
	{ "run_dir", top_run_dir, "the absolute path of a directory",
	  "For files that outlive a restart; if not set the control socket's directory." },
	{ "socket_dirs", top_socket_dirs, DIRS_FORM,
	  "Where sockets of ports that are added at run time may be, beside the directories of the "
	  "control socket and run_dir; those of this file's ports may be anywhere." },
	{ "user", top_user, "the name of a user",
	  "Whom the daemon becomes when it is started as root." },
	{ "group", top_group, "the name of a group", "Likewise; if not set the user's own group." },
	{ "workers", top_workers, WORKERS_FORM, "Threads that move packets; 1 if not set." },
	{ "poll_us", top_poll_us, POLL_FORM,
	  "How long a worker looks at a quiet queue before it sleeps; 0: interrupts only; 50 if not "
	  "set." },
	{ "fdb", top_fdb, "a mapping", "The table of MAC addresses; see below." },
	{ "ports", top_ports, "a list of mappings", "What is plugged in; see below." },
	{ NULL, NULL, NULL, NULL },
};

void schema_read(struct cfg *cfg, const struct node *map, enum cfg_host host, struct mistakes *m)
{
	struct reader r = { .m = m, .cfg = cfg, .host = host };
	const size_t before = m->n;

	reader_map(&r, map, top_keys);
	for (uint32_t i = 0; i < cfg->nr_statics; i++)
		schema_check_static(cfg, &cfg->statics[i], m);
	schema_check_sockets(cfg, r.metrics_line, m);
	if (!cfg->control && m->n == before)
		mistakes_add(m, 0,
			     "XDG_RUNTIME_DIR is not set, so there is no place for the control "
			     "socket; give one, such as 'control: /tmp/viaduct/control.sock'");
}
/* ---- documentation ---- */

static void print_keys(FILE *out, const char *title, const struct schema_key *keys)
{
	fprintf(out, "%s\n", title);
	for (; keys->name; keys++)
		fprintf(out, "  %s: %s\n      %s\n", keys->name, keys->form, keys->help);
}

void schema_print(FILE *out)
{
	print_keys(out, "Keys of the configuration:", top_keys);
	print_keys(out, "\nKeys of 'fdb':", fdb_keys);
	print_keys(out, "\nKeys of an entry of 'fdb: static':", static_keys);
	print_keys(out, "\nKeys of every port:", schema_port_keys);
	schema_print_types(out);
}
