/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that move packets, for liburcu (which waits for them) and for us (who name them).
 *
 * A worker's 'seen' is the newest mark that existed at its last quiescent moment; OFFLINE while it
 * holds nothing. The marks are written once a grace period, so the line that workers read is shared
 * and quiet, and 'seen' is a store to a line of the worker's own.
 */
#include "base/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "base/batch.h"
#include "base/tell.h"

#define OFFLINE UINT64_MAX

struct worker {
	char name[32];
	struct worker *next;
	via_cache_aligned _Atomic(uint64_t) seen; /* written by the worker */
};

static _Thread_local struct worker self;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards 'workers' and 'ever' */
static struct worker *workers;
static bool ever;
static _Atomic(uint64_t) marks;

static void note(uint64_t seen)
{
	/* The grace period itself is liburcu's. The release pairs with via_workers_settle(): it says
	 * in terms that tools understand that what this worker did before is over. */
	atomic_store_explicit(&self.seen, seen, memory_order_release);
}

static uint64_t newest_mark(void)
{
	return atomic_load_explicit(&marks, memory_order_relaxed);
}

VIA_EXPORT void via_worker_register(const char *name)
{
	snprintf(self.name, sizeof(self.name), "%s", name);
	note(newest_mark());

	pthread_mutex_lock(&lock);
	self.next = workers;
	workers = &self;
	ever = true;
	pthread_mutex_unlock(&lock);

	via_batch_begin();
	via_tell_begin();
	urcu_qsbr_register_thread();
}

VIA_EXPORT void via_worker_unregister(void)
{
	struct worker **link;

	urcu_qsbr_unregister_thread();

	pthread_mutex_lock(&lock);
	for (link = &workers; *link; link = &(*link)->next) {
		if (*link == &self) {
			*link = self.next;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	via_batch_end(); /* last: what it interrupts is this thread */
}

VIA_EXPORT void via_worker_quiescent(void)
{
	note(newest_mark());
	urcu_qsbr_quiescent_state();
}

VIA_EXPORT void via_worker_offline(void)
{
	note(OFFLINE);
	urcu_qsbr_thread_offline();
}

VIA_EXPORT void via_worker_online(void)
{
	urcu_qsbr_thread_online();
	note(newest_mark());
}

bool via_workers_ever(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = ever;
	pthread_mutex_unlock(&lock);
	return any;
}

void via_workers_settle(void)
{
	pthread_mutex_lock(&lock);
	for (struct worker *w = workers; w; w = w->next)
		(void)atomic_load_explicit(&w->seen, memory_order_acquire);
	pthread_mutex_unlock(&lock);
}

uint64_t via_workers_mark(void)
{
	return atomic_fetch_add_explicit(&marks, 1, memory_order_relaxed) + 1;
}

unsigned int via_workers_late(uint64_t mark, char *text, size_t size)
{
	unsigned int n = 0;
	size_t used = 0;

	if (size)
		text[0] = '\0';
	pthread_mutex_lock(&lock);
	for (struct worker *w = workers; w; w = w->next) {
		if (atomic_load_explicit(&w->seen, memory_order_relaxed) >= mark)
			continue;
		if (used < size) {
			int len =
				snprintf(text + used, size - used, "%s%s", n ? ", " : "", w->name);
			used += len > 0 ? (size_t)len : 0;
		}
		n++;
	}
	pthread_mutex_unlock(&lock);
	return n;
}
