/* SPDX-License-Identifier: BSD-3-Clause */
/* The position file: its layout, and finding out at a restart whether a ring is where it says. */
#include "ring/position.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/calls.h"
#include "ring/packed.h"

/* ---- the file: a header, then one record a queue ---- */

struct header {
	char magic[8];
	uint32_t nr_queues;
	uint32_t record_size;
};
static const char magic[8] = "VIAPOS1"; /* the digit grows with every change of a layout */

struct via_position {
	struct via_position_key key;
	_Atomic(uint32_t) kept; /* stored after the rest: the record is about a running queue */
	via_cache_aligned struct via_batch batch;
};
static_assert(sizeof(struct header) <= sizeof(struct via_position), "the header takes one place");

struct via_positions {
	uint32_t nr_queues;
	struct via_position *file; /* [0] is the header's place, [1 + i] queue i's */
};

uint64_t via_positions_size(uint32_t nr_queues)
{
	return ((uint64_t)nr_queues + 1) * sizeof(struct via_position);
}

/* Claims a new file; says what is wrong with another's. */
static int check_header(struct header *header, uint32_t nr_queues, struct via_error *err)
{
	static const struct header empty;
	const struct header ours = {
		.nr_queues = nr_queues,
		.record_size = sizeof(struct via_position),
	};

	if (memcmp(header, &empty, sizeof(empty)) == 0) {
		*header = ours;
		memcpy(header->magic, magic, sizeof(magic));
	}
	if (memcmp(header->magic, magic, sizeof(magic)) != 0)
		return via_fail(err, -EINVAL, "not a file of queue positions of this version");
	if (header->nr_queues != nr_queues || header->record_size != ours.record_size)
		return via_fail(err, -EINVAL,
				"the position file is for %u queues of %u bytes, not %u of %u",
				header->nr_queues, header->record_size, nr_queues,
				ours.record_size);
	return 0;
}

int via_positions_map(struct via_positions **positions, int fd, uint32_t nr_queues,
		      struct via_error *err)
{
	struct via_positions *p;
	struct stat st;
	int ret;

	if (via_fstat(fd, &st) < 0)
		return via_fail(err, -errno, "position file: %s", strerror(errno));
	if ((uint64_t)st.st_size < via_positions_size(nr_queues))
		return via_fail(err, -EINVAL, "the position file has %lld bytes instead of %llu",
				(long long)st.st_size,
				(unsigned long long)via_positions_size(nr_queues));
	p = malloc(sizeof(*p));
	if (!p)
		return via_fail(err, -ENOMEM, "no memory for queue positions");
	p->nr_queues = nr_queues;
	p->file = mmap(NULL, via_positions_size(nr_queues), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       0);
	if (p->file == MAP_FAILED) {
		ret = via_fail(err, -errno, "cannot map the position file: %s", strerror(errno));
		free(p);
		return ret;
	}
	ret = check_header((struct header *)(void *)p->file, nr_queues, err);
	if (ret < 0) {
		via_positions_unmap(p);
		return ret;
	}
	*positions = p;
	return 0;
}

void via_positions_unmap(struct via_positions *positions)
{
	if (!positions)
		return;
	munmap(positions->file, via_positions_size(positions->nr_queues));
	free(positions);
}

struct via_position *via_position_at(struct via_positions *positions, uint32_t index)
{
	assert(index < positions->nr_queues);
	return &positions->file[1 + index];
}

/* ---- state words ---- */

struct state {
	struct via_ring_pos pos, last;
	bool has_last;
	uint32_t pending;
};

static struct via_ring_pos pos_of(uint16_t off_wrap)
{
	return (struct via_ring_pos){
		.idx = off_wrap & (uint16_t)~VIA_EVENT_WRAP_MASK,
		.wrap = off_wrap & VIA_EVENT_WRAP_MASK,
	};
}

static struct state state_load(const struct via_batch *batch)
{
	uint64_t word = atomic_load_explicit(&batch->state, memory_order_relaxed);

	return (struct state){
		.pos = pos_of((uint16_t)word),
		.last = pos_of((uint16_t)(word >> VIA_POSITION_LAST_SHIFT)),
		.has_last = word & VIA_POSITION_HAS_LAST_MASK,
		.pending = (uint16_t)(word >> VIA_POSITION_PENDING_SHIFT),
	};
}

/* ---- recovery ---- */

/* What the driver and we can have made of a slot. */
enum slot_state {
	SLOT_AVAIL, /* available in lap 'wrap': not given back yet */
	SLOT_USED,  /* given back in that lap */
	SLOT_LATER, /* available in the next lap: given back and offered again. Or untouched */
	SLOT_BEFORE /* given back in the lap before, not offered since */
};

static enum slot_state slot_state(const struct via_ring *ring, uint16_t idx, bool wrap)
{
	/* Pairs with the driver's release of a head's flags, B1: who sees a slot offered again sees what was
	 * offered before it as well. */
	uint16_t flags = packed_flags(via_le64_load_acquire(&ring->packed.desc[idx].tail));
	bool avail = flags & VIA_DESC_AVAIL, used = flags & VIA_DESC_USED;

	if (avail == used)
		return avail == wrap ? SLOT_USED : SLOT_BEFORE;
	return avail == wrap ? SLOT_AVAIL : SLOT_LATER;
}

/* Whether the last used descriptor is offered in its own lap, so that we cannot have written it: the
 * driver has started anew. To be asked while the slot behind it waits for us: once that was given back a
 * driver may be two laps further, where it looks the same. */
static bool is_begun_anew(const struct via_ring *ring, const struct state *state)
{
	return state->has_last && slot_state(ring, state->last.idx, state->last.wrap) == SLOT_AVAIL;
}

/* Does again what a killed process may not have done; a ring begun anew is left alone, and looked at
 * afterwards. Returns false if the log makes no sense. */
static bool redo(const struct via_ring *ring, struct via_batch *batch, struct state *state)
{
	struct via_ring_pos pos = state->pos, last = state->pos;
	uint32_t slots = 0;

	if (state->pending > VIA_BATCH_ENTRIES)
		return false;
	for (uint32_t i = 0; i < state->pending; i++) {
		uint32_t n = batch->entry[i].nr_slots;

		slots += n;
		if (n == 0 || slots > ring->size)
			return false;
		last = pos;
		pos = packed_advance(pos, n, ring->size);
	}
	if (slot_state(ring, state->pos.idx, state->pos.wrap) == SLOT_AVAIL) {
		struct via_ring_pos from =
			packed_advance(state->pos, batch->entry[0].nr_slots, ring->size);

		if (is_begun_anew(ring, state))
			return true;
		packed_write_batch(ring, batch, state->pending, state->pos, &from, &last);
	}
	position_done(batch, pos, last);
	*state = state_load(batch);
	return true;
}

/*
 * Whether a packed ring can be where 'state' says. Within the lap of the position, slots before it were
 * passed in this lap and cannot be as the lap before left them; slots from it on cannot be given back
 * in this lap. (Slots inside a chain are passed without being written, so no more can be said of most.)
 * The last used descriptor's slot was written by us: it cannot be available in its own lap; and if the
 * driver offered it again, it had offered everything up to there, so the next one must be available.
 */
static bool ring_agrees(const struct via_ring *ring, const struct state *state)
{
	const struct via_ring_pos pos = state->pos;
	enum slot_state last;

	for (uint16_t i = 0; i < ring->size; i++) {
		enum slot_state slot = slot_state(ring, i, pos.wrap);

		if (slot == (i < pos.idx ? SLOT_BEFORE : SLOT_USED))
			return false;
	}
	if (!state->has_last)
		return true;
	last = slot_state(ring, state->last.idx, state->last.wrap);
	if (last == SLOT_LATER)
		return slot_state(ring, pos.idx, pos.wrap) == SLOT_AVAIL;
	return last == SLOT_USED;
}

bool via_position_fits(const struct via_ring *ring, struct via_ring_pos pos)
{
	const struct state state = { .pos = pos };

	return pos.idx < ring->size && ring_agrees(ring, &state);
}

bool via_position_is_fresh(const struct via_ring *ring)
{
	for (uint16_t i = 0; i < ring->size; i++)
		if (packed_flags(via_le64_load(&ring->packed.desc[i].tail)) & VIA_DESC_USED)
			return false;
	return true;
}

static enum via_position_found recover_packed(struct via_position *position,
					      const struct via_ring *ring,
					      struct via_ring_pos *used, struct via_error *err)
{
	struct state state = state_load(&position->batch);

	if (state.pos.idx >= ring->size || state.last.idx >= ring->size) {
		via_fail(err, -EINVAL, "the kept position lies outside the ring of %u slots",
			 ring->size);
		return VIA_POSITION_DISAGREES;
	}
	if (state.pending == VIA_POSITION_SPILLED) {
		via_fail(err, -EINVAL, "the process ended within a batch of over %u buffers",
			 VIA_BATCH_ENTRIES);
		return VIA_POSITION_DISAGREES;
	}
	if (state.pending && !redo(ring, &position->batch, &state)) {
		via_fail(err, -EINVAL, "the kept batch of %u entries is damaged", state.pending);
		return VIA_POSITION_DISAGREES;
	}
	if (!ring_agrees(ring, &state)) {
		via_fail(err, -EINVAL,
			 "the packed ring is not at the kept position (slot %u, wrap %d): the "
			 "driver has started anew",
			 state.pos.idx, state.pos.wrap);
		return VIA_POSITION_DISAGREES;
	}
	*used = state.pos;
	return VIA_POSITION_FOUND;
}

static enum via_position_found recover_split(const struct via_ring *ring, struct via_ring_pos *used,
					     struct via_error *err)
{
	/* Nothing runs yet, so no order is needed; the driver does not write the used index. */
	uint16_t idx = via_le16_load(&ring->split.used->idx);
	uint16_t nr = (uint16_t)(via_le16_load(&ring->split.avail->idx) - idx);

	if (nr > ring->size) {
		via_fail(err, -EINVAL,
			 "the used index %u does not fit the available index %u of %u slots", idx,
			 (uint16_t)(idx + nr), ring->size);
		return VIA_POSITION_DISAGREES;
	}
	*used = (struct via_ring_pos){ .idx = idx };
	return VIA_POSITION_FOUND;
}

static bool same_key(const struct via_position_key *a, const struct via_position_key *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->desc_addr == b->desc_addr &&
	       a->size == b->size && a->format == b->format;
}

enum via_position_found via_position_recover(struct via_position *position,
					     const struct via_position_key *key,
					     const struct via_ring *ring,
					     struct via_ring_pos *avail, struct via_ring_pos *used,
					     struct via_error *err)
{
	enum via_position_found found;
	struct via_ring_pos pos;

	if (!atomic_load_explicit(&position->kept, memory_order_relaxed) ||
	    !same_key(&position->key, key))
		return VIA_POSITION_NONE;
	found = ring->format == VIA_RING_PACKED ? recover_packed(position, ring, &pos, err)
						: recover_split(ring, &pos, err);
	if (found == VIA_POSITION_FOUND)
		*avail = *used = pos; /* this device completes in order: nothing was in between */
	return found;
}

/* ---- keeping ---- */

void via_position_begin(struct via_position *position, struct via_vq *vq,
			const struct via_position_key *key, struct via_ring_pos used)
{
	struct state state = state_load(&position->batch);
	bool going_on = atomic_load_explicit(&position->kept, memory_order_relaxed) &&
			same_key(&position->key, key) && state.pending == 0 &&
			notify_off_wrap(state.pos) == notify_off_wrap(used);

	vq->kept = &position->batch;
	if (going_on)
		return; /* recovered: 'last' stays known */
	atomic_store_explicit(&position->kept, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* void while it is half written */
	position->key = *key;
	atomic_store_explicit(&position->batch.state, notify_off_wrap(used), memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&position->kept, 1, memory_order_relaxed);
}

void via_position_end(struct via_position *position, struct via_vq *vq)
{
	atomic_store_explicit(&position->kept, 0, memory_order_relaxed);
	vq->kept = NULL;
}
