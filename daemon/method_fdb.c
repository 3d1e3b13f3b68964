/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods of the table of MAC addresses. */
#include <string.h>

#include "daemon/change.h"
#include "daemon/methods.h"
#include "daemon/value.h"

#define FDB_SHOW_DEFAULT 1000
#define FDB_SHOW_MAX     20000

struct walk {
	struct daemon *d;
	json_t *list;
	int only; /* port index, or -1 */
	json_int_t limit, total;
};

static void add_entry(void *user, const struct sw_fdb_entry *entry)
{
	struct walk *walk = user;
	const struct via_port *port = sw_port(walk->d->sw, entry->port);

	if (!port || (walk->only >= 0 && entry->port != walk->only))
		return;
	if (walk->total++ >= walk->limit)
		return;
	json_array_append_new(walk->list,
			      json_pack("{s:o, s:i, s:s, s:b, s:i}", "mac",
					json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", entry->mac[0],
						     entry->mac[1], entry->mac[2], entry->mac[3],
						     entry->mac[4], entry->mac[5]),
					"vlan", (int)entry->vlan, "port", port->name, "static",
					entry->is_static, "age_s", (int)entry->age_s));
}

/* The index of the port that 'params' name, -1 for none named, -2 after an error answer. */
static int named_port(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *name = rpc_text(params, "port", NULL);
	int index = name ? sw_port_find(d->sw, name) : -1;

	if (!name || index >= 0)
		return index;
	rpc_error(call, RPC_FAILED, "there is no port '%s'", name);
	return -2;
}

void method_fdb_show(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct walk walk = { .d = d,
			     .only = named_port(d, call, params),
			     .limit = rpc_number(params, "limit", FDB_SHOW_DEFAULT) };

	if (walk.only == -2)
		return;
	if (walk.limit > FDB_SHOW_MAX)
		walk.limit = FDB_SHOW_MAX;
	walk.list = json_array();
	sw_fdb_walk(d->sw, add_entry, &walk);
	rpc_result(call, json_pack("{s:I, s:o}", "total", walk.total, "entries", walk.list));
}

void method_fdb_add(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct node *map = node_from_json(params);
	struct mistakes m = { 0 };
	struct cfg_static entry;
	struct via_error err;

	if (!map)
		rpc_error(call, RPC_INVALID_PARAMS,
			  "fdb.add: no memory for the parameters, or they are nested too deeply");
	else if (!cfg_static_from_node(&entry, map, d->cfg, &m))
		rpc_error(call, RPC_INVALID_PARAMS, "%s", m.list[0].text);
	else if (change_add_static(d, &entry, &err) < 0)
		rpc_error(call, RPC_FAILED, "%s", err.text);
	else
		rpc_result(call, json_object());
	mistakes_fini(&m);
	node_free(map);
	change_remember(d);
}

void method_fdb_del(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	json_int_t vlan = rpc_number(params, "vlan", 0);
	struct via_error err;
	uint8_t mac[6];

	if (!value_mac(rpc_text(params, "mac", ""), mac))
		rpc_error(call, RPC_INVALID_PARAMS,
			  "fdb.del: mac must be the address of one station, such as "
			  "52:54:00:12:34:56");
	else if (vlan > 4094)
		rpc_error(call, RPC_INVALID_PARAMS,
			  "fdb.del: vlan must be a number from 0 to 4094");
	else if (change_del_static(d, mac, (uint16_t)vlan, &err) < 0)
		rpc_error(call, RPC_FAILED, "%s", err.text);
	else
		rpc_result(call, json_object());
	change_remember(d);
}

void method_fdb_flush(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	int only = named_port(d, call, params);

	if (only != -2)
		rpc_result(call, json_pack("{s:i}", "forgotten", (int)sw_fdb_flush(d->sw, only)));
}
