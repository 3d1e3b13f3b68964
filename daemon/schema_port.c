/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of a port: those that all types have, and those of its type, which come from the type's own
 * table (port/port.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "daemon/reader.h"
#include "daemon/schema.h"
#include "daemon/value.h"

/* ---- ports: the keys that all types have ---- */

#define NAME_FORM  "1 to 31 letters, digits, '_', '.' or '-', beginning with a letter or digit"
#define VLAN_FORM  "a number from 1 to 4094"
#define TRUNK_FORM "a list of VLANs and ranges, such as [10, 20-30], or all"

static void port_name(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, NAME_FORM);

	if (!text)
		return;
	if (strcmp(text, "all") == 0)
		reader_wrong(r, value, "another one: 'all' means all ports");
	else if (value_name(text))
		snprintf(r->port->name, sizeof(r->port->name), "%s", text);
	else
		reader_wrong(r, value, NAME_FORM);
}

static void no_such_type(struct reader *r, const struct node *value)
{
	unsigned int distance = UINT32_MAX;
	const char *best = NULL;
	char list[200] = "";

	for (const struct via_port_ops *const *ops = via_port_types; *ops; ops++) {
		best = reader_closest(value->text, best, (*ops)->type, &distance);
		reader_append(list, sizeof(list), (*ops)->type);
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
	const char *text = reader_text(r, value, "the name of a port type, such as vhost-user");

	if (!text)
		return;
	r->port->ops = via_port_type(text);
	if (!r->port->ops)
		no_such_type(r, value);
}

static void port_mtu(struct reader *r, const struct node *value)
{
	r->port->mtu = (uint32_t)reader_uint(r, value, 68, 65521);
}

static void port_lossless(struct reader *r, const struct node *value)
{
	r->port->lossless = reader_switch(r, value);
}

static void port_isolated(struct reader *r, const struct node *value)
{
	r->port->sw.isolated = reader_switch(r, value);
}

static void port_vlan(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, VLAN_FORM);
	uint64_t vlan = 0;

	if (text && !value_uint(text, 1, 4094, &vlan))
		reader_wrong(r, value, VLAN_FORM);
	r->port->sw.vlan.vlan = (uint16_t)vlan;
}

static void port_trunk(struct reader *r, const struct node *value)
{
	struct sw_vlan *vlan = &r->port->sw.vlan;

	vlan->trunk = true;
	if (value->kind == NODE_TEXT && !value->is_null) {
		if (!value_vlans(value->text, vlan->members))
			reader_wrong(r, value, TRUNK_FORM);
		return;
	}
	if (value->kind != NODE_LIST || !value->first) {
		reader_wrong(r, value, TRUNK_FORM);
		return;
	}
	for (const struct node *child = value->first; child; child = child->next)
		if (child->kind != NODE_TEXT || !value_vlans(child->text, vlan->members))
			mistakes_add(r->m, child->line,
				     "%strunk has '%.32s'; an entry must be a VLAN from 1 to 4094 "
				     "or a range such as 20-30",
				     r->where, child->kind == NODE_TEXT ? child->text : "…");
}

const struct schema_key schema_port_keys[] = {
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
	case VIA_KEY_USER:
		snprintf(form, size, "a user of this host, by name or number");
		break;
	case VIA_KEY_GROUP:
		snprintf(form, size, "a group of this host, by name or number");
		break;
	}
}

static bool is_account(const struct reader *r, const char *text, bool is_group)
{
	uint64_t number;
	uint32_t id;

	return value_uint(text, 0, UINT32_MAX - 1, &number) || r->host == CFG_HOST_KNOWN ||
	       via_opener_direct.account(NULL, text, is_group, &id, NULL) == 0;
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
		*reported = !reader_is_socket_path(r, value, text);
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
	case VIA_KEY_USER:
		return is_account(r, text, false);
	case VIA_KEY_GROUP:
		return is_account(r, text, true);
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
		best = reader_closest(word, best, choice, &distance);
		reader_append(list, sizeof(list), choice);
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

	if (!copy)
		reader_no_memory(r);
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
		reader_wrong(r, value, form);
	}
	return list[0] ? reader_copy(r, list) : NULL;
}

/* Switches are handed over as on or off, whichever word the file has. */
static char *normal_text(struct reader *r, const char *text, const struct via_port_key *key)
{
	bool on;

	if (key->kind == VIA_KEY_SWITCH && value_switch(text, &on))
		return reader_copy(r, on ? "on" : "off");
	return reader_copy(r, text);
}

static char *read_option(struct reader *r, const struct node *value, const struct via_port_key *key)
{
	bool reported = false;
	char form[200];

	if (key->kind == VIA_KEY_FEATURES)
		return read_features(r, value, key);
	describe_form(key, form, sizeof(form));
	if (!reader_text(r, value, form))
		return NULL;
	if (fits(r, value, key, &reported) && (!key->fits || key->fits(value->text)))
		return normal_text(r, value->text, key);
	if (!reported)
		reader_wrong(r, value, form);
	return NULL;
}

static const struct via_port_key *find_option(const struct via_port_ops *ops, const char *name)
{
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

static void add_option(struct reader *r, const char *key, char *value)
{
	struct cfg_port *port = r->port;
	struct via_port_option *options =
		realloc(port->options, (port->nr_options + 2) * sizeof(*options));

	if (!options) {
		reader_no_memory(r);
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

		if (reader_find_key(schema_port_keys, value->key))
			continue;
		if (!key) {
			reader_unknown_key(r, value, schema_port_keys, ops->keys);
			continue;
		}
		text = read_option(r, value, key);
		if (text)
			add_option(r, key->name, text);
	}
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (key->required && !node_get(map, key->name))
			reader_missing(r, map->line, key->name, key->help);
}

static void name_port(struct reader *r, const struct node *map)
{
	const struct node *name = node_get(map, "name");

	if (name && name->kind == NODE_TEXT && !name->is_null)
		snprintf(r->where, sizeof(r->where), "port '%.31s': ", name->text);
	else
		snprintf(r->where, sizeof(r->where), "port without a name: ");
}

void schema_read_port(struct cfg_port *port, const struct node *map, enum cfg_host host,
		      struct mistakes *m)
{
	struct reader r = { .m = m, .port = port, .host = host };

	port->line = map->line;
	if (map->kind != NODE_MAP) {
		mistakes_add(m, map->line,
			     "a port must be a mapping, such as "
			     "{name: vm1, type: vhost-user, socket: /run/vm1.sock}");
		return;
	}
	name_port(&r, map);
	for (const struct node *value = map->first; value; value = value->next) {
		const struct schema_key *key = reader_find_key(schema_port_keys, value->key);

		if (key)
			key->read(&r, value);
	}
	if (!node_get(map, "name"))
		reader_missing(&r, map->line, "name", "every port has one");
	if (!node_get(map, "type"))
		reader_missing(&r, map->line, "type", "such as vhost-user or tap");
	if (port->ops)
		read_type_keys(&r, map);
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

void schema_print_types(FILE *out)
{
	char form[300];

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
