/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes with one descriptor beside them, over UNIX sockets. */
#ifndef VIA_DAEMON_FDPASS_H
#define VIA_DAEMON_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/* Sends all of 'data' as one message; 'fd' (borrowed) goes with it unless it is -1. Returns 0 or a
 * negative errno. */
int fdpass_send(int sock, const void *data, size_t size, int fd);
/*
 * Receives once, without waiting if 'sock' does not block. '*fd' gets the descriptor that came along
 * (owned by the caller, close-on-exec) or -1; more than one are closed. Returns the number of bytes,
 * 0 at the end, or a negative errno; -EMSGSIZE if the message was longer than 'size'.
 */
ssize_t fdpass_recv(int sock, void *data, size_t size, int *fd);

#endif
