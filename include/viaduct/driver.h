/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side: a virtio-net driver over a vhost-user front-end, as a guest's kernel and its VMM
 * would be together, with packet memory of its own (a sealed memfd that it shares with the back-end).
 *
 * Control opens it and gets events; workers exchange packets in bursts of views.
 */
#ifndef VIADUCT_DRIVER_H
#define VIADUCT_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>
#include <viaduct/stats.h>
#include <viaduct/view.h>

#ifdef __cplusplus
extern "C" {
#endif

struct via_driver; /* opaque */
enum via_driver_mode {
	VIA_DRIVER_CLIENT, /* the back-end listens; we connect, again when it went away */
	VIA_DRIVER_SERVER, /* we listen, the back-end connects */
};

struct via_driver_events {
	/* A pair began or ended to run, or has another call descriptor. */
	void (*pair_changed)(void *user, uint32_t pair);
	void (*link_changed)(void *user, bool up);
	/* As in struct via_device_events; 'server' tells whether to listen. */
	int (*open_socket)(void *user, const char *path, bool server, struct via_error *err);
	void (*unlink_socket)(void *user, const char *path);
	/* A memfd (consumed) of 'size' bytes for rings and buffers, sealed at that. NULL: it is made here. */
	int (*create_memory)(void *user, uint64_t size, struct via_error *err);
};

/* Zero means "the default". */
struct via_driver_config {
	const char *name; /* for logs; copied */
	const char *path; /* copied */
	enum via_driver_mode mode;
	uint16_t queue_pairs;  /* asked for; fewer if the back-end has fewer. 0: 1 */
	uint16_t queue_size;   /* slots of each ring; 0: 256 */
	uint64_t features_off; /* mask of virtio features not to accept */
	bool polling;          /* never asks for interrupts */
	const struct via_driver_events *events; /* borrowed while the driver lives */
	void *user;
};

/* Creates the driver and starts to connect (or listen). Nobody there yet is no error: it is tried
 * again. Thread: control. */
int via_driver_open(struct via_driver **driver, struct via_loop *loop,
		    const struct via_driver_config *config, struct via_error *err);

/* Stops its queues, disconnects, and frees it once no worker can be in it; then 'closed(user)'. */
void via_driver_close(struct via_driver *driver, void (*closed)(void *user), void *user);

int via_driver_call_fd(const struct via_driver *driver,
		       uint32_t pair); /* as via_device_kick_fd() */
bool via_driver_pair_runs(const struct via_driver *driver, uint32_t pair);
/* How many pairs run: all of them or none. Thread: any. */
uint32_t via_driver_pairs(const struct via_driver *driver);
uint64_t via_driver_features(const struct via_driver *driver); /* negotiated; 0: no back-end yet */
void via_driver_describe(struct via_driver *driver,
			 void (*line)(void *user, const char *key, const char *value), void *user);

/* ---- data path, Thread: worker; as in viaduct/device.h, seen from the switch: what the back-end sent
 * to us is ingress, what we send to it is egress ---- */
uint32_t via_driver_ingress(struct via_driver *driver, uint32_t pair, struct via_burst *burst,
			    uint32_t max, struct via_queue_stats *stats);
void via_driver_ingress_release(struct via_driver *driver, uint32_t pair, uint32_t undelivered);
uint32_t via_driver_egress(struct via_driver *driver, uint32_t pair, struct via_view *const *views,
			   uint32_t n, bool keep, struct via_queue_stats *stats);
bool via_driver_arm(struct via_driver *driver, uint32_t pair);
void via_driver_disarm(struct via_driver *driver, uint32_t pair);

#ifdef __cplusplus
}
#endif
#endif
