/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon/rpc.c, rpc_connection.c, rpc_call.c and the methods: a client on a socket pair, a switch of sinks,
 * no process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/unix.h"
#include "daemon/change.h"
#include "daemon/fdpass.h"
#include "daemon/methods.h"
#include "tests/test.h"

#define MAX_TURNS 500 /* of the loop, 10 ms each, until an answer must be there */

struct rig {
	struct daemon d;
	int sock;
	char line[70000]; /* the last answer */
	size_t used;
	bool ended;
};

static void on_change_ended(struct daemon *d)
{
	rpc_change_ended(d->rpc);
}

static void on_end(struct daemon *d)
{
	via_container_of(d, struct rig, d)->ended = true;
}

static int connect_client(struct rig *rig)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(rpc_add_client(rig->d.rpc, pair[0]), 0);
	return pair[1];
}

static void rig_open(struct rig *rig)
{
	static const char yaml[] = "control: /run/x.sock\nports:\n  - {name: a, type: sink}\n"
				   "  - {name: b, type: sink, vlan: 10}\n";
	struct mistakes m = { 0 };
	struct sw_config config = { .nr_workers = 1 };

	*rig = (struct rig){ .d = { .capture_fd = -1,
				    .uid = geteuid(),
				    .opener = &via_opener_direct,
				    .change_ended = on_change_ended,
				    .end = on_end } };
	rig->d.cfg = cfg_from_yaml(yaml, sizeof(yaml) - 1, CFG_HOST_ASK, &m);
	assert_non_null(rig->d.cfg);
	assert_int_equal(via_loop_create(&rig->d.loop, NULL), 0);
	config.loop = rig->d.loop;
	assert_int_equal(sw_create(&rig->d.sw, &config, NULL), 0);
	assert_int_equal(change_open_all(&rig->d), 0);
	assert_int_equal(rpc_create(&rig->d.rpc, &rig->d, -1, method_client_gone, NULL), 0);
	rig->sock = connect_client(rig);
}

static void one_gone(void *user)
{
	--*(unsigned int *)user;
}

static void rig_close(struct rig *rig)
{
	unsigned int left;

	for (int i = 0; i < MAX_TURNS && rig->d.change; i++)
		via_loop_turn(rig->d.loop, 10);
	assert_null(rig->d.change);
	left = rig->d.cfg->nr_ports;
	rpc_free(rig->d.rpc);
	if (rig->sock >= 0)
		close(rig->sock);
	for (uint32_t i = 0; i < rig->d.cfg->nr_ports; i++)
		sw_port_del(rig->d.sw,
			    (uint32_t)sw_port_find(rig->d.sw, rig->d.cfg->ports[i]->name), one_gone,
			    &left, NULL);
	for (int i = 0; i < MAX_TURNS && left; i++)
		via_loop_turn(rig->d.loop, 10);
	assert_int_equal(left, 0);
	sw_free(rig->d.sw);
	via_loop_free(rig->d.loop);
	cfg_free(rig->d.cfg);
}

/* The next line of an answer, without its end. */
static const char *next_line(struct rig *rig, int sock)
{
	for (int i = 0; i < MAX_TURNS; i++) {
		char c;

		while (rig->used < sizeof(rig->line) - 1 && recv(sock, &c, 1, 0) == 1) {
			if (c == '\n') {
				rig->line[rig->used] = '\0';
				rig->used = 0;
				return rig->line;
			}
			rig->line[rig->used++] = c;
		}
		via_loop_turn(rig->d.loop, 10);
	}
	fail_msg("no answer");
	return NULL;
}

static const char *say(struct rig *rig, const char *text)
{
	assert_int_equal(send(rig->sock, text, strlen(text), 0), (ssize_t)strlen(text));
	return next_line(rig, rig->sock);
}

/* {"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": {PARAMS}} */
static json_t *call(struct rig *rig, const char *method, const char *params)
{
	char text[1024];
	json_t *answer;

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"%s\", \"params\": {%s}}\n",
		 method, params);
	answer = json_loads(say(rig, text), 0, NULL);
	assert_non_null(answer);
	assert_string_equal(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	return answer;
}

static void assert_refused(struct rig *rig, json_t *answer, int code, const char *message)
{
	json_t *error = json_object_get(answer, "error");

	(void)rig;
	assert_non_null(error);
	assert_string_equal(json_string_value(json_object_get(error, "message")), message);
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	json_decref(answer);
}

static json_t *call_ok(struct rig *rig, const char *method, const char *params)
{
	json_t *answer = call(rig, method, params), *result = json_object_get(answer, "result");

	if (!result)
		print_message("%s\n", rig->line);
	assert_non_null(result);
	json_incref(result);
	json_decref(answer);
	return result;
}

static void call_done(struct rig *rig, const char *method, const char *params)
{
	json_decref(call_ok(rig, method, params));
}

static void what_is_no_request_is_answered_with_a_sentence(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *says;
	} cases[] = {
		{ "hello", RPC_PARSE_ERROR, "not JSON: invalid token near 'hello', column 5" },
		{ "{\"a\": 1", RPC_PARSE_ERROR,
		  "not JSON: '}' expected near end of file, column 7" },
		{ "[]", RPC_INVALID_REQUEST,
		  "a request is an object on a line of its own; batches are not supported" },
		{ "42", RPC_INVALID_REQUEST,
		  "a request is an object on a line of its own; batches are not supported" },
		{ "{\"id\": 1, \"method\": \"status\"}", RPC_INVALID_REQUEST,
		  "a request looks like {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}" },
		{ "{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"status\"}", RPC_INVALID_REQUEST,
		  "a request looks like {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"status\"}", RPC_INVALID_REQUEST,
		  "a request looks like {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": 5}", RPC_INVALID_REQUEST,
		  "a request looks like {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"statsu\"}", RPC_NO_METHOD,
		  "there is no method 'statsu'; did you mean 'status'?" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"make.coffee\"}", RPC_NO_METHOD,
		  "there is no method 'make.coffee'; 'help' lists them" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\", \"params\": [1]}",
		  RPC_INVALID_PARAMS, "status: parameters are an object of names and values" },
	};
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char line[200];

		snprintf(line, sizeof(line), "%s\n", cases[i].line);
		assert_refused(&rig, json_loads(say(&rig, line), 0, NULL), cases[i].code,
			       cases[i].says);
	}
	call_done(&rig, "status", "");
	rig_close(&rig);
}

static void wrong_parameters_are_answered_with_one_sentence(void **state)
{
	static const struct {
		const char *method, *params;
		int code;
		const char *says;
	} cases[] = {
		{ "status", "\"x\": 1", RPC_INVALID_PARAMS, "status has no parameter 'x'" },
		{ "port.show", "", RPC_INVALID_PARAMS,
		  "port.show: the parameter 'name' is missing: the port's name" },
		{ "port.show", "\"name\": 5", RPC_INVALID_PARAMS,
		  "port.show: the parameter 'name' must be a text" },
		{ "port.show", "\"name\": \"x\"", RPC_FAILED, "there is no port 'x'" },
		{ "port.show", "\"nam\": \"x\"", RPC_INVALID_PARAMS,
		  "port.show has no parameter 'nam'; its first is name" },
		{ "stats", "\"port\": \"x\"", RPC_FAILED, "there is no port 'x'" },
		{ "port.add", "\"name\": \"c\"", RPC_INVALID_PARAMS,
		  "port.add: the parameter 'type' is missing: such as vhost-user" },
		{ "port.add", "\"name\": \"c\", \"type\": \"sinc\"", RPC_INVALID_PARAMS,
		  "port 'c': there is no port type 'sinc'; did you mean 'sink'?" },
		{ "port.add", "\"name\": \"a\", \"type\": \"sink\"", RPC_INVALID_PARAMS,
		  "port 'a': there is already a port of this name" },
		{ "port.add", "\"name\": \"c\", \"type\": \"sink\", \"mtu\": 9, \"vlan\": \"x\"",
		  RPC_INVALID_PARAMS,
		  "port 'c': mtu is '9'; it must be a number from 68 to 65521; port 'c': vlan is 'x'; "
		  "it must be a number from 1 to 4094" },
		{ "port.del", "\"name\": \"x\"", RPC_FAILED, "there is no port 'x'" },
		{ "port.set", "\"name\": \"x\", \"vlan\": 1", RPC_FAILED, "there is no port 'x'" },
		{ "port.set", "\"name\": \"a\", \"type\": \"tap\"", RPC_INVALID_PARAMS,
		  "port 'a' is of type 'sink' and stays so; delete it and add another" },
		{ "port.set", "\"name\": \"a\", \"socket\": \"/x\"", RPC_INVALID_PARAMS,
		  "port 'a': there is no key 'socket'; there are: name, type, mtu, vlan, trunk, "
		  "lossless, isolated" },
		{ "fdb.add", "\"mac\": \"52:54\", \"port\": \"a\"", RPC_INVALID_PARAMS,
		  "fdb entry: mac is '52:54'; it must be the MAC address of one station, such as "
		  "52:54:00:12:34:56" },
		{ "fdb.add", "\"mac\": \"52:54:00:12:34:56\", \"port\": \"x\"", RPC_INVALID_PARAMS,
		  "fdb entry: there is no port 'x'" },
		{ "fdb.add", "\"mac\": \"52:54:00:12:34:56\", \"port\": \"a\", \"vlan\": -1",
		  RPC_INVALID_PARAMS, "fdb.add: the parameter 'vlan' must be a number, 0 or more" },
		{ "fdb.del", "\"mac\": \"all\"", RPC_INVALID_PARAMS,
		  "fdb.del: mac must be the address of one station, such as 52:54:00:12:34:56" },
		{ "fdb.del", "\"mac\": \"52:54:00:12:34:56\", \"vlan\": 9999", RPC_INVALID_PARAMS,
		  "fdb.del: vlan must be a number from 0 to 4094" },
		{ "fdb.flush", "\"port\": \"x\"", RPC_FAILED, "there is no port 'x'" },
		{ "set", "", RPC_INVALID_PARAMS,
		  "set: the parameter 'poll_us' is missing: a number, or always" },
		{ "set", "\"poll_us\": \"fast\"", RPC_INVALID_PARAMS,
		  "poll_us is 'fast'; it must be a number of microseconds from 0 to 1000000, or "
		  "always" },
		{ "capture.start", "\"port\": \"x\"", RPC_FAILED, "there is no port 'x'" },
		{ "capture.start", "", RPC_FAILED,
		  "capture.start: no descriptor to write to came with the request" },
		{ "capture.stop", "", RPC_FAILED, "there is no capture" },
		{ "reload", "", RPC_FAILED, "there is no file to read" },
	};
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(&rig, call(&rig, cases[i].method, cases[i].params), cases[i].code,
			       cases[i].says);
	rig_close(&rig);
}

static void ports_come_change_and_go(void **state)
{
	struct rig rig;
	json_t *result;

	(void)state;
	rig_open(&rig);
	call_done(&rig, "port.add", "\"name\": \"c\", \"type\": \"sink\", \"vlan\": \"20\"");
	result = call_ok(&rig, "port.show", "\"name\": \"c\"");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(result, "config"), "vlan")), 20);
	json_decref(result);
	result = call_ok(&rig, "port.set", "\"name\": \"c\", \"vlan\": \"\", \"isolated\": true");
	assert_non_null(json_object_get(result, "changed"));
	json_decref(result);
	result = call_ok(&rig, "port.set", "\"name\": \"c\", \"mtu\": 1400");
	assert_non_null(json_object_get(result, "reopened"));
	json_decref(result);
	result = call_ok(&rig, "port.set", "\"name\": \"c\", \"mtu\": 1400");
	assert_int_equal(json_object_size(result), 0);
	json_decref(result);
	result = call_ok(&rig, "save", "");
	assert_non_null(strstr(json_string_value(json_object_get(result, "yaml")),
			       "  - {name: c, type: sink, mtu: 1400, isolated: on}\n"));
	json_decref(result);
	call_done(&rig, "port.del", "\"name\": \"c\"");
	call_done(&rig, "port.del", "\"name\": \"b\"");
	result = call_ok(&rig, "port.list", "");
	assert_int_equal(json_array_size(result), 1);
	json_decref(result);
	rig_close(&rig);
}

static void static_addresses_survive_a_reopened_port_and_leave_with_a_deleted_one(void **state)
{
	struct rig rig;
	json_t *result;

	(void)state;
	rig_open(&rig);
	call_done(&rig, "fdb.add", "\"mac\": \"52:54:00:00:00:01\", \"port\": \"a\"");
	call_done(&rig, "port.set", "\"name\": \"a\", \"mtu\": 1400");
	result = call_ok(&rig, "fdb.show", "\"port\": \"a\"");
	assert_int_equal(json_integer_value(json_object_get(result, "total")), 1);
	json_decref(result);
	call_done(&rig, "port.del", "\"name\": \"a\"");
	result = call_ok(&rig, "fdb.show", "");
	assert_int_equal(json_integer_value(json_object_get(result, "total")), 0);
	json_decref(result);
	assert_int_equal(rig.d.cfg->nr_statics, 0);
	rig_close(&rig);
}

static void changes_of_several_clients_take_turns(void **state)
{
	static const char *const requests[] = {
		"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.set\", \"params\": {\"name\": "
		"\"a\", \"mtu\": 1000}}\n",
		"{\"jsonrpc\": \"2.0\", \"id\": 2, \"method\": \"port.set\", \"params\": {\"name\": "
		"\"a\", \"mtu\": 2000}}\n",
		"{\"jsonrpc\": \"2.0\", \"id\": 3, \"method\": \"port.del\", \"params\": {\"name\": "
		"\"a\"}}\n",
	};
	int socks[ARRAY_SIZE(requests)];
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		socks[i] = connect_client(&rig);
		assert_true(send(socks[i], requests[i], strlen(requests[i]), 0) > 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		assert_non_null(strstr(next_line(&rig, socks[i]), "\"id\":"));
	assert_null(cfg_find_port(rig.d.cfg, "a"));
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		close(socks[i]);
	rig_close(&rig);
}

static void a_client_that_leaves_during_its_change_is_not_missed(void **state)
{
	static const char request[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.del\", "
				      "\"params\": {\"name\": \"a\"}}\n";
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (int i = 0; i < 2; i++) { /* the second one waits for the first one's change */
		int sock = connect_client(&rig);

		assert_true(send(sock, request, strlen(request), 0) > 0);
		close(sock);
	}
	for (int i = 0; i < MAX_TURNS && cfg_find_port(rig.d.cfg, "a"); i++)
		via_loop_turn(rig.d.loop, 10);
	call_done(&rig, "status", "");
	rig_close(&rig);
}

static void answers_come_in_order_whatever_the_pieces(void **state)
{
	static const char text[] =
		"{\"jsonrpc\": \"2.0\", \"id\": \"x\", \"method\": \"port.set\", \"params\": {\"name\": "
		"\"a\", \"mtu\": 1000}}\n\n  \r\n"
		"{\"jsonrpc\": \"2.0\", \"method\": \"status\"}\n"
		"{\"jsonrpc\": \"2.0\", \"id\": 2, \"method\": \"port.list\"}\n";
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (const char *c = text; *c; c++) {
		assert_int_equal(send(rig.sock, c, 1, 0), 1);
		via_loop_turn(rig.d.loop, 0);
	}
	assert_non_null(strstr(next_line(&rig, rig.sock), "\"id\":\"x\""));
	assert_non_null(strstr(next_line(&rig, rig.sock), "\"id\":2"));
	/* All at once, and the end of the stream behind it. */
	assert_true(send(rig.sock, text, sizeof(text) - 1, 0) > 0);
	shutdown(rig.sock, SHUT_WR);
	assert_non_null(strstr(next_line(&rig, rig.sock), "\"id\":\"x\""));
	assert_non_null(strstr(next_line(&rig, rig.sock), "\"id\":2"));
	rig_close(&rig);
}

static void a_line_without_end_is_refused_and_the_client_with_it(void **state)
{
	char bytes[4096];
	struct rig rig;
	json_t *answer;

	(void)state;
	rig_open(&rig);
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < RPC_MAX_LINE / 4096 + 1; i++) {
		assert_true(send(rig.sock, bytes, sizeof(bytes), 0) > 0);
		via_loop_turn(rig.d.loop, 10);
	}
	answer = json_loads(next_line(&rig, rig.sock), 0, NULL);
	assert_refused(&rig, answer, RPC_INVALID_REQUEST, "a request has at most 262144 bytes");
	for (int i = 0; i < 10; i++)
		via_loop_turn(rig.d.loop, 1);
	while (recv(rig.sock, bytes, sizeof(bytes), 0) > 0)
		;
	assert_true(recv(rig.sock, bytes, 1, 0) == 0 || errno == ECONNRESET);
	rig_close(&rig);
}

static void a_client_that_takes_no_answers_costs_a_bounded_amount(void **state)
{
	static const char request[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"help\"}\n";
	bool lost = false;
	struct rig rig;
	int sock;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 100);
	sock = connect_client(&rig);
	for (int i = 0; i < 3000 && !lost; i++) {
		lost = send(sock, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
		via_loop_turn(rig.d.loop, i < 2000 ? 0 : 10);
	}
	assert_true(lost);
	close(sock);
	call_done(&rig, "status", "");
	rig_close(&rig);
}

static void send_lines(int sock, const char *line, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(send(sock, line, strlen(line), 0), (ssize_t)strlen(line));
}

/* How many answers are there now. */
static int count_answers(int sock)
{
	char text[65536];
	int answers = 0;
	ssize_t n;

	while ((n = recv(sock, text, sizeof(text), 0)) > 0)
		for (ssize_t i = 0; i < n; i++)
			answers += text[i] == '\n';
	return answers;
}

static void many_requests_at_once_leave_others_their_turn(void **state) /* R18 */
{
	struct rig rig;
	int left = 60;

	(void)state;
	rig_open(&rig);
	send_lines(rig.sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n",
		   left);
	shutdown(rig.sock, SHUT_WR); /* and they are served to the last */
	for (int i = 0; i < MAX_TURNS && left; i++) {
		int n;

		via_loop_turn(rig.d.loop, 10);
		n = count_answers(rig.sock);
		assert_in_range(n, 0, RPC_TURN_LINES);
		left -= n;
	}
	assert_int_equal(left, 0);
	rig_close(&rig);
}

static void half_a_request_is_given_up_and_an_idle_client_is_not(void **state) /* R1 */
{
	struct rig rig;
	int half, idle;
	char byte;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 50);
	half = connect_client(&rig);
	idle = connect_client(&rig);
	send_lines(half, "{\"jsonrpc\": ", 1);
	for (int i = 0; i < MAX_TURNS && recv(half, &byte, 1, 0) < 0; i++)
		via_loop_turn(rig.d.loop, 10);
	assert_int_equal(recv(half, &byte, 1, 0), 0);
	send_lines(idle, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}\n", 1);
	next_line(&rig, idle);
	close(half);
	close(idle);
	rig_close(&rig);
}

/* Of the rig's daemon, on a path of its own. */
static struct rpc *listen_at(struct rig *rig, char path[32], int *listen_fd)
{
	struct rpc *rpc;

	snprintf(path, 32, "/tmp/viaduct-rpc-%d", (int)getpid());
	*listen_fd = via_unix_listen(path, NULL);
	assert_true(*listen_fd >= 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(rpc_create(&rpc, &rig->d, *listen_fd, NULL, NULL), 0);
	return rpc;
}

/* Connects; returns whether it was served. */
static bool is_served(struct rig *rig, const char *path, int *sock)
{
	*sock = via_unix_connect(path, NULL);
	assert_true(*sock >= 0);
	send_lines(*sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n", 1);
	return !strstr(next_line(rig, *sock), "too many clients");
}

static void who_may_use_the_socket_cannot_shut_the_operator_out(void **state) /* R24 */
{
	int listen_fd, sock[RPC_MAX_CLIENTS], n = 0, operator;
	struct rpc *rpc;
	struct rig rig;
	char path[32];

	(void)state;
	if (geteuid() != 0)
		skip();
	rig_open(&rig);
	rpc = listen_at(&rig, path, &listen_fd);
	while (n < RPC_MAX_CLIENTS) {
		bool served;

		assert_int_equal(seteuid(65534), 0);
		sock[n] = via_unix_connect(path, NULL); /* remembered by the kernel: who */
		assert_int_equal(seteuid(0), 0);
		send_lines(sock[n], "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"help\"}\n", 1);
		served = !strstr(next_line(&rig, sock[n++]), "too many clients");
		if (!served)
			break;
	}
	assert_int_equal(n, RPC_MAX_CLIENTS - RPC_RESERVED + 1);
	assert_true(is_served(&rig, path, &operator));
	while (n > 0)
		close(sock[--n]);
	close(operator);
	rpc_free(rpc);
	close(listen_fd);
	unlink(path);
	rig_close(&rig);
}

static void without_descriptors_control_waits_instead_of_spinning(void **state) /* R24 */
{
	struct rlimit before, none;
	int listen_fd, sock, turns = 0;
	struct rpc *rpc;
	struct rig rig;
	char path[32];

	(void)state;
	rig_open(&rig);
	rpc = listen_at(&rig, path, &listen_fd);
	sock = via_unix_connect(path, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = via_clock_us() + 50000; via_clock_us() < end; turns++)
		via_loop_turn(rig.d.loop, 10); /* at most five, if nothing happens */
	assert_in_range(turns, 1, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	send_lines(sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n", 1);
	assert_non_null(strstr(next_line(&rig, sock), "sink")); /* and served in the end */
	close(sock);
	rpc_free(rpc);
	close(listen_fd);
	unlink(path);
	rig_close(&rig);
}

static void a_capture_needs_a_pipe_and_ends_with_its_client(void **state)
{
	static const char request[] =
		"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"capture.start\"}\n";
	struct rig rig;
	int ends[2], file, sock;
	char bytes[64];

	(void)state;
	rig_open(&rig);
	file = fileno(tmpfile());
	assert_int_equal(fdpass_send(rig.sock, request, sizeof(request) - 1, file), 0);
	assert_non_null(strstr(next_line(&rig, rig.sock), "must be a pipe or socket"));
	assert_int_equal(pipe(ends), 0);
	sock = connect_client(&rig);
	assert_int_equal(fdpass_send(sock, request, sizeof(request) - 1, ends[1]), 0);
	close(ends[1]);
	assert_non_null(strstr(next_line(&rig, sock), "\"result\":{}"));
	assert_int_equal(fdpass_send(rig.sock, request, sizeof(request) - 1, ends[0]), 0);
	assert_non_null(strstr(next_line(&rig, rig.sock), "there is a capture already"));
	close(sock);
	for (int i = 0; i < MAX_TURNS && rig.d.capture_fd >= 0; i++)
		via_loop_turn(rig.d.loop, 10);
	assert_int_equal(rig.d.capture_fd, -1);
	while (read(ends[0], bytes, sizeof(bytes)) > 0) /* pcap's head, then the end */
		;
	close(ends[0]);
	rig_close(&rig);
}

static void descriptors_that_nobody_wants_are_closed(void **state)
{
	static const char request[] =
		"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n";
	struct rig rig;
	int before, after, ends[2];

	(void)state;
	rig_open(&rig);
	call_done(&rig, "status", "");
	before = dup(0);
	close(before);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(fdpass_send(rig.sock, request, sizeof(request) - 1, ends[1]), 0);
		next_line(&rig, rig.sock);
		close(ends[0]);
		close(ends[1]);
	}
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
	rig_close(&rig);
}

static void every_method_has_a_help_and_shutdown_ends(void **state)
{
	struct rig rig;
	json_t *list, *method;
	size_t i;

	(void)state;
	rig_open(&rig);
	list = call_ok(&rig, "help", "");
	json_array_foreach(list, i, method)
		assert_true(strlen(json_string_value(json_object_get(method, "help"))) > 8);
	assert_true(json_array_size(list) > 15);
	json_decref(list);
	call_done(&rig, "doctor", "");
	call_done(&rig, "vlan.show", "");
	call_done(&rig, "stats", "");
	call_done(&rig, "set", "\"poll_us\": \"always\"");
	call_done(&rig, "set", "\"poll_us\": 0");
	assert_false(rig.ended);
	call_done(&rig, "shutdown", "");
	assert_true(rig.ended);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_request_is_answered_with_a_sentence),
		cmocka_unit_test(wrong_parameters_are_answered_with_one_sentence),
		cmocka_unit_test(ports_come_change_and_go),
		cmocka_unit_test(
			static_addresses_survive_a_reopened_port_and_leave_with_a_deleted_one),
		cmocka_unit_test(changes_of_several_clients_take_turns),
		cmocka_unit_test(a_client_that_leaves_during_its_change_is_not_missed),
		cmocka_unit_test(answers_come_in_order_whatever_the_pieces),
		cmocka_unit_test(a_line_without_end_is_refused_and_the_client_with_it),
		cmocka_unit_test(a_client_that_takes_no_answers_costs_a_bounded_amount),
		cmocka_unit_test(many_requests_at_once_leave_others_their_turn),
		cmocka_unit_test(half_a_request_is_given_up_and_an_idle_client_is_not),
		cmocka_unit_test(who_may_use_the_socket_cannot_shut_the_operator_out),
		cmocka_unit_test(without_descriptors_control_waits_instead_of_spinning),
		cmocka_unit_test(a_capture_needs_a_pipe_and_ends_with_its_client),
		cmocka_unit_test(descriptors_that_nobody_wants_are_closed),
		cmocka_unit_test(every_method_has_a_help_and_shutdown_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
