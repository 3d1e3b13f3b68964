/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/ring: virtqueues, split and packed, device side and driver side.
 *
 *   ring.h          this: formats, what control publishes, what a worker keeps, the operations
 *   split.h         the split ring, device side         split_driver.h   driver side
 *   packed.h        the packed ring, device side        packed_driver.h  driver side
 *   vq.h            both of them behind one set of operations
 *   driver_ring.h   both drivers behind one set of operations
 *   standing.h      a driver whose chains never change
 *   chain.h         from descriptors to checked host segments (indirect tables, regions, bounds)
 *   notify.h        when the other side wants to be told
 *   position.h      positions that survive the process
 *   split.c, packed.c  what is not the usual chain or batch
 *   vq.c            start, stop, break; telling the driver
 *
 * May use base and mem. The format's functions are static inline with the format as a constant, so
 * that packet code above is compiled once for each (style: one algorithm, several formats).
 *
 * Three kinds of state:
 *   struct via_ring   what control published: addresses, memory, features, descriptors. Immutable.
 *   struct via_vq     what the one worker that serves the queue keeps: positions, shadows, counters.
 *   guest memory      what the other side also writes: via_leN words, each read once.
 *
 * Rules are cited from docs/reference/virtqueue.md (VQ-…, VX-…) and hostile.md (R…).
 */
#ifndef VIA_RING_H
#define VIA_RING_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/role.h"
#include "base/shared.h"
#include "mem/mem.h"

/* Feature numbers of rings (VIRTIO 1.3 §6). */
enum {
	VIRTIO_F_NOTIFY_ON_EMPTY = 24,
	VIRTIO_F_ANY_LAYOUT = 27,
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VIRTIO_F_VERSION_1 = 32,
	VIRTIO_F_ACCESS_PLATFORM = 33,
	VIRTIO_F_RING_PACKED = 34,
	VIRTIO_F_IN_ORDER = 35,
};

enum via_ring_format { VIA_RING_SPLIT, VIA_RING_PACKED };

#define VIA_RING_MAX_SIZE 32768

/* Descriptor flags, both formats. AVAIL and USED are the packed ring's. */
enum {
	VIA_DESC_NEXT = 1,
	VIA_DESC_WRITE = 2,
	VIA_DESC_INDIRECT = 4,
	VIA_DESC_AVAIL = 1 << 7,
	VIA_DESC_USED = 1 << 15,
};

/* ---- layouts in shared memory (VIRTIO 1.3 §2.7, §2.8) ---- */

/*
 * A descriptor is read as two 64-bit words, so that each field is read once and all of a word's
 * fields are from the same moment. Split: tail = len | flags << 32 | next << 48.
 * Packed: tail = len | id << 32 | flags << 48; its acquire load sees the flags and what they publish.
 */
struct via_desc_words {
	via_le64 addr;
	union {
		via_le64 tail;
		struct {
			via_le32 len;
			via_le16 flags_or_id;   /* split: flags; packed: id */
			via_le16 next_or_flags; /* split: next; packed: flags */
		};
	};
};
static_assert(sizeof(struct via_desc_words) == 16, "VIRTIO 1.3 §2.7.5");

struct via_split_avail {
	via_le16 flags;
	via_le16 idx;
	via_le16 ring[]; /* size entries, then used_event */
};

struct via_split_used_elem {
	via_le32 id;
	via_le32 len;
};

struct via_split_used {
	via_le16 flags;
	via_le16 idx;
	struct via_split_used_elem ring[]; /* size entries, then le16 avail_event */
};

struct via_packed_event {
	via_le16 off_wrap;
	via_le16 flags;
};

/* ---- what control publishes ---- */

/* Why a queue no longer runs. One list for code, log and command line. */
#define VIA_BROKEN_REASONS(X)                                                \
	X(NONE, "runs")                                                      \
	X(AVAIL_INDEX, "the available index runs ahead of the ring (VX-01)") \
	X(HEAD, "a head is outside the descriptor table (VX-02)")            \
	X(NEXT, "a next field is outside its table (VX-03)")                 \
	X(LOOP, "a chain is longer than the ring (VX-04, VX-26)")            \
	X(INDIRECT, "an indirect descriptor is malformed (VX-13 to VX-17)")  \
	X(ORDER, "a readable descriptor follows a writable one (VX-11)")     \
	X(ADDRESS, "a buffer lies outside guest memory (VX-07, VX-08)")      \
	X(LENGTH, "a chain describes 4 GiB or more (VX-21)")                 \
	X(LOWER_SLOT, "a slot of a packed chain is not available (VX-25)")   \
	X(MEMORY_LOST, "the front-end truncated its memory (R7)")            \
	X(NOTIFY, "the call descriptor cannot be written (R19)")             \
	X(SEGMENTS, "a chain is cut into too many pieces (R10)")

enum via_broken {
#define X(name, text) VIA_BROKEN_##name,
	VIA_BROKEN_REASONS(X)
#undef X
		VIA_NR_BROKEN,
};

const char *via_broken_text(enum via_broken why);

/* A running queue's setup: immutable from publication until a grace period after its replacement. */
struct via_ring {
	const struct via_mem *mem;
	enum via_ring_format format;
	uint16_t size; /* slots; split: a power of two */
	bool event_idx, indirect, in_order;
	uint64_t features; /* all that were negotiated */
	union {
		struct {
			const struct via_desc_words *desc;
			const struct via_split_avail *avail;
			struct via_split_used *used;
		} split;
		struct {
			struct via_desc_words *desc;
			const struct via_packed_event *driver; /* suppresses our interrupts */
			struct via_packed_event *device;       /* suppresses the driver's kicks */
		} packed;
	};
	int kick_fd;         /* -1: none, the queue is always polled */
	int call_fd;         /* -1: none */
	bool call_is_socket; /* user-mode Linux sends one instead of an eventfd */
	bool enabled; /* false: started but disabled: TX is consumed and discarded, RX untouched */
};

/* ---- what a worker keeps ---- */

/* A place in a ring. Split: idx is the free-running 16-bit index. Packed: idx is the slot. */
struct via_ring_pos {
	uint16_t idx;
	bool wrap; /* packed */
};

/* Pushes that a publication should not exceed. Longer ones work, but a packed queue killed in the
 * middle of one cannot be recovered: publish between packets once this many are pushed. */
#define VIA_VQ_BURST 64

/* Packed: entries that a batch holds before it spills into the ring; several times a burst, so that
 * one packet in many small buffers fits behind a burst. */
#define VIA_BATCH_ENTRIES 512

/* A chain that is given back. */
struct via_batch_entry {
	uint32_t len; /* bytes written */
	uint16_t id;
	uint16_t nr_slots; /* that it gives back */
};

/*
 * Packed: what the next publication gives back, in order. It is also the redo log of a queue whose
 * positions survive the process: then it lies in the position file. See position.h for 'state'.
 */
struct via_batch {
	_Atomic(uint64_t)
		state; /* position and, while the ring is being written, the entry count */
	struct via_batch_entry entry[VIA_BATCH_ENTRIES];
};

/*
 * A queue of the device side. It outlives its rings: 'ring' is NULL while stopped.
 * One worker at a time uses it; a queue that several workers send to is locked for the burst by its
 * user ('lock'). Control touches the worker's members only while 'ring' is NULL and quiescent.
 */
struct via_vq {
	_Atomic(const struct via_ring *) ring; /* published by control */
	_Atomic(enum via_broken)
		broken; /* worker; read by control. Cleared when control starts it */

	/* worker */
	struct via_mem_hint hint;
	struct via_ring_pos avail; /* next to take */
	struct via_ring_pos used;  /* next to give back, as the driver has been shown */
	uint32_t pushed;      /* entries (split) or slots (packed) given back and not yet shown */
	uint32_t unsignalled; /* the same, shown since the last notification decision */
	uint16_t avail_seen;  /* split: the last available index read */
	uint16_t nr_batch;    /* packed: entries in 'batch' */
	bool signalled_valid; /* false: no decision yet, so no event index can be judged */
	bool armed;           /* kicks are wanted */
	bool header_alone;    /* net, egress: the last buffer's header had a cache line to itself */
	bool spilled; /* packed: the batch's entries up to slot 'spill' are in the ring, but the
			       * first */
	struct via_ring_pos spill;
	struct via_batch *batch; /* 'own_batch', or in the position file: set by via_vq_start() */

	via_cache_aligned atomic_flag lock; /* for queues with several users: egress */
	via_counter kicks_wanted;           /* times armed */
	via_counter calls;                  /* notifications sent */
	struct via_batch *kept; /* control: in the position file; NULL: positions end with
					     * the process (position.h) */
	struct via_batch own_batch;
};
static_assert(offsetof(struct via_vq, lock) == VIA_CACHE_LINE, "a worker's state is one line");

/* A checked piece of a peer's buffer, mapped here. */
struct via_seg {
	uint8_t *base;
	uint32_t len; /* bytes, never 0 */
};

/* One taken buffer: readable segments first, then writable ones, in 'seg' of the caller's arena. */
struct via_chain {
	struct via_seg *seg;
	uint32_t readable_len, writable_len; /* bytes */
	uint16_t nr_readable, nr_writable;   /* segments */
	uint16_t id;       /* head (split) or buffer id (packed): goes back by vq_push() */
	uint16_t nr_slots; /* ring slots it took (packed) */
	uint16_t nr_empty; /* descriptors without a byte: nothing to see, but it cost to look */
};

/* Room for segments that a chain has taken: about what it cost to walk (R18). */
static inline uint32_t via_chain_room(const struct via_chain *chain)
{
	return (uint32_t)chain->nr_readable + chain->nr_writable + chain->nr_empty;
}

enum via_direction { VIA_READABLE, VIA_WRITABLE }; /* for the device */

/* Segments that hold any sane chain, also one as long as the largest ring. Who offers so much room
 * never sees -ENOBUFS: a chain that exceeds it breaks the queue. */
#define VIA_CHAIN_MAX_SEGS (VIA_RING_MAX_SIZE + 1024)

/*
 * The operations of a device-side queue, in ring/vq.h. 'ring' is the caller's one vq_ring() of this
 * burst; 'format' is a constant. Thread: the queue's worker (or holder of its lock).
 *
 * vq_ring()       the ring to serve now; NULL if the queue is stopped or broken.
 * vq_pop()        takes the next available chain: 1 with 'chain' filled from 'seg' (at most 'max_segs'
 *                 of them, less one for each empty descriptor), 0 if the driver has added nothing,
 *                 -ENOBUFS if 'max_segs' is too small (nothing is taken), or another negative errno:
 *                 the queue is broken now, with the reason in vq->broken. Content is not judged: an
 *                 empty chain is taken.
 * vq_pop_singles() takes up to 'n' chains of one descriptor, whole in one region and of the given
 *                 direction, as long as there are such: the usual ones, by a loop that keeps its state
 *                 in registers. Fills a segment and an entry (id, 1 slot, len 0) for each and starts
 *                 loading where it lies; 'spared', a constant, is how many bytes at the beginning of each
 *                 are not read, or if it is writable only looked at: 0, or a header's. What comes next is for vq_pop(), whatever it is. It does not
 *                 look for more than vq_prefetch() or vq_pop() have seen (split).
 * vq_prefetch()   starts loading what the next 'n' pops will need. A hint.
 * vq_unpop()      goes back to 'pos', a copy of vq->avail made before the pops to undo.
 * vq_push()       gives a chain back, 'len' bytes written: not yet visible. In the order of the pops.
 * vq_push_burst() gives chains back, 'len' of each entry written.
 * vq_push_batch() IN_ORDER only: gives 'n' chains back that took 'nr_slots' slots, the last with id
 *                 'id', nothing written to any.
 * vq_publish()    makes all pushes visible at once, and keeps the position.
 * vq_wants_call() whether the driver wants to be told of what was published since last asked (VIRTIO
 *                 1.3 §2.7.7, §2.8.10); vq_call() tells it: at most once a burst.
 * vq_arm()        asks for kicks, then looks once more: true if there is work after all (the caller
 *                 goes on polling; kicks stay asked for until vq_disarm()).
 * vq_disarm()     asks for no kicks, as far as the format can.
 */

/* ---- control ---- */

/* Puts a stopped queue to its starting positions and publishes 'ring' (borrowed until a grace period
 * after via_vq_stop()). Clears 'broken'. 'avail' and 'used' are the base; a packed queue keeps its
 * position in 'vq->kept' if that is set. Thread: control. */
void via_vq_start(struct via_vq *vq, const struct via_ring *ring, struct via_ring_pos avail,
		  struct via_ring_pos used);

/* Replaces a running queue's ring by one with the same geometry (memory table, call, enable).
 * Returns the old one: free it after a grace period. Thread: control. */
const struct via_ring *via_vq_swap(struct via_vq *vq, const struct via_ring *ring);

/* Unpublishes; after a grace period no worker uses the queue and its positions may be read.
 * Returns what was published (free it then), NULL if it was stopped. Thread: control. */
const struct via_ring *via_vq_stop(struct via_vq *vq);

/* Marks the queue broken with the reason (R15): it stays so until stopped, all bursts return nothing.
 * That is all a worker does about it, since it may hold the queue's lock (R20). Returns a negative
 * errno. Thread: worker. */
via_cold int via_vq_break(struct via_vq *vq, enum via_broken why);

/* Bytes that each part of a ring occupies, for validation and mapping (§2.7, §2.8). */
struct via_ring_sizes {
	uint64_t desc, avail, used; /* packed: descriptor ring, driver area, device area */
};
struct via_ring_sizes via_ring_sizes(enum via_ring_format format, uint32_t size);

#endif
