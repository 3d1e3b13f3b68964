/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the data process may ask of the broker, and what it gets.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "daemon/broker_inside.h"
#include "daemon/fdpass.h"
#include "daemon/kept.h"
#include "daemon/notify.h"

/* ---- interfaces ---- */

static bool taps_have(const struct broker_taps *taps, unsigned int index)
{
	for (uint32_t i = 0; i < taps->nr; i++)
		if (taps->index[i] == index)
			return true;
	return false;
}

/* Those that are gone make room. */
static void taps_forget_gone(struct broker_taps *taps)
{
	char ifname[IFNAMSIZ];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < taps->nr; i++)
		if (if_indextoname(taps->index[i], ifname))
			taps->index[kept++] = taps->index[i];
	taps->nr = kept;
}

/* Without memory it cannot be set up. */
static void taps_add(struct broker_taps *taps, unsigned int index)
{
	unsigned int *larger;

	if (index == 0 || taps_have(taps, index))
		return;
	taps_forget_gone(taps);
	larger = realloc(taps->index, (taps->nr + 1) * sizeof(*larger));
	if (!larger)
		return;
	taps->index = larger;
	larger[taps->nr++] = index;
}

/* ---- requests ---- */

typedef int broker_fn(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd);

/* What a taken-over data process asks for is nothing that the operator has named. */
static int check_socket(struct broker *broker, const char *path, struct via_error *err)
{
	if (path[0] != '/' || strlen(path) >= DAEMON_PATH_SIZE)
		return via_fail(err, -EINVAL, "'%.64s' is no path of a socket", path);
	if (broker_is_own(&broker->files, path))
		return via_fail(err, -EPERM, "the socket '%s' is no port's", path);
	if (grants_has_socket(&broker->setup->grants, path))
		return 0;
	return via_fail(
		err, -EPERM,
		"the socket '%s' is not in the configuration file, nor in a directory of its "
		"socket_dirs, nor beside the control socket; add it there and reload",
		path);
}

static int do_listen(struct broker *broker, struct broker_request *request,
		     struct broker_reply *reply, bool *keep_fd)
{
	int ret = check_socket(broker, request->text, &reply->err);

	if (ret == 0 && broker->files.nr_sockets > SW_MAX_PORTS)
		ret = via_fail(&reply->err, -EMFILE, "more sockets than there can be ports");
	*keep_fd = true;
	return ret < 0 ? ret
		       : broker_listen(&broker->files, request->text, request->uid, request->gid,
				       request->mode == UINT32_MAX ? UINT32_MAX
								   : request->mode & 0777,
				       &reply->err);
}

static int do_connect(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd)
{
	int ret = check_socket(broker, request->text, &reply->err);

	(void)keep_fd;
	return ret < 0 ? ret
		       : via_opener_direct.connect_unix(via_opener_direct.user, request->text,
							&reply->err);
}

static int do_unlink(struct broker *broker, struct broker_request *request,
		     struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	if (!broker_is_own(&broker->files, request->text))
		broker_unlink(&broker->files, request->text);
	return 0;
}

static int take_ifname(const struct broker_request *request, char ifname[IFNAMSIZ],
		       struct via_error *err)
{
	const size_t len = strlen(request->text);

	if (len >= IFNAMSIZ)
		return via_fail(err, -ENAMETOOLONG,
				"'%.32s' is no name of an interface: it can have %d bytes",
				request->text, IFNAMSIZ - 1);
	memcpy(ifname, request->text, len + 1);
	return 0;
}

/*
 * An interface that exists and that the file does not name is somebody's: it is used with no more rights
 * than our user has, which is what 'ip tuntap add … user' gives.
 */
static bool is_ours(const struct broker *broker, const char *ifname)
{
	const unsigned int index = if_nametoindex(ifname);

	if (index == 0)
		return errno == ENODEV;
	return taps_have(&broker->taps, index) ||
	       grants_has_interface(&broker->setup->grants, ifname);
}

static int do_tap(struct broker *broker, struct broker_request *request, struct broker_reply *reply,
		  bool *keep_fd)
{
	int fd, ret = take_ifname(request, reply->name, &reply->err);
	bool ours;

	(void)keep_fd;
	if (ret < 0)
		return ret;
	ours = is_ours(broker, reply->name);
	if (ours)
		privileges_use(PRIVILEGES_INTERFACES | PRIVILEGES_PATHS);
	fd = via_opener_direct.tap(via_opener_direct.user, reply->name, request->number,
				   &reply->err);
	if (fd >= 0 && ours)
		taps_add(&broker->taps, if_nametoindex(reply->name));
	return fd;
}

static int do_tap_setup(struct broker *broker, struct broker_request *request,
			struct broker_reply *reply, bool *keep_fd)
{
	int ret = take_ifname(request, reply->name, &reply->err);

	(void)keep_fd;
	if (ret == 0 && taps_have(&broker->taps, if_nametoindex(reply->name)))
		privileges_use(PRIVILEGES_INTERFACES);
	if (ret == 0)
		ret = via_opener_direct.tap_setup(via_opener_direct.user, reply->name,
						  request->number, &reply->err);
	return ret;
}

static int do_account(struct broker *broker, struct broker_request *request,
		      struct broker_reply *reply, bool *keep_fd)
{
	(void)broker;
	(void)keep_fd;
	return via_opener_direct.account(via_opener_direct.user, request->text,
					 request->number == 1, &reply->id, &reply->err);
}

static int do_state_file(struct broker *broker, struct broker_request *request,
			 struct broker_reply *reply, bool *keep_fd)
{
	(void)keep_fd;
	return broker_state_file(&broker->files, request->text, request->size, &reply->err);
}

static int do_forget_state(struct broker *broker, struct broker_request *request,
			   struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	broker_forget_state(&broker->files, request->text);
	return 0;
}

/* Takes note of what the file names by now. What is wrong with it stops nobody here: the data process,
 * which gets the same text, refuses it. */
static int take_config(struct broker *broker, const char *text, size_t size,
		       struct broker_reply *reply)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(text, size, CFG_HOST_ASK, &m);
	int ret = cfg ? grants_add(&broker->setup->grants, cfg) : 0;

	if (m.n) {
		reply->id = m.list[0].line;
		via_fail(&reply->err, 0, "%s", m.list[0].text);
	}
	mistakes_fini(&m);
	cfg_free(cfg);
	malloc_trim(0);
	return ret;
}

static int do_read_config(struct broker *broker, struct broker_request *request,
			  struct broker_reply *reply, bool *keep_fd)
{
	int ret, fd = broker_config_file(&broker->files, &reply->err);
	char *text = NULL;
	size_t size;

	(void)request;
	(void)keep_fd;
	if (fd < 0)
		return fd;
	text = daemon_read_fd(fd, &size, &reply->err);
	close(fd);
	if (!text)
		return -EIO;
	ret = take_config(broker, text, size, reply);
	fd = ret < 0 ? via_fail(&reply->err, ret, "no memory to take note of the file")
		     : broker_text(text, size, &reply->err);
	free(text);
	return fd;
}

static int do_link_events(struct broker *broker, struct broker_request *request,
			  struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)request, (void)keep_fd;
	return via_opener_direct.link_events(via_opener_direct.user, &reply->err);
}

static int do_shared_memory(struct broker *broker, struct broker_request *request,
			    struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)keep_fd;
	if (request->size == 0 || request->size > BROKER_MEMORY_MAX)
		return via_fail(&reply->err, -EINVAL, "no port shares %llu bytes with its peer",
				(unsigned long long)request->size);
	return via_opener_direct.shared_memory(via_opener_direct.user, request->size, &reply->err);
}

static int do_timer(struct broker *broker, struct broker_request *request,
		    struct broker_reply *reply, bool *keep_fd)
{
	(void)broker, (void)request, (void)keep_fd;
	return via_opener_direct.timer(via_opener_direct.user, &reply->err);
}

static int do_ready(struct broker *broker, struct broker_request *request,
		    struct broker_reply *reply, bool *keep_fd)
{
	(void)reply;
	(void)keep_fd;
	broker->ready = true;
	via_log(VIA_LOG_INFO, "ready: %s", request->text);
	notify("READY=1\n");
	return 0;
}

static const struct {
	broker_fn *serve;
	bool gives_fd;     /* what 'serve' returns is a descriptor, else 0 */
	unsigned int uses; /* privileges */
} kinds[BROKER_NR_KINDS] = {
	[BROKER_LISTEN_UNIX] = { do_listen, true, PRIVILEGES_PATHS | PRIVILEGES_OWNERS },
	[BROKER_CONNECT_UNIX] = { do_connect, true, PRIVILEGES_PATHS },
	[BROKER_ACCOUNT] = { do_account, false, PRIVILEGES_NONE },
	[BROKER_UNLINK_UNIX] = { do_unlink, false, PRIVILEGES_PATHS | PRIVILEGES_OWNERS },
	[BROKER_TAP] = { do_tap, true, PRIVILEGES_NONE }, /* it depends */
	[BROKER_TAP_SETUP] = { do_tap_setup, false, PRIVILEGES_NONE },
	[BROKER_STATE_FILE] = { do_state_file, true, PRIVILEGES_PATHS },
	[BROKER_FORGET_STATE] = { do_forget_state, false, PRIVILEGES_PATHS },
	[BROKER_READ_CONFIG] = { do_read_config, true, PRIVILEGES_PATHS },
	[BROKER_LINK_EVENTS] = { do_link_events, true, PRIVILEGES_NONE },
	[BROKER_SHARED_MEMORY] = { do_shared_memory, true, PRIVILEGES_NONE },
	[BROKER_TIMER] = { do_timer, true, PRIVILEGES_NONE },
	[BROKER_READY] = { do_ready, false, PRIVILEGES_NONE },
};

/* The data process waits for its answer: where a descriptor cannot be passed it is told so, and where
 * nothing can, another one must take its place. */
static void send_reply(struct broker *broker, struct broker_reply *reply, int fd)
{
	int ret = fdpass_send(broker->channel, reply, sizeof(*reply), fd);

	if (ret < 0) {
		reply->ret = via_fail(&reply->err, ret, "the broker's answer got lost: %s",
				      strerror(-ret));
		ret = fdpass_send(broker->channel, reply, sizeof(*reply), -1);
	}
	if (ret < 0 && broker->data) {
		via_log(VIA_LOG_ERROR, "the data process does not take an answer: %s",
			strerror(-ret));
		kill(broker->data, SIGKILL);
	}
}

static void serve_request(struct broker *broker, struct broker_request *request)
{
	struct broker_reply reply = { .serial = request->serial };
	bool keep_fd = false;
	int fd = -1;

	request->text[sizeof(request->text) - 1] = '\0';
	if (request->kind >= BROKER_NR_KINDS || !kinds[request->kind].serve) {
		reply.ret = via_fail(&reply.err, -EINVAL, "the broker knows no request %u",
				     request->kind);
	} else {
		privileges_use(kinds[request->kind].uses);
		reply.ret = kinds[request->kind].serve(broker, request, &reply, &keep_fd);
		privileges_use(PRIVILEGES_NONE);
		if (kinds[request->kind].gives_fd && reply.ret >= 0) {
			fd = reply.ret;
			reply.ret = 0;
		}
	}
	send_reply(broker, &reply, fd);
	if (fd >= 0 && !keep_fd)
		close(fd);
}

void broker_serve(struct broker *broker)
{
	struct broker_request request;
	int fd;
	ssize_t got = fdpass_recv(broker->channel, &request, sizeof(request), &fd);

	if (fd >= 0)
		close(fd); /* nobody asked for one */
	if (got == (ssize_t)sizeof(request)) {
		serve_request(broker, &request);
		return;
	}
	if (got > 0)
		via_log(VIA_LOG_ERROR, "a request of %zd bytes from the data process", got);
	close(broker->channel); /* at its end SIGCHLD tells the rest */
	broker->channel = -1;
}
