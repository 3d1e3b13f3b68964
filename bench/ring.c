/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a virtqueue itself costs: our driver and our device in one thread, nothing copied, nothing
 * switched. The driver adds a burst, the device takes it and gives it back, the driver reaps it; each
 * of these three parts is timed.
 *
 *   bench-ring                   all cases
 *   bench-ring -f packed -k 2    one: packed, chains of two buffers (0: a table of two)
 *   bench-ring -n 100 …          so many bursts and no more, for callgrind:
 *     valgrind --tool=callgrind --toggle-collect=device_burst_split …
 *
 * Prints TSC cycles a chain, the least of 21 runs: what the code costs when nobody disturbs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/driver_ring.h"
#include "ring/vq.h"

enum {
	SIZE = 256,
	BURST = 32,
	RUNS = 21,
	BURSTS = 2000, /* a run */
	BUFFER = 2048,
	TABLE_SIZE = 2,
	MEMORY = 4 << 20,
	TABLES = 64 << 10,
	DATA = 1 << 20,
};

struct bench_case {
	enum via_ring_format format;
	bool event_idx, in_order;
	uint32_t buffers; /* of a chain; 0: two, in an indirect table */
};

/* One queue with both its sides. */
struct queue {
	struct bench_case what;
	struct via_drv_ring drv;
	struct via_ring ring;
	struct via_vq vq;
	struct via_mem *mem;
	uint8_t *memory;
	uint64_t told; /* so that no decision is left out */
};

static inline uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
#endif
}

/* ---- the three parts, once for each format ---- */

static via_always_inline void driver_adds(struct queue *q, enum via_ring_format format)
{
	uint32_t n = q->what.buffers ? q->what.buffers : TABLE_SIZE;
	enum via_drv_form form = q->what.buffers ? VIA_DRV_DIRECT : VIA_DRV_INDIRECT;

	for (uint32_t i = 0; i < BURST; i++) {
		uint64_t at = DATA + i * BUFFER;
		struct via_drv_buffer buf[2] = { { at, 12 }, { at + 12, 64 } };

		if (drv_add(&q->drv, buf, n, 0, form, q, format) < 0)
			abort();
	}
	drv_publish(&q->drv, format);
	q->told += drv_wants_kick(&q->drv, format);
}

static via_always_inline void device_serves(struct queue *q, enum via_ring_format format)
{
	const struct via_ring *ring = vq_ring(&q->vq);
	struct via_batch_entry entry[BURST];
	struct via_seg seg[2 * BURST];
	struct via_chain chain;
	uint32_t n = 0;

	vq_prefetch(&q->vq, ring, BURST, format);
	while (n < BURST) {
		n += vq_pop_singles(&q->vq, ring, seg + n, entry + n, BURST - n, VIA_READABLE,
				    format);
		if (n == BURST ||
		    vq_pop(&q->vq, ring, &chain, seg + n, ARRAY_SIZE(seg) - n, format) <= 0)
			break;
		entry[n++] = (struct via_batch_entry){ 0, chain.id, chain.nr_slots };
	}
	if (n != BURST)
		abort();
	vq_push_burst(&q->vq, ring, entry, n, format);
	vq_publish(&q->vq, ring, format);
	q->told += vq_wants_call(&q->vq, ring, format);
}

static via_always_inline void driver_reaps(struct queue *q, enum via_ring_format format)
{
	struct via_drv_done done;
	uint32_t n = 0;

	while (drv_reap(&q->drv, &done, format) > 0)
		n++;
	if (n != BURST)
		abort();
}

struct parts {
	void (*add)(struct queue *q);
	void (*serve)(struct queue *q);
	void (*reap)(struct queue *q);
};

#define PARTS(name, format)                                                        \
	static __attribute__((noinline)) void add_burst_##name(struct queue *q)    \
	{                                                                          \
		driver_adds(q, format);                                            \
	}                                                                          \
	static __attribute__((noinline)) void device_burst_##name(struct queue *q) \
	{                                                                          \
		device_serves(q, format);                                          \
	}                                                                          \
	static __attribute__((noinline)) void reap_burst_##name(struct queue *q)   \
	{                                                                          \
		driver_reaps(q, format);                                           \
	}
PARTS(split, VIA_RING_SPLIT)
PARTS(packed, VIA_RING_PACKED)

static const struct parts parts[] = {
	[VIA_RING_SPLIT] = { add_burst_split, device_burst_split, reap_burst_split },
	[VIA_RING_PACKED] = { add_burst_packed, device_burst_packed, reap_burst_packed },
};

/* ---- setting up ---- */

static void queue_open(struct queue *q, const struct bench_case *what)
{
	struct via_ring_pos pos = { .wrap = what->format == VIA_RING_PACKED };
	struct via_drv_config config = {
		.format = what->format,
		.size = SIZE,
		.event_idx = what->event_idx,
		.in_order = what->in_order,
	};

	*q = (struct queue){ .what = *what };
	q->memory = aligned_alloc(4096, MEMORY);
	q->mem = calloc(1, sizeof(*q->mem) + sizeof(struct via_region));
	if (!q->memory || !q->mem)
		abort();
	memset(q->memory, 0, MEMORY);
	q->mem->nr_regions = 1;
	q->mem->region[0] = (struct via_region){ .size = MEMORY, .host = q->memory };
	config.desc = q->memory;
	config.avail = q->memory + (16 << 10);
	config.used = q->memory + (32 << 10);
	config.tables = q->memory + TABLES;
	config.tables_addr = TABLES;
	config.table_size = TABLE_SIZE;
	if (via_drv_init(&q->drv, &config, NULL) < 0)
		abort();
	q->ring = (struct via_ring){
		.mem = q->mem,
		.format = what->format,
		.size = SIZE,
		.event_idx = what->event_idx,
		.in_order = what->in_order,
		.indirect = true,
		.kick_fd = -1,
		.call_fd = -1,
		.err_fd = -1,
	};
	if (what->format == VIA_RING_PACKED) {
		q->ring.packed.desc = config.desc;
		q->ring.packed.driver = config.avail;
		q->ring.packed.device = config.used;
	} else {
		q->ring.split.desc = config.desc;
		q->ring.split.avail = config.avail;
		q->ring.split.used = config.used;
	}
	via_vq_start(&q->vq, &q->ring, pos, pos);
}

static void queue_close(struct queue *q)
{
	via_vq_stop(&q->vq);
	via_drv_free(&q->drv);
	free(q->memory);
	free(q->mem);
}

/* ---- measuring ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void measure(const struct bench_case *what, uint32_t bursts, uint32_t runs)
{
	const struct parts *part = &parts[what->format];
	uint64_t best[3] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	static struct queue q;

	queue_open(&q, what);
	for (uint32_t run = 0; run < runs; run++) {
		uint64_t sum[3] = { 0 };

		for (uint32_t i = 0; i < bursts; i++) {
			uint64_t t[4];

			t[0] = cycles();
			part->add(&q);
			t[1] = cycles();
			part->serve(&q);
			t[2] = cycles();
			part->reap(&q);
			t[3] = cycles();
			for (int k = 0; k < 3; k++)
				sum[k] += t[k + 1] - t[k];
		}
		for (int k = 0; k < 3; k++)
			best[k] = least(best[k], sum[k]);
	}
	printf("%-6s  event_idx %-3s  in_order %-3s  %-9s  driver adds %5.1f  device %5.1f  driver "
	       "reaps %5.1f\n",
	       what->format == VIA_RING_PACKED ? "packed" : "split", what->event_idx ? "on" : "off",
	       what->in_order ? "on" : "off",
	       what->buffers == 0   ? "table"
	       : what->buffers == 1 ? "1 buffer"
				    : "2 buffers",
	       (double)best[0] / bursts / BURST, (double)best[1] / bursts / BURST,
	       (double)best[2] / bursts / BURST);
	queue_close(&q);
}

static void measure_all(void)
{
	for (uint32_t i = 0; i < 24; i++) {
		struct bench_case what = {
			.format = i / 12 ? VIA_RING_PACKED : VIA_RING_SPLIT,
			.event_idx = i / 6 % 2,
			.in_order = i / 3 % 2,
			.buffers = (i + 1) % 3,
		};

		measure(&what, BURSTS, RUNS);
	}
}

int main(int argc, char **argv)
{
	struct bench_case what = { .event_idx = true, .buffers = 1 };
	uint32_t bursts = BURSTS, runs = RUNS;
	int option;

	if (argc == 1)
		measure_all();
	while ((option = getopt(argc, argv, "f:k:n:i")) >= 0) {
		switch (option) {
		case 'f':
			what.format =
				strcmp(optarg, "packed") == 0 ? VIA_RING_PACKED : VIA_RING_SPLIT;
			break;
		case 'k':
			what.buffers = (uint32_t)atoi(optarg) % 3;
			break;
		case 'n':
			bursts = (uint32_t)atoi(optarg);
			runs = 1;
			break;
		case 'i':
			what.in_order = true;
			break;
		default:
			fprintf(stderr, "usage: bench-ring [-f split|packed] [-k 0|1|2] [-i] [-n "
					"bursts]\n");
			return 1;
		}
	}
	if (argc > 1)
		measure(&what, bursts, runs);
	return 0;
}
