/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things are when nobody says so; the daemon and the command line must agree. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/daemon.h"

int daemon_default_control(char path[DAEMON_PATH_SIZE])
{
	const char *dir = "/run";
	int len;

	if (geteuid() != 0) {
		dir = getenv("XDG_RUNTIME_DIR");
		if (!dir || dir[0] != '/')
			return -1;
	}
	len = snprintf(path, DAEMON_PATH_SIZE, "%s/viaduct/control.sock", dir);
	return len < DAEMON_PATH_SIZE ? 0 : -1;
}
