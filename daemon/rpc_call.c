/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls: a line becomes a request, the request a call of a method, the call an answer.
 *
 * Theory of operation: a line is checked from the outside in: JSON, the envelope of JSON-RPC, the method,
 * the parameters against the method's row. What fails is answered with the code of that layer. Then the
 * method runs, or waits if it changes something while a change is under way (rpc_change_ended()). It
 * answers once, by rpc_result() or rpc_error(), which end the call: at once or later, and also if
 * its client has gone meanwhile.
 */
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/discard.h"
#include "daemon/rpc_inside.h"
#include "daemon/value.h"

struct rpc_call {
	struct rpc_client *client; /* NULL: gone meanwhile */
	json_t *request, *id;      /* 'id' is borrowed from the request; NULL: a notification */
	const struct rpc_method *method;
};

/*
 * jansson leaves out what it has no memory for, of texts that it writes as well, and says so nowhere:
 * whatever failed since a call began makes its answer one about memory.
 */
static bool json_failed;

static void *json_alloc(size_t size)
{
	void *block = malloc(size);

	json_failed = json_failed || !block;
	return block;
}

void rpc_watch_memory(void)
{
	json_set_alloc_funcs(json_alloc, free);
}

/* ---- answers ---- */

void rpc_say(struct rpc_client *client, const json_t *answer)
{
	static const char no_memory[] =
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
		"\"message\":\"no memory to read the request or to answer it\"}}";
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;

	if (!text || json_failed)
		rpc_client_put(client, no_memory, sizeof(no_memory) - 1);
	else
		rpc_client_put(client, text, size);
	json_failed = false;
	free(text);
	if (size > RPC_TRIM_SIZE)
		malloc_trim(0);
}

static json_t *answer_for(const json_t *id)
{
	return json_pack("{s:s, s:O?}", "jsonrpc", "2.0", "id", id);
}

void rpc_say_error(struct rpc_client *client, json_t *id, enum rpc_code code, const char *text)
{
	json_t *answer =
		json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id ? id : json_null(),
			  "error", "code", (int)code, "message", text);

	/* A text that is not UTF-8 came from the client itself. */
	if (!answer && !json_failed)
		answer = json_pack("{s:s, s:n, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", "error",
				   "code", (int)code, "message", "the request is not UTF-8");
	rpc_say(client, answer);
	json_decref(answer);
}

static void call_end(struct rpc_call *call)
{
	struct rpc_client *client = call->client;

	json_decref(call->request);
	free(call);
	if (!client)
		return;
	client->call = NULL;
	if (client->passed_fd >= 0)
		via_discard(client->rpc->discards, client->passed_fd);
	client->passed_fd = -1;
}

void rpc_result(struct rpc_call *call, json_t *result)
{
	struct rpc_client *client = call->client;

	if (client && call->id && !result) {
		rpc_say_error(client, call->id, RPC_INTERNAL, "no memory for the answer");
	} else if (client && call->id) {
		json_t *answer = answer_for(call->id);
		bool is_whole = answer && json_object_set(answer, "result", result) == 0;

		rpc_say(client, is_whole ? answer : NULL);
		json_decref(answer);
	}
	json_decref(result);
	call_end(call);
	rpc_client_resume(client);
}

void rpc_error(struct rpc_call *call, enum rpc_code code, const char *format, ...)
{
	struct rpc_client *client = call->client;
	char *text = NULL;
	va_list ap;
	int ret;

	va_start(ap, format);
	ret = vasprintf(&text, format, ap);
	va_end(ap);
	if (client && call->id)
		rpc_say_error(client, call->id, code,
			      ret < 0 ? "no memory to say what is wrong" : text);
	if (ret >= 0)
		free(text);
	call_end(call);
	rpc_client_resume(client);
}

/* ---- what methods ask of a call ---- */

int rpc_take_fd(struct rpc_call *call)
{
	int fd = call->client ? call->client->passed_fd : -1;

	if (call->client)
		call->client->passed_fd = -1;
	return fd;
}

void *rpc_client_of(struct rpc_call *call)
{
	return call->client;
}

const char *rpc_text(const json_t *params, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(params, name));

	return text ? text : fallback;
}

json_int_t rpc_number(const json_t *params, const char *name, json_int_t fallback)
{
	const json_t *value = json_object_get(params, name);

	if (json_is_string(value))
		return strtoll(json_string_value(value), NULL, 10); /* checked to be a number */
	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

/* ---- a method's name and parameters ---- */

static const struct rpc_method *find_method(const char *name)
{
	for (const struct rpc_method *m = rpc_methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

static const char *closest_method(const char *name)
{
	unsigned int best_distance = 4;
	const char *best = NULL;

	for (const struct rpc_method *m = rpc_methods; m->name; m++) {
		unsigned int distance = value_distance(name, m->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = m->name;
		}
	}
	return best;
}

/* Numbers and switches may come as texts: the command line has nothing else. */
static bool has_kind(const json_t *value, enum rpc_kind kind)
{
	uint64_t number;
	bool on;

	switch (kind) {
	case RPC_TEXT:
		return json_is_string(value);
	case RPC_NUMBER:
		if (json_is_string(value))
			return value_uint(json_string_value(value), 0, INT64_MAX, &number);
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case RPC_SWITCH:
		if (json_is_string(value))
			return value_switch(json_string_value(value), &on);
		return json_is_boolean(value);
	case RPC_ANY:
		break;
	}
	return true;
}

static const struct rpc_param *find_param(const struct rpc_method *method, const char *name)
{
	for (const struct rpc_param *p = method->params; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* Returns the sentence about the first thing wrong with 'params', in 'err'. */
static int check_params(const struct rpc_method *method, json_t *params, struct via_error *err)
{
	static const char *const kinds[] = { [RPC_TEXT] = "a text",
					     [RPC_NUMBER] = "a number, 0 or more",
					     [RPC_SWITCH] = "on or off",
					     [RPC_ANY] = "there" };
	const char *name;
	json_t *value;

	json_object_foreach(params, name, value)
	{
		const struct rpc_param *p = find_param(method, name);

		if (!p && !method->open)
			return via_fail(err, -EINVAL, "%s has no parameter '%.64s'%s%s",
					method->name, name,
					method->params[0].name ? "; its first is " : "",
					method->params[0].name ? method->params[0].name : "");
		if (p && !has_kind(value, p->kind))
			return via_fail(err, -EINVAL, "%s: the parameter '%s' must be %s",
					method->name, name, kinds[p->kind]);
	}
	for (const struct rpc_param *p = method->params; p->name; p++)
		if (p->required && !json_object_get(params, p->name))
			return via_fail(err, -EINVAL, "%s: the parameter '%s' is missing: %s",
					method->name, p->name, p->help);
	return 0;
}

/* ---- a call begins, or is forgotten ---- */

void rpc_start_call(struct rpc_call *call)
{
	const json_t *params = json_object_get(call->request, "params");

	call->client->waits = false;
	call->method->run(call->client->rpc->daemon, call, params);
}

void rpc_abandon_call(struct rpc_call *call)
{
	const bool waits = call->client->waits;

	call->client = NULL;
	if (!waits)
		return;
	json_decref(call->request); /* nobody else knows it */
	free(call);
}

/* ---- from a line to a call ---- */

/* The envelope: whether it is a request at all. Sets what to answer to. */
static int check_envelope(struct rpc_call *call, struct via_error *err)
{
	const json_t *request = call->request;
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	json_t *id = json_object_get(request, "id");

	call->id = json_null();
	if (!json_is_object(request))
		return via_fail(err, RPC_INVALID_REQUEST,
				"a request is an object on a line of its own; batches are not "
				"supported");
	if (id && (json_is_string(id) || json_is_integer(id)))
		call->id = id;
	if (!version || strcmp(version, "2.0") != 0 ||
	    !json_is_string(json_object_get(request, "method")) ||
	    (id && !json_is_null(id) && call->id != id))
		return via_fail(
			err, RPC_INVALID_REQUEST,
			"a request looks like {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": "
			"\"status\"}");
	if (!id)
		call->id = NULL;
	return 0;
}

/* Finds the method and checks the parameters against its table. */
static int check_call(struct rpc_call *call, struct via_error *err)
{
	const char *name = json_string_value(json_object_get(call->request, "method"));
	json_t *params = json_object_get(call->request, "params");
	const char *best = closest_method(name);

	call->method = find_method(name);
	if (!call->method && best)
		return via_fail(err, RPC_NO_METHOD,
				"there is no method '%.64s'; did you mean '%s'?", name, best);
	if (!call->method)
		return via_fail(err, RPC_NO_METHOD, "there is no method '%.64s'; 'help' lists them",
				name);
	if (!params) {
		params = json_object();
		if (json_object_set_new(call->request, "params", params) < 0)
			return via_fail(err, RPC_INTERNAL, "no memory for the call's parameters");
	}
	if (!json_is_object(params))
		return via_fail(err, RPC_INVALID_PARAMS,
				"%s: parameters are an object of names and values", name);
	if (check_params(call->method, params, err) < 0)
		return RPC_INVALID_PARAMS;
	return 0;
}

/* 'request' (consumed) has been parsed. */
static void serve_request(struct rpc_client *client, json_t *request)
{
	struct rpc_call *call = calloc(1, sizeof(*call));
	struct via_error err;
	int ret;

	if (!call) {
		json_decref(request);
		rpc_say_error(client, NULL, RPC_INTERNAL, "no memory for the call");
		return;
	}
	*call = (struct rpc_call){ .client = client, .request = request };
	client->call = call;
	ret = check_envelope(call, &err);
	if (ret == 0)
		ret = check_call(call, &err);
	if (ret < 0)
		rpc_error(call, (enum rpc_code)ret, "%s", err.text);
	else if (call->method->changes && client->rpc->daemon->change)
		client->waits = true; /* until rpc_change_ended() */
	else
		rpc_start_call(call);
}

void rpc_serve_line(struct rpc_client *client, const char *line, size_t size)
{
	json_error_t error;
	char text[JSON_ERROR_TEXT_LENGTH + 64];
	json_t *request;

	json_failed = false;
	request = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (request) {
		serve_request(client, request);
		return;
	}
	if (json_failed) {
		rpc_say(client, NULL);
		return;
	}
	snprintf(text, sizeof(text), "not JSON: %s, column %d", error.text, error.column);
	rpc_say_error(client, NULL, RPC_PARSE_ERROR, text);
}
