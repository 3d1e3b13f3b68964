/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control API's own state, for its files: rpc.c, rpc_connection.c, rpc_call.c.
 */
#ifndef VIA_DAEMON_RPC_INSIDE_H
#define VIA_DAEMON_RPC_INSIDE_H

#include <stddef.h>

#include "daemon/rpc.h"

#define RPC_TRIM_SIZE 65536 /* after an answer this long, memory goes back to the system */

struct rpc_buffer {
	char *data;
	size_t used, room;
};

struct rpc_client {
	struct rpc *rpc;
	struct rpc_client *next;
	int fd, passed_fd;
	struct via_watch *watch;
	struct via_timer *deadline;
	bool timed;      /* the deadline runs */
	bool progressed; /* since it was set: it begins anew */
	struct rpc_buffer in, out;
	size_t out_sent;
	struct rpc_call *call; /* not answered yet */
	bool waits;            /* that call has not begun: it waits for a change to end */
	bool at_end;           /* no more comes; goes when everything is answered */
};

struct rpc {
	struct daemon *daemon;
	int listen_fd;
	struct via_watch *watch;
	struct via_timer *again; /* listens again after it had no descriptors left */
	uint32_t deadline_ms;
	struct via_discards *discards; /* descriptors that nobody wants */
	struct rpc_client *clients;
	unsigned int nr_clients;
	void (*client_gone)(struct daemon *d, void *client);
};

/* ---- rpc_connection.c ---- */

/* Sends the text and a newline when the socket takes them; a client that does not take them is closed. */
void rpc_client_put(struct rpc_client *client, const char *text, size_t size);
/* After an answer that came later than its call's function: on with the client's next line. */
void rpc_client_resume(struct rpc_client *client);
void rpc_client_free(struct rpc_client *client);

/* ---- rpc_call.c ---- */

/* Before anything else here: has jansson's allocations watched for those that fail. */
void rpc_watch_memory(void);
/* Serves a line: checks it and begins its call, which is 'client->call' until it is answered. */
void rpc_serve_line(struct rpc_client *client, const char *line, size_t size);
/* Begins a call that waits. */
void rpc_start_call(struct rpc_call *call);
/* Its client goes: it is forgotten, or answers nobody once it ends. */
void rpc_abandon_call(struct rpc_call *call);
/* 'answer' may be NULL, for want of memory. */
void rpc_say(struct rpc_client *client, const json_t *answer);
/* 'id' is borrowed; NULL: of a request that could not be read so far. */
void rpc_say_error(struct rpc_client *client, json_t *id, enum rpc_code code, const char *text);

#endif
