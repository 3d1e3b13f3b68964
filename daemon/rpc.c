/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: who is let in, and what its clients have in common.
 *
 * rpc_connection.c serves a client, rpc_call.c its calls. The last places are for root and for ourselves, and
 * others hear that there are too many. When descriptors run out nobody is accepted for a moment, and
 * those who are there go on (R24).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/discard.h"
#include "daemon/rpc_inside.h"

#define AGAIN_MS 100 /* before somebody is accepted after that has failed */

static void listen_again(void *user)
{
	struct rpc *rpc = user;

	via_watch_set(rpc->watch, EPOLLIN);
}

/* Whether there is a place for whom the kernel says it is. */
static bool has_place(const struct rpc *rpc, int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	if (rpc->nr_clients < RPC_MAX_CLIENTS - RPC_RESERVED &&
	    !via_discards_are_many(rpc->discards))
		return true;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return rpc->nr_clients < RPC_MAX_CLIENTS && (peer.uid == 0 || peer.uid == rpc->daemon->uid);
}

static void on_connect(void *user, uint32_t events)
{
	static const char busy[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,"
				   "\"message\":\"too many clients\"}}\n";
	struct rpc *rpc = user;
	int fd = accept4(rpc->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED)
			return;
		/* Out of descriptors, say: looking again at once would only burn (R24). */
		via_watch_set(rpc->watch, 0);
		via_timer_start(rpc->again, AGAIN_MS);
		return;
	}
	if (has_place(rpc, fd)) {
		rpc_add_client(rpc, fd);
		return;
	}
	via_send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

void rpc_change_ended(struct rpc *rpc)
{
	for (struct rpc_client *client = rpc->clients; client; client = client->next) {
		if (!client->waits)
			continue;
		rpc_start_call(client->call);
		if (rpc->daemon->change)
			return; /* that one changes as well: the others go on waiting */
	}
}

int rpc_create(struct rpc **out, struct daemon *d, int listen_fd,
	       void (*client_gone)(struct daemon *d, void *client), struct via_error *err)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	int ret;

	rpc_watch_memory();
	if (!rpc)
		return via_fail(err, -ENOMEM, "no memory for the control API");
	*rpc = (struct rpc){ .daemon = d,
			     .listen_fd = listen_fd,
			     .deadline_ms = RPC_DEADLINE_MS,
			     .client_gone = client_gone };
	rpc->discards = via_discards_create();
	ret = rpc->discards ? via_timer_create(&rpc->again, d->loop, listen_again, rpc, err)
			    : via_fail(err, -ENOMEM, "no memory for the control API");
	if (ret == 0 && listen_fd >= 0)
		ret = via_loop_watch(&rpc->watch, d->loop, listen_fd, EPOLLIN, on_connect, rpc,
				     err);
	if (ret < 0) {
		rpc_free(rpc);
		return ret;
	}
	*out = rpc;
	return 0;
}

void rpc_set_deadline(struct rpc *rpc, uint32_t ms)
{
	rpc->deadline_ms = ms;
}

void rpc_free(struct rpc *rpc)
{
	if (!rpc)
		return;
	while (rpc->clients)
		rpc_client_free(rpc->clients);
	via_loop_unwatch(rpc->watch);
	via_timer_free(rpc->again);
	via_discards_free(rpc->discards);
	free(rpc);
}
