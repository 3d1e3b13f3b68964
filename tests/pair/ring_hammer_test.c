/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lost wake-ups: a driver and a device, a thread each, that sleep whenever they can. Each asks for a
 * notification, looks once more and then waits for its descriptor alone, so one notification that is
 * missing stops both, and the wait's time limit says so. The device waits as a worker does, for an edge
 * and without reading; the driver as a guest's does, by reading. How long they look before they sleep
 * varies, so that publishing meets every place of going to sleep. VIA_TEST_ROUNDS says how many chains.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ring/driver_ring.h"
#include "ring/vq.h"
#include "tests/test.h"

#define PART   65536u
#define LIMIT  20000 /* ms; the other side answers within microseconds */
#define WINDOW 16

struct hammer {
	enum via_ring_format format;
	uint64_t rounds;
	struct via_drv_ring drv;
	struct via_ring ring;
	struct via_vq vq;
	uint8_t *memory; /* three parts and a byte of data for each chain in flight */
	struct via_mem *mem;
	int epoll_fd;           /* watches for kicks */
	uint64_t kicks, naps;   /* sent by the driver; times that it slept */
	uint64_t calls, sleeps; /* of the device */
	_Atomic(const char *) failure;
};

static bool failed(const struct hammer *h)
{
	return atomic_load_explicit(&h->failure, memory_order_relaxed);
}

static void give_up(struct hammer *h, const char *what)
{
	atomic_store_explicit(&h->failure, what, memory_order_relaxed);
}

static bool drive_again(struct hammer *h)
{
	struct pollfd p = { .fd = h->ring.call_fd, .events = POLLIN };
	uint64_t n;

	h->naps++;
	if (poll(&p, 1, LIMIT) == 1 && read(p.fd, &n, sizeof(n)) == sizeof(n))
		return true;
	give_up(h, "the driver was not interrupted");
	return false;
}

static bool serve_again(struct hammer *h)
{
	struct epoll_event event;

	h->sleeps++;
	if (epoll_wait(h->epoll_fd, &event, 1, LIMIT) == 1)
		return true;
	give_up(h, "the device was not kicked");
	return false;
}

static void tell(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort(); /* it cannot be full */
}

/* A different time to look on each occasion. */
static uint32_t patience(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 30 ? *seed >> 25 : 0;
}

/* ---- the driver: each chain carries a byte there and comes back with another ---- */

static uint32_t add(struct hammer *h, uint64_t *sent, uint64_t received)
{
	uint32_t n = 0;

	for (; *sent < h->rounds && *sent - received < WINDOW; (*sent)++, n++) {
		uint8_t *data = h->memory + 3 * PART + 2 * (*sent % WINDOW);
		struct via_drv_buffer buf[2] = { { 2 * (*sent % WINDOW), 1 },
						 { 2 * (*sent % WINDOW) + 1, 1 } };
		/* A ring of one slot has no room for two buffers: the device writes where it reads. */
		uint32_t nr_readable = h->drv.size > 1;

		data[0] = (uint8_t)*sent;
		if (drv_add(&h->drv, buf, nr_readable, 1, VIA_DRV_DIRECT, data, h->format) < 0)
			break;
	}
	return n;
}

static bool reap(struct hammer *h, uint64_t *received)
{
	struct via_drv_done done;
	bool any = false;
	int ret;

	while ((ret = drv_reap(&h->drv, &done, h->format)) == 1) {
		const uint8_t *data = done.token;
		uint8_t answer = h->drv.size > 1 ? data[1] : data[0];

		if (answer != (uint8_t)(*received + 1) || done.len != 1)
			give_up(h, "the driver got something else");
		(*received)++;
		any = true;
	}
	if (ret < 0)
		give_up(h, "the device broke a rule");
	return any;
}

static void *drive(void *arg)
{
	struct hammer *h = arg;
	uint64_t sent = 0, received = 0;
	uint32_t seed = 1, left = 0;

	while (received < h->rounds && !failed(h)) {
		bool any = add(h, &sent, received) > 0;

		drv_publish(&h->drv, h->format);
		if (drv_wants_kick(&h->drv, h->format)) {
			h->kicks++;
			tell(h->ring.kick_fd);
		}
		any |= reap(h, &received);
		if (any) {
			drv_disarm(&h->drv, h->format);
			left = patience(&seed);
		} else if (left > 0) {
			left--;
		} else if (!drv_arm(&h->drv, h->format)) {
			if (!drive_again(h))
				break;
		}
	}
	return NULL;
}

/* ---- the device ---- */

/* Chains of one buffer, by the loop that is for these. */
static uint32_t serve_singles(struct hammer *h, const struct via_ring *ring)
{
	struct via_batch_entry entry[WINDOW];
	struct via_seg seg[WINDOW];
	uint32_t n = vq_pop_singles(&h->vq, ring, seg, entry, WINDOW, 0, VIA_WRITABLE, h->format);

	for (uint32_t i = 0; i < n; i++) {
		seg[i].base[0]++;
		entry[i].len = 1;
	}
	vq_push_burst(&h->vq, ring, entry, n, h->format);
	return n;
}

static uint32_t serve(struct hammer *h)
{
	const struct via_ring *ring = vq_ring(&h->vq);
	struct via_chain chain;
	struct via_seg seg[2];
	uint32_t n;

	if (!ring)
		return 0;
	n = serve_singles(h, ring);
	while (vq_pop(&h->vq, ring, &chain, seg, 2, h->format) == 1) {
		if (chain.nr_readable)
			seg[1].base[0] = (uint8_t)(seg[0].base[0] + 1);
		else
			seg[0].base[0]++;
		vq_push(&h->vq, ring, &chain, 1, h->format);
		n++;
	}
	vq_publish(&h->vq, ring, h->format);
	if (vq_wants_call(&h->vq, ring, h->format)) {
		h->calls++;
		vq_call(&h->vq, ring);
	}
	if (!vq_ring(&h->vq))
		give_up(h, via_broken_text(atomic_load(&h->vq.broken)));
	return n;
}

static void serve_all(struct hammer *h)
{
	uint64_t served = 0;
	uint32_t seed = 2, left = 0;

	while (served < h->rounds && !failed(h)) {
		uint32_t n = serve(h);

		served += n;
		if (n > 0) {
			vq_disarm(&h->vq, &h->ring, h->format);
			left = patience(&seed);
		} else if (left > 0) {
			left--;
		} else if (!vq_arm(&h->vq, &h->ring, h->format)) {
			if (!serve_again(h))
				break;
		}
	}
}

/* ---- both ---- */

/* As switch/worker.c watches a queue. */
static void watch_kicks(struct hammer *h)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->ring.kick_fd, &event), 0);
}

static void open_rings(struct hammer *h, uint16_t size, bool event_idx)
{
	struct via_ring_pos pos = { .wrap = h->format == VIA_RING_PACKED };
	struct via_drv_config config = {
		.format = h->format,
		.size = size,
		.event_idx = event_idx,
		.desc = h->memory,
		.avail = h->memory + PART,
		.used = h->memory + 2 * PART,
	};

	assert_int_equal(via_drv_init(&h->drv, &config, NULL), 0);
	h->mem->nr_regions = 1;
	h->mem->region[0] = (struct via_region){ .size = PART, .host = h->memory + 3 * PART };
	h->ring = (struct via_ring){
		.mem = h->mem,
		.format = h->format,
		.size = size,
		.event_idx = event_idx,
		.kick_fd = eventfd(0, EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_NONBLOCK),
	};
	if (h->format == VIA_RING_PACKED) {
		h->ring.packed.desc = (void *)h->memory;
		h->ring.packed.driver = (void *)(h->memory + PART);
		h->ring.packed.device = (void *)(h->memory + 2 * PART);
	} else {
		h->ring.split.desc = (void *)h->memory;
		h->ring.split.avail = (void *)(h->memory + PART);
		h->ring.split.used = (void *)(h->memory + 2 * PART);
	}
	via_vq_start(&h->vq, &h->ring, pos, pos);
	watch_kicks(h);
}

static struct hammer *hammer_open(enum via_ring_format format, uint16_t size, bool event_idx)
{
	struct hammer *h = calloc(1, sizeof(*h));

	h->format = format;
	h->memory = aligned_alloc(4096, 4 * PART);
	h->mem = calloc(1, sizeof(*h->mem) + sizeof(struct via_region));
	open_rings(h, size, event_idx);
	return h;
}

static void hammer_close(struct hammer *h)
{
	via_vq_stop(&h->vq);
	via_drv_free(&h->drv);
	close(h->epoll_fd);
	close(h->ring.kick_fd);
	close(h->ring.call_fd);
	free(h->memory);
	free(h->mem);
	free(h);
}

static void hammer(enum via_ring_format format, uint16_t size, bool event_idx, uint64_t rounds)
{
	struct hammer *h = hammer_open(format, size, event_idx);
	const char *failure;
	pthread_t driver;

	h->rounds = rounds;
	print_message("%s, %u slots, EVENT_IDX %s\n",
		      format == VIA_RING_PACKED ? "packed" : "split", size,
		      event_idx ? "on" : "off");
	assert_int_equal(pthread_create(&driver, NULL, drive, h), 0);
	serve_all(h);
	pthread_join(driver, NULL);
	print_message("  device: slept %llu times, kicked %llu times; driver: %llu and %llu\n",
		      (unsigned long long)h->sleeps, (unsigned long long)h->kicks,
		      (unsigned long long)h->naps, (unsigned long long)h->calls);
	failure = atomic_load(&h->failure);
	if (failure)
		fail_msg("%s", failure);
	assert_true(h->sleeps > 0 && h->naps > 0);
	hammer_close(h);
}

static void hammer_sizes(enum via_ring_format format, bool event_idx)
{
	static const uint16_t split[] = { 1, 2, 256 }, packed[] = { 1, 3, 256 };
	const char *text = getenv("VIA_TEST_ROUNDS");
	uint64_t rounds = text ? strtoull(text, NULL, 0) : 50000;

	for (size_t i = 0; i < ARRAY_SIZE(split); i++)
		hammer(format, format == VIA_RING_PACKED ? packed[i] : split[i], event_idx, rounds);
}

static void no_wakeup_is_lost_in_a_split_ring(void **state)
{
	(void)state;
	hammer_sizes(VIA_RING_SPLIT, false);
}

static void no_wakeup_is_lost_in_a_split_ring_with_event_idx(void **state)
{
	(void)state;
	hammer_sizes(VIA_RING_SPLIT, true);
}

static void no_wakeup_is_lost_in_a_packed_ring(void **state)
{
	(void)state;
	hammer_sizes(VIA_RING_PACKED, false);
}

static void no_wakeup_is_lost_in_a_packed_ring_with_event_idx(void **state)
{
	(void)state;
	hammer_sizes(VIA_RING_PACKED, true);
}

/*
 * ---- the moment itself ----
 *
 * One side publishes a chain and asks whether to notify; at the same time, give or take a few
 * instructions, the other asks to be notified and looks once more. "It need not be told" and "there is
 * nothing" must not come out together: without the full barriers of B5 to B8 they do.
 */
enum direction { KICK, CALL };

struct moment {
	struct hammer *h;
	enum direction direction;
	uint32_t rounds;
	atomic_uint begun, ended; /* rounds, by the publishing and by the arming thread */
	uint64_t when;            /* both act, ns */
	bool found;               /* the arming thread's second look */
	cpu_set_t cpus;           /* that the threads may use */
};

#define AHEAD 600 /* ns until both act: longer than a cache line takes to the other CPU */

static void wait_for(atomic_uint *count, uint32_t value)
{
	for (uint32_t i = 0; atomic_load_explicit(count, memory_order_acquire) != value; i++)
		if (i % 4096 == 4095)
			sched_yield(); /* the other one may need our CPU */
}

/* Binds this thread to the n-th CPU that 'allowed' has: on one CPU nothing ever happens at once. */
static void bind_to(const cpu_set_t *allowed, int n)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, allowed) && n-- == 0)
			CPU_SET(cpu, &one);
	if (CPU_COUNT(&one))
		sched_setaffinity(0, sizeof(one), &one);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Both threads do so, for the same moment; reading the clock is what makes it vary. */
static void wait_until(uint64_t ns)
{
	while (now_ns() < ns)
		;
}

static void *arm(void *arg)
{
	struct moment *m = arg;
	struct hammer *h = m->h;

	bind_to(&m->cpus, 1);
	for (uint32_t round = 1; round <= m->rounds; round++) {
		wait_for(&m->begun, round);
		wait_until(m->when);
		m->found = m->direction == KICK ? vq_arm(&h->vq, &h->ring, h->format)
						: drv_arm(&h->drv, h->format);
		atomic_store_explicit(&m->ended, round, memory_order_release);
	}
	return NULL;
}

/* Brings a chain to where it only needs to be published, and nobody wants to be told. */
static void prepare(struct moment *m)
{
	static const struct via_drv_buffer buf = { 0, 1 };
	struct hammer *h = m->h;
	struct via_chain chain;
	struct via_seg seg;

	assert_int_equal(drv_add(&h->drv, &buf, 0, 1, VIA_DRV_DIRECT, h, h->format), 0);
	if (m->direction == KICK) {
		vq_disarm(&h->vq, &h->ring, h->format);
		return;
	}
	drv_disarm(&h->drv, h->format);
	drv_publish(&h->drv, h->format);
	assert_int_equal(vq_pop(&h->vq, &h->ring, &chain, &seg, 1, h->format), 1);
	vq_push(&h->vq, &h->ring, &chain, 1, h->format);
}

/* Publishes it and asks. */
static bool publish(struct moment *m)
{
	struct hammer *h = m->h;

	if (m->direction == KICK) {
		drv_publish(&h->drv, h->format);
		return drv_wants_kick(&h->drv, h->format);
	}
	vq_publish(&h->vq, &h->ring, h->format);
	return vq_wants_call(&h->vq, &h->ring, h->format);
}

/* Brings it home. */
static void finish(struct moment *m)
{
	struct hammer *h = m->h;
	struct via_drv_done done;

	if (m->direction == KICK)
		assert_int_equal(serve(h), 1);
	assert_int_equal(drv_reap(&h->drv, &done, h->format), 1);
}

static void meet(enum via_ring_format format, bool event_idx, enum direction direction,
		 uint32_t rounds)
{
	struct moment m = {
		.h = hammer_open(format, 4, event_idx),
		.direction = direction,
		.rounds = rounds,
	};
	uint32_t both = 0, lost = 0;
	pthread_t thread;

	sched_getaffinity(0, sizeof(m.cpus), &m.cpus);
	bind_to(&m.cpus, 0);
	assert_int_equal(pthread_create(&thread, NULL, arm, &m), 0);
	for (uint32_t round = 1; round <= rounds; round++) {
		bool told;

		prepare(&m);
		m.when = now_ns() + AHEAD;
		atomic_store_explicit(&m.begun, round, memory_order_release);
		wait_until(m.when);
		told = publish(&m);
		wait_for(&m.ended, round);
		both += told && m.found;
		lost += !told && !m.found;
		finish(&m);
	}
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof(m.cpus), &m.cpus);
	print_message("%s, EVENT_IDX %s, %s: both saw the other %u times, neither %u times\n",
		      format == VIA_RING_PACKED ? "packed" : "split", event_idx ? "on" : "off",
		      direction == KICK ? "kick" : "call", both, lost);
	assert_int_equal(lost, 0);
	hammer_close(m.h);
}

static void publishing_while_the_other_goes_to_sleep_is_noticed(void **state)
{
	const char *text = getenv("VIA_TEST_ROUNDS");
	uint32_t rounds = text ? (uint32_t)strtoul(text, NULL, 0) : 20000;

	(void)state;
	for (int i = 0; i < 8; i++)
		meet(i & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT, i & 2, i & 4 ? CALL : KICK, rounds);
}

/* ---- control publishes rings, a worker finds them ---- */

enum { CHANGES = 100 };

struct changes {
	struct via_vq vq;
	struct via_ring ring[CHANGES];
	atomic_uint found; /* by the worker; tells control only that it has looked */
	bool complete;     /* the worker's; read when it ended */
};

static void *look(void *arg)
{
	struct changes *c = arg;

	c->complete = true;
	for (uint32_t i = 0; i < CHANGES; i++) {
		const struct via_ring *ring;

		while ((ring = vq_ring(&c->vq)) != &c->ring[i])
			sched_yield();
		c->complete &= ring->size == i + 1 && c->vq.avail.idx == 7;
		atomic_store_explicit(&c->found, i + 1, memory_order_relaxed);
	}
	return NULL;
}

/* What only the thread sanitizer sees on x86: that the worker may look at what it finds. */
static void a_ring_that_a_worker_finds_is_complete(void **state)
{
	const struct via_ring_pos pos = { .idx = 7 };
	struct changes *c = aligned_alloc(VIA_CACHE_LINE, sizeof(*c));
	pthread_t worker;

	(void)state;
	memset(c, 0, sizeof(*c));
	assert_int_equal(pthread_create(&worker, NULL, look, c), 0);
	for (uint16_t i = 0; i < CHANGES; i++) {
		c->ring[i] = (struct via_ring){ .size = (uint16_t)(i + 1) };
		if (i == 0)
			via_vq_start(&c->vq, &c->ring[i], pos, pos);
		else
			via_vq_swap(&c->vq, &c->ring[i]);
		wait_for(&c->found, i + 1u);
	}
	pthread_join(worker, NULL);
	assert_true(c->complete);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wakeup_is_lost_in_a_split_ring),
		cmocka_unit_test(no_wakeup_is_lost_in_a_split_ring_with_event_idx),
		cmocka_unit_test(no_wakeup_is_lost_in_a_packed_ring),
		cmocka_unit_test(no_wakeup_is_lost_in_a_packed_ring_with_event_idx),
		cmocka_unit_test(publishing_while_the_other_goes_to_sleep_is_noticed),
		cmocka_unit_test(a_ring_that_a_worker_finds_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
