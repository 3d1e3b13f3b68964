/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports in and out, and the table that workers read.
 *
 * A port lives in these steps. Adding: it is opened, published, and its queues are given to workers.
 * Deleting: a table without it is published and its queues are killed; after a grace period no worker
 * can be in it or learn for it, so once its queues are gone as well (and our duplicates of its
 * descriptors) its addresses are forgotten and it is closed; when that is done its index is free again.
 * All of it is asynchronous, and sw_port_del() cannot fail halfway: what needs memory comes first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/control.h"

/* ---- the table ---- */

/* Swaps the table; the old one goes when no worker can have it. */
static void publish(struct sw_switch *sw, struct sw_published *to)
{
	struct sw_published *old = sw->published;

	sw->published = to;
	/* Pairs with sw_table_load(). */
	atomic_store_explicit(&sw->core.table, &to->table, memory_order_release);
	if (old)
		via_loop_after_grace(sw->loop, sw_published_free, old);
}

int sw_table_rebuild(struct sw_switch *sw, struct sw_member *retired, struct via_error *err)
{
	struct sw_published *to = sw_published_build(sw->member, sw->nr_places);

	if (!to)
		return via_fail(err, -ENOMEM, "no memory for the switch's table of ports");
	if (sw->published)
		sw->published->retired = retired;
	publish(sw, to);
	return 0;
}

/* ---- members ---- */

static int check_vlan(const struct sw_vlan *v, struct via_error *err)
{
	if (v->vlan > 4094)
		return via_fail(err, -EINVAL, "VLAN %u: 1 to 4094 are possible", v->vlan);
	if (v->trunk && (v->members[0] & 1 || v->members[63] >> 63))
		return via_fail(err, -EINVAL, "a trunk's VLANs: 1 to 4094 are possible");
	return 0;
}

static struct sw_member *make_member(const struct sw_place *p, const struct sw_port_config *config)
{
	struct sw_member *m;

	if (!config->vlan.trunk) {
		m = calloc(1, sizeof(*m));
	} else {
		m = calloc(1, sizeof(*m) + sizeof(struct sw_vlan));
		if (m)
			m->trunk = memcpy(m + 1, &config->vlan, sizeof(struct sw_vlan));
	}
	if (!m)
		return NULL;
	m->port = p->port;
	m->index = (uint16_t)p->index;
	m->vlan = config->vlan.vlan;
	m->kind = config->vlan.trunk ? SW_TRUNK : m->vlan ? SW_ACCESS : SW_UNAWARE;
	m->isolated = config->isolated;
	return m;
}

struct sw_place *sw_place_find(const struct sw_switch *sw, uint32_t index)
{
	struct sw_place *p = index < SW_MAX_PORTS ? sw->place[index] : NULL;

	return p && p->port && !p->closing ? p : NULL;
}

struct sw_place *sw_place_need(const struct sw_switch *sw, uint32_t index, struct via_error *err)
{
	struct sw_place *p = sw_place_find(sw, index);

	if (!p)
		via_fail(err, -ENOENT, "there is no port %u", index);
	return p;
}

/* ---- learned addresses ---- */

static void forget_now(void *user)
{
	struct sw_place *p = user;

	sw_fdb_forget(&p->sw->core.fdb, (int)p->index, SW_FDB_LEARNED);
}

/* Of a port that is there. What workers learn meanwhile by the old state of things goes as well: a port
 * that is deleted next is closed after that. */
static void forget_learned(struct sw_place *p)
{
	forget_now(p);
	via_loop_after_grace(p->sw->loop, forget_now, p);
}

/* ---- what ports tell ---- */

static void on_queue_changed(void *user, struct via_port *port, uint32_t q)
{
	struct sw_place *p = user;

	if (p->queue && !p->closing && q < port->nr_queues) /* else not yet, or no more */
		sw_queue_look(&p->sw->core, p->queue[q]);
}

static void on_link_changed(void *user, struct via_port *port)
{
	struct sw_place *p = user;

	if (!port->link && !p->closing && p->port) /* else it has learned nothing */
		forget_learned(p);
	if (p->link_changed)
		p->link_changed(p->link_user, port);
}

static void on_announce(void *user, struct via_port *port, const uint8_t *mac)
{
	struct sw_place *p = user;

	if (p->queue && !p->closing && port->nr_queues)
		sw_queue_announce(&p->sw->core, p->queue[0], mac);
}

/* ---- adding a port ---- */

static int new_place(struct sw_place **place, struct sw_switch *sw, struct via_error *err)
{
	struct sw_place *p;
	uint32_t i = 0;

	while (i < SW_MAX_PORTS && sw->place[i])
		i++;
	if (i == SW_MAX_PORTS)
		return via_fail(err, -ENOSPC, "the switch has its %u ports, and can have no more",
				i);
	p = calloc(1, sizeof(*p));
	if (!p)
		return via_fail(err, -ENOMEM, "no memory for a port");
	p->sw = sw;
	p->index = i;
	sw->place[i] = p;
	sw->nr_places = sw->nr_places > i ? sw->nr_places : i + 1;
	*place = p;
	return 0;
}

/* The port is closed: its index may be used again. */
static void free_place(void *user)
{
	struct sw_place *p = user;
	void (*done)(void *) = p->done;
	void *done_user = p->done_user;

	p->sw->place[p->index] = NULL;
	free(p->member);
	free(p->queue);
	free(p);
	if (done)
		done(done_user);
}

static int open_port(struct sw_place *p, const struct via_port_ops *ops,
		     const struct via_port_config *config, struct via_error *err)
{
	struct via_port_config ours = *config;

	p->link_changed = config->link_changed;
	p->link_user = config->user;
	ours.loop = p->sw->loop;
	ours.queue_changed = on_queue_changed;
	ours.link_changed = on_link_changed;
	ours.announce = on_announce;
	ours.user = p;
	return ops->open(&p->port, &ours, err);
}

static int create_queues(struct sw_place *p, struct via_error *err)
{
	const uint16_t n = p->port->nr_queues;
	struct sw_queue **queue;

	if (p->sw->nr_queues + n > SW_MAX_QUEUES)
		return via_fail(err, -ENOSPC, "port '%s' has %u queues: the switch serves %u",
				p->port->name, n, SW_MAX_QUEUES);
	queue = calloc(n + 1u, sizeof(*queue));
	for (uint16_t q = 0; queue && q < n; q++) {
		queue[q] = sw_queue_create(p->port, (uint16_t)p->index, q);
		if (!queue[q]) {
			while (q-- > 0)
				sw_queue_kill(&p->sw->core, queue[q], NULL);
			free(queue);
			queue = NULL;
		}
	}
	if (!queue)
		return via_fail(err, -ENOMEM, "no memory for the queues of port '%s'",
				p->port->name);
	p->sw->nr_queues += n;
	p->queue = queue;
	return 0;
}

static void start_queues(struct sw_place *p)
{
	struct sw_core *core = &p->sw->core;

	for (uint16_t q = 0; q < p->port->nr_queues; q++) {
		p->queue[q]->next = core->queues;
		core->queues = p->queue[q];
		sw_queue_look(core, p->queue[q]);
		sw_queue_move(core, p->queue[q], sw_assign(core));
	}
}

static int attach_port(struct sw_place *p, const struct sw_port_config *config,
		       struct via_error *err)
{
	int ret;

	p->config = *config;
	p->member = make_member(p, config);
	if (!p->member)
		return via_fail(err, -ENOMEM, "no memory for port '%s'", p->port->name);
	ret = create_queues(p, err);
	if (ret < 0)
		return ret;
	atomic_store_explicit(&p->sw->core.full_since[p->index], 0, memory_order_relaxed);
	p->sw->member[p->index] = p->member;
	ret = sw_table_rebuild(p->sw, NULL, err);
	if (ret == 0)
		start_queues(p);
	else
		p->sw->member[p->index] = NULL;
	return ret;
}

static void kill_queues(struct sw_place *p);

int sw_port_add(struct sw_switch *sw, const struct via_port_ops *ops,
		const struct via_port_config *config, const struct sw_port_config *port_config,
		struct via_error *err)
{
	struct sw_place *p = NULL; /* for a compiler that cannot know that via_fail() is negative */
	int ret;

	ret = check_vlan(&port_config->vlan, err);
	if (ret < 0)
		return ret;
	if (sw_port_find(sw, config->name) >= 0)
		return via_fail(err, -EEXIST, "there is a port '%s' already", config->name);
	ret = new_place(&p, sw, err);
	if (ret < 0)
		return ret;
	ret = open_port(p, ops, config, err);
	if (ret < 0) {
		free_place(p);
		return ret;
	}
	ret = attach_port(p, port_config, err);
	if (ret < 0) {
		p->closing = true; /* was never published */
		kill_queues(p);
		ops->close(p->port, free_place, p);
		return ret;
	}
	return (int)p->index;
}

/* ---- deleting a port ---- */

static void unlink_queue(struct sw_core *core, const struct sw_queue *q)
{
	for (struct sw_queue **link = &core->queues; *link; link = &(*link)->next) {
		if (*link == q) {
			*link = q->next;
			return;
		}
	}
}

static void kill_queues(struct sw_place *p)
{
	struct sw_core *core = &p->sw->core;

	for (uint16_t i = 0; p->queue && i < p->port->nr_queues; i++) {
		struct sw_queue *q = p->queue[i];

		if (q->home)
			q->home->assigned--;
		unlink_queue(core, q);
		atomic_fetch_add(&p->queues_left, 1);
		sw_queue_kill(core, q, &p->queues_left);
		p->sw->nr_queues--;
	}
	free(p->queue);
	p->queue = NULL;
}

static void close_if_unused(struct sw_place *p)
{
	if (!p->closing || !p->unused || atomic_load(&p->queues_left) > 0)
		return;
	p->unused = false; /* once */
	sw_fdb_forget(&p->sw->core.fdb, (int)p->index, SW_FDB_ALL);
	p->port->ops->close(p->port, free_place, p);
}

/* No worker has the port in a table, or calls it for a queue. */
static void on_unused(void *user)
{
	struct sw_place *p = user;

	p->unused = true;
	close_if_unused(p);
}

void sw_ports_close_unused(struct sw_switch *sw)
{
	for (uint32_t i = 0; i < sw->nr_places; i++) {
		if (sw->place[i])
			close_if_unused(sw->place[i]);
	}
}

int sw_port_del(struct sw_switch *sw, uint32_t index, void (*done)(void *user), void *user,
		struct via_error *err)
{
	struct sw_place *p = sw_place_need(sw, index, err);
	int ret;

	if (!p)
		return -ENOENT;
	sw->member[index] = NULL;
	ret = sw_table_rebuild(sw, NULL, err);
	if (ret < 0) {
		sw->member[index] = p->member;
		return ret;
	}
	p->closing = true;
	p->done = done;
	p->done_user = user;
	kill_queues(p);
	via_loop_after_grace(sw->loop, on_unused, p);
	return 0;
}

/* ---- changing and finding ports ---- */

int sw_port_set(struct sw_switch *sw, uint32_t index, const struct sw_port_config *port_config,
		struct via_error *err)
{
	struct sw_place *p = sw_place_need(sw, index, err);
	struct sw_member *old, *new;
	int ret;

	if (!p)
		return -ENOENT;
	ret = check_vlan(&port_config->vlan, err);
	if (ret < 0)
		return ret;
	old = p->member;
	new = make_member(p, port_config);
	if (!new)
		return via_fail(err, -ENOMEM, "no memory for port '%s'", p->port->name);
	sw->member[index] = new;
	ret = sw_table_rebuild(sw, old, err);
	if (ret < 0) {
		sw->member[index] = old;
		free(new);
		return ret;
	}
	p->member = new;
	if (memcmp(&p->config.vlan, &port_config->vlan, sizeof(p->config.vlan)) != 0)
		forget_learned(p);
	p->config = *port_config;
	return 0;
}

struct via_port *sw_port(struct sw_switch *sw, uint32_t index)
{
	struct sw_place *p = sw_place_find(sw, index);

	return p ? p->port : NULL;
}

const struct sw_port_config *sw_port_config(struct sw_switch *sw, uint32_t index)
{
	struct sw_place *p = sw_place_find(sw, index);

	return p ? &p->config : NULL;
}

int sw_port_find(struct sw_switch *sw, const char *name)
{
	for (uint32_t i = 0; i < sw->nr_places; i++) {
		if (sw_place_find(sw, i) && strcmp(sw->place[i]->port->name, name) == 0)
			return (int)i;
	}
	return -ENOENT;
}
