/* SPDX-License-Identifier: BSD-3-Clause */
/* The two ends of a conversation, for programs that go along into guests. */
#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 20
#define RETRIES  250 /* 5 s for the other end to be there */

static inline void rest(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static inline int bound_socket(int type, const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET6, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return -1;
	return fd;
}

static inline int connected_socket(int type, const char *address, const char *port)
{
	struct addrinfo hints = { .ai_socktype = type, .ai_flags = AI_NUMERICHOST }, *info;

	if (getaddrinfo(address, port, &hints, &info) != 0)
		return -1;
	for (int i = 0; i < RETRIES; i++) {
		int fd = socket(info->ai_family, type, 0);

		if (fd >= 0 && connect(fd, info->ai_addr, info->ai_addrlen) == 0) {
			freeaddrinfo(info);
			return fd;
		}
		close(fd);
		rest(RETRY_MS * 1000 * 1000);
	}
	freeaddrinfo(info);
	return -1;
}
