/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling a peer something through a descriptor that the peer can spoil. */
#ifndef VIA_TELL_H
#define VIA_TELL_H

#include <stdbool.h>

/*
 * Adds one to a peer's eventfd. Returns whether it is told:
 * a full one has told already. False means that the peer has made its descriptor unusable: it cannot be
 * written, or the write blocked (the peer can clear O_NONBLOCK) and was interrupted by the watchdog, see
 * via_watchdog_start(). Thread: any.
 */
bool via_tell(int fd);

/* The same by eight bytes into a socket, which a peer may send instead: that cannot block, nor raise
 * SIGPIPE. */
bool via_tell_socket(int fd);

#endif
