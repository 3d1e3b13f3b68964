/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0: clients, lines, and the checks that every method relies on. */
#include "daemon/rpc.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/calls.h"
#include "base/discard.h"
#include "daemon/fdpass.h"
#include "daemon/value.h"

#define RPC_TRIM_SIZE 65536 /* after an answer this long, memory goes back to the system */
#define AGAIN_MS      100   /* before somebody is accepted after that has failed */

struct buffer {
	char *data;
	size_t used, room;
};

struct rpc_client {
	struct rpc *rpc;
	struct rpc_client *next;
	int fd, passed_fd;
	struct via_watch *watch;
	struct via_timer *deadline;
	bool timed; /* the deadline runs */
	struct buffer in, out;
	size_t out_sent;
	struct rpc_call *call; /* not answered yet */
	bool waits;            /* that call has not begun: it waits for a change to end */
	bool at_end;           /* no more comes; goes when everything is answered */
};

struct rpc_call {
	struct rpc_client *client; /* NULL: gone meanwhile */
	json_t *request, *id;      /* 'id' is borrowed from the request; NULL: a notification */
	const struct rpc_method *method;
};

struct rpc {
	struct daemon *daemon;
	int listen_fd;
	struct via_watch *watch;
	struct via_timer *again; /* listens again after it had no descriptors left */
	uint32_t deadline_ms;
	struct via_discards *discards; /* descriptors that nobody wants */
	struct rpc_client *clients;
	unsigned int nr_clients;
	void (*client_gone)(struct daemon *d, void *client);
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

/* ---- buffers ---- */

static int buffer_add(struct buffer *b, const char *data, size_t size, size_t max)
{
	size_t room = b->room ? b->room : 4096;
	char *larger;

	if (size > max - b->used)
		return -ENOBUFS;
	while (room < b->used + size)
		room *= 2;
	if (room != b->room) {
		larger = realloc(b->data, room);
		if (!larger)
			return -ENOMEM;
		b->data = larger;
		b->room = room;
	}
	memcpy(b->data + b->used, data, size);
	b->used += size;
	return 0;
}

/* Drops the first 'size' bytes, and the memory when nothing is left. */
static void buffer_drop(struct buffer *b, size_t size)
{
	b->used -= size;
	if (b->used) {
		memmove(b->data, b->data + size, b->used);
		return;
	}
	free(b->data);
	*b = (struct buffer){ 0 };
}

/* ---- clients ---- */

static void client_free(struct rpc_client *client)
{
	struct rpc *rpc = client->rpc;
	struct rpc_client **at = &rpc->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	rpc->nr_clients--;
	if (client->call)
		client->call->client = NULL;
	if (client->call && client->waits) { /* nobody else knows it */
		json_decref(client->call->request);
		free(client->call);
	}
	if (rpc->client_gone)
		rpc->client_gone(rpc->daemon, client);
	via_loop_unwatch(client->watch);
	via_timer_free(client->deadline);
	via_discard_socket(rpc->discards, client->fd);
	if (client->passed_fd >= 0)
		via_discard(rpc->discards, client->passed_fd);
	free(client->in.data);
	free(client->out.data);
	free(client);
}

/* Whether a request is there that has not been looked at. */
static bool has_line(const struct rpc_client *client)
{
	return client->in.used &&
	       (client->at_end || memchr(client->in.data, '\n', client->in.used));
}

/* A request that has begun, and answers that nobody reads, have a deadline; who is idle has none (R1). */
static void time_client(struct rpc_client *client)
{
	const bool timed = client->out.used || (client->in.used && !client->call);

	if (timed && !client->timed)
		via_timer_start(client->deadline, client->rpc->deadline_ms);
	else if (!timed && client->timed)
		via_timer_stop(client->deadline);
	client->timed = timed;
}

/* Listens for what the client can do now: it is not read while it has a call under way, requests that wait
 * for their turn, or answers to read. A socket that can be written is a turn. */
static void client_update(struct rpc_client *client)
{
	const bool turn = !client->call && has_line(client);
	uint32_t events = 0;

	if (!client->call && !client->at_end && !turn && !client->out.used)
		events |= EPOLLIN;
	if (client->out.used || turn)
		events |= EPOLLOUT;
	via_watch_set(client->watch, events);
	time_client(client);
}

/* Sends what the socket takes. Returns a negative errno when the client is lost. */
static int client_flush(struct rpc_client *client)
{
	while (client->out.used > client->out_sent) {
		ssize_t sent =
			via_send(client->fd, client->out.data + client->out_sent,
				 client->out.used - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		client->out_sent += (size_t)sent;
	}
	buffer_drop(&client->out, client->out.used);
	client->out_sent = 0;
	return 0;
}

static void client_put(struct rpc_client *client, const char *text, size_t size)
{
	if (buffer_add(&client->out, text, size, RPC_MAX_OUTPUT - 1) == 0 &&
	    buffer_add(&client->out, "\n", 1, RPC_MAX_OUTPUT) == 0)
		return;
	via_log(VIA_LOG_WARNING, "control: a client does not take its answers; closing it");
	buffer_drop(&client->in, client->in.used);
	client->at_end = true; /* with the deadline for what it has not taken */
}

/* 'answer' may be NULL, for want of memory. */
static void client_say(struct rpc_client *client, const json_t *answer)
{
	static const char no_memory[] =
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
		"\"message\":\"no memory to read the request or to answer it\"}}";
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;

	if (!text || json_failed)
		client_put(client, no_memory, sizeof(no_memory) - 1);
	else
		client_put(client, text, size);
	json_failed = false;
	free(text);
	if (size > RPC_TRIM_SIZE)
		malloc_trim(0);
}

/* ---- answers ---- */

static json_t *answer_for(const json_t *id)
{
	return json_pack("{s:s, s:O?}", "jsonrpc", "2.0", "id", id);
}

static void say_error(struct rpc_client *client, json_t *id, enum rpc_code code, const char *text)
{
	json_t *answer =
		json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id ? id : json_null(),
			  "error", "code", (int)code, "message", text);

	/* A text that is not UTF-8 came from the client itself. */
	if (!answer && !json_failed)
		answer = json_pack("{s:s, s:n, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", "error",
				   "code", (int)code, "message", "the request is not UTF-8");
	client_say(client, answer);
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

/* After an answer that came later than its call's function: on with the client's next line. */
static void client_resume(struct rpc_client *client)
{
	if (!client)
		return;
	via_watch_set(client->watch, EPOLLIN | EPOLLOUT);
	time_client(client);
}

void rpc_result(struct rpc_call *call, json_t *result)
{
	struct rpc_client *client = call->client;

	if (client && call->id && !result) {
		say_error(client, call->id, RPC_INTERNAL, "no memory for the answer");
	} else if (client && call->id) {
		json_t *answer = answer_for(call->id);
		bool is_whole = answer && json_object_set(answer, "result", result) == 0;

		client_say(client, is_whole ? answer : NULL);
		json_decref(answer);
	}
	json_decref(result);
	call_end(call);
	client_resume(client);
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
		say_error(client, call->id, code,
			  ret < 0 ? "no memory to say what is wrong" : text);
	if (ret >= 0)
		free(text);
	call_end(call);
	client_resume(client);
}

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

/* ---- checking a request ---- */

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

static void start_call(struct rpc_call *call)
{
	const json_t *params = json_object_get(call->request, "params");

	call->client->waits = false;
	call->method->run(call->client->rpc->daemon, call, params);
}

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
		say_error(client, NULL, RPC_INTERNAL, "no memory for the call");
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
		start_call(call);
}

static void serve_line(struct rpc_client *client, const char *line, size_t size)
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
		client_say(client, NULL);
		return;
	}
	snprintf(text, sizeof(text), "not JSON: %s, column %d", error.text, error.column);
	say_error(client, NULL, RPC_PARSE_ERROR, text);
}

/* Serves whole lines until one is not answered at once, there is much to send, or others are to have
 * their turn. */
static void serve_lines(struct rpc_client *client)
{
	for (int n = 0; n < RPC_TURN_LINES && !client->call && has_line(client) &&
			client->out.used < RPC_TRIM_SIZE;
	     n++) {
		char *end = memchr(client->in.data, '\n', client->in.used), *line;
		/* The last one may lack it, of a client that has said all. */
		size_t size = end ? (size_t)(end - client->in.data) : client->in.used;

		line = malloc(size + 1); /* serving may drop the buffer */
		if (line) {
			memcpy(line, client->in.data, size);
			line[size] = '\0';
		}
		buffer_drop(&client->in, size + (end ? 1 : 0));
		if (!line)
			client_say(client, NULL);
		else if (strspn(line, " \t\r") < size)
			serve_line(client, line, size);
		free(line);
	}
}

/* ---- sockets ---- */

/* Returns a negative errno when the client is lost. */
static int client_read(struct rpc_client *client)
{
	char bytes[4096];
	int fd;
	ssize_t got = fdpass_recv(client->fd, bytes, sizeof(bytes), &fd);

	if (fd >= 0) {
		if (client->passed_fd >= 0)
			via_discard(client->rpc->discards, client->passed_fd);
		client->passed_fd = fd;
	}
	if (got == -EAGAIN || got == -EWOULDBLOCK)
		return 0;
	if (got <= 0) {
		client->at_end = true;
		return (int)got;
	}
	got = buffer_add(&client->in, bytes, (size_t)got, RPC_MAX_LINE);
	if (got == 0)
		return 0;
	if (got == -ENOMEM)
		client_say(client, NULL);
	else
		say_error(client, NULL, RPC_INVALID_REQUEST, "a request has at most 262144 bytes");
	buffer_drop(&client->in, client->in.used);
	client->at_end = true;
	return 0;
}

static void on_client(void *user, uint32_t events)
{
	struct rpc_client *client = user;
	int ret = 0;

	if (!client->call && !client->at_end && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ret = client_read(client);
	else if (events & (EPOLLHUP | EPOLLERR))
		ret = -EPIPE; /* gone while its call is under way */
	if (ret >= 0)
		ret = client_flush(client);
	if (ret >= 0 && !client->out.used) {
		serve_lines(client);
		ret = client_flush(client);
	}
	if (ret < 0 || (client->at_end && !client->call && !client->out.used && !client->in.used))
		client_free(client);
	else
		client_update(client);
}

static void on_deadline(void *user)
{
	via_log(VIA_LOG_WARNING, "control: a client neither ends its request nor takes its answers "
				 "in time; closing it");
	client_free(user);
}

int rpc_add_client(struct rpc *rpc, int fd)
{
	struct rpc_client *client = calloc(1, sizeof(*client));
	int ret = -ENOMEM;

	if (client) {
		*client = (struct rpc_client){ .rpc = rpc, .fd = fd, .passed_fd = -1 };
		ret = via_timer_create(&client->deadline, rpc->daemon->loop, on_deadline, client,
				       NULL);
	}
	if (ret == 0) {
		ret = via_loop_watch(&client->watch, rpc->daemon->loop, fd, EPOLLIN, on_client,
				     client, NULL);
	}
	if (ret < 0) {
		if (client)
			via_timer_free(client->deadline);
		free(client);
		close(fd);
		return ret;
	}
	client->next = rpc->clients;
	rpc->clients = client;
	rpc->nr_clients++;
	return 0;
}

static void listen_again(void *user)
{
	struct rpc *rpc = user;

	via_watch_set(rpc->watch, EPOLLIN);
}

/* Whether there is a place for whom the kernel says it is. */
static bool has_place(const struct rpc *rpc, int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	if (rpc->nr_clients < RPC_MAX_CLIENTS - RPC_RESERVED &&
	    !via_discards_are_many(rpc->discards))
		return true;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return rpc->nr_clients < RPC_MAX_CLIENTS && (peer.uid == 0 || peer.uid == rpc->daemon->uid);
}

static void on_connect(void *user, uint32_t events)
{
	static const char busy[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,"
				   "\"message\":\"too many clients\"}}\n";
	struct rpc *rpc = user;
	int fd = accept4(rpc->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED)
			return;
		/* Out of descriptors, say: looking again at once would only burn (R24). */
		via_watch_set(rpc->watch, 0);
		via_timer_start(rpc->again, AGAIN_MS);
		return;
	}
	if (has_place(rpc, fd)) {
		rpc_add_client(rpc, fd);
		return;
	}
	via_send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

void rpc_change_ended(struct rpc *rpc)
{
	for (struct rpc_client *client = rpc->clients; client; client = client->next) {
		if (!client->waits)
			continue;
		start_call(client->call);
		if (rpc->daemon->change)
			return; /* that one changes as well: the others go on waiting */
	}
}

int rpc_create(struct rpc **out, struct daemon *d, int listen_fd,
	       void (*client_gone)(struct daemon *d, void *client), struct via_error *err)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	int ret;

	json_set_alloc_funcs(json_alloc, free);
	if (!rpc)
		return via_fail(err, -ENOMEM, "no memory for the control API");
	*rpc = (struct rpc){ .daemon = d,
			     .listen_fd = listen_fd,
			     .deadline_ms = RPC_DEADLINE_MS,
			     .client_gone = client_gone };
	rpc->discards = via_discards_create();
	ret = rpc->discards ? via_timer_create(&rpc->again, d->loop, listen_again, rpc, err)
			    : via_fail(err, -ENOMEM, "no memory for the control API");
	if (ret == 0 && listen_fd >= 0)
		ret = via_loop_watch(&rpc->watch, d->loop, listen_fd, EPOLLIN, on_connect, rpc,
				     err);
	if (ret < 0) {
		rpc_free(rpc);
		return ret;
	}
	*out = rpc;
	return 0;
}

void rpc_set_deadline(struct rpc *rpc, uint32_t ms)
{
	rpc->deadline_ms = ms;
}

void rpc_free(struct rpc *rpc)
{
	if (!rpc)
		return;
	while (rpc->clients)
		client_free(rpc->clients);
	via_loop_unwatch(rpc->watch);
	via_timer_free(rpc->again);
	via_discards_free(rpc->discards);
	free(rpc);
}
