/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the other side wants to be told (VIRTIO 1.3 §2.7.7, §2.7.10, §2.8.10): the arithmetic that
 * device and driver share, written once. Each asks about what it published since it last asked.
 *
 * Internal to lib/ring.
 */
#ifndef VIA_RING_NOTIFY_H
#define VIA_RING_NOTIFY_H

#include "ring/ring.h"

/* avail.flags: no interrupts; used.flags: no kicks. */
#define VIA_SPLIT_NO_NOTIFY 1

/* Flags of a packed event area, in two bits; the reserved value counts as "enable" (VX-29). */
enum via_packed_event_flags {
	VIA_EVENT_ENABLE = 0,
	VIA_EVENT_DISABLE = 1,
	VIA_EVENT_DESC = 2,
};
#define VIA_EVENT_FLAGS_MASK 3
#define VIA_EVENT_WRAP_MASK  (1U << 15)

/*
 * Whether index 'event' is among the 'n' that end before 'new': need() of the specification, with the
 * distance instead of the old value, so that any number of laps between two decisions is right.
 */
static inline bool notify_split_wants(uint16_t event, uint16_t new, uint32_t n)
{
	return (uint16_t)(new - event - 1) < n;
}

/*
 * The same for slots: 'off_wrap' is the event area's word, 'new' the first slot not published, and
 * 'n' slots end before it. An offset beyond the ring (VX-29) costs its writer signals, nobody else.
 */
static inline bool notify_packed_wants(uint16_t off_wrap, struct via_ring_pos new, uint32_t n,
				       uint16_t size)
{
	uint16_t event = off_wrap & (uint16_t)~VIA_EVENT_WRAP_MASK;

	if (n > size) /* more than a lap: slots no longer tell where the event was */
		return true;
	if (!!(off_wrap & VIA_EVENT_WRAP_MASK) != new.wrap)
		event = (uint16_t)(event - size); /* in the lap before */
	return (uint16_t)(new.idx - event - 1) < n;
}

/* The word by which a packed event area names a slot. */
static inline uint16_t notify_off_wrap(struct via_ring_pos pos)
{
	return (uint16_t)(pos.idx | (pos.wrap ? VIA_EVENT_WRAP_MASK : 0));
}

/* Reads the peer's event area and decides. The caller's full barrier came before. */
static inline bool notify_packed_area_wants(const struct via_packed_event *area, bool event_idx,
					    bool new_is_first, struct via_ring_pos new, uint32_t n,
					    uint16_t size)
{
	/* B9_ANSWER, pairs with the release of 'flags' in notify_packed_ask() of the peer, B9_ASK. */
	uint16_t flags = via_le16_load_acquire(&area->flags) & VIA_EVENT_FLAGS_MASK;

	if (flags == VIA_EVENT_DISABLE)
		return false;
	if (flags != VIA_EVENT_DESC || !event_idx || new_is_first)
		return true;
	return notify_packed_wants(via_le16_load(&area->off_wrap), new, n, size);
}

/* Asks in our event area to be told once slot 'pos' is passed, or (no event index) of anything. */
static inline void notify_packed_ask(struct via_packed_event *area, bool event_idx,
				     struct via_ring_pos pos)
{
	if (!event_idx) {
		via_le16_store(&area->flags, VIA_EVENT_ENABLE);
		return;
	}
	via_le16_store(&area->off_wrap, notify_off_wrap(pos));
	/* B9_ASK, pairs with the acquire of 'flags' in notify_packed_area_wants() of the peer,
	 * B9_ANSWER. */
	via_le16_store_release(&area->flags, VIA_EVENT_DESC);
}

#endif
