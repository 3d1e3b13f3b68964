/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of switch/input.c, vlan.c and forward.c: where the frames of one burst go, and in which form.
 * No threads: a test makes the table and calls the worker's function itself. The clock is a parameter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fake_port.h"
#include "switch/capture.h"
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
static void publish(void)
{
	for (uint32_t v = 0; v < SW_NR_VLANS; v++) {
		table->flood[v] = (struct sw_flood){ .member = lists[v] };
		for (uint32_t i = 0; i < PORTS; i++) {
			if (sw_is_member(&member[i], (uint16_t)v))
				lists[v][table->flood[v].n++] = &member[i];
		}
	}
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void make_access(uint32_t i, uint16_t vlan)
{
	member[i].kind = SW_ACCESS;
	member[i].vlan = vlan;
}

static void make_trunk(uint32_t i, uint16_t native, uint16_t first, uint16_t last)
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

static uint32_t build(uint8_t *bytes, const struct frame *f)
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

static void queue_up(uint32_t from_port, const struct frame *f, uint32_t number)
{
	uint8_t bytes[FAKE_SIZE];

	fake_give(port[from_port], 0, bytes, build(bytes, f), number);
}

/* One turn of a worker for the port. Returns how many were undelivered. */
static uint32_t turn(uint32_t i)
{
	const uint32_t n = fake_ingress_burst(&port[i]->port, 0, forwarder->burst, VIA_BURST);
	uint32_t undelivered;

	if (n == 0)
		return 0;
	undelivered = sw_forward(forwarder, &source[i], n, now_us);
	fake_ingress_release(&port[i]->port, 0, forwarder->burst, undelivered);
	return undelivered;
}

static void send(uint32_t from_port, struct frame f)
{
	queue_up(from_port, &f, 0);
	assert_int_equal(turn(from_port), 0);
}

/* Expects the port to have been sent exactly this, and nothing more. */
static void expect_frame(uint32_t i, struct frame f)
{
	struct fake_frame got;
	uint8_t bytes[FAKE_SIZE];
	const uint32_t len = build(bytes, &f);

	assert_true(fake_take(port[i], &got));
	assert_int_equal(got.len, len);
	assert_memory_equal(got.bytes, bytes, len);
	assert_int_equal(fake_nr_out(port[i]), 0);
}

static void expect_nothing(uint32_t i)
{
	assert_int_equal(fake_nr_out(port[i]), 0);
}

static uint64_t drops(uint32_t i, enum via_drop why)
{
	return via_counter_read(&port[i]->port.receive[0].drops[why]);
}

/* Has port i learned as the place of station 10 + i. */
static void introduce_all(void)
{
	struct fake_frame ignored;

	for (uint32_t i = 0; i < PORTS; i++)
		send(i, (struct frame){ .from = (uint8_t)(10 + i), .to = 0 });
	for (uint32_t i = 0; i < PORTS; i++) {
		while (fake_take(port[i], &ignored))
			;
	}
}

static void unknown_destinations_are_flooded_and_known_ones_are_not(void **state)
{
	(void)state;
	send(0, (struct frame){ .from = 10, .to = 11 });
	expect_nothing(0);
	for (uint32_t i = 1; i < PORTS; i++)
		expect_frame(i, (struct frame){ .from = 10, .to = 11 });
	send(1, (struct frame){ .from = 11, .to = 10 });
	expect_frame(0, (struct frame){ .from = 11, .to = 10 });
	for (uint32_t i = 1; i < PORTS; i++)
		expect_nothing(i);
}

static void a_frame_for_its_own_port_goes_nowhere(void **state)
{
	(void)state;
	send(0, (struct frame){ .from = 10, .to = 0 });
	send(0, (struct frame){ .from = 20, .to = 10 });
	assert_int_equal(drops(0, VIA_DROP_NOWHERE), 1);
	expect_nothing(0);
}

static void bridges_reserved_addresses_are_not_forwarded(void **state)
{
	uint8_t bytes[60] = { 1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 10, 8, 0 };

	(void)state;
	for (bytes[5] = 0; bytes[5] < 0x12; bytes[5]++) {
		fake_give(port[0], 0, bytes, sizeof(bytes), 0);
		turn(0);
	}
	assert_int_equal(drops(0, VIA_DROP_RESERVED), 16);
	assert_int_equal(fake_nr_out(port[1]), 2);
}

static void sources_that_cannot_be_one_are_dropped(void **state)
{
	uint8_t bytes[60] = { 2, 0, 0, 0, 0, 11, 3, 0, 0, 0, 0, 10, 8, 0 };

	(void)state;
	fake_give(port[0], 0, bytes, sizeof(bytes), 0); /* a group */
	memset(bytes + 6, 0, 6);
	fake_give(port[0], 0, bytes, sizeof(bytes), 0); /* nobody */
	turn(0);
	assert_int_equal(drops(0, VIA_DROP_SOURCE), 2);

	assert_int_equal(
		sw_fdb_put_static(&core->fdb, sw_fdb_key(2 | UINT64_C(12) << 40, 0), 2, NULL), 0);
	send(0, (struct frame){ .from = 12, .to = 0 }); /* another port's by configuration */
	assert_int_equal(drops(0, VIA_DROP_SOURCE), 3);
	expect_nothing(1);
	send(0, (struct frame){ .from = 10, .to = 12 });
	expect_frame(2, (struct frame){ .from = 10, .to = 12 });
	expect_nothing(1);
}

static void the_order_of_a_burst_is_kept_at_each_port(void **state)
{
	struct fake_frame got;
	uint32_t last;

	(void)state;
	introduce_all();
	for (uint32_t n = 0; n < VIA_BURST; n++) {
		/* known, flooded for being unknown, broadcast, by turns of different lengths */
		const uint8_t to[] = { 11, 12, 0, 99, 11, 11, 0 };

		queue_up(0, &(struct frame){ .from = 10, .to = to[n % 7] }, n + 1);
	}
	assert_int_equal(turn(0), 0);
	for (uint32_t i = 1; i < PORTS; i++) {
		last = 0;
		while (fake_take(port[i], &got)) {
			assert_true(got.number > last);
			last = got.number;
		}
		assert_true(last > 50);
		assert_int_equal(port[i]->nr_egress, 5 + 1); /* introductions and one burst */
	}
}

static void isolated_ports_meet_only_others(void **state)
{
	(void)state;
	introduce_all();
	member[0].isolated = member[1].isolated = true;
	send(0, (struct frame){ .from = 10, .to = 11 });
	expect_nothing(1);
	assert_int_equal(via_counter_read(&port[1]->port.transmit[0].drops[VIA_DROP_ISOLATED]), 1);
	send(0, (struct frame){ .from = 10, .to = 0 });
	expect_nothing(1);
	expect_frame(2, (struct frame){ .from = 10, .to = 0 });
	send(2, (struct frame){ .from = 12, .to = 11 });
	expect_frame(1, (struct frame){ .from = 12, .to = 11 });
}

static void tags_pass_ports_that_know_no_vlans(void **state)
{
	(void)state;
	send(0, (struct frame){ .from = 10, .tagged = true, .tci = 0x6005 });
	expect_frame(1, (struct frame){ .from = 10, .tagged = true, .tci = 0x6005 });
}

/* Ports 0, 1: access in VLAN 5; 2: access in 6; 3: trunk of 1 to 9; 4: trunk with 5 untagged; 5: no
 * VLANs. */
static void make_vlans(void)
{
	make_access(0, 5);
	make_access(1, 5);
	make_access(2, 6);
	make_trunk(3, 0, 1, 9);
	make_trunk(4, 5, 6, 8);
	publish();
}

static void a_flood_stays_in_its_vlan_and_each_port_gets_its_form(void **state)
{
	/* shorter than a snapshot, exactly one, spilling 1 to 4 bytes of it, longer */
	const uint32_t lens[] = { 14, 60, 123, 124, 125, 126, 127, 128, 129, 131, 132, 133, 200 };

	(void)state;
	make_vlans();
	for (uint32_t i = 0; i < ARRAY_SIZE(lens); i++) {
		const uint32_t len = lens[i];
		const struct frame plain = { .from = 10, .to = 0, .len = len };
		const struct frame tagged = {
			.from = 10, .to = 0, .len = len + 4, .tagged = true, .tci = 5
		};

		send(0, plain);
		expect_frame(1, plain);
		expect_nothing(2);
		expect_frame(3, tagged);
		expect_frame(4, plain);
		expect_nothing(5);

		send(3, tagged);
		expect_frame(0, plain);
		expect_frame(1, plain);
		expect_nothing(2);
		expect_frame(4, plain);
		expect_nothing(5);
	}
}

static void known_unicast_gets_its_form_too(void **state)
{
	const struct frame there = { .from = 10, .to = 13 };
	const struct frame back = {
		.from = 13, .to = 10, .tagged = true, .tci = 0xa005, .len = 150
	};

	(void)state;
	make_vlans();
	send(3, (struct frame){ .from = 13, .tagged = true, .tci = 5 });
	expect_frame(0, (struct frame){ .from = 13, .len = 56 });
	send(0, there);
	expect_frame(3,
		     (struct frame){ .from = 10, .to = 13, .tagged = true, .tci = 5, .len = 64 });
	send(3, back);
	expect_frame(0, (struct frame){ .from = 13, .to = 10, .len = 146 });
}

static void the_same_address_in_two_vlans_is_two_stations(void **state)
{
	(void)state;
	make_vlans();
	send(0, (struct frame){ .from = 10 }); /* in 5 */
	send(2, (struct frame){ .from = 10 }); /* in 6 */
	for (uint32_t i = 0; i < PORTS; i++)
		port[i]->out.head = port[i]->out.tail;
	send(3, (struct frame){ .from = 13, .to = 10, .tagged = true, .tci = 5 });
	send(3, (struct frame){ .from = 13, .to = 10, .tagged = true, .tci = 6 });
	expect_frame(0, (struct frame){ .from = 13, .to = 10, .len = 56 });
	expect_frame(2, (struct frame){ .from = 13, .to = 10, .len = 56 });
	expect_nothing(4);
}

static void frames_of_foreign_vlans_are_dropped(void **state)
{
	uint8_t half[60];

	(void)state;
	make_vlans();
	send(0, (struct frame){ .from = 10, .tagged = true, .tci = 6 });
	assert_int_equal(drops(0, VIA_DROP_VLAN), 1);
	send(3, (struct frame){ .from = 10, .tagged = true, .tci = 10 });
	send(3, (struct frame){ .from = 10 }); /* untagged, and no VLAN for that */
	send(3, (struct frame){ .from = 10, .tagged = true, .tci = 0x2000 });
	send(3, (struct frame){ .from = 10, .tagged = true, .tci = 4095 });
	assert_int_equal(drops(3, VIA_DROP_VLAN), 4);
	build(half, &(struct frame){ .from = 10, .tagged = true, .tci = 5 });
	fake_give(port[3], 0, half, 17, 0);
	turn(3);
	assert_int_equal(drops(3, VIA_DROP_VLAN), 5);
	for (uint32_t i = 0; i < PORTS; i++)
		expect_nothing(i);
	assert_int_equal(atomic_load(&core->fdb.entries), 0);
}

static void access_ports_take_their_own_tag_and_priority_tags(void **state)
{
	const struct frame plain = { .from = 10, .len = 56 };

	(void)state;
	make_vlans();
	send(0, (struct frame){ .from = 10, .tagged = true, .tci = 5 });
	expect_frame(1, plain);
	expect_frame(4, plain);
	expect_frame(3, (struct frame){ .from = 10, .tagged = true, .tci = 5 });
	send(0, (struct frame){ .from = 10, .tagged = true, .tci = 0xe000 });
	expect_frame(1, plain);
	expect_frame(3, (struct frame){ .from = 10, .tagged = true, .tci = 0xe005 });
}

static void offsets_move_with_the_tag(void **state)
{
	struct via_view *v = &forwarder->burst->view[0], *to;

	(void)state;
	forwarder->variants = 0;
	forwarder->nr_pieces = 0;
	*v = (struct via_view){ .len = 60,
				.snapshot_len = 60,
				.flags = VIA_VIEW_NEEDS_CSUM,
				.csum_start = 34,
				.csum_offset = 16,
				.l3 = 14,
				.l4 = 34,
				.payload = 54,
				.vlan = 5 };
	to = sw_vlan_variant(forwarder, 0, false);
	assert_int_equal(to->csum_start, 38);
	assert_int_equal(to->csum_offset, 16);
	assert_int_equal(to->l3, 18);
	assert_int_equal(to->l4, 38);
	assert_int_equal(to->payload, 58);
	assert_int_equal(to->flags, VIA_VIEW_NEEDS_CSUM | VIA_VIEW_TAGGED);
	forwarder->variants = 0;
	*v = *to;
	to = sw_vlan_variant(forwarder, 0, true);
	assert_int_equal(to->csum_start, 34);
	assert_int_equal(to->l4, 34);
	assert_int_equal(to->flags, VIA_VIEW_NEEDS_CSUM);
	assert_int_equal(to->len, 60);
}

/* Long frames cost more: R27. */
static void floods_have_a_budget_but_one_frame_always_goes(void **state)
{
	const uint32_t lens[] = { 60, 65536 }, cost[] = { 1, 33 };

	(void)state;
	for (uint32_t k = 0; k < ARRAY_SIZE(lens); k++) {
		const uint64_t before = drops(0, VIA_DROP_FLOOD);
		const uint64_t fits = SW_FLOOD_BUDGET / (PORTS * cost[k]);
		const struct via_piece rest = { forwarder->burst->view[0].snapshot, lens[k] - 60 };
		uint32_t n;

		for (uint32_t i = 0; i < VIA_BURST; i++)
			queue_up(0, &(struct frame){ .from = 10 }, i);
		n = fake_ingress_burst(&port[0]->port, 0, forwarder->burst, VIA_BURST);
		for (uint32_t i = 0; i < n; i++) {
			struct via_view *v = &forwarder->burst->view[i];

			v->len = lens[k];
			v->piece = &rest;
			v->nr_pieces = lens[k] > 60;
		}
		assert_int_equal(sw_forward(forwarder, &source[0], n, now_us), 0);
		fake_ingress_release(&port[0]->port, 0, forwarder->burst, 0);
		assert_int_equal(drops(0, VIA_DROP_FLOOD) - before, n > fits ? n - fits : 0);
		for (uint32_t i = 1; i < PORTS; i++) {
			assert_int_equal(fake_nr_out(port[i]), n > fits ? fits : n);
			port[i]->out.head = port[i]->out.tail;
		}
	}
}

/* ---- against a model ---- */

/* Which VLAN the frame is in when it comes in by the port: -1 if it may not. */
static int model_vlan(uint32_t i, const struct frame *f)
{
	const struct sw_member *m = &member[i];
	int vlan = f->tagged && (f->tci & 0xfff) ? f->tci & 0xfff : m->vlan;

	if (m->kind == SW_UNAWARE)
		return 0;
	if (m->kind == SW_ACCESS)
		return vlan == m->vlan ? vlan : -1;
	if (vlan != 0 && vlan == m->vlan)
		return vlan;
	return vlan < 4095 && trunk[i].members[vlan / 64] >> vlan % 64 & 1 ? vlan : -1;
}

/* The frame as the port should get it. */
static struct frame model_form(uint32_t i, const struct frame *f, int vlan)
{
	const bool tagged = member[i].kind == SW_TRUNK && vlan != member[i].vlan;
	const uint32_t len = f->len - (f->tagged ? 4 : 0);

	if (member[i].kind == SW_UNAWARE)
		return *f;
	return (struct frame){ .from = f->from,
			       .to = f->to,
			       .tagged = tagged,
			       .tci = (uint16_t)((f->tagged ? f->tci & 0xf000 : 0) | vlan),
			       .len = len + (tagged ? 4 : 0) };
}

/* One VLAN's stations: where the model has seen each; -1: nowhere. */
static int seen_at[10][20];

/* Says what 'f' from port i must do; all of the burst's sources are known by then. */
static void expect_model(uint32_t i, const struct frame *f, struct frame *expected, uint32_t *n)
{
	const int vlan = model_vlan(i, f);
	int to;

	if (vlan < 0)
		return;
	to = f->to ? seen_at[vlan][f->to] : -1;
	for (uint32_t k = 0; k < PORTS; k++) {
		const bool member_too = member[k].kind == SW_UNAWARE
						? vlan == 0
						: vlan != 0 && (vlan == member[k].vlan ||
								(member[k].kind == SW_TRUNK &&
								 trunk[k].members[0] >> vlan & 1));

		if (k == i || (to >= 0 && k != (uint32_t)to) || !member_too ||
		    (member[i].isolated && member[k].isolated))
			continue;
		expected[k * VIA_BURST + n[k]++] = model_form(k, f, vlan);
	}
}

static void random_bursts_go_where_a_plain_model_says(void **state)
{
	static struct frame expected[PORTS * VIA_BURST];
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct frame burst[VIA_BURST];
		uint32_t n[PORTS] = { 0 };
		const uint32_t from = (uint32_t)rand_r(&seed) % PORTS;
		const int size = 1 + rand_r(&seed) % VIA_BURST;

		if (round % 100 == 0) {
			memset(seen_at, -1, sizeof(seen_at));
			sw_fdb_forget(&core->fdb, -1, SW_FDB_ALL);
			for (uint32_t i = 0; i < PORTS; i++) {
				member[i].kind = (enum sw_kind)(rand_r(&seed) % 3);
				member[i].vlan = 0;
				member[i].isolated = rand_r(&seed) % 4 == 0;
				if (member[i].kind == SW_ACCESS)
					make_access(i, (uint16_t)(1 + rand_r(&seed) % 3));
				if (member[i].kind == SW_TRUNK)
					make_trunk(i, (uint16_t)(rand_r(&seed) % 4), 1,
						   (uint16_t)(1 + rand_r(&seed) % 4));
			}
			publish();
		}
		for (int k = 0; k < size; k++) {
			const struct frame f = {
				.from = (uint8_t)(1 + rand_r(&seed) % 4 + 4 * (rand_r(&seed) % 3)),
				.to = (uint8_t)(rand_r(&seed) % 13),
				.tagged = rand_r(&seed) % 2,
				.tci = (uint16_t)((rand_r(&seed) & 0xe000) | rand_r(&seed) % 6),
				.len = 60 + (uint32_t)rand_r(&seed) % 100,
			};

			queue_up(from, &f, 0);
			burst[k] = f;
			if (model_vlan(from, &f) >= 0)
				seen_at[model_vlan(from, &f)][f.from] = (int)from;
		}
		for (int k = 0; k < size; k++)
			expect_model(from, &burst[k], expected, n);
		assert_int_equal(turn(from), 0);
		for (uint32_t i = 0; i < PORTS; i++) {
			assert_int_equal(fake_nr_out(port[i]), n[i]);
			for (uint32_t k = 0; k < n[i]; k++) {
				struct fake_frame got;
				uint8_t bytes[FAKE_SIZE];
				const struct frame *f = &expected[i * VIA_BURST + k];

				assert_true(fake_take(port[i], &got));
				assert_int_equal(got.len, build(bytes, f));
				assert_memory_equal(got.bytes, bytes, got.len);
			}
		}
	}
}

/* ---- lossless ---- */

/* Takes what came to the port and expects these numbers. */
static void expect_numbers(uint32_t i, uint32_t first, uint32_t n, uint32_t step)
{
	struct fake_frame got;

	for (uint32_t k = 0; k < n; k++) {
		assert_true(fake_take(port[i], &got));
		assert_int_equal(got.number, first + k * step);
	}
	expect_nothing(i);
}

static void what_a_full_lossless_port_does_not_take_comes_again(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 3;
	for (uint32_t n = 0; n < 10; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = 11 }, n);
	assert_int_equal(turn(0), 7);
	expect_numbers(1, 0, 3, 1);
	assert_int_equal(turn(0), 7);
	port[1]->room = 5;
	assert_int_equal(turn(0), 2);
	expect_numbers(1, 3, 5, 1);
	port[1]->room = UINT32_MAX;
	assert_int_equal(turn(0), 0);
	expect_numbers(1, 8, 2, 1);
	assert_int_equal(port[1]->full, 0);
}

static void others_get_their_frames_once_while_one_is_full(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = port[2]->port.lossless = true;
	port[1]->room = 0;
	port[2]->room = 4;
	/* by turns to full port 1, nearly full port 2, port 3, everybody */
	for (uint32_t n = 0; n < 40; n++) {
		const uint8_t to[] = { 11, 12, 13, 0 };

		queue_up(0, &(struct frame){ .from = 10, .to = to[n % 4] }, n);
	}
	/* more is behind them than a burst holds */
	for (uint32_t n = 40; n < 100; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = 13 }, n);
	assert_true(turn(0) > 0);
	for (int i = 0; i < 5; i++)
		assert_true(turn(0) > 0);
	assert_true(port[3]->nr_egress > 0);
	port[1]->room = port[2]->room = UINT32_MAX;
	while (turn(0) > 0 || port[0]->in[0].head != port[0]->in[0].tail)
		;
	/* port 1: its own, in order; floods while it was full are lost there and nowhere else */
	expect_numbers(1, 0, 10, 4);
	assert_int_equal(port[1]->full, 10);
	assert_int_equal(fake_nr_out(port[3]), 10 + 10 + 60);
	assert_int_equal(fake_nr_out(port[4]), 10);
}

static void a_lossless_port_that_stays_full_for_100_ms_is_lossy_until_it_drains(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 0;
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 1);
	assert_int_equal(turn(0), 1);
	now_us += 98000;
	assert_int_equal(turn(0), 1);
	now_us += 4000;
	assert_int_equal(turn(0), 0);
	assert_int_equal(port[1]->full, 1);
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 2);
	assert_int_equal(turn(0), 0); /* nobody waits for it now */
	assert_int_equal(port[1]->full, 2);
	port[1]->room = 1;
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 3);
	queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 4);
	assert_int_equal(turn(0), 1); /* it took one: worth waiting for */
	now_us += 50000;
	assert_int_equal(turn(0), 1);
}

static void floods_of_many_segments_are_counted_as_many(void **state)
{
	static const uint8_t rest[65000];
	const struct via_piece piece = { rest, sizeof(rest) };
	struct fake_frame got;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct via_view *v = &forwarder->burst->view[i];

		memset(v, 0, sizeof(*v));
		build(v->snapshot, &(struct frame){ .from = 10, .len = 128 });
		v->snapshot_len = VIA_SNAPSHOT_SIZE;
		v->len = VIA_SNAPSHOT_SIZE + sizeof(rest);
		v->piece = &piece;
		v->nr_pieces = 1;
		v->gso = VIA_GSO_UDP;
		v->gso_size = 32;
	}
	assert_int_equal(sw_forward(forwarder, &source[0], 3, now_us), 0);
	assert_true(fake_take(port[1], &got)); /* one goes, whatever it is */
	assert_false(fake_take(port[1], &got));
	assert_int_equal(via_counter_read(&port[0]->port.receive[0].drops[VIA_DROP_FLOOD]), 2);
}

static void nobody_waits_for_a_lossless_port_that_has_been_full_for_weeks(void **state)
{
	(void)state;
	introduce_all();
	port[1]->port.lossless = true;
	port[1]->room = 0;
	queue_up(0, &(struct frame){ .from = 10, .to = 0 }, 1);
	assert_int_equal(turn(0), 0);
	for (uint32_t days = 1; days < 45; days++) {
		now_us += UINT64_C(86400000000);
		introduce_all(); /* nobody is forgotten */
		queue_up(0, &(struct frame){ .from = 10, .to = 11 }, 2);
		assert_int_equal(turn(0), 0);
	}
}

static void a_capture_sees_what_comes_again_once(void **state)
{
	int fd = memfd_create("capture", 0);
	struct sw_capture *capture;
	struct via_loop *loop;
	uint64_t frames, lost;

	(void)state;
	introduce_all();
	assert_int_equal(via_loop_create(&loop, NULL), 0);
	assert_int_equal(sw_capture_create(&capture, loop, 1, -1, fd, 64, NULL), 0);
	atomic_store(&core->capture, capture);
	port[1]->port.lossless = true;
	port[1]->room = 3;
	for (uint32_t n = 0; n < 10; n++)
		queue_up(0, &(struct frame){ .from = 10, .to = n % 2 ? 11 : 12 }, n);
	assert_true(turn(0) > 0);
	assert_true(turn(0) > 0);
	port[1]->room = UINT32_MAX;
	assert_int_equal(turn(0), 0);
	assert_int_equal(source[0].captured, 0);
	sw_capture_end(capture, &frames, &lost);
	sw_capture_free(capture);
	via_loop_free(loop);
	assert_int_equal(frames, 10 + 10);
	assert_int_equal(lost, 0);
	close(fd);
}

static void learning_is_refreshed_once_a_second(void **state)
{
	struct sw_fdb_bucket *b;
	uint32_t seq;

	(void)state;
	introduce_all();
	b = sw_fdb_bucket(&core->fdb, sw_fdb_key(2 | UINT64_C(10) << 40, 0));
	seq = atomic_load(&b->seq);
	now_us += 900000;
	send(0, (struct frame){ .from = 10, .to = 11 });
	assert_int_equal(atomic_load(&b->seq), seq);
	now_us += 200000;
	send(0, (struct frame){ .from = 10, .to = 11 });
	send(0, (struct frame){ .from = 10, .to = 11 });
	assert_int_equal(atomic_load(&b->seq), seq + 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(unknown_destinations_are_flooded_and_known_ones_are_not),
		TEST(a_frame_for_its_own_port_goes_nowhere),
		TEST(bridges_reserved_addresses_are_not_forwarded),
		TEST(sources_that_cannot_be_one_are_dropped),
		TEST(the_order_of_a_burst_is_kept_at_each_port),
		TEST(isolated_ports_meet_only_others),
		TEST(tags_pass_ports_that_know_no_vlans),
		TEST(a_flood_stays_in_its_vlan_and_each_port_gets_its_form),
		TEST(known_unicast_gets_its_form_too),
		TEST(the_same_address_in_two_vlans_is_two_stations),
		TEST(frames_of_foreign_vlans_are_dropped),
		TEST(access_ports_take_their_own_tag_and_priority_tags),
		TEST(offsets_move_with_the_tag),
		TEST(floods_have_a_budget_but_one_frame_always_goes),
		TEST(random_bursts_go_where_a_plain_model_says),
		TEST(what_a_full_lossless_port_does_not_take_comes_again),
		TEST(others_get_their_frames_once_while_one_is_full),
		TEST(a_lossless_port_that_stays_full_for_100_ms_is_lossy_until_it_drains),
		TEST(floods_of_many_segments_are_counted_as_many),
		TEST(nobody_waits_for_a_lossless_port_that_has_been_full_for_weeks),
		TEST(a_capture_sees_what_comes_again_once),
		TEST(learning_is_refreshed_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
