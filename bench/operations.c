/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device side does with a burst. */
#include "bench/core.h"
#include "bench/rings.h"

static uint32_t take(struct rings *r, uint32_t n)
{
	return via_vq_ingress(&r->tx.vq, &r->tx.net, &r->lent, r->burst, n, &r->tx.stats);
}

static void give_back(struct rings *r)
{
	via_vq_ingress_release(&r->tx.vq, &r->lent);
}

static uint32_t enqueue(struct rings *r, uint32_t n)
{
	return via_vq_egress(&r->rx.vq, &r->rx.net, r->view, n, 0, false, &r->rx.stats);
}

static uint32_t dequeue(struct rings *r, uint32_t n)
{
	n = take(r, n);
	give_back(r);
	return n;
}

static uint32_t forward(struct rings *r, uint32_t n)
{
	n = enqueue(r, take(r, n));
	give_back(r);
	return n;
}

static uint32_t through_switch(struct rings *r, uint32_t n)
{
	n = take(r, n);
	bench_core_forward(r->core, n);
	give_back(r);
	return n;
}

static uint32_t egress_burst(struct via_port *port, struct via_view *const *views, uint32_t n,
			     bool keep)
{
	struct rings *r = port->config.user;

	return via_vq_egress(&r->rx.vq, &r->rx.net, views, n, 0, keep, &r->rx.stats);
}

const struct via_port_ops rings_port_ops = { .type = "bench", .egress_burst = egress_burst };

static via_always_inline uint32_t serve(struct rings *r, uint32_t n, enum via_ring_format format)
{
	struct via_vq *vq = &r->tx.vq;
	const struct via_ring *ring = vq_ring(vq);
	struct via_seg *seg = (struct via_seg *)r->burst->piece;
	struct via_batch_entry *entry = r->lent.entry;
	uint32_t done = 0, segs = 0, run;
	struct via_chain chain;

	vq_prefetch(vq, ring, n, format);
	while (done < n) {
		run = vq_pop_singles(vq, ring, seg + segs, entry + done, n - done, 0, VIA_READABLE,
				     format);
		done += run;
		segs += run;
		if (done == n ||
		    vq_pop(vq, ring, &chain, seg + segs, VIA_BURST_PIECES - segs, format) <= 0)
			break;
		entry[done++] = (struct via_batch_entry){ 0, chain.id, chain.nr_slots };
		segs += chain.nr_readable;
	}
	vq_push_burst(vq, ring, entry, done, format);
	vq_publish(vq, ring, format);
	if (vq_wants_call(vq, ring, format))
		vq_call(vq, ring);
	return done;
}

static uint32_t serve_ring(struct rings *r, uint32_t n)
{
	return r->what.path->format == VIA_RING_PACKED ? serve(r, n, VIA_RING_PACKED)
						       : serve(r, n, VIA_RING_SPLIT);
}

const struct rings_operation rings_operations[RINGS_NR_OPERATIONS] = {
	{ "forward", "from one queue to the other", forward, true, true },
	{ "dequeue", "views of what the driver sent, given back", dequeue, true, false },
	{ "enqueue", "the same views to a driver, again and again", enqueue, false, true },
	{ "switch", "forward, by way of the switch", through_switch, true, true },
	{ "ring", "chains taken and given back, unseen", serve_ring, true, false },
};
