/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges a burst: which VLAN each frame is in, and whether its port may send it.
 *
 * Neighbours in a burst mostly have the same addresses, so what depends on addresses alone is done
 * once a *run* of them. Making the runs is all that is done per packet. Then each run is judged:
 * destinations that no bridge may forward (IEEE 802.1Q 8.6.3) and sources that cannot be one are
 * dropped, the rest is learned.
 *
 * Each step prefetches the buckets of the MAC table for the next: sources' as runs are made,
 * destinations' as they are judged. A burst between as many stations needs 128 lines, which is more
 * than a core keeps on their way, and a prefetch beyond that may be lost: so each bucket is asked for
 * once more shortly before it is used (sw_run_ahead).
 */
#include "switch/forward.h"

#define MAC_MASK ((UINT64_C(1) << 48) - 1)

/* 01:80:c2:00:00:00 to :0f, first byte lowest. */
#define LINK_LOCAL      UINT64_C(0xc28001)
#define LINK_LOCAL_MASK UINT64_C(0xf0ffffffffff)
#define GROUP_BIT       1

/* A frame's first twelve bytes, as they are, with four in common. */
struct macs {
	uint64_t head, tail;
};

static via_always_inline struct macs load_macs(const struct via_view *view)
{
	struct macs m;

	memcpy(&m.head, view->snapshot, 8);
	memcpy(&m.tail, view->snapshot + 4, 8);
	return m;
}

static via_always_inline void begin_run(struct sw_pass *p, uint32_t first, uint16_t vlan,
					struct macs macs, bool tagged)
{
	const struct sw_fdb *fdb = &p->core->fdb;
	struct sw_run *run = &p->run[p->nr_runs++];

	run->dst = sw_fdb_key(le64toh(macs.head) & MAC_MASK, vlan);
	run->src = sw_fdb_key(le64toh(macs.tail) >> 16, vlan);
	run->dst_bucket = sw_fdb_bucket(fdb, run->dst);
	if (run->src != p->last_src) {
		p->last_src = run->src;
		p->last_src_bucket = sw_fdb_bucket(fdb, run->src);
		via_prefetch(p->last_src_bucket);
	}
	run->src_bucket = p->last_src_bucket;
	run->vlan = vlan;
	run->tagged = tagged;
	run->first = (uint8_t)first;
	run->n = 1;
}

/* Both words of the view that say where it is from, in one store. */
static via_always_inline void set_origin(struct via_view *view, uint16_t vlan, uint16_t ingress)
{
	const struct {
		uint16_t vlan, ingress;
	} origin = { vlan, ingress };

	static_assert(offsetof(struct via_view, ingress) == offsetof(struct via_view, vlan) + 2,
		      "they are neighbours");
	memcpy((uint8_t *)view + offsetof(struct via_view, vlan), &origin, sizeof(origin));
}

/* The common case: nothing but addresses to look at. */
static void cut_unaware(struct sw_pass *p)
{
	struct macs last = { 0, ~UINT64_C(0) }; /* no frame's: their common bytes differ */
	const uint16_t index = p->in->index;
	const uint32_t n = p->n;
	struct via_view *view = p->burst->view;
	uint32_t first = 0;

	for (uint32_t i = 0; i < n; i++, view++) {
		const struct macs macs = load_macs(view);

		set_origin(view, 0, index);
		if (via_likely(macs.head == last.head && macs.tail == last.tail))
			continue;
		if (i > 0)
			p->run[p->nr_runs - 1].n = (uint8_t)(i - first);
		begin_run(p, i, 0, macs, false);
		last = macs;
		first = i;
	}
	p->run[p->nr_runs - 1].n = (uint8_t)(n - first);
}

/* Frames with VLANs to tell apart, and bursts in which some views have been dealt with before. */
static void cut_careful(struct sw_pass *p, uint64_t done)
{
	const struct sw_run *run = NULL; /* that the last view is in */
	struct macs last = { 0, 0 };

	for (uint32_t i = 0; i < p->n; i++) {
		struct via_view *view = &p->burst->view[i];
		const struct macs macs = load_macs(view);
		bool tagged = false;

		set_origin(view, 0, p->in->index);
		if (done >> i & 1) {
			run = NULL;
		} else if (p->in->kind != SW_UNAWARE && !sw_vlan_classify(p->in, view, &tagged)) {
			via_drop_count(p->stats, VIA_DROP_VLAN, 1);
			run = NULL;
		} else if (run && macs.head == last.head && macs.tail == last.tail &&
			   view->vlan == run->vlan && tagged == run->tagged) {
			p->run[p->nr_runs - 1].n++;
		} else {
			begin_run(p, i, view->vlan, macs, tagged);
			run = &p->run[p->nr_runs - 1];
			last = macs;
		}
	}
}

/* Whether the frames may come from there. Learns the source. */
static bool judge_source(struct sw_pass *p, const struct sw_run *run)
{
	if (via_unlikely((run->src & GROUP_BIT) || !(run->src & MAC_MASK)))
		return false;
	return sw_fdb_learn(&p->core->fdb, run->src_bucket, run->src, p->seen);
}

/* Whether the run may go on. */
static via_always_inline bool judge(struct sw_pass *p, const struct sw_run *run)
{
	enum via_drop why;

	if (via_unlikely((run->dst & LINK_LOCAL_MASK) == LINK_LOCAL))
		why = VIA_DROP_RESERVED;
	else if (via_unlikely(run->src != p->good_src && !judge_source(p, run)))
		why = VIA_DROP_SOURCE;
	else {
		p->good_src = run->src;
		return true;
	}
	via_drop_count(p->stats, why, run->n);
	return false;
}

void sw_input(struct sw_pass *p)
{
	const uint64_t done = p->source->done;
	uint32_t kept = 0;

	p->nr_runs = 0;
	p->last_src = p->good_src = 0; /* no key */
	if (via_likely(p->in->kind == SW_UNAWARE && !done))
		cut_unaware(p);
	else
		cut_careful(p, done);
	p->source->done = p->n < 64 ? done >> p->n : 0;

	for (uint32_t i = 0; i < p->nr_runs; i++) {
		via_prefetch(sw_run_ahead(p, i)->src_bucket);
		via_prefetch(p->run[i].dst_bucket);
		if (via_unlikely(!judge(p, &p->run[i])))
			continue;
		if (via_unlikely(kept != i))
			p->run[kept] = p->run[i];
		kept++;
	}
	p->nr_runs = kept;
}
