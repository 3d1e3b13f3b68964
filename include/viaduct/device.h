/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a vhost-user socket: a virtio-net device for one VM or container.
 *
 * Control opens it, gets events by callback, and closes it. Workers exchange packets with its queues
 * in bursts of views (viaduct/view.h). Queue 2k is what the guest receives on pair k (RX), 2k + 1 what
 * it sends (TX), as in VIRTIO; a *pair* names both.
 */
#ifndef VIADUCT_DEVICE_H
#define VIADUCT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>
#include <viaduct/stats.h>
#include <viaduct/view.h>

#ifdef __cplusplus
extern "C" {
#endif

struct via_device; /* opaque */

#define VIA_DEVICE_MAX_PAIRS 128 /* 127 where the device serves the control queue */

enum via_device_mode {
	VIA_DEVICE_SERVER, /* we listen, one front-end at a time is served */
	VIA_DEVICE_CLIENT, /* the front-end listens; we connect, and again when it went away */
};

/* Callbacks, all on the control thread, in terms of the model. NULL ones are not called. */
struct via_device_events {
	/* A pair began or ended to run, or its kick descriptor is another one now: look at the pair once
	 * without waiting for a kick. */
	void (*pair_changed)(void *user, uint32_t pair);
	/* A front-end came (true) or went (false), or DRIVER_OK, MTU or offloads changed. */
	void (*link_changed)(void *user, bool up);
	/* The front-end asks to announce this MAC on the network (after migration). */
	void (*announce)(void *user, const uint8_t mac[6]);
	/* One connection attempt (client) must be made, or a listening socket (server): return the
	 * descriptor (owned by the device) or a negative errno. NULL: the device opens 'path' itself. */
	int (*open_socket)(void *user, const char *path, enum via_device_mode mode,
			   struct via_error *err);
	/* The device has closed its listening socket; remove its path. NULL: it does so itself. */
	void (*unlink_socket)(void *user, const char *path);
};

/* Zero means "the default", so an initialiser names only what differs. */
struct via_device_config {
	const char *name; /* for logs; copied */
	const char *path; /* of the UNIX socket, at most 107 bytes; copied */
	enum via_device_mode mode;
	uint16_t queue_pairs;  /* 1 to VIA_DEVICE_MAX_PAIRS; 0: 1 */
	uint64_t features_off; /* mask of virtio features not to offer */
	bool inband;           /* offer in-band notifications */
	bool control_queue;    /* offer the control queue (front-ends without a VMM need it) */
	bool sealed_only;      /* refuse memory that could be truncated (memory: sealed) */
	uint16_t mtu;          /* offered as VIRTIO_NET_F_MTU; 0: not offered */
	bool has_mac;
	uint8_t mac[6]; /* of the guest's interface, offered as VIRTIO_NET_F_MAC */
	int state_fd;   /* file for queue positions, at least via_device_state_size() bytes; taken
				 over on success; 0: none, positions end with the process */
	const struct via_device_events *events; /* borrowed while the device lives */
	void *user;                             /* borrowed: handed back to callbacks */
};

/* Bytes of the position file of a device with 'queue_pairs' pairs. */
uint64_t via_device_state_size(uint16_t queue_pairs);

/*
 * Creates a device and starts to listen or connect. In client mode nobody listening yet is no error:
 * it is tried again with back-off (100 ms to 2 s). Returns 0, or a negative errno with the reason in
 * 'err'. Thread: control. The caller owns the device and ends it with via_device_close().
 */
int via_device_open(struct via_device **device, struct via_loop *loop,
		    const struct via_device_config *config, struct via_error *err);

/* Disconnects, stops every queue; when no worker can be in it any more frees it and calls
 * 'closed(user)' (may be NULL). Accepts NULL. Thread: control. */
void via_device_close(struct via_device *device, void (*closed)(void *user), void *user);

/* The descriptor that tells of new packets from the guest on 'pair' (edge-triggered, never read by
 * the caller), or -1: poll. While only RX runs it is RX's, so that nobody polls for what cannot come.
 * Thread: control. */
int via_device_kick_fd(const struct via_device *device, uint32_t pair);

/* Whether RX or TX of the pair runs. Thread: any. */
bool via_device_pair_runs(const struct via_device *device, uint32_t pair);

/*
 * Asks the guest to announce itself (gratuitous ARP), as after a change of the network behind it.
 * Returns 0, or -EOPNOTSUPP where the driver or the front-end cannot be told (VIRTIO 1.3 §5.1.6.5.4:
 * VIRTIO_NET_F_GUEST_ANNOUNCE; vhost-user: BACKEND_CONFIG_CHANGE_MSG). Thread: control.
 */
int via_device_announce(struct via_device *device);

/* For 'show': calls 'line(user, key, value)' for each fact: peer, features, memory, queues, what broke. */
void via_device_describe(struct via_device *device,
			 void (*line)(void *user, const char *key, const char *value), void *user);

/* ---- data path, Thread: worker ---- */

/* Lends up to 'max' views of what the guest sent on 'pair'; give them back with the release before
 * the next call. One worker at a time. 'stats' takes the drops decided here. */
uint32_t via_device_ingress(struct via_device *device, uint32_t pair, struct via_burst *burst,
			    uint32_t max, struct via_queue_stats *stats);
/* Ends the loan; the last 'undelivered' views come again with a later burst. */
void via_device_ingress_release(struct via_device *device, uint32_t pair, uint32_t undelivered);

/* Which pair a packet of this flow hash goes to: the one on which the guest last sent that flow, else
 * by hash among the enabled ones. -1 if none runs. */
int via_device_steer(struct via_device *device, uint32_t flow);
/* Remembers that the guest sends 'flow' on 'pair'. */
void via_device_steer_learn(struct via_device *device, uint32_t flow, uint32_t pair);

/* Whether the guest's receive filter (MAC, promiscuous, multicast, VLAN) wants the frame. */
bool via_device_wants(struct via_device *device, const struct via_view *view);

/* Copies views to the guest's RX queue of 'pair'; each is delivered or counted in 'stats' as dropped;
 * with 'keep' it stops where the queue is full. Returns how many were dealt with. Any worker. */
uint32_t via_device_egress(struct via_device *device, uint32_t pair, struct via_view *const *views,
			   uint32_t n, bool keep, struct via_queue_stats *stats);

/* Sleeping on TX of 'pair': ask for kicks and look once more (true: there is work); or stop asking. */
bool via_device_arm(struct via_device *device, uint32_t pair);
void via_device_disarm(struct via_device *device, uint32_t pair);

#ifdef __cplusplus
}
#endif
#endif
