/* SPDX-License-Identifier: BSD-3-Clause */
/* One measurement: connect, announce, warm up, measure, drain. */
#include "bench/client/client.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <viaduct/loop.h>

#include "base/base.h"
#include "bench/client/load.h"
#include "bench/measure.h"

enum {
	CONNECT_MS = 3000,
	LISTEN_MS = 20000,  /* back-ends come when they are ready */
	ANNOUNCE_MS = 5000, /* a back-end may begin to poll long after it was told */
	SETTLE_MS = 50,     /* until announcements are where they go */
	CLOSE_MS = 1000,
	SLICE_MS = 10,    /* between two looks at the connections */
	QUIET_SLICES = 5, /* without a frame: those that have not come are lost */
};

const double client_shares[] = { 0.5, 0.99, 0.999, 1 };

static volatile sig_atomic_t told_to_end;

struct client {
	const struct client_config *config;
	struct via_loop *loop;
	struct port *port;
	struct load load;
	struct latency latency;
	double cycles_per_ms;
};

/* ---- time ---- */

static uint64_t cycles_after(const struct client *c, double ms)
{
	return via_cycles() + (uint64_t)(ms * c->cycles_per_ms);
}

/* ---- back-ends ---- */

/* Hears what back-ends say; an error if one is not there any more or broke a rule. */
static int look(struct client *c, struct via_error *err)
{
	via_loop_turn(c->loop, 0);
	for (uint32_t i = 0; i < c->config->nr_ports; i++) {
		const struct port *port = &c->port[i];

		if (port->stopped)
			return via_fail(err, -ECONNRESET, "the back-end on '%s': %s",
					c->config->socket[i], port->why.text);
		if (port->rx.ring.broken || port->tx.ring.broken)
			return via_fail(err, -EPROTO,
					"the back-end on '%s' used a buffer that it was not given",
					c->config->socket[i]);
	}
	return 0;
}

static bool all_started(const struct client *c)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		if (!c->port[i].started)
			return false;
	return true;
}

static int connect_all(struct client *c, struct via_error *err)
{
	uint64_t patience_ms = c->config->listens ? LISTEN_MS : CONNECT_MS;
	uint64_t deadline = via_clock_us() + patience_ms * 1000;
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < c->config->nr_ports; i++)
		ret = port_open(&c->port[i], c->loop, err);
	while (ret == 0 && !all_started(c)) {
		if (via_clock_us() > deadline)
			break;
		via_loop_turn(c->loop, SLICE_MS);
		ret = look(c, err);
	}
	for (uint32_t i = 0; ret == 0 && i < c->config->nr_ports; i++)
		if (!c->port[i].started)
			ret = via_fail(err, -ETIMEDOUT, "no back-end on '%s'%s%s",
				       c->config->socket[i],
				       via_frontend_reason(c->port[i].frontend)[0] ? ": " : "",
				       via_frontend_reason(c->port[i].frontend));
	return ret;
}

static bool all_closed(const struct client *c)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		if (!c->port[i].closed)
			return false;
	return true;
}

static void close_all(struct client *c)
{
	uint64_t deadline = via_clock_us() + CLOSE_MS * UINT64_C(1000);

	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		port_close(&c->port[i]);
	while (!all_closed(c) && via_clock_us() < deadline)
		via_loop_turn(c->loop, SLICE_MS);
}

/* ---- frames ---- */

/* Every port sends a broadcast, so that the back-end learns where its address is. */
static int announce(struct client *c, struct via_error *err)
{
	const double patience_ms = c->config->sends ? ANNOUNCE_MS : SETTLE_MS;

	for (uint32_t i = 0; i < c->config->nr_ports; i++) {
		struct port *port = &c->port[i];
		struct frame_spec spec = port_frame(port, FRAME_TO_ALL);
		bool taken;

		frame_write(port->tx_frames, &spec);
		taken = load_send_one(port, cycles_after(c, patience_ms));
		spec.to = port_receiver(port);
		frame_write(port->tx_frames, &spec);
		if (!taken && c->config->sends) /* who only gives takes nothing */
			return via_fail(err, -ETIMEDOUT,
					"the back-end on '%s' took no frame for %d ms",
					c->config->socket[i], ANNOUNCE_MS);
	}
	return 0;
}

static void forget_announcements(struct client *c)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++) {
		c->port[i].count = (struct client_count){ 0 };
		c->port[i].flying = 0;
	}
}

static uint64_t received(const struct client *c)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		n += c->port[i].count.received;
	return n;
}

static uint64_t sent(const struct client *c)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		n += c->port[i].count.sent;
	return n;
}

static void write_off(struct client *c)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		c->port[i].flying = 0;
}

static void on_end(int signal)
{
	(void)signal;
	told_to_end = 1;
}

/* Who ends it early (Ctrl-C) sees what was measured until then. */
static void end_on_signals(void)
{
	struct sigaction action = { .sa_handler = on_end, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Runs for 'ms'. A closed loop whose frames were all lost begins anew. */
static int run_for(struct client *c, double ms, struct via_error *err)
{
	uint64_t end = cycles_after(c, ms), seen = received(c);
	uint32_t quiet = 0;
	int ret = 0;

	while (ret == 0 && via_cycles() < end && !told_to_end) {
		uint64_t slice = cycles_after(c, SLICE_MS);

		load_run(&c->load, slice < end ? slice : end);
		ret = look(c, err);
		quiet = received(c) == seen ? quiet + 1 : 0;
		seen = received(c);
		if (quiet == QUIET_SLICES && c->load.sending) {
			write_off(c);
			quiet = 0;
		}
	}
	return ret;
}

/* Sends no more and waits until nothing comes. */
static int drain(struct client *c, struct via_error *err)
{
	uint64_t before;
	int ret;

	c->load.sending = false;
	do {
		before = received(c);
		ret = run_for(c, QUIET_SLICES * SLICE_MS, err);
	} while (ret == 0 && received(c) != before);
	return ret;
}

/* ---- a measurement ---- */

static void begin_sending(struct client *c)
{
	c->load.sending = c->config->sends;
	c->load.begin = via_cycles();
	c->load.frames_per_cycle = (double)c->config->rate / c->cycles_per_ms / 1000;
}

static void begin_measuring(struct client *c, struct client_result *result)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		result->port[i] = c->port[i].count;
	c->load.busy_cycles = c->load.idle_cycles = c->load.turns = c->load.idle_turns = 0;
	c->latency = (struct latency){ 0 };
	result->seconds = (double)via_clock_us() / 1e6;
}

static void end_measuring(const struct client *c, struct client_result *result)
{
	result->seconds = (double)via_clock_us() / 1e6 - result->seconds;
	for (uint32_t i = 0; i < c->config->nr_ports; i++) {
		const struct client_count *now = &c->port[i].count;
		struct client_count *count = &result->port[i];

		count->sent = now->sent - count->sent;
		count->received = now->received - count->received;
		count->refused = now->refused - count->refused;
		count->others = now->others - count->others;
	}
	result->busy_cycles = c->load.busy_cycles;
	result->idle_cycles = c->load.idle_cycles;
	result->turns = c->load.turns;
	result->idle_turns = c->load.idle_turns;
	for (uint32_t i = 0; i < CLIENT_LATENCIES; i++)
		result->latency_us[i] = (double)latency_share(&c->latency, client_shares[i]) /
					c->cycles_per_ms * 1000;
}

static int measure(struct client *c, struct client_result *result, struct via_error *err)
{
	int ret = connect_all(c, err);

	if (ret == 0)
		ret = announce(c, err);
	if (ret == 0)
		ret = run_for(c, SETTLE_MS, err);
	if (ret < 0)
		return ret;
	forget_announcements(c);
	begin_sending(c);
	ret = run_for(c, c->config->warmup * 1000, err);
	if (ret < 0)
		return ret;
	begin_measuring(c, result);
	end_on_signals();
	ret = run_for(c, c->config->seconds * 1000, err);
	told_to_end = 0;
	end_measuring(c, result);
	if (ret == 0)
		ret = drain(c, err);
	if (c->config->sends && c->config->receives)
		result->lost = sent(c) - received(c);
	return ret;
}

static int pin(const struct client_config *config, struct via_error *err)
{
	cpu_set_t set;

	if (!config->pinned)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(config->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return via_fail(err, -errno, "cannot run on CPU %llu: %s",
				(unsigned long long)config->cpu, strerror(errno));
	return 0;
}

static void init_ports(struct client *c)
{
	for (uint32_t i = 0; i < c->config->nr_ports; i++)
		port_init(&c->port[i], c->config, i);
	for (uint32_t i = 0; i < c->config->nr_ports; i++) {
		const struct port *partner = &c->port[c->port[i].partner];
		const struct frame_spec spec = port_frame(partner, port_receiver(partner));

		c->port[i].partner_mark = frame_mark(&spec);
		c->port[i].latency = &c->latency;
	}
}

int client_measure(const struct client_config *config, struct client_result *result,
		   struct via_error *err)
{
	struct client c = { .config = config };
	int ret = pin(config, err);

	if (ret < 0)
		return ret;
	*result = (struct client_result){ 0 };
	c.port = calloc(config->nr_ports, sizeof(*c.port));
	if (!c.port)
		return via_fail(err, -ENOMEM, "no memory for %u ports", config->nr_ports);
	init_ports(&c);
	c.load = (struct load){ .config = config, .port = c.port, .nr_ports = config->nr_ports };
	c.cycles_per_ms = 1e6 / bench_ns_per_cycle();
	c.load.longest = (uint64_t)c.cycles_per_ms;
	ret = via_loop_create(&c.loop, err);
	if (ret == 0) {
		ret = measure(&c, result, err);
		close_all(&c);
		via_loop_free(c.loop);
	}
	for (uint32_t i = 0; i < config->nr_ports; i++)
		port_free(&c.port[i]);
	free(c.port);
	return ret;
}
