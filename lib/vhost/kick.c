/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors by which driver and device tell each other: kick, call and err of a queue.
 *
 * In-band notification (messages instead of descriptors) ends here: the queue gets an eventfd of ours
 * in the place of the front-end's, so that workers and rings know nothing of it. A VRING_KICK message
 * writes the kick's; what a worker writes into the call's, the control thread turns into a VRING_CALL.
 *
 * A call may also be a UNIX stream socket: user-mode Linux sends one end of a pair. (A pipe would be no
 * use to anybody, and could be made to block or to raise a signal.)
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tell.h"
#include "vhost/vhost.h"

/* ---- what a descriptor is ---- */

/* The errno of a write of 'len' bytes from an address where nothing is; 0 if it succeeded. */
static int write_from_nowhere(int fd, size_t len)
{
	/* Not write(): the address is meant, and must not upset a checker. */
	return syscall(SYS_write, fd, 1L, len) < 0 ? errno : 0;
}

/*
 * An eventfd refuses fewer than 8 bytes before it looks at anything (EINVAL), and an address where
 * nothing is before it thinks of waiting (EFAULT). Other descriptors without a file cannot be written
 * at all (EINVAL), or do not mind the length. They have no type in their mode. (One of fanotify refuses
 * alike, and every count too, at once: as good a call as one that is never heard.)
 */
static bool is_eventfd(int fd)
{
	return via_fd_type(fd) == 0 && write_from_nowhere(fd, 8) == EFAULT &&
	       write_from_nowhere(fd, 4) == EINVAL;
}

/* One of a socket's own numbers; -1 of what is no socket. */
static int socket_number(int fd, int name)
{
	int number;
	socklen_t len = sizeof(number);

	return getsockopt(fd, SOL_SOCKET, name, &number, &len) < 0 ? -1 : number;
}

static bool is_unix_stream(int fd)
{
	return socket_number(fd, SO_DOMAIN) == AF_UNIX && socket_number(fd, SO_TYPE) == SOCK_STREAM;
}

bool vu_fd_is(int fd, unsigned int kinds)
{
	return (kinds & VU_FD_EVENT && is_eventfd(fd)) ||
	       (kinds & VU_FD_SOCKET && is_unix_stream(fd));
}

/* ---- notifiers ---- */

int vu_notifier_set(struct vu_notifier *n, int fd)
{
	int old = n->fd;

	via_loop_unwatch(n->watch);
	*n = (struct vu_notifier){ .fd = fd, .is_set = true };
	return old;
}

void vu_notifier_forget(struct vu_notifier *n)
{
	int old = vu_notifier_set(n, -1);

	n->is_set = false;
	if (old >= 0)
		via_close(old);
}

static bool take(struct vu_notifier *n)
{
	uint64_t count;

	return read(n->fd, &count, sizeof(count)) == sizeof(count);
}

static void on_call(void *user, uint32_t events)
{
	struct vu_queue *q = user;

	(void)events;
	if (take(&q->notifier[VU_CALL]))
		vu_backend_call(q->dev, q->index);
}

static void on_err(void *user, uint32_t events)
{
	struct vu_queue *q = user;

	(void)events;
	if (take(&q->notifier[VU_ERR]))
		vu_backend_error(q->dev, q->index);
}

int vu_notifier_inband(struct vu_queue *q, int which, struct via_error *err)
{
	struct vu_notifier *n = &q->notifier[which], new = { .is_set = true, .is_inband = true };
	int ret = 0;

	new.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (new.fd < 0)
		return via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	if (which != VU_KICK)
		ret = via_loop_watch(&new.watch, q->dev->loop, new.fd, EPOLLIN,
				     which == VU_CALL ? on_call : on_err, q, err);
	if (ret < 0) {
		close(new.fd);
		return ret;
	}
	/* The old one is still the ring's: the caller takes care of it. */
	via_loop_unwatch(n->watch);
	*n = new;
	return 0;
}

const struct via_need vu_needs[] = {
	VIA_NEED("eventfd2", "kicks that come as messages; what wakes control for a device"),
	VIA_NEED("getsockopt", "which process a front-end is; what kind of socket one passed"),
	VIA_NEED_IS("fcntl", 1, F_DUPFD_CLOEXEC, "a kick that is watched outlives the front-end's"),
	VIA_NEEDS_END,
};
