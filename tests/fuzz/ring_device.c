/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device-side queue of FUZZ_FORMAT whose guest does anything at any moment: chains taken and given back by
 * the operations of ring/vq.h, frames from it (net/vq_ingress.c) and to it (net/vq_egress.c).
 *
 * Beyond what the sanitizers see: what was taken is a chain of which each word was read once (R9), no more is
 * in flight than the ring has slots, nothing is written but what the driver offered for writing and the
 * device's own words, used lengths are what was written (R16), a broken queue stays so and is left alone (R15),
 * and everything takes a bounded number of loads (R10, R18).
 */
#include <endian.h>
#include <string.h>

#include "net/header.h"
#include "net/net.h"
#include "tests/fuzz/guest.h"

#define MAX_OPS   96
#define MAX_VIEWS 8
#define MAX_SEGS  64 /* segments that a frame is cut into, here */

struct target {
	struct input in;
	struct guest guest;
	struct via_ring ring;
	struct via_vq vq;
	struct via_vq_net net;
	struct via_lent lent;
	struct via_queue_stats stats;
	uint64_t features;
};

static struct target t;
static struct via_burst *burst;

/* ---- what is allowed ---- */

static uint8_t writable[ARENA_SIZE];

static void allow(const uint8_t *at, uint64_t len)
{
	memset(writable + arena_offset(at), 1, len);
}

/* What the device may write at any time. */
static void allow_own_words(void)
{
	const struct guest *g = &t.guest;
	const struct via_ring_sizes sizes = via_ring_sizes(g->format, g->size);

	allow(g->used, sizes.used);
	if (g->format == VIA_RING_PACKED)
		for (uint32_t i = 0; i < g->size; i++)
			allow(g->desc + 16 * i + 8, 8);
}

/* A buffer of a descriptor as it was loaded, if it is one. */
static void allow_buffer(uint64_t addr, uint64_t tail)
{
	const uint16_t flags = (uint16_t)(tail >> (t.guest.format == VIA_RING_PACKED ? 48 : 32));
	uint32_t len = (uint32_t)tail;

	while ((flags & VIA_DESC_WRITE) && len > 0) {
		uint64_t left;
		uint8_t *at = guest_at(&t.guest, addr, &left);

		if (!at)
			return;
		left = left < len ? left : len;
		allow(at, left);
		addr += left;
		len -= (uint32_t)left;
	}
}

/* Any two words that were loaded near each other and may have been a descriptor. False if the record does
 * not tell. */
static bool allow_loaded(void)
{
	for (uint32_t i = 0; i < racer.nr_log; i++) {
		const struct racer_load *addr = &racer.log[i];

		if (addr->size != 2 && addr->size != 8) /* a table's entry, copied in pieces */
			return false;
		for (uint32_t k = i > 4 ? i - 4 : 0; addr->size == 8 && k < i + 5; k++)
			if (k < racer.nr_log && racer.log[k].at == addr->at + 8)
				allow_buffer(addr->value, racer.log[k].value);
	}
	return racer.nr_log < RACER_LOG;
}

static void must_be_writable(void *user, uint32_t offset)
{
	(void)user;
	INSIST(writable[offset]);
}

static void check_in_flight(void)
{
	const struct via_vq *vq = &t.vq;

	if (t.guest.format == VIA_RING_PACKED)
		INSIST(packed_distance(vq->used, vq->avail, t.guest.size) <= t.guest.size);
	else
		INSIST((uint16_t)(vq->avail.idx - vq->used.idx) <= t.guest.size);
}

/* ---- every operation ---- */

enum writes { WRITES_NOTHING, WRITES_OWN_WORDS, WRITES_BUFFERS };

static void begin(uint32_t max_loads)
{
	arena_remember();
	racer_expect(max_loads);
}

static void end(enum writes writes)
{
	bool told = true;

	memset(writable, 0, sizeof(writable));
	if (writes != WRITES_NOTHING)
		allow_own_words();
	if (writes == WRITES_BUFFERS)
		told = allow_loaded();
	if (told)
		arena_changes(must_be_writable, NULL);
	check_in_flight();
}

/* Loads for one chain: twice what it can have, for it is walked anew if it is not the usual one. */
static uint32_t loads_of_chain(void)
{
	return 8 * (uint32_t)t.guest.size + 16;
}

static bool is_broken(void)
{
	return atomic_load(&t.vq.broken) != VIA_BROKEN_NONE;
}

/* ---- chains ---- */

static bool same_chain(const struct via_chain *got, const struct spec_chain *spec)
{
	if (got->id != spec->id || got->readable_len != spec->readable_len ||
	    got->writable_len != spec->writable_len || got->nr_readable != spec->nr_readable ||
	    got->nr_readable + (uint32_t)got->nr_writable != spec->nr_pieces)
		return false;
	if (t.guest.format == VIA_RING_PACKED && got->nr_slots != spec->nr_slots)
		return false;
	for (uint32_t i = 0; i < spec->nr_pieces; i++)
		if (got->seg[i].base != spec->piece[i].base ||
		    got->seg[i].len != spec->piece[i].len)
			return false;
	return true;
}

/*
 * What was taken is a chain of words each of which was loaded once. A chain that is not the usual one is
 * walked from its head anew: then it is one of the words of that walk.
 */
static bool is_chain_of_single_loads(struct via_ring_pos pos, const struct via_chain *got)
{
	static struct spec_chain spec;
	const struct guest *g = &t.guest;
	const bool packed = g->format == VIA_RING_PACKED;
	const uint8_t *desc = g->desc + 16 * (packed ? pos.idx : got->id);

	for (int again = 0; again < 2; again++) {
		struct spec_words loads = spec_loads();
		enum spec_is is;

		if (again)
			spec_skip(&loads, desc);
		if (again && !packed)
			spec_skip(&loads, desc + 8);
		is = spec_chain(g, pos, got->id, &loads, &spec);
		if (is == SPEC_UNSURE || (is == SPEC_YES && same_chain(got, &spec)))
			return true;
	}
	return racer.nr_log == RACER_LOG;
}

static struct via_seg segs[VIA_CHAIN_MAX_SEGS];

/* Takes chains one by one, and gives them back, some of them, or takes them anew. */
static void op_chains(void)
{
	const uint32_t n = 1 + in_below(&t.in, 8);
	const uint32_t max_segs = in_bool(&t.in) ? VIA_CHAIN_MAX_SEGS : 1 + in_below(&t.in, 6);
	const bool back = in_bool(&t.in);
	const struct via_ring_pos before = t.vq.avail;
	const struct via_ring *ring = vq_ring(&t.vq);
	struct via_chain chain[8];
	uint32_t taken = 0;

	if (!ring)
		return;
	begin(2 + n);
	vq_prefetch(&t.vq, ring, n, FUZZ_FORMAT);
	end(WRITES_NOTHING);
	while (taken < n) {
		const struct via_ring_pos pos = t.vq.avail;
		int ret;

		begin(loads_of_chain());
		ret = vq_pop(&t.vq, ring, &chain[taken], segs, max_segs, FUZZ_FORMAT);
		end(WRITES_NOTHING);
		if (ret <= 0) {
			INSIST(ret == 0 || ret == -ENOBUFS || is_broken());
			break;
		}
		INSIST(is_chain_of_single_loads(pos, &chain[taken]));
		taken++;
	}
	INSIST(taken <= t.guest.size);
	begin(loads_of_chain());
	if (back)
		vq_unpop(&t.vq, before);
	for (uint32_t i = 0; i < taken && !back; i++)
		vq_push(&t.vq, ring, &chain[i], in_u8(&t.in), FUZZ_FORMAT);
	vq_publish(&t.vq, ring, FUZZ_FORMAT);
	vq_wants_call(&t.vq, ring, FUZZ_FORMAT);
	end(WRITES_OWN_WORDS);
}

/* Whole runs of single buffers. */
static void op_singles(void)
{
	const enum via_direction direction = in_bool(&t.in) ? VIA_WRITABLE : VIA_READABLE;
	const uint32_t n = 1 + in_below(&t.in, VIA_VQ_BURST);
	const struct via_ring *ring = vq_ring(&t.vq);
	struct via_batch_entry entry[VIA_VQ_BURST];
	uint32_t taken;

	if (!ring)
		return;
	begin(5 * VIA_VQ_BURST);
	vq_prefetch(&t.vq, ring, n, FUZZ_FORMAT);
	taken = vq_pop_singles(&t.vq, ring, segs, entry, n, 0, direction, FUZZ_FORMAT);
	end(WRITES_NOTHING);
	INSIST(taken <= n && taken <= t.guest.size);
	for (uint32_t i = 0; i < taken; i++) {
		INSIST(arena_has(segs[i].base, segs[i].len) && segs[i].len > 0);
		INSIST(entry[i].nr_slots == 1);
		entry[i].len = direction == VIA_WRITABLE ? segs[i].len : 0;
	}
	begin(loads_of_chain());
	vq_push_burst(&t.vq, ring, entry, taken, FUZZ_FORMAT);
	vq_publish(&t.vq, ring, FUZZ_FORMAT);
	vq_wants_call(&t.vq, ring, FUZZ_FORMAT);
	end(WRITES_OWN_WORDS);
}

/* ---- frames from the driver ---- */

/* Whether the view is what the chain holds behind the header, byte by byte. */
static bool same_bytes(const struct via_view *view, const struct spec_chain *chain)
{
	uint32_t skip = t.net.header_size, at = 0, piece = 0, used = 0;

	for (uint32_t i = 0; i < chain->nr_readable; i++) {
		for (uint32_t k = 0; k < chain->piece[i].len; k++) {
			uint8_t byte = chain->piece[i].base[k];

			if (skip > 0) {
				skip--;
				continue;
			}
			if (at < view->snapshot_len) {
				if (view->snapshot[at++] != byte)
					return false;
				continue;
			}
			if (piece == view->nr_pieces || view->piece[piece].base[used] != byte)
				return false;
			if (++used == view->piece[piece].len) {
				used = 0;
				piece++;
			}
		}
	}
	return piece == view->nr_pieces;
}

static void check_view(const struct via_view *view)
{
	uint32_t len = view->snapshot_len;

	INSIST(view->len >= 14 && view->len <= VIA_FRAME_MAX);
	INSIST(view->snapshot_len == via_min_u(view->len, VIA_SNAPSHOT_SIZE));
	for (uint32_t i = 0; i < view->nr_pieces; i++) {
		INSIST(arena_has(view->piece[i].base, view->piece[i].len) &&
		       view->piece[i].len > 0);
		len += view->piece[i].len;
	}
	INSIST(len == view->len);
	if (view->flags & VIA_VIEW_NEEDS_CSUM)
		INSIST(view->csum_start + view->csum_offset + 2u <= view->len);
	if (view->gso != VIA_GSO_NONE)
		INSIST(view->gso_size > 0 && (view->flags & VIA_VIEW_NEEDS_CSUM));
}

/* Where nobody raced: the views are what the chains hold. */
static void check_contents(const struct via_burst *b)
{
	static struct spec_chain chain;
	struct via_ring_pos pos = t.lent.begin;
	uint32_t view = 0;

	for (uint32_t i = 0; i < t.lent.n; i++) {
		struct spec_words words = spec_memory_before();
		enum spec_is is = spec_chain(&t.guest, pos, t.lent.entry[i].id, &words, &chain);

		pos = vq_ahead(&t.ring, pos, 1, t.lent.entry[i].nr_slots, FUZZ_FORMAT);
		if (t.lent.dropped >> i & 1)
			continue;
		INSIST(is != SPEC_NO);
		if (is == SPEC_YES)
			INSIST(same_bytes(&b->view[view], &chain));
		view++;
	}
}

static void op_ingress(void)
{
	const uint32_t max = 1 + in_below(&t.in, VIA_BURST), keep = in_u8(&t.in);
	const uint32_t moves = racer.nr_moves;
	uint32_t n;

	begin(VIA_BURST * (loads_of_chain() + 200));
	n = via_vq_ingress(&t.vq, &t.net, &t.lent, burst, max, &t.stats);
	end(WRITES_OWN_WORDS); /* what is no frame goes back at once */
	INSIST(n <= max && t.lent.n <= t.guest.size);
	for (uint32_t i = 0; i < n; i++)
		check_view(&burst->view[i]);
	if (n > 0 && racer.nr_moves == moves)
		check_contents(burst);
	begin(loads_of_chain());
	if (keep & 1)
		via_vq_ingress_return(&t.vq, &t.lent, keep >> 1);
	via_vq_ingress_release(&t.vq, &t.lent);
	end(WRITES_OWN_WORDS);
}

/* ---- frames to the driver ---- */

static uint8_t frame_bytes[VIA_FRAME_MAX];
static struct via_view view_store[MAX_VIEWS];
static struct via_piece piece_store[MAX_VIEWS][3];

/* An IPv4 packet of 'len' bytes in all, TCP or UDP. */
static void make_ipv4(uint8_t *frame, uint32_t len, bool udp)
{
	memset(frame, 0, 64);
	frame[12] = 8;
	frame[14] = 0x45;
	frame[16] = (uint8_t)((len - 14) >> 8);
	frame[17] = (uint8_t)(len - 14);
	frame[23] = udp ? 17 : 6;
	frame[30] = 10;
	frame[34] = frame[36] = 9;
	frame[38] = udp ? (uint8_t)((len - 34) >> 8) : 0;
	frame[39] = udp ? (uint8_t)(len - 34) : 0;
	if (!udp)
		frame[46] = 0x50;
}

static void cut_view(struct via_view *view, struct via_piece *piece, uint8_t how)
{
	uint32_t rest = view->len - view->snapshot_len;
	const uint8_t *base = frame_bytes + view->snapshot_len;

	view->piece = piece;
	while (rest > 0) {
		uint32_t part = view->nr_pieces < 2 && how < rest ? how + 1u : rest;

		piece[view->nr_pieces++] = (struct via_piece){ base, part };
		base += part;
		rest -= part;
	}
}

static void make_view(struct via_view *view, struct via_piece *piece)
{
	const uint8_t how = in_u8(&t.in), kind = how & 7;
	uint32_t len = in_u8(&t.in);

	if (kind == 2 || kind > 3)
		len += 256u * (in_u8(&t.in) & 15);
	if (kind == 7)
		len *= 15;
	len += kind > 2 ? 60 : 14;
	*view = (struct via_view){ .len = len };
	view->snapshot_len = (uint16_t)(len < VIA_SNAPSHOT_SIZE ? len : VIA_SNAPSHOT_SIZE);
	for (uint32_t i = 0; i < view->snapshot_len; i++)
		view->snapshot[i] = frame_bytes[i];
	cut_view(view, piece, how);
	if (kind <= 2)
		return;
	make_ipv4(view->snapshot, len, how & 8);
	view->flags = VIA_VIEW_NEEDS_CSUM;
	view->csum_start = 34;
	view->csum_offset = how & 8 ? 6 : 16;
	if (kind == 3)
		return;
	view->gso = how & 8 ? VIA_GSO_UDP : VIA_GSO_TCPV4;
	view->gso_size = (uint16_t)(view->len / MAX_SEGS + 1 + in_u8(&t.in));
}

/* Follows what was written into the chains that came back, byte by byte; 'nr_seen' of them so far. */
struct reader {
	struct via_ring_pos pos;
	uint32_t nr_seen;
	struct spec_chain chain;
	uint32_t left; /* bytes written into the chain that are not read yet */
	uint32_t piece, at;
	bool unsure;
};

static bool at_end(const struct reader *r)
{
	return r->pos.idx == t.vq.used.idx && r->pos.wrap == t.vq.used.wrap;
}

static uint32_t used_word(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return le32toh(word);
}

/* The next chain that was given back: its head and how much was written. */
static void reader_next(struct reader *r)
{
	const struct guest *g = &t.guest;
	struct spec_words words = spec_memory_before();
	uint16_t head;

	if (g->format == VIA_RING_PACKED) {
		const uint8_t *desc = g->desc + 16 * r->pos.idx;
		const bool wrote = desc[14] & VIA_DESC_WRITE;

		r->left = wrote ? used_word(desc + 8) : 0;
		head = (uint16_t)(desc[12] | desc[13] << 8);
	} else {
		const uint8_t *elem = g->used + 4 + 8 * (r->pos.idx % g->size);

		head = (uint16_t)used_word(elem);
		r->left = used_word(elem + 4);
	}
	if (spec_chain(g, r->pos, head, &words, &r->chain) != SPEC_YES) {
		r->unsure = true;
		return;
	}
	INSIST(r->chain.id == head && r->left <= r->chain.writable_len);
	r->pos = vq_ahead(&t.ring, r->pos, 1, r->chain.nr_slots, FUZZ_FORMAT);
	r->piece = r->chain.nr_readable;
	r->at = 0;
	r->nr_seen++;
}

static uint8_t reader_byte(struct reader *r)
{
	while (r->left == 0 && !r->unsure) {
		INSIST(!at_end(r));
		reader_next(r);
	}
	if (r->unsure)
		return 0;
	if (r->at == r->chain.piece[r->piece].len) {
		r->piece++;
		r->at = 0;
	}
	r->left--;
	return r->chain.piece[r->piece].base[r->at++];
}

static uint8_t view_byte(const struct via_view *view, uint32_t at)
{
	return at < view->snapshot_len ? view->snapshot[at] : frame_bytes[at];
}

/* A frame went as it is: a header that asks for nothing, then its bytes, in chains that are all but the last
 * full (VN-42). */
static void check_plain(struct reader *r, const struct via_view *view)
{
	uint32_t nr_buffers = 0, first = r->nr_seen;

	for (uint32_t i = 0; i < t.net.header_size && !r->unsure; i++) {
		uint8_t byte = reader_byte(r);

		if (i == 10)
			nr_buffers = byte;
		else if (i == 11)
			nr_buffers += 256u * byte;
		else
			INSIST(r->unsure || byte == 0);
		if (i == 0)
			first = r->nr_seen; /* chains before it could take nothing */
	}
	for (uint32_t i = 0; i < view->len && !r->unsure; i++) {
		uint8_t byte = reader_byte(r);

		INSIST(r->unsure || byte == view_byte(view, i));
	}
	INSIST(r->unsure || r->left == 0);
	if (!r->unsure && t.net.has_num_buffers)
		INSIST(nr_buffers == r->nr_seen - first + 1);
}

static uint8_t touched[ARENA_SIZE];

/* Whether a table of the chains that came back since 'before' lies where something is written meanwhile. */
static bool tables_are_apart(struct via_ring_pos before)
{
	static struct reader r;

	r = (struct reader){ .pos = before };
	while (!at_end(&r)) {
		reader_next(&r);
		for (uint32_t i = 0; i < r.chain.nr_entries && !r.unsure; i++)
			if (memchr(touched + arena_offset(r.chain.entry[i]), 1, 16))
				return false;
		if (r.unsure)
			return false;
	}
	return true;
}

/* Whether what may be written of the chains that came back since 'before' is all apart from each other, from
 * the ring and from their tables. */
static bool buffers_are_apart(struct via_ring_pos before)
{
	static struct reader r;
	const struct guest *g = &t.guest;
	const struct via_ring_sizes sizes = via_ring_sizes(g->format, g->size);

	r = (struct reader){ .pos = before };
	memset(touched, 0, sizeof(touched));
	memset(touched + arena_offset(g->desc), 1, sizes.desc);
	memset(touched + arena_offset(g->avail), 1, sizes.avail);
	memset(touched + arena_offset(g->used), 1, sizes.used);
	while (!at_end(&r)) {
		reader_next(&r);
		for (uint32_t i = r.chain.nr_readable; i < r.chain.nr_pieces && !r.unsure; i++) {
			uint8_t *mark = touched + arena_offset(r.chain.piece[i].base);

			if (memchr(mark, 1, r.chain.piece[i].len))
				return false;
			memset(mark, 1, r.chain.piece[i].len);
		}
		if (r.unsure)
			return false;
	}
	return tables_are_apart(before);
}

/* Where nobody raced, and buffers are what they seem: they hold the frames, one after the other. */
static void check_delivered(struct via_view *const *views, uint32_t n, uint64_t delivered,
			    struct via_ring_pos before)
{
	static struct reader r;

	r = (struct reader){ .pos = before };
	for (uint32_t i = 0; i < n && i < delivered && !r.unsure; i++)
		check_plain(&r, views[i]);
}

static void op_egress(void)
{
	const uint32_t n = 1 + in_below(&t.in, MAX_VIEWS), mtu = in_bool(&t.in) ? 1500 : 0;
	const bool keep = in_bool(&t.in);
	const uint32_t moves = racer.nr_moves;
	const uint64_t packets = via_counter_read(&t.stats.packets);
	const struct via_ring_pos before = t.vq.used;
	struct via_view *views[MAX_VIEWS];
	bool plain = true, ran = !is_broken();
	uint64_t delivered;
	uint32_t dealt;

	for (uint32_t i = 0; i < n; i++) {
		views[i] = &view_store[i];
		make_view(views[i], piece_store[i]);
		plain &= !(views[i]->flags & VIA_VIEW_NEEDS_CSUM);
	}
	/* Each packet looks at each chain at most twice. */
	begin(n * (MAX_SEGS + 2) * 2 * (t.guest.size + 2u) * loads_of_chain());
	dealt = via_vq_egress(&t.vq, &t.net, views, n, mtu, keep, &t.stats);
	end(ran ? WRITES_BUFFERS : WRITES_NOTHING);
	INSIST(dealt == n || keep);
	delivered = via_counter_read(&t.stats.packets) - packets;
	/* In between some may have been dropped: then who was delivered is not known. */
	if (plain && racer.nr_moves == moves && mtu == 0 && !is_broken() &&
	    (delivered == 1 ? n == 1 : delivered == n) && buffers_are_apart(before))
		check_delivered(views, n, delivered, before);
}

/* ---- the rest ---- */

static void op_arm(void)
{
	const struct via_ring *ring = vq_ring(&t.vq);
	const bool arm = in_bool(&t.in);

	begin(16);
	if (ring && arm)
		vq_arm(&t.vq, ring, FUZZ_FORMAT);
	else if (ring)
		vq_disarm(&t.vq, ring, FUZZ_FORMAT);
	end(WRITES_OWN_WORDS);
}

/* The front-end stops the queue, or replaces what was published. */
static void op_restart(void)
{
	const uint8_t how = in_u8(&t.in);

	t.ring.enabled = !(how & 6);
	if (how & 1) {
		const struct via_ring_pos pos = t.vq.used;

		via_vq_stop(&t.vq);
		INSIST(vq_ring(&t.vq) == NULL);
		via_vq_start(&t.vq, &t.ring, pos, pos);
	} else if (!is_broken()) {
		via_vq_swap(&t.vq, &t.ring);
	}
}

static void op_guest(void)
{
	static void (*const acts[])(struct guest *, struct input *) = {
		guest_offers,       guest_offers,       guest_offers, guest_writes_word,
		guest_writes_bytes, guest_writes_frame, guest_asks,
	};

	acts[in_below(&t.in, ARRAY_SIZE(acts))](&t.guest, &t.in);
}

static void op_offers(void)
{
	guest_offers(&t.guest, &t.in);
}

/* ---- a run ---- */

static uint64_t pick_features(struct input *in)
{
	static const uint8_t bits[] = {
		VIRTIO_F_EVENT_IDX,       VIRTIO_F_INDIRECT_DESC,  VIRTIO_F_IN_ORDER,
		VIRTIO_F_NOTIFY_ON_EMPTY, VIRTIO_NET_F_MRG_RXBUF,  VIRTIO_F_VERSION_1,
		VIRTIO_NET_F_CSUM,        VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4,
		VIRTIO_NET_F_HOST_TSO6,   VIRTIO_NET_F_HOST_USO,   VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_GUEST_USO4,  57 /* HASH_REPORT */,
	};
	const uint16_t chosen = in_u16(in);
	uint64_t features = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(bits); i++)
		features |= (uint64_t)(chosen >> i & 1) << bits[i];
	return features;
}

static struct via_ring_pos pick_pos(struct input *in, uint16_t size)
{
	const uint16_t word = in_u16(in);

	if (FUZZ_FORMAT == VIA_RING_SPLIT)
		return (struct via_ring_pos){ .idx = word };
	return (struct via_ring_pos){ (uint16_t)((word & 0x7fff) % size), word >> 15 };
}

static void start(const uint8_t *data, size_t size)
{
	uint16_t slots;
	struct via_ring_pos pos;

	t.in = (struct input){ data, data + size };
	slots = FUZZ_FORMAT == VIA_RING_SPLIT ? (uint16_t)(1 << in_below(&t.in, 5))
					      : (uint16_t)(1 + in_below(&t.in, GUEST_MAX_SIZE));
	t.features = pick_features(&t.in);
	pos = pick_pos(&t.in, slots);
	guest_open(&t.guest, FUZZ_FORMAT, slots, pos);
	t.ring = guest_ring(&t.guest, t.features);
	t.net = via_vq_net_of(t.features);
	memset(&t.stats, 0, sizeof(t.stats));
	t.lent.n = 0;
	atomic_store(&t.vq.own_batch.state, 0);
	via_vq_start(&t.vq, &t.ring, pos, pos);
	racer_start(&t.in);
}

static void set_up_once(void)
{
	if (burst)
		return;
	burst = via_burst_create();
	INSIST(burst);
	for (uint32_t i = 0; i < sizeof(frame_bytes); i++)
		frame_bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(void) = {
		op_guest,  op_guest,   op_offers, op_ingress, op_egress,
		op_chains, op_singles, op_arm,    op_restart,
	};

	set_up_once();
	start(data, size);
	for (int i = 0; i < MAX_OPS && in_more(&t.in); i++) {
		const bool broken = is_broken();
		const uint32_t op = in_below(&t.in, ARRAY_SIZE(ops));

		ops[op]();
		if (ops[op] == op_restart)
			continue;
		INSIST(!broken || (is_broken() && !vq_ring(&t.vq)));
	}
	racer_stop();
	via_vq_stop(&t.vq);
	return 0;
}
