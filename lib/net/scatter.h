/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copying a view into a peer's segments, whatever the shapes of both.
 *
 * What is written is the virtio-net header, the view's snapshot, then its pieces: nothing that was
 * judged is read again from where it came. With a checksum to fill in, the payload goes first and is
 * summed as it is stored; the checksum then goes into a private copy of the snapshot, and that is
 * written last. So neither the source nor the destination is read twice, and neither can make the
 * checksum right for other bytes than those that arrived.
 *
 * The segments together have room for all of it: the caller has counted.
 */
#ifndef VIA_NET_SCATTER_H
#define VIA_NET_SCATTER_H

#include "base/copy.h"
#include "net/header.h"
#include "net/net.h"

/* The next byte to write, in a list of segments. At the end of a segment it stays there until there
 * is more to write, so it never looks at a segment that does not exist. */
struct via_cursor {
	const struct via_seg *seg;
	uint32_t used; /* bytes of *seg */
};

static inline void via_cursor_skip(struct via_cursor *c, uint32_t len)
{
	while (len > c->seg->len - c->used) {
		len -= c->seg->len - c->used;
		c->seg++;
		c->used = 0;
	}
	c->used += len;
}

/* Room in one piece at the cursor, at most 'len' bytes; at least 1 if 'len' is. */
static via_always_inline uint32_t via_cursor_room(struct via_cursor *c, uint32_t len)
{
	if (c->used == c->seg->len) {
		c->seg++;
		c->used = 0;
	}
	return via_min_u(c->seg->len - c->used, len);
}

static inline void via_cursor_put_slow(struct via_cursor *c, const uint8_t *src, uint32_t len)
{
	while (len > 0) {
		uint32_t part = via_cursor_room(c, len);

		via_copy(c->seg->base + c->used, src, part);
		c->used += part;
		src += part;
		len -= part;
	}
}

static via_always_inline void via_cursor_put(struct via_cursor *c, const uint8_t *src, uint32_t len)
{
	if (via_likely(len <= c->seg->len - c->used)) {
		via_copy(c->seg->base + c->used, src, len);
		c->used += len;
	} else {
		via_cursor_put_slow(c, src, len);
	}
}

/* A snapshot's bytes: at most VIA_SNAPSHOT_SIZE, so never worth a call. */
static via_always_inline void via_copy_snapshot(void *dst, const void *src, uint32_t len)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	static_assert(VIA_SNAPSHOT_SIZE == 128, "two halves that may overlap");
	if (len > 64) {
		VIA_FUZZ_LOAD(src, len);
		__builtin_memcpy(d, s, 64);
		__builtin_memcpy(d + len - 64, s + len - 64, 64);
	} else {
		via_copy(d, s, len);
	}
}

/* Writes a header of 'hdr_size' bytes and the view as it is. */
static via_always_inline void via_scatter(const struct via_seg *seg, const struct via_net_hdr *hdr,
					  uint32_t hdr_size, const struct via_view *view)
{
	struct via_cursor c = { .seg = seg };

	if (via_likely(hdr_size == 12 && seg->len >= 12u + view->snapshot_len)) {
		__builtin_memcpy(seg->base, hdr, 12);
		via_copy_snapshot(seg->base + 12, view->snapshot, view->snapshot_len);
		c.used = 12u + view->snapshot_len;
	} else {
		via_cursor_put_slow(&c, (const uint8_t *)hdr, hdr_size);
		via_cursor_put_slow(&c, view->snapshot, view->snapshot_len);
	}
	for (uint32_t i = 0; i < view->nr_pieces; i++)
		via_cursor_put(&c, view->piece[i].base, view->piece[i].len);
}

/*
 * Writes a header of 'hdr_size' bytes and the view with its checksum filled in. The checksum's field
 * is in the snapshot (via_view_fix() sees to that).
 */
void via_scatter_csum(const struct via_seg *seg, const struct via_net_hdr *hdr, uint32_t hdr_size,
		      const struct via_view *view);

#endif
