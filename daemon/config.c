/* SPDX-License-Identifier: BSD-3-Clause */
/* The model of the configuration: its life, comparison, and the way back to a tree. */
#include "daemon/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- ports ---- */

void cfg_port_free(struct cfg_port *port)
{
	if (!port)
		return;
	for (uint32_t i = 0; i < port->nr_options; i++)
		free((void *)(uintptr_t)port->options[i].value); /* const for the port types only */
	free(port->options);
	free(port);
}

struct cfg_port *cfg_port_copy(const struct cfg_port *port)
{
	struct cfg_port *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *port;
	copy->nr_options = 0;
	copy->options = calloc(port->nr_options + 1, sizeof(*copy->options));
	if (!copy->options)
		goto fail;
	for (uint32_t i = 0; i < port->nr_options; i++) {
		char *value = strdup(port->options[i].value);

		if (!value)
			goto fail;
		copy->options[copy->nr_options++] =
			(struct via_port_option){ port->options[i].key, value };
	}
	return copy;

fail:
	cfg_port_free(copy);
	return NULL;
}

const char *cfg_port_option(const struct cfg_port *port, const char *key)
{
	for (uint32_t i = 0; i < port->nr_options; i++)
		if (strcmp(port->options[i].key, key) == 0)
			return port->options[i].value;
	return NULL;
}

static bool has_same_options(const struct cfg_port *a, const struct cfg_port *b)
{
	if (a->nr_options != b->nr_options)
		return false;
	for (uint32_t i = 0; i < a->nr_options; i++) {
		const char *other = cfg_port_option(b, a->options[i].key);

		if (!other || strcmp(a->options[i].value, other) != 0)
			return false;
	}
	return true;
}

bool cfg_port_opens_same(const struct cfg_port *a, const struct cfg_port *b)
{
	return a->ops == b->ops && a->mtu == b->mtu && a->lossless == b->lossless &&
	       has_same_options(a, b);
}

bool cfg_vlan_same(const struct sw_port_config *a, const struct sw_port_config *b)
{
	return a->isolated == b->isolated && a->vlan.vlan == b->vlan.vlan &&
	       a->vlan.trunk == b->vlan.trunk &&
	       memcmp(a->vlan.members, b->vlan.members, sizeof(a->vlan.members)) == 0;
}

struct cfg_port *cfg_port_from_node(const struct node *map, const struct cfg *cfg,
				    const struct cfg_port *replaces, struct mistakes *m)
{
	struct cfg_port *port = calloc(1, sizeof(*port));
	size_t before = m->n;

	if (!port) {
		mistakes_add(m, 0, "no memory for a port");
		return NULL;
	}
	schema_read_port(port, map, CFG_HOST_KNOWN, m); /* open() finds out */
	if (cfg && m->n == before)
		schema_check_port(cfg, port, replaces, m);
	if (cfg && !replaces && cfg->nr_ports >= SW_MAX_PORTS)
		mistakes_add(m, 0, "there can be at most %d ports", SW_MAX_PORTS);
	if (m->n == before)
		return port;
	cfg_port_free(port);
	return NULL;
}

/* ---- the whole ---- */

void cfg_free(struct cfg *cfg)
{
	if (!cfg)
		return;
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		cfg_port_free(cfg->ports[i]);
	free(cfg->ports);
	free(cfg->statics);
	free(cfg->cpus);
	free(cfg->control);
	free(cfg->metrics);
	free(cfg->run_dir);
	for (uint32_t i = 0; i < cfg->nr_socket_dirs; i++)
		free(cfg->socket_dirs[i]);
	free(cfg->socket_dirs);
	free(cfg->user);
	free(cfg->group);
	free(cfg);
}

static struct cfg *with_defaults(void)
{
	struct cfg *cfg = calloc(1, sizeof(*cfg));
	char path[DAEMON_PATH_SIZE];

	if (!cfg)
		return NULL;
	cfg->nr_workers = 1;
	cfg->poll_us = CFG_POLL_US;
	if (daemon_default_control(path) < 0)
		return cfg;
	cfg->control = strdup(path);
	if (cfg->control)
		return cfg;
	cfg_free(cfg);
	return NULL;
}

static void default_run_dir(struct cfg *cfg, struct mistakes *m)
{
	if (cfg->run_dir || !cfg->control)
		return;
	cfg->run_dir = strdup(cfg->control);
	if (cfg->run_dir)
		strrchr(cfg->run_dir, '/')[0] = '\0';
	else
		mistakes_add(m, 0, "no memory to read the configuration");
}

struct cfg *cfg_from_yaml(const char *text, size_t size, enum cfg_host host, struct mistakes *m)
{
	size_t before = m->n;
	struct node *tree = node_from_yaml(text, size, m);
	struct cfg *cfg = with_defaults();

	if (tree && cfg) {
		schema_read(cfg, tree, host, m);
		default_run_dir(cfg, m);
	}
	node_free(tree);
	if (tree && cfg && m->n == before)
		return cfg;
	if (tree && !cfg)
		mistakes_add(m, 0, "no memory for the configuration");
	mistakes_sort(m);
	cfg_free(cfg);
	return NULL;
}

struct cfg_port *cfg_find_port(const struct cfg *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		if (strcmp(cfg->ports[i]->name, name) == 0)
			return cfg->ports[i];
	return NULL;
}

int cfg_add_port(struct cfg *cfg, struct cfg_port *port)
{
	struct cfg_port **ports =
		realloc(cfg->ports, (cfg->nr_ports + 1) * sizeof(struct cfg_port *));

	if (!ports)
		return -1;
	ports[cfg->nr_ports++] = port;
	cfg->ports = ports;
	return 0;
}

struct cfg_port *cfg_take_port(struct cfg *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->nr_ports; i++) {
		struct cfg_port *port = cfg->ports[i];

		if (strcmp(port->name, name) == 0) {
			cfg->nr_ports--;
			memmove(&cfg->ports[i], &cfg->ports[i + 1],
				(cfg->nr_ports - i) * sizeof(struct cfg_port *));
			return port;
		}
	}
	return NULL;
}

/* ---- static addresses ---- */

bool cfg_static_from_node(struct cfg_static *entry, const struct node *map, const struct cfg *cfg,
			  struct mistakes *m)
{
	size_t before = m->n;

	schema_read_static(entry, map, m);
	if (cfg && m->n == before)
		schema_check_static(cfg, entry, m);
	return m->n == before;
}

void cfg_remove_static(struct cfg *cfg, const uint8_t mac[6], uint16_t vlan)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cfg->nr_statics; i++)
		if (memcmp(cfg->statics[i].mac, mac, 6) != 0 || cfg->statics[i].vlan != vlan)
			cfg->statics[kept++] = cfg->statics[i];
	cfg->nr_statics = kept;
}

int cfg_add_static(struct cfg *cfg, const struct cfg_static *entry)
{
	struct cfg_static *statics =
		realloc(cfg->statics, (cfg->nr_statics + 1) * sizeof(*statics));

	if (!statics)
		return -1;
	cfg->statics = statics;
	cfg_remove_static(cfg, entry->mac, entry->vlan);
	statics[cfg->nr_statics++] = *entry;
	return 0;
}

int cfg_add_socket_dir(struct cfg *cfg, const char *dir)
{
	char **dirs = realloc(cfg->socket_dirs, (cfg->nr_socket_dirs + 1) * sizeof(char *));

	if (!dirs)
		return -1;
	cfg->socket_dirs = dirs;
	dirs[cfg->nr_socket_dirs] = strdup(dir);
	if (!dirs[cfg->nr_socket_dirs])
		return -1;
	cfg->nr_socket_dirs++;
	return 0;
}

/* ---- back to trees ---- */

static bool has_vlan(const uint64_t members[64], unsigned int vlan)
{
	return vlan < 4095 && (members[vlan / 64] >> (vlan % 64) & 1);
}

char *cfg_vlans_text(const uint64_t members[64])
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	const char *comma = "";

	if (!out)
		return NULL;
	for (unsigned int vlan = 1; vlan < 4095; vlan++) {
		unsigned int last = vlan;

		if (!has_vlan(members, vlan))
			continue;
		while (has_vlan(members, last + 1))
			last++;
		if (last > vlan)
			fprintf(out, "%s%u-%u", comma, vlan, last);
		else
			fprintf(out, "%s%u", comma, vlan);
		comma = ",";
		vlan = last;
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	if (strcmp(text, "1-4094") == 0)
		memcpy(text, "all", 4);
	return text;
}

static bool add_trunk(struct node *map, const uint64_t members[64])
{
	char *text = cfg_vlans_text(members), *rest = text, *word;
	struct node *list;
	bool done = text;

	if (text && strcmp(text, "all") == 0) {
		done = node_add_text(map, "trunk", "all");
	} else if (text) {
		list = node_add(map, "trunk", node_create(NODE_LIST, NULL));
		while (done && (word = strsep(&rest, ",")))
			done = node_add_text(list, NULL, "%s", word);
	}
	free(text);
	return done;
}

static bool add_features(struct node *map, const char *key, const char *list)
{
	struct node *features = node_add(map, key, node_create(NODE_MAP, NULL));
	char *copy = strdup(list), *rest = copy, *word;
	bool done = copy;

	while (done && (word = strsep(&rest, ",")))
		done = node_add_text(features, word, "off");
	free(copy);
	return done;
}

static bool add_option_node(struct node *map, const struct cfg_port *port,
			    const struct via_port_option *option)
{
	const struct via_port_key *key = port->ops->keys;

	while (key->name && strcmp(key->name, option->key) != 0)
		key++;
	if (key->kind == VIA_KEY_FEATURES)
		return add_features(map, option->key, option->value);
	if (key->kind == VIA_KEY_UINT || key->kind == VIA_KEY_SWITCH)
		return node_add_text(map, option->key, "%s", option->value);
	return node_add_string(map, option->key, option->value);
}

struct node *cfg_port_to_node(const struct cfg_port *port)
{
	const struct sw_vlan *vlan = &port->sw.vlan;
	struct node *map = node_create(NODE_MAP, NULL);
	bool done = node_add_string(map, "name", port->name) &&
		    node_add_string(map, "type", port->ops->type);

	for (uint32_t i = 0; done && i < port->nr_options; i++)
		done = add_option_node(map, port, &port->options[i]);
	if (done && port->mtu)
		done = node_add_text(map, "mtu", "%u", port->mtu);
	if (done && vlan->vlan)
		done = node_add_text(map, "vlan", "%u", vlan->vlan);
	if (done && vlan->trunk)
		done = add_trunk(map, vlan->members);
	if (done && port->lossless)
		done = node_add_text(map, "lossless", "on");
	if (done && port->sw.isolated)
		done = node_add_text(map, "isolated", "on");
	if (done)
		return map;
	node_free(map);
	return NULL;
}

static bool add_statics(struct node *fdb, const struct cfg *cfg)
{
	struct node *list =
		cfg->nr_statics ? node_add(fdb, "static", node_create(NODE_LIST, NULL)) : NULL;
	bool done = list || !cfg->nr_statics;

	for (uint32_t i = 0; done && i < cfg->nr_statics; i++) {
		const struct cfg_static *s = &cfg->statics[i];
		struct node *map = node_add(list, NULL, node_create(NODE_MAP, NULL));
		char mac[18];

		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", s->mac[0], s->mac[1],
			 s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
		done = node_add_string(map, "mac", mac);
		if (done && s->vlan)
			done = node_add_text(map, "vlan", "%u", s->vlan);
		if (done)
			done = node_add_string(map, "port", s->port);
	}
	return done;
}

static bool add_fdb(struct node *top, const struct cfg *cfg)
{
	struct node *fdb;
	bool done;

	if (!cfg->fdb_ageing_s && !cfg->fdb_size && !cfg->fdb_port_limit && !cfg->nr_statics)
		return true;
	fdb = node_add(top, "fdb", node_create(NODE_MAP, NULL));
	done = fdb;
	if (done && cfg->fdb_ageing_s)
		done = node_add_text(fdb, "ageing", "%u", cfg->fdb_ageing_s);
	if (done && cfg->fdb_size)
		done = node_add_text(fdb, "size", "%u", cfg->fdb_size);
	if (done && cfg->fdb_port_limit)
		done = node_add_text(fdb, "port_limit", "%u", cfg->fdb_port_limit);
	return done && add_statics(fdb, cfg);
}

static bool add_workers(struct node *top, const struct cfg *cfg)
{
	struct node *list;
	bool done;

	if (!cfg->cpus)
		return node_add_text(top, "workers", "%u", cfg->nr_workers);
	list = node_add(top, "workers", node_create(NODE_LIST, NULL));
	done = list;
	for (uint32_t i = 0; done && i < cfg->nr_workers; i++) {
		struct node *map = node_add(list, NULL, node_create(NODE_MAP, NULL));

		done = node_add_text(map, "cpu", "%d", cfg->cpus[i]);
	}
	return done;
}

static bool add_socket_dirs(struct node *top, const struct cfg *cfg)
{
	struct node *list = node_add(top, "socket_dirs", node_create(NODE_LIST, NULL));
	bool done = list;

	for (uint32_t i = 0; done && i < cfg->nr_socket_dirs; i++)
		done = node_add_string(list, NULL, cfg->socket_dirs[i]);
	return done;
}

static bool add_ports(struct node *top, const struct cfg *cfg)
{
	struct node *list = node_add(top, "ports", node_create(NODE_LIST, NULL));
	bool done = list;

	for (uint32_t i = 0; done && i < cfg->nr_ports; i++)
		done = node_add(list, NULL, cfg_port_to_node(cfg->ports[i]));
	return done;
}

struct node *cfg_to_node(const struct cfg *cfg)
{
	struct node *top = node_create(NODE_MAP, NULL);
	bool done = node_add_string(top, "control", cfg->control);

	if (done && cfg->metrics)
		done = node_add_string(top, "metrics", cfg->metrics);
	if (done)
		done = node_add_string(top, "run_dir", cfg->run_dir);
	if (done && cfg->nr_socket_dirs)
		done = add_socket_dirs(top, cfg);
	if (done && cfg->user)
		done = node_add_string(top, "user", cfg->user);
	if (done && cfg->group)
		done = node_add_string(top, "group", cfg->group);
	if (done)
		done = add_workers(top, cfg);
	if (done)
		done = cfg->poll_us == SW_POLL_ALWAYS
			       ? !!node_add_text(top, "poll_us", "always")
			       : !!node_add_text(top, "poll_us", "%u", cfg->poll_us);
	if (done && add_fdb(top, cfg) && add_ports(top, cfg))
		return top;
	node_free(top);
	return NULL;
}
