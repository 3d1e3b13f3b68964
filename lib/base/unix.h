/* SPDX-License-Identifier: BSD-3-Clause */
/* UNIX stream sockets by path: listening, connecting, accepting. All are close-on-exec, non-blocking. */
#ifndef VIA_UNIX_H
#define VIA_UNIX_H

#include <viaduct/error.h>

/* Each returns a descriptor or a negative errno. A path of over 107 bytes is refused with a sentence
 * that says so. Thread: any. */

/* Whether a path can be a socket's: 0, -EINVAL or -ENAMETOOLONG. */
int via_unix_check_path(const char *path, struct via_error *err);

/* Connects; -ENOENT or -ECONNREFUSED if nobody listens (yet), -EAGAIN if its queue is full. */
int via_unix_connect(const char *path, struct via_error *err);

/* Listens. A socket at 'path' that nobody answers on is removed first; one that somebody answers on,
 * or a file that is no socket, is -EADDRINUSE. The file has mode 0600 until it is changed. */
int via_unix_listen(const char *path, struct via_error *err);

/* The next connection; -EAGAIN if there is none. */
int via_unix_accept(int fd);

#endif
