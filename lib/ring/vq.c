/* SPDX-License-Identifier: BSD-3-Clause */
/* The cold side of a queue: start, stop, break, and telling the driver. */
#include <errno.h>
#include <string.h>

#include "base/tell.h"
#include "ring/vq.h"

const char *via_broken_text(enum via_broken why)
{
	static const char *const text[] = {
#define X(name, sentence) [VIA_BROKEN_##name] = sentence,
		VIA_BROKEN_REASONS(X)
#undef X
	};

	return (unsigned int)why < ARRAY_SIZE(text) ? text[why] : "unknown";
}

static int broken_errno(enum via_broken why)
{
	switch (why) {
	case VIA_BROKEN_AVAIL_INDEX:
		return -EOVERFLOW;
	case VIA_BROKEN_HEAD:
	case VIA_BROKEN_NEXT:
		return -ERANGE;
	case VIA_BROKEN_LOOP:
		return -ELOOP;
	case VIA_BROKEN_ADDRESS:
		return -EFAULT;
	case VIA_BROKEN_LENGTH:
	case VIA_BROKEN_SEGMENTS:
		return -EMSGSIZE;
	case VIA_BROKEN_MEMORY_LOST:
	case VIA_BROKEN_NOTIFY:
		return -EIO;
	default:
		return -EINVAL;
	}
}

int via_vq_break(struct via_vq *vq, enum via_broken why)
{
	enum via_broken none = VIA_BROKEN_NONE;

	/* The first reason stays. Nobody reads anything else by it, so no order is needed. */
	atomic_compare_exchange_strong_explicit(&vq->broken, &none, why, memory_order_relaxed,
						memory_order_relaxed);
	return broken_errno(why);
}

void vq_call(struct via_vq *vq, const struct via_ring *ring)
{
	if (ring->call_fd < 0)
		return;
	via_count(&vq->calls, 1);
	if (!(ring->call_is_socket ? via_tell_socket(ring->call_fd) : via_tell(ring->call_fd)))
		via_vq_break(vq, VIA_BROKEN_NOTIFY);
}

void via_vq_start(struct via_vq *vq, const struct via_ring *ring, struct via_ring_pos avail,
		  struct via_ring_pos used)
{
	vq->hint = (struct via_mem_hint){ 0 };
	vq->avail = avail;
	vq->avail_seen = avail.idx;
	vq->used = used;
	vq->pushed = 0;
	vq->unsignalled = 0;
	vq->nr_batch = 0;
	vq->signalled_valid = false;
	vq->armed =
		true; /* as a fresh ring says, and one left by another may: disarm it for sure */
	vq->spilled = false;
	vq->batch = vq->kept ? vq->kept : &vq->own_batch;
	atomic_store_explicit(&vq->broken, VIA_BROKEN_NONE, memory_order_relaxed);
	/* Pairs with the acquire in vq_ring(): all of the above, and the ring, come before. */
	atomic_store_explicit(&vq->ring, ring, memory_order_release);
}

const struct via_ring *via_vq_swap(struct via_vq *vq, const struct via_ring *ring)
{
	/* Pairs with the acquire in vq_ring(). */
	return atomic_exchange_explicit(&vq->ring, ring, memory_order_acq_rel);
}

const struct via_ring *via_vq_stop(struct via_vq *vq)
{
	/* No release needed: NULL leads nowhere. What the worker wrote is ordered by the grace period. */
	return atomic_exchange_explicit(&vq->ring, NULL, memory_order_relaxed);
}

struct via_ring_sizes via_ring_sizes(enum via_ring_format format, uint32_t size)
{
	if (format == VIA_RING_PACKED)
		return (struct via_ring_sizes){
			.desc = (uint64_t)size * sizeof(struct via_desc_words),
			.avail = sizeof(struct via_packed_event),
			.used = sizeof(struct via_packed_event),
		};
	return (struct via_ring_sizes){
		.desc = (uint64_t)size * sizeof(struct via_desc_words),
		.avail = sizeof(struct via_split_avail) + ((uint64_t)size + 1) * sizeof(via_le16),
		.used = sizeof(struct via_split_used) +
			(uint64_t)size * sizeof(struct via_split_used_elem) + sizeof(via_le16),
	};
}
