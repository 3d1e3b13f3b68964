/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/port/gen*.c against itself: what it sends comes back, unharmed or harmed by this test. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "port/gen.h"
#include "tests/test.h"

static struct via_loop *loop;
static struct via_burst *burst;
static struct via_view *refs[VIA_BURST];

static int setup(void **state)
{
	(void)state;
	burst = via_burst_create();
	for (uint32_t i = 0; i < VIA_BURST; i++)
		refs[i] = &burst->view[i];
	return via_loop_create(&loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	via_burst_free(burst);
	via_loop_free(loop);
	return 0;
}

/* ---- a gen ---- */

static int try_open(struct via_port **port, const struct via_port_option *options,
		    struct via_error *err)
{
	const struct via_port_config config = { .name = "g", .options = options, .loop = loop };

	return via_port_type("gen")->open(port, &config, err);
}

static struct via_port *open_gen(const struct via_port_option *options)
{
	struct via_error err = { "" };
	struct via_port *port;

	if (try_open(&port, options, &err) < 0)
		fail_msg("%s", err.text);
	return port;
}

#define OPEN(...) \
	open_gen((const struct via_port_option[]){ __VA_ARGS__ __VA_OPT__(, ){ NULL, NULL } })

static void set_flag(void *user)
{
	*(bool *)user = true;
}

static void close_gen(struct via_port *port)
{
	bool closed = false;

	port->ops->close(port, set_flag, &closed);
	for (int turns = 0; turns < 200 && !closed; turns++)
		via_loop_turn(loop, 10);
	assert_true(closed);
}

static uint32_t lend(struct via_port *port, uint32_t max)
{
	return port->ops->ingress_burst(port, 0, burst, max);
}

static void release(struct via_port *port, uint32_t undelivered)
{
	port->ops->ingress_release(port, 0, burst, undelivered);
}

static void give(struct via_port *port, struct via_view *const *views, uint32_t n)
{
	assert_int_equal(port->ops->egress_burst(port, views, n, false), n);
}

static struct gen_report report_of(struct via_port *port)
{
	struct gen_report report;

	port_gen_report(port, &report);
	return report;
}

/* All that was sent has come, once and whole. */
static void assert_perfect(struct via_port *port)
{
	struct gen_report r = report_of(port);

	assert_true(r.sent > 0);
	assert_int_equal(r.received, r.sent);
	assert_int_equal(r.lost + r.reordered + r.duplicates, 0);
	assert_int_equal(r.corrupt + r.bad_checksum + r.foreign + r.untracked, 0);
}

static void loop_back(struct via_port *port, int bursts)
{
	for (int i = 0; i < bursts; i++) {
		uint32_t n = lend(port, VIA_BURST);

		give(port, refs, n);
		release(port, 0);
	}
}

/* ---- cases ---- */

static void what_it_sends_is_what_it_expects(void **state)
{
	struct via_port *port;

	(void)state;
	port = OPEN();
	loop_back(port, 100);
	assert_perfect(port);
	assert_int_equal(report_of(port).frames, 6400);
	assert_int_equal(via_counter_read(&port->receive[0].bytes), 6400 * 60);
	close_gen(port);

	port = OPEN({ "size", "60,61,127,128,129,1514,65549" }, { "flows", "100" },
		    { "csum", "partial" });
	loop_back(port, 100);
	assert_perfect(port);
	close_gen(port);

	port = OPEN({ "size", "60,9000,65000" }, { "flows", "32768" }, { "csum", "partial" },
		    { "gso", "1400" });
	loop_back(port, 1100);
	assert_perfect(port);
	assert_true(report_of(port).sent > 15 * report_of(port).frames);
	close_gen(port);
}

static void lost_late_and_repeated_frames_are_told_apart(void **state)
{
	static const uint8_t order[] = { 0, 1, 4, 3, 3, 9, 8, 9, 0 };
	struct via_view *views[9];
	struct via_port *port = OPEN({ "size", "200" });
	struct gen_report r;

	(void)state;
	assert_int_equal(lend(port, 64), 64);
	for (int i = 0; i < 9; i++)
		views[i] = refs[order[i]];
	give(port, views, 9);
	r = report_of(port);
	assert_int_equal(r.received, 9);
	assert_int_equal(r.reordered, 2);  /* 3 and 8 */
	assert_int_equal(r.duplicates, 3); /* 3, 9 and 0 */
	assert_int_equal(r.lost, 4);       /* 2, 5, 6, 7 */
	release(port, 0);
	assert_int_equal(lend(port, 64), 64);
	give(port, refs + 63, 1); /* 127 after 9 */
	assert_int_equal(report_of(port).lost, 4 + 117);
	give(port, refs, 1); /* 64: the earliest that is still remembered */
	give(port, refs, 1);
	r = report_of(port);
	assert_int_equal(r.lost, 4 + 116);
	assert_int_equal(r.duplicates, 4);
	release(port, 0);
	close_gen(port);
}

static void damage_anywhere_is_seen(void **state)
{
	static const uint32_t places[] = { 58, 70, 127 };
	static uint8_t copy[1400];
	struct via_port *port = OPEN({ "size", "1514" });
	struct via_piece piece;
	struct via_view *view = refs[0];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(lend(port, 1), 1);
		view->snapshot[places[i]] ^= 0x10;
		give(port, refs, 1);
		release(port, 0);
		assert_int_equal(report_of(port).corrupt, i + 1);
	}
	assert_int_equal(lend(port, 1), 1);
	assert_int_equal(view->nr_pieces, 1);
	piece = view->piece[0];
	memcpy(copy, piece.base, piece.len);
	copy[piece.len - 1] ^= 1;
	burst->piece[0].base = copy;
	give(port, refs, 1);
	release(port, 0);
	assert_int_equal(report_of(port).corrupt, 4);
	assert_int_equal(lend(port, 1), 1);
	view->snapshot[50] ^= 1; /* the record's own header: nobody has sent this */
	give(port, refs, 1);
	release(port, 0);
	assert_int_equal(report_of(port).foreign, 1);
	assert_int_equal(report_of(port).corrupt, 4);
	close_gen(port);
}

static void a_payload_is_not_looked_at_where_nobody_asks(void **state)
{
	struct via_port *port = OPEN({ "size", "1514" }, { "check", "off" });

	(void)state;
	assert_int_equal(lend(port, 1), 1);
	refs[0]->snapshot[100] ^= 1;
	give(port, refs, 1);
	release(port, 0);
	assert_perfect(port);
	close_gen(port);
}

static void undelivered_frames_are_made_again(void **state)
{
	struct via_port *port = OPEN({ "size", "60,600,6000" }, { "flows", "7" },
				     { "csum", "partial" }, { "gso", "500" });

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t n = lend(port, 1 + i % 64), kept = i % (n + 1);

		give(port, refs, n - kept);
		release(port, kept);
	}
	assert_perfect(port);
	close_gen(port);
}

static uint8_t frame_bytes[70000];

/* As a destination without offloads gets it: the segments, checksums filled in. */
static void cut_and_give(struct via_port *port, struct via_view *view)
{
	static struct via_view segments[GEN_MAX_RECORDS];
	static struct via_piece pieces[4096];
	struct via_view *views[GEN_MAX_RECORDS];
	struct via_gso_iter iter;
	enum via_drop why;
	uint32_t nr = via_gso_begin(&iter, view, &why), n;

	assert_int_equal(via_gso_next(&iter, segments, GEN_MAX_RECORDS, pieces, 4096), nr);
	for (n = 0; n < nr; n++) {
		struct via_view *v = &segments[n];
		uint32_t sum, len = v->snapshot_len;
		uint16_t field;

		memcpy(frame_bytes, v->snapshot, len);
		for (uint32_t i = 0; i < v->nr_pieces; len += v->piece[i++].len)
			memcpy(frame_bytes + len, v->piece[i].base, v->piece[i].len);
		sum = via_csum_add(0, frame_bytes + v->csum_start, len - v->csum_start);
		field = via_csum_fold(sum);
		memcpy(v->snapshot + v->csum_start + v->csum_offset, &field, 2);
		v->flags &= (uint8_t)~VIA_VIEW_NEEDS_CSUM;
		views[n] = v;
	}
	give(port, views, nr);
}

static void segments_are_checked_like_frames(void **state)
{
	struct via_port *port = OPEN({ "size", "64000" }, { "csum", "partial" }, { "gso", "1448" });

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(lend(port, 1), 1);
		cut_and_give(port, refs[0]);
		release(port, 0);
	}
	assert_perfect(port);
	assert_int_equal(report_of(port).sent, 20 * 45);

	/* A wrong checksum over right bytes. */
	assert_int_equal(lend(port, 1), 1);
	refs[0]->flags = 0;
	refs[0]->gso = VIA_GSO_NONE;
	give(port, refs, 1);
	assert_int_equal(report_of(port).bad_checksum, 1);
	release(port, 0);
	close_gen(port);
}

static void frames_of_others_are_counted_as_foreign(void **state)
{
	struct via_port *port = OPEN();

	(void)state;
	assert_int_equal(lend(port, 4), 4);
	memset(refs[0]->snapshot + 12, 0, 2);
	refs[1]->snapshot[36] ^= 0xff; /* another port */
	refs[2]->len = refs[2]->snapshot_len = 50;
	refs[3]->len = refs[3]->snapshot_len = 14;
	give(port, refs, 4);
	release(port, 0);
	assert_int_equal(report_of(port).foreign, 4);
	assert_int_equal(report_of(port).received, 0);
	close_gen(port);
}

static void another_gen_is_checked_as_well(void **state)
{
	struct via_port *from = OPEN({ "flows", "3" }), *to = OPEN({ "send", "off" });

	(void)state;
	assert_int_equal(to->ops->ingress_fd(to, 0), VIA_FD_NONE);
	assert_int_equal(lend(to, 64), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(lend(from, 64), 64);
		give(to, refs, 64);
		release(from, 0);
	}
	assert_int_equal(report_of(to).received, 640);
	assert_int_equal(report_of(to).lost, 0);
	close_gen(from);
	close_gen(to);
}

#define NR_WORKERS 3
#define NR_ROUNDS  300

struct worker {
	pthread_t thread;
	struct via_port *from, *to;
};

static void *run_worker(void *user)
{
	const struct worker *w = user;
	struct via_burst *own = via_burst_create();
	struct via_view *views[VIA_BURST];

	for (uint32_t i = 0; i < VIA_BURST; i++)
		views[i] = &own->view[i];
	for (int round = 0; round < NR_ROUNDS; round++) {
		uint32_t n = w->from->ops->ingress_burst(w->from, 0, own, VIA_BURST);

		w->to->ops->egress_burst(w->to, views, n, false);
		w->from->ops->ingress_release(w->from, 0, own, 0);
	}
	via_burst_free(own);
	return NULL;
}

static void several_workers_can_send_to_one_gen_at_a_time(void **state)
{
	struct via_port *to = OPEN({ "send", "off" });
	struct worker workers[NR_WORKERS];
	struct gen_report r;

	(void)state;
	for (int i = 0; i < NR_WORKERS; i++) {
		workers[i].from = OPEN({ "flows", "10" }, { "size", "60,700" });
		workers[i].to = to;
		pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
	}
	for (int i = 0; i < NR_WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		close_gen(workers[i].from);
	}
	r = report_of(to);
	assert_int_equal(r.received, NR_WORKERS * NR_ROUNDS * VIA_BURST);
	assert_int_equal(r.lost + r.reordered + r.duplicates + r.corrupt + r.foreign, 0);
	assert_int_equal(via_counter_read(&to->transmit[0].packets), r.received);
	close_gen(to);
}

static void it_stops_at_its_count(void **state)
{
	struct via_port *port = OPEN({ "count", "100" });

	(void)state;
	assert_true(port->ops->arm(port, 0));
	loop_back(port, 2);
	assert_int_equal(lend(port, 64), 0);
	assert_false(port->ops->arm(port, 0));
	assert_int_equal(report_of(port).frames, 100);
	assert_perfect(port);
	close_gen(port);
}

static void it_never_sends_faster_than_its_rate_and_wakes_when_frames_are_due(void **state)
{
	struct via_port *port = OPEN({ "rate", "20000" });
	struct pollfd wake = { .fd = port->ops->ingress_fd(port, 0), .events = POLLIN };
	uint64_t start = via_clock_us(), sent = 0;

	(void)state;
	assert_true(port->ops->arm(port, 0)); /* the first is due at once */
	while (sent < 200) {
		uint32_t n = lend(port, 64);
		uint64_t now = via_clock_us();

		give(port, refs, n);
		if (n > 0)
			release(port, 0);
		sent += n;
		assert_true(sent <= (now - start + 1) / 50 + 1);
		if (!port->ops->arm(port, 0))
			assert_int_equal(poll(&wake, 1, 5000), 1);
	}
	assert_perfect(port);
	close_gen(port);
}

static void mistakes_are_explained(void **state)
{
	static const struct {
		struct via_port_option options[3];
		const char *says;
	} cases[] = {
		{ { { "size", "59" } }, "size is '59'; it must be a number from 60 to 65549" },
		{ { { "size", "60,," } }, "size is '60,,'" },
		{ { { "size", "60,abc" } }, "size is '60,abc'" },
		{ { { "size", "60," } }, "size is '60,'" },
		{ { { "gso", "1000" } }, "gso needs csum: partial" },
		{ { { "gso", "15" }, { "csum", "partial" } }, "gso is 15; it must be 0, or 16" },
		{ { { "flows", "0" } }, "flows is '0'; it must be a number from 1 to 32768" },
	};
	struct via_error err;
	struct via_port *port;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(try_open(&port, cases[i].options, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

static void note_line(void *user, const char *key, const char *value)
{
	uint32_t *seen = user;

	*seen += (strcmp(key, "sent") == 0 && strcmp(value, "64") == 0) +
		 (strcmp(key, "lost") == 0 && strcmp(value, "0") == 0) +
		 (strcmp(key, "sent_per_second") == 0 && value[0] > '0');
}

static void it_describes_what_it_counted(void **state)
{
	struct via_port *port = OPEN();
	uint32_t seen = 0;

	(void)state;
	loop_back(port, 1);
	port->ops->describe(port, note_line, &seen);
	assert_int_equal(seen, 3);
	close_gen(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_sends_is_what_it_expects),
		cmocka_unit_test(lost_late_and_repeated_frames_are_told_apart),
		cmocka_unit_test(damage_anywhere_is_seen),
		cmocka_unit_test(a_payload_is_not_looked_at_where_nobody_asks),
		cmocka_unit_test(undelivered_frames_are_made_again),
		cmocka_unit_test(segments_are_checked_like_frames),
		cmocka_unit_test(frames_of_others_are_counted_as_foreign),
		cmocka_unit_test(another_gen_is_checked_as_well),
		cmocka_unit_test(several_workers_can_send_to_one_gen_at_a_time),
		cmocka_unit_test(it_stops_at_its_count),
		cmocka_unit_test(it_never_sends_faster_than_its_rate_and_wakes_when_frames_are_due),
		cmocka_unit_test(mistakes_are_explained),
		cmocka_unit_test(it_describes_what_it_counted),
	};

	return cmocka_run_group_tests_name("gen", tests, setup, teardown);
}
