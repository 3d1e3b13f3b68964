/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring, driver side (VIRTIO 1.3 §2.7.13, §2.7.14). Included by driver_ring.h only. */
#ifndef VIA_RING_SPLIT_DRIVER_H
#define VIA_RING_SPLIT_DRIVER_H

static via_always_inline uint64_t split_drv_tail(uint32_t len, uint16_t flags, uint16_t next)
{
	return len | (uint64_t)flags << 32 | (uint64_t)next << 48;
}

static via_always_inline uint16_t drv_buffer_flags(uint32_t i, uint32_t nr_readable, uint32_t n)
{
	return (uint16_t)((i >= nr_readable ? VIA_DESC_WRITE : 0) |
			  (i + 1 < n ? VIA_DESC_NEXT : 0));
}

/* Fills the table of slot 'id' and the words that point to it. */
static inline void split_drv_fill_table(struct via_drv_ring *drv, const struct via_drv_buffer *buf,
					uint32_t nr_readable, uint32_t n, uint16_t id)
{
	size_t first = (size_t)id * drv->table_size;
	struct via_desc_words *table = &drv->tables[first];

	for (uint32_t i = 0; i < n; i++) {
		via_le64_store(&table[i].addr, buf[i].addr);
		via_le64_store(&table[i].tail,
			       split_drv_tail(buf[i].len, drv_buffer_flags(i, nr_readable, n),
					      (uint16_t)(i + 1)));
	}
	via_le64_store(&drv->split.desc[id].addr, drv->tables_addr + first * sizeof(*table));
	via_le64_store(&drv->split.desc[id].tail,
		       split_drv_tail((uint32_t)(n * sizeof(*table)), VIA_DESC_INDIRECT, 0));
}

/* Takes descriptors off the free list, whose links are the chain's. With IN_ORDER the list is the
 * ring in its order, for ever (VQ-D-10). */
static via_always_inline struct via_drv_slot *
split_drv_add(struct via_drv_ring *drv, const struct via_drv_buffer *buf, uint32_t nr_readable,
	      uint32_t nr_writable, enum via_drv_form form)
{
	uint32_t n = nr_readable + nr_writable;
	uint16_t mask = (uint16_t)(drv->size - 1);
	uint16_t head = drv->free, last = head;

	if (form == VIA_DRV_INDIRECT) {
		split_drv_fill_table(drv, buf, nr_readable, n, head);
	} else {
		for (uint32_t i = 0, d = head; i < n; i++, d = drv->slot[d].next) {
			via_le64_store(&drv->split.desc[d].addr, buf[i].addr);
			via_le64_store(&drv->split.desc[d].tail,
				       split_drv_tail(buf[i].len,
						      drv_buffer_flags(i, nr_readable, n),
						      drv->slot[d].next));
			last = (uint16_t)d;
		}
	}
	drv->free = drv->slot[last].next;
	drv->slot[head].last = last;
	via_le16_store(&drv->split.avail->ring[(drv->avail.idx + drv->added) & mask], head);
	return &drv->slot[head];
}

static via_always_inline void split_drv_publish(struct via_drv_ring *drv)
{
	drv->avail.idx = (uint16_t)(drv->avail.idx + drv->added);
	drv->unkicked += drv->added;
	/* B1, pairs with the device's acquire of the index, B2: entries and descriptors come before. */
	via_le16_store_release(&drv->split.avail->idx, drv->avail.idx);
}

/* The caller's full barrier came before. */
static via_always_inline bool split_drv_wants_kick(const struct via_drv_ring *drv, uint32_t n)
{
	const via_le16 *avail_event =
		(const via_le16 *)(const void *)&drv->split.used->ring[drv->size];

	if (!drv->event_idx)
		return !(via_le16_load(&drv->split.used->flags) & VIA_SPLIT_NO_NOTIFY);
	return notify_split_wants(via_le16_load(avail_event), drv->avail.idx, n);
}

/* Whether there is a used element: copies it. */
static via_always_inline bool split_drv_look(struct via_drv_ring *drv, uint32_t *id, uint32_t *len)
{
	const struct via_split_used_elem *elem =
		&drv->split.used->ring[drv->used.idx & (drv->size - 1)];

	if (drv->used_seen == drv->used.idx) {
		/* B4, pairs with the device's release of the index, B3: elements and payload are
		 * visible. */
		drv->used_seen = via_le16_load_acquire(&drv->split.used->idx);
		if (via_unlikely((uint16_t)(drv->used_seen - drv->used.idx) > drv->outstanding))
			drv->broken = true;
		if (drv->broken || drv->used_seen == drv->used.idx)
			return false;
	}
	*id = via_le32_load(&elem->id);
	*len = via_le32_load(&elem->len);
	return true;
}

static via_always_inline void split_drv_release(struct via_drv_ring *drv, uint16_t id)
{
	drv->used.idx++;
	if (drv->in_order)
		return;
	drv->slot[drv->slot[id].last].next = drv->free;
	drv->free = id;
}

static via_always_inline void split_drv_ask(struct via_drv_ring *drv)
{
	if (drv->event_idx)
		via_le16_store(&drv->split.avail->ring[drv->size], drv->used.idx);
	else
		via_le16_store(&drv->split.avail->flags, 0);
}

/* With EVENT_IDX the index left behind suppresses (VQ-D-11: flags stay 0). */
static via_always_inline void split_drv_unask(struct via_drv_ring *drv)
{
	if (!drv->event_idx)
		via_le16_store(&drv->split.avail->flags, VIA_SPLIT_NO_NOTIFY);
}

#endif
