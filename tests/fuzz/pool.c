/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/pool.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static int fds[POOL_NR];
static uint8_t *memory[2];

static int make_memfd(uint32_t size, unsigned int flags)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | flags);

	INSIST(fd >= 0 && ftruncate(fd, size) == 0);
	return fd;
}

static void make_pipes(void)
{
	static const char bytes[4096];
	int pipe_fds[2], full_fds[2], pair[2];

	INSIST(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0);
	INSIST(pipe2(full_fds, O_CLOEXEC | O_NONBLOCK) == 0);
	INSIST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	while (write(full_fds[1], bytes, sizeof(bytes)) > 0)
		;
	fds[POOL_PIPE] = pipe_fds[1];
	fds[POOL_FULL_PIPE] = full_fds[1];
	fds[POOL_SOCKET] = pair[0];
}

void pool_open(void)
{
	const uint64_t full = UINT64_MAX - 1;
	char path[32];

	fds[POOL_MEMORY] = make_memfd(POOL_MEMORY_SIZE, MFD_ALLOW_SEALING);
	fds[POOL_UNSEALABLE] = make_memfd(POOL_MEMORY_SIZE, 0);
	fds[POOL_SHORT] = make_memfd(4096, MFD_ALLOW_SEALING);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[POOL_UNSEALABLE]);
	fds[POOL_READ_ONLY] = open(path, O_RDONLY | O_CLOEXEC);
	fds[POOL_EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[POOL_OTHER_EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[POOL_FULL_EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	INSIST(write(fds[POOL_FULL_EVENTFD], &full, sizeof(full)) == sizeof(full));
	make_pipes();
	fds[POOL_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[POOL_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		memory[i] =
			mmap(NULL, POOL_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		INSIST(memory[i] != MAP_FAILED);
	}
}

int pool_fd(enum pool_kind kind)
{
	return fds[kind];
}

uint8_t *pool_memory(enum pool_kind kind)
{
	return memory[kind];
}

void pool_truncate(uint32_t size)
{
	INSIST(ftruncate(fds[POOL_UNSEALABLE], size) == 0);
}

int pool_next_fd(void)
{
	int fd = dup(fds[POOL_NULL]);

	INSIST(fd >= 0);
	close(fd);
	return fd;
}

void pool_send(int fd, const void *bytes, size_t len, const int *sent, uint32_t nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	INSIST(nr_fds <= 16);
	if (nr_fds > 0) {
		struct cmsghdr *c;

		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), sent, nr_fds * sizeof(int));
	}
	if (sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}
