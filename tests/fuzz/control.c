/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control API: lines of any text on a control socket, with a switch of sinks behind it. Each answer is one
 * line of JSON-RPC; when the client is gone the daemon goes back to where it was, with the descriptors that it
 * had. (The switch has a worker thread, which sleeps.)
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/change.h"
#include "daemon/methods.h"
#include "tests/fuzz/pool.h"
#include "tests/fuzz/words.h"

#define MAX_LINES 12

static const char *const words[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"",
	"\",\"params\":{",
	"}}\n",
	"\n",
	"\":\"",
	"\",\"",
	"\":",
	",\"",
	"status",
	"stats",
	"port.list",
	"port.show",
	"port.add",
	"port.del",
	"port.set",
	"vlan.show",
	"fdb.show",
	"fdb.add",
	"fdb.del",
	"fdb.flush",
	"capture.start",
	"capture.stop",
	"set",
	"reload",
	"save",
	"help",
	"poll_us",
	"name",
	"type",
	"sink",
	"vhost-user",
	"socket",
	"/run/a.sock",
	"port",
	"mac",
	"vlan",
	"trunk",
	"isolated",
	"lossless",
	"mtu",
	"limit",
	"snaplen",
	"52:54:00:00:00:01",
	"a",
	"b",
	"c",
	"10",
	"0",
	"4095",
	"true",
	"null",
	"[",
	"]",
	"{",
	"}",
	"\"",
	"20-30",
	"on",
	"\\u0000",
	"-1",
	"1e9",
	"client",
	"mode",
	"queue_pairs",
};

static struct daemon d;

/* ---- nothing of the system is touched ---- */

static int refuse_path(void *user, const char *path, struct via_error *err)
{
	(void)user;
	return via_fail(err, -ECONNREFUSED, "'%s': not here", path);
}

static int refuse_listen(void *user, const char *path, uint32_t uid, uint32_t gid, uint32_t mode,
			 struct via_error *err)
{
	(void)uid;
	(void)gid;
	(void)mode;
	return refuse_path(user, path, err);
}

static int refuse_account(void *user, const char *name, bool is_group, uint32_t *id,
			  struct via_error *err)
{
	(void)is_group;
	(void)id;
	return refuse_path(user, name, err);
}

static int refuse_tap(void *user, char *ifname, uint32_t number, struct via_error *err)
{
	(void)number;
	return refuse_path(user, ifname, err);
}

static int refuse_tap_setup(void *user, const char *ifname, uint32_t mtu, struct via_error *err)
{
	(void)mtu;
	return refuse_path(user, ifname, err);
}

static int refuse_file(void *user, const char *name, uint64_t size, struct via_error *err)
{
	(void)size;
	return refuse_path(user, name, err);
}

static void no_unlink(void *user, const char *path)
{
	(void)user;
	(void)path;
}

static const struct via_opener nowhere = {
	.listen_unix = refuse_listen,
	.connect_unix = refuse_path,
	.account = refuse_account,
	.unlink_unix = no_unlink,
	.tap = refuse_tap,
	.tap_setup = refuse_tap_setup,
	.state_file = refuse_file,
};

/* ---- the daemon ---- */

static void on_change_ended(struct daemon *daemon)
{
	rpc_change_ended(daemon->rpc);
}

static void on_end(struct daemon *daemon)
{
	(void)daemon;
}

static struct cfg *first_config(void)
{
	static const char yaml[] =
		"control: /run/x.sock\npoll_us: 0\nports:\n"
		"  - {name: a, type: sink}\n  - {name: b, type: sink, vlan: 10}\n";
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(yaml, sizeof(yaml) - 1, CFG_HOST_KNOWN, &m);

	INSIST(cfg);
	return cfg;
}

static void set_up_once(void)
{
	struct sw_config config = { .nr_workers = 1 };

	if (d.loop)
		return;
	d = (struct daemon){
		.capture_fd = -1,
		.uid = geteuid(),
		.opener = &nowhere,
		.change_ended = on_change_ended,
		.end = on_end,
		.cfg = first_config(),
	};
	INSIST(via_loop_create(&d.loop, NULL) == 0);
	config.loop = d.loop;
	INSIST(sw_create(&d.sw, &config, NULL) == 0);
	INSIST(change_open_all(&d) == 0);
	INSIST(rpc_create(&d.rpc, &d, -1, method_client_gone, NULL) == 0);
	pool_open();
}

/* Runs what is due, and waits for a change that waits for the worker. */
static void turn(void)
{
	struct pollfd p = { .fd = via_loop_fd(d.loop), .events = POLLIN };

	for (int i = 0; i < 100000 && (d.change || poll(&p, 1, 0) == 1); i++)
		via_loop_turn(d.loop, d.change ? 10 : 0);
	INSIST(!d.change);
}

static void on_back(void *user, const struct node *report)
{
	(void)user;
	(void)report;
}

static void go_back(void)
{
	struct cfg *wanted = first_config();
	struct change *change = change_begin(&d, on_back, NULL);

	INSIST(change);
	d.ending = false;
	change_collect(change, wanted);
	change_run(change);
	turn();
	cfg_free(wanted);
	while (d.cfg->nr_statics > 0) {
		const struct cfg_static entry = d.cfg->statics[0];

		INSIST(change_del_static(&d, entry.mac, entry.vlan, NULL) == 0);
	}
	INSIST(change_set_poll_us(&d, 0, NULL) == 0);
	INSIST(d.cfg->nr_ports == 2);
	turn();
}

/* ---- a client ---- */

static void check_answer(const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, 0, NULL);

	INSIST(answer && json_is_object(answer));
	INSIST(json_object_get(answer, "result") || json_object_get(answer, "error"));
	json_decref(answer);
}

static void read_answers(int sock)
{
	static char text[1 << 20];
	static size_t used;
	size_t begin = 0;
	ssize_t n;

	used = 0;
	for (;;) {
		n = recv(sock, text + used, sizeof(text) - used, MSG_DONTWAIT);
		if (n <= 0)
			break;
		used += (size_t)n;
		turn();
	}
	for (size_t i = 0; i < used; i++) {
		if (text[i] != '\n')
			continue;
		check_answer(text + begin, i - begin);
		begin = i + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[8192];
	struct input in = { data, data + size };
	int pair[2], next_fd;

	set_up_once();
	next_fd = pool_next_fd();
	INSIST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	INSIST(rpc_add_client(d.rpc, pair[0]) == 0);
	for (int i = 0; i < MAX_LINES && in_more(&in); i++) {
		const uint8_t how = in_u8(&in);
		const int fd = pool_fd(how % POOL_NR);
		size_t len = words_write(&in, words, ARRAY_SIZE(words), text, sizeof(text));

		pool_send(pair[1], text, len, &fd, how & 0x40 ? 1 : 0);
		turn();
		read_answers(pair[1]);
	}
	close(pair[1]);
	turn();
	go_back();
	INSIST(pool_next_fd() == next_fd);
	return 0;
}
