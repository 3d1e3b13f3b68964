/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to forward a packet from one virtqueue to another: our driver's rings on both sides,
 * the device's path in between, all in one thread, so that nothing is measured but instructions and
 * the caches of one core. Only the device's part is timed.
 *
 *   forward                      all cases
 *   forward -f packed -l 64 -m   one: packed rings, frames of 64 bytes, mergeable buffers
 *   forward -n 100 …             so many bursts of 64 and no warm-up, for callgrind:
 *     valgrind --tool=callgrind --toggle-collect=forward_burst …
 *
 * Prints one line a case: nanoseconds and TSC cycles a packet (the least and the median of 21 runs).
 * A TSC cycle is one of the nominal clock, whatever the core does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/net.h"
#include "ring/driver_ring.h"
#include "ring/vq.h"

enum {
	RING_SIZE = 256,
	BURST = 64,
	RUNS = 21,
	RX_BUFFER = 2048,
	MAX_FRAME = VIA_FRAME_MAX,
};

struct bench_case {
	enum via_ring_format format;
	uint32_t len; /* of frames */
	bool mergeable, in_order;
	enum cut { ONE, HEADER, LINEAR, INDIRECT } cut;
};

/* How a frame to be sent is cut: not; the virtio-net header by itself; as Linux sends TCP segments, the
 * headers and then a fragment; the same in an indirect table. */
static const struct {
	const char *name;
	uint32_t first; /* bytes of the first buffer; 0: all */
	enum via_drv_form form;
} cuts[] = {
	[ONE] = { "one", 0, VIA_DRV_DIRECT },
	[HEADER] = { "header", 12, VIA_DRV_DIRECT },
	[LINEAR] = { "linear", 12 + 66, VIA_DRV_DIRECT },
	[INDIRECT] = { "indirect", 12 + 66, VIA_DRV_INDIRECT },
};

/* One queue with both its sides, and its buffers, which lie one after another. */
struct side {
	enum via_ring_format format;
	struct via_mem *mem;
	struct via_ring ring;
	struct via_vq vq;
	struct via_drv_ring drv;
	uint32_t buffer_size, nr_buffers;
	struct via_vq_net net;
	struct via_queue_stats stats;
};

static struct side tx, rx;
static struct via_burst *burst;
static struct via_lent lent;

static inline uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static void *map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	memset(at, 0, size);
	return at;
}

static void open_side(struct side *side, const struct bench_case *c, uint16_t size,
		      uint32_t buffer_size, uint32_t nr_buffers)
{
	struct via_ring_sizes sizes = via_ring_sizes(c->format, size);
	uint64_t features =
		VIA_BIT(VIRTIO_F_VERSION_1) | (c->mergeable ? VIA_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0);
	struct via_drv_config config = { .format = c->format,
					 .size = size,
					 .in_order = c->in_order };
	size_t buffers = (size_t)buffer_size * nr_buffers, tables = size * 2ul * 16;

	*side = (struct side){ .format = c->format,
			       .buffer_size = buffer_size,
			       .nr_buffers = nr_buffers,
			       .net = via_vq_net_of(features) };
	side->mem = calloc(1, sizeof(*side->mem) + sizeof(struct via_region));
	side->mem->nr_regions = 1;
	side->mem->region[0] =
		(struct via_region){ .size = buffers + tables, .host = map(buffers + tables) };
	config.tables = side->mem->region[0].host + buffers;
	config.tables_addr = buffers;
	config.table_size = 2;
	config.desc = map(sizes.desc);
	config.avail = map(sizes.avail);
	config.used = map(sizes.used);
	side->ring = (struct via_ring){ .mem = side->mem,
					.format = c->format,
					.size = size,
					.in_order = c->in_order,
					.indirect = true,
					.features = features,
					.kick_fd = -1,
					.call_fd = -1,
					.err_fd = -1,
					.enabled = true };
	if (c->format == VIA_RING_PACKED) {
		side->ring.packed.desc = config.desc;
		side->ring.packed.driver = config.avail;
		side->ring.packed.device = config.used;
	} else {
		side->ring.split.desc = config.desc;
		side->ring.split.avail = config.avail;
		side->ring.split.used = config.used;
	}
	if (via_drv_init(&side->drv, &config, NULL) < 0)
		abort();
	drv_disarm(&side->drv, c->format);
	via_vq_start(&side->vq, &side->ring, (struct via_ring_pos){ .wrap = true },
		     (struct via_ring_pos){ .wrap = true });
}

static void close_side(struct side *side)
{
	via_drv_free(&side->drv);
	munmap(side->mem->region[0].host, side->mem->region[0].size);
	free(side->mem);
}

/* Offers buffer number 'i', of which 'len' bytes are used. */
static void offer(struct side *side, uint32_t i, uint32_t len, bool writable, enum cut cut)
{
	struct via_drv_buffer b[2] = { { (uint64_t)i * side->buffer_size, len } };
	uint32_t n = 1;
	int ret;

	if (cuts[cut].first && cuts[cut].first < len) {
		b[0].len = cuts[cut].first;
		b[1] = (struct via_drv_buffer){ b[0].addr + b[0].len, len - b[0].len };
		n = 2;
	}
	ret = drv_add(&side->drv, b, writable ? 0 : n, writable ? n : 0, cuts[cut].form,
		      (void *)(uintptr_t)i, side->format);
	if (ret < 0)
		abort();
}

/* The driver's part: takes everything back and, on RX, offers it again. */
static uint32_t reap(struct side *side, bool again)
{
	struct via_drv_done done;
	uint32_t n = 0;

	for (; drv_reap(&side->drv, &done, side->format) == 1; n++)
		if (again)
			offer(side, (uint32_t)(uintptr_t)done.token, side->buffer_size, true,
			      false);
	drv_publish(&side->drv, side->format);
	return n;
}

/* What is measured. */
static __attribute__((noinline)) uint32_t forward_burst(void)
{
	struct via_view *views[BURST];
	uint32_t n = via_vq_ingress(&tx.vq, &tx.net, &lent, burst, BURST, &tx.stats);

	for (uint32_t i = 0; i < n; i++)
		views[i] = &burst->view[i];
	via_vq_egress(&rx.vq, &rx.net, views, n, 0, false, &rx.stats);
	via_vq_ingress_release(&tx.vq, &lent);
	return n;
}

static uint64_t round_trip(const struct bench_case *c, uint32_t *next)
{
	uint64_t begin;

	for (uint32_t i = 0; i < BURST; i++, *next = (*next + 1) % tx.nr_buffers)
		offer(&tx, *next, 12 + c->len, false, c->cut);
	drv_publish(&tx.drv, tx.format);
	begin = cycles();
	if (forward_burst() != BURST)
		abort();
	begin = cycles() - begin;
	reap(&tx, false);
	reap(&rx, true);
	return begin;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double ns_per_cycle(void)
{
	uint64_t us = via_clock_us(), at = cycles();

	usleep(20000);
	return (double)(via_clock_us() - us) * 1000 / (double)(cycles() - at);
}

static void open_case(const struct bench_case *c)
{
	uint32_t slot = (12 + c->len + 63) / 64 * 64, per_frame = 1, size = RX_BUFFER, slots;

	if (c->mergeable)
		per_frame = (12 + c->len + RX_BUFFER - 1) / RX_BUFFER;
	else if (slot > size)
		size = slot;
	slots = RING_SIZE;
	while (slots < BURST * per_frame)
		slots *= 2;
	open_side(&tx, c, RING_SIZE, slot, c->len > 4096 ? BURST : RING_SIZE);
	open_side(&rx, c, (uint16_t)slots, size, c->len > 4096 ? BURST * per_frame : slots);
	for (uint32_t i = 0; i < rx.nr_buffers; i++)
		offer(&rx, i, rx.buffer_size, true, ONE);
	drv_publish(&rx.drv, rx.format);
}

static void run(const struct bench_case *c, uint32_t bursts, double ns)
{
	uint32_t next = 0, per_run = c->len > 4096 ? 50 : 2000;
	double result[RUNS];

	open_case(c);
	for (uint32_t i = 0; i < bursts; i++)
		round_trip(c, &next);
	for (uint32_t r = 0; r < RUNS && bursts == 0; r++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < per_run; i++)
			sum += round_trip(c, &next);
		result[r] = (double)sum / (per_run * BURST);
	}
	if (bursts == 0) {
		qsort(result, RUNS, sizeof(result[0]), by_value);
		printf("%-6s %5u %-9s %-8s %-8s  %8.1f ns %8.1f cycles   median %8.1f cycles\n",
		       c->format == VIA_RING_PACKED ? "packed" : "split", c->len,
		       c->mergeable ? "mergeable" : "one", c->in_order ? "in-order" : "-",
		       cuts[c->cut].name, result[0] * ns, result[0], result[RUNS / 2]);
	}
	close_side(&tx);
	close_side(&rx);
}

static void run_all(double ns)
{
	static const uint32_t lens[] = { 64, 1518, 65549 };

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		for (uint32_t variant = 0; variant < 4; variant++)
			run(&(struct bench_case){ .format = variant & 1 ? VIA_RING_PACKED
									: VIA_RING_SPLIT,
						  .len = lens[i],
						  .mergeable = variant & 2 },
			    0, ns);
	for (uint32_t variant = 0; variant < 6; variant++)
		run(&(struct bench_case){ .format = variant & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT,
					  .len = 1518,
					  .mergeable = true,
					  .cut = HEADER + variant / 2 },
		    0, ns);
	run(&(struct bench_case){ .len = 64, .mergeable = true, .in_order = true }, 0, ns);
}

static enum cut cut_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		if (strcmp(name, cuts[i].name) == 0)
			return (enum cut)i;
	fprintf(stderr, "a frame is cut: one, header, linear, indirect\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct bench_case c = { .len = 0 };
	uint32_t bursts = 0;
	int opt;

	while ((opt = getopt(argc, argv, "f:l:n:mic:")) != -1) {
		switch (opt) {
		case 'f':
			c.format = strcmp(optarg, "packed") == 0 ? VIA_RING_PACKED : VIA_RING_SPLIT;
			break;
		case 'l':
			c.len = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			bursts = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			c.mergeable = true;
			break;
		case 'i':
			c.in_order = true;
			break;
		case 'c':
			c.cut = cut_of(optarg);
			break;
		default:
			fprintf(stderr,
				"usage: %s [-f split|packed] [-l bytes] [-m] [-i] [-c cut] "
				"[-n bursts]\n",
				argv[0]);
			return 2;
		}
	}
	if (c.len > MAX_FRAME || (c.len && c.len < 14)) {
		fprintf(stderr, "frames have 14 to %d bytes\n", MAX_FRAME);
		return 2;
	}
	burst = via_burst_create();
	if (!burst)
		return 1;
	if (c.len)
		run(&c, bursts, ns_per_cycle());
	else
		run_all(ns_per_cycle());
	via_burst_free(burst);
	return 0;
}
