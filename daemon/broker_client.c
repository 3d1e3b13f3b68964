/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data process's side of the broker: a struct via_opener whose every call is one request and one
 * reply. It waits for the reply; the broker does nothing that takes long.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/fdpass.h"

/* The reply to this very request: one that was given up may have been answered since. */
static ssize_t receive(struct broker_client *client, struct broker_reply *reply, int *fd)
{
	for (;;) {
		ssize_t got = fdpass_recv(client->sock, reply, sizeof(*reply), fd);

		if (got == (ssize_t)sizeof(*reply) && reply->serial == client->serial)
			return 0;
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		if (got != (ssize_t)sizeof(*reply))
			return got < 0 ? got : -EPIPE;
	}
}

/* Returns the reply's code; '*fd' is the descriptor that came with it, or -1. */
static int ask(struct broker_client *client, const struct broker_request *request,
	       struct broker_reply *reply, int *fd, struct via_error *err)
{
	struct broker_request numbered = *request;
	ssize_t ret;

	*fd = -1;
	numbered.serial = ++client->serial;
	ret = fdpass_send(client->sock, &numbered, sizeof(numbered), -1);
	if (ret == 0)
		ret = receive(client, reply, fd);
	if (ret == -EPIPE)
		return via_fail(err, -EPIPE, "the broker process is gone");
	if (ret < 0)
		return via_fail(err, (int)ret, "the broker cannot be asked: %s",
				strerror((int)-ret));
	reply->err.text[sizeof(reply->err.text) - 1] = '\0';
	reply->name[sizeof(reply->name) - 1] = '\0';
	if (reply->ret < 0)
		return via_fail(err, reply->ret, "%s", reply->err.text);
	return 0;
}

static int ask_for_fd(struct broker_client *client, const struct broker_request *request,
		      struct broker_reply *reply, struct via_error *err)
{
	int fd, ret = ask(client, request, reply, &fd, err);

	if (ret < 0) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (fd < 0)
		return via_fail(err, -EMFILE,
				"no descriptor came from the broker; too many are open (see "
				"'ulimit -n')");
	return fd;
}

static int set_text(struct broker_request *request, const char *text, struct via_error *err)
{
	if (strlen(text) >= sizeof(request->text))
		return via_fail(err, -ENAMETOOLONG, "'%.64s…' is too long", text);
	memcpy(request->text, text, strlen(text) + 1);
	return 0;
}

static int listen_unix(void *user, const char *path, uint32_t uid, uint32_t gid, uint32_t mode,
		       struct via_error *err)
{
	struct broker_request request = {
		.kind = BROKER_LISTEN_UNIX, .uid = uid, .gid = gid, .mode = mode
	};
	struct broker_reply reply;
	int ret = set_text(&request, path, err);

	return ret < 0 ? ret : ask_for_fd(user, &request, &reply, err);
}

static int connect_unix(void *user, const char *path, struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_CONNECT_UNIX };
	struct broker_reply reply;
	int ret = set_text(&request, path, err);

	return ret < 0 ? ret : ask_for_fd(user, &request, &reply, err);
}

static int account(void *user, const char *name, bool is_group, uint32_t *id, struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_ACCOUNT, .number = is_group };
	struct broker_reply reply;
	int fd, ret = set_text(&request, name, err);

	if (ret == 0)
		ret = ask(user, &request, &reply, &fd, err);
	if (ret == 0)
		*id = reply.id;
	return ret;
}

static void unlink_unix(void *user, const char *path)
{
	struct broker_request request = { .kind = BROKER_UNLINK_UNIX };
	struct broker_reply reply;
	int fd;

	if (set_text(&request, path, NULL) == 0)
		ask(user, &request, &reply, &fd, NULL);
}

static int tap(void *user, char *ifname, uint32_t queues, struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_TAP, .number = queues };
	struct broker_reply reply;
	int ret = set_text(&request, ifname, err);

	if (ret < 0)
		return ret;
	ret = ask_for_fd(user, &request, &reply, err);
	if (ret >= 0)
		memcpy(ifname, reply.name, IFNAMSIZ);
	return ret;
}

static int tap_setup(void *user, const char *ifname, uint32_t mtu, struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_TAP_SETUP, .number = mtu };
	struct broker_reply reply;
	int fd, ret = set_text(&request, ifname, err);

	return ret < 0 ? ret : ask(user, &request, &reply, &fd, err);
}

static int state_file(void *user, const char *name, uint64_t size, struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_STATE_FILE, .size = size };
	struct broker_reply reply;
	int ret = set_text(&request, name, err);

	return ret < 0 ? ret : ask_for_fd(user, &request, &reply, err);
}

static int link_events(void *user, struct via_error *err)
{
	const struct broker_request request = { .kind = BROKER_LINK_EVENTS };
	struct broker_reply reply;

	return ask_for_fd(user, &request, &reply, err);
}

static int shared_memory(void *user, uint64_t size, struct via_error *err)
{
	const struct broker_request request = { .kind = BROKER_SHARED_MEMORY, .size = size };
	struct broker_reply reply;

	return ask_for_fd(user, &request, &reply, err);
}

static int timer(void *user, struct via_error *err)
{
	const struct broker_request request = { .kind = BROKER_TIMER };
	struct broker_reply reply;

	return ask_for_fd(user, &request, &reply, err);
}

void broker_client_init(struct broker_client *client, int sock)
{
	*client = (struct broker_client){
		.sock = sock,
		.opener = { .listen_unix = listen_unix,
			    .connect_unix = connect_unix,
			    .account = account,
			    .unlink_unix = unlink_unix,
			    .tap = tap,
			    .tap_setup = tap_setup,
			    .state_file = state_file,
			    .link_events = link_events,
			    .shared_memory = shared_memory,
			    .timer = timer,
			    .user = client },
	};
}

void broker_forget(struct broker_client *client, const char *name)
{
	struct broker_request request = { .kind = BROKER_FORGET_STATE };
	struct broker_reply reply;
	int fd;

	if (set_text(&request, name, NULL) == 0)
		ask(client, &request, &reply, &fd, NULL);
}

void broker_say_ready(struct broker_client *client, const char *summary)
{
	struct broker_request request = { .kind = BROKER_READY };
	struct broker_reply reply;
	int fd;

	snprintf(request.text, sizeof(request.text), "%s", summary);
	ask(client, &request, &reply, &fd, NULL);
}

char *broker_read_config(struct broker_client *client, size_t *size, struct mistakes *m,
			 struct via_error *err)
{
	struct broker_request request = { .kind = BROKER_READ_CONFIG };
	struct broker_reply reply;
	int fd = ask_for_fd(client, &request, &reply, err);
	char *text;

	if (fd < 0)
		return NULL;
	text = daemon_read_fd(fd, size, err);
	close(fd);
	if (text && reply.err.text[0])
		mistakes_add(m, reply.id, "%s", reply.err.text);
	return text;
}
