/* SPDX-License-Identifier: BSD-3-Clause */
/* The two system calls that pass descriptors, with their control messages. */
#include "daemon/fdpass.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/discard.h"
#include "base/passed.h"

int fdpass_send(int sock, const void *data, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	/* sendmsg() does not write what it sends; its type knows no const. */
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t ret;

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	do
		ret = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return (size_t)ret == size ? 0 : -EMSGSIZE;
}

static void take_fds(struct msghdr *msg, int *fd)
{
	struct via_passed passed = via_passed_of(msg);

	for (int received; (received = via_passed_next(&passed)) >= 0;)
		if (*fd < 0)
			*fd = received;
		else
			via_discard(NULL, received);
}

ssize_t fdpass_recv(int sock, void *data, size_t size, int *fd)
{
	union via_passed_space control;
	struct iovec iov = { data, size };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t ret;

	*fd = -1;
	do
		ret = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	take_fds(&msg, fd);
	if (msg.msg_flags & MSG_TRUNC) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EMSGSIZE;
	}
	return ret;
}
