/* SPDX-License-Identifier: BSD-3-Clause */
/* Calling viaductd: the other end of rpc.h, for the command line and the exporter. Blocking. */
#ifndef VIA_DAEMON_RPC_CLIENT_H
#define VIA_DAEMON_RPC_CLIENT_H

#include <jansson.h>
#include <viaduct/error.h>

struct rpc_caller {
	int sock; /* -1: not connected */
	int next_id;
	char *data; /* what came beyond the last answer */
	size_t used, room;
};

/* Connects. Returns 0 or a negative errno with a sentence that says what to do. */
int rpc_connect(struct rpc_caller *caller, const char *path, struct via_error *err);
void rpc_disconnect(struct rpc_caller *caller);

/*
 * Calls 'method' with 'params' (consumed; NULL: none); 'fd' (borrowed) goes with it unless -1. Waits
 * for the answer. Returns 0 with '*result' (the caller's), -EREMOTEIO with the answer's error object
 * in '*result' and its message in 'err', or another negative errno with '*result' NULL.
 */
int rpc_call_method(struct rpc_caller *caller, const char *method, json_t *params, int fd,
		    json_t **result, struct via_error *err);

#endif
