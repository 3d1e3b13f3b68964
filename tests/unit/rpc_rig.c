/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/change.h"

static void on_change_ended(struct daemon *d)
{
	rpc_change_ended(d->rpc);
}

static void on_end(struct daemon *d)
{
	via_container_of(d, struct rig, d)->ended = true;
}

int connect_client(struct rig *rig)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(rpc_add_client(rig->d.rpc, pair[0]), 0);
	return pair[1];
}

void rig_open(struct rig *rig)
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

void rig_close(struct rig *rig)
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

const char *next_line(struct rig *rig, int sock)
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

const char *say(struct rig *rig, const char *text)
{
	assert_int_equal(send(rig->sock, text, strlen(text), 0), (ssize_t)strlen(text));
	return next_line(rig, rig->sock);
}

json_t *call(struct rig *rig, const char *method, const char *params)
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

void assert_refused(json_t *answer, int code, const char *message)
{
	json_t *error = json_object_get(answer, "error");

	assert_non_null(error);
	assert_string_equal(json_string_value(json_object_get(error, "message")), message);
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	json_decref(answer);
}

json_t *call_ok(struct rig *rig, const char *method, const char *params)
{
	json_t *answer = call(rig, method, params), *result = json_object_get(answer, "result");

	if (!result)
		print_message("%s\n", rig->line);
	assert_non_null(result);
	json_incref(result);
	json_decref(answer);
	return result;
}

void call_done(struct rig *rig, const char *method, const char *params)
{
	json_decref(call_ok(rig, method, params));
}
