/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of switch/vlan.c and what asks it: who gets a frame of which VLAN, and in which form. Then
 * everything at once, against a plain model.
 */
#include "forward_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tags_pass_ports_that_know_no_vlans),
		TEST(a_flood_stays_in_its_vlan_and_each_port_gets_its_form),
		TEST(known_unicast_gets_its_form_too),
		TEST(the_same_address_in_two_vlans_is_two_stations),
		TEST(frames_of_foreign_vlans_are_dropped),
		TEST(access_ports_take_their_own_tag_and_priority_tags),
		TEST(offsets_move_with_the_tag),
		TEST(random_bursts_go_where_a_plain_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
