/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of keys: what may be in a configuration, which form it has, and the sentence for each
 * way to get it wrong. A port type's own keys come from its table (port/port.h).
 *
 * Reading goes on after a mistake, so that one run reports all of them.
 */
#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/config.h"
#include "daemon/value.h"

struct reader {
	struct mistakes *m;
	char where[48]; /* "port 'vm1': ", or empty at the top */
	struct cfg *cfg;
	struct cfg_port *port;
	struct cfg_static *entry;
	unsigned int metrics_line;
};

struct schema_key {
	const char *name;
	void (*read)(struct reader *r, const struct node *value);
	const char *form; /* "must be …" */
	const char *help;
};

/* ---- sentences ---- */

/* What a value looks like, for "… is WHAT; it must be …". */
static const char *describe(const struct node *value, char *text, size_t size)
{
	if (value->kind == NODE_LIST)
		return "a list";
	if (value->kind == NODE_MAP)
		return "a mapping";
	if (value->is_null)
		return "empty";
	snprintf(text, size, "'%.48s%s'", value->text, strlen(value->text) > 48 ? "…" : "");
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' '; /* a sentence has one line */
	return text;
}

static void wrong(struct reader *r, const struct node *value, const char *must_be)
{
	char text[64];

	mistakes_add(r->m, value->line, "%s%s is %s; it must be %s", r->where,
		     value->key ? value->key : "an entry", describe(value, text, sizeof(text)),
		     must_be);
}

/* The text of a value, or NULL after having reported that it has none. */
static const char *text_of(struct reader *r, const struct node *value, const char *must_be)
{
	if (value->kind == NODE_TEXT && !value->is_null && value->text[0])
		return value->text;
	wrong(r, value, must_be);
	return NULL;
}

static uint64_t read_uint(struct reader *r, const struct node *value, uint64_t min, uint64_t max)
{
	uint64_t number = min;
	char must_be[80];
	const char *text;

	snprintf(must_be, sizeof(must_be), "a number from %llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	text = text_of(r, value, must_be);
	if (text && !value_uint(text, min, max, &number))
		wrong(r, value, must_be);
	return number;
}

static bool read_switch(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, "on or off");
	bool on = false;

	if (text && !value_switch(text, &on))
		wrong(r, value, "on or off");
	return on;
}

static char *read_string(struct reader *r, const struct node *value, const char *must_be)
{
	const char *text = text_of(r, value, must_be);

	return text ? strdup(text) : NULL;
}

static bool is_socket_path(struct reader *r, const struct node *value, const char *text)
{
	char why[120];

	if (!value_socket_problem(text, why, sizeof(why)))
		return true;
	mistakes_add(r->m, value->line, "%s%s '%.120s' is %s", r->where, value->key, text, why);
	return false;
}

static const char *closest(const char *word, const char *best, const char *candidate,
			   unsigned int *distance)
{
	unsigned int d = value_distance(word, candidate);

	if (d >= *distance || d > 1 + strlen(word) / 3)
		return best;
	*distance = d;
	return candidate;
}

/* ---- a mapping against a table ---- */

static void append(char *list, size_t size, const char *word)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", used ? ", " : "", word);
}

/* Says that there is no such key; 'more' is a port type's own table, or NULL. */
static void unknown_key(struct reader *r, const struct node *value, const struct schema_key *keys,
			const struct via_port_key *more)
{
	unsigned int distance = UINT32_MAX;
	const char *best = NULL;
	char list[400] = "";

	for (; keys->name; keys++) {
		best = closest(value->key, best, keys->name, &distance);
		append(list, sizeof(list), keys->name);
	}
	for (; more && more->name; more++) {
		best = closest(value->key, best, more->name, &distance);
		append(list, sizeof(list), more->name);
	}
	if (best)
		mistakes_add(r->m, value->key_line, "%sthere is no key '%.64s'; did you mean '%s'?",
			     r->where, value->key, best);
	else
		mistakes_add(r->m, value->key_line, "%sthere is no key '%.64s'; there are: %s",
			     r->where, value->key, list);
}

static const struct schema_key *find_key(const struct schema_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static void read_map(struct reader *r, const struct node *map, const struct schema_key *keys)
{
	for (const struct node *value = map->first; value; value = value->next) {
		const struct schema_key *key = find_key(keys, value->key);

		if (!key)
			unknown_key(r, value, keys, NULL);
		else
			key->read(r, value);
	}
}

static void missing(struct reader *r, unsigned int line, const char *key, const char *help)
{
	mistakes_add(r->m, line, "%sthe key '%s' is missing: %s", r->where, key, help);
}

/* ---- ports: the keys that all types have ---- */

#define NAME_FORM  "1 to 31 letters, digits, '_', '.' or '-', beginning with a letter or digit"
#define VLAN_FORM  "a number from 1 to 4094"
#define TRUNK_FORM "a list of VLANs and ranges, such as [10, 20-30], or all"

static void port_name(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, NAME_FORM);

	if (!text)
		return;
	if (strcmp(text, "all") == 0)
		wrong(r, value, "another one: 'all' means all ports");
	else if (value_name(text))
		snprintf(r->port->name, sizeof(r->port->name), "%s", text);
	else
		wrong(r, value, NAME_FORM);
}

static void no_such_type(struct reader *r, const struct node *value)
{
	unsigned int distance = UINT32_MAX;
	const char *best = NULL;
	char list[200] = "";

	for (const struct via_port_ops *const *ops = via_port_types; *ops; ops++) {
		best = closest(value->text, best, (*ops)->type, &distance);
		append(list, sizeof(list), (*ops)->type);
	}
	if (best)
		mistakes_add(r->m, value->line,
			     "%sthere is no port type '%.48s'; did you mean '%s'?", r->where,
			     value->text, best);
	else
		mistakes_add(r->m, value->line,
			     "%sthere is no port type '%.48s'; this build has: %s", r->where,
			     value->text, list);
}

static void port_type(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, "the name of a port type, such as vhost-user");

	if (!text)
		return;
	r->port->ops = via_port_type(text);
	if (!r->port->ops)
		no_such_type(r, value);
}

static void port_mtu(struct reader *r, const struct node *value)
{
	r->port->mtu = (uint32_t)read_uint(r, value, 68, 65521);
}

static void port_lossless(struct reader *r, const struct node *value)
{
	r->port->lossless = read_switch(r, value);
}

static void port_isolated(struct reader *r, const struct node *value)
{
	r->port->sw.isolated = read_switch(r, value);
}

static void port_vlan(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, VLAN_FORM);
	uint64_t vlan = 0;

	if (text && !value_uint(text, 1, 4094, &vlan))
		wrong(r, value, VLAN_FORM);
	r->port->sw.vlan.vlan = (uint16_t)vlan;
}

static void port_trunk(struct reader *r, const struct node *value)
{
	struct sw_vlan *vlan = &r->port->sw.vlan;

	vlan->trunk = true;
	if (value->kind == NODE_TEXT && !value->is_null) {
		if (!value_vlans(value->text, vlan->members))
			wrong(r, value, TRUNK_FORM);
		return;
	}
	if (value->kind != NODE_LIST || !value->first) {
		wrong(r, value, TRUNK_FORM);
		return;
	}
	for (const struct node *child = value->first; child; child = child->next)
		if (child->kind != NODE_TEXT || !value_vlans(child->text, vlan->members))
			mistakes_add(r->m, child->line,
				     "%strunk has '%.32s'; an entry must be a VLAN from 1 to 4094 "
				     "or a range such as 20-30",
				     r->where, child->kind == NODE_TEXT ? child->text : "…");
}

static const struct schema_key port_keys[] = {
	{ "name", port_name, NAME_FORM, "The port's name in output, logs and metrics." },
	{ "type", port_type, "a port type", "What the port is; see the types below." },
	{ "mtu", port_mtu, "a number from 68 to 65521",
	  "Longest packet in bytes, without Ethernet header; not set: no limit of its own." },
	{ "vlan", port_vlan, VLAN_FORM,
	  "Access port of this VLAN; with 'trunk', the VLAN of untagged frames." },
	{ "trunk", port_trunk, TRUNK_FORM, "Tagged member of these VLANs." },
	{ "lossless", port_lossless, "on or off",
	  "When the port is full, the sender waits (up to 100 ms) instead of losing packets." },
	{ "isolated", port_isolated, "on or off", "Never forwards to another isolated port." },
	{ NULL, NULL, NULL, NULL },
};

/* ---- ports: the keys of their type ---- */

static void describe_form(const struct via_port_key *key, char *form, size_t size)
{
	if (key->form) {
		snprintf(form, size, "%s", key->form);
		return;
	}
	switch (key->kind) {
	case VIA_KEY_STRING:
		snprintf(form, size, "a text");
		break;
	case VIA_KEY_PATH:
		snprintf(form, size, "the absolute path of a UNIX socket, at most %d bytes",
			 DAEMON_PATH_SIZE - 1);
		break;
	case VIA_KEY_UINT:
		snprintf(form, size, "a number from %llu to %llu", (unsigned long long)key->min,
			 (unsigned long long)key->max);
		break;
	case VIA_KEY_CHOICE:
		snprintf(form, size, "one of %s", key->choices);
		break;
	case VIA_KEY_SWITCH:
		snprintf(form, size, "on or off");
		break;
	case VIA_KEY_MAC:
		snprintf(form, size, "the MAC address of one station, such as 52:54:00:12:34:56");
		break;
	case VIA_KEY_FEATURES:
		snprintf(form, size, "a mapping of features to off, such as {packed: off}");
		break;
	case VIA_KEY_OCTAL:
		snprintf(form, size, "a file mode in octal digits, such as 0660");
		break;
	}
}

static bool fits(struct reader *r, const struct node *value, const struct via_port_key *key,
		 bool *reported)
{
	const char *text = value->text;
	uint64_t number;
	uint8_t mac[6];
	bool on;

	switch (key->kind) {
	case VIA_KEY_PATH:
		*reported = !is_socket_path(r, value, text);
		return !*reported;
	case VIA_KEY_UINT:
		return value_uint(text, key->min, key->max, &number);
	case VIA_KEY_CHOICE:
		return value_choice(text, key->choices);
	case VIA_KEY_SWITCH:
		return value_switch(text, &on);
	case VIA_KEY_MAC:
		return value_mac(text, mac);
	case VIA_KEY_OCTAL:
		return value_octal(text, &number);
	case VIA_KEY_STRING:
	case VIA_KEY_FEATURES:
		break;
	}
	return true;
}

/* "a|b|c" as "a, b, c", with the one that 'word' may have meant first. */
static void no_such_choice(struct reader *r, unsigned int line, const char *key, const char *word,
			   const char *choices)
{
	char *copy = strdup(choices), *rest = copy, *choice, list[400] = "";
	unsigned int distance = UINT32_MAX;
	const char *best = NULL;

	while (copy && (choice = strsep(&rest, "|"))) {
		best = closest(word, best, choice, &distance);
		append(list, sizeof(list), choice);
	}
	if (best)
		mistakes_add(r->m, line, "%s%s has no '%.48s'; did you mean '%s'?", r->where, key,
			     word, best);
	else
		mistakes_add(r->m, line, "%s%s has no '%.48s'; there are: %s", r->where, key, word,
			     list);
	free(copy);
}

/* One "NAME: off" of 'features'; what is on stays as it is by itself. */
static void add_feature(struct reader *r, unsigned int line, const char *name, const char *state,
			const struct via_port_key *key, char list[400])
{
	bool on;

	if (key->choices && !value_choice(name, key->choices)) {
		no_such_choice(r, line, key->name, name, key->choices);
		return;
	}
	if (!state || !value_switch(state, &on)) {
		mistakes_add(r->m, line, "%s%s: '%.48s' must be on or off", r->where, key->name,
			     name);
		return;
	}
	if (!on) {
		size_t used = strlen(list);

		snprintf(list + used, 400 - used, "%s%s", used ? "," : "", name);
	}
}

/* "packed:off,indirect:off", as the command line has it. */
static void features_of_text(struct reader *r, const struct node *value,
			     const struct via_port_key *key, char list[400])
{
	char *copy = strdup(value->text), *rest = copy, *word;

	while (copy && (word = strsep(&rest, ","))) {
		char *state = strchr(word, ':');

		if (state)
			*state++ = '\0';
		while (state && *state == ' ')
			state++;
		add_feature(r, value->line, word, state, key, list);
	}
	free(copy);
}

static char *read_features(struct reader *r, const struct node *value,
			   const struct via_port_key *key)
{
	char list[400] = "", form[80];

	if (value->kind == NODE_TEXT && !value->is_null && strchr(value->text, ':')) {
		features_of_text(r, value, key, list);
	} else if (value->kind == NODE_MAP) {
		for (const struct node *child = value->first; child; child = child->next)
			add_feature(r, child->line, child->key,
				    child->kind == NODE_TEXT ? child->text : NULL, key, list);
	} else {
		describe_form(key, form, sizeof(form));
		wrong(r, value, form);
	}
	return list[0] ? strdup(list) : NULL;
}

/* Switches are handed over as on or off, whichever word the file has. */
static char *normal_text(const char *text, const struct via_port_key *key)
{
	bool on;

	if (key->kind == VIA_KEY_SWITCH && value_switch(text, &on))
		return strdup(on ? "on" : "off");
	return strdup(text);
}

static char *read_option(struct reader *r, const struct node *value, const struct via_port_key *key)
{
	bool reported = false;
	char form[200];

	if (key->kind == VIA_KEY_FEATURES)
		return read_features(r, value, key);
	describe_form(key, form, sizeof(form));
	if (!text_of(r, value, form))
		return NULL;
	if (fits(r, value, key, &reported) && (!key->fits || key->fits(value->text)))
		return normal_text(value->text, key);
	if (!reported)
		wrong(r, value, form);
	return NULL;
}

static const struct via_port_key *find_option(const struct via_port_ops *ops, const char *name)
{
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

static void add_option(struct cfg_port *port, const char *key, char *value)
{
	struct via_port_option *options =
		realloc(port->options, (port->nr_options + 2) * sizeof(*options));

	if (!options) {
		free(value);
		return;
	}
	options[port->nr_options++] = (struct via_port_option){ key, value };
	options[port->nr_options] = (struct via_port_option){ NULL, NULL };
	port->options = options;
}

static void read_type_keys(struct reader *r, const struct node *map)
{
	const struct via_port_ops *ops = r->port->ops;

	for (const struct node *value = map->first; value; value = value->next) {
		const struct via_port_key *key = find_option(ops, value->key);
		char *text;

		if (find_key(port_keys, value->key))
			continue;
		if (!key) {
			unknown_key(r, value, port_keys, ops->keys);
			continue;
		}
		text = read_option(r, value, key);
		if (text)
			add_option(r->port, key->name, text);
	}
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (key->required && !node_get(map, key->name))
			missing(r, map->line, key->name, key->help);
}

static void name_port(struct reader *r, const struct node *map)
{
	const struct node *name = node_get(map, "name");

	if (name && name->kind == NODE_TEXT && !name->is_null)
		snprintf(r->where, sizeof(r->where), "port '%.31s': ", name->text);
	else
		snprintf(r->where, sizeof(r->where), "port without a name: ");
}

void schema_read_port(struct cfg_port *port, const struct node *map, struct mistakes *m)
{
	struct reader r = { .m = m, .port = port };

	port->line = map->line;
	if (map->kind != NODE_MAP) {
		mistakes_add(m, map->line,
			     "a port must be a mapping, such as "
			     "{name: vm1, type: vhost-user, socket: /run/vm1.sock}");
		return;
	}
	name_port(&r, map);
	for (const struct node *value = map->first; value; value = value->next) {
		const struct schema_key *key = find_key(port_keys, value->key);

		if (key)
			key->read(&r, value);
	}
	if (!node_get(map, "name"))
		missing(&r, map->line, "name", "every port has one");
	if (!node_get(map, "type"))
		missing(&r, map->line, "type", "such as vhost-user or tap");
	if (port->ops)
		read_type_keys(&r, map);
}

/* ---- static addresses ---- */

#define MAC_FORM "the MAC address of one station, such as 52:54:00:12:34:56"

static void static_mac(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, MAC_FORM);

	if (text && !value_mac(text, r->entry->mac))
		wrong(r, value, MAC_FORM);
}

static void static_vlan(struct reader *r, const struct node *value)
{
	r->entry->vlan = (uint16_t)read_uint(r, value, 0, 4094);
}

static void static_port(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, "the name of a port");

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
	read_map(&r, map, static_keys);
	if (!node_get(map, "mac"))
		missing(&r, map->line, "mac", "the address");
	if (!node_get(map, "port"))
		missing(&r, map->line, "port", "the name of the port where the address is");
}

void schema_check_static(const struct cfg *cfg, const struct cfg_static *entry, struct mistakes *m)
{
	if (entry->port[0] && !cfg_find_port(cfg, entry->port))
		mistakes_add(m, entry->line, "fdb entry: there is no port '%s'", entry->port);
}

/* ---- fdb ---- */

static void fdb_ageing(struct reader *r, const struct node *value)
{
	r->cfg->fdb_ageing_s = (uint32_t)read_uint(r, value, 10, 200000);
}

static void fdb_size(struct reader *r, const struct node *value)
{
	r->cfg->fdb_size = (uint32_t)read_uint(r, value, 256, 1048576);
}

static void fdb_port_limit(struct reader *r, const struct node *value)
{
	r->cfg->fdb_port_limit = (uint32_t)read_uint(r, value, 1, 1048576);
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
		wrong(r, value, "a list, such as [{mac: 52:54:00:12:34:56, port: vm1}]");
		return;
	}
	for (const struct node *child = value->first; child; child = child->next) {
		schema_read_static(&entry, child, r->m);
		check_twice(r, &entry);
		cfg_add_static(r->cfg, &entry);
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

/* ---- between ports ---- */

/* The key of a path that the port listens on or connects to, and whether it listens. */
static const char *socket_of(const struct cfg_port *port, bool *listens)
{
	for (const struct via_port_key *key = port->ops->keys; key && key->name; key++) {
		const char *mode = cfg_port_option(port, "mode");
		const char *path = cfg_port_option(port, key->name);

		if (key->kind != VIA_KEY_PATH || !path)
			continue;
		if (mode)
			*listens = strcmp(mode, "server") == 0;
		else
			*listens = strcmp(port->ops->type, "vhost-user") == 0;
		return path;
	}
	return NULL;
}

/* Two that listen, or two that connect as the same thing; one of each is a chain of two ports. */
static bool sockets_collide(const struct cfg_port *a, const struct cfg_port *b)
{
	bool a_listens = false, b_listens = false;
	const char *of_a = a->ops && b->ops ? socket_of(a, &a_listens) : NULL;
	const char *of_b = of_a ? socket_of(b, &b_listens) : NULL;

	return of_b && strcmp(of_a, of_b) == 0 && (a_listens == b_listens || a->ops == b->ops);
}

static const char *interface_of(const struct cfg_port *port)
{
	const char *ifname = cfg_port_option(port, "ifname");

	if (ifname || !port->ops || strcmp(port->ops->type, "tap") != 0)
		return ifname;
	return port->name;
}

static bool interfaces_collide(const struct cfg_port *a, const struct cfg_port *b)
{
	const char *of_a = interface_of(a), *of_b = interface_of(b);

	return of_a && of_b && !strchr(of_a, '%') && strcmp(of_a, of_b) == 0;
}

static void check_pair(const struct cfg_port *port, const struct cfg_port *other,
		       struct mistakes *m)
{
	char first[32] = "";
	bool listens;

	if (port->line && other->line)
		snprintf(first, sizeof(first), " in line %u", other->line);
	if (strcmp(port->name, other->name) == 0)
		mistakes_add(m, port->line, "port '%s': there is already a port of this name%s",
			     port->name, first);
	else if (sockets_collide(port, other))
		mistakes_add(m, port->line,
			     "port '%s': the socket '%s' is already that of port '%s'%s",
			     port->name, socket_of(port, &listens), other->name, first);
	else if (interfaces_collide(port, other))
		mistakes_add(m, port->line,
			     "port '%s': the interface '%s' is already that of port '%s'%s",
			     port->name, interface_of(port), other->name, first);
}

/* The daemon's own sockets are no port's. */
static void check_own_sockets(const struct cfg *cfg, const struct cfg_port *port,
			      struct mistakes *m)
{
	bool listens;
	const char *path = port->ops ? socket_of(port, &listens) : NULL;

	if (path && cfg->control && strcmp(path, cfg->control) == 0)
		mistakes_add(m, port->line, "port '%s': '%s' is the control socket", port->name,
			     path);
	if (path && cfg->metrics && strncmp(cfg->metrics, "unix:", 5) == 0 &&
	    strcmp(path, cfg->metrics + 5) == 0)
		mistakes_add(m, port->line, "port '%s': '%s' is the metrics socket", port->name,
			     path);
}

/* Once all keys are known: 'control' may come behind 'ports'. */
static void check_sockets(const struct cfg *cfg, unsigned int metrics_line, struct mistakes *m)
{
	if (cfg->metrics && cfg->control && strncmp(cfg->metrics, "unix:", 5) == 0 &&
	    strcmp(cfg->metrics + 5, cfg->control) == 0)
		mistakes_add(m, metrics_line, "metrics: '%s' is the control socket", cfg->control);
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		check_own_sockets(cfg, cfg->ports[i], m);
}

static void check_among_ports(const struct cfg *cfg, const struct cfg_port *port,
			      const struct cfg_port *replaces, struct mistakes *m)
{
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		if (cfg->ports[i] != replaces)
			check_pair(port, cfg->ports[i], m);
}

void schema_check_port(const struct cfg *cfg, const struct cfg_port *port,
		       const struct cfg_port *replaces, struct mistakes *m)
{
	check_among_ports(cfg, port, replaces, m);
	check_own_sockets(cfg, port, m);
}

/* ---- the top ---- */

static void top_control(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, "the absolute path of a UNIX socket");

	if (!text || !is_socket_path(r, value, text))
		return;
	free(r->cfg->control);
	r->cfg->control = strdup(text);
}

#define METRICS_FORM "unix:/path/of/socket or ADDRESS:PORT, such as 127.0.0.1:9101"

static void top_metrics(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, METRICS_FORM), *colon;
	uint64_t number;

	if (!text)
		return;
	colon = strrchr(text, ':');
	if (strncmp(text, "unix:", 5) == 0) {
		if (!is_socket_path(r, value, text + 5))
			return;
	} else if (!colon || colon == text || strlen(text) > 80 ||
		   !value_uint(colon + 1, 1, 65535, &number)) {
		wrong(r, value, METRICS_FORM);
		return;
	}
	r->metrics_line = value->line;
	free(r->cfg->metrics);
	r->cfg->metrics = strdup(text);
}

static void top_run_dir(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, "the absolute path of a directory");

	if (!text)
		return;
	if (text[0] != '/' || strlen(text) > 200) {
		wrong(r, value, "the absolute path of a directory, at most 200 bytes");
		return;
	}
	free(r->cfg->run_dir);
	r->cfg->run_dir = strdup(text);
}

static void top_user(struct reader *r, const struct node *value)
{
	free(r->cfg->user);
	r->cfg->user = read_string(r, value, "the name of a user");
	if (r->cfg->user && !getpwnam(r->cfg->user))
		mistakes_add(r->m, value->line, "user: there is no user '%.32s' on this machine",
			     r->cfg->user);
}

static void top_group(struct reader *r, const struct node *value)
{
	free(r->cfg->group);
	r->cfg->group = read_string(r, value, "the name of a group");
	if (r->cfg->group && !getgrnam(r->cfg->group))
		mistakes_add(r->m, value->line, "group: there is no group '%.32s' on this machine",
			     r->cfg->group);
}

#define WORKERS_FORM "a number from 1 to 64, or a list such as [{cpu: 2}, {cpu: 3}]"

static int read_cpu(struct reader *r, const struct node *worker)
{
	const struct node *value = worker->kind == NODE_MAP ? node_get(worker, "cpu") : NULL;
	long nr_cpus = sysconf(_SC_NPROCESSORS_CONF);
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
		wrong(r, list, "a list of 1 to 64 workers, such as [{cpu: 2}, {cpu: 3}]");
		return;
	}
	free(r->cfg->cpus);
	r->cfg->cpus = calloc(n, sizeof(int));
	if (!r->cfg->cpus)
		return;
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
		wrong(r, value, WORKERS_FORM);
	r->cfg->nr_workers = (uint32_t)number;
}

#define POLL_FORM "a number of microseconds from 0 to 1000000, or always"

static void top_poll_us(struct reader *r, const struct node *value)
{
	const char *text = text_of(r, value, POLL_FORM);
	uint64_t number = CFG_POLL_US;

	if (text && strcmp(text, "always") == 0)
		number = SW_POLL_ALWAYS;
	else if (text && !value_uint(text, 0, 1000000, &number))
		wrong(r, value, POLL_FORM);
	r->cfg->poll_us = (uint32_t)number;
}

static void top_fdb(struct reader *r, const struct node *value)
{
	if (value->kind != NODE_MAP) {
		wrong(r, value, "a mapping, such as {ageing: 300, size: 65536}");
		return;
	}
	snprintf(r->where, sizeof(r->where), "fdb: ");
	read_map(r, value, fdb_keys);
	r->where[0] = '\0';
}

static void read_port_of_list(struct reader *r, const struct node *map)
{
	struct cfg_port *port = calloc(1, sizeof(*port));

	if (!port)
		return;
	schema_read_port(port, map, r->m);
	if (port->ops && port->name[0])
		check_among_ports(r->cfg, port, NULL, r->m);
	if (cfg_add_port(r->cfg, port) < 0)
		cfg_port_free(port);
}

static void top_ports(struct reader *r, const struct node *value)
{
	uint32_t n = 0;

	if (value->kind == NODE_TEXT && value->is_null)
		return;
	if (value->kind != NODE_LIST) {
		wrong(r, value, "a list, each entry beginning with '- '");
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
	{ "user", top_user, "the name of a user",
	  "Whose rights the data process keeps when the daemon is started as root." },
	{ "group", top_group, "the name of a group", "Likewise; if not set the user's own group." },
	{ "workers", top_workers, WORKERS_FORM, "Threads that move packets; 1 if not set." },
	{ "poll_us", top_poll_us, POLL_FORM,
	  "How long a worker looks at a quiet queue before it sleeps; 0: interrupts only; 50 if not "
	  "set." },
	{ "fdb", top_fdb, "a mapping", "The table of MAC addresses; see below." },
	{ "ports", top_ports, "a list of mappings", "What is plugged in; see below." },
	{ NULL, NULL, NULL, NULL },
};

void schema_read(struct cfg *cfg, const struct node *map, struct mistakes *m)
{
	struct reader r = { .m = m, .cfg = cfg };

	read_map(&r, map, top_keys);
	for (uint32_t i = 0; i < cfg->nr_statics; i++)
		schema_check_static(cfg, &cfg->statics[i], m);
	check_sockets(cfg, r.metrics_line, m);
	if (!cfg->control)
		mistakes_add(m, 0,
			     "XDG_RUNTIME_DIR is not set, so there is no place for the control "
			     "socket; give one, such as 'control: /tmp/viaduct/control.sock'");
}

/* ---- documentation ---- */

/* Names of features, for the one kind whose form does not list them. */
static void print_choices(FILE *out, const struct via_port_key *key)
{
	if (key->kind != VIA_KEY_FEATURES || !key->choices)
		return;
	fputs("      ", out);
	for (const char *c = key->choices; *c; c++)
		fputc(*c == '|' ? ' ' : *c, out);
	fputc('\n', out);
}

static void print_keys(FILE *out, const char *title, const struct schema_key *keys)
{
	fprintf(out, "%s\n", title);
	for (; keys->name; keys++)
		fprintf(out, "  %s: %s\n      %s\n", keys->name, keys->form, keys->help);
}

void schema_print(FILE *out)
{
	char form[300];

	print_keys(out, "Keys of the configuration:", top_keys);
	print_keys(out, "\nKeys of 'fdb':", fdb_keys);
	print_keys(out, "\nKeys of an entry of 'fdb: static':", static_keys);
	print_keys(out, "\nKeys of every port:", port_keys);
	for (const struct via_port_ops *const *ops = via_port_types; *ops; ops++) {
		fprintf(out, "\nA '%s' port: %s\n", (*ops)->type, (*ops)->help);
		for (const struct via_port_key *key = (*ops)->keys; key && key->name; key++) {
			describe_form(key, form, sizeof(form));
			fprintf(out, "  %s: %s%s\n      %s\n", key->name, form,
				key->required ? " (needed)" : "", key->help);
			print_choices(out, key);
		}
	}
}
