/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client of the control API: bytes become lines, answers become bytes, and nobody waits for it.
 *
 * Theory of operation: what a client has in its buffers, and whether it has a call, says what it may do
 * next; client_update() asks its socket for just that.
 *   nothing           it is read, for as long as it likes
 *   half a line       it is read, under the deadline
 *   a call            nothing of it is read or looked at until the call is answered (rpc_call.c)
 *   answers           they are sent, under the deadline; nothing is read before they have left
 *   whole lines       that had no turn yet: the next turn comes when the socket can be written
 * The deadline begins anew with each line that is served, and when the answers have left: who makes progress is
 * not closed, however much it says, and nobody takes longer than that over half a line, or over its answers.
 * So what we hold of it is bounded: RPC_MAX_LINE bytes that it has said, RPC_MAX_OUTPUT that it is told. When
 * no more comes, because it has closed or because we no longer listen, what is left is served
 * and answered first.
 *
 * Only on_client(), on_deadline() and rpc_free() free a client: never what serves a line or answers a
 * call, so these may go on with it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/calls.h"
#include "base/discard.h"
#include "daemon/fdpass.h"
#include "daemon/rpc_inside.h"

/* ---- buffers ---- */

static int buffer_add(struct rpc_buffer *b, const char *data, size_t size, size_t max)
{
	size_t room = b->room ? b->room : 4096;
	char *larger;

	if (size > max - b->used)
		return -ENOBUFS;
	while (room < b->used + size)
		room *= 2;
	if (room != b->room) {
		larger = realloc(b->data, room);
		if (!larger)
			return -ENOMEM;
		b->data = larger;
		b->room = room;
	}
	memcpy(b->data + b->used, data, size);
	b->used += size;
	return 0;
}

/* Drops the first 'size' bytes, and the memory when nothing is left. */
static void buffer_drop(struct rpc_buffer *b, size_t size)
{
	b->used -= size;
	if (b->used) {
		memmove(b->data, b->data + size, b->used);
		return;
	}
	free(b->data);
	*b = (struct rpc_buffer){ 0 };
}

/* ---- what it may do next ---- */

/* Whether a request is there that has not been looked at. */
static bool has_line(const struct rpc_client *client)
{
	return client->in.used &&
	       (client->at_end || memchr(client->in.data, '\n', client->in.used));
}

/* A request that has begun, and answers that nobody reads, have a deadline; who is idle has none (R1). */
static void time_client(struct rpc_client *client)
{
	const bool timed = client->out.used || (client->in.used && !client->call);

	if (timed && (!client->timed || client->progressed))
		via_timer_start(client->deadline, client->rpc->deadline_ms);
	else if (!timed && client->timed)
		via_timer_stop(client->deadline);
	client->timed = timed;
	client->progressed = false;
}

/* Listens for what the client can do now: it is not read while it has a call under way, requests that wait
 * for their turn, or answers to read. A socket that can be written is a turn. */
static void client_update(struct rpc_client *client)
{
	const bool turn = !client->call && has_line(client);
	uint32_t events = 0;

	if (!client->call && !client->at_end && !turn && !client->out.used)
		events |= EPOLLIN;
	if (client->out.used || turn)
		events |= EPOLLOUT;
	via_watch_set(client->watch, events);
	time_client(client);
}

/* ---- answers leave ---- */

/* Sends what the socket takes. Returns a negative errno when the client is lost. */
static int client_flush(struct rpc_client *client)
{
	while (client->out.used > client->out_sent) {
		ssize_t sent =
			via_send(client->fd, client->out.data + client->out_sent,
				 client->out.used - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		client->out_sent += (size_t)sent;
	}
	if (client->out.used)
		client->progressed = true;
	buffer_drop(&client->out, client->out.used);
	client->out_sent = 0;
	return 0;
}

void rpc_client_put(struct rpc_client *client, const char *text, size_t size)
{
	if (buffer_add(&client->out, text, size, RPC_MAX_OUTPUT - 1) == 0 &&
	    buffer_add(&client->out, "\n", 1, RPC_MAX_OUTPUT) == 0)
		return;
	via_log(VIA_LOG_WARNING, "control: a client does not take its answers; closing it");
	buffer_drop(&client->in, client->in.used);
	client->at_end = true; /* with the deadline for what it has not taken */
}

void rpc_client_resume(struct rpc_client *client)
{
	if (!client)
		return;
	via_watch_set(client->watch, EPOLLIN | EPOLLOUT);
	time_client(client);
}

/* ---- lines come ---- */

/* Returns a negative errno when the client is lost. */
static int client_read(struct rpc_client *client)
{
	char bytes[4096];
	int fd;
	ssize_t got = fdpass_recv(client->fd, bytes, sizeof(bytes), &fd);

	if (fd >= 0) {
		if (client->passed_fd >= 0)
			via_discard(client->rpc->discards, client->passed_fd);
		client->passed_fd = fd;
	}
	if (got == -EAGAIN || got == -EWOULDBLOCK)
		return 0;
	if (got <= 0) {
		client->at_end = true;
		return (int)got;
	}
	got = buffer_add(&client->in, bytes, (size_t)got, RPC_MAX_LINE);
	if (got == 0)
		return 0;
	if (got == -ENOMEM)
		rpc_say(client, NULL);
	else
		rpc_say_error(client, NULL, RPC_INVALID_REQUEST,
			      "a request has at most 262144 bytes");
	buffer_drop(&client->in, client->in.used);
	client->at_end = true;
	return 0;
}

/* Serves whole lines until one is not answered at once, there is much to send, or others are to have
 * their turn. */
static void serve_lines(struct rpc_client *client)
{
	for (int n = 0; n < RPC_TURN_LINES && !client->call && has_line(client) &&
			client->out.used < RPC_TRIM_SIZE;
	     n++) {
		char *end = memchr(client->in.data, '\n', client->in.used), *line;
		/* The last one may lack it, of a client that has said all. */
		size_t size = end ? (size_t)(end - client->in.data) : client->in.used;

		line = malloc(size + 1); /* serving may drop the buffer */
		if (line) {
			memcpy(line, client->in.data, size);
			line[size] = '\0';
		}
		buffer_drop(&client->in, size + (end ? 1 : 0));
		if (!line)
			rpc_say(client, NULL);
		else if (strspn(line, " \t\r") < size)
			rpc_serve_line(client, line, size);
		free(line);
		client->progressed = true;
	}
}

/* ---- coming and going ---- */

void rpc_client_free(struct rpc_client *client)
{
	struct rpc *rpc = client->rpc;
	struct rpc_client **at = &rpc->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	rpc->nr_clients--;
	if (client->call)
		rpc_abandon_call(client->call);
	if (rpc->client_gone)
		rpc->client_gone(rpc->daemon, client);
	via_loop_unwatch(client->watch);
	via_timer_free(client->deadline);
	via_discard_socket(rpc->discards, client->fd);
	if (client->passed_fd >= 0)
		via_discard(rpc->discards, client->passed_fd);
	free(client->in.data);
	free(client->out.data);
	free(client);
}

static void on_client(void *user, uint32_t events)
{
	struct rpc_client *client = user;
	int ret = 0;

	if (!client->call && !client->at_end && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ret = client_read(client);
	else if (events & (EPOLLHUP | EPOLLERR))
		ret = -EPIPE; /* gone while its call is under way */
	if (ret >= 0)
		ret = client_flush(client);
	if (ret >= 0 && !client->out.used) {
		serve_lines(client);
		ret = client_flush(client);
	}
	if (ret < 0 || (client->at_end && !client->call && !client->out.used && !client->in.used))
		rpc_client_free(client);
	else
		client_update(client);
}

static void on_deadline(void *user)
{
	via_log(VIA_LOG_WARNING, "control: a client neither ends its request nor takes its answers "
				 "in time; closing it");
	rpc_client_free(user);
}

int rpc_add_client(struct rpc *rpc, int fd)
{
	struct rpc_client *client = calloc(1, sizeof(*client));
	int ret = -ENOMEM;

	if (client) {
		*client = (struct rpc_client){ .rpc = rpc, .fd = fd, .passed_fd = -1 };
		ret = via_timer_create(&client->deadline, rpc->daemon->loop, on_deadline, client,
				       NULL);
	}
	if (ret == 0) {
		ret = via_loop_watch(&client->watch, rpc->daemon->loop, fd, EPOLLIN, on_client,
				     client, NULL);
	}
	if (ret < 0) {
		if (client)
			via_timer_free(client->deadline);
		free(client);
		close(fd);
		return ret;
	}
	client->next = rpc->clients;
	rpc->clients = client;
	rpc->nr_clients++;
	return 0;
}
