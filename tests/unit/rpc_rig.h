/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control API with clients on socket pairs, for the programs that test daemon/rpc*.c and the methods: a
 * switch of sinks, no process.
 */
#ifndef TEST_RPC_RIG_H
#define TEST_RPC_RIG_H

#include "daemon/methods.h"
#include "tests/test.h"

#define MAX_TURNS 500 /* of the loop, 10 ms each, until an answer must be there */

struct rig {
	struct daemon d;
	int sock;         /* the first client; -1: closed */
	char line[70000]; /* the last answer */
	size_t used;
	bool ended;
};

void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
/* Another client; the caller closes it. */
int connect_client(struct rig *rig);

/* The next line of an answer, without its end. */
const char *next_line(struct rig *rig, int sock);
/* Says it as the first client, and waits for a line. */
const char *say(struct rig *rig, const char *text);
/* {"jsonrpc": "2.0", "id": 7, "method": METHOD, "params": {PARAMS}} */
json_t *call(struct rig *rig, const char *method, const char *params);
/* The answer is consumed. */
void assert_refused(json_t *answer, int code, const char *message);
/* Returns the result, which the caller owns. */
json_t *call_ok(struct rig *rig, const char *method, const char *params);
void call_done(struct rig *rig, const char *method, const char *params);

#endif
