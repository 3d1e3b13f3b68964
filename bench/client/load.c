/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/client/load.h"

#include <string.h>

#include "base/base.h"
#include "net/header.h"

/* ---- receiving ---- */

/* Counts the frame that begins in this buffer, reading its first line. */
static via_always_inline void see_frame(struct port *port, const uint8_t *buffer)
{
	uint16_t num_buffers;
	uint64_t mark;

	memcpy(&num_buffers, buffer + offsetof(struct via_net_hdr, num_buffers), 2);
	memcpy(&mark, buffer + FRAME_HEADER + FRAME_MARK, sizeof(mark));
	port->rest = num_buffers > 1 ? num_buffers - 1u : 0;
	if (via_likely(mark == port->partner_mark))
		port->count.received++;
	else
		port->count.others++;
}

static via_always_inline void see_frames(struct port *port, const struct via_hand *hand, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *buffer = port->rx_buffers + (size_t)hand[i].id * port->rx_stride;

		if (via_unlikely(port->rest > 0))
			port->rest--;
		else
			see_frame(port, buffer);
	}
}

static void read_all(struct port *port, const struct via_hand *hand, uint32_t n)
{
	uint64_t read = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *buffer = port->rx_buffers + (size_t)hand[i].id * port->rx_stride;

		for (uint32_t at = 0; at < hand[i].len; at += VIA_CACHE_LINE) {
			uint64_t word;

			memcpy(&word, buffer + at, sizeof(word));
			read += word;
		}
	}
	port->read += read;
}

static via_always_inline uint32_t receive(struct port *port, enum via_ring_format format)
{
	const struct client_config *config = port->config;
	struct via_hand hand[CLIENT_MAX_BURST];
	uint32_t n = standing_reap(&port->rx, hand, (uint32_t)config->burst, format);

	if (n == 0)
		return 0;
	if (config->touch == CLIENT_TOUCH_ALL)
		read_all(port, hand, n);
	if (config->touch == CLIENT_TOUCH_NONE)
		port->count.received += n;
	else
		see_frames(port, hand, n);
	standing_post(&port->rx, hand, n, format);
	drv_publish(&port->rx.ring, format);
	return n;
}

/* How long the frames took that came since there were 'before': none was lost or overtaken. */
static void note_latencies(const struct port *partner, const struct port *port, uint64_t before)
{
	uint64_t now = via_cycles();

	for (uint64_t i = before; i < port->count.received; i++)
		latency_add(port->latency, now - partner->sent_at[i & partner->sent_at_mask]);
}

/* ---- sending ---- */

static void note_sent(struct port *port, uint32_t n)
{
	uint64_t now = via_cycles();

	for (uint32_t i = 0; i < n; i++)
		port->sent_at[(port->count.sent + i) & port->sent_at_mask] = now;
}

/* Takes back what the back-end has sent, as much as fits before the end of 'hand'. */
static via_always_inline void reap(struct port *port, enum via_ring_format format)
{
	uint32_t at = port->hand_end & port->hand_mask;

	port->hand_end +=
		standing_reap(&port->tx, &port->hand[at], port->hand_mask + 1 - at, format);
}

/* Sends up to 'want' frames: as many as are in hand without a break. */
static via_always_inline uint32_t send(struct port *port, uint32_t want,
				       enum via_ring_format format)
{
	uint32_t at = port->hand_begin & port->hand_mask, n;

	if (port->hand_end - port->hand_begin < want)
		reap(port, format);
	n = via_min_u(via_min_u(want, port->hand_end - port->hand_begin), port->hand_mask + 1 - at);
	if (n == 0)
		return 0;
	if (via_unlikely(port->sent_at != NULL))
		note_sent(port, n);
	standing_post(&port->tx, &port->hand[at], n, format);
	drv_publish(&port->tx.ring, format);
	port->hand_begin += n;
	port->count.sent += n;
	port->flying += n;
	return n;
}

/* What is due of the open loop; what the ring has no room for is refused. */
static via_always_inline uint32_t send_due(const struct load *load, struct port *port, uint64_t now,
					   enum via_ring_format format)
{
	uint64_t due = (uint64_t)((double)(now - load->begin) * load->frames_per_cycle);
	uint32_t want, n;

	if (due <= port->scheduled)
		return 0;
	due -= port->scheduled;
	want = due < port->config->burst ? (uint32_t)due : (uint32_t)port->config->burst;
	n = send(port, want, format);
	if (n < want)
		n += send(port, want - n, format); /* behind the break */
	port->scheduled += want;
	port->count.refused += want - n;
	return n;
}

static via_always_inline uint32_t send_some(const struct load *load, struct port *port,
					    uint64_t now, enum via_ring_format format)
{
	int64_t want = (int64_t)port->config->burst;

	if (load->config->load == CLIENT_RATE)
		return send_due(load, port, now, format);
	if (load->config->load == CLIENT_CLOSED) {
		int64_t left = (int64_t)load->config->in_flight - port->flying;

		want = left < want ? left : want;
	}
	return want > 0 ? send(port, (uint32_t)want, format) : 0;
}

/* ---- turns ---- */

static via_always_inline uint32_t turn(struct load *load, uint64_t now, enum via_ring_format format)
{
	uint32_t moved = 0;

	for (uint32_t i = 0; i < load->nr_ports; i++) {
		struct port *port = &load->port[i];

		if (load->config->receives) {
			struct port *partner = &load->port[port->partner];
			uint64_t before = port->count.received;

			moved += receive(port, format);
			partner->flying -= (int64_t)(port->count.received - before);
			if (via_unlikely(partner->sent_at != NULL))
				note_latencies(partner, port, before);
		}
		if (load->sending)
			moved += send_some(load, port, now, format);
	}
	return moved;
}

static void kick_all(struct load *load)
{
	for (uint32_t i = 0; i < load->nr_ports; i++)
		port_kick(&load->port[i]);
}

static void rest(const struct load *load)
{
	for (uint64_t i = 0; i < load->config->pause; i++)
		via_relax();
}

static via_always_inline void run(struct load *load, uint64_t until, enum via_ring_format format)
{
	uint64_t now = via_cycles();

	while (now < until) {
		uint64_t begin = now;
		bool idle = turn(load, now, format) == 0;

		if (idle || load->turns % CLIENT_KICK_TURNS == 0)
			kick_all(load);
		if (idle)
			rest(load);
		now = via_cycles();
		if (now - begin > load->longest)
			continue;
		load->turns++;
		load->idle_turns += idle;
		if (idle)
			load->idle_cycles += now - begin;
		else
			load->busy_cycles += now - begin;
	}
}

static __attribute__((noinline)) void run_split(struct load *load, uint64_t until)
{
	run(load, until, VIA_RING_SPLIT);
}

static __attribute__((noinline)) void run_packed(struct load *load, uint64_t until)
{
	run(load, until, VIA_RING_PACKED);
}

void load_run(struct load *load, uint64_t until)
{
	if (load->config->packed)
		run_packed(load, until);
	else
		run_split(load, until);
}

static via_always_inline bool send_one(struct port *port, uint64_t until,
				       enum via_ring_format format)
{
	uint32_t before = port->hand_end;

	send(port, 1, format);
	port_kick(port);
	while (port->hand_end == before && via_cycles() < until && !port->tx.ring.broken)
		reap(port, format);
	return port->hand_end != before;
}

bool load_send_one(struct port *port, uint64_t until)
{
	return port->config->packed ? send_one(port, until, VIA_RING_PACKED)
				    : send_one(port, until, VIA_RING_SPLIT);
}
