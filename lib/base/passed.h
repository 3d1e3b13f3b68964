/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that come with a message on a UNIX socket: once recvmsg() has returned, the kernel has
 * installed them, and whoever read has to close them (R3).
 *
 * A peer that made the socket itself can also have each message bring one that nobody has sent: that of
 * the sender's process (SO_PASSPIDFD, Linux 6.5).
 */
#ifndef VIA_PASSED_H
#define VIA_PASSED_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

/* Descriptors that one message on a UNIX socket can carry (SCM_MAX_FD), and one more: an even number, so
 * that a control buffer has room for no more than is asked for (hostile.md 2.3). */
#define VIA_MAX_PASSED 254

union via_passed_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VIA_MAX_PASSED * sizeof(int))];
};

/* Where one is among those of a message. */
struct via_passed {
	struct msghdr *msg;
	struct cmsghdr *at;
	size_t offset; /* in it */
};

/* Before the first of those that came with 'msg', as recvmsg() left it. */
static inline struct via_passed via_passed_of(struct msghdr *msg)
{
	return (struct via_passed){ msg, CMSG_FIRSTHDR(msg), CMSG_LEN(0) };
}

static inline bool via_passed_carries(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET &&
	       (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD);
}

/* The next one, which is the caller's from now on; -1 if there are no more. */
static inline int via_passed_next(struct via_passed *p)
{
	int fd;

	for (; p->at; p->at = CMSG_NXTHDR(p->msg, p->at), p->offset = CMSG_LEN(0))
		while (via_passed_carries(p->at) && p->offset + sizeof(fd) <= p->at->cmsg_len) {
			memcpy(&fd, (char *)p->at + p->offset, sizeof(fd));
			p->offset += sizeof(fd);
			if (fd >= 0) /* in place of a process's there may be an error */
				return fd;
		}
	return -1;
}

#endif
