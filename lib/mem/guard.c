/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Surviving a front-end that takes its memory away (R7).
 *
 * Theory of operation. Guest memory is a file of the front-end's. When it shrinks the file, or the
 * file's file system is full, our next access raises SIGBUS. The handler looks the address up in a
 * table, maps private zeros over the whole mapping, says so in the mapping's 'lost', and returns: the
 * access is repeated and succeeds. The worker finishes its burst on zeros, notices, and breaks the
 * device; other devices never know.
 *
 * The table is read by the handler in any thread at any moment, so it takes no lock. Each slot has a
 * sequence word, odd while control changes the slot. The slot of the mapping that faulted cannot be
 * changing (its owner holds it: it is removed only after a grace period), so slots that are may be
 * skipped.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mem/mem.h"

#define NR_SLOTS 65536 /* Linux lets a process have 65,530 mappings */

struct slot {
	_Atomic(uint32_t) sequence;
	_Atomic(uintptr_t) base; /* 0: free */
	_Atomic(size_t) size;
	_Atomic(atomic_bool *) lost;
};

static struct slot slots[NR_SLOTS];
static _Atomic(uint32_t) nr_used; /* slots that were ever used come first */
static bool installed;            /* control */
static struct sigaction before;   /* the handler that ours replaced */

_Atomic(uint32_t) via_guard_faults;

/* ---- the handler: async-signal-safe ---- */

/* A copy of a slot's members as they were at one moment; false if it was changing. */
static bool slot_read(struct slot *slot, uintptr_t *base, size_t *size, atomic_bool **lost)
{
	/* G4, pairs with G3: the values are not older than their sequence. */
	uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);

	*base = atomic_load_explicit(&slot->base, memory_order_relaxed);
	*size = atomic_load_explicit(&slot->size, memory_order_relaxed);
	*lost = atomic_load_explicit(&slot->lost, memory_order_relaxed);
	/* G2, pairs with G1: where one is of a later write, so is the sequence. */
	atomic_thread_fence(memory_order_acquire);
	return !(sequence & 1) &&
	       atomic_load_explicit(&slot->sequence, memory_order_relaxed) == sequence;
}

static bool replace_by_zeros(uintptr_t base, size_t size)
{
	void *at = (void *)base;

	return mmap(at, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at;
}

/* The guarded mapping that 'address' is in. False if it is none of ours. */
static bool find(uintptr_t address, uintptr_t *base, size_t *size, atomic_bool **lost)
{
	/* Nothing is acquired: who faults in a mapping got it after its guard was added, so sees that. */
	uint32_t n = atomic_load_explicit(&nr_used, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		if (slot_read(&slots[i], base, size, lost) && *base && address - *base < *size)
			return true;
	return false;
}

/* Repairs the mapping that 'address' is in. Returns false if it is none of ours. */
static bool survive(uintptr_t address, int code)
{
	atomic_bool *lost;
	uintptr_t base;
	size_t size;

	if (!find(address, &base, &size, &lost))
		return false;
	/* Another thread may be at it: then the access is repeated until it is done. A broken memory cell
	 * can hit the zeros too. */
	if (atomic_exchange(lost, true) && code != BUS_MCEERR_AR)
		return true;
	if (!replace_by_zeros(base, size))
		return false;
	atomic_fetch_add(&via_guard_faults, 1);
	return true;
}

static void hand_on(int signal, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signal, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(signal);
	} else if (info->si_code > 0) {
		/* A fault of our own making: the repeated access ends the process, with a core. */
		sigaction(SIGBUS, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	} else if (before.sa_handler == SIG_DFL) {
		sigaction(SIGBUS, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
		raise(signal);
	}
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	bool fault = info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;

	if (!fault || !survive((uintptr_t)info->si_addr, info->si_code))
		hand_on(signal, info, context);
	errno = saved;
}

/* ---- faults that a system call has swallowed ---- */

void via_guard_touch(const void *at, size_t size)
{
	const uintptr_t page = 4096, begin = (uintptr_t)at;
	atomic_bool *lost;
	uintptr_t base;
	size_t mapped;

	if (!find(begin, &base, &mapped, &lost))
		return;
	for (uintptr_t i = begin; i - begin < size && i - base < mapped; i = (i | (page - 1)) + 1)
		(void)*(const volatile unsigned char *)i;
}

/* ---- control ---- */

static void slot_write(struct slot *slot, uintptr_t base, size_t size, atomic_bool *lost)
{
	uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_relaxed);
	/* G1, pairs with G2. */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&slot->base, base, memory_order_relaxed);
	atomic_store_explicit(&slot->size, size, memory_order_relaxed);
	atomic_store_explicit(&slot->lost, lost, memory_order_relaxed);
	/* G3, pairs with G4. */
	atomic_store_explicit(&slot->sequence, sequence + 2, memory_order_release);
}

static struct slot *slot_find(uintptr_t base)
{
	for (uint32_t i = 0; i < NR_SLOTS; i++)
		if (atomic_load_explicit(&slots[i].base, memory_order_relaxed) == base)
			return &slots[i];
	return NULL;
}

int via_guard_add(void *base, size_t size, atomic_bool *lost)
{
	struct slot *slot = slot_find(0);
	uint32_t nr;

	if (!slot)
		return -ENOSPC;
	slot_write(slot, (uintptr_t)base, size, lost);
	nr = (uint32_t)(slot - slots) + 1;
	if (nr > atomic_load_explicit(&nr_used, memory_order_relaxed))
		atomic_store_explicit(&nr_used, nr, memory_order_relaxed);
	return 0;
}

void via_guard_remove(void *base)
{
	struct slot *slot = slot_find((uintptr_t)base);

	if (slot)
		slot_write(slot, 0, 0, NULL);
}

int via_guard_install(struct via_error *err)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (installed)
		return 0;
	sigemptyset(&action.sa_mask);
	/* The old one first: ours may be needed the moment it is there. */
	if (sigaction(SIGBUS, NULL, &before) < 0 || sigaction(SIGBUS, &action, NULL) < 0)
		return via_fail(err, -errno, "cannot handle SIGBUS: %s", strerror(errno));
	installed = true;
	return 0;
}
