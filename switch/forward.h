/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One burst's way through the switch: judged (input.c), looked up and sent (forward.c), with VLAN
 * tags put in and taken out on the way (vlan.c). A worker has one struct sw_pass, and all of this is
 * its own.
 */
#ifndef SW_FORWARD_H
#define SW_FORWARD_H

#include <viaduct/view.h>

#include "switch/core.h"

/*
 * Copies that floods of one burst may make (R27), each counted as one, or as many as it has segments,
 * and one more for each SW_FLOOD_BYTES. One frame is always flooded, whatever the number of ports.
 */
#define SW_FLOOD_BUDGET 8192
#define SW_FLOOD_BYTES  2048

/* Packets that become of a frame where it cannot go whole. */
static inline uint32_t sw_nr_segments(const struct via_view *view)
{
	return view->gso == VIA_GSO_NONE ? 1 : view->len / view->gso_size + 1;
}

/* Where a lossless port is full: how long sources wait for it. */
#define SW_LOSSLESS_MS 100u

/* Consecutive views of a burst with the same addresses and VLAN: judged and looked up once. */
struct sw_run {
	uint64_t dst, src; /* keys of the MAC table */
	struct sw_fdb_bucket *dst_bucket, *src_bucket;
	uint16_t vlan;
	bool tagged; /* the frames have that VLAN's tag */
	uint8_t first, n;
};

/* Views collected for one port, in the order of the burst. */
struct sw_out {
	const struct sw_member *to;
	uint32_t n;
	struct via_view *view[VIA_BURST];
};

/* Where a burst came from. */
struct sw_source {
	struct via_port *port;
	uint16_t index; /* of the port */
	uint16_t q;
	/* Lossless: of the views returned to the port, those that need not be sent again (bit i: the
	 * i-th that comes next). Writer: the queue's worker. */
	uint64_t done;
	uint32_t captured; /* of them, from the first on: all that were returned */
};

struct sw_pass {
	/* this burst */
	struct sw_core *core;
	const struct sw_table *table;
	struct sw_capture *capture; /* NULL: none runs */
	const struct sw_member *in;
	struct sw_source *source;
	struct via_queue_stats *stats; /* of the source's queue */
	struct via_burst *burst;
	uint32_t n;
	uint32_t worker; /* constant */
	uint32_t now_ms;
	sw_fdb_value seen; /* what the MAC table is to know of this burst's sources */
	uint64_t last_src; /* key of the last run begun, and its bucket */
	struct sw_fdb_bucket *last_src_bucket;
	uint64_t good_src;  /* last that was judged and learned */
	uint64_t held;      /* views that a full lossless port did not take */
	uint64_t flooded;   /* views that went to several ports */
	uint64_t variants;  /* views that have a variant */
	uint32_t nr_pieces; /* used of 'piece' */
	uint32_t flood_left;
	uint32_t nr_runs;
	uint32_t nr_outs;

	via_counter floods; /* views flooded */
	struct sw_run run[VIA_BURST];
	struct via_view *view[VIA_BURST]; /* constant: of 'burst', in order */
	/* The same frames with the tag put in or taken out, made when first needed. */
	struct via_view variant[VIA_BURST];
	uint16_t out_of[SW_MAX_PORTS]; /* place in 'out' plus 1, 0: none */
	struct via_piece piece[VIA_BURST_PIECES + VIA_BURST];
	struct sw_out out[SW_MAX_PORTS]; /* touched as far as used */
};

/* A pass and its burst for a worker, from zeroed pages; NULL without memory. Thread: any. */
struct sw_pass *sw_pass_create(struct sw_core *core, uint32_t worker);
void sw_pass_free(struct sw_pass *pass); /* accepts NULL */

/*
 * Forwards the first 'n' views of pass->burst, which 'source' has lent. Each is delivered or counted
 * as dropped. Returns how many at the end are to come again, because a lossless port was full.
 * 'now_us' is the turn's clock. Thread: worker.
 */
uint32_t sw_forward(struct sw_pass *pass, struct sw_source *source, uint32_t n, uint64_t now_us);

/* The run whose bucket is to be there by the time the i-th is dealt with: some memory accesses later. */
static via_always_inline const struct sw_run *sw_run_ahead(const struct sw_pass *p, uint32_t i)
{
	return &p->run[via_min_u(i + 12, p->nr_runs - 1)];
}

/* ---- input.c ---- */

/* Cuts the burst into runs and drops what no port may send, counted at the source. */
void sw_input(struct sw_pass *pass);

/* ---- vlan.c ---- */

/* A tag in front of a frame: 802.1Q. */
#define SW_TPID     0x8100
#define SW_TAG_SIZE 4

/*
 * The VLAN of a frame that came in through 'in' (access or trunk), and whether it carries that tag.
 * A priority tag (VID 0) is made a tag of the port's VLAN. Returns false if the port may not send it.
 */
bool sw_vlan_classify(const struct sw_member *in, struct via_view *view, bool *tagged);

/* Whether 'out' wants frames of 'vlan' with a tag. */
static inline bool sw_vlan_tags(const struct sw_member *out, uint16_t vlan)
{
	return out->kind == SW_TRUNK && vlan != out->vlan;
}

/* The i-th view of the burst with its tag put in (if 'tagged' is false) or taken out. */
struct via_view *sw_vlan_variant(struct sw_pass *pass, uint32_t i, bool tagged);

#endif
