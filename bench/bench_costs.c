/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver on both sides of a switch, for what bench/suites/costs.py measures:
 *
 *   bench-costs ready A B              when the first frame came from A to B (CLOCK_MONOTONIC, s)
 *   bench-costs wake A B N PAUSE_US    a frame after a pause: microseconds from just before the send
 *                                      (and its kick) to the frame's being seen at B
 *   bench-costs eventfd N PAUSE_US     the same pause, then a bare eventfd to a thread in epoll on
 *                                      another CPU: from just before the write to a word that it stores
 *   bench-costs load A B SECONDS STATIONS
 *                                      frames of 64 bytes from A to B as fast as they go, each between
 *                                      another pair of so many stations, half of them on each side
 *   bench-costs gap A B SECONDS        a frame every millisecond; the longest time without one at B
 *
 * A and B are sockets of vhost-user ports. The worker of this program polls; CPUs are the caller's
 * choice (taskset), but for the other side of 'eventfd', which takes CPU 1. Prints one JSON object.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <viaduct/driver.h>
#include <viaduct/log.h>
#include <viaduct/worker.h>

#include "base/base.h"

#define FRAME_SIZE   60 /* 64 on a wire */
#define QUEUE_SIZE   256
#define PATIENCE_US  10000000
#define LOST_US      100000
#define WARM_UP_US   200000
#define OTHER_CPU    1
#define MAX_SAMPLES  1000000
#define MAX_STATIONS (1 << 24)

enum side { A, B };

struct port {
	struct via_driver *driver;
	struct via_queue_stats sent, received;
};

static struct port port[2];
static struct via_loop *loop;
static struct via_burst *frames, *lent; /* to be sent; received */
static struct via_view *views[VIA_BURST];
static uint64_t idle_turns, turns;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void pause_us(uint64_t us)
{
	const struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	nanosleep(&ts, NULL);
}

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "bench-costs: %s\n", what);
	exit(1);
}

static uint64_t number(const char *word, uint64_t max)
{
	char *end;
	const unsigned long long n = strtoull(word, &end, 10);

	if (*word < '0' || *word > '9' || *end || n == 0 || n > max)
		give_up("an argument is no number that is possible here");
	return n;
}

/* ---- frames ---- */

static void put_station(uint8_t mac[6], enum side side, uint32_t i)
{
	mac[0] = 2;
	mac[1] = (uint8_t)side;
	mac[2] = (uint8_t)(i >> 24);
	mac[3] = (uint8_t)(i >> 16);
	mac[4] = (uint8_t)(i >> 8);
	mac[5] = (uint8_t)i;
}

static void make_frames(void)
{
	frames = via_burst_create();
	lent = via_burst_create();
	if (!frames || !lent)
		give_up("no memory for packets");
	for (uint32_t i = 0; i < VIA_BURST; i++) {
		struct via_view *view = &frames->view[i];

		view->len = view->snapshot_len = FRAME_SIZE;
		view->snapshot[12] = 0x88; /* an EtherType for experiments, 88b5 */
		view->snapshot[13] = 0xb5;
		views[i] = view;
	}
}

/* Sends 'n' of the frames; returns how many the ring took. */
static uint32_t send(enum side from, uint32_t n)
{
	return via_driver_egress(port[from].driver, 0, views, n, true, &port[from].sent);
}

static uint32_t receive(enum side at)
{
	const uint32_t n =
		via_driver_ingress(port[at].driver, 0, lent, VIA_BURST, &port[at].received);

	if (n > 0)
		via_driver_ingress_release(port[at].driver, 0, 0);
	return n;
}

/* Sends one frame between the first stations. */
static bool send_one(enum side from)
{
	put_station(frames->view[0].snapshot, !from, 0);
	put_station(frames->view[0].snapshot + 6, from, 0);
	return send(from, 1) == 1;
}

/* Waits for a frame for at most 'us'; returns when it was seen (ns), or 0. */
static uint64_t await(enum side at, uint64_t us)
{
	const uint64_t end = now_ns() + us * 1000;

	for (uint64_t now = now_ns(); now < end; now = now_ns()) {
		if (receive(at) > 0)
			return now_ns();
		via_worker_quiescent();
		via_relax();
	}
	return 0;
}

/* ---- first frames ---- */

static bool both_run(void)
{
	return via_driver_pair_runs(port[A].driver, 0) && via_driver_pair_runs(port[B].driver, 0);
}

/* Until a frame has come through from each side to the other: both are learned then. */
static void connect_sides(void)
{
	const uint64_t end = now_ns() + PATIENCE_US * UINT64_C(1000);

	for (int from = A; from <= B;) {
		if (both_run() && send_one((enum side)from) && await(!from, 1000))
			from++;
		else if (now_ns() > end)
			give_up("no frame comes through");
		via_worker_quiescent();
	}
	while (await(A, 10000) || await(B, 10000))
		; /* what was late */
}

static void run_ready(char **args)
{
	const uint64_t end = now_ns() + PATIENCE_US * UINT64_C(1000);

	(void)args;
	while (!both_run() || !send_one(A) || !await(B, 1000)) {
		via_worker_quiescent();
		if (now_ns() > end)
			give_up("no frame comes through");
	}
	printf("{\"at\": %.6f}\n", (double)now_ns() / 1e9);
}

/* ---- wake-ups ---- */

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_percentiles(double *us, uint64_t n)
{
	qsort(us, n, sizeof(*us), by_value);
	printf("{\"p50\": %.2f, \"p99\": %.2f, \"p99.9\": %.2f}\n", us[n / 2], us[n * 99 / 100],
	       us[n * 999 / 1000]);
}

static double *samples(uint64_t n)
{
	double *us = calloc(n, sizeof(*us));

	if (!us)
		give_up("no memory for samples");
	return us;
}

static void run_wake(char **args)
{
	const uint64_t n = number(args[0], MAX_SAMPLES), pause = number(args[1], 1000000);
	double *us = samples(n);

	connect_sides();
	for (uint64_t i = 0; i < n; i++) {
		uint64_t begin, end;

		via_worker_offline();
		pause_us(pause);
		via_worker_online();
		begin = now_ns();
		end = send_one(A) ? await(B, LOST_US) : 0;
		if (!end)
			give_up("a frame was lost");
		us[i] = (double)(end - begin) / 1e3;
	}
	print_percentiles(us, n);
	free(us);
}

static int other_fd;
static _Atomic(uint64_t) woken; /* how often */

/* As a worker waits: edge-triggered, without reading. */
static void *be_woken(void *user)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(OTHER_CPU, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, other_fd, &event);
	for (;;) {
		if (epoll_wait(epoll_fd, &event, 1, -1) == 1)
			atomic_fetch_add(&woken, 1);
	}
	return user;
}

static void run_eventfd(char **args)
{
	const uint64_t n = number(args[0], MAX_SAMPLES), pause = number(args[1], 1000000);
	const uint64_t one = 1;
	double *us = samples(n);
	pthread_t other;

	other_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (other_fd < 0 || pthread_create(&other, NULL, be_woken, NULL) != 0)
		give_up("no thread to wake");
	for (uint64_t i = 0; i < n; i++) {
		uint64_t begin, before;

		pause_us(pause);
		before = atomic_load(&woken);
		begin = now_ns();
		if (write(other_fd, &one, sizeof(one)) < 0)
			give_up("an eventfd is full");
		while (atomic_load(&woken) == before)
			via_relax();
		us[i] = (double)(now_ns() - begin) / 1e3;
	}
	print_percentiles(us, n);
	free(us);
}

/* ---- load ---- */

struct stations {
	uint32_t n;     /* on each side */
	uint32_t next;  /* at the source of the next frame */
	uint32_t fresh; /* frames of the burst that are made and not sent */
};

/* Frames that the ring did not take come first again. */
static uint32_t offer(struct stations *s, enum side from)
{
	uint32_t sent;

	while (s->fresh < VIA_BURST) {
		uint8_t *frame = frames->view[s->fresh++].snapshot;

		put_station(frame, !from, s->n - 1 - s->next);
		put_station(frame + 6, from, s->next);
		s->next = s->next + 1 == s->n ? 0 : s->next + 1;
	}
	sent = send(from, VIA_BURST);
	if (sent == VIA_BURST) {
		s->fresh = 0;
	} else if (sent > 0) { /* keep what is left, in order: it fills the burst's first places */
		for (uint32_t i = 0; i < VIA_BURST - sent; i++)
			memcpy(frames->view[i].snapshot, frames->view[i + sent].snapshot, 12);
		s->fresh = VIA_BURST - sent;
	}
	return sent;
}

/* One turn: sends what fits, takes what is there. Returns how many came. */
static uint32_t turn(struct stations *s, enum side from)
{
	const uint32_t sent = offer(s, from), got = receive(!from);

	turns++;
	if (sent == 0 && got == 0) {
		idle_turns++;
		for (int i = 0; i < 16; i++)
			via_relax();
	}
	via_worker_quiescent();
	return got;
}

/* A frame from each station of a side, so that the switch learns them all. */
static void teach(uint32_t nr_stations, enum side from)
{
	struct stations s = { .n = nr_stations };

	for (uint64_t sent = 0; sent < nr_stations;) {
		const uint64_t before = via_counter_read(&port[from].sent.packets);

		turn(&s, from);
		sent += via_counter_read(&port[from].sent.packets) - before;
	}
	while (await(!from, 1000))
		;
}

static void run_load(char **args)
{
	const uint64_t us = number(args[0], 3600) * 1000000;
	struct stations s = { .n = (uint32_t)(number(args[1], MAX_STATIONS) + 1) / 2 };
	uint64_t got = 0, begin, now;

	connect_sides();
	teach(s.n, B);
	teach(s.n, A);
	for (begin = now_ns(); now_ns() < begin + WARM_UP_US * 1000;)
		turn(&s, A);
	turns = idle_turns = 0;
	for (begin = now = now_ns(); now < begin + us * 1000; now = now_ns()) {
		for (int i = 0; i < 16; i++)
			got += turn(&s, A);
	}
	printf("{\"pps\": %.0f, \"idle\": %.3f}\n", (double)got * 1e9 / (double)(now - begin),
	       (double)idle_turns / (double)turns);
}

/* ---- gaps ---- */

static void run_gap(char **args)
{
	const uint64_t us = number(args[0], 3600) * 1000000;
	uint64_t begin, last, longest = 0;

	connect_sides();
	puts("running");
	fflush(stdout);
	for (begin = last = now_ns(); last < begin + us * 1000;) {
		uint64_t now;

		send_one(A);
		if (await(B, 1000) == 0) {
			if (now_ns() > last + PATIENCE_US * UINT64_C(1000))
				give_up("no frame comes through any more");
			continue;
		}
		now = now_ns();
		longest = now - last > longest ? now - last : longest;
		last = now;
		via_worker_offline();
		pause_us(1000);
		via_worker_online();
	}
	printf("{\"ms\": %.3f}\n", (double)longest / 1e6);
}

/* ---- beginning and end ---- */

static const struct mode {
	const char *name;
	int nr_args; /* after the sockets */
	void (*run)(char **args);
} modes[] = {
	{ "ready", 0, run_ready },
	{ "wake", 2, run_wake },
	{ "load", 2, run_load },
	{ "gap", 1, run_gap },
};

struct work {
	const struct mode *mode;
	char **args;
};

static void *work(void *user)
{
	const struct work *w = user;

	via_worker_register("client");
	w->mode->run(w->args);
	via_worker_unregister();
	exit(0);
}

static void open_port(struct port *p, const char *path)
{
	const struct via_driver_config config = {
		.name = path,
		.path = path,
		.queue_size = QUEUE_SIZE,
		.polling = true,
	};
	struct via_error err;

	if (via_driver_open(&p->driver, loop, &config, &err) < 0)
		give_up(err.text);
}

static int run(const struct mode *mode, char **words)
{
	struct work w = { mode, words + 2 };
	struct via_error err;
	pthread_t worker;

	make_frames();
	if (via_loop_create(&loop, &err) < 0)
		give_up(err.text);
	open_port(&port[A], words[0]);
	open_port(&port[B], words[1]);
	if (pthread_create(&worker, NULL, work, &w) != 0)
		give_up("no thread");
	via_loop_run(loop); /* until the worker exits */
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "eventfd") == 0) {
		run_eventfd(argv + 2);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (argc == 4 + modes[i].nr_args && strcmp(argv[1], modes[i].name) == 0)
			return run(&modes[i], argv + 2);
	}
	fprintf(stderr,
		"usage: bench-costs ready|wake|load|gap SOCKET SOCKET …, or eventfd …; see its "
		"source\n");
	return 2;
}
