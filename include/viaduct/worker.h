/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that move packets.
 *
 * What workers read (rings, memory tables, port lists) is immutable once published. The control
 * thread swaps a pointer and frees the old version once every registered worker has been quiescent,
 * that is: held no view, ring or table of this library. A worker that forgets to report it keeps
 * front-ends waiting for their answers (the control thread logs it after one second) and memory from
 * being freed; nothing else breaks.
 */
#ifndef VIADUCT_WORKER_H
#define VIADUCT_WORKER_H

#include <signal.h>
#include <viaduct/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the calling thread a worker; it is online. Where the kernel permits it, the thread gets an io_uring of
 * its own, for TAPs: a process that forbids itself io_uring_setup() does so afterwards. Thread: worker, once. */
void via_worker_register(const char *name);

/* Ends what via_worker_register() began. Thread: worker. */
void via_worker_unregister(void);

/* "I hold nothing now": call between bursts, at least once a millisecond or so. Thread: worker. */
void via_worker_quiescent(void);

/* Around a wait: an offline worker holds nothing and is not waited for. Thread: worker. */
void via_worker_offline(void);
void via_worker_online(void);

/* The signal that gets a thread out of a peer's hands; its handler does nothing. */
#define VIA_WATCHDOG_SIGNAL (SIGRTMIN + 5)

/*
 * A peer can make a write to its kick or call descriptor block. This starts a thread that ends such
 * writes within a few milliseconds by VIA_WATCHDOG_SIGNAL, whose handler it installs; the peer then
 * loses its queue. It sleeps while nobody tells anything to any peer. Another one closes descriptors that
 * peers have sent and that could make close() wait. Without them a hostile peer can hold a worker, or
 * control. Threads that tell peers something unblock the signal. Idempotent. Returns 0 or a negative
 * errno. Thread: control, before workers start.
 */
int via_watchdog_start(struct via_error *err);

#ifdef __cplusplus
}
#endif
#endif
