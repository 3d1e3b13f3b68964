/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/queue.h"

#include <stdlib.h>

#include "bench/measure.h"

enum {
	LINE = VIA_CACHE_LINE,
	TCP_HEADERS = 66, /* Ethernet, IPv4, TCP with timestamps */
	PAGE = 4096,
	TABLE_SIZE = 18, /* the header, and 64 KiB in pages */
};

const struct bench_form bench_forms[BENCH_NR_FORMS] = {
	[BENCH_ONE] = { "one", UINT32_MAX, 0, VIA_DRV_DIRECT },
	[BENCH_HEADER_APART] = { "header", BENCH_HEADER, UINT32_MAX, VIA_DRV_DIRECT },
	[BENCH_LINEAR] = { "linear", BENCH_HEADER + TCP_HEADERS, UINT32_MAX, VIA_DRV_DIRECT },
	[BENCH_INDIRECT] = { "indirect", BENCH_HEADER + TCP_HEADERS, UINT32_MAX, VIA_DRV_INDIRECT },
	[BENCH_FRAGMENTS] = { "fragments", BENCH_HEADER + TCP_HEADERS, 8 * PAGE, VIA_DRV_DIRECT },
	[BENCH_PAGES] = { "pages", BENCH_HEADER, PAGE, VIA_DRV_INDIRECT },
};

/* ---- setting up ---- */

static uint64_t pages(uint64_t size)
{
	return (size + PAGE - 1) / PAGE * PAGE;
}

/* As a driver lays its memory out: the ring's parts begin pages of their own. */
static struct bench_places places(const struct bench_queue_config *config, uint32_t stride)
{
	const struct via_ring_sizes sizes = via_ring_sizes(config->format, config->size);
	struct bench_places at = { .desc = 0 };

	at.avail = pages(sizes.desc);
	at.used = at.avail + pages(sizes.avail);
	at.tables = at.used + pages(sizes.used);
	at.buffers = at.tables +
		     pages(config->size * TABLE_SIZE * (uint64_t)sizeof(struct via_desc_words));
	at.size = at.buffers + (uint64_t)stride * config->nr_buffers;
	return at;
}

static struct via_mem *one_region(uint64_t size)
{
	struct via_mem *mem = bench_alloc(sizeof(*mem) + sizeof(struct via_region));

	mem->nr_regions = 1;
	mem->region[0] = (struct via_region){ .size = size, .host = bench_alloc(size) };
	return mem;
}

static uint8_t *host(const struct bench_queue *q, uint64_t at)
{
	return q->mem->region[0].host + at;
}

static void start_driver(struct bench_queue *q)
{
	const struct via_drv_config config = {
		.format = q->config.format,
		.size = q->config.size,
		.event_idx = q->ring.event_idx,
		.in_order = q->config.in_ring_order,
		.desc = host(q, q->at.desc),
		.avail = host(q, q->at.avail),
		.used = host(q, q->at.used),
		.tables = host(q, q->at.tables),
		.tables_addr = q->at.tables,
		.table_size = TABLE_SIZE,
	};

	if (via_drv_init(&q->drv, &config, NULL) < 0)
		abort();
	drv_disarm(&q->drv, q->config.format);
}

static void start_device(struct bench_queue *q)
{
	const struct via_ring_pos begin = { .wrap = q->config.format == VIA_RING_PACKED };
	void *desc = host(q, q->at.desc), *avail = host(q, q->at.avail);
	void *used = host(q, q->at.used);

	if (q->config.format == VIA_RING_PACKED) {
		q->ring.packed.desc = desc;
		q->ring.packed.driver = avail;
		q->ring.packed.device = used;
	} else {
		q->ring.split.desc = desc;
		q->ring.split.avail = avail;
		q->ring.split.used = used;
	}
	via_vq_start(&q->vq, &q->ring, begin, begin);
}

void bench_queue_open(struct bench_queue *q, const struct bench_queue_config *config)
{
	const uint32_t stride = (LINE + config->buffer_len - BENCH_HEADER + LINE - 1) / LINE * LINE;
	const struct bench_places at = places(config, stride);

	*q = (struct bench_queue){
		.config = *config,
		.net = via_vq_net_of(config->features),
		.stride = stride,
		.held = config->nr_buffers,
		.at = at,
		.mem = one_region(at.size),
	};
	q->ring = (struct via_ring){
		.mem = q->mem,
		.format = config->format,
		.size = config->size,
		.event_idx = via_has(config->features, VIRTIO_F_EVENT_IDX),
		.in_order = via_has(config->features, VIRTIO_F_IN_ORDER),
		.indirect = true,
		.features = config->features,
		.kick_fd = -1,
		.call_fd = -1,
		.enabled = true,
	};
	start_driver(q);
	start_device(q);
}

void bench_queue_close(struct bench_queue *q)
{
	via_drv_free(&q->drv);
	if (q->mem)
		bench_free(q->mem->region[0].host);
	bench_free(q->mem);
	*q = (struct bench_queue){ .held = 0 };
}

/* Where buffer number 'i' begins, for the device. */
static uint64_t address(const struct bench_queue *q, uint32_t i)
{
	return q->at.buffers + (uint64_t)i * q->stride + LINE - BENCH_HEADER;
}

uint8_t *bench_queue_buffer(const struct bench_queue *q, uint32_t i)
{
	return host(q, address(q, i));
}

/* ---- the driver, compiled once for each format ---- */

static via_always_inline void add_next(struct bench_queue *q, const struct bench_form *form,
				       enum via_ring_format format)
{
	const bool readable = q->config.direction == VIA_READABLE;
	struct via_drv_buffer part[TABLE_SIZE];
	uint64_t at = address(q, q->next);
	uint32_t left = q->config.buffer_len, size = form->first, n = 0;

	for (; left > 0; size = form->rest) {
		size = via_min_u(size, left);
		part[n++] = (struct via_drv_buffer){ at, size };
		at += size;
		left -= size;
	}
	if (drv_add(&q->drv, part, readable ? n : 0, readable ? 0 : n, form->layout, q, format) < 0)
		abort();
	if (++q->next == q->config.nr_buffers)
		q->next = 0;
}

static via_always_inline void add(struct bench_queue *q, uint32_t n, enum via_ring_format format)
{
	const struct bench_form *form = &bench_forms[q->config.form];

	assert(n <= q->held);
	for (uint32_t i = 0; i < n; i++)
		add_next(q, form, format);
	drv_publish(&q->drv, format);
	q->kicks += drv_wants_kick(&q->drv, format);
	q->held -= n;
}

static via_always_inline uint32_t reap(struct bench_queue *q, enum via_ring_format format)
{
	struct via_drv_done done;
	uint32_t n = 0;

	while (drv_reap(&q->drv, &done, format) > 0)
		n++;
	q->held += n;
	return n;
}

void bench_queue_add(struct bench_queue *q, uint32_t n)
{
	if (q->config.format == VIA_RING_PACKED)
		add(q, n, VIA_RING_PACKED);
	else
		add(q, n, VIA_RING_SPLIT);
}

uint32_t bench_queue_reap(struct bench_queue *q)
{
	return q->config.format == VIA_RING_PACKED ? reap(q, VIA_RING_PACKED)
						   : reap(q, VIA_RING_SPLIT);
}
