/* SPDX-License-Identifier: BSD-3-Clause */
/* UNIX stream sockets by path. */
#include "base/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/calls.h"

#define BACKLOG 16

int via_unix_check_path(const char *path, struct via_error *err)
{
	const size_t len = strlen(path), max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (len == 0)
		return via_fail(err, -EINVAL, "the path of a socket is empty");
	if (len > max)
		return via_fail(err, -ENAMETOOLONG,
				"a socket's path has at most %zu bytes, this one has %zu: '%s'",
				max, len, path);
	return 0;
}

static int address_of(const char *path, struct sockaddr_un *addr, struct via_error *err)
{
	int ret = via_unix_check_path(path, err);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (ret == 0)
		memcpy(addr->sun_path, path, strlen(path) + 1);
	return ret;
}

static int unix_socket(struct via_error *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? via_fail(err, -errno, "cannot make a socket: %s", strerror(errno)) : fd;
}

int via_unix_connect(const char *path, struct via_error *err)
{
	struct sockaddr_un addr;
	int fd, ret = address_of(path, &addr, err);

	if (ret < 0)
		return ret;
	fd = unix_socket(err);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = via_fail(err, -errno, "cannot connect to '%s': %s", path, strerror(errno));
		close(fd);
		return ret;
	}
	return fd;
}

/* Removes a socket that nobody answers on. A live one, or another kind of file, is left alone. */
static void remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = via_unix_connect(path, NULL);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(path);
}

int via_unix_listen(const char *path, struct via_error *err)
{
	struct sockaddr_un addr;
	int fd, ret = address_of(path, &addr, err);

	if (ret < 0)
		return ret;
	fd = unix_socket(err);
	if (fd < 0)
		return fd;
	remove_stale(path);
	/* fchmod() before bind() is what the new file's mode is made of: nobody slips in between. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		ret = via_fail(err, -errno, "cannot listen on '%s': %s%s", path, strerror(errno),
			       errno == EADDRINUSE ? " (another program answers there, or it is no "
						     "socket)"
						   : "");
		close(fd);
		return ret;
	}
	return fd;
}

int via_unix_accept(int fd)
{
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return peer < 0 ? -errno : peer;
}

const struct via_need via_unix_needs[] = {
	VIA_NEED("accept4", "front-ends and clients connect"),
	VIA_NEED("recvmsg", "messages with descriptors: vhost-user, control API, broker, netlink"),
	VIA_NEED("sendmsg", "answers to them, and messages of our own"),
	VIA_NEED("close", "descriptors go with who brought them"),
	VIA_NEEDS_END,
};
