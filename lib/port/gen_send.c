/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that gen sends. A view's snapshot is a template with the record's numbers put in; the payload
 * behind it is the pattern, which all frames share. In a frame of several records the headers of the
 * later ones stand in the view's slot.
 *
 * Frames are due at times that are even multiples of the interval. Between them the worker sleeps on a
 * timer, at least for REST, so that a high rate makes bursts instead of wake-ups; who comes late
 * catches up, but not by more than LATE: that would be another rate.
 */
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "net/bytes.h"
#include "net/net.h"
#include "net/wire.h"
#include "port/gen.h"

#define REST_NS 50e3
#define LATE_NS 10e6

/* ---- templates ---- */

static uint16_t ip_sum(const uint8_t *ip)
{
	return via_csum_fold(via_csum_add(0, ip, VIA_IPV4_SIZE));
}

/* The sum of the pseudo header: what a partial checksum's field holds. */
static uint16_t pseudo_sum(const uint8_t *ip, uint16_t udp_len)
{
	uint16_t parts[2] = { htobe16(VIA_PROTO_UDP), htobe16(udp_len) };
	uint32_t sum = via_csum_add(0, parts, sizeof(parts));

	return (uint16_t)~via_csum_fold(via_csum_add(sum, ip + VIA_IPV4_ADDRESSES, 8));
}

static void make_headers(uint8_t *at, uint32_t len, bool partial_csum, const uint8_t dst[6],
			 const uint8_t src[6])
{
	static const uint8_t addresses[] = { 198, 18, 0, 1, 198, 19, 0, 1 }; /* RFC 2544 */
	uint8_t *ip = at + VIA_ETH_SIZE, *udp = ip + VIA_IPV4_SIZE;
	uint16_t udp_len = (uint16_t)(len - VIA_ETH_SIZE - VIA_IPV4_SIZE), sum;

	memset(at, 0, GEN_HEADERS);
	memcpy(at, dst, 6);
	memcpy(at + 6, src, 6);
	via_put_be16(at + 12, VIA_ETHERTYPE_IPV4);
	ip[0] = 0x45;
	via_put_be16(ip + VIA_IPV4_LENGTH, (uint16_t)(len - VIA_ETH_SIZE));
	ip[8] = 64;
	ip[VIA_IPV4_PROTOCOL] = VIA_PROTO_UDP;
	memcpy(ip + VIA_IPV4_ADDRESSES, addresses, sizeof(addresses));
	sum = ip_sum(ip);
	memcpy(ip + VIA_IPV4_CHECKSUM, &sum, sizeof(sum));
	via_put_be16(udp + 2, GEN_PORT);
	via_put_be16(udp + VIA_UDP_LENGTH, udp_len);
	sum = partial_csum ? pseudo_sum(ip, udp_len) : 0;
	memcpy(udp + VIA_UDP_CHECKSUM, &sum, sizeof(sum));
}

void gen_make_template(struct gen_template *template, const struct gen_sender *sender,
		       uint32_t size, const uint8_t dst[6], const uint8_t src[6])
{
	uint32_t payload = size - GEN_HEADERS, record = payload;

	if (sender->gso && sender->gso < payload) {
		record = sender->gso;
		payload = via_min_u(payload, record * GEN_MAX_RECORDS);
		if (payload % record < GEN_RECORD_SIZE)
			payload -= payload % record; /* too short for a record */
	}
	template->len = GEN_HEADERS + payload;
	template->nr_records = (payload + record - 1) / record;
	template->record_len = record;
	template->last_len = payload - (template->nr_records - 1) * record;
	make_headers(template->headers, template->len, sender->partial_csum, dst, src);
}

/* ---- one frame ---- */

static void put_record(uint8_t *at, const struct gen_sender *s, uint32_t flow, uint32_t len)
{
	struct gen_record r = {
		.source = s->source,
		.flow = (uint16_t)flow,
		.len = (uint16_t)len,
		.seq = s->seq[flow],
	};

	via_put_be32(at, gen_record_check(&r));
	via_put_be32(at + 4, r.source);
	via_put_be16(at + 8, r.flow);
	via_put_be16(at + 10, r.len);
	via_put_be32(at + 12, r.seq);
}

static void add_piece(struct via_burst *burst, struct via_view *view, const uint8_t *base,
		      uint32_t len)
{
	if (len == 0)
		return;
	burst->piece[burst->nr_pieces++] = (struct via_piece){ base, len };
	view->nr_pieces++;
}

/* The first record: as much of it as the snapshot holds, the rest as a piece of the pattern. */
static void put_first_record(struct via_burst *burst, struct via_view *view,
			     const struct gen_sender *s, uint32_t flow, uint32_t len)
{
	const uint8_t *pattern = gen_pattern(s->seq[flow]);
	uint32_t body = len - GEN_RECORD_SIZE;
	uint32_t here = via_min_u(body, VIA_SNAPSHOT_SIZE - GEN_HEADERS - GEN_RECORD_SIZE);

	put_record(view->snapshot + GEN_HEADERS, s, flow, len);
	memcpy(view->snapshot + GEN_HEADERS + GEN_RECORD_SIZE, pattern, here);
	view->snapshot_len = (uint16_t)(GEN_HEADERS + GEN_RECORD_SIZE + here);
	add_piece(burst, view, pattern + here, body - here);
}

static void put_later_records(struct via_burst *burst, uint32_t i, const struct gen_sender *s,
			      const struct gen_template *t, uint32_t flow)
{
	for (uint32_t r = 1; r < t->nr_records; r++) {
		uint32_t len = r + 1 < t->nr_records ? t->record_len : t->last_len;
		uint8_t *at = burst->slot[i] + (r - 1) * GEN_RECORD_SIZE;

		put_record(at, s, flow, len);
		add_piece(burst, &burst->view[i], at, GEN_RECORD_SIZE);
		add_piece(burst, &burst->view[i], gen_pattern(s->seq[flow]), len - GEN_RECORD_SIZE);
		s->seq[flow]++;
	}
}

static_assert((GEN_MAX_RECORDS - 1) * GEN_RECORD_SIZE <= VIA_SLOT_SIZE, "they fit in a slot");
static_assert(GEN_MAX_RECORDS * 2 * VIA_BURST <= VIA_BURST_PIECES, "their pieces fit in a burst");

static void make_frame(struct via_burst *burst, uint32_t i, const struct gen_sender *s,
		       const struct gen_template *t, uint32_t flow)
{
	struct via_view *view = &burst->view[i];

	memset(view, 0, offsetof(struct via_view, snapshot));
	view->len = t->len;
	view->piece = &burst->piece[burst->nr_pieces];
	memcpy(view->snapshot, t->headers, GEN_HEADERS);
	via_put_be16(view->snapshot + VIA_ETH_SIZE + VIA_IPV4_SIZE,
		     (uint16_t)(GEN_FIRST_PORT + flow));
	if (s->partial_csum) {
		view->flags = VIA_VIEW_NEEDS_CSUM;
		view->csum_start = VIA_ETH_SIZE + VIA_IPV4_SIZE;
		view->csum_offset = VIA_UDP_CHECKSUM;
	}
	put_first_record(burst, view, s, flow, t->nr_records > 1 ? t->record_len : t->last_len);
	s->seq[flow]++;
	if (t->nr_records > 1) {
		view->gso = VIA_GSO_UDP;
		view->gso_size = s->gso;
		put_later_records(burst, i, s, t, flow);
	}
}

/* ---- when ---- */

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* How many frames are due, at most 'max'. */
static uint32_t nr_due(struct gen *gen, uint32_t max)
{
	struct gen_sender *s = &gen->sender;
	double now, late;

	if (s->count && s->count - s->next < max)
		max = (uint32_t)(s->count - s->next);
	if (s->interval == 0 || max == 0)
		return max;
	now = now_ns();
	if (!s->started) {
		s->started = true;
		s->due = now;
	}
	late = now - s->due;
	if (late < 0)
		return 0;
	if (late > LATE_NS && late > s->interval) {
		uint64_t skip = (uint64_t)((late - LATE_NS) / s->interval);

		s->due += (double)skip * s->interval;
		late = now - s->due;
		via_count(&gen->counter.skipped, skip);
	}
	return late / s->interval < max ? (uint32_t)(late / s->interval) + 1 : max;
}

/* ---- the port's operations ---- */

uint32_t gen_ingress(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t max)
{
	struct gen *gen = gen_of(port);
	struct gen_sender *s = &gen->sender;
	uint32_t n = s->on ? nr_due(gen, max) : 0;
	uint32_t flow, size;
	uint64_t bytes = 0, records = 0;

	burst->nr_pieces = 0;
	if (n == 0)
		return 0;
	flow = (uint32_t)(s->next % s->nr_flows);
	size = (uint32_t)(s->next % s->nr_templates);
	for (uint32_t i = 0; i < n; i++) {
		const struct gen_template *t = &s->template[size];

		make_frame(burst, i, s, t, flow);
		bytes += t->len;
		records += t->nr_records;
		flow = flow + 1 == s->nr_flows ? 0 : flow + 1;
		size = size + 1 == s->nr_templates ? 0 : size + 1;
	}
	s->next += n;
	s->due += n * s->interval;
	via_count(&port->receive[q].packets, n);
	via_count(&port->receive[q].bytes, bytes);
	via_count(&gen->counter.frames, n);
	via_count(&gen->counter.sent, records);
	return n;
}

/* What was not delivered is made once more, with the same numbers. */
static void take_back(struct gen *gen)
{
	struct gen_sender *s = &gen->sender;
	const struct gen_template *t;

	s->next--;
	s->due -= s->interval;
	t = &s->template[s->next % s->nr_templates];
	s->seq[s->next % s->nr_flows] -= t->nr_records;
	via_count(&gen->port.receive[0].packets, (uint64_t)-1);
	via_count(&gen->port.receive[0].bytes, -(uint64_t)t->len);
	via_count(&gen->counter.frames, (uint64_t)-1);
	via_count(&gen->counter.sent, -(uint64_t)t->nr_records);
}

void gen_release(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t undelivered)
{
	(void)q, (void)burst;
	while (undelivered-- > 0)
		take_back(gen_of(port));
}

bool gen_arm(struct via_port *port, uint32_t q)
{
	const struct gen_sender *s = &gen_of(port)->sender;
	double now, at;
	struct itimerspec when = { .it_value.tv_sec = 0 };

	(void)q;
	if (!s->on || (s->count && s->next >= s->count))
		return false;
	now = now_ns();
	if (s->interval == 0 || !s->started || s->due <= now)
		return true;
	at = s->due > now + REST_NS ? s->due : now + REST_NS;
	when.it_value.tv_sec = (time_t)(at / 1e9);
	when.it_value.tv_nsec = (long)(at - (double)when.it_value.tv_sec * 1e9);
	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	return false;
}

void gen_disarm(struct via_port *port, uint32_t q)
{
	(void)port, (void)q; /* a timer that fires once more wakes nobody who works */
}
