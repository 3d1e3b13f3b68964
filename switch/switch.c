/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as control sees it: ports in and out, and the table that workers read.
 *
 * A port lives in these steps. Adding: it is opened, published, and its queues are given to workers.
 * Deleting: a table without it is published and its queues are killed; after a grace period no worker
 * can be in it or learn for it, so once its queues are gone as well (and our duplicates of its
 * descriptors) its addresses are forgotten and it is closed; when that is done its index is free again. All of it is asynchronous, and sw_port_del() cannot fail halfway: what needs
 * memory comes first.
 *
 * Timers run only while there is something for them to do. A worker that makes something to do
 * (a first learned address, some load) nudges control by an eventfd, once.
 */
#include "switch/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "switch/capture.h"
#include "switch/worker.h"

#define REBALANCE_MS  1000
#define REFUSED_TURNS 200 /* of the loop, until a port that was refused is gone */

/* A port, as control knows it. */
struct place {
	struct sw_switch *sw;
	uint32_t index;
	struct via_port *port; /* NULL while it is being opened */
	struct sw_port_config config;
	struct sw_member *member;
	struct sw_queue **queue; /* port->nr_queues of them */
	bool closing;
	bool unused;                   /* closing: no worker can be in it */
	_Atomic(uint32_t) queues_left; /* closing: that workers have not freed */
	/* the caller's own callback */
	void (*link_changed)(void *user, struct via_port *port);
	void *link_user;
	void (*done)(void *user);
	void *done_user;
};

struct sw_switch {
	struct sw_core core;
	struct via_loop *loop;
	struct sw_published *published;
	struct place *place[SW_MAX_PORTS];
	const struct sw_member *member[SW_MAX_PORTS]; /* of places that are in the table */
	uint32_t nr_places; /* one more than the highest index ever used */
	uint32_t nr_queues;
	struct sw_capture *capture; /* what core.capture is */
	struct via_watch *nudge;
	uint32_t doing; /* SW_NUDGE_…: whose timer runs */
	struct via_timer *ageing, *rebalancing;
	uint64_t measured_us;
};

struct sw_core *sw_core_of(struct sw_switch *sw)
{
	return &sw->core;
}

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

static int rebuild(struct sw_switch *sw, struct sw_member *retired, struct via_error *err)
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

static struct sw_member *make_member(const struct place *p, const struct sw_port_config *config)
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

static struct place *find_place(const struct sw_switch *sw, uint32_t index)
{
	struct place *p = index < SW_MAX_PORTS ? sw->place[index] : NULL;

	return p && p->port && !p->closing ? p : NULL;
}

static struct place *need_place(const struct sw_switch *sw, uint32_t index, struct via_error *err)
{
	struct place *p = find_place(sw, index);

	if (!p)
		via_fail(err, -ENOENT, "there is no port %u", index);
	return p;
}

/* ---- learned addresses ---- */

static void forget_now(void *user)
{
	struct place *p = user;

	sw_fdb_forget(&p->sw->core.fdb, (int)p->index, SW_FDB_LEARNED);
}

/* Of a port that is there. What workers learn meanwhile by the old state of things goes as well: a port
 * that is deleted next is closed after that. */
static void forget_learned(struct place *p)
{
	forget_now(p);
	via_loop_after_grace(p->sw->loop, forget_now, p);
}

/* ---- what ports tell ---- */

static void on_queue_changed(void *user, struct via_port *port, uint32_t q)
{
	struct place *p = user;

	if (p->queue && !p->closing && q < port->nr_queues) /* else not yet, or no more */
		sw_queue_look(&p->sw->core, p->queue[q]);
}

static void on_link_changed(void *user, struct via_port *port)
{
	struct place *p = user;

	if (!port->link && !p->closing && p->port) /* else it has learned nothing */
		forget_learned(p);
	if (p->link_changed)
		p->link_changed(p->link_user, port);
}

static void on_announce(void *user, struct via_port *port, const uint8_t *mac)
{
	struct place *p = user;

	if (p->queue && !p->closing && port->nr_queues)
		sw_queue_announce(&p->sw->core, p->queue[0], mac);
}

/* ---- adding a port ---- */

static int new_place(struct place **place, struct sw_switch *sw, struct via_error *err)
{
	struct place *p;
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
	struct place *p = user;
	void (*done)(void *) = p->done;
	void *done_user = p->done_user;

	p->sw->place[p->index] = NULL;
	free(p->member);
	free(p->queue);
	free(p);
	if (done)
		done(done_user);
}

static int open_port(struct place *p, const struct via_port_ops *ops,
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

static int create_queues(struct place *p, struct via_error *err)
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

static void start_queues(struct place *p)
{
	struct sw_core *core = &p->sw->core;

	for (uint16_t q = 0; q < p->port->nr_queues; q++) {
		p->queue[q]->next = core->queues;
		core->queues = p->queue[q];
		sw_queue_look(core, p->queue[q]);
		sw_queue_move(core, p->queue[q], sw_assign(core));
	}
}

static int attach_port(struct place *p, const struct sw_port_config *config, struct via_error *err)
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
	ret = rebuild(p->sw, NULL, err);
	if (ret == 0)
		start_queues(p);
	else
		p->sw->member[p->index] = NULL;
	return ret;
}

static void kill_queues(struct place *p);

int sw_port_add(struct sw_switch *sw, const struct via_port_ops *ops,
		const struct via_port_config *config, const struct sw_port_config *port_config,
		struct via_error *err)
{
	struct place *p = NULL; /* for a compiler that cannot know that via_fail() is negative */
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

static void kill_queues(struct place *p)
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

static void close_if_unused(struct place *p)
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
	struct place *p = user;

	p->unused = true;
	close_if_unused(p);
}

int sw_port_del(struct sw_switch *sw, uint32_t index, void (*done)(void *user), void *user,
		struct via_error *err)
{
	struct place *p = need_place(sw, index, err);
	int ret;

	if (!p)
		return -ENOENT;
	sw->member[index] = NULL;
	ret = rebuild(sw, NULL, err);
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
	struct place *p = need_place(sw, index, err);
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
	ret = rebuild(sw, old, err);
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
	struct place *p = find_place(sw, index);

	return p ? p->port : NULL;
}

const struct sw_port_config *sw_port_config(struct sw_switch *sw, uint32_t index)
{
	struct place *p = find_place(sw, index);

	return p ? &p->config : NULL;
}

int sw_port_find(struct sw_switch *sw, const char *name)
{
	for (uint32_t i = 0; i < sw->nr_places; i++) {
		if (find_place(sw, i) && strcmp(sw->place[i]->port->name, name) == 0)
			return (int)i;
	}
	return -ENOENT;
}

/* ---- the MAC table ---- */

static uint32_t seconds(const struct sw_switch *sw)
{
	return sw_seconds(&sw->core, via_clock_us());
}

int sw_fdb_add(struct sw_switch *sw, const uint8_t mac[6], uint16_t vlan, uint32_t port,
	       struct via_error *err)
{
	struct place *p = need_place(sw, port, err);

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
		const struct place *p = find_place(sw, i);

		if (p && (port < 0 || i == (uint32_t)port) && p->port->ops->ask_announce)
			p->port->ops->ask_announce(p->port);
	}
	return forgotten;
}

void sw_fdb_walk(struct sw_switch *sw, void (*fn)(void *user, const struct sw_fdb_entry *entry),
		 void *user)
{
	sw_fdb_each(&sw->core.fdb, seconds(sw), fn, user);
}

/* ---- what workers ask for ---- */

static void close_unused(struct sw_switch *sw)
{
	for (uint32_t i = 0; i < sw->nr_places; i++) {
		if (sw->place[i])
			close_if_unused(sw->place[i]);
	}
}

void sw_nudge(struct sw_core *core, uint32_t what)
{
	const uint64_t one = 1;

	/* Pairs with the exchanges of on_nudge() and nudge_done(): what the nudge is about comes before
	 * this look, so control sees it, or we see that control has to be told. */
	via_fence();
	if (atomic_load_explicit(&core->nudged, memory_order_relaxed) & what)
		return;
	if (atomic_fetch_or(&core->nudged, what) & what)
		return;
	if (write(core->nudge_fd, &one, sizeof(one)) < 0)
		return; /* full: control is about to look */
}

/* Control has done it; workers may ask again. */
static void nudge_done(struct sw_switch *sw, uint32_t what)
{
	sw->doing &= ~what;
	atomic_fetch_and(&sw->core.nudged, ~what);
}

static uint32_t nr_learned(const struct sw_switch *sw)
{
	return atomic_load(&sw->core.fdb.learned);
}

/* Entries live between once and one and a quarter times the ageing time. */
static void start_ageing(struct sw_switch *sw)
{
	via_timer_start(sw->ageing, sw->core.fdb.ageing_s * 1000 / 4);
}

static void on_ageing(void *user)
{
	struct sw_switch *sw = user;

	sw_fdb_age(&sw->core.fdb, seconds(sw));
	if (nr_learned(sw)) {
		start_ageing(sw);
		return;
	}
	nudge_done(sw, SW_NUDGE_AGE);
	/* Who learned before that was done did not nudge. */
	if (nr_learned(sw))
		sw_nudge(&sw->core, SW_NUDGE_AGE);
}

static void on_rebalancing(void *user)
{
	struct sw_switch *sw = user;
	const uint64_t now_us = via_clock_us();
	const bool busy = sw_rebalance(&sw->core, now_us - sw->measured_us);

	sw->measured_us = now_us;
	if (busy)
		via_timer_start(sw->rebalancing, REBALANCE_MS);
	else
		nudge_done(sw, SW_NUDGE_REBALANCE);
}

static void on_nudge(void *user, uint32_t events)
{
	struct sw_switch *sw = user;
	uint64_t n;
	uint32_t what;

	(void)events;
	if (read(sw->core.nudge_fd, &n, sizeof(n)) < 0)
		return;
	what = atomic_fetch_and(&sw->core.nudged, ~(uint32_t)SW_NUDGE_CLOSE) & ~sw->doing;
	sw->doing |= what & ~(uint32_t)SW_NUDGE_CLOSE;
	if (what & SW_NUDGE_AGE)
		start_ageing(sw);
	if (what & SW_NUDGE_REBALANCE) {
		sw_rebalance_begin(&sw->core);
		sw->measured_us = via_clock_us();
		via_timer_start(sw->rebalancing, REBALANCE_MS);
	}
	if (what & SW_NUDGE_CLOSE)
		close_unused(sw);
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
	struct place *p = find_place(sw, port);

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
	if (index >= 0 && !need_place(sw, (uint32_t)index, err))
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

static int open_control(struct sw_switch *sw, struct via_error *err)
{
	int ret;

	sw->core.nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sw->core.nudge_fd < 0)
		return via_fail(err, -errno, "no descriptor for the switch: %s", strerror(errno));
	ret = via_loop_watch(&sw->nudge, sw->loop, sw->core.nudge_fd, EPOLLIN, on_nudge, sw, err);
	if (ret == 0)
		ret = via_timer_create(&sw->ageing, sw->loop, on_ageing, sw, err);
	if (ret == 0)
		ret = via_timer_create(&sw->rebalancing, sw->loop, on_rebalancing, sw, err);
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
	ret = open_control(sw, err);
	if (ret < 0)
		return ret;
	ret = rebuild(sw, NULL, err);
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
	via_timer_free(sw->rebalancing);
	via_timer_free(sw->ageing);
	via_loop_unwatch(sw->nudge);
	if (sw->core.nudge_fd >= 0)
		close(sw->core.nudge_fd);
	sw_published_free(sw->published);
	sw_fdb_fini(&sw->core.fdb);
	free(sw->core.worker);
	pthread_mutex_destroy(&sw->core.mail_lock);
	free(sw);
}
