/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/rings.h"

#include <stdlib.h>

#include "bench/core.h"
#include "net/header.h"
#include "net/wire.h"

enum {
	RING_SIZE = 256,
	RX_BUFFER = BENCH_HEADER + 2048,
	LONG = 4096,       /* bytes: no more buffers of such frames than a burst needs */
	RUNS = 21,         /* of about RUN_BYTES each */
	RUN_BYTES = 64000, /* about so many in a run */
	RUN_BURSTS_MIN = 4,
	RUNS_IN_A_PLACE = 3,
	WARM_UP = 8, /* bursts */
	TCP_HEADERS = VIA_ETH_SIZE + VIA_IPV4_SIZE + VIA_TCP_SIZE,
	MSS = 1460,
};

const struct rings_path rings_paths[RINGS_NR_PATHS] = {
	/* clang-format off */
	{ "split mergeable",               VIA_RING_SPLIT,  true,  false, false },
	{ "split non-mergeable",           VIA_RING_SPLIT,  false, false, false },
	{ "split batched",                 VIA_RING_SPLIT,  false, false, true },
	{ "split in-order mergeable",      VIA_RING_SPLIT,  true,  true,  false },
	{ "split in-order non-mergeable",  VIA_RING_SPLIT,  false, true,  false },
	{ "packed mergeable",              VIA_RING_PACKED, true,  false, false },
	{ "packed non-mergeable",          VIA_RING_PACKED, false, false, false },
	{ "packed batched",                VIA_RING_PACKED, false, true,  true },
	{ "packed in-order mergeable",     VIA_RING_PACKED, true,  true,  false },
	{ "packed in-order non-mergeable", VIA_RING_PACKED, false, true,  false },
	/* clang-format on */
};

const struct rings_frame rings_frames[RINGS_NR_FRAMES] = {
	{ "64", 64, false },
	{ "256", 256, false },
	{ "512", 512, false },
	{ "1518", 1518, false },
	{ "9000", 9000, false },
	{ "64K GSO", TCP_HEADERS + 44 * MSS, true }, /* as many segments as Linux makes of it */
};

/* ---- setting up ---- */

static uint64_t features_of(const struct rings_case *what)
{
	return VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VIRTIO_NET_F_CSUM) |
	       VIA_BIT(VIRTIO_NET_F_HOST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |
	       VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) |
	       (what->path->mergeable ? VIA_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0) |
	       (what->path->in_order ? VIA_BIT(VIRTIO_F_IN_ORDER) : 0) |
	       (what->event_idx ? VIA_BIT(VIRTIO_F_EVENT_IDX) : 0);
}

static struct bench_queue_config queue_config(const struct rings_case *what)
{
	return (struct bench_queue_config){
		.format = what->path->format,
		.features = features_of(what),
		.in_ring_order = what->path->in_order || what->path->batched,
		.size = RING_SIZE,
		.nr_buffers = what->frame.len > LONG ? VIA_BURST : RING_SIZE,
		.buffer_len = BENCH_HEADER + what->frame.len,
	};
}

static void open_tx(struct rings *r)
{
	struct bench_queue_config config = queue_config(&r->what);

	config.direction = VIA_READABLE;
	config.form =
		r->what.form == BENCH_ONE && r->what.frame.gso ? BENCH_FRAGMENTS : r->what.form;
	bench_queue_open(&r->tx, &config);
}

static void open_rx(struct rings *r)
{
	struct bench_queue_config config = queue_config(&r->what);

	config.direction = VIA_WRITABLE;
	if (r->what.path->mergeable) {
		const uint32_t per_frame = (config.buffer_len + RX_BUFFER - 1) / RX_BUFFER;

		config.buffer_len = RX_BUFFER;
		config.nr_buffers *= per_frame;
		while (config.size < config.nr_buffers)
			config.size *= 2;
	} else if (r->what.frame.gso) {
		config.form = BENCH_PAGES;
	} else if (config.buffer_len < RX_BUFFER) {
		config.buffer_len = RX_BUFFER;
	}
	bench_queue_open(&r->rx, &config);
}

/* A TCP segment from the station at port 0 to that at port 1, with the header that sends it as it is or
 * asks to have it cut. */
static void write_frame(uint8_t *at, const struct rings_frame *frame)
{
	const uint8_t macs[] = BENCH_MACS(1);
	const uint32_t ip_len = frame->len - VIA_ETH_SIZE;
	const uint8_t rest[] = {
		8,
		0, /* IPv4 */
		0x45,
		0,
		(uint8_t)(ip_len >> 8),
		(uint8_t)ip_len,
		0,
		0,
		0,
		0,
		64,
		VIA_PROTO_TCP,
		0,
		0, /* the checksum: nobody judges it */
		10,
		0,
		0,
		200,
		10,
		0,
		0,
		1,
		0x10,
		0,
		0x10,
		1,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0x50,
		0x10,
		0xff,
		0xff,
	};
	const struct via_net_hdr asks = {
		.flags = VIA_HDR_NEEDS_CSUM,
		.gso_type = VIA_HDR_GSO_TCPV4,
		.hdr_len = htole16(TCP_HEADERS),
		.gso_size = htole16(MSS),
		.csum_start = htole16(VIA_ETH_SIZE + VIA_IPV4_SIZE),
		.csum_offset = htole16(VIA_TCP_CHECKSUM),
	};

	if (frame->gso)
		memcpy(at, &asks, BENCH_HEADER);
	memcpy(at + BENCH_HEADER, macs, sizeof(macs));
	memcpy(at + BENCH_HEADER + sizeof(macs), rest,
	       via_min_u(sizeof(rest), frame->len - (uint32_t)sizeof(macs)));
}

static void round_trip(struct rings *r, rings_run *run, uint32_t n, double spent[RINGS_NR_PARTS]);

static struct rings *rings_open(const struct rings_case *what)
{
	struct rings *r = bench_alloc(sizeof(*r));
	double spent[RINGS_NR_PARTS] = { 0 };

	r->what = *what;
	r->core = bench_core_open(&rings_port_ops, r, 0);
	r->burst = r->core->pass->burst;
	r->view = r->core->pass->view;
	open_tx(r);
	open_rx(r);
	for (uint32_t i = 0; i < r->tx.config.nr_buffers; i++)
		write_frame(bench_queue_buffer(&r->tx, i), &what->frame);
	if (!what->operation->sends) { /* views that it can receive */
		bench_queue_add(&r->tx, VIA_BURST);
		if (via_vq_ingress(&r->tx.vq, &r->tx.net, &r->lent, r->burst, VIA_BURST,
				   &r->tx.stats) != VIA_BURST)
			abort();
	}
	if (!what->path->batched) /* bursts begin anywhere */
		round_trip(r, what->operation->run, 1, spent);
	return r;
}

static void rings_close(struct rings *r)
{
	/* What was dropped would make it cheap. */
	if (r->what.operation->receives && via_counter_read(&r->rx.stats.packets) != r->packets)
		abort();
	bench_queue_close(&r->tx);
	bench_queue_close(&r->rx);
	bench_core_close(r->core);
	bench_free(r);
}

/* ---- running ---- */

/* Adds to 'spent' the cycles of the driver that offers, the device, the driver that takes back. */
static void round_trip(struct rings *r, rings_run *run, uint32_t n, double spent[RINGS_NR_PARTS])
{
	const struct rings_operation *operation = r->what.operation;
	uint64_t t[RINGS_NR_PARTS + 1];

	t[0] = via_cycles();
	if (operation->sends)
		bench_queue_add(&r->tx, n);
	if (operation->receives)
		bench_queue_add(&r->rx, r->rx.held);
	t[1] = via_cycles();
	if (run(r, n) != n)
		abort();
	t[2] = via_cycles();
	if (operation->sends)
		bench_queue_reap(&r->tx);
	if (operation->receives)
		bench_queue_reap(&r->rx);
	t[3] = via_cycles();
	for (int i = 0; i < RINGS_NR_PARTS; i++)
		spent[i] += (double)(t[i + 1] - t[i]);
	r->packets += n;
}

static void warm_up(struct rings *r)
{
	double spent[RINGS_NR_PARTS] = { 0 };

	for (uint32_t i = 0; i < WARM_UP; i++)
		round_trip(r, r->what.operation->run, VIA_BURST, spent);
}

/* A case being measured. Its memory moves every few runs (bench_alloc()). */
struct repeated {
	const struct rings_case *what;
	struct rings *rings;
	uint32_t runs, bursts; /* so far; in each */
};

static void move(struct repeated *repeated)
{
	if (repeated->rings)
		rings_close(repeated->rings);
	repeated->rings = rings_open(repeated->what);
	warm_up(repeated->rings);
}

static void run_once(void *user, double *sample)
{
	struct repeated *repeated = user;
	double spent[RINGS_NR_PARTS] = { 0 };

	if (repeated->runs++ % RUNS_IN_A_PLACE == 0)
		move(repeated);
	for (uint32_t i = 0; i < repeated->bursts; i++)
		round_trip(repeated->rings, repeated->what->operation->run, VIA_BURST, spent);
	for (int i = 0; i < RINGS_NR_PARTS; i++)
		sample[i] = spent[i] / (repeated->bursts * VIA_BURST);
}

struct rings_cost rings_measure(const struct rings_case *what)
{
	struct repeated repeated = { .what = what, .bursts = RUN_BYTES / what->frame.len };
	struct rings_cost cost;

	if (repeated.bursts < RUN_BURSTS_MIN)
		repeated.bursts = RUN_BURSTS_MIN;
	bench_repeat(run_once, &repeated, cost.part, RINGS_NR_PARTS);
	rings_close(repeated.rings);
	return cost;
}

/* A name for the tool that counts; extern, so that it is not inlined away. */
uint32_t rings_counted(struct rings *rings, uint32_t n);
__attribute__((noinline)) uint32_t rings_counted(struct rings *r, uint32_t n)
{
	return r->what.operation->run(r, n);
}

void rings_count_end(void);
__attribute__((noinline)) void rings_count_end(void)
{
	__asm__ volatile("");
}

void rings_count(const struct rings_case *what)
{
	struct rings *r = rings_open(what);
	double spent[RINGS_NR_PARTS] = { 0 };

	warm_up(r);
	for (uint32_t i = 0; i < RINGS_COUNTED / VIA_BURST; i++)
		round_trip(r, rings_counted, VIA_BURST, spent);
	rings_count_end();
	rings_close(r);
}

/* ---- choosing ---- */

static uint32_t each_frame(const struct rings_filter *filter, struct rings_case *what,
			   void (*each)(void *user, const struct rings_case *what), void *user)
{
	uint32_t n = 0;

	if (filter->len) {
		what->frame = (struct rings_frame){ .name = "", .len = filter->len };
		each(user, what);
		return 1;
	}
	for (; n < RINGS_NR_FRAMES; n++) {
		what->frame = rings_frames[n];
		each(user, what);
	}
	return n;
}

uint32_t rings_each(const struct rings_filter *filter,
		    void (*each)(void *user, const struct rings_case *what), void *user)
{
	struct rings_case what = { .form = filter->form, .event_idx = filter->event_idx };
	uint32_t n = 0;

	for (uint32_t k = 0; k < RINGS_NR_OPERATIONS; k++) {
		what.operation = &rings_operations[k];
		if (filter->operation && strcmp(filter->operation, what.operation->name) != 0)
			continue;
		for (uint32_t i = 0; i < RINGS_NR_PATHS; i++) {
			what.path = &rings_paths[i];
			if (!filter->path || strstr(what.path->name, filter->path))
				n += each_frame(filter, &what, each, user);
		}
	}
	return n;
}
