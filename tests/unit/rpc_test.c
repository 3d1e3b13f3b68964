/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon/rpc_call.c, rpc_connection.c and the methods: what is asked, and what is answered. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/fdpass.h"
#include "rpc_rig.h"

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
		assert_refused(json_loads(say(&rig, line), 0, NULL), cases[i].code, cases[i].says);
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
		assert_refused(call(&rig, cases[i].method, cases[i].params), cases[i].code,
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
		cmocka_unit_test(a_capture_needs_a_pipe_and_ends_with_its_client),
		cmocka_unit_test(descriptors_that_nobody_wants_are_closed),
		cmocka_unit_test(every_method_has_a_help_and_shutdown_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
