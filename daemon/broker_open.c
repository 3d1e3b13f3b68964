/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the broker opens: listening sockets, state files, the configuration. How a socket or a TAP is
 * opened is via_opener_direct's business; here is what it may be and who keeps it.
 *
 * A listening socket stays open here as well, under its path, until the data process takes it back:
 * while a crashed data process restarts, front-ends wait in the backlog instead of being refused.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/broker.h"

#define STATE_FILE_MAX    (128 * 1024) /* bytes; of 128 queue pairs it has a third */
#define CLAIM_PATIENCE_MS 1000

static void directory_of(const char *path, char dir[DAEMON_PATH_SIZE])
{
	char *slash;

	snprintf(dir, DAEMON_PATH_SIZE, "%s", path);
	slash = strrchr(dir, '/');
	if (slash == dir)
		dir[1] = '\0';
	else if (slash)
		*slash = '\0';
}

/* "user 'alice'", for sentences about permissions. */
static const char *who(char text[64])
{
	const struct passwd *pw = getpwuid(geteuid());

	if (pw)
		snprintf(text, 64, "user '%.32s'", pw->pw_name);
	else
		snprintf(text, 64, "user %u", geteuid());
	return text;
}

/* Makes the last component of 'dir' if it is missing. */
static int make_directory(const char *dir, const char *what, struct via_error *err)
{
	char user[64];
	int error;

	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return 0;
	error = errno; /* before who() changes it */
	if (error == ENOENT)
		return via_fail(
			err, -ENOENT,
			"%s: the directory '%s' and the one above it do not exist; make them first",
			what, dir);
	if (error == EACCES || error == EPERM || error == EROFS)
		return via_fail(
			err, -error,
			"%s: the directory '%s' does not exist and %s may not make it; make it "
			"first, or choose another place",
			what, dir, who(user));
	return via_fail(err, -error, "%s: cannot make the directory '%s': %s", what, dir,
			strerror(error));
}

/*
 * A switch that was killed may be ending still: its data process outlives its broker for a moment, and
 * whoever restarts it does not know. So at the start a socket in use is tried for a while.
 */
static int listen_patiently(const struct broker_files *files, const char *path, uint32_t uid,
			    uint32_t gid, uint32_t mode, struct via_error *err)
{
	const struct via_opener *direct = &via_opener_direct;
	const struct timespec moment = { .tv_nsec = 20000000 };
	int ret;

	while ((ret = direct->listen_unix(direct->user, path, uid, gid, mode, err)) ==
		       -EADDRINUSE &&
	       via_clock_us() < files->patient_until_us)
		nanosleep(&moment, NULL);
	return ret;
}

static int listen_at(const struct broker_files *files, const char *path, uint32_t uid, uint32_t gid,
		     uint32_t mode, struct via_error *err)
{
	char dir[DAEMON_PATH_SIZE], what[DAEMON_PATH_SIZE + 24];
	int ret;

	directory_of(path, dir);
	snprintf(what, sizeof(what), "cannot listen on '%s'", path);
	ret = make_directory(dir, what, err);
	if (ret < 0)
		return ret;
	return listen_patiently(files, path, uid, gid, mode, err);
}

static struct broker_socket *find_socket(struct broker_files *files, const char *path)
{
	for (uint32_t i = 0; i < files->nr_sockets; i++)
		if (strcmp(files->sockets[i].path, path) == 0)
			return &files->sockets[i];
	return NULL;
}

bool broker_is_own(struct broker_files *files, const char *path)
{
	const struct broker_socket *socket = find_socket(files, path);

	return socket && socket->is_own;
}

static bool is_ours(const struct broker_socket *socket)
{
	struct stat st;

	return lstat(socket->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == socket->dev &&
	       st.st_ino == socket->ino;
}

/* Makes room for one more. */
static int add_socket(struct broker_files *files, struct via_error *err)
{
	struct broker_socket *sockets =
		realloc(files->sockets, (files->nr_sockets + 1) * sizeof(*sockets));

	if (!sockets)
		return via_fail(err, -ENOMEM, "no memory for a socket");
	files->sockets = sockets;
	return 0;
}

int broker_listen(struct broker_files *files, const char *path, uint32_t uid, uint32_t gid,
		  uint32_t mode, struct via_error *err)
{
	struct broker_socket *socket = find_socket(files, path);
	struct stat st;
	int fd, ret;

	if (socket && is_ours(socket))
		return socket->fd;
	if (socket)
		broker_unlink(files, path); /* somebody removed it: begin anew */
	fd = listen_at(files, path, uid, gid, mode, err);
	if (fd < 0)
		return fd;
	ret = add_socket(files, err);
	if (ret == 0 && lstat(path, &st) < 0)
		ret = via_fail(err, -errno, "cannot look at '%s': %s", path, strerror(errno));
	if (ret < 0) {
		unlink(path);
		close(fd);
		return ret;
	}
	socket = &files->sockets[files->nr_sockets++];
	*socket = (struct broker_socket){ .fd = fd, .dev = st.st_dev, .ino = st.st_ino };
	snprintf(socket->path, sizeof(socket->path), "%s", path);
	return fd;
}

void broker_unlink(struct broker_files *files, const char *path)
{
	struct broker_socket *socket = find_socket(files, path);

	if (!socket)
		return;
	if (is_ours(socket))
		unlink(socket->path);
	close(socket->fd);
	*socket = files->sockets[--files->nr_sockets];
}

void broker_unlink_all(struct broker_files *files)
{
	while (files->nr_sockets) {
		char path[DAEMON_PATH_SIZE];

		memcpy(path, files->sockets[0].path, sizeof(path));
		broker_unlink(files, path);
	}
	free(files->sockets);
	files->sockets = NULL;
}

/* ---- files ---- */

static bool is_state_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < 64 && isalnum((unsigned char)name[0]) &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
		       len;
}

static int state_path(const struct broker_files *files, const char *name, char path[512],
		      struct via_error *err)
{
	if (!is_state_name(name))
		return via_fail(err, -EINVAL, "no state file can be called '%.64s'", name);
	snprintf(path, 512, "%s/%s.state", files->run_dir, name);
	return 0;
}

/* What another shape of the same port left behind is of no use: it begins anew, with zeros. */
static int set_size(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_size != (off_t)size && ftruncate(fd, 0) < 0)
		return -1;
	/* Reserved, not only sized: a full tmpfs would otherwise show as a fault at a store. */
	if (ftruncate(fd, (off_t)size) < 0 ||
	    (fallocate(fd, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP))
		return -1;
	return 0;
}

/*
 * The lock lasts as long as the data process has the file open or mapped. One that was just killed may
 * take a moment to be gone, so its successor waits for it; a living one is another switch.
 */
static int claim(int fd, const char *path, struct via_error *err)
{
	const struct timespec wait = { .tv_nsec = 10 * 1000000 };
	int error = 0;

	for (int ms = 0; ms < CLAIM_PATIENCE_MS; ms += 10) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		error = errno;
		if (error != EWOULDBLOCK && error != EINTR)
			break;
		nanosleep(&wait, NULL);
	}
	if (error == EWOULDBLOCK)
		return via_fail(
			err, -EBUSY,
			"another viaductd keeps its ring positions in '%s'; give one of the "
			"two another run_dir, or the port another name",
			path);
	return via_fail(err, -error, "cannot lock '%s': %s", path, strerror(error));
}

/* As many as there can be ports are made, lest who has taken over the data process fills the file system. */
static int open_state(struct broker_files *files, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (files->nr_states >= SW_MAX_PORTS) {
		errno = ENOSPC;
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	files->nr_states += fd >= 0;
	return fd;
}

int broker_state_file(struct broker_files *files, const char *name, uint64_t size,
		      struct via_error *err)
{
	char path[512];
	int fd, ret = state_path(files, name, path, err);

	if (ret == 0 && (size == 0 || size > STATE_FILE_MAX))
		ret = via_fail(err, -EINVAL, "a state file cannot have %llu bytes",
			       (unsigned long long)size);
	if (ret == 0)
		ret = make_directory(files->run_dir, "run_dir", err);
	if (ret < 0)
		return ret;
	fd = open_state(files, path);
	if (fd < 0)
		return via_fail(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	ret = claim(fd, path, err);
	if (ret == 0 && set_size(fd, size) < 0)
		ret = via_fail(err, -errno, "cannot reserve %llu bytes for '%s': %s",
			       (unsigned long long)size, path, strerror(errno));
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

void broker_forget_state(struct broker_files *files, const char *name)
{
	char path[512];

	if (state_path(files, name, path, NULL) == 0 && unlink(path) == 0 && files->nr_states)
		files->nr_states--;
}

int broker_text(const char *text, size_t size, struct via_error *err)
{
	int ret, fd = memfd_create("viaduct-text", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	ret = via_fail(err, -errno, "no memory for %zu bytes: %s", size, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

int broker_config_file(const struct broker_files *files, struct via_error *err)
{
	struct stat st;
	int fd;

	if (!files->config_path)
		return via_fail(
			err, -ENOENT,
			"viaductd was started without --config, so there is no file to read");
	/* O_NONBLOCK: a FIFO in its place must not stop the broker. */
	fd = open(files->config_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return via_fail(err, -errno, "cannot open '%.200s': %s", files->config_path,
				strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return via_fail(err, -EINVAL, "'%.200s' is no regular file", files->config_path);
	}
	return fd;
}

/* ---- TCP, for metrics ---- */

static int listen_on(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, 16) == 0)
		return fd;
	close(fd);
	return -errno;
}

int broker_listen_tcp(const char *address, struct via_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *info;
	char host[96], *port;
	int ret;

	snprintf(host, sizeof(host), "%s", address);
	port = strrchr(host, ':');
	if (!port)
		return via_fail(err, -EINVAL, "metrics: '%s' has no port", address);
	*port++ = '\0';
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	ret = getaddrinfo(host, port, &hints, &info);
	if (ret != 0)
		return via_fail(err, -EINVAL, "metrics: '%s' is no address of this machine: %s",
				address, gai_strerror(ret));
	ret = listen_on(info);
	freeaddrinfo(info);
	if (ret < 0)
		return via_fail(err, ret, "metrics: cannot listen on %s: %s", address,
				strerror(-ret));
	return ret;
}
