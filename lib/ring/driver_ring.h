/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a virtqueue, both formats behind one set of operations (VIRTIO 1.3 §2.7, §2.8).
 *
 * The driver owns the ring's memory and the device writes to it, so the device is not trusted: what it
 * says is checked against a private record of what is outstanding (VQ-D-07), and descriptors are never
 * read back. A ring whose device broke a rule is broken until it is initialised again.
 *
 * A burst goes: drv_add …; drv_publish; if (drv_wants_kick) kick; drv_reap …. 'format' is a constant.
 * Thread: the one worker that serves the queue.
 */
#ifndef VIA_RING_DRIVER_RING_H
#define VIA_RING_DRIVER_RING_H

#include <errno.h>
#include <viaduct/error.h>

#include "ring/notify.h"
#include "ring/ring.h"

/* A buffer where the device finds it. */
struct via_drv_buffer {
	uint64_t addr;
	uint32_t len; /* bytes */
};

/* What is known of descriptor (split) or buffer id (packed) number i. */
struct via_drv_slot {
	void *token;       /* the caller's */
	uint32_t capacity; /* writable bytes of the chain */
	uint16_t nr_slots; /* that the chain takes; 0: no chain with this id is outstanding */
	uint16_t next;     /* free list; split: also the next of the chain */
	uint16_t last;     /* split: the chain's last descriptor */
};

struct via_drv_ring {
	enum via_ring_format format;
	uint16_t size;
	bool event_idx, in_order;
	bool broken; /* the device broke a rule */
	union {
		struct {
			struct via_desc_words *desc;
			struct via_split_avail *avail;
			const struct via_split_used *used;
		} split;
		struct {
			struct via_desc_words *desc;
			struct via_packed_event *driver;
			const struct via_packed_event *device;
		} packed;
	};
	struct via_desc_words *tables; /* one of 'table_size' entries a slot; NULL: none */
	uint64_t tables_addr;          /* for the device */
	uint32_t table_size;

	uint16_t nr_free;     /* slots */
	uint16_t free;        /* first of the free list. IN_ORDER: the next slot of the ring */
	uint16_t outstanding; /* chains published and not reaped */
	uint16_t oldest;      /* IN_ORDER: id of the oldest outstanding chain */
	uint16_t batch_end;   /* IN_ORDER: id of the last chain of the batch being reaped */
	uint32_t batch_len;   /* and the bytes written into that one */
	bool in_batch;
	uint16_t used_seen;   /* split: the last used index read */
	uint16_t added;       /* chains added and not yet published */
	uint32_t added_slots; /* packed: their slots */
	uint32_t unkicked;    /* chains (split) or slots (packed) since the last kick decision */
	struct via_ring_pos avail; /* next to publish */
	struct via_ring_pos next;  /* packed: next to fill */
	struct via_ring_pos used;  /* next to reap */
	uint64_t held_tail;        /* packed: tail word of the first slot added, stored last */

	struct via_drv_slot *slot; /* size of them */
};

struct via_drv_config {
	enum via_ring_format format;
	uint16_t size;             /* split: a power of two */
	bool event_idx, in_order;  /* as negotiated */
	void *desc, *avail, *used; /* parts as of via_ring_sizes(), where they lie here; borrowed */
	/* Indirect tables, size × table_size descriptors: here and for the device; NULL: none. */
	void *tables;
	uint64_t tables_addr;
	uint32_t table_size;
};

/* One chain that came back. */
struct via_drv_done {
	void *token;
	uint32_t len; /* bytes written into it */
};

/* How a chain of several buffers is laid out. */
enum via_drv_form {
	VIA_DRV_DIRECT,
	VIA_DRV_INDIRECT, /* one slot and a table of at most table_size entries */
};

/*
 * Sets up a ring: clears its parts (to which nobody may have access now) and forgets what was
 * outstanding. Returns 0, or a negative errno with the reason in 'err'; then nothing is to be freed.
 * The caller ends it with via_drv_free().
 */
int via_drv_init(struct via_drv_ring *drv, const struct via_drv_config *config,
		 struct via_error *err);
void via_drv_free(struct via_drv_ring *drv); /* accepts a zeroed one */

/*
 * drv_add()        adds a chain of nr_readable buffers and, behind them in 'buf', nr_writable ones; at
 *                  least one. Not yet visible. 0, or -ENOSPC if the ring has no room for it now.
 * drv_publish()    makes all added chains visible at once.
 * drv_wants_kick() whether the device wants to be told of what was published since last asked.
 * drv_reap()       takes a chain back: 1 with 'done' filled, 0 if there is none, -EPROTO if the device
 *                  broke a rule: the ring is broken now. Not between drv_add() and drv_publish(): what
 *                  was added counts as outstanding, so a device could give back what it was never shown.
 * drv_arm()        asks for interrupts, then looks once more: true if there is something to reap.
 * drv_disarm()     asks for no interrupts, as far as the format can.
 */
#include "ring/packed_driver.h"
#include "ring/split_driver.h"

static via_always_inline int drv_add(struct via_drv_ring *drv, const struct via_drv_buffer *buf,
				     uint32_t nr_readable, uint32_t nr_writable,
				     enum via_drv_form form, void *token,
				     enum via_ring_format format)
{
	uint32_t n = nr_readable + nr_writable;
	uint32_t slots = form == VIA_DRV_INDIRECT ? 1 : n;
	uint32_t capacity = 0;

	assert(form == VIA_DRV_DIRECT || n <= drv->table_size);
	if (via_unlikely(slots > drv->nr_free))
		return -ENOSPC;
	for (uint32_t i = nr_readable; i < n; i++)
		capacity += buf[i].len;
	struct via_drv_slot *slot =
		format == VIA_RING_PACKED ? packed_drv_add(drv, buf, nr_readable, nr_writable, form)
					  : split_drv_add(drv, buf, nr_readable, nr_writable, form);
	slot->token = token;
	slot->capacity = capacity;
	slot->nr_slots = (uint16_t)slots;
	drv->nr_free = (uint16_t)(drv->nr_free - slots);
	drv->added++;
	return 0;
}

static via_always_inline void drv_publish(struct via_drv_ring *drv, enum via_ring_format format)
{
	if (drv->added == 0)
		return;
	if (format == VIA_RING_PACKED)
		packed_drv_publish(drv);
	else
		split_drv_publish(drv);
	drv->outstanding = (uint16_t)(drv->outstanding + drv->added);
	drv->added = 0;
}

static via_always_inline bool drv_wants_kick(struct via_drv_ring *drv, enum via_ring_format format)
{
	uint32_t n = drv->unkicked;

	if (n == 0)
		return false;
	drv->unkicked = 0;
	/* B5, pairs with the device's barrier between asking for kicks and looking for chains, B7: it
	 * sees what we published, or we see that it asks. */
	via_fence();
	return format == VIA_RING_PACKED ? packed_drv_wants_kick(drv, n)
					 : split_drv_wants_kick(drv, n);
}

via_cold void via_drv_mark_broken(struct via_drv_ring *drv);

/* Returns -EPROTO where the compiler sees it: what is filled in on success only depends on it. */
static inline int via_drv_break(struct via_drv_ring *drv)
{
	via_drv_mark_broken(drv);
	return -EPROTO;
}

/* Reads and checks what the device gave back next: 1, 0 or -EPROTO as drv_reap(). */
static via_always_inline int drv_take_used(struct via_drv_ring *drv, uint32_t *id, uint32_t *len,
					   enum via_ring_format format)
{
	bool any = format == VIA_RING_PACKED ? packed_drv_look(drv, id, len)
					     : split_drv_look(drv, id, len);

	if (!any)
		return drv->broken ? -EPROTO : 0;
	if (via_unlikely(*id >= drv->size || drv->slot[*id].nr_slots == 0 ||
			 *len > drv->slot[*id].capacity))
		return via_drv_break(drv);
	return 1;
}

/*
 * IN_ORDER: the chain that comes back is the oldest one. If the device named another, that one ends a
 * batch, and those before it were used completely (§4). Returns 1, 0 or -EPROTO as drv_reap().
 */
static via_always_inline int drv_take_oldest(struct via_drv_ring *drv, uint32_t *id, uint32_t *len,
					     enum via_ring_format format)
{
	if (!drv->in_batch) {
		int ret = drv_take_used(drv, id, &drv->batch_len, format);

		if (ret <= 0)
			return ret;
		drv->batch_end = (uint16_t)*id;
	} else if (format == VIA_RING_SPLIT && via_unlikely(drv->used_seen == drv->used.idx)) {
		return via_drv_break(drv); /* the batch ends beyond the used index */
	}
	*id = drv->oldest;
	drv->in_batch = *id != drv->batch_end;
	*len = drv->in_batch ? drv->slot[*id].capacity : drv->batch_len;
	drv->oldest = (uint16_t)(*id + drv->slot[*id].nr_slots);
	if (drv->oldest >= drv->size)
		drv->oldest = (uint16_t)(drv->oldest - drv->size);
	return 1;
}

static via_always_inline int drv_reap(struct via_drv_ring *drv, struct via_drv_done *done,
				      enum via_ring_format format)
{
	struct via_drv_slot *slot;
	uint32_t id, len;
	int ret;

	if (via_unlikely(drv->broken))
		return -EPROTO;
	ret = drv->in_order ? drv_take_oldest(drv, &id, &len, format)
			    : drv_take_used(drv, &id, &len, format);
	if (ret <= 0)
		return ret;

	slot = &drv->slot[id];
	*done = (struct via_drv_done){ .token = slot->token, .len = len };
	if (format == VIA_RING_PACKED)
		packed_drv_release(drv, (uint16_t)id);
	else
		split_drv_release(drv, (uint16_t)id);
	drv->nr_free = (uint16_t)(drv->nr_free + slot->nr_slots);
	drv->outstanding--;
	slot->nr_slots = 0;
	return 1;
}

static via_always_inline bool drv_arm(struct via_drv_ring *drv, enum via_ring_format format)
{
	uint32_t id, len;

	if (format == VIA_RING_PACKED)
		packed_drv_ask(drv);
	else
		split_drv_ask(drv);
	/* B8, pairs with the device's barrier between publishing and asking whether to interrupt, B6:
	 * it sees that we ask, or we see what it published. */
	via_fence();
	if (drv->in_batch)
		return true;
	return format == VIA_RING_PACKED ? packed_drv_look(drv, &id, &len)
					 : split_drv_look(drv, &id, &len);
}

static via_always_inline void drv_disarm(struct via_drv_ring *drv, enum via_ring_format format)
{
	if (format == VIA_RING_PACKED)
		packed_drv_unask(drv);
	else
		split_drv_unask(drv);
}

#endif
