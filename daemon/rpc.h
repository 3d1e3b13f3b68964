/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control API: JSON-RPC 2.0 over the control socket, one object a line in each direction. A
 * request may bring one descriptor with it (SCM_RIGHTS).
 *
 * Methods are rows of a table: what a call must have is checked before its function runs. A function
 * answers its call once, at once or later; a client gets its answers in the order of its calls, and
 * its next call is not looked at before its answers have left. Everything of a client is bounded:
 * RPC_MAX_LINE bytes of a request, RPC_MAX_OUTPUT bytes of answers, RPC_TURN_LINES calls before others
 * have their turn, RPC_DEADLINE_MS for a request that has begun and for answers to be read. Of
 * RPC_MAX_CLIENTS the last RPC_RESERVED are root's and our own user's, so that who may merely use the
 * socket cannot shut the operator out (R24).
 */
#ifndef VIA_DAEMON_RPC_H
#define VIA_DAEMON_RPC_H

#include <jansson.h>
#include <stdbool.h>

#include "daemon/running.h"

#define RPC_MAX_LINE    (256 * 1024)
#define RPC_MAX_OUTPUT  (8 * 1024 * 1024)
#define RPC_MAX_CLIENTS 64
#define RPC_RESERVED    8
#define RPC_TURN_LINES  8
#define RPC_DEADLINE_MS 10000

enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_FAILED = -32000, /* the call was right, but what it asks for did not work */
};

enum rpc_kind { RPC_TEXT, RPC_NUMBER, RPC_SWITCH, RPC_ANY };

struct rpc_param {
	const char *name;
	enum rpc_kind kind;
	bool required;
	const char *help; /* a sentence */
};

struct rpc_call;

#define RPC_MAX_PARAMS 5

struct rpc_method {
	const char *name;
	void (*run)(struct daemon *d, struct rpc_call *call, const json_t *params);
	const char *help; /* a sentence */
	bool changes;     /* one at a time: waits until the change under way is done */
	bool open;        /* further parameters are allowed and checked by 'run' */
	struct rpc_param params[RPC_MAX_PARAMS]; /* ends with a NULL name */
};

/* Ends with a NULL name. */
extern const struct rpc_method rpc_methods[];

/* ---- for methods: each answers once ---- */
void rpc_result(struct rpc_call *call, json_t *result); /* consumed; NULL: no memory */
void rpc_error(struct rpc_call *call, enum rpc_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int rpc_take_fd(
	struct rpc_call *call); /* what came with the request (owned by the caller), or -1 */
void *rpc_client_of(struct rpc_call *call); /* to compare with, in rpc_on_client_gone() */
const char *rpc_text(const json_t *params, const char *name, const char *fallback);
json_int_t rpc_number(const json_t *params, const char *name, json_int_t fallback);

/* ---- for the data process ---- */
/* Serves 'listen_fd' (borrowed). 'client_gone' hears of every client's end. Thread: control. */
int rpc_create(struct rpc **rpc, struct daemon *d, int listen_fd,
	       void (*client_gone)(struct daemon *d, void *client), struct via_error *err);
void rpc_free(struct rpc *rpc); /* accepts NULL */
/* Runs the calls that waited for a change to end. */
void rpc_change_ended(struct rpc *rpc);
/* Serves a connected socket (consumed); for tests, as is another deadline than RPC_DEADLINE_MS. */
int rpc_add_client(struct rpc *rpc, int fd);
void rpc_set_deadline(struct rpc *rpc, uint32_t ms);

#endif
