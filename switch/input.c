/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges a burst: which VLAN each frame is in, and whether its port may send it.
 *
 * Neighbours in a burst mostly have the same addresses, so what depends on addresses alone is done
 * once a *run* of them. Making the runs is all that is done per packet; their buckets of the MAC
 * table are prefetched as they are found. Then each run is judged: destinations that no bridge may
 * forward (IEEE 802.1Q 8.6.3) and sources that cannot be one are dropped, the rest is learned.
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

static void begin_run(struct sw_pass *p, uint32_t first, struct macs macs, bool tagged)
{
	struct sw_run *run = &p->run[p->nr_runs++];
	const uint16_t vlan = p->burst->view[first].vlan;

	run->dst = sw_fdb_key(le64toh(macs.head) & MAC_MASK, vlan);
	run->src = sw_fdb_key(le64toh(macs.tail) >> 16, vlan);
	run->dst_bucket = sw_fdb_bucket(&p->core->fdb, run->dst);
	run->src_bucket = sw_fdb_bucket(&p->core->fdb, run->src);
	__builtin_prefetch(run->dst_bucket);
	__builtin_prefetch(run->src_bucket);
	run->vlan = vlan;
	run->tagged = tagged;
	run->first = (uint8_t)first;
	run->n = 1;
}

/* The common case: nothing but addresses to look at. */
static void cut_unaware(struct sw_pass *p)
{
	struct macs last = { 0, ~UINT64_C(0) }; /* no frame's: their common bytes differ */
	const uint16_t index = p->in->index;
	uint32_t first = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		struct via_view *view = &p->burst->view[i];
		const struct macs macs = load_macs(view);

		view->vlan = 0;
		view->ingress = index;
		if (via_likely(macs.head == last.head && macs.tail == last.tail))
			continue;
		if (i > 0)
			p->run[p->nr_runs - 1].n = (uint8_t)(i - first);
		begin_run(p, i, macs, false);
		last = macs;
		first = i;
	}
	p->run[p->nr_runs - 1].n = (uint8_t)(p->n - first);
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

		view->vlan = 0;
		view->ingress = p->in->index;
		if (done >> i & 1) {
			run = NULL;
		} else if (p->in->kind != SW_UNAWARE && !sw_vlan_classify(p->in, view, &tagged)) {
			via_drop_count(p->stats, VIA_DROP_VLAN, 1);
			run = NULL;
		} else if (run && macs.head == last.head && macs.tail == last.tail &&
			   view->vlan == run->vlan && tagged == run->tagged) {
			p->run[p->nr_runs - 1].n++;
		} else {
			begin_run(p, i, macs, tagged);
			run = &p->run[p->nr_runs - 1];
			last = macs;
		}
	}
}

/* Learns the run's source. Returns whether it may go on. */
static via_always_inline bool judge(struct sw_pass *p, const struct sw_run *run)
{
	enum via_drop why;

	if (via_unlikely((run->dst & LINK_LOCAL_MASK) == LINK_LOCAL))
		why = VIA_DROP_RESERVED;
	else if (via_unlikely((run->src & GROUP_BIT) || !(run->src & MAC_MASK)))
		why = VIA_DROP_SOURCE;
	else if (via_unlikely(!sw_fdb_learn(&p->core->fdb, run->src_bucket, run->src, p->in->index,
					    p->now_s)))
		why = VIA_DROP_SOURCE;
	else
		return true;
	via_drop_count(p->stats, why, run->n);
	return false;
}

void sw_input(struct sw_pass *p)
{
	const uint64_t done = p->source->done;
	uint32_t kept = 0;

	p->nr_runs = 0;
	if (via_likely(p->in->kind == SW_UNAWARE && !done))
		cut_unaware(p);
	else
		cut_careful(p, done);
	p->source->done = p->n < 64 ? done >> p->n : 0;

	for (uint32_t i = 0; i < p->nr_runs; i++) {
		if (via_unlikely(!judge(p, &p->run[i])))
			continue;
		if (via_unlikely(kept != i))
			p->run[kept] = p->run[i];
		kept++;
	}
	p->nr_runs = kept;
}
