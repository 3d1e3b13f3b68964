/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/client/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "net/header.h"
#include "net/net.h"

enum { RX, TX };                          /* indices of 'ring' */
enum { SENT_AT = 4 * VIA_RING_MAX_SIZE }; /* more frames than can be on their way */
enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };

/* Where the shared memory begins for the back-end. */
#define GPA UINT64_C(0x100000000)

/* ---- features ---- */

struct feature {
	uint8_t number;
	const char *name;
	bool wanted;
};

/* All that is wanted must be there: a figure has to be of what was asked for. */
static int choose_features(const struct client_config *config, uint64_t offered, uint64_t *features,
			   struct via_error *err)
{
	const struct feature all[] = {
		{ VIRTIO_F_VERSION_1, "VIRTIO 1", true },
		{ VIRTIO_F_RING_PACKED, "packed rings (--packed)", config->packed },
		{ VIRTIO_F_IN_ORDER, "IN_ORDER (--in-order)", config->in_order },
		{ VIRTIO_NET_F_MRG_RXBUF, "mergeable buffers (--no-mergeable)", config->mergeable },
		{ VIRTIO_F_INDIRECT_DESC, "indirect tables (--indirect)", config->indirect },
		{ VIRTIO_F_EVENT_IDX, "EVENT_IDX (--event-idx)", config->event_idx },
		{ VIRTIO_NET_F_CSUM, "checksum offload (--gso)", config->gso },
		{ VIRTIO_NET_F_GUEST_CSUM, "guest checksum offload (--gso)", config->gso },
		{ VIRTIO_NET_F_HOST_TSO4, "segmentation offload (--gso)", config->gso },
		{ VIRTIO_NET_F_GUEST_TSO4, "guest segmentation offload (--gso)", config->gso },
	};

	*features = 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i].wanted)
			continue;
		if (!via_has(offered, all[i].number))
			return via_fail(err, -ENOTSUP, "it does not offer %s", all[i].name);
		*features |= VIA_BIT(all[i].number);
	}
	return 0;
}

/* ---- memory ---- */

struct layout {
	uint64_t desc, avail, used, tables, buffers; /* offsets */
};

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static uint64_t take(struct port *port, uint64_t size)
{
	uint64_t at = port->size;

	port->size = round_up(at + size, PAGE);
	return at;
}

/* Whole lines, an odd number of them, so that buffers begin in all sets of a cache. */
static uint32_t stride_of(uint64_t bytes)
{
	uint32_t lines = (uint32_t)((bytes + VIA_CACHE_LINE - 1) / VIA_CACHE_LINE);

	return (lines | 1) * VIA_CACHE_LINE;
}

static enum via_ring_format format_of(const struct client_config *config)
{
	return config->packed ? VIA_RING_PACKED : VIA_RING_SPLIT;
}

static struct layout lay_out(struct port *port, uint64_t table_size, uint64_t buffers_size)
{
	uint32_t size = (uint32_t)port->config->ring_size;
	struct via_ring_sizes sizes = via_ring_sizes(format_of(port->config), size);
	struct layout l;

	l.desc = take(port, sizes.desc);
	l.avail = take(port, sizes.avail);
	l.used = take(port, sizes.used);
	l.tables = take(port, table_size * size * sizeof(struct via_desc_words));
	l.buffers = take(port, buffers_size);
	return l;
}

static int make_memory(struct port *port, struct via_error *err)
{
	const bool huge = port->config->hugepages;

	if (huge)
		port->size = round_up(port->size, HUGE_PAGE);
	port->mem_fd = memfd_create("viaduct-bench",
				    MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0));
	if (port->mem_fd < 0 || ftruncate(port->mem_fd, (off_t)port->size) < 0 ||
	    fcntl(port->mem_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return via_fail(err, -errno, "cannot make %llu bytes of shared memory: %s",
				(unsigned long long)port->size, strerror(errno));
	port->base = mmap(NULL, port->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			  port->mem_fd, 0);
	if (port->base == MAP_FAILED) {
		port->base = NULL;
		return via_fail(err, -errno, "cannot map %llu bytes of %smemory: %s",
				(unsigned long long)port->size, huge ? "huge pages' " : "",
				strerror(errno));
	}
	return 0;
}

/* ---- rings ---- */

static int make_ring(struct port *port, struct via_standing *st, uint32_t index,
		     const struct layout *l, uint16_t nr_slots, uint32_t table_size,
		     struct via_error *err)
{
	const struct via_drv_config config = {
		.format = format_of(port->config),
		.size = (uint16_t)port->config->ring_size,
		.event_idx = port->config->event_idx,
		.in_order = port->config->in_order,
		.desc = port->base + l->desc,
		.avail = port->base + l->avail,
		.used = port->base + l->used,
		.tables = table_size ? port->base + l->tables : NULL,
		.tables_addr = GPA + l->tables,
		.table_size = table_size,
	};
	int kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret;

	port->ring[index] = (struct via_frontend_ring){
		.size = config.size,
		/* Packed: slot 0 in the first lap, in both halves. */
		.base = config.format == VIA_RING_PACKED ? 0x80008000 : 0,
		.desc = GPA + l->desc,
		.avail = GPA + l->avail,
		.used = GPA + l->used,
		.kick_fd = kick_fd,
		.call_fd = -1,
	};
	if (kick_fd < 0)
		return via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	ret = via_standing_init(st, &config, nr_slots, err);
	if (ret < 0)
		return ret;
	if (config.format == VIA_RING_PACKED)
		drv_disarm(&st->ring, VIA_RING_PACKED);
	else
		drv_disarm(&st->ring, VIA_RING_SPLIT);
	return 0;
}

static void post_rx(struct port *port, uint64_t buffers)
{
	struct via_standing *st = &port->rx;
	const enum via_ring_format format = format_of(port->config);

	for (uint32_t i = 0; i < st->nr_chains; i++) {
		const struct via_drv_buffer buffer = {
			.addr = GPA + buffers + (uint64_t)i * port->rx_stride,
			.len = (uint32_t)port->config->rx_buffer,
		};
		const struct via_hand hand = { .id = i };

		via_standing_set(st, i, &buffer, 0, 1, VIA_DRV_DIRECT);
		if (format == VIA_RING_PACKED)
			standing_post(st, &hand, 1, VIA_RING_PACKED);
		else
			standing_post(st, &hand, 1, VIA_RING_SPLIT);
	}
	if (format == VIA_RING_PACKED)
		drv_publish(&st->ring, VIA_RING_PACKED);
	else
		drv_publish(&st->ring, VIA_RING_SPLIT);
}

/* How a frame at 'addr' is cut into descriptors: not; the virtio-net header by itself; as Linux sends TCP
 * segments, virtio-net header, headers, and the payload in equal parts. */
static void cut_frame(const struct port *port, uint64_t addr, struct via_drv_buffer *buf)
{
	const struct frame_spec spec = port_frame(port, 0);
	uint32_t left = FRAME_HEADER + spec.size, n = (uint32_t)port->config->cut;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = left / (n - i);

		if (i == 0 && n > 1)
			len = FRAME_HEADER;
		else if (i == 1 && n > 2)
			len = frame_headers(&spec);
		buf[i] = (struct via_drv_buffer){ addr, len };
		addr += len;
		left -= len;
	}
}

static int make_tx(struct port *port, uint64_t frames, struct via_error *err)
{
	const struct frame_spec spec = port_frame(port, port_receiver(port));
	const uint32_t cut = (uint32_t)port->config->cut;
	struct via_standing *st = &port->tx;
	struct via_drv_buffer buf[CLIENT_MAX_CUT];
	uint32_t capacity = 1;

	while (capacity < st->nr_chains)
		capacity *= 2;
	port->hand = calloc(capacity, sizeof(*port->hand));
	if (!port->hand)
		return via_fail(err, -ENOMEM, "no memory for %u chains", capacity);
	port->hand_mask = capacity - 1;
	if (port->config->latency) {
		port->sent_at = calloc(SENT_AT, sizeof(*port->sent_at));
		if (!port->sent_at)
			return via_fail(err, -ENOMEM, "no memory for %d moments", SENT_AT);
		port->sent_at_mask = SENT_AT - 1;
	}
	port->hand_end = st->nr_chains;
	for (uint32_t i = 0; i < st->nr_chains; i++) {
		uint64_t offset = (uint64_t)i * port->tx_stride;

		frame_write(port->tx_frames + offset, &spec);
		cut_frame(port, GPA + frames + offset, buf);
		via_standing_set(st, i, buf, cut, 0,
				 port->config->indirect ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT);
		port->hand[i].id = i * st->nr_slots;
	}
	return 0;
}

static int make_rings(struct port *port, struct via_error *err)
{
	const struct client_config *config = port->config;
	const uint16_t nr_slots = config->indirect ? 1 : (uint16_t)config->cut;
	const uint32_t table_size = config->indirect ? (uint32_t)config->cut : 0;
	struct layout rx, tx;
	int ret;

	port->rx_stride = stride_of(config->rx_buffer);
	port->tx_stride = stride_of(FRAME_HEADER +
				    (config->size > CLIENT_SMALL ? config->size : CLIENT_SMALL));
	rx = lay_out(port, 0, config->ring_size * port->rx_stride);
	tx = lay_out(port, table_size, config->ring_size / nr_slots * port->tx_stride);
	ret = make_memory(port, err);
	if (ret < 0)
		return ret;
	port->rx_buffers = port->base + rx.buffers;
	port->tx_frames = port->base + tx.buffers;
	ret = make_ring(port, &port->rx, RX, &rx, 1, 0, err);
	if (ret == 0)
		ret = make_ring(port, &port->tx, TX, &tx, nr_slots, table_size, err);
	if (ret < 0)
		return ret;
	post_rx(port, rx.buffers);
	return make_tx(port, tx.buffers, err);
}

/* ---- the connection ---- */

static int on_setup(void *user, const struct via_frontend_offer *offer,
		    struct via_frontend_setup *setup, struct via_error *err)
{
	struct port *port = user;
	int ret;

	if (port->stopped)
		return via_fail(err, -ECANCELED, "it came back");
	ret = choose_features(port->config, offer->features, &port->features, err);
	if (ret == 0)
		ret = make_rings(port, err);
	if (ret < 0) {
		port->stopped = true;
		via_fail(&port->why, 0, "%s", err->text);
		return ret;
	}
	*setup = (struct via_frontend_setup){
		.features = port->features,
		.mem_fd = port->mem_fd,
		.gpa = GPA,
		.size = port->size,
		.nr_rings = 2,
		.ring = port->ring,
	};
	return 0;
}

static void tell(int fd)
{
	const uint64_t one = 1;

	/* A full eventfd tells as well. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void on_started(void *user)
{
	struct port *port = user;

	tell(port->ring[RX].kick_fd); /* of buffers that were posted before anybody could be told */
	port->started = true;
}

static void on_stopped(void *user)
{
	struct port *port = user;

	port->stopped = true;
	via_fail(&port->why, 0,
		 port->started ? "it has closed the connection" : "it does not start the queues");
}

static const struct via_frontend_ops frontend_ops = {
	.setup = on_setup,
	.started = on_started,
	.stopped = on_stopped,
};

void port_init(struct port *port, const struct client_config *config, uint32_t number)
{
	*port = (struct port){
		.config = config,
		.number = number,
		.partner = config->sends && config->receives && config->nr_ports > 1 ? number ^ 1
										     : number,
		.mem_fd = -1,
		.ring = { { .kick_fd = -1 }, { .kick_fd = -1 } },
	};
}

int port_open(struct port *port, struct via_loop *loop, struct via_error *err)
{
	const struct via_frontend_config frontend = {
		.name = "bench",
		.path = port->config->socket[port->number],
		.server = port->config->listens,
		.ops = &frontend_ops,
		.user = port,
	};

	return via_frontend_open(&port->frontend, loop, &frontend, err);
}

static void on_closed(void *user)
{
	struct port *port = user;

	port->closed = true;
}

void port_close(struct port *port)
{
	if (port->frontend)
		via_frontend_close(port->frontend, on_closed, port);
	else
		port->closed = true;
}

void port_free(struct port *port)
{
	for (uint32_t i = 0; i < 2; i++)
		if (port->ring[i].kick_fd >= 0)
			close(port->ring[i].kick_fd);
	via_standing_free(&port->rx);
	via_standing_free(&port->tx);
	free(port->hand);
	free(port->sent_at);
	if (port->base)
		munmap(port->base, port->size);
	if (port->mem_fd >= 0)
		close(port->mem_fd);
}

/* ---- questions ---- */

struct frame_spec port_frame(const struct port *port, uint32_t to)
{
	return (struct frame_spec){
		.size = (uint32_t)port->config->size,
		.from = port->number,
		.to = to,
		.gso = port->config->gso,
	};
}

uint32_t port_receiver(const struct port *port)
{
	if (port->config->flood || port->partner == port->number)
		return FRAME_TO_NOBODY;
	return port->partner;
}

uint32_t port_room(const struct port *port)
{
	uint64_t bytes = FRAME_HEADER + port->config->size, one = port->config->rx_buffer;

	return (uint32_t)(port->config->ring_size / ((bytes + one - 1) / one));
}

static bool wants_kick(struct via_drv_ring *ring)
{
	return ring->format == VIA_RING_PACKED ? drv_wants_kick(ring, VIA_RING_PACKED)
					       : drv_wants_kick(ring, VIA_RING_SPLIT);
}

void port_kick(struct port *port)
{
	if (wants_kick(&port->rx.ring))
		tell(port->ring[RX].kick_fd);
	if (wants_kick(&port->tx.ring))
		tell(port->ring[TX].kick_fd);
}
