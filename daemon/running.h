/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running daemon: what the control API shows and changes. One object, on the control thread.
 */
#ifndef VIA_DAEMON_RUNNING_H
#define VIA_DAEMON_RUNNING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <viaduct/loop.h>

#include "daemon/broker.h"
#include "daemon/config.h"
#include "daemon/kept.h"
#include "switch/switch.h"

struct rpc;
struct change;

struct daemon {
	struct via_loop *loop;
	struct sw_switch *sw;
	struct cfg *cfg;              /* what runs now; its ports are those of the switch */
	struct broker_client *broker; /* NULL in tests: ports open things themselves */
	const struct via_opener *opener;
	struct rpc *rpc;
	struct change *change; /* the one under way, or NULL */
	/* The object's owner: what to do when a change is over, and when the daemon is to end. */
	void (*change_ended)(struct daemon *d);
	void (*end)(struct daemon *d);
	const char *config_path; /* of --config, or NULL; borrowed */
	struct kept *kept;       /* what a data process after us will start with; NULL: nothing */
	struct running_sandbox {
		int landlock; /* version of its interface; 0: none */
		int calls;    /* system calls that are left; 0: all */
	} sandbox;
	int pid;
	uid_t uid; /* our own */
	uint64_t start_us;
	bool ending;
	/* A capture: who asked (to end it with its client), where to. */
	void *capture_owner;
	int capture_fd;   /* -1: none */
	int capture_port; /* its index; -1: all */
};

#endif
