/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread's event loop: descriptors, timers, and "after every worker has moved on".
 *
 * All callbacks run on the thread that calls via_loop_run(). An application with a loop of its own
 * watches via_loop_fd() for reading and calls via_loop_turn() when it is readable.
 */
#ifndef VIADUCT_LOOP_H
#define VIADUCT_LOOP_H

#include <stdint.h>
#include <viaduct/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct via_loop;  /* opaque */
struct via_watch; /* opaque: one watched descriptor */
struct via_timer; /* opaque */

/* 'events' as in epoll(7), level-triggered. */
typedef void via_watch_fn(void *user, uint32_t events);
typedef void via_timer_fn(void *user);
typedef void via_grace_fn(void *user);

/* Creates a loop. Returns 0, or a negative errno with the reason in 'err'. Thread: control. */
int via_loop_create(struct via_loop **loop, struct via_error *err);

/* Ends the loop; runs outstanding grace callbacks first, so no worker may be registered and online
 * any more. Watches and timers must be gone. Accepts NULL. Thread: control. */
void via_loop_free(struct via_loop *loop);

/* Waits for events and runs callbacks until via_loop_stop(). Thread: control. */
void via_loop_run(struct via_loop *loop);
void via_loop_stop(struct via_loop *loop);

/* Runs what is due; waits at most 'timeout_ms' (-1: until something is due). Thread: control. */
void via_loop_turn(struct via_loop *loop, int timeout_ms);
int via_loop_fd(const struct via_loop *loop);

/*
 * Calls 'fn(user, events)' while 'fd' (borrowed until via_loop_unwatch()) has one of 'events'.
 * Safe from within callbacks, also unwatching oneself: a watch never fires after via_loop_unwatch().
 */
int via_loop_watch(struct via_watch **watch, struct via_loop *loop, int fd, uint32_t events,
		   via_watch_fn *fn, void *user, struct via_error *err);
void via_watch_set(struct via_watch *watch, uint32_t events);
void via_loop_unwatch(struct via_watch *watch); /* accepts NULL */

/* A timer that is not running. One shot: 'fn' may start it again. */
int via_timer_create(struct via_timer **timer, struct via_loop *loop, via_timer_fn *fn, void *user,
		     struct via_error *err);
void via_timer_start(struct via_timer *timer, uint32_t delay_ms); /* restarts a running one */
void via_timer_stop(struct via_timer *timer);
void via_timer_free(struct via_timer *timer); /* accepts NULL */

/*
 * Calls 'fn(user)' on the control thread once every worker has been quiescent since now. Nothing
 * that was unpublished before the call can still be in a worker's hands then. Callbacks run in the
 * order of the calls, never from within this one. Without memory or threads left this one waits.
 * Thread: control.
 */
void via_loop_after_grace(struct via_loop *loop, via_grace_fn *fn, void *user);

/* Starts the thread that waits for workers, which else happens when it is first needed: for a process
 * that gives up making threads. Returns 0, or a negative errno with the reason in 'err'. Thread: control. */
int via_loop_prepare(struct via_loop *loop, struct via_error *err);

#ifdef __cplusplus
}
#endif
#endif
