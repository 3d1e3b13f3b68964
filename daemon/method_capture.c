/* SPDX-License-Identifier: BSD-3-Clause */
/* Capturing into a descriptor that the client passes; it ends at the latest with the client. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/discard.h"
#include "base/tell.h"
#include "daemon/methods.h"

static bool stop(struct daemon *d, uint64_t *frames, uint64_t *lost)
{
	if (d->capture_fd < 0)
		return false;
	sw_capture_stop(d->sw, frames, lost);
	via_discard(NULL, d->capture_fd);
	d->capture_fd = -1;
	d->capture_owner = NULL;
	return true;
}

void method_port_closing(struct daemon *d, int index)
{
	uint64_t frames, lost;

	if (index == d->capture_port)
		stop(d, &frames, &lost);
}

void method_client_gone(struct daemon *d, void *client)
{
	uint64_t frames, lost;

	if (d->capture_owner == client)
		stop(d, &frames, &lost);
}

/* Only what can tell that it is full, so that a reader who stops never stops a worker. */
static int prepare(int fd, struct via_error *err)
{
	const int type = via_fd_type(fd);

	if (type != S_IFIFO && type != S_IFSOCK)
		return via_fail(err, -EINVAL,
				"capture.start: the descriptor must be a pipe or socket");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return via_fail(err, -errno, "capture.start: %s", strerror(errno));
	return 0;
}

void method_capture_start(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	const char *name = rpc_text(params, "port", "all");
	json_int_t snaplen = rpc_number(params, "snaplen", 65535);
	bool all = strcmp(name, "all") == 0;
	int index = all ? -1 : sw_port_find(d->sw, name), fd = rpc_take_fd(call);
	struct via_error err;
	int ret = 0;

	if (!all && index < 0)
		ret = via_fail(&err, -ENOENT, "there is no port '%s'", name);
	else if (d->capture_fd >= 0)
		ret = via_fail(&err, -EBUSY, "there is a capture already; only one runs at a time");
	else if (fd < 0)
		ret = via_fail(&err, -EBADF,
			       "capture.start: no descriptor to write to came with the request");
	else if (snaplen < 14 || snaplen > 65589)
		ret = via_fail(&err, -EINVAL,
			       "capture.start: snaplen must be from 14 to 65589 bytes");
	else
		ret = prepare(fd, &err);
	if (ret == 0)
		ret = sw_capture_start(d->sw, index, fd, (uint32_t)snaplen, &err);
	if (ret < 0) {
		if (fd >= 0)
			via_discard(NULL, fd);
		rpc_error(call, RPC_FAILED, "%s", err.text);
		return;
	}
	d->capture_fd = fd;
	d->capture_port = index;
	d->capture_owner = rpc_client_of(call);
	rpc_result(call, json_object());
}

void method_capture_stop(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	uint64_t frames = 0, lost = 0;

	(void)params;
	if (stop(d, &frames, &lost))
		rpc_result(call, json_pack("{s:I, s:I}", "frames", (json_int_t)frames, "lost",
					   (json_int_t)lost));
	else
		rpc_error(call, RPC_FAILED, "there is no capture");
}
