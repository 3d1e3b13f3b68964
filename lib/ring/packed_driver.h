/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed ring, driver side (VIRTIO 1.3 §2.8.17 to §2.8.19). Included by driver_ring.h only. */
#ifndef VIA_RING_PACKED_DRIVER_H
#define VIA_RING_PACKED_DRIVER_H

static via_always_inline uint64_t packed_drv_tail(uint32_t len, uint16_t id, uint16_t flags)
{
	return len | (uint64_t)id << 32 | (uint64_t)flags << 48;
}

/* 'n' slots further, at most a lap. */
static via_always_inline void packed_drv_advance(struct via_ring_pos *pos, uint32_t n,
						 uint16_t size)
{
	uint32_t idx = pos->idx + n;

	if (idx >= size) {
		idx -= size;
		pos->wrap = !pos->wrap;
	}
	pos->idx = (uint16_t)idx;
}

/* Fills the next slot. The first one since the last publication keeps its old flags until then. */
static via_always_inline void packed_drv_put(struct via_drv_ring *drv, uint64_t addr, uint32_t len,
					     uint16_t id, uint16_t flags)
{
	struct via_desc_words *desc = &drv->packed.desc[drv->next.idx];
	uint64_t tail;

	/* The lap's bits of this very slot: the ring may wrap within a chain (VQ-D-09). */
	flags |= drv->next.wrap ? VIA_DESC_AVAIL : VIA_DESC_USED;
	tail = packed_drv_tail(len, id, flags);
	via_le64_store(&desc->addr, addr);
	if (drv->added_slots == 0)
		drv->held_tail = tail;
	else
		via_le64_store(&desc->tail, tail); /* the first slot's release covers it */
	drv->added_slots++;
	packed_drv_advance(&drv->next, 1, drv->size);
}

/* Fills the table of slot 'id'. Returns where it begins among the tables, in bytes. */
static inline uint64_t packed_drv_write_table(struct via_drv_ring *drv,
					      const struct via_drv_buffer *buf,
					      uint32_t nr_readable, uint32_t n, uint16_t id)
{
	size_t first = (size_t)id * drv->table_size;
	struct via_desc_words *table = &drv->tables[first];

	for (uint32_t i = 0; i < n; i++) {
		uint16_t flags = i >= nr_readable ? VIA_DESC_WRITE : 0;

		via_le64_store(&table[i].addr, buf[i].addr);
		via_le64_store(&table[i].tail, packed_drv_tail(buf[i].len, 0, flags));
	}
	return first * sizeof(*table);
}

static inline void packed_drv_fill_table(struct via_drv_ring *drv, const struct via_drv_buffer *buf,
					 uint32_t nr_readable, uint32_t n, uint16_t id)
{
	uint64_t offset = packed_drv_write_table(drv, buf, nr_readable, n, id);

	packed_drv_put(drv, drv->tables_addr + offset,
		       (uint32_t)(n * sizeof(struct via_desc_words)), id, VIA_DESC_INDIRECT);
}

/* IN_ORDER: chains keep their slots until they come back in order, so the first slot is the id.
 * Otherwise ids come from a free list of their own. */
static via_always_inline struct via_drv_slot *
packed_drv_add(struct via_drv_ring *drv, const struct via_drv_buffer *buf, uint32_t nr_readable,
	       uint32_t nr_writable, enum via_drv_form form)
{
	uint32_t n = nr_readable + nr_writable;
	uint16_t id = drv->in_order ? drv->next.idx : drv->free;

	if (!drv->in_order)
		drv->free = drv->slot[id].next;
	if (form == VIA_DRV_INDIRECT) {
		packed_drv_fill_table(drv, buf, nr_readable, n, id);
		return &drv->slot[id];
	}
	for (uint32_t i = 0; i < n; i++) {
		uint16_t flags = (uint16_t)((i >= nr_readable ? VIA_DESC_WRITE : 0) |
					    (i + 1 < n ? VIA_DESC_NEXT : 0));

		packed_drv_put(drv, buf[i].addr, buf[i].len, id, flags);
	}
	return &drv->slot[id];
}

static via_always_inline void packed_drv_publish(struct via_drv_ring *drv)
{
	/* B1, pairs with the device's acquire of the head's flags, B2: all that was added comes
	 * before. */
	via_le64_store_release(&drv->packed.desc[drv->avail.idx].tail, drv->held_tail);
	drv->avail = drv->next;
	drv->unkicked += drv->added_slots;
	drv->added_slots = 0;
}

/* The caller's full barrier came before. */
static via_always_inline bool packed_drv_wants_kick(const struct via_drv_ring *drv, uint32_t n)
{
	return notify_packed_area_wants(drv->packed.device, drv->event_idx, false, drv->avail, n,
					drv->size);
}

/* Whether the next used descriptor is there: copies it. */
static via_always_inline bool packed_drv_look(const struct via_drv_ring *drv, uint32_t *id,
					      uint32_t *len)
{
	/* B4, pairs with the device's release of the first slot's flags, B3: the slots behind it and
	 * all payload are visible. */
	uint64_t tail = via_le64_load_acquire(&drv->packed.desc[drv->used.idx].tail);
	uint16_t flags = (uint16_t)(tail >> 48);
	uint16_t used = drv->used.wrap ? VIA_DESC_AVAIL | VIA_DESC_USED : 0;

	if ((flags & (VIA_DESC_AVAIL | VIA_DESC_USED)) != used)
		return false;
	*id = (uint16_t)(tail >> 32);
	*len = flags & VIA_DESC_WRITE ? (uint32_t)tail : 0; /* VQ-P-09 */
	return true;
}

static via_always_inline void packed_drv_release(struct via_drv_ring *drv, uint16_t id)
{
	packed_drv_advance(&drv->used, drv->slot[id].nr_slots, drv->size);
	if (drv->in_order)
		return;
	drv->slot[id].next = drv->free;
	drv->free = id;
}

static via_always_inline void packed_drv_ask(struct via_drv_ring *drv)
{
	notify_packed_ask(drv->packed.driver, drv->event_idx, drv->used);
}

static via_always_inline void packed_drv_unask(struct via_drv_ring *drv)
{
	via_le16_store(&drv->packed.driver->flags, VIA_EVENT_DISABLE);
}

#endif
