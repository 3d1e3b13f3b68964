/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port type 'tap': a network interface of the kernel whose other end is the switch.
 *
 *   tap.c       open, close, describe; what is negotiated with the kernel
 *   tap_link.c  its MTU and state, as somebody changes them with ip(8)
 *   tap_in.c    frames from the kernel       tap_out.c   frames to the kernel
 *
 * Both directions carry a virtio_net_hdr of TAP_HDR_SIZE bytes, so that a 64 KiB TCP segment crosses as
 * one frame (reference exception-path.md §1.3, §1.4).
 */
#ifndef VIA_PORT_TAP_H
#define VIA_PORT_TAP_H

#include <net/if.h>
#include <pthread.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/batch.h"
#include "port/port.h"
#include "port/stash.h"

#define TAP_HDR_SIZE 12

struct tap_out; /* tap_out.c: what a frame is made ready in */

struct tap_queue {
	int fd; /* -1: not open */
	/* worker */
	bool drained;    /* the last read found nothing */
	bool lent_again; /* what is lent comes from 'stash'; else it was read */
	uint32_t lent;
	struct port_stash stash;
	/* Guards 'out' and port.transmit of the queue. Held over system calls in which the kernel may
	 * run its whole stack, so a waiting worker sleeps. Taken alone. */
	pthread_mutex_t lock;
	struct tap_out *out;
};

struct tap {
	struct via_port port;
	char ifname[IFNAMSIZ];
	uint32_t takes;        /* VIA_OFFLOAD_* in frames that we write; constant */
	uint32_t gives;        /* VIA_OFFLOAD_* that frames which we read may need; constant */
	_Atomic(uint32_t) mtu; /* of the interface; control writes, workers read */
	int nowait_error;      /* 0: it can be asked not to wait; else why not; constant */
	bool gone;             /* the interface was removed; control */
	int link_fd;           /* netlink, -1: none */
	struct via_watch *link_watch;
	struct tap_queue queue[]; /* port.nr_queues */
};

static inline struct tap *tap_of(struct via_port *port)
{
	return via_container_of(port, struct tap, port);
}

/* Whether the calling thread can read or write several frames in a call. */
static inline bool tap_can_batch(const struct tap *tap)
{
	return tap->nowait_error == 0 && via_batch_ready();
}

/* writev() with flags (RWF_…): one system call for both, lest a sandbox must allow two. */
static inline ssize_t tap_write(int fd, const struct iovec *iov, int nr_iov, int flags)
{
	return pwritev2(fd, iov, nr_iov, -1, flags);
}

/* ---- tap_link.c, Thread: control ---- */

/* Begins to follow the interface. Without permission to do so it is as it was at the start. */
void tap_link_start(struct tap *tap);
void tap_link_stop(struct tap *tap);

/* ---- tap_in.c, Thread: the queue's worker ---- */

uint32_t tap_ingress(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t max);
void tap_release(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t undelivered);
bool tap_arm(struct via_port *port, uint32_t q);
void tap_disarm(struct via_port *port, uint32_t q);

/* ---- tap_out.c ---- */

struct tap_out *tap_out_create(void);   /* NULL without memory. Thread: control */
void tap_out_free(struct tap_out *out); /* accepts NULL */

uint32_t tap_egress(struct via_port *port, struct via_view *const *views, uint32_t n,
		    bool keep); /* Thread: any worker */

#endif
