/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/driver: we are a virtio-net driver, and what a VMM is for a guest's driver.
 *
 *   frontend.c    the vhost-user connection       handshake.c  what is said on it
 *   net_driver.c  struct via_driver: negotiation, one life after the other, events
 *   life.c        one connection's memory and queues, laid out in one sealed memfd
 *   rx.c          packets from the back-end       tx.c         packets to it
 *
 * May use base, mem, ring, net, and of vhost the wire protocol (message.h). Called by port.
 *
 * The back-end is not trusted (VQ-D-07, VD-06): it can write all of the shared memory at any time. Ring
 * state is kept privately by lib/ring; buffers are lent as views, whose snapshots are taken once; lengths
 * are checked against what was offered. A back-end that breaks a rule loses its connection.
 *
 * This header: one life's queues, between life.c, rx.c, tx.c and net_driver.c.
 */
#ifndef VIA_DRIVER_QUEUE_H
#define VIA_DRIVER_QUEUE_H

#include "driver/frontend.h"
#include "net/net.h"
#include "ring/driver_ring.h"

#define DRV_STRIDE \
	2112 /* bytes of a buffer: 33 lines, so that buffers begin in all sets of a cache */
/* Without mergeable buffers, with segmentation offloads (virtio-net.md §4), in whole lines. */
#define DRV_BIG_STRIDE 65664
/* Slots of the longest frame, and entries of an indirect table. */
#define DRV_MAX_SLOTS ((VIA_FRAME_MAX + 20 + DRV_STRIDE - 1) / DRV_STRIDE)

/* Why a life must end. */
enum drv_trouble {
	DRV_FINE,
	DRV_BAD_USED,    /* a used element that cannot be (VQ-D-07) */
	DRV_BAD_KICK,    /* a kick descriptor that cannot be written (R19) */
	DRV_BAD_BUFFERS, /* a frame said to be in more buffers than were used (VD-06) */
};

struct drv_life;

/* What both kinds of queue have; constant while the life is published. */
struct drv_queue {
	struct drv_life *life;
	uint8_t *buffer;      /* the first one, mapped here */
	uint64_t buffer_addr; /* where the back-end finds it */
	uint32_t stride;      /* bytes from one to the next: their size */
	uint32_t nr_buffers;
	uint32_t header_size;
	uint32_t offloads; /* VIA_OFFLOAD_*: of RX what it may ask of us, of TX what it takes */
	int kick_fd, call_fd;
};

/* A frame taken from the ring: its first buffer; 'next' of struct drv_rx leads to the others. */
struct drv_frame {
	uint16_t first;
	uint16_t nr_buffers;
	uint32_t len; /* with the header */
};

/* What the back-end sends to us. Writer: the worker that serves the pair. */
struct drv_rx {
	struct drv_queue q;
	bool mergeable;
	struct via_drv_ring ring;
	struct drv_frame frame[VIA_BURST]; /* taken and not yet given back, in order */
	uint32_t nr_frames;
	uint32_t nr_lent;              /* of them, in the caller's views */
	struct via_queue_stats *stats; /* of the burst */
	uint16_t *next;                /* nr_buffers: the next buffer of the frame */
	uint32_t *used;                /* nr_buffers: bytes that the back-end has written */
} via_cache_aligned;

/* What we send to the back-end. Writer: the worker that holds 'lock'. */
struct drv_tx {
	struct drv_queue q;
	bool indirect;
	atomic_flag lock;
	struct via_drv_ring ring;
	uint16_t *free; /* nr_free buffers, the last used on top: likely to be in the cache */
	uint32_t nr_free;
	uint16_t *next; /* nr_buffers: the next buffer of the chain */
} via_cache_aligned;

/* One connection. Made by control, published, unpublished, freed after a grace period. */
struct drv_life {
	uint64_t features;
	enum via_ring_format format;
	uint16_t queue_size;
	uint16_t nr_pairs;
	struct drv_rx *rx; /* nr_pairs */
	struct drv_tx *tx;
	_Atomic(enum drv_trouble) trouble; /* workers, once; read by control */
	int trouble_fd;                    /* borrowed: wakes control */

	int mem_fd;
	uint8_t *base;
	uint64_t size;
	struct via_frontend_ring *ring; /* 2 * nr_pairs */
};

/* ---- life.c; Thread: control ---- */

/* Where the shared memory begins for the back-end. Not our address: that is nobody's business. */
#define DRV_GPA UINT64_C(0x100000000)

struct drv_life_config {
	uint64_t features; /* negotiated */
	uint16_t nr_pairs;
	uint16_t queue_size;
	bool polling; /* no call descriptors */
	int trouble_fd;
	/* Makes the shared memory: see struct via_driver_events. */
	int (*create_memory)(void *user, uint64_t size, struct via_error *err);
	void *user;
};

/* Makes the memory and the queues, and posts all RX buffers. */
int drv_life_create(struct drv_life **life, const struct drv_life_config *config,
		    struct via_error *err);
void drv_life_free(struct drv_life *life); /* accepts NULL and half-built ones */

/* ---- rx.c, tx.c; Thread: worker ---- */

/* Ends a life, once: nothing more comes of its queues, and control is woken. Thread: any. */
via_cold void drv_fail(struct drv_life *life, enum drv_trouble why);

static inline bool drv_is_fine(const struct drv_life *life)
{
	return atomic_load_explicit(&life->trouble, memory_order_relaxed) == DRV_FINE;
}

/* Tells the back-end to look at the queue. */
void drv_kick(struct drv_queue *q);

/* Offers buffer 'i' to the back-end (not yet published). */
void drv_rx_post(struct drv_rx *rx, uint16_t i);
/* Publishes what was posted; kicks if the back-end wants that. */
void drv_rx_publish(struct drv_rx *rx);

uint32_t drv_rx_burst(struct drv_rx *rx, struct via_burst *burst, uint32_t max,
		      struct via_queue_stats *stats);
void drv_rx_release(struct drv_rx *rx, uint32_t undelivered);
/* Asks for interrupts, then looks once more: true if there is work after all. Or asks for none. */
bool drv_rx_arm(struct drv_rx *rx);
void drv_rx_disarm(struct drv_rx *rx);
uint32_t drv_tx_burst(struct drv_tx *tx, struct via_view *const *views, uint32_t n, bool keep,
		      struct via_queue_stats *stats);

#endif
