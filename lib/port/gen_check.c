/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that come back to a gen, its own or another's: record by record, is this the next of its flow,
 * and is its payload what was sent?
 *
 * Of each flow the next sequence number is kept, and which of the 64 before it have come. A gap counts
 * as lost until its records come after all; then they are late ones.
 */
#include <string.h>

#include "net/bytes.h"
#include "net/net.h"
#include "net/wire.h"
#include "port/gen.h"
#include "port/lock.h"

/* ---- reading a view ---- */

struct reader {
	const struct via_view *view;
	const uint8_t *at; /* of the current part */
	uint32_t left;     /* bytes of it */
	uint32_t piece;    /* the part after it */
};

static void read_from(struct reader *r, const struct via_view *view, uint32_t offset)
{
	*r = (struct reader){ .view = view,
			      .at = view->snapshot + offset,
			      .left = view->snapshot_len - offset };
}

/* The next bytes that lie in one piece, at most 'len'; 0 at the end. */
static uint32_t next_part(struct reader *r, uint32_t len, const uint8_t **at)
{
	while (r->left == 0) {
		if (r->piece == r->view->nr_pieces)
			return 0;
		r->at = r->view->piece[r->piece].base;
		r->left = r->view->piece[r->piece++].len;
	}
	len = via_min_u(len, r->left);
	*at = r->at;
	r->at += len;
	r->left -= len;
	return len;
}

/* Copies 'len' bytes to 'to', or (NULL) passes over them. Returns whether they were there. */
static bool read_bytes(struct reader *r, uint8_t *to, uint32_t len)
{
	const uint8_t *at;
	uint32_t part;

	while (len > 0) {
		part = next_part(r, len, &at);
		if (part == 0)
			return false;
		if (to) {
			memcpy(to, at, part);
			to += part;
		}
		len -= part;
	}
	return true;
}

/* Whether the next 'len' bytes are those; passes over all of them. */
static bool match_bytes(struct reader *r, const uint8_t *bytes, uint32_t len)
{
	const uint8_t *at;
	bool same = true;

	while (len > 0) {
		uint32_t part = next_part(r, len, &at);

		if (part == 0)
			return false;
		same = same && memcmp(at, bytes, part) == 0;
		bytes += part;
		len -= part;
	}
	return same;
}

static bool read_record(struct reader *r, struct gen_record *record)
{
	uint8_t bytes[GEN_RECORD_SIZE];

	if (!read_bytes(r, bytes, sizeof(bytes)))
		return false;
	*record = (struct gen_record){
		.check = via_get_be32(bytes),
		.source = via_get_be32(bytes + 4),
		.flow = via_get_be16(bytes + 8),
		.len = via_get_be16(bytes + 10),
		.seq = via_get_be32(bytes + 12),
	};
	return record->check == gen_record_check(record) && record->len >= GEN_RECORD_SIZE;
}

/* ---- the flow's history, under the lock ---- */

/* Its place in the table, made if it is new; NULL if there is none left nearby. */
static struct gen_flow *find_flow(struct gen_checker *c, const struct gen_record *record)
{
	const uint64_t key = ((uint64_t)record->source << 16 | record->flow) + 1;
	uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 40;

	for (uint32_t i = 0; i < 32; i++) {
		struct gen_flow *flow = &c->flow[(at + i) & (GEN_TABLE - 1)];

		if (flow->key == key)
			return flow;
		if (flow->key == 0) {
			*flow = (struct gen_flow){ .key = key, .next = record->seq };
			return flow;
		}
	}
	return NULL;
}

static void note_new(struct gen *gen, struct gen_flow *flow, uint32_t seq)
{
	uint32_t gap = seq - flow->next;

	via_count(&gen->counter.lost, gap);
	flow->seen = gap < 63 ? flow->seen << (gap + 1) | 1 : 1;
	flow->next = seq + 1;
}

/* What lies further back than the 64 that are kept is taken for late. */
static void note_old(struct gen *gen, struct gen_flow *flow, uint32_t seq)
{
	uint32_t back = flow->next - 1 - seq;

	if (back < 64 && flow->seen >> back & 1) {
		via_count(&gen->counter.duplicates, 1);
		return;
	}
	if (back < 64)
		flow->seen |= VIA_BIT(back);
	via_count(&gen->counter.reordered, 1);
	if (via_counter_read(&gen->counter.lost) > 0)
		via_count(&gen->counter.lost, (uint64_t)-1);
}

static void note_record(struct gen *gen, const struct gen_record *record, bool intact)
{
	struct gen_flow *flow;

	port_lock(&gen->checker.lock);
	via_count(&gen->counter.received, 1);
	if (!intact)
		via_count(&gen->counter.corrupt, 1);
	flow = find_flow(&gen->checker, record);
	if (!flow)
		via_count(&gen->counter.untracked, 1);
	else if ((int32_t)(record->seq - flow->next) >= 0)
		note_new(gen, flow, record->seq);
	else
		note_old(gen, flow, record->seq);
	port_unlock(&gen->checker.lock);
}

/* ---- one frame ---- */

/* Whether a checksum that is there is right. */
static bool checksum_is_right(const struct via_view *view)
{
	const uint8_t *ip = view->snapshot + view->l3, *udp = view->snapshot + view->l4;
	uint16_t parts[2] = { htobe16(VIA_PROTO_UDP) };
	uint64_t sum = 0;
	uint32_t len = 0, part;
	struct reader r;
	const uint8_t *at;

	if (view->flags & (VIA_VIEW_NEEDS_CSUM | VIA_VIEW_CSUM_VALID) ||
	    via_get_be16(udp + VIA_UDP_CHECKSUM) == 0)
		return true;
	memcpy(&parts[1], udp + VIA_UDP_LENGTH, 2);
	sum = via_csum_add(0, parts, sizeof(parts));
	sum += via_csum_add(0, ip + VIA_IPV4_ADDRESSES, 8);
	read_from(&r, view, view->l4);
	while ((part = next_part(&r, UINT32_MAX, &at)) > 0) {
		uint32_t bytes = via_csum_add(0, at, part);

		sum += len % 2 ? via_csum_swap(bytes) : bytes;
		len += part;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	return via_csum_fold((uint32_t)((sum & 0xffffffff) + (sum >> 32))) == 0;
}

static bool is_ours(struct via_view *view)
{
	if (!(view->flags & VIA_VIEW_PARSED))
		via_view_parse(view);
	return view->ethertype == VIA_ETHERTYPE_IPV4 && view->l4_proto == VIA_PROTO_UDP &&
	       view->payload && view->payload <= view->snapshot_len &&
	       via_get_be16(view->snapshot + view->l4 + 2) == GEN_PORT;
}

/* Returns the number of records. */
static uint32_t check_records(struct gen *gen, const struct via_view *view)
{
	struct gen_record record;
	struct reader r;
	uint32_t n;

	read_from(&r, view, view->payload);
	for (n = 0; read_record(&r, &record); n++) {
		uint32_t body = record.len - (uint32_t)GEN_RECORD_SIZE;
		bool intact = gen->checker.payload ? match_bytes(&r, gen_pattern(record.seq), body)
						   : read_bytes(&r, NULL, body);

		note_record(gen, &record, intact);
	}
	return n;
}

static void count(struct gen *gen, via_counter *counter, uint64_t n)
{
	port_lock(&gen->checker.lock);
	via_count(counter, n);
	port_unlock(&gen->checker.lock);
}

static void check_frame(struct gen *gen, struct via_view *view)
{
	if (!is_ours(view) || check_records(gen, view) == 0)
		count(gen, &gen->counter.foreign, 1);
	else if (gen->checker.payload && !checksum_is_right(view))
		count(gen, &gen->counter.bad_checksum, 1);
}

uint32_t gen_egress(struct via_port *port, struct via_view *const *views, uint32_t n, bool keep)
{
	struct gen *gen = gen_of(port);
	uint64_t bytes = 0;

	(void)keep;
	for (uint32_t i = 0; i < n; i++) {
		check_frame(gen, views[i]);
		bytes += views[i]->len;
	}
	port_lock(&gen->checker.lock);
	via_count(&port->transmit[0].packets, n);
	via_count(&port->transmit[0].bytes, bytes);
	port_unlock(&gen->checker.lock);
	return n;
}
