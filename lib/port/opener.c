/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opener of a program that opens things by itself. What usually goes wrong here is the set-up, so
 * each failure says in one sentence what to do about it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/unix.h"
#include "mem/mem.h"
#include "port/port.h"

#define TUN_DEVICE "/dev/net/tun"
#define LEAVE      UINT32_MAX

static bool is_permission(int error)
{
	return error == EACCES || error == EPERM || error == EROFS;
}

/* ---- accounts ---- */

static int direct_account(void *user, const char *name, bool is_group, uint32_t *id,
			  struct via_error *err)
{
	const struct passwd *passwd = is_group ? NULL : getpwnam(name);
	const struct group *group = is_group ? getgrnam(name) : NULL;

	(void)user;
	if (!passwd && !group)
		return via_fail(err, -EINVAL, "there is no %s '%.64s' on this host",
				is_group ? "group" : "user", name);
	*id = passwd ? passwd->pw_uid : group->gr_gid;
	return 0;
}

/* ---- sockets ---- */

static int explain_listen(const char *path, int ret, struct via_error *err)
{
	int dir = (int)(strrchr(path, '/') ? strrchr(path, '/') - path : 0);
	struct stat st;

	if (ret == -EADDRINUSE && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return via_fail(
			err, ret,
			"cannot listen on '%s': a file that is no socket has this name; remove "
			"it or choose another path",
			path);
	if (ret == -EADDRINUSE)
		return via_fail(
			err, ret,
			"cannot listen on '%s': another program, such as a second switch or a "
			"VMM in server mode, listens there",
			path);
	if (ret == -ENOENT)
		return via_fail(
			err, ret,
			"cannot listen on '%s': there is no directory '%.*s'; make it first", path,
			dir, path);
	if (is_permission(-ret))
		return via_fail(
			err, ret,
			"cannot listen on '%s': user %u may not make a socket in '%.*s'; let it "
			"write there, or choose another directory",
			path, geteuid(), dir, path);
	return ret;
}

/* Owner before mode: nobody who was not meant to gets in on the way. */
static int set_access(const char *path, uint32_t uid, uint32_t gid, uint32_t mode,
		      struct via_error *err)
{
	if ((uid != LEAVE || gid != LEAVE) && lchown(path, uid, gid) < 0)
		return via_fail(
			err, -errno,
			"cannot give '%s' to user %d and group %d: %s; run with CAP_CHOWN, or "
			"leave owner and group away",
			path, (int)uid, (int)gid, strerror(errno));
	if (mode != LEAVE && chmod(path, mode) < 0)
		return via_fail(err, -errno, "cannot set the mode of '%s' to %04o: %s", path, mode,
				strerror(errno));
	return 0;
}

static int direct_listen(void *user, const char *path, uint32_t uid, uint32_t gid, uint32_t mode,
			 struct via_error *err)
{
	int ret, fd = via_unix_listen(path, err);

	(void)user;
	if (fd < 0)
		return explain_listen(path, fd, err);
	ret = set_access(path, uid, gid, mode, err);
	if (ret == 0)
		return fd;
	unlink(path);
	close(fd);
	return ret;
}

static int direct_connect(void *user, const char *path, struct via_error *err)
{
	int fd = via_unix_connect(path, err);

	(void)user;
	if (fd == -ENOENT)
		return via_fail(err, fd, "nobody listens on '%s' yet", path);
	if (fd == -ECONNREFUSED)
		return via_fail(err, fd, "nobody listens on '%s' any more", path);
	if (fd < 0 && is_permission(-fd))
		return via_fail(
			err, fd,
			"cannot connect to '%s': user %u may not write to this socket; change "
			"its owner, group or mode, or run as its owner",
			path, geteuid());
	return fd;
}

/* By now nobody should answer. If somebody does, the name is another program's by now. */
static void direct_unlink(void *user, const char *path)
{
	struct stat st;
	int fd;

	(void)user;
	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = via_unix_connect(path, NULL);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(path);
}

/* ---- TAP ---- */

static int explain_tun_device(int error, struct via_error *err)
{
	if (error == ENOENT || error == ENODEV || error == ENXIO)
		return via_fail(err, -error,
				"there is no " TUN_DEVICE
				": load the module (modprobe tun), or give "
				"the container this device");
	if (is_permission(error))
		return via_fail(err, -error,
				"user %u may not open " TUN_DEVICE
				": it needs read and write access",
				geteuid());
	return via_fail(err, -error, "cannot open " TUN_DEVICE ": %s", strerror(error));
}

static int explain_attach(const char *ifname, uint32_t queues, int error, struct via_error *err)
{
	if (is_permission(error))
		return via_fail(
			err, -error,
			"user %u may not use the TAP '%s': run with CAP_NET_ADMIN, or make it "
			"beforehand: ip tuntap add dev NAME mode tap user %u%s",
			geteuid(), ifname, geteuid(), queues > 1 ? " multi_queue" : "");
	if (error == EBUSY)
		return via_fail(err, -error, "the TAP '%s' is in use by another program", ifname);
	if (error == EINVAL && queues > 1)
		return via_fail(
			err, -error,
			"'%s' exists and is no TAP with several queues: remove it, or make it "
			"with: ip tuntap add dev NAME mode tap multi_queue",
			ifname);
	if (error == EINVAL)
		return via_fail(err, -error, "an interface '%s' exists that is no TAP", ifname);
	if (error == E2BIG)
		return via_fail(err, -error, "the TAP '%s' cannot have %u queues", ifname, queues);
	return via_fail(err, -error, "cannot use the TAP '%s': %s", ifname, strerror(error));
}

static int attach_queue(int fd, struct ifreq *request, uint32_t queues)
{
	const short plain = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	request->ifr_flags = (short)(plain | (queues > 1 ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, request) == 0)
		return 0;
	/* One made beforehand for several queues serves with one as well. */
	if (errno != EINVAL || queues > 1)
		return -errno;
	request->ifr_flags = plain | IFF_MULTI_QUEUE;
	return ioctl(fd, TUNSETIFF, request) < 0 ? -EINVAL : 0;
}

static int direct_tap(void *user, char *ifname, uint32_t queues, struct via_error *err)
{
	struct ifreq request = { .ifr_flags = 0 };
	int ret, fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	(void)user;
	if (fd < 0)
		return explain_tun_device(errno, err);
	memcpy(request.ifr_name, ifname, strnlen(ifname, IFNAMSIZ - 1));
	ret = attach_queue(fd, &request, queues);
	if (ret < 0) {
		close(fd);
		return explain_attach(ifname, queues, -ret, err);
	}
	memcpy(ifname, request.ifr_name, IFNAMSIZ);
	return fd;
}

static int set_mtu(int sock, const char *ifname, uint32_t mtu, struct via_error *err)
{
	struct ifreq request = { .ifr_flags = 0 };

	memcpy(request.ifr_name, ifname, strnlen(ifname, IFNAMSIZ - 1));
	if (mtu == 0)
		return 0;
	if (ioctl(sock, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == (int)mtu)
		return 0;
	request.ifr_mtu = (int)mtu;
	if (ioctl(sock, SIOCSIFMTU, &request) == 0)
		return 0;
	if (errno == EINVAL)
		return via_fail(err, -errno,
				"the TAP '%s' cannot have an MTU of %u: it must be 68 to 65521",
				ifname, mtu);
	return via_fail(err, -errno, "cannot set the MTU of '%s' to %u: %s", ifname, mtu,
			strerror(errno));
}

static int bring_up(int sock, const char *ifname, struct via_error *err)
{
	struct ifreq request = { .ifr_flags = 0 };

	memcpy(request.ifr_name, ifname, strnlen(ifname, IFNAMSIZ - 1));
	if (ioctl(sock, SIOCGIFFLAGS, &request) == 0) {
		if (request.ifr_flags & IFF_UP)
			return 0;
		request.ifr_flags |= IFF_UP;
		if (ioctl(sock, SIOCSIFFLAGS, &request) == 0)
			return 0;
	}
	return via_fail(err, -errno, "cannot bring '%s' up: %s", ifname, strerror(errno));
}

static int direct_tap_setup(void *user, const char *ifname, uint32_t mtu, struct via_error *err)
{
	/* Any socket takes interface requests; this kind needs no protocol in the kernel. */
	int ret, sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)user;
	if (sock < 0)
		return via_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	ret = set_mtu(sock, ifname, mtu, err);
	if (ret == 0)
		ret = bring_up(sock, ifname, err);
	close(sock);
	return ret;
}

/* ---- state files ---- */

/* Where a user's programs keep what must outlive them but not the host: on a tmpfs. */
static int state_directory(char *dir, size_t size, struct via_error *err)
{
	const char *base = geteuid() == 0 ? NULL : getenv("XDG_RUNTIME_DIR");

	if ((size_t)snprintf(dir, size, "%s/viaduct", base && base[0] == '/' ? base : "/run") >=
	    size)
		return via_fail(err, -ENAMETOOLONG, "XDG_RUNTIME_DIR is too long");
	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return 0;
	return via_fail(err, -errno, "cannot make the directory '%s' for the ports' state: %s", dir,
			strerror(errno));
}

/* Two processes that kept positions in one file would destroy both guests' rings. */
static int claim_file(int fd, const char *path, uint64_t size, struct via_error *err)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return via_fail(err, -EBUSY,
				"'%s' is in use: another process has a port of this name", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return via_fail(err, -EINVAL, "'%s' is no regular file", path);
	if ((uint64_t)st.st_size > size && ftruncate(fd, (off_t)size) < 0)
		return via_fail(err, -errno, "cannot size '%s': %s", path, strerror(errno));
	/* Reserved, not only sized: a full tmpfs would otherwise show as a fault at a store. */
	if (fallocate(fd, 0, 0, (off_t)size) < 0)
		return via_fail(err, -errno, "cannot reserve %llu bytes for '%s': %s",
				(unsigned long long)size, path, strerror(errno));
	return 0;
}

static int direct_state_file(void *user, const char *name, uint64_t size, struct via_error *err)
{
	char dir[192], path[256];
	int fd, ret = state_directory(dir, sizeof(dir), err);

	(void)user;
	if (ret < 0)
		return ret;
	if (strchr(name, '/') ||
	    (size_t)snprintf(path, sizeof(path), "%s/%s.state", dir, name) >= sizeof(path))
		return via_fail(err, -EINVAL, "'%.64s' cannot be the name of a state file", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return via_fail(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	ret = claim_file(fd, path, size, err);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

/* ---- what has no name ---- */

static int direct_link_events(void *user, struct via_error *err)
{
	const struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int ret, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	(void)user;
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&links, sizeof(links)) == 0)
		return fd;
	ret = via_fail(err, -errno, "cannot subscribe to changes of interfaces: %s",
		       strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

static int direct_shared_memory(void *user, uint64_t size, struct via_error *err)
{
	(void)user;
	return via_memfd_create(size, err);
}

static int direct_timer(void *user, struct via_error *err)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	(void)user;
	return fd < 0 ? via_fail(err, -errno, "cannot make a timer: %s", strerror(errno)) : fd;
}

const struct via_opener via_opener_direct = {
	.listen_unix = direct_listen,
	.connect_unix = direct_connect,
	.account = direct_account,
	.unlink_unix = direct_unlink,
	.tap = direct_tap,
	.tap_setup = direct_tap_setup,
	.state_file = direct_state_file,
	.link_events = direct_link_events,
	.shared_memory = direct_shared_memory,
	.timer = direct_timer,
};
