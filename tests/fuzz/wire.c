/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

struct wire wire = { .peer = -1 };

int wire_connect(struct via_error *err)
{
	int pair[2];

	if (wire.refuses ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return via_fail(err, -ECONNREFUSED, "nobody is there");
	wire_hang_up();
	wire.peer = pair[1];
	return pair[0];
}

void wire_hang_up(void)
{
	if (wire.peer >= 0)
		close(wire.peer);
	wire.peer = -1;
}

void wire_on_closed(void *user)
{
	(void)user;
	wire.closed = true;
}

void wire_turn(void)
{
	struct pollfd p = { .fd = via_loop_fd(wire.loop), .events = POLLIN };

	for (int i = 0; i < 100 && poll(&p, 1, 0) == 1; i++)
		via_loop_turn(wire.loop, 0);
}
