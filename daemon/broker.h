/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker and what passes between it and the data process.
 *
 * One SOCK_SEQPACKET pair: the data process sends a request of fixed layout, the broker answers it
 * with one reply, and a descriptor beside it where there is one. The broker treats requests as those
 * of a process that may have been taken over: it opens what the configuration that it has read itself names
 * (grants.h), sets up no interface and removes no file that it has not made.
 */
#ifndef VIA_DAEMON_BROKER_H
#define VIA_DAEMON_BROKER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/daemon.h"
#include "daemon/grants.h"
#include "daemon/privileges.h"
#include "port/port.h"

enum broker_kind {
	BROKER_LISTEN_UNIX = 1, /* path, uid, gid, mode → descriptor */
	BROKER_CONNECT_UNIX,    /* path → descriptor */
	BROKER_ACCOUNT,         /* text: a user, or with number 1 a group → id */
	BROKER_UNLINK_UNIX,     /* path */
	BROKER_TAP,             /* text: interface name; number: queues → descriptor; name */
	BROKER_TAP_SETUP,       /* text: interface name; number: MTU */
	BROKER_STATE_FILE,      /* text: name; size → descriptor */
	BROKER_FORGET_STATE,    /* text: name */
	BROKER_READ_CONFIG, /* → a memfd with the --config file's text; err, id: what is wrong with
				 * it on this host, in which line */
	BROKER_LINK_EVENTS,   /* → a netlink socket */
	BROKER_SHARED_MEMORY, /* size → a memfd */
	BROKER_TIMER,         /* → a timerfd */
	BROKER_READY,         /* the data process serves; text: a summary for the log */
	BROKER_NR_KINDS,
};

struct broker_request {
	uint32_t kind;
	uint32_t uid, gid, mode; /* UINT32_MAX: leave */
	uint32_t number;
	uint32_t serial; /* of the reply as well */
	uint64_t size;
	char text[256]; /* terminated */
};

struct broker_reply {
	int32_t ret; /* 0 or a negative errno */
	uint32_t id; /* of an account */
	uint32_t serial;
	char name[IFNAMSIZ];
	struct via_error err;
};

/* ---- the broker ---- */

struct broker_setup {
	const char *config_path; /* or NULL */
	const char *config_text; /* what it holds, checked */
	size_t config_size;
	const char *control, *metrics, *run_dir; /* 'metrics' may be NULL */
	struct grants grants;                    /* of the same; grows at reloads */
	enum privileges_user user;               /* what the data process becomes */
	uid_t uid;
	gid_t gid;
};

/*
 * Opens the sockets, starts the data process (and the exporter) and serves it until it ends or a
 * signal ends both. Returns the exit status of the program.
 */
int broker_run(struct broker_setup *setup);

/* ---- broker_open.c ---- */

struct broker_socket { /* a listening socket that we made */
	char path[DAEMON_PATH_SIZE];
	int fd;      /* kept, so that connections wait while the data process restarts */
	bool is_own; /* the control or metrics socket: no port's */
	uint64_t dev, ino;
};

struct broker_files {
	struct broker_socket *sockets;
	uint32_t nr_sockets;
	const char *run_dir, *config_path; /* borrowed */
	uint32_t nr_states;                /* files that were made */
	uint64_t patient_until_us;         /* until then a socket that is in use may become free */
};

/* Of one port with its peer: 128 queue pairs of 1,024 large buffers. */
#define BROKER_MEMORY_MAX (UINT64_C(1) << 35)

/* How long a switch that starts waits for the sockets of one that is just ending. */
#define BROKER_PATIENCE_US 2000000

/* Listens on 'path', or hands out the socket that already does. Returns a borrowed descriptor or a
 * negative errno. */
int broker_listen(struct broker_files *files, const char *path, uint32_t uid, uint32_t gid,
		  uint32_t mode, struct via_error *err);
void broker_unlink(struct broker_files *files, const char *path);
/* Whether it is the control or the metrics socket. */
bool broker_is_own(struct broker_files *files, const char *path);
void broker_unlink_all(struct broker_files *files);
/* A descriptor (owned by the caller) of NAME.state in the run directory; a file of another size is
 * emptied. */
int broker_state_file(struct broker_files *files, const char *name, uint64_t size,
		      struct via_error *err);
void broker_forget_state(struct broker_files *files, const char *name);
/* A memfd (owned by the caller) to read this text from. */
int broker_text(const char *text, size_t size, struct via_error *err);
/* A descriptor of the --config file. */
int broker_config_file(const struct broker_files *files, struct via_error *err);
/* A listening TCP socket for "address:port". Owned by the caller. */
int broker_listen_tcp(const char *address, struct via_error *err);

/* ---- broker_client.c, in the data process ---- */

struct broker_client {
	int sock;
	uint32_t serial;          /* of the last request */
	struct via_opener opener; /* its 'user' is this struct */
};
void broker_client_init(struct broker_client *client, int sock);
/*
 * Has the --config file read anew. Returns its text (to free()), and in 'm' what this host lacks of it; or
 * NULL with the reason in 'err'.
 */
char *broker_read_config(struct broker_client *client, size_t *size, struct mistakes *m,
			 struct via_error *err);
/* Removes the state file of a port that is gone for good. */
void broker_forget(struct broker_client *client, const char *name);
void broker_say_ready(struct broker_client *client, const char *summary);

#endif
