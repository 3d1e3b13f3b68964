/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Positions that survive the process: a daemon killed under running guests goes on with their rings.
 *
 * A small shared file has one record a queue. It says which ring the record is about (file and address
 * of its memory, size, format), and for a packed ring where we are in it. A split ring says that
 * itself: its used index in guest memory, next available = used, because this device completes in
 * order. So a split queue's record is only written when it starts and stops.
 *
 * Theory of operation, packed. A used descriptor overwrites what the driver offered, so a publication
 * that was cut short must be completed, from what was to be written. The batch lies in the record
 * itself (struct via_batch), and publishing goes
 *
 *	1  state := {position, pending = n}      the batch's n entries are complete: redo from here
 *	2  the ring: slots behind the first one, then the first one's flags
 *	3  state := {new position, pending = 0}  in one store
 *
 * Killed before 1: nothing happened. Between 1 and 3: if the first slot is still available in its lap,
 * 2 is done again, else the driver has seen it and perhaps refilled it: then all of 2 had happened.
 * After 3: done. A kill takes effect between two instructions, so their order in the program is all
 * that counts, and compiler fences suffice.
 *
 * What may have happened while we were dead is a guest that started anew in the same memory. So the
 * whole ring is checked against the position (see position.c); a packed ring that disagrees is
 * refused, never guessed.
 *
 * Thread: control, except position_pending() and position_done().
 */
#ifndef VIA_RING_POSITION_H
#define VIA_RING_POSITION_H

#include <viaduct/error.h>

#include "ring/notify.h"
#include "ring/ring.h"

struct via_positions; /* opaque: a mapped file */
struct via_position;  /* opaque: one queue's record in it */

/* Which ring. The same guest memory has the same key as long as the guest lives. */
struct via_position_key {
	uint64_t dev, ino;  /* of the file behind the ring: via_mem_identity() */
	uint64_t desc_addr; /* the front-end's own address of the descriptor area */
	uint32_t size;      /* slots */
	uint32_t format;    /* enum via_ring_format */
};

enum via_position_found {
	VIA_POSITION_NONE,      /* nothing is known of this ring: use the front-end's base */
	VIA_POSITION_FOUND,     /* go on from there */
	VIA_POSITION_DISAGREES, /* the ring cannot be where the record says: refuse the queue */
};

/* Bytes of a file with 'nr_queues' records. */
uint64_t via_positions_size(uint32_t nr_queues);

/*
 * Maps the file behind 'fd' (borrowed), which has at least via_positions_size() bytes: all zeros for a
 * new one. Returns 0, or a negative errno with the reason in 'err': -EINVAL if it is too small or
 * something else. The caller ends it with via_positions_unmap().
 */
int via_positions_map(struct via_positions **positions, int fd, uint32_t nr_queues,
		      struct via_error *err);
void via_positions_unmap(struct via_positions *positions); /* accepts NULL; records stay */

/* The record of queue 'index'. It lives as long as the mapping. */
struct via_position *via_position_at(struct via_positions *positions, uint32_t index);

/*
 * Completes a publication that was cut short, and says where a ring is. On VIA_POSITION_FOUND stores
 * the positions to start from; on VIA_POSITION_DISAGREES the reason in 'err'.
 */
enum via_position_found via_position_recover(struct via_position *position,
					     const struct via_position_key *key,
					     const struct via_ring *ring,
					     struct via_ring_pos *avail, struct via_ring_pos *used,
					     struct via_error *err);

/* Of a packed ring without a record: whether it can be at 'pos' as far as its slots tell, and whether no
 * device has given anything back in it yet. */
bool via_position_fits(const struct via_ring *ring, struct via_ring_pos pos);
bool via_position_is_fresh(const struct via_ring *ring);

/*
 * Keeps the position of a stopped queue from now on; it is about to start with via_vq_start() at
 * 'used'. via_position_end() after it was stopped cleanly: its position is the front-end's then, and
 * the record is cleared.
 */
void via_position_begin(struct via_position *position, struct via_vq *vq,
			const struct via_position_key *key, struct via_ring_pos used);
void via_position_end(struct via_position *position, struct via_vq *vq);

/*
 * The state word: bits 0 to 15 the position and 16 to 31 the slot of the last used descriptor, both as
 * in an event area (slot, wrap in the top bit); 32 to 47 the count of pending entries; then flags.
 */
#define VIA_POSITION_LAST_SHIFT    16
#define VIA_POSITION_PENDING_SHIFT 32
#define VIA_POSITION_HAS_LAST_MASK (UINT64_C(1) << 48)
#define VIA_POSITION_SPILLED       0xffff /* as the count: the batch was longer than the log */

/* Step 1: what is in the batch is now being published. Thread: worker. */
static via_always_inline void position_pending(struct via_batch *batch, uint32_t n)
{
	uint64_t state = atomic_load_explicit(&batch->state, memory_order_relaxed);

	atomic_signal_fence(memory_order_seq_cst); /* entries before state */
	atomic_store_explicit(&batch->state, state | (uint64_t)n << VIA_POSITION_PENDING_SHIFT,
			      memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* state before ring */
}

/* Step 3: it is published. Thread: worker. */
static via_always_inline void position_done(struct via_batch *batch, struct via_ring_pos pos,
					    struct via_ring_pos last)
{
	uint64_t state = VIA_POSITION_HAS_LAST_MASK | notify_off_wrap(pos) |
			 (uint64_t)notify_off_wrap(last) << VIA_POSITION_LAST_SHIFT;

	atomic_signal_fence(memory_order_seq_cst); /* ring before state */
	atomic_store_explicit(&batch->state, state, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* state before the next batch's entries */
}

#endif
