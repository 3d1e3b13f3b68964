/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things are when nobody says so (the daemon and the command line must agree), and reading
 * them whole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "daemon/daemon.h"

int daemon_default_control(char path[DAEMON_PATH_SIZE])
{
	const char *dir = "/run";
	int len;

	/* The user that the program was started as; the data process has become another one by now. */
	if (getauxval(AT_EUID) != 0) {
		dir = getenv("XDG_RUNTIME_DIR");
		if (!dir || dir[0] != '/')
			return -1;
	}
	len = snprintf(path, DAEMON_PATH_SIZE, "%s/viaduct/control.sock", dir);
	return len < DAEMON_PATH_SIZE ? 0 : -1;
}

char *daemon_read_fd(int fd, size_t *size, struct via_error *err)
{
	size_t used = 0, room = 0;
	char *text = NULL;

	for (;;) {
		ssize_t got;

		if (used + 1 >= room) {
			char *larger =
				room < DAEMON_CONFIG_MAX ? realloc(text, room + 16384) : NULL;

			if (!larger) {
				free(text);
				via_fail(err, -EFBIG, "more than %d bytes, or no memory for them",
					 DAEMON_CONFIG_MAX);
				return NULL;
			}
			text = larger;
			room += 16384;
		}
		got = read(fd, text + used, room - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			via_fail(err, -errno, "cannot read it: %s", strerror(errno));
			free(text);
			return NULL;
		}
		if (got == 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	*size = used;
	return text;
}
