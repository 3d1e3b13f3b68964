/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch begins, ends, and says what it knows. Its ports: ports.c; its timers: chores.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/control.h"

#define REFUSED_TURNS 200 /* of the loop, until a port that was refused is gone */

struct sw_core *sw_core_of(struct sw_switch *sw)
{
	return &sw->core;
}

/* ---- the MAC table ---- */

static uint32_t now_seconds(const struct sw_switch *sw)
{
	return sw_seconds(&sw->core, via_clock_us());
}

int sw_fdb_add(struct sw_switch *sw, const uint8_t mac[6], uint16_t vlan, uint32_t port,
	       struct via_error *err)
{
	struct sw_place *p = sw_place_need(sw, port, err);

	if (!p)
		return -ENOENT;
	if (mac[0] & 1 || sw_mac(mac) == 0)
		return via_fail(err, -EINVAL, "a static entry is for one station's address");
	if (vlan > 4094 || !sw_is_member(p->member, vlan))
		return via_fail(err, -EINVAL, "port '%s' is not in VLAN %u", p->port->name, vlan);
	return sw_fdb_put_static(&sw->core.fdb, sw_fdb_key(sw_mac(mac), vlan), port, err);
}

int sw_fdb_del(struct sw_switch *sw, const uint8_t mac[6], uint16_t vlan, struct via_error *err)
{
	if (vlan > 4094 || sw_fdb_remove(&sw->core.fdb, sw_fdb_key(sw_mac(mac), vlan)) < 0)
		return via_fail(err, -ENOENT,
				"the MAC table has no %02x:%02x:%02x:%02x:%02x:%02x in VLAN %u",
				mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], vlan);
	return 0;
}

uint32_t sw_fdb_flush(struct sw_switch *sw, int port)
{
	const uint32_t forgotten = sw_fdb_forget(&sw->core.fdb, port, SW_FDB_LEARNED);

	for (uint32_t i = 0; i < sw->nr_places; i++) {
		const struct sw_place *p = sw_place_find(sw, i);

		if (p && (port < 0 || i == (uint32_t)port) && p->port->ops->ask_announce)
			p->port->ops->ask_announce(p->port);
	}
	return forgotten;
}

void sw_fdb_walk(struct sw_switch *sw, void (*fn)(void *user, const struct sw_fdb_entry *entry),
		 void *user)
{
	sw_fdb_each(&sw->core.fdb, now_seconds(sw), fn, user);
}

/* ---- counters ---- */

void sw_counters(struct sw_switch *sw, sw_counter_fn *fn, void *user)
{
	static const char *const names[] = {
#define X(name, label, text) label,
		SW_FDB_COUNTERS(X)
#undef X
	};
	uint64_t floods = 0;

	for (uint32_t i = 0; i < sw->core.nr_workers; i++)
		floods += via_counter_read(&sw->core.worker[i].pass->floods);
	fn(user, "fdb_entries", atomic_load(&sw->core.fdb.entries));
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++)
		fn(user, names[i], atomic_load(&sw->core.fdb.count[i]));
	fn(user, "floods", floods);
	fn(user, "queue_moves", sw->core.moves);
}

uint32_t sw_nr_workers(const struct sw_switch *sw)
{
	return sw->core.nr_workers;
}

void sw_worker_info(struct sw_switch *sw, uint32_t worker, struct sw_worker_info *info)
{
	const struct sw_worker *w = &sw->core.worker[worker];

	*info = (struct sw_worker_info){
		.cpu = w->cpu,
		.queues = atomic_load(&w->nr_queues),
		.polled = atomic_load(&w->nr_polled),
		.asleep = atomic_load(&w->asleep),
		.busy_us = via_counter_read(&w->busy_us),
		.busy_cycles = via_counter_read(&w->busy_cycles),
		.packets = via_counter_read(&w->packets),
		.wakeups = via_counter_read(&w->wakeups),
		.sleeps = via_counter_read(&w->sleeps),
		.tid = atomic_load(&w->tid),
	};
}

int sw_queue_worker(struct sw_switch *sw, uint32_t port, uint32_t q)
{
	struct sw_place *p = sw_place_find(sw, port);

	return p && q < p->port->nr_queues ? (int)p->queue[q]->home->index : -1;
}

int sw_set_poll_us(struct sw_switch *sw, uint32_t poll_us)
{
	atomic_store(&sw->core.poll_us, poll_us);
	sw_workers_look(&sw->core);
	return 0;
}

/* ---- capture ---- */

static void free_capture(void *user)
{
	sw_capture_free(user);
}

int sw_capture_start(struct sw_switch *sw, int index, int fd, uint32_t snaplen,
		     struct via_error *err)
{
	int ret;

	if (sw->capture)
		return via_fail(err, -EBUSY, "a capture runs already, and there is one at a time");
	if (index >= 0 && !sw_place_need(sw, (uint32_t)index, err))
		return -ENOENT;
	ret = sw_capture_create(&sw->capture, sw->loop, sw->core.nr_workers, index, fd, snaplen,
				err);
	if (ret < 0)
		return ret;
	/* Pairs with the acquire of sw_forward(). */
	atomic_store_explicit(&sw->core.capture, sw->capture, memory_order_release);
	return 0;
}

void sw_capture_stop(struct sw_switch *sw, uint64_t *frames, uint64_t *lost)
{
	struct sw_capture *c = sw->capture;

	if (frames)
		*frames = 0;
	if (lost)
		*lost = 0;
	if (!c)
		return;
	sw->capture = NULL;
	atomic_store_explicit(&sw->core.capture, NULL, memory_order_relaxed);
	sw_capture_end(c, frames, lost);
	via_loop_after_grace(sw->loop, free_capture, c);
}

/* ---- beginning and end ---- */

static int start_workers(struct sw_switch *sw, const struct sw_config *config,
			 struct via_error *err)
{
	struct sw_core *core = &sw->core;
	int ret = 0;

	core->worker = aligned_alloc(VIA_CACHE_LINE, config->nr_workers * sizeof(*core->worker));
	if (!core->worker)
		return via_fail(err, -ENOMEM, "no memory for %u workers", config->nr_workers);
	memset(core->worker, 0, config->nr_workers * sizeof(*core->worker));
	core->nr_workers = config->nr_workers;
	for (uint32_t i = 0; i < core->nr_workers && ret == 0; i++)
		ret = sw_worker_start(core, i, config->cpus ? config->cpus[i] : -1, err);
	return ret;
}

static void on_needs_ageing(void *user)
{
	sw_nudge(user, SW_NUDGE_AGE);
}

static int fill(struct sw_switch *sw, const struct sw_config *config, struct via_error *err)
{
	int ret = sw_fdb_init(&sw->core.fdb, config, err);

	if (ret < 0)
		return ret;
	sw->core.fdb.needs_ageing = on_needs_ageing;
	sw->core.fdb.user = &sw->core;
	sw->core.poll_us = config->poll_us;
	sw->core.start_us = via_clock_us();
	ret = sw_chores_open(sw, err);
	if (ret < 0)
		return ret;
	ret = sw_table_rebuild(sw, NULL, err);
	if (ret < 0)
		return ret;
	return start_workers(sw, config, err);
}

int sw_create(struct sw_switch **sw, const struct sw_config *config, struct via_error *err)
{
	struct sw_switch *s;
	int ret;

	if (config->nr_workers < 1 || config->nr_workers > SW_MAX_WORKERS)
		return via_fail(err, -EINVAL, "%u workers: 1 to %u are possible",
				config->nr_workers, SW_MAX_WORKERS);
	s = aligned_alloc(VIA_CACHE_LINE, sizeof(*s));
	if (!s)
		return via_fail(err, -ENOMEM, "no memory for a switch");
	memset(s, 0, sizeof(*s));
	s->loop = config->loop;
	s->core.nudge_fd = -1;
	pthread_mutex_init(&s->core.mail_lock, NULL);
	ret = fill(s, config, err);
	if (ret < 0) {
		sw_free(s);
		return ret;
	}
	*sw = s;
	return 0;
}

static bool has_places(const struct sw_switch *sw)
{
	for (uint32_t i = 0; i < sw->nr_places; i++)
		if (sw->place[i])
			return true;
	return false;
}

/* A port that was opened and then refused for want of memory is on its way out, and whoever asked for
 * it does not wait for that. */
static void wait_for_refused(struct sw_switch *sw)
{
	for (int turns = 0; turns < REFUSED_TURNS && has_places(sw); turns++)
		via_loop_turn(sw->loop, 10);
}

void sw_free(struct sw_switch *sw)
{
	if (!sw)
		return;
	wait_for_refused(sw);
	sw_capture_stop(sw, NULL, NULL);
	sw_workers_stop(&sw->core);
	sw_chores_close(sw);
	sw_published_free(sw->published);
	sw_fdb_fini(&sw->core.fdb);
	free(sw->core.worker);
	pthread_mutex_destroy(&sw->core.mail_lock);
	free(sw);
}
