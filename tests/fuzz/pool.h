/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of all kinds, made once, to be sent where others are expected; and whether as many are open as
 * before.
 */
#ifndef VIA_FUZZ_POOL_H
#define VIA_FUZZ_POOL_H

#include <stddef.h>
#include <stdint.h>

enum pool_kind {
	POOL_MEMORY,     /* a memfd that can be sealed */
	POOL_UNSEALABLE, /* a memfd that cannot */
	POOL_SHORT,      /* a memfd of one page */
	POOL_READ_ONLY,  /* a memfd, opened for reading */
	POOL_EVENTFD,
	POOL_OTHER_EVENTFD,
	POOL_FULL_EVENTFD,
	POOL_PIPE,
	POOL_FULL_PIPE,
	POOL_SOCKET,
	POOL_NULL,
	POOL_EPOLL,
	POOL_NR,
};

#define POOL_MEMORY_SIZE (256u << 10)

void pool_open(void); /* once */
int pool_fd(enum pool_kind kind);
/* The memory of POOL_MEMORY and of POOL_UNSEALABLE, mapped here. */
uint8_t *pool_memory(enum pool_kind kind);
/* Its owner truncates the unsealable one, and makes it whole again. */
void pool_truncate(uint32_t size);
/* The next free descriptor's number: the same as before if none was lost. */
int pool_next_fd(void);

/* Sends bytes with descriptors; what the other side has closed is no error. */
void pool_send(int fd, const void *bytes, size_t len, const int *fds, uint32_t nr_fds);

#endif
