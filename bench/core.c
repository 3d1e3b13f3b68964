/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/core.h"

#include <stdlib.h>

#include "bench/measure.h"

static void make_ports(struct bench_core *c, const struct via_port_ops *ops, void *user,
		       uint16_t vlan)
{
	c->trunk.members[vlan / 64] = UINT64_C(1) << vlan % 64;
	for (uint32_t i = 0; i < BENCH_PORTS; i++) {
		c->port[i] = (struct via_port){
			.ops = ops,
			.nr_queues = 1,
			.receive = &c->received[i],
			.transmit = &c->sent[i],
			.config = { .user = user },
		};
		c->member[i] = (struct sw_member){
			.port = &c->port[i],
			.index = (uint16_t)i,
			.kind = !vlan    ? SW_UNAWARE
				: i == 0 ? SW_ACCESS
					 : SW_TRUNK,
			.vlan = i == 0 ? vlan : 0,
			.trunk = &c->trunk,
		};
		c->places[i] = &c->member[i];
	}
	c->table.port = c->places;
	c->table.nr_ports = BENCH_PORTS;
	c->table.flood[vlan] = (struct sw_flood){ c->places, BENCH_PORTS };
	c->source.port = &c->port[0];
}

struct bench_core *bench_core_open(const struct via_port_ops *ops, void *user, uint16_t vlan)
{
	struct bench_core *c = bench_alloc(sizeof(*c));
	const struct sw_config config = { .fdb_size = BENCH_TABLE, .fdb_port_limit = BENCH_TABLE };
	const uint8_t prototype[] = BENCH_MACS(0);
	uint8_t mac[6];

	c->core = bench_alloc(sizeof(*c->core));
	make_ports(c, ops, user, vlan);
	atomic_init(&c->core->table, &c->table);
	c->pass = sw_pass_create(c->core, 0);
	if (!c->pass || sw_fdb_init(&c->core->fdb, &config, NULL) < 0)
		abort();
	memcpy(mac, prototype, sizeof(mac));
	for (uint8_t i = 1; i <= BENCH_STATIONS; i++) {
		mac[5] = i;
		sw_fdb_put_static(&c->core->fdb, sw_fdb_key(sw_mac(mac), vlan), i, NULL);
	}
	return c;
}

void bench_core_close(struct bench_core *c)
{
	if (!c)
		return;
	sw_pass_free(c->pass);
	sw_fdb_fini(&c->core->fdb);
	bench_free(c->core);
	bench_free(c);
}

void bench_core_learn(struct bench_core *c, const uint8_t mac[6], uint32_t port)
{
	const uint64_t key = sw_fdb_key(sw_mac(mac), 0);

	sw_fdb_learn(&c->core->fdb, sw_fdb_bucket(&c->core->fdb, key), key,
		     sw_fdb_value_of(port, 1));
}

void bench_core_forward(struct bench_core *c, uint32_t n)
{
	sw_forward(c->pass, &c->source, n, 1000000);
}
