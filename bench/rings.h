/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring cost: what our device side does with bursts of 64 frames in each of the ten ring paths that
 * drivers use, between two virtqueues whose driver is ours, in the same thread. So nothing is measured
 * but instructions and the caches of one core.
 */
#ifndef BENCH_RINGS_H
#define BENCH_RINGS_H

#include <stdbool.h>

#include "bench/measure.h"
#include "bench/queue.h"

/*
 * What a driver negotiates, and its habits. The names are net_virtio_user's. A batched driver
 * (vectorized, there) takes descriptors in the ring's order and by whole cache lines, whether or not
 * IN_ORDER is negotiated; the others' bursts begin anywhere, and without IN_ORDER their descriptors
 * come from a free list.
 */
struct rings_path {
	const char *name;
	enum via_ring_format format;
	bool mergeable, in_order, batched;
};

struct rings_frame {
	const char *name;
	uint32_t len; /* bytes, without FCS */
	bool gso;     /* a TCP segment that asks to be cut; a chain of fragments */
};

struct rings;
typedef uint32_t rings_run(struct rings *rings, uint32_t n); /* a burst; returns how many it did */

struct rings_operation {
	const char *name, *help;
	rings_run *run;
	bool sends, receives; /* the driver does in each round */
};

#define RINGS_NR_PATHS      10
#define RINGS_NR_FRAMES     6
#define RINGS_NR_OPERATIONS 5
extern const struct rings_path rings_paths[RINGS_NR_PATHS];
extern const struct rings_frame rings_frames[RINGS_NR_FRAMES];
extern const struct rings_operation rings_operations[RINGS_NR_OPERATIONS]; /* operations.c */

struct rings_case {
	const struct rings_operation *operation;
	const struct rings_path *path;
	struct rings_frame frame;
	enum bench_form_number form; /* of frames sent; BENCH_ONE: as is usual */
	bool event_idx;
};

/* What is timed of a round. */
enum rings_part { RINGS_ADDS, RINGS_DEVICE, RINGS_REAPS, RINGS_NR_PARTS };

/* TSC cycles a packet: the driver offers, the device's part, the driver takes back. */
struct rings_cost {
	struct bench_cost part[RINGS_NR_PARTS];
};

/* Runs a case many times. */
struct rings_cost rings_measure(const struct rings_case *what);

/* Runs a case a few times for a tool that counts instructions: those of rings_counted(), which runs
 * RINGS_COUNTED packets, once all is warm; it is told that a case ends by a call of rings_count_end(). */
void rings_count(const struct rings_case *what);
#define RINGS_COUNTED 1024

/* Which cases: NULL and 0 mean all. */
struct rings_filter {
	const char *operation;
	const char *path; /* a part of its name */
	uint32_t len;     /* any one */
	enum bench_form_number form;
	bool event_idx;
};

/* Calls 'each' for all cases that fit: operation by operation, path by path. Returns how many. */
uint32_t rings_each(const struct rings_filter *filter,
		    void (*each)(void *user, const struct rings_case *what), void *user);

/* ---- between rings.c and operations.c ---- */

struct bench_core;

struct rings {
	struct bench_queue tx, rx;
	struct via_lent lent;
	struct via_burst *burst; /* of 'core' */
	struct via_view **view;  /* its views' addresses */
	struct bench_core *core;
	struct rings_case what;
	uint64_t packets; /* that went through the operation */
};

/* The egress of the switch's ports: all of them are rx. */
extern const struct via_port_ops rings_port_ops;

#endif
