/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that only show: status, stats, ports, VLANs, help. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/methods.h"

/* ---- counters ---- */

struct sum {
	uint64_t packets, bytes, csum, segments, drops[VIA_NR_DROPS];
};

static void add_queue(struct sum *sum, const struct via_queue_stats *stats)
{
	sum->packets += via_counter_read(&stats->packets);
	sum->bytes += via_counter_read(&stats->bytes);
	sum->csum += via_counter_read(&stats->csum);
	sum->segments += via_counter_read(&stats->segments);
	for (int i = 0; i < VIA_NR_DROPS; i++)
		sum->drops[i] += via_counter_read(&stats->drops[i]);
}

/* Reasons that never occurred are left out. */
static json_t *sum_to_json(const struct sum *sum)
{
	json_t *drops = json_object();
	uint64_t dropped = 0;

	for (int i = 0; i < VIA_NR_DROPS; i++) {
		dropped += sum->drops[i];
		if (sum->drops[i])
			json_object_set_new(drops, via_drop_label((enum via_drop)i),
					    json_integer((json_int_t)sum->drops[i]));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "packets", (json_int_t)sum->packets,
			 "bytes", (json_int_t)sum->bytes, "csum", (json_int_t)sum->csum, "segments",
			 (json_int_t)sum->segments, "dropped", (json_int_t)dropped, "drops", drops);
}

static json_t *direction(const struct via_queue_stats *stats, uint32_t first, uint32_t last)
{
	struct sum sum = { 0 };

	for (uint32_t q = first; q < last; q++)
		add_queue(&sum, &stats[q]);
	return sum_to_json(&sum);
}

static json_t *port_stats(const struct via_port *port)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "name", port->name, "type", port->ops->type,
			 "link", port->link, "receive",
			 direction(port->receive, 0, port->nr_queues), "transmit",
			 direction(port->transmit, 0, port->nr_queues));
}

static struct via_port *find_port(struct daemon *d, const char *name)
{
	int index = sw_port_find(d->sw, name);

	return index < 0 ? NULL : sw_port(d->sw, (uint32_t)index);
}

static void add_counter(void *user, const char *name, uint64_t value)
{
	json_object_set_new(user, name, json_integer((json_int_t)value));
}

void method_stats(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *only = rpc_text(params, "port", NULL);
	json_t *ports = json_array(), *counters = json_object();

	if (only && !find_port(d, only)) {
		json_decref(ports);
		json_decref(counters);
		rpc_error(call, RPC_FAILED, "there is no port '%s'", only);
		return;
	}
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		const char *name = d->cfg->ports[i]->name;
		const struct via_port *port = find_port(d, name);

		if (port && (!only || strcmp(only, name) == 0))
			json_array_append_new(ports, port_stats(port));
	}
	sw_counters(d->sw, add_counter, counters);
	rpc_result(call, json_pack("{s:I, s:o, s:o}", "time_us", (json_int_t)via_clock_us(),
				   "ports", ports, "switch", counters));
}

/* ---- status ---- */

static json_t *poll_to_json(uint32_t poll_us)
{
	return poll_us == SW_POLL_ALWAYS ? json_string("always") : json_integer(poll_us);
}

static json_t *workers_to_json(struct sw_switch *sw)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < sw_nr_workers(sw); i++) {
		struct sw_worker_info info = { 0 };

		sw_worker_info(sw, i, &info);
		json_array_append_new(
			list, json_pack("{s:i, s:i, s:i, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I}",
					"worker", (int)i, "tid", info.tid, "cpu", info.cpu,
					"asleep", info.asleep, "queues", (int)info.queues, "polled",
					(int)info.polled, "busy_us", (json_int_t)info.busy_us,
					"packets", (json_int_t)info.packets, "wakeups",
					(json_int_t)info.wakeups, "sleeps", (json_int_t)info.sleeps,
					"busy_cycles", (json_int_t)info.busy_cycles));
	}
	return list;
}

static void count_entry(void *user, const struct sw_fdb_entry *entry)
{
	uint32_t *n = user;

	(void)entry;
	(*n)++;
}

void method_status(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	json_t *counters = json_object();
	uint32_t up = 0, fdb_entries = 0;

	(void)params;
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		const struct via_port *port = find_port(d, d->cfg->ports[i]->name);

		up += port && port->link;
	}
	sw_fdb_walk(d->sw, count_entry, &fdb_entries);
	sw_counters(d->sw, add_counter, counters);
	rpc_result(call,
		   json_pack("{s:s, s:i, s:I, s:s?, s:s, s:s?, s:s, s:o, s:i, s:i, s:i, s:o, s:o, "
			     "s:{s:i, s:i}}",
			     "version", VIADUCT_VERSION, "pid", d->pid, "uptime_s",
			     (json_int_t)((via_clock_us() - d->start_us) / 1000000), "config",
			     d->config_path, "control", d->cfg->control, "metrics", d->cfg->metrics,
			     "run_dir", d->cfg->run_dir, "poll_us", poll_to_json(d->cfg->poll_us),
			     "ports", (int)d->cfg->nr_ports, "ports_up", (int)up, "fdb_entries",
			     (int)fdb_entries, "workers", workers_to_json(d->sw), "switch",
			     counters, "sandbox", "calls", d->sandbox.calls, "landlock",
			     d->sandbox.landlock));
}

/* ---- ports ---- */

static json_t *port_summary(const struct via_port *port)
{
	return json_pack("{s:s, s:s, s:b, s:i, s:i}", "name", port->name, "type", port->ops->type,
			 "link", port->link, "mtu", (int)port->mtu, "queues", (int)port->nr_queues);
}

void method_port_list(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	json_t *list = json_array();

	(void)params;
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		const struct via_port *port = find_port(d, d->cfg->ports[i]->name);

		if (port)
			json_array_append_new(list, port_summary(port));
	}
	rpc_result(call, list);
}

/* A fact that has several values gets them all. */
static void add_fact(void *user, const char *key, const char *value)
{
	json_t *facts = user;
	const char *before = json_string_value(json_object_get(facts, key));

	if (before)
		json_object_set_new(facts, key, json_sprintf("%s; %s", before, value));
	else
		json_object_set_new(facts, key, json_string(value));
}

static json_t *port_queues(struct daemon *d, const struct via_port *port, uint32_t index)
{
	json_t *list = json_array();

	for (uint32_t q = 0; q < port->nr_queues; q++)
		json_array_append_new(list,
				      json_pack("{s:i, s:i, s:o, s:o}", "queue", (int)q, "worker",
						sw_queue_worker(d->sw, index, q), "receive",
						direction(port->receive, q, q + 1), "transmit",
						direction(port->transmit, q, q + 1)));
	return list;
}

static json_t *config_to_json(const struct cfg_port *port)
{
	struct node *tree = cfg_port_to_node(port);
	json_t *json = tree ? node_to_json(tree) : json_object();

	node_free(tree);
	return json;
}

void method_port_show(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *name = rpc_text(params, "name", "");
	const struct cfg_port *config = cfg_find_port(d->cfg, name);
	struct via_port *port = config ? find_port(d, name) : NULL;
	json_t *facts, *answer;

	if (!port) {
		rpc_error(call, RPC_FAILED, "there is no port '%s'", name);
		return;
	}
	facts = json_object();
	port->ops->describe(port, add_fact, facts);
	answer = port_summary(port);
	json_object_set_new(answer, "config", config_to_json(config));
	json_object_set_new(answer, "facts", facts);
	json_object_set_new(answer, "receive", direction(port->receive, 0, port->nr_queues));
	json_object_set_new(answer, "transmit", direction(port->transmit, 0, port->nr_queues));
	json_object_set_new(answer, "per_queue",
			    port_queues(d, port, (uint32_t)sw_port_find(d->sw, name)));
	rpc_result(call, answer);
}

void method_vlan_show(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	json_t *list = json_array();

	(void)params;
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		const struct cfg_port *port = d->cfg->ports[i];
		const struct sw_vlan *vlan = &port->sw.vlan;
		char *trunk = vlan->trunk ? cfg_vlans_text(vlan->members) : NULL;

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:s, s:b}", "port", port->name, "mode",
					vlan->trunk  ? "trunk"
					: vlan->vlan ? "access"
						     : "unaware",
					"vlan", (int)vlan->vlan, "trunk", trunk ? trunk : "",
					"isolated", port->sw.isolated));
		free(trunk);
	}
	rpc_result(call, list);
}

/* ---- help ---- */

void method_help(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	static const char *const kinds[] = { [RPC_TEXT] = "text",
					     [RPC_NUMBER] = "number",
					     [RPC_SWITCH] = "switch",
					     [RPC_ANY] = "any" };
	json_t *list = json_array();

	(void)d;
	(void)params;
	for (const struct rpc_method *m = rpc_methods; m->name; m++) {
		json_t *parameters = json_array();

		for (const struct rpc_param *p = m->params; p->name; p++)
			json_array_append_new(parameters,
					      json_pack("{s:s, s:s, s:b, s:s}", "name", p->name,
							"kind", kinds[p->kind], "required",
							p->required, "help", p->help));
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:b}", "method", m->name, "help",
						m->help, "params", parameters, "open", m->open));
	}
	rpc_result(call, list);
}
