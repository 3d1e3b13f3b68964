/* SPDX-License-Identifier: BSD-3-Clause */
/* A blocking JSON-RPC client over a UNIX socket. */
#include "daemon/rpc_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/fdpass.h"

#define ANSWER_MAX (64 * 1024 * 1024)

static int explain(const char *path, int error, struct via_error *err)
{
	switch (error) {
	case ENOENT:
		return via_fail(
			err, -error,
			"cannot reach viaductd at '%s': there is no such socket; is it running? "
			"start it with 'viaductd --config FILE', or name its socket with -s",
			path);
	case ECONNREFUSED:
		return via_fail(
			err, -error,
			"cannot reach viaductd at '%s': nobody answers, the socket is of an "
			"earlier run; start it with 'viaductd --config FILE'",
			path);
	case EACCES:
	case EPERM:
		return via_fail(
			err, -error,
			"cannot reach viaductd at '%s': no permission; run this as the user that "
			"runs viaductd, or as root",
			path);
	default:
		return via_fail(err, -error, "cannot reach viaductd at '%s': %s", path,
				strerror(error));
	}
}

int rpc_connect(struct rpc_caller *caller, const char *path, struct via_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	*caller = (struct rpc_caller){ .sock = -1, .next_id = 1 };
	if (len >= sizeof(addr.sun_path))
		return via_fail(
			err, -ENAMETOOLONG,
			"the path of the control socket is %zu bytes long; the path of a UNIX "
			"socket has at most %d",
			len, DAEMON_PATH_SIZE - 1);
	memcpy(addr.sun_path, path, len);
	caller->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (caller->sock < 0)
		return via_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(caller->sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int ret = explain(path, errno, err);

		rpc_disconnect(caller);
		return ret;
	}
	return 0;
}

void rpc_disconnect(struct rpc_caller *caller)
{
	if (caller->sock >= 0)
		close(caller->sock);
	free(caller->data);
	*caller = (struct rpc_caller){ .sock = -1 };
}

/* The descriptor travels with the first byte; the rest may take several writes. */
static int send_line(struct rpc_caller *caller, const char *line, int fd)
{
	size_t size = strlen(line), sent = 1;
	int ret = fdpass_send(caller->sock, line, 1, fd);

	while (ret == 0 && sent < size) {
		ssize_t n = send(caller->sock, line + sent, size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			ret = -errno;
		else if (n > 0)
			sent += (size_t)n;
	}
	return ret;
}

/* Returns 0 with '*end' behind the first line, or a negative errno. */
static int read_line(struct rpc_caller *caller, char **end)
{
	size_t looked = 0;

	for (;;) {
		ssize_t got;

		*end = looked < caller->used
			       ? memchr(caller->data + looked, '\n', caller->used - looked)
			       : NULL;
		if (*end)
			return 0;
		looked = caller->used;
		if (caller->room - caller->used < 4096) {
			size_t room = caller->room ? caller->room * 2 : 16384;
			char *larger = room <= ANSWER_MAX ? realloc(caller->data, room) : NULL;

			if (!larger)
				return -ENOMEM;
			caller->data = larger;
			caller->room = room;
		}
		got = recv(caller->sock, caller->data + caller->used, caller->room - caller->used,
			   0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		caller->used += (size_t)got;
	}
}

static int read_answer(struct rpc_caller *caller, json_t **answer, struct via_error *err)
{
	json_error_t error;
	char *end;
	int ret = read_line(caller, &end);
	size_t size;

	if (ret < 0)
		return via_fail(err, ret, "viaductd went away before it answered");
	size = (size_t)(end - caller->data);
	*answer = json_loadb(caller->data, size, 0, &error);
	caller->used -= size + 1;
	memmove(caller->data, end + 1, caller->used);
	if (!json_is_object(*answer)) {
		json_decref(*answer);
		return via_fail(err, -EPROTO, "what answers there is no viaductd");
	}
	return 0;
}

static int take_result(json_t *answer, json_t **result, struct via_error *err)
{
	json_t *error = json_object_get(answer, "error");
	const char *text = json_string_value(json_object_get(error, "message"));

	*result = json_incref(error ? error : json_object_get(answer, "result"));
	if (error)
		return via_fail(err, -EREMOTEIO, "%s", text ? text : "an error without a message");
	return *result ? 0 : via_fail(err, -EPROTO, "what answers there is no viaductd");
}

int rpc_call_method(struct rpc_caller *caller, const char *method, json_t *params, int fd,
		    json_t **result, struct via_error *err)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id",
				    caller->next_id++, "method", method, "params", params);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char *line = NULL;
	json_t *answer;
	int ret = -ENOMEM;

	json_decref(request);
	*result = NULL;
	if (text && asprintf(&line, "%s\n", text) >= 0)
		ret = send_line(caller, line, fd);
	free(text);
	free(line);
	if (ret < 0 && ret != -EPIPE)
		return via_fail(err, ret, "cannot ask viaductd: %s", strerror(-ret));
	/* Who closes at once may have said why: too many clients. Nobody waits for the rest of the request. */
	if (ret < 0)
		shutdown(caller->sock, SHUT_WR);
	ret = read_answer(caller, &answer, err);
	if (ret < 0)
		return ret;
	ret = take_result(answer, result, err);
	json_decref(answer);
	return ret;
}
