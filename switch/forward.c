/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a judged burst goes: lookup, flood, and one egress burst for each destination.
 *
 * Views are collected by egress port in the order of the burst, flooded ones among the others, so
 * each port gets what is for it in the order in which it came. A burst that is one run to one port,
 * which is what a flow is, skips the collecting: the pass has the array of its views' addresses ready.
 *
 * Lossless ports. Where one is full the rest of its known unicast is *held*: those views are given
 * back to the source as undelivered and come again. Only the end of a burst can be given back, so
 * views behind the first held one that went elsewhere come again as well; 'done' of the source
 * remembers them, and the next burst skips them. A port that takes nothing for SW_LOSSLESS_MS is
 * lossy until it takes something: nobody waits for the dead.
 */
#include "switch/forward.h"

#include <sys/mman.h>

#include "switch/capture.h"

/* ---- sending ---- */

static uint32_t egress(const struct sw_member *to, struct via_view *const *views, uint32_t n,
		       bool keep)
{
	return to->port->ops->egress_burst(to->port, views, n, keep);
}

static uint32_t index_of(const struct sw_pass *p, const struct via_view *view)
{
	if (view >= p->variant && view < p->variant + VIA_BURST)
		return (uint32_t)(view - p->variant);
	return (uint32_t)(view - p->burst->view);
}

/* Notes that the port took something, or nothing. Returns whether it is worth waiting for. */
static bool is_alive(struct sw_pass *p, const struct sw_member *to, bool took)
{
	_Atomic(uint32_t) *since = &p->core->full_since[to->index];
	uint32_t full = atomic_load_explicit(since, memory_order_relaxed);

	if (took) {
		if (full)
			atomic_store_explicit(since, 0, memory_order_relaxed);
		return true;
	}
	if (full == 0) {
		atomic_store_explicit(since, p->now_ms, memory_order_relaxed);
		return true;
	}
	/* Another worker's clock may be ahead by a turn. A mere signed comparison would wait again, for
	 * weeks, once the port has been full for weeks. */
	return p->now_ms - full + SW_LOSSLESS_MS < 2 * SW_LOSSLESS_MS;
}

static via_cold void hold(struct sw_pass *p, const struct sw_member *to,
			  struct via_view *const *views, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t bit = UINT64_C(1) << index_of(p, views[i]);

		if (p->flooded & bit)
			egress(to, &views[i], 1, false); /* best effort, and counted there */
		else
			p->held |= bit;
	}
}

static via_always_inline void capture_egress(const struct sw_pass *p, const struct sw_member *to,
					     struct via_view *const *views, uint32_t n)
{
	if (via_unlikely(p->capture))
		sw_capture_views(p->capture, p->worker, to->index, views, n);
}

static void send_lossless(struct sw_pass *p, const struct sw_member *to,
			  struct via_view *const *views, uint32_t n)
{
	const uint32_t sent = egress(to, views, n, true);

	capture_egress(p, to, views, sent);
	if (is_alive(p, to, sent > 0))
		hold(p, to, views + sent, n - sent);
	else
		egress(to, views + sent, n - sent, false);
}

static void send(struct sw_pass *p, const struct sw_member *to, struct via_view *const *views,
		 uint32_t n)
{
	if (via_unlikely(to->port->lossless)) {
		send_lossless(p, to, views, n);
		return;
	}
	capture_egress(p, to, views, n);
	egress(to, views, n, false);
}

/* ---- collecting ---- */

static struct sw_out *out_to(struct sw_pass *p, const struct sw_member *to)
{
	uint16_t *at = &p->out_of[to->index];
	struct sw_out *out;

	if (*at)
		return &p->out[*at - 1];
	out = &p->out[p->nr_outs++];
	*at = (uint16_t)p->nr_outs;
	out->to = to;
	out->n = 0;
	return out;
}

/* The run's first 'n' views, in the form that the port wants. */
static via_always_inline void collect(struct sw_pass *p, const struct sw_member *to,
				      const struct sw_run *run, uint32_t n)
{
	struct sw_out *out = out_to(p, to);
	struct via_view **next = &out->view[out->n];

	out->n += n;
	if (via_likely(sw_vlan_tags(to, run->vlan) == run->tagged)) {
		for (uint32_t i = 0; i < n; i++)
			next[i] = p->view[run->first + i];
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		next[i] = sw_vlan_variant(p, run->first + i, run->tagged);
}

static void send_all(struct sw_pass *p)
{
	for (uint32_t i = 0; i < p->nr_outs; i++) {
		struct sw_out *out = &p->out[i];

		p->out_of[out->to->index] = 0;
		send(p, out->to, out->view, out->n);
	}
}

/* ---- destinations ---- */

/* How many of the run's views the flood budget lets through to 'nr_ports'. */
static uint32_t afford(struct sw_pass *p, const struct sw_run *run, uint32_t nr_ports)
{
	uint32_t n;

	for (n = 0; n < run->n; n++) {
		const struct via_view *view = &p->burst->view[run->first + n];
		const uint32_t cost =
			nr_ports * (sw_nr_segments(view) + view->len / SW_FLOOD_BYTES);

		if (cost > p->flood_left && p->flooded)
			break;
		p->flood_left -= via_min_u(cost, p->flood_left);
		p->flooded |= UINT64_C(1) << (run->first + n);
	}
	return n;
}

static void flood(struct sw_pass *p, const struct sw_run *run)
{
	const struct sw_flood *all = &p->table->flood[run->vlan];
	const uint32_t n = afford(p, run, all->n);
	uint32_t nr_ports = 0;

	for (uint32_t i = 0; i < all->n; i++) {
		const struct sw_member *to = all->member[i];

		if (to == p->in || (to->isolated && p->in->isolated))
			continue;
		nr_ports++;
		if (n > 0)
			collect(p, to, run, n);
	}
	via_count(&p->floods, n);
	if (nr_ports == 0)
		via_drop_count(p->stats, VIA_DROP_NOWHERE, run->n);
	else if (n < run->n)
		via_drop_count(p->stats, VIA_DROP_FLOOD, run->n - n);
}

static via_cold void drop_isolated(const struct sw_run *run, const struct sw_member *to)
{
	/* Counted where it was to go, by any worker: nobody else writes this counter. */
	atomic_fetch_add_explicit(&to->port->transmit[0].drops[VIA_DROP_ISOLATED].raw, run->n,
				  memory_order_relaxed);
}

/* The member that has index 'port', or NULL if the run cannot go there: it is dropped then. */
static via_always_inline const struct sw_member *admit(struct sw_pass *p, const struct sw_run *run,
						       uint32_t port)
{
	const struct sw_member *to = port < p->table->nr_ports ? p->table->port[port] : NULL;

	if (via_unlikely(!to || to == p->in || !sw_is_member(to, run->vlan))) {
		via_drop_count(p->stats, VIA_DROP_NOWHERE, run->n);
		return NULL;
	}
	if (via_unlikely(to->isolated && p->in->isolated)) {
		drop_isolated(run, to);
		return NULL;
	}
	return to;
}

/* The port that has the run's destination; NULL if none is known and it is to be flooded. */
static via_always_inline bool look_up(const struct sw_run *run, uint32_t *port)
{
	sw_fdb_value value;

	if (run->dst & 1) /* to a group */
		return false;
	value = sw_fdb_find(run->dst_bucket, run->dst);
	*port = sw_fdb_port(value);
	return value != SW_FDB_NONE;
}

static void dispatch(struct sw_pass *p)
{
	const struct sw_member *to;
	uint32_t port;

	for (uint32_t i = 0; i < p->nr_runs; i++) {
		const struct sw_run *run = &p->run[i];

		via_prefetch(sw_run_ahead(p, i)->dst_bucket);
		if (!look_up(run, &port)) {
			flood(p, run);
			continue;
		}
		to = admit(p, run, port);
		if (!to)
			continue;
		if (via_likely(p->nr_runs == 1 && sw_vlan_tags(to, run->vlan) == run->tagged)) {
			send(p, to, p->view + run->first, run->n);
			return;
		}
		collect(p, to, run, run->n);
	}
	send_all(p);
}

/* What is to come again: the end of the burst from the first held view on. 'done' is about the views
 * behind this burst, if the last one gave back more than came this time. */
static via_cold uint32_t give_back(struct sw_pass *p)
{
	const uint32_t first = (uint32_t)__builtin_ctzll(p->held), n = p->n - first;
	const uint64_t rest = n < 64 ? p->source->done << n : 0;
	const uint64_t these = n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);

	p->source->done = (~p->held >> first & these) | rest;
	p->source->captured += n;
	return n;
}

/* Views that were given back before come first, and were captured before. */
static via_cold void capture_ingress(struct sw_pass *p)
{
	const uint32_t seen = via_min_u(p->source->captured, p->n);

	p->source->captured -= seen;
	if (p->capture && seen < p->n)
		sw_capture_views(p->capture, p->worker, p->source->index, p->view + seen,
				 p->n - seen);
}

uint32_t sw_forward(struct sw_pass *p, struct sw_source *source, uint32_t n, uint64_t now_us)
{
	p->table = sw_table_load(p->core);
	p->in = p->table->port[source->index];
	if (via_unlikely(!p->in))
		return 0; /* the port is being deleted */
	/* Pairs with the release of sw_capture_start(). */
	p->capture = atomic_load_explicit(&p->core->capture, memory_order_acquire);
	p->source = source;
	p->stats = &source->port->receive[source->q];
	p->n = n;
	p->seen = sw_fdb_value_of(source->index, sw_seconds(p->core, now_us));
	p->now_ms = (uint32_t)(now_us / 1000) | 1;
	p->held = 0;
	p->flooded = 0;
	p->variants = 0;
	p->nr_pieces = 0;
	p->flood_left = SW_FLOOD_BUDGET;
	p->nr_outs = 0;

	if (via_unlikely(p->capture || source->captured))
		capture_ingress(p);
	sw_input(p);
	dispatch(p);
	return via_unlikely(p->held) ? give_back(p) : 0;
}

/* ---- beginning and end ---- */

static void *map_zeros(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct sw_pass *sw_pass_create(struct sw_core *core, uint32_t worker)
{
	struct sw_pass *p = map_zeros(sizeof(*p));

	if (!p)
		return NULL;
	p->burst = via_burst_create();
	if (!p->burst) {
		sw_pass_free(p);
		return NULL;
	}
	p->core = core;
	p->worker = worker;
	for (uint32_t i = 0; i < VIA_BURST; i++)
		p->view[i] = &p->burst->view[i];
	return p;
}

void sw_pass_free(struct sw_pass *p)
{
	if (!p)
		return;
	via_burst_free(p->burst);
	munmap(p, sizeof(*p));
}
