/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What two cores can hand over at all, without any virtqueue: the limit that other figures are a share of.
 *
 *   bench-limits [-a cpu] [-b cpu] [-t seconds] [-c copy] lines DEPTH
 *     cache lines from the client on CPU 'a' to the worker on CPU 'b', written on one and read on the
 *     other, at most DEPTH of them ahead of the worker's answer. With 1 it is a round trip.
 *
 *   bench-limits … forward BYTES all|head|none
 *     what a switch does to frames of so many bytes: the client writes bursts of them, the worker copies
 *     each to another place, the client reads what came. 'all': the client touches every line of a frame,
 *     as who makes and uses payload does; 'head': the first, as who forwards or generates frames; 'none':
 *     no line at all, so that frames stay in the worker's cache. '-c' says how it copies: 'libc', 'vector'
 *     (an open-coded loop), 'string' (rep movsb), 'stream' (stores that bypass the cache).
 *
 * Prints lines (or frames) per second, and the TSC cycles that one takes: in 'forward' only of the
 * worker, while it copies.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "base/base.h"
#include "base/copy.h"
#include "base/shared.h"

enum {
	BURST = 32,
	SLOTS = 256,    /* as many as a ring has; fewer where frames are large */
	AREA = 4 << 20, /* bytes of frames on either side */
	WARM_UP_US = 100000,
	PAUSE = 32, /* via_relax() between looks, as a polite worker does */
};

enum touch { NONE, HEAD, ALL };

struct copy; /* a way to copy a frame */

/* One cache line of what is handed over in 'lines': the number of its lap says that it is new. */
struct line {
	via_le64 number;
	uint64_t rest[7];
} via_cache_aligned;

/* What both threads share; each word has one writer and a line of its own. */
static struct {
	via_le64 filled via_cache_aligned; /* written by the client: frames that it offered */
	via_le64 copied
		via_cache_aligned; /* written by the worker: frames (or lines) that it took */
	via_counter busy;          /* likewise: cycles in which it copied */
	via_le64 stop via_cache_aligned;
	struct line line[SLOTS];
} shared;

static struct {
	uint32_t depth; /* of 'lines' */
	uint32_t len, stride, slots;
	enum touch touch;
	const struct copy *copy;
	uint8_t *source, *target;
} what;

static uint64_t read_sum; /* so that what is read is not optimised away */

static void pause_politely(void)
{
	for (uint32_t i = 0; i < PAUSE; i++)
		via_relax();
}

static bool stopped(void)
{
	return via_le64_load(&shared.stop);
}

/* ---- lines ---- */

static void *write_lines(void *unused)
{
	uint64_t next = 0, taken = 0;

	(void)unused;
	while (!stopped()) {
		struct line *line = &shared.line[next % what.depth];

		while (next - taken == what.depth && !stopped())
			taken = via_le64_load_acquire(&shared.copied); /* pairs with read_lines() */
		for (size_t i = 0; i < ARRAY_SIZE(line->rest); i++)
			line->rest[i] = next;
		via_le64_store_release(&line->number, ++next); /* pairs with read_lines() */
	}
	return NULL;
}

static void *read_lines(void *unused)
{
	uint32_t half = (what.depth + 1) / 2;
	uint64_t next = 0, sum = 0;

	(void)unused;
	while (!stopped()) {
		const struct line *line = &shared.line[next % what.depth];

		/* Pairs with write_lines(): the rest of the line is there. */
		if (via_le64_load_acquire(&line->number) != next + 1)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(line->rest); i++)
			sum += line->rest[i];
		if (++next % half == 0)
			via_le64_store_release(&shared.copied, next); /* the line is read */
	}
	read_sum += sum;
	return NULL;
}

/* ---- forward ---- */

/* What a client touches of frame number 'i', in the source or in the target. */
static uint32_t touched(void)
{
	return what.touch == ALL ? what.len : what.touch == HEAD ? VIA_CACHE_LINE : 0;
}

static void write_frame(uint64_t i)
{
	uint64_t *frame = (uint64_t *)(what.source + i % what.slots * what.stride);

	for (uint32_t at = 0; at < touched(); at += VIA_CACHE_LINE)
		frame[at / sizeof(*frame)] = i;
}

static uint64_t read_frame(uint64_t i)
{
	const uint64_t *frame = (uint64_t *)(what.target + i % what.slots * what.stride);
	uint64_t sum = 0;

	for (uint32_t at = 0; at < touched(); at += VIA_CACHE_LINE)
		sum += frame[at / sizeof(*frame)];
	return sum;
}

static void *make_frames(void *unused)
{
	uint64_t next = 0, done = 0, sum = 0;

	(void)unused;
	while (!stopped()) {
		/* Pairs with copy_frames(): the targets are written, the sources are free. */
		uint64_t copied = via_le64_load_acquire(&shared.copied);
		uint64_t room = done + what.slots - next;

		for (; done < copied; done++)
			sum += read_frame(done);
		for (uint32_t n = 0; n < via_min_u(BURST, (uint32_t)room); n++)
			write_frame(next++);
		via_le64_store_release(&shared.filled, next); /* pairs with copy_frames() */
		if (room == 0)
			pause_politely();
	}
	read_sum += sum;
	return NULL;
}

static void copy_libc(uint8_t *dst, const uint8_t *src, size_t len)
{
	memcpy(dst, src, len);
}

/* The last move overlaps the one before. Frames have 64 bytes or more. */
static void copy_vector(uint8_t *dst, const uint8_t *src, size_t len)
{
	for (size_t at = 0; at + sizeof(via_move16) <= len; at += sizeof(via_move16))
		VIA_MOVE(via_move16, dst + at, src + at);
	VIA_MOVE(via_move16, dst + len - sizeof(via_move16), src + len - sizeof(via_move16));
}

#if defined(__x86_64__)
static void copy_string(uint8_t *dst, const uint8_t *src, size_t len)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
}

static void copy_stream(uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t at = 0;

	for (; at + sizeof(__m128i) <= len; at += sizeof(__m128i))
		_mm_stream_si128((__m128i *)(dst + at),
				 _mm_loadu_si128((const __m128i *)(src + at)));
	memcpy(dst + at, src + at, len - at);
}
#endif

static const struct copy {
	const char *name;
	void (*run)(uint8_t *dst, const uint8_t *src, size_t len);
} copies[] = {
	{ "libc", copy_libc },
	{ "vector", copy_vector },
#if defined(__x86_64__)
	{ "string", copy_string },
	{ "stream", copy_stream },
#endif
};

static void copy_burst(uint64_t first, uint32_t n)
{
	void (*copy)(uint8_t *, const uint8_t *, size_t) = what.copy->run;

	for (uint32_t i = 0; i < n; i++) {
		size_t at = (first + i) % what.slots * what.stride;

		__builtin_prefetch(what.source + at);
		__builtin_prefetch(what.target + at, 1);
	}
	for (uint32_t i = 0; i < n; i++) {
		size_t at = (first + i) % what.slots * what.stride;

		copy(what.target + at, what.source + at, what.len);
	}
}

static void *copy_frames(void *unused)
{
	uint64_t next = 0;

	(void)unused;
	while (!stopped()) {
		/* Pairs with make_frames(): the frames are written. */
		uint64_t filled = via_le64_load_acquire(&shared.filled), begin;
		uint32_t n = via_min_u(BURST, (uint32_t)(filled - next));

		if (n == 0) {
			pause_politely();
			continue;
		}
		begin = via_cycles();
		copy_burst(next, n);
		next += n;
		via_le64_store_release(&shared.copied, next); /* pairs with make_frames() */
		via_count(&shared.busy, via_cycles() - begin);
	}
	return NULL;
}

/* ---- measuring ---- */

static void start(pthread_t *thread, void *(*run)(void *), size_t cpu)
{
	pthread_attr_t attr;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	if (pthread_create(thread, &attr, run, NULL) != 0) {
		fprintf(stderr, "cannot run on CPU %zu\n", cpu);
		exit(1);
	}
	pthread_attr_destroy(&attr);
}

static void measure(void *(*client)(void *), void *(*worker)(void *), const size_t cpu[2],
		    double seconds)
{
	uint64_t count, busy, us, cycles;
	pthread_t threads[2];

	start(&threads[1], worker, cpu[1]);
	start(&threads[0], client, cpu[0]);
	usleep(via_min_u(WARM_UP_US, (uint32_t)(seconds * 1e6)));
	count = via_le64_load(&shared.copied);
	busy = via_counter_read(&shared.busy);
	us = via_clock_us();
	cycles = via_cycles();
	usleep((useconds_t)(seconds * 1e6));
	count = via_le64_load(&shared.copied) - count;
	busy = via_counter_read(&shared.busy) - busy;
	us = via_clock_us() - us;
	cycles = via_cycles() - cycles;
	via_le64_store(&shared.stop, 1);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("%.0f per second, %.2f cycles each\n", (double)count * 1e6 / (double)us,
	       (double)(busy ? busy : cycles) / (double)count);
}

static void set_up_frames(uint32_t len, const char *touch)
{
	what.touch = strcmp(touch, "all") == 0 ? ALL : strcmp(touch, "head") == 0 ? HEAD : NONE;
	what.len = len;
	what.stride = (len + VIA_CACHE_LINE - 1) / VIA_CACHE_LINE * VIA_CACHE_LINE;
	what.slots = SLOTS;
	while (what.slots * what.stride > AREA && what.slots > BURST)
		what.slots /= 2;
	/* Shared pages, as a guest's are. */
	what.source = mmap(NULL, 2ul * what.slots * what.stride, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (what.source == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	what.target = what.source + (size_t)what.slots * what.stride;
}

static const struct copy *copy_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
		if (strcmp(copies[i].name, name) == 0)
			return &copies[i];
	return NULL;
}

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [-a cpu] [-b cpu] [-t seconds] [-c copy] lines DEPTH | forward BYTES all|head|none\n",
		name);
	return 2;
}

int main(int argc, char **argv)
{
	size_t cpu[2] = { 0, 1 };
	double seconds = 1;
	int opt;

	what.copy = &copies[0];
	while ((opt = getopt(argc, argv, "a:b:c:t:")) != -1) {
		if (opt == 'a' || opt == 'b')
			cpu[opt - 'a'] = strtoul(optarg, NULL, 10);
		else if (opt == 't')
			seconds = strtod(optarg, NULL);
		else if (opt == 'c')
			what.copy = copy_of(optarg);
		if (opt == '?' || !what.copy)
			return usage(argv[0]);
	}
	argv += optind - 1; /* argv[1] is the pattern */
	argc -= optind - 1;
	if (argc == 3 && strcmp(argv[1], "lines") == 0) {
		what.depth = (uint32_t)strtoul(argv[2], NULL, 10);
		if (what.depth == 0 || what.depth > SLOTS)
			return usage(argv[0]);
		measure(write_lines, read_lines, cpu, seconds);
	} else if (argc == 4 && strcmp(argv[1], "forward") == 0) {
		set_up_frames((uint32_t)strtoul(argv[2], NULL, 10), argv[3]);
		measure(make_frames, copy_frames, cpu, seconds);
	} else {
		return usage(argv[0]);
	}
	return 0;
}
