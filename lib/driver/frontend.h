/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user front-end: finds a back-end, tells it all it must know, and notices when it is gone.
 *
 * Knows no packets and no rings: its user says which features to take, and with which memory and ring
 * addresses. Each connection is a new life of the device: rings start at 0 in fresh memory, so nothing
 * of a back-end that died, or lied, reaches the next one.
 *
 * All functions and callbacks: Thread: control.
 */
#ifndef VIA_FRONTEND_H
#define VIA_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>

struct via_frontend; /* opaque */

/* What a back-end offers. */
struct via_frontend_offer {
	uint64_t features;
	uint16_t queue_pairs; /* 1 without the MQ protocol feature */
};

/* One ring: addresses as the back-end sees them, descriptors borrowed until 'stopped'. */
struct via_frontend_ring {
	uint32_t size;
	uint32_t base; /* SET_VRING_BASE */
	uint64_t desc, avail, used;
	int kick_fd;
	int call_fd; /* -1: we poll */
};

/* What the front-end's user answers to an offer. */
struct via_frontend_setup {
	uint64_t features; /* a subset of those offered */
	int mem_fd;        /* borrowed until 'stopped' */
	uint64_t gpa;      /* where 'mem_fd' begins, for descriptors and rings alike */
	uint64_t size;     /* bytes */
	uint32_t nr_rings;
	const struct via_frontend_ring *ring; /* borrowed until 'stopped' */
};

struct via_frontend_ops {
	/* A back-end is there. Returns 0 with 'setup' filled in, or a negative errno with the reason:
	 * it is disconnected then, and tried again later. */
	int (*setup)(void *user, const struct via_frontend_offer *offer,
		     struct via_frontend_setup *setup, struct via_error *err);
	/* It has been told everything: the rings run. */
	void (*started)(void *user);
	/* After a successful 'setup', started or not: it is gone, and nothing of 'setup' is used any
	 * more. */
	void (*stopped)(void *user);
	/* As in struct via_driver_events; NULL: sockets are opened here. */
	int (*open_socket)(void *user, const char *path, bool server, struct via_error *err);
	void (*unlink_socket)(void *user, const char *path);
};

struct via_frontend_config {
	const char *name;                   /* copied: of the port, for logs */
	const char *path;                   /* copied */
	bool server;                        /* the back-end connects to us */
	const struct via_frontend_ops *ops; /* borrowed */
	void *user;
};

/* Begins to connect or listen. Only what can never work (a path that is too long, a directory that is
 * missing or taken in server mode) is an error. */
int via_frontend_open(struct via_frontend **frontend, struct via_loop *loop,
		      const struct via_frontend_config *config, struct via_error *err);

/* Drops the connection because the back-end broke a rule; tries again after a pause. */
void via_frontend_restart(struct via_frontend *frontend, const char *why);

/* Stops the rings if they run (waits for the back-end's answers for up to half a second), disconnects,
 * frees, and calls 'closed(user)'. 'stopped' comes before. */
void via_frontend_close(struct via_frontend *frontend, void (*closed)(void *user), void *user);

/* What happens now, for people: "connected", "waiting for …", and why the last connection ended. */
const char *via_frontend_state(const struct via_frontend *frontend);
const char *via_frontend_reason(const struct via_frontend *frontend); /* "" if there is none */

#endif
