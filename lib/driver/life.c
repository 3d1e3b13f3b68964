/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection's memory and queues.
 *
 * All that the back-end sees is in one memfd, sealed at its size: rings first, then buffers, queue
 * after queue. Each life has a new one, so a back-end that kept the mapping of an earlier life reaches
 * nothing of this one. Pages that no packet has touched take no memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/queue.h"
#include "mem/mem.h"
#include "net/header.h"

/* Where a queue's parts are in the shared memory: offsets. */
struct layout {
	uint64_t desc, avail, used, tables, buffers;
};

/* Buffers of a TX queue: enough for a few of the longest frames even if the ring is short. */
#define MIN_TX_BUFFERS 512

/* ---- sizes ---- */

static bool has_guest_gso(uint64_t features)
{
	return features & (VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO6) |
			   VIA_BIT(VIRTIO_NET_F_GUEST_USO4) | VIA_BIT(VIRTIO_NET_F_GUEST_USO6));
}

static uint32_t rx_stride(uint64_t features)
{
	return !via_has(features, VIRTIO_NET_F_MRG_RXBUF) && has_guest_gso(features)
		       ? DRV_BIG_STRIDE
		       : DRV_STRIDE;
}

static uint32_t tx_buffers(const struct drv_life *life)
{
	return life->queue_size < MIN_TX_BUFFERS ? MIN_TX_BUFFERS : life->queue_size;
}

/* Takes 'size' bytes at '*end', at the beginning of a page: rings of different writers and different
 * workers share no line, and none straddles more pages than it must. */
static uint64_t take(uint64_t *end, uint64_t size)
{
	uint64_t at = *end;

	*end = (at + size + 4095) & ~UINT64_C(4095);
	return at;
}

static void lay_out(const struct drv_life *life, struct layout *l, uint64_t *end,
		    uint64_t tables_size, uint64_t buffers_size)
{
	struct via_ring_sizes sizes = via_ring_sizes(life->format, life->queue_size);

	l->desc = take(end, sizes.desc);
	l->avail = take(end, sizes.avail);
	l->used = take(end, sizes.used);
	l->tables = take(end, tables_size);
	l->buffers = take(end, buffers_size);
}

static uint64_t tables_size(const struct drv_life *life)
{
	if (!via_has(life->features, VIRTIO_F_INDIRECT_DESC))
		return 0;
	return (uint64_t)life->queue_size * DRV_MAX_SLOTS * sizeof(struct via_desc_words);
}

/* The places of RX (l[0]) and TX (l[1]) of one pair after 'end'. */
static void lay_out_pair(const struct drv_life *life, struct layout l[2], uint64_t *end)
{
	lay_out(life, &l[0], end, 0, (uint64_t)life->queue_size * rx_stride(life->features));
	lay_out(life, &l[1], end, tables_size(life), (uint64_t)tx_buffers(life) * DRV_STRIDE);
}

/* ---- memory ---- */

static int make_memory(struct drv_life *life, const struct drv_life_config *config,
		       struct via_error *err)
{
	struct layout l[2];

	for (uint32_t i = 0; i < life->nr_pairs; i++)
		lay_out_pair(life, l, &life->size);
	life->mem_fd = config->create_memory ? config->create_memory(config->user, life->size, err)
					     : via_memfd_create(life->size, err);
	if (life->mem_fd < 0)
		return life->mem_fd;
	life->base = mmap(NULL, life->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  life->mem_fd, 0);
	if (life->base == MAP_FAILED) {
		life->base = NULL;
		return via_fail(err, -errno, "cannot map %llu bytes of shared memory: %s",
				(unsigned long long)life->size, strerror(errno));
	}
	madvise(life->base, life->size, MADV_DONTDUMP);
	return 0;
}

/* ---- queues ---- */

static int make_eventfd(struct via_error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno)) : fd;
}

static int make_queue(struct drv_life *life, struct drv_queue *q, struct via_drv_ring *ring,
		      const struct layout *l, struct via_error *err)
{
	struct via_drv_config config = {
		.format = life->format,
		.size = life->queue_size,
		.event_idx = via_has(life->features, VIRTIO_F_EVENT_IDX),
		.in_order = via_has(life->features, VIRTIO_F_IN_ORDER),
		.desc = life->base + l->desc,
		.avail = life->base + l->avail,
		.used = life->base + l->used,
	};

	if (l->tables != l->buffers) {
		config.tables = life->base + l->tables;
		config.tables_addr = DRV_GPA + l->tables;
		config.table_size = DRV_MAX_SLOTS;
	}
	q->life = life;
	q->buffer = life->base + l->buffers;
	q->buffer_addr = DRV_GPA + l->buffers;
	q->header_size = via_net_header_size(life->features);
	q->kick_fd = make_eventfd(err);
	if (q->kick_fd < 0)
		return q->kick_fd;
	return via_drv_init(ring, &config, err);
}

/* What the front-end tells of a queue. */
static void describe_ring(const struct drv_life *life, const struct drv_queue *q,
			  const struct layout *l, struct via_frontend_ring *ring)
{
	*ring = (struct via_frontend_ring){
		.size = life->queue_size,
		/* Packed: slot 0 in the first lap, in both halves. */
		.base = life->format == VIA_RING_PACKED ? 0x80008000 : 0,
		.desc = DRV_GPA + l->desc,
		.avail = DRV_GPA + l->avail,
		.used = DRV_GPA + l->used,
		.kick_fd = q->kick_fd,
		.call_fd = q->call_fd,
	};
}

static int make_rx(struct drv_life *life, struct drv_rx *rx, const struct layout *l, bool polling,
		   struct via_error *err)
{
	int ret = make_queue(life, &rx->q, &rx->ring, l, err);

	if (ret < 0)
		return ret;
	rx->q.stride = rx_stride(life->features);
	rx->q.nr_buffers = life->queue_size;
	rx->q.offloads = via_offloads_of_guest(life->features);
	rx->mergeable = via_has(life->features, VIRTIO_NET_F_MRG_RXBUF);
	rx->next = calloc(rx->q.nr_buffers, sizeof(*rx->next));
	rx->used = calloc(rx->q.nr_buffers, sizeof(*rx->used));
	if (!rx->next || !rx->used)
		return via_fail(err, -ENOMEM, "no memory for a queue");
	if (!polling) {
		rx->q.call_fd = make_eventfd(err);
		if (rx->q.call_fd < 0)
			return rx->q.call_fd;
	}
	for (uint32_t i = 0; i < rx->q.nr_buffers; i++)
		drv_rx_post(rx, (uint16_t)i);
	drv_rx_publish(rx);
	return 0;
}

static int make_tx(struct drv_life *life, struct drv_tx *tx, const struct layout *l,
		   struct via_error *err)
{
	int ret = make_queue(life, &tx->q, &tx->ring, l, err);

	if (ret < 0)
		return ret;
	tx->q.stride = DRV_STRIDE;
	tx->q.nr_buffers = tx_buffers(life);
	tx->q.offloads = via_offloads_of_host(life->features);
	tx->indirect = via_has(life->features, VIRTIO_F_INDIRECT_DESC);
	tx->free = calloc(tx->q.nr_buffers, sizeof(*tx->free));
	tx->next = calloc(tx->q.nr_buffers, sizeof(*tx->next));
	if (!tx->free || !tx->next)
		return via_fail(err, -ENOMEM, "no memory for a queue");
	for (uint32_t i = 0; i < tx->q.nr_buffers; i++)
		tx->free[i] = (uint16_t)(tx->q.nr_buffers - 1 - i);
	tx->nr_free = tx->q.nr_buffers;
	return 0;
}

static void disarm(struct drv_life *life, struct via_drv_ring *ring)
{
	if (life->format == VIA_RING_PACKED)
		drv_disarm(ring, VIA_RING_PACKED);
	else
		drv_disarm(ring, VIA_RING_SPLIT);
}

static int make_pair(struct drv_life *life, uint32_t i, uint64_t *end, bool polling,
		     struct via_error *err)
{
	struct layout l[2];
	int ret;

	lay_out_pair(life, l, end);
	ret = make_rx(life, &life->rx[i], &l[0], polling, err);
	if (ret == 0)
		ret = make_tx(life, &life->tx[i], &l[1], err);
	if (ret < 0)
		return ret;
	/* Used buffers are looked for when some are needed; sleeping workers ask for interrupts. */
	disarm(life, &life->rx[i].ring);
	disarm(life, &life->tx[i].ring);
	describe_ring(life, &life->rx[i].q, &l[0], &life->ring[2 * i]);
	describe_ring(life, &life->tx[i].q, &l[1], &life->ring[2 * i + 1]);
	return 0;
}

static void *alloc_queues(uint32_t n, size_t size)
{
	void *queues = aligned_alloc(VIA_CACHE_LINE, n * size);

	if (queues)
		memset(queues, 0, n * size);
	return queues;
}

/* Descriptors that are not there are -1, so that a half-built life can be freed. */
static int make_queues(struct drv_life *life, bool polling, struct via_error *err)
{
	uint64_t end = 0;
	int ret = 0;

	life->rx = alloc_queues(life->nr_pairs, sizeof(*life->rx));
	life->tx = alloc_queues(life->nr_pairs, sizeof(*life->tx));
	life->ring = calloc(2u * life->nr_pairs, sizeof(*life->ring));
	if (!life->rx || !life->tx || !life->ring)
		return via_fail(err, -ENOMEM, "no memory for %u queue pairs", life->nr_pairs);
	for (uint32_t i = 0; i < life->nr_pairs; i++) {
		life->rx[i].q.kick_fd = life->rx[i].q.call_fd = -1;
		life->tx[i].q.kick_fd = life->tx[i].q.call_fd = -1;
	}
	for (uint32_t i = 0; ret == 0 && i < life->nr_pairs; i++)
		ret = make_pair(life, i, &end, polling, err);
	return ret;
}

/* ---- life ---- */

int drv_life_create(struct drv_life **life, const struct drv_life_config *config,
		    struct via_error *err)
{
	struct drv_life *l = malloc(sizeof(*l));
	int ret;

	if (!l)
		return via_fail(err, -ENOMEM, "no memory for queues");
	*l = (struct drv_life){
		.features = config->features,
		.format = via_has(config->features, VIRTIO_F_RING_PACKED) ? VIA_RING_PACKED
									  : VIA_RING_SPLIT,
		.queue_size = config->queue_size,
		.nr_pairs = config->nr_pairs,
		.trouble_fd = config->trouble_fd,
		.mem_fd = -1,
	};
	ret = make_memory(l, config, err);
	if (ret == 0)
		ret = make_queues(l, config->polling, err);
	if (ret < 0) {
		drv_life_free(l);
		return ret;
	}
	*life = l;
	return 0;
}

static void close_fds(const struct drv_queue *q)
{
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	if (q->call_fd >= 0)
		close(q->call_fd);
}

static void free_rx(struct drv_rx *rx)
{
	close_fds(&rx->q);
	via_drv_free(&rx->ring);
	free(rx->next);
	free(rx->used);
}

static void free_tx(struct drv_tx *tx)
{
	close_fds(&tx->q);
	via_drv_free(&tx->ring);
	free(tx->free);
	free(tx->next);
}

void drv_life_free(struct drv_life *life)
{
	if (!life)
		return;
	for (uint32_t i = 0; life->rx && life->tx && life->ring && i < life->nr_pairs; i++) {
		free_rx(&life->rx[i]);
		free_tx(&life->tx[i]);
	}
	free(life->rx);
	free(life->tx);
	free(life->ring);
	if (life->base)
		munmap(life->base, life->size);
	if (life->mem_fd >= 0)
		close(life->mem_fd);
	free(life);
}
