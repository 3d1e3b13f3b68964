/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's pass over the bursts of six fake ports, for tests of where frames go. No threads: a test
 * makes the table, gives frames to a port, and calls the worker's function itself. The clock is a
 * parameter.
 */
#ifndef FORWARD_RIG_H
#define FORWARD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_port.h"
#include "switch/forward.h"

#define PORTS 6

static struct sw_core *core;
static struct sw_pass *forwarder;
static struct sw_table *table;
static struct fake_port *port[PORTS];
static struct sw_member member[PORTS];
static struct sw_source source[PORTS];
static struct sw_vlan trunk[PORTS];
static const struct sw_member *places[PORTS];
static const struct sw_member *lists[SW_NR_VLANS][PORTS];
static uint64_t now_us;

/* Puts what 'member' says into the table. */
static inline void publish(void)
{
	for (uint32_t v = 0; v < SW_NR_VLANS; v++) {
		table->flood[v] = (struct sw_flood){ .member = lists[v] };
		for (uint32_t i = 0; i < PORTS; i++) {
			if (sw_is_member(&member[i], (uint16_t)v))
				lists[v][table->flood[v].n++] = &member[i];
		}
	}
}

static inline int set_up(void **state)
{
	const struct sw_config config = { .ageing_s = 300 };

	(void)state;
	core = aligned_alloc(VIA_CACHE_LINE, sizeof(*core));
	memset(core, 0, sizeof(*core));
	assert_int_equal(sw_fdb_init(&core->fdb, &config, NULL), 0);
	table = calloc(1, sizeof(*table));
	table->nr_ports = PORTS;
	table->port = places;
	for (uint32_t i = 0; i < PORTS; i++) {
		char name[8] = { 'p', (char)('0' + i), 0 };

		port[i] = fake_create(name, 1);
		member[i] = (struct sw_member){ .port = &port[i]->port,
						.index = (uint16_t)i,
						.kind = SW_UNAWARE };
		places[i] = &member[i];
		source[i] = (struct sw_source){ .port = &port[i]->port, .index = (uint16_t)i };
	}
	publish();
	atomic_store(&core->table, table);
	forwarder = sw_pass_create(core, 0);
	now_us = 5000000;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PORTS; i++)
		fake_free(port[i]);
	sw_pass_free(forwarder);
	sw_fdb_fini(&core->fdb);
	free(table);
	free(core);
	return 0;
}

static inline void make_access(uint32_t i, uint16_t vlan)
{
	member[i].kind = SW_ACCESS;
	member[i].vlan = vlan;
}

static inline void make_trunk(uint32_t i, uint16_t native, uint16_t first, uint16_t last)
{
	memset(&trunk[i], 0, sizeof(trunk[i]));
	for (uint16_t v = first; v <= last; v++)
		trunk[i].members[v / 64] |= UINT64_C(1) << v % 64;
	member[i].kind = SW_TRUNK;
	member[i].vlan = native;
	member[i].trunk = &trunk[i];
}

/* What a test says of a frame; 0 for 'to' is broadcast. */
struct frame {
	uint8_t from, to;
	uint16_t tci; /* with 'tagged' */
	bool tagged;
	uint32_t len; /* 0: 60 */
};

static inline uint32_t build(uint8_t *bytes, const struct frame *f)
{
	const uint8_t macs[12] = { 2, 0, 0, 0, 0, f->to, 2, 0, 0, 0, 0, f->from };
	const uint32_t len = f->len ? f->len : 60;
	uint32_t at = 12;

	memcpy(bytes, macs, sizeof(macs));
	if (f->to == 0)
		memset(bytes, 0xff, 6);
	if (f->tagged) {
		bytes[at++] = 0x81;
		bytes[at++] = 0;
		bytes[at++] = (uint8_t)(f->tci >> 8);
		bytes[at++] = (uint8_t)f->tci;
	}
	bytes[at++] = 0x08;
	bytes[at++] = 0;
	for (uint32_t i = 0; at < len; i++)
		bytes[at++] = (uint8_t)(i * 7 + 1);
	return len;
}

static inline void queue_up(uint32_t from_port, const struct frame *f, uint32_t number)
{
	uint8_t bytes[FAKE_SIZE];

	fake_give(port[from_port], 0, bytes, build(bytes, f), number);
}

/* One turn of a worker for the port. Returns how many were undelivered. */
static inline uint32_t turn(uint32_t i)
{
	const uint32_t n = fake_ingress_burst(&port[i]->port, 0, forwarder->burst, VIA_BURST);
	uint32_t undelivered;

	if (n == 0)
		return 0;
	undelivered = sw_forward(forwarder, &source[i], n, now_us);
	fake_ingress_release(&port[i]->port, 0, forwarder->burst, undelivered);
	return undelivered;
}

static inline void send(uint32_t from_port, struct frame f)
{
	queue_up(from_port, &f, 0);
	assert_int_equal(turn(from_port), 0);
}

/* Expects the port to have been sent exactly this, and nothing more. */
static inline void expect_frame(uint32_t i, struct frame f)
{
	struct fake_frame got;
	uint8_t bytes[FAKE_SIZE];
	const uint32_t len = build(bytes, &f);

	assert_true(fake_take(port[i], &got));
	assert_int_equal(got.len, len);
	assert_memory_equal(got.bytes, bytes, len);
	assert_int_equal(fake_nr_out(port[i]), 0);
}

static inline void expect_nothing(uint32_t i)
{
	assert_int_equal(fake_nr_out(port[i]), 0);
}

static inline uint64_t drops(uint32_t i, enum via_drop why)
{
	return via_counter_read(&port[i]->port.receive[0].drops[why]);
}

/* Has port i learned as the place of station 10 + i. */
static inline void introduce_all(void)
{
	struct fake_frame ignored;

	for (uint32_t i = 0; i < PORTS; i++)
		send(i, (struct frame){ .from = (uint8_t)(10 + i), .to = 0 });
	for (uint32_t i = 0; i < PORTS; i++) {
		while (fake_take(port[i], &ignored))
			;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
