/* SPDX-License-Identifier: BSD-3-Clause */
/* Making threads that stand in for others: none of them is still at it once the process is restricted. */
#ifndef VIA_THREAD_H
#define VIA_THREAD_H

#include <pthread.h>

/*
 * Runs 'run(user)' in a thread called 'name' (at most 15 bytes), to which no signal is delivered. Returns 0,
 * or a negative errno. By then the thread has made every system call that belongs to its beginning.
 */
int via_thread_start(pthread_t *thread, const char *name, void *(*run)(void *user), void *user);

#endif
