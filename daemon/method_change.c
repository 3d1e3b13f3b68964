/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that change the running daemon. Their answers come when the change is done. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/change.h"
#include "daemon/methods.h"

/* All mistakes in one sentence, for a call's error message; to free(). */
static char *join_mistakes(const struct mistakes *m)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		fputs(i ? "; " : "", out);
		if (m->list[i].line)
			fprintf(out, "line %u: ", m->list[i].line);
		fputs(m->list[i].text, out);
	}
	fclose(out);
	return text;
}

static void refuse(struct rpc_call *call, enum rpc_code code, const char *prefix,
		   struct mistakes *m)
{
	char *text = join_mistakes(m);

	rpc_error(call, code, "%s%s", prefix,
		  text && text[0] ? text : "no memory for what was asked");
	free(text);
	mistakes_fini(m);
}

/* Answers with the report, or with what failed. */
static void answer_change(void *user, const struct node *report)
{
	struct rpc_call *call = user;
	const struct node *failed = node_get(report, "failed");
	struct mistakes m = { 0 };

	if (!failed) {
		rpc_result(call, node_to_json(report));
		return;
	}
	for (const struct node *text = failed->first; text; text = text->next)
		mistakes_add(&m, 0, "%s", text->text);
	for (const struct node *list = report->first; list; list = list->next)
		if (list != failed && list->first && strcmp(list->key, "notes") != 0)
			mistakes_add(&m, 0, "%s all the same: %s%s", list->key, list->first->text,
				     list->first->next ? ", …" : "");
	refuse(call, RPC_FAILED, "", &m);
}

static struct change *begin(struct daemon *d, struct rpc_call *call)
{
	struct change *change = d->ending ? NULL : change_begin(d, answer_change, call);

	if (!change)
		rpc_error(call, RPC_FAILED, "%s",
			  d->ending ? "viaductd is ending" : "no memory for a change");
	return change;
}

/* Has 'plan' done with 'port' (consumed), or refuses for 'm' where there is none. */
static void change_port(struct daemon *d, struct rpc_call *call, struct cfg_port *port,
			struct mistakes *m,
			void (*plan)(struct change *change, struct cfg_port *port))
{
	struct change *change;

	if (!port) {
		refuse(call, RPC_INVALID_PARAMS, "", m);
		return;
	}
	change = begin(d, call);
	if (!change) {
		cfg_port_free(port);
		return;
	}
	plan(change, port);
	change_run(change);
}

void method_port_add(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct node *map = node_from_json(params);
	struct cfg_port *port = NULL;
	struct mistakes m = { 0 };

	if (map)
		port = cfg_port_from_node(map, d->cfg, NULL, &m);
	node_free(map);
	change_port(d, call, port, &m, change_add);
}

void method_port_del(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *name = rpc_text(params, "name", "");
	struct change *change;

	if (!cfg_find_port(d->cfg, name)) {
		rpc_error(call, RPC_FAILED, "there is no port '%s'", name);
		return;
	}
	change = begin(d, call);
	if (!change)
		return;
	change_del(change, name);
	change_run(change);
}

static bool is_unset(const json_t *value)
{
	return json_is_null(value) ||
	       (json_is_string(value) && json_string_value(value)[0] == '\0');
}

/* The port's tree with the parameters laid over it; NULL: no memory. */
static struct node *overlay(const struct cfg_port *port, const json_t *params)
{
	struct node *map = cfg_port_to_node(port);
	const json_t *value;
	const char *key;
	void *iter;

	/* The cast is for jansson's iterator, which does not write. */
	json_t *object = (json_t *)(uintptr_t)params;

	for (iter = json_object_iter(object); map && iter;
	     iter = json_object_iter_next(object, iter)) {
		key = json_object_iter_key(iter);
		value = json_object_iter_value(iter);
		if (strcmp(key, "name") == 0)
			continue;
		if (is_unset(value)) {
			node_remove(map, key);
		} else if (node_set(map, key, node_from_json(value)) < 0) {
			node_free(map);
			map = NULL;
		}
	}
	return map;
}

void method_port_set(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *name = rpc_text(params, "name", ""), *type = rpc_text(params, "type", NULL);
	const struct cfg_port *old = cfg_find_port(d->cfg, name);
	struct cfg_port *port = NULL;
	struct mistakes m = { 0 };
	struct node *map;

	if (!old) {
		rpc_error(call, RPC_FAILED, "there is no port '%s'", name);
		return;
	}
	if (type && strcmp(type, old->ops->type) != 0) {
		rpc_error(call, RPC_INVALID_PARAMS,
			  "port '%s' is of type '%s' and stays so; delete it and add another", name,
			  old->ops->type);
		return;
	}
	map = overlay(old, params);
	if (map)
		port = cfg_port_from_node(map, d->cfg, old, &m);
	node_free(map);
	change_port(d, call, port, &m, change_set);
}

void method_set(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct cfg scratch = { .poll_us = d->cfg->poll_us, .control = d->cfg->control };
	struct node *map = node_from_json(params);
	struct mistakes m = { 0 };
	struct via_error err;

	if (map)
		schema_read(&scratch, map, CFG_HOST_KNOWN, &m);
	node_free(map);
	if (!map || m.n) {
		refuse(call, RPC_INVALID_PARAMS, "", &m);
		return;
	}
	if (change_set_poll_us(d, scratch.poll_us, &err) < 0) {
		rpc_error(call, RPC_FAILED, "poll_us: %s", err.text);
		return;
	}
	change_remember(d);
	rpc_result(call, json_object());
}

enum rpc_code method_start_reload(struct daemon *d, void (*done)(void *, const struct node *),
				  void *user, struct mistakes *m, struct via_error *err)
{
	struct mistakes host = { 0 }; /* what the broker has found, who can look */
	struct change *change;
	struct cfg *wanted;
	size_t size;
	char *text;

	if (!d->broker) {
		via_fail(err, -ENOENT, "there is no file to read");
		return RPC_FAILED;
	}
	text = broker_read_config(d->broker, &size, &host, err);
	wanted = text ? cfg_from_yaml(text, size, CFG_HOST_KNOWN, m) : NULL;
	if (wanted && host.n) {
		mistakes_add(m, host.list[0].line, "%s", host.list[0].text);
		cfg_free(wanted);
		wanted = NULL;
	}
	mistakes_fini(&host);
	if (!text)
		return RPC_FAILED;
	free(text);
	if (!wanted) {
		via_fail(err, -EINVAL, "the file has mistakes; nothing was changed");
		return RPC_FAILED;
	}
	change = d->ending ? NULL : change_begin(d, done, user);
	if (!change) {
		cfg_free(wanted);
		via_fail(err, -EBUSY, "viaductd is ending or has no memory");
		return RPC_FAILED;
	}
	change_collect(change, wanted);
	cfg_free(wanted);
	change_run(change);
	return 0;
}

void method_reload(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct mistakes m = { 0 };
	struct via_error err;

	(void)params;
	if (method_start_reload(d, answer_change, call, &m, &err) == 0)
		return; /* 'call' may be gone already */
	if (m.n)
		refuse(call, RPC_FAILED, "the file has mistakes, nothing was changed: ", &m);
	else
		rpc_error(call, RPC_FAILED, "%s", err.text);
}

void method_save(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct node *tree = cfg_to_node(d->cfg);
	char *text = tree ? node_to_yaml(tree) : NULL;

	(void)params;
	rpc_result(call,
		   text ? json_pack("{s:s, s:s?}", "yaml", text, "config", d->config_path) : NULL);
	free(text);
	node_free(tree);
}

void method_shutdown(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	(void)params;
	rpc_result(call, json_object());
	d->end(d);
}
