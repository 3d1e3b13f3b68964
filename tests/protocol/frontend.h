/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end for tests of lib/vhost: sends what it is told to, right or wrong, to a device in the same
 * process. Nothing sleeps: the device's loop is turned until nothing is due.
 *
 * Its memory is one region at GPA 0 and at FE_USER_ADDR for itself; queue i has its ring at
 * FE_RING_AT(i), buffers lie from FE_BUFFERS on.
 */
#ifndef VIA_TEST_FRONTEND_H
#define VIA_TEST_FRONTEND_H

#include <stdbool.h>
#include <viaduct/device.h>

#include "net/net.h"
#include "ring/driver_ring.h"
#include "tests/memfd.h"
#include "vhost/message.h"

#define FE_USER_ADDR   UINT64_C(0x7f0000000000)
#define FE_MEM_SIZE    (4 * MIB)
#define FE_RING_AT(i)  ((uint64_t)(i)*32 * KIB)
#define FE_AVAIL       (16 * KIB) /* from a ring's beginning: the driver area */
#define FE_USED        (24 * KIB) /* the device area */
#define FE_BUFFERS     (1 * MIB)
#define FE_BUFFER_SIZE 2048
#define FE_QUEUES      9
#define FE_RING_SIZE   64

struct fe_queue {
	int kick, call; /* eventfds; -1 */
	struct via_drv_ring drv;
	uint32_t next_buffer;
};

struct frontend {
	struct via_loop *loop;
	struct via_device *dev;
	char dir[64], path[96];
	int fd; /* connection; -1: none */
	int mem_fd;
	uint8_t *mem;
	uint64_t features, protocol; /* negotiated */
	struct fe_queue queue[FE_QUEUES];

	/* what the device's owner was told */
	uint32_t pair_changes[4], links, announcements;
	bool link;
	uint8_t announced[6];
	bool closed;

	struct via_burst *burst;
	struct via_queue_stats stats;
};

/* The device listens. 'config' may be NULL; path and callbacks are filled in. */
void fe_open(struct frontend *fe, const struct via_device_config *config);
/* Before fe_start(): memory that nobody can seal, to be truncated. */
void fe_use_unsealable_memory(struct frontend *fe);
/* Closes everything; the device must be gone then. */
void fe_close(struct frontend *fe);
/* For each case of a program: fe_open() of the front-end that is the case's state, and fe_close(). */
int fe_setup_with(void **state, const struct via_device_config *config);
int fe_setup(void **state);
int fe_teardown(void **state);
/* Opens a device where there is none. */
void fe_open_device(struct frontend *fe, const struct via_device_config *config);
/* Ends and opens the device only, as a restarted process would; 'config' as in fe_open(). */
void fe_reopen_device(struct frontend *fe, const struct via_device_config *config);

/* Runs the device's loop until nothing is due (bounded). */
void fe_turn(struct frontend *fe);

void fe_connect(struct frontend *fe);
void fe_disconnect(struct frontend *fe);

/* Sends bytes as they are, with descriptors. */
void fe_send_bytes(struct frontend *fe, const void *bytes, size_t len, const int *fds, uint32_t n);
/* Sends a message; does not turn the loop. */
void fe_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, uint32_t n);
/* 1: 'reply' is filled in; 0: there is none; -1: the device has closed the connection. */
int fe_recv(struct frontend *fe, struct vu_msg *reply);

#define FE_CLOSED (-1)
/* Sends with NEED_REPLY. Returns the acknowledgement (0: done), or FE_CLOSED. */
int fe_ack(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
	   const int *fds, uint32_t n);
int fe_ack_u64(struct frontend *fe, uint32_t request, uint64_t value);
int fe_ack_state(struct frontend *fe, uint32_t request, uint32_t index, uint32_t num);
/* For requests with a u64 reply of their own. */
uint64_t fe_get(struct frontend *fe, uint32_t request);
uint32_t fe_get_base(struct frontend *fe, uint32_t index);

/* Owner, features, protocol features (what is offered of both). */
void fe_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol);
#define FE_PROTOCOL                                                               \
	(VIA_BIT(VU_PROTOCOL_REPLY_ACK) | VIA_BIT(VU_PROTOCOL_MQ) |               \
	 VIA_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) | VIA_BIT(VU_PROTOCOL_CONFIG) | \
	 VIA_BIT(VU_PROTOCOL_BACKEND_REQ))
#define FE_ALL_PROTOCOL UINT64_MAX
#define FE_SPLIT        (VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define FE_PACKED       (FE_SPLIT | VIA_BIT(VIRTIO_F_RING_PACKED))

int fe_set_memory(struct frontend *fe);
struct vu_region fe_region(void);
/* The driver's side of a fresh ring. */
void fe_init_ring(struct frontend *fe, uint32_t i);
/* Tells all of queue 'i' but ENABLE; the ring is initialised if 'fresh'. */
void fe_setup_queue(struct frontend *fe, uint32_t i, uint32_t base, bool fresh);
int fe_set_addr(struct frontend *fe, uint32_t i);
int fe_set_notifier(struct frontend *fe, uint32_t request, uint32_t i, int fd); /* -1: NOFD */
/* connect, negotiate, memory, 'n' queues, ENABLE. */
void fe_start(struct frontend *fe, uint64_t features, uint32_t n);

/* The driver posts 'n' receive buffers on queue 2 × pair. */
void fe_post(struct frontend *fe, uint32_t pair, uint32_t n);
/* The driver sends a frame of 'len' bytes, all but the addresses of value 'fill'. */
void fe_transmit(struct frontend *fe, uint32_t pair, uint8_t fill, uint32_t len);
/* How many frames the device got from 'pair'; the first byte behind the addresses of the last one in
 * 'fill' (may be NULL). */
uint32_t fe_ingress(struct frontend *fe, uint32_t pair, uint8_t *fill);
/* The device sends a frame; true if the driver got it. */
bool fe_egress(struct frontend *fe, uint32_t pair, uint8_t fill, uint32_t len);
/* Both directions work: asserts it. */
void fe_assert_traffic(struct frontend *fe, uint32_t pair);
bool fe_was_called(struct frontend *fe, uint32_t i);

#endif
