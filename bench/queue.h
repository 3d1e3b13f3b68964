/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtqueue with both its sides in one thread: our driver, our device, and buffers that lie as
 * DPDK's do: the frame begins at a cache line, the virtio-net header right before it.
 *
 * Our device gives buffers back in the order in which it took them, so the driver's buffers go round:
 * 'next' is the one to offer next, whatever came back.
 */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "net/net.h"
#include "ring/driver_ring.h"
#include "ring/vq.h"

#define BENCH_HEADER 12 /* bytes of virtio_net_hdr */

/* How a buffer is cut into descriptors. */
struct bench_form {
	const char *name;
	uint32_t first, rest; /* bytes of the first, and at most of each other one */
	enum via_drv_form layout;
};

enum bench_form_number {
	BENCH_ONE, /* not */
	BENCH_HEADER_APART,
	BENCH_LINEAR,    /* as Linux sends: the headers, then one fragment */
	BENCH_INDIRECT,  /* the same in a table */
	BENCH_FRAGMENTS, /* as Linux sends 64 KiB: the headers, then fragments of 32 KiB */
	BENCH_PAGES,     /* as Linux receives 64 KiB without mergeable buffers: a table of pages */
	BENCH_NR_FORMS,
};
extern const struct bench_form bench_forms[BENCH_NR_FORMS];

struct bench_queue_config {
	enum via_ring_format format;
	uint64_t features;
	bool in_ring_order; /* the driver takes descriptors in the ring's order, promised or not */
	enum via_direction direction;
	enum bench_form_number form;
	uint16_t size;       /* slots */
	uint32_t nr_buffers; /* not more chains than fit */
	uint32_t buffer_len; /* bytes, header included */
};

struct bench_queue {
	struct via_vq vq;
	struct via_ring ring;
	struct via_vq_net net;
	struct via_queue_stats stats;
	struct via_drv_ring drv;
	struct bench_queue_config config;
	struct via_mem *mem; /* one region, which has these: */
	struct bench_places {
		uint64_t desc, avail, used, tables, buffers, size; /* size: of all */
	} at;
	uint32_t stride; /* bytes from one buffer to the next */
	uint32_t next;   /* buffer to offer */
	uint32_t held;   /* buffers that the driver has */
	uint64_t kicks;  /* wanted: so that no decision is left out */
};

void bench_queue_open(struct bench_queue *queue, const struct bench_queue_config *config);
void bench_queue_close(struct bench_queue *queue); /* accepts a zeroed one */

/* Buffer number 'i', which begins with the header. */
uint8_t *bench_queue_buffer(const struct bench_queue *queue, uint32_t i);

/* The driver's parts of a burst: offers the next 'n' buffers, publishes, asks whether to kick; takes back
 * what there is, and returns how many buffers. */
void bench_queue_add(struct bench_queue *queue, uint32_t n);
uint32_t bench_queue_reap(struct bench_queue *queue);

#endif
