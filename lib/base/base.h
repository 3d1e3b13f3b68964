/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/base: what every other folder stands on, and nothing about packets.
 *
 *   error.c   sentences for people         log.c     lines for the application
 *   loop.c    the control thread's events, over timers.c (a heap of timers)
 *   worker.c  threads that move packets     grace.c  waiting for them without blocking
 *   unix.c    UNIX sockets by path        tell.c   telling peers, with a watchdog over it
 *   discard.c getting rid of descriptors that peers have sent
 *   batch.c   a worker's several reads or writes in one system call
 *   thread.c  making threads
 *   calls.c   system calls: in which form, and lists of those that are needed
 *   shared.h  words that a peer also writes, and the only ways to access them
 *   role.h    which thread may call what    copy.h   moving bytes
 *   check.h   what peers say, believed or not
 *
 * May use libc and liburcu. Anybody may use it.
 */
#ifndef VIA_BASE_H
#define VIA_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Before the definition of every public function (include/viaduct): all other symbols stay hidden. */
#define VIA_EXPORT                          __attribute__((visibility("default")))
#define via_always_inline                   inline __attribute__((always_inline))
#define via_cold                            __attribute__((cold, noinline))
#define via_likely(x)                       __builtin_expect(!!(x), 1)
#define via_unlikely(x)                     __builtin_expect(!!(x), 0)
#define VIA_CACHE_LINE                      64
#define via_cache_aligned                   __attribute__((aligned(VIA_CACHE_LINE)))

#define via_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * Said before each load of what a peer may be writing at that moment ('size' bytes at 'at'): nothing. The
 * fuzzers' build says otherwise (tests/fuzz/hook.h): there the fuzzer is that peer.
 */
#ifndef VIA_FUZZ_LOAD
#define VIA_FUZZ_LOAD(at, size) ((void)0)
#endif

/* Feature *numbers* as the specification has them; a set of them is a uint64_t mask. */
#define VIA_BIT(number) (UINT64_C(1) << (number))

static inline int via_has(uint64_t features, unsigned int number)
{
	return (features >> number) & 1;
}

static inline unsigned int via_min_u(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Microseconds of CLOCK_MONOTONIC. Thread: any. */
static inline uint64_t via_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The CPU's own clock: ticks at a constant rate, which is not the core's frequency, and costs little to
 * ask. Only for differences. Thread: any; a difference is one thread's. */
static inline uint64_t via_cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
#endif
}

/* Starts loading the line at 'p', to be read. */
static via_always_inline void via_prefetch(const void *p)
{
	__builtin_prefetch(p);
}

/*
 * Starts taking the line at 'p' away from whoever has it, to be written: without it the write would pay
 * for a second transfer. Said in assembly, as compilers fall back to a plain prefetch for a generic x86-64;
 * each has the instruction, some as a no-op.
 */
static via_always_inline void via_prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* A moment's rest while polling: frees the core's other thread and saves power. */
static inline void via_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
