/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control API and changes of the running switch: a client calls most methods. Each call is answered,
 * with a result or with an error, or its connection is closed; then it is made once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "cycle.h"
#include "daemon/change.h"
#include "daemon/fdpass.h"
#include "daemon/methods.h"
#include "inject.h"

#define ANSWER_SIZE (256 * 1024)

struct rig {
	struct daemon d;
	struct cycle_story *story;
	enum cycle_end end;
	int sock;
	bool gone; /* the daemon has closed the connection */
	char *answer;
	size_t used;
	uint32_t left;  /* ports that have not closed yet */
	int capture[2]; /* a pipe */
};

static const struct {
	const char *method, *params;
	bool passes_fd;
} calls[] = {
	{ "status", "", false },
	{ "help", "", false },
	{ "port.add", "\"name\": \"c\", \"type\": \"gen\", \"rate\": 1000, \"vlan\": 10", false },
	{ "port.list", "", false },
	{ "port.show", "\"name\": \"c\"", false },
	{ "stats", "", false },
	{ "vlan.show", "", false },
	{ "fdb.add", "\"mac\": \"52:54:00:12:34:56\", \"port\": \"c\", \"vlan\": 10", false },
	{ "fdb.show", "", false },
	{ "capture.start", "\"port\": \"c\"", true },
	{ "capture.stop", "", false },
	{ "port.set", "\"name\": \"c\", \"isolated\": true", false },
	{ "port.set", "\"name\": \"c\", \"mtu\": 1400", false },
	{ "set", "\"poll_us\": 10", false },
	{ "doctor", "", false },
	{ "save", "", false },
	{ "fdb.del", "\"mac\": \"52:54:00:12:34:56\", \"vlan\": 10", false },
	{ "fdb.flush", "", false },
	{ "port.del", "\"name\": \"c\"", false },
};

/* ---- a client ---- */

static void connect_client(struct rig *rig)
{
	int pair[2];

	faults_ignore(true);
	if (rig->sock >= 0)
		close(rig->sock);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	faults_ignore(false);
	rig->sock = pair[1];
	rig->gone = rpc_add_client(rig->d.rpc, pair[0]) < 0;
	rig->used = 0;
}

static bool is_answered(void *user)
{
	struct rig *rig = user;
	ssize_t n;

	faults_ignore(true);
	n = recv(rig->sock, rig->answer + rig->used, ANSWER_SIZE - rig->used - 1, 0);
	faults_ignore(false);
	if (n > 0)
		rig->used += (size_t)n;
	rig->answer[rig->used] = '\0';
	rig->gone = n == 0 || (n < 0 && errno != EAGAIN);
	return rig->gone || strchr(rig->answer, '\n');
}

static void send_call(struct rig *rig, size_t i)
{
	char line[512];
	int fd = -1;

	faults_ignore(true);
	if (calls[i].passes_fd)
		fd = dup(rig->capture[1]);
	snprintf(line, sizeof(line),
		 "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"%s\", \"params\": {%s}}\n",
		 calls[i].method, calls[i].params);
	fdpass_send(rig->sock, line, strlen(line), fd);
	if (fd >= 0)
		close(fd);
	faults_ignore(false);
	rig->used = 0;
}

/* Returns whether the answer is a result; the sentence of an error is kept. */
static bool is_result(struct rig *rig)
{
	json_t *answer = json_loads(rig->answer, 0, NULL);
	const char *message =
		json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	bool is = json_object_get(answer, "result") != NULL;

	if (!is && !message)
		rig->end = cycle_failed(rig->story, "an answer that is none: %.300s", rig->answer);
	else if (!is)
		rig->end = cycle_refused(rig->story, message);
	json_decref(answer);
	return is;
}

static bool call_once(struct rig *rig, size_t i)
{
	bool is;

	if (rig->gone)
		connect_client(rig);
	if (rig->gone)
		return false;
	send_call(rig, i);
	if (!cycle_wait(rig->d.loop, is_answered, rig)) {
		rig->end = cycle_failed(rig->story, "%s is not answered", calls[i].method);
		return true;
	}
	if (rig->gone)
		return false;
	faults_ignore(true);
	is = is_result(rig);
	faults_ignore(false);
	return is;
}

/* The first call may have been made and only its answer lost. */
static bool was_done(const char *sentence)
{
	return strstr(sentence, "already") || strstr(sentence, "there is no") ||
	       strstr(sentence, "has no");
}

static enum cycle_end did_not_work(struct rig *rig, const char *method)
{
	const struct cycle_story said = *rig->story;

	return cycle_failed(rig->story, "%s does not work: %.400s", method, said.text);
}

static void talk(struct rig *rig)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls) && rig->end != CYCLE_FAILED; i++) {
		bool done = false;

		/* An error, the end of the connection that may follow it, and then. */
		for (int attempt = 0; attempt < 3 && !done && rig->end != CYCLE_FAILED; attempt++)
			done = call_once(rig, i);
		if (!done && rig->end != CYCLE_FAILED && !was_done(rig->story->text))
			rig->end = did_not_work(rig, calls[i].method);
	}
}

/* ---- life ---- */

static void on_change_ended(struct daemon *d)
{
	rpc_change_ended(d->rpc);
}

static void on_end(struct daemon *d)
{
	(void)d;
}

static int build(struct rig *rig, struct via_error *err)
{
	static const char yaml[] = "control: /run/x.sock\nports:\n  - {name: a, type: sink}\n"
				   "  - {name: b, type: sink, vlan: 10}\n";
	struct sw_config config = { .nr_workers = 1 };
	struct mistakes m = { 0 };
	int ret = via_loop_create(&rig->d.loop, err);

	if (ret < 0)
		return ret;
	rig->d.cfg = cfg_from_yaml(yaml, sizeof(yaml) - 1, CFG_HOST_ASK, &m);
	if (!rig->d.cfg)
		via_fail(err, -EINVAL, "the configuration: %s", m.n ? m.list[0].text : "");
	mistakes_fini(&m);
	if (!rig->d.cfg)
		return -EINVAL;
	config.loop = rig->d.loop;
	ret = sw_create(&rig->d.sw, &config, err);
	if (ret == 0 && change_open_all(&rig->d) > 0)
		ret = via_fail(err, -EINVAL, "a port cannot be opened, says the log");
	if (ret == 0)
		ret = rpc_create(&rig->d.rpc, &rig->d, -1, method_client_gone, err);
	return ret;
}

static bool no_change(void *user)
{
	return !((struct rig *)user)->d.change;
}

static bool none_left(void *user)
{
	return ((struct rig *)user)->left == 0;
}

static void one_gone(void *user)
{
	((struct rig *)user)->left--;
}

static void close_ports(struct rig *rig)
{
	for (uint32_t i = 0; rig->d.cfg && rig->d.sw && i < SW_MAX_PORTS; i++) {
		if (!sw_port(rig->d.sw, i))
			continue;
		rig->left++;
		if (sw_port_del(rig->d.sw, i, one_gone, rig, NULL) < 0 &&
		    sw_port_del(rig->d.sw, i, one_gone, rig, NULL) < 0)
			rig->end = cycle_failed(rig->story, "a port cannot be closed");
	}
	if (rig->left && !cycle_wait(rig->d.loop, none_left, rig))
		rig->end = cycle_failed(rig->story, "%u ports do not close", rig->left);
}

static void take_down(struct rig *rig)
{
	if (rig->d.loop && !cycle_wait(rig->d.loop, no_change, rig))
		rig->end = cycle_failed(rig->story, "a change does not end");
	rpc_free(rig->d.rpc);
	close_ports(rig);
	sw_free(rig->d.sw);
	via_loop_free(rig->d.loop);
	cfg_free(rig->d.cfg);
}

enum cycle_end cycle_control(struct cycle_story *story)
{
	static char answer[ANSWER_SIZE];
	static struct kept kept;
	struct rig rig = { .d = { .kept = &kept,
				  .uid = geteuid(),
				  .capture_fd = -1,
				  .opener = &via_opener_direct,
				  .change_ended = on_change_ended,
				  .end = on_end },
			   .story = story,
			   .sock = -1,
			   .gone = true,
			   .answer = answer };
	struct via_error err = { "" };

	faults_ignore(true);
	if (pipe2(rig.capture, O_CLOEXEC) < 0)
		abort();
	faults_ignore(false);
	if (build(&rig, &err) < 0)
		rig.end = cycle_refused(story, err.text);
	else
		talk(&rig);
	take_down(&rig);
	faults_ignore(true);
	close(rig.capture[0]);
	close(rig.capture[1]);
	if (rig.sock >= 0)
		close(rig.sock);
	faults_ignore(false);
	return rig.end;
}

/* ---- a configuration, read and written ---- */

static const char *const texts[] = {
	"control: /run/x.sock\nmetrics: 127.0.0.1:9101\nrun_dir: /run\nworkers: [{cpu: 0}, {cpu: 1}]\n"
	"poll_us: 20\nfdb:\n  ageing: 60\n  static:\n"
	"    - {mac: 52:54:00:12:34:56, port: vm1, vlan: 10}\nports:\n"
	"  - name: vm1\n    type: vhost-user\n    socket: /run/vm1.sock\n    trunk: 10,20-30\n"
	"    features: {packed: off, mq: off}\n"
	"  - {name: g, type: gen, size: '60,1514', vlan: 10, isolated: on, mtu: 1400}\n",
	"workers: 3\n", /* the rest by default */
};

static char *read_and_write(struct cycle_story *story, const char *text, enum cycle_end *end)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(text, strlen(text), CFG_HOST_ASK, &m);
	struct node *tree = cfg ? cfg_to_node(cfg) : NULL;
	char *written = tree ? node_to_yaml(tree) : NULL;

	*end = CYCLE_PASSED;
	if (!cfg)
		*end = cycle_refused(story, m.n ? m.list[0].text : "");
	else if (!written)
		*end = cycle_refused(story, "no memory to write it"); /* as the callers say it */
	mistakes_fini(&m);
	node_free(tree);
	cfg_free(cfg);
	return written;
}

/* What is written must be what the first run wrote, never a part of it. */
static enum cycle_end check_text(struct cycle_story *story, size_t i)
{
	static char expected[ARRAY_SIZE(texts)][2048];
	enum cycle_end end;
	char *written = read_and_write(story, texts[i], &end);

	if (written && !expected[i][0])
		snprintf(expected[i], sizeof(expected[i]), "%s", written);
	else if (written && strcmp(written, expected[i]) != 0)
		end = cycle_failed(story, "something is missing:\n%.500s", written);
	free(written);
	return end;
}

/* A mistake is one whatever else fails: what has it is never taken for a configuration. */
static enum cycle_end check_mistake(struct cycle_story *story)
{
	static const char wrong[] = "worker: 3\nports:\n  - {name: x, type: sinc}\n";
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(wrong, sizeof(wrong) - 1, CFG_HOST_ASK, &m);
	enum cycle_end end = CYCLE_PASSED;

	if (cfg || !m.n)
		end = cycle_failed(story, "a mistake is overlooked, or not said");
	else if (strlen(m.list[0].text) < 20)
		end = cycle_refused(story, m.list[0].text);
	mistakes_fini(&m);
	cfg_free(cfg);
	return end;
}

enum cycle_end cycle_config(struct cycle_story *story)
{
	enum cycle_end end = check_mistake(story);

	for (size_t i = 0; i < ARRAY_SIZE(texts) && end == CYCLE_PASSED; i++)
		end = check_text(story, i);
	return end;
}
