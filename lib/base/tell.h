/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling a peer something through a descriptor that the peer can spoil. */
#ifndef VIA_TELL_H
#define VIA_TELL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Adds one to a peer's eventfd. Returns whether it is told: a full one has told already. False means that the peer has made its descriptor unusable: it cannot be
 * written, or the write blocked (the peer can clear O_NONBLOCK) and was interrupted by the watchdog, see
 * via_watchdog_start(). Thread: any.
 */
bool via_tell(int fd);

/* The same by eight bytes into a socket, which a peer may send instead: that cannot block, nor raise
 * SIGPIPE. */
bool via_tell_socket(int fd);

/* write() to a descriptor that somebody else can make block: the watchdog ends that with -EINTR, or with
 * fewer bytes. Returns how many were written, or a negative errno. Thread: any. */
ssize_t via_write(int fd, const void *data, size_t size);

/* close(), which a lingering network socket could make wait: the watchdog ends that. */
void via_close(int fd);

/* The type of somebody's descriptor, as in st_mode (0: no file at all); a negative errno if it is none.
 * Asks nobody: the server of a file system might never answer (R1). Thread: any. */
int via_fd_type(int fd);
/* Has the watchdog know the calling thread, which else happens when it first tells. */
void via_tell_begin(void);

#endif
