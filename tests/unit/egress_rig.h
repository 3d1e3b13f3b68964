/* SPDX-License-Identifier: BSD-3-Clause */
/* Views on their way to a driver, for tests of lib/net/vq_egress.c: buffers of any shape, and what came in them. */
#ifndef TEST_EGRESS_RIG_H
#define TEST_EGRESS_RIG_H

#include "frame.h"
#include "rig.h"

static const uint64_t plain = VIA_BIT(VIRTIO_F_VERSION_1);
static const uint64_t mergeable = VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VIRTIO_NET_F_MRG_RXBUF);

static struct frame frame;
static struct via_piece pieces[70000];
static struct via_view views[64], *sent[64];
static uint8_t got[1 << 18];

/* A buffer that was offered: where it is, and how it is cut. */
struct offered {
	uint64_t gpa[300];
	uint32_t len[300];
	uint32_t nr, total;
};
static struct offered offered[8192];

/* Offers a writable chain of buffers of 'cut' bytes each, 'total' in all; its token is its index. */
static inline void offer(struct rig *rig, uint32_t index, uint32_t total, uint32_t cut)
{
	struct via_drv_buffer buffers[300];
	struct offered *o = &offered[index];

	*o = (struct offered){ .total = total };
	do {
		o->len[o->nr] = total < cut ? total : cut;
		o->gpa[o->nr] = rig_alloc(rig, o->len[o->nr]);
		buffers[o->nr].addr = o->gpa[o->nr];
		buffers[o->nr].len = o->len[o->nr];
		total -= o->len[o->nr++];
	} while (total > 0);
	assert_int_equal(drv_add(&rig->drv, buffers, 0, o->nr, VIA_DRV_DIRECT,
				 (void *)(uintptr_t)(index + 1), rig->format),
			 0);
	drv_publish(&rig->drv, rig->format);
}

/* Takes one used chain back: its bytes to 'to'. What lies beyond them was not touched. Returns the used
 * length, -1 if there is none. */
static inline int take(struct rig *rig, uint8_t *to, uint32_t *index)
{
	static uint8_t bytes[1 << 18];
	struct via_drv_done done;
	struct offered *o;
	uint32_t at = 0;

	if (rig_reap(rig, &done) < 0)
		return -1;
	*index = (uint32_t)(uintptr_t)done.token - 1;
	o = &offered[*index];
	for (uint32_t i = 0; i < o->nr; at += o->len[i++])
		rig_copy(rig, o->gpa[i], bytes + at, o->len[i], false);
	assert_true(done.len <= o->total);
	for (uint32_t i = done.len; i < o->total; i++)
		assert_int_equal(bytes[i], 0xa5);
	memcpy(to, bytes, done.len);
	return (int)done.len;
}

/* Takes a packet: all its buffers, which have consecutive indices from 'index' on. The header goes to
 * 'hdr'. Returns the frame's length, bytes to 'got'. */
static inline uint32_t take_packet(struct rig *rig, uint32_t index, struct via_net_hdr *hdr)
{
	uint32_t size = rig->net.header_size, len, which, nr = 1;
	static uint8_t first[1 << 18];
	int ret = take(rig, first, &which);

	assert_true(ret >= (int)size);
	assert_int_equal(which, index);
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, first, size);
	len = (uint32_t)ret - size;
	memcpy(got, first + size, len);
	if (rig->net.has_num_buffers)
		nr = hdr->num_buffers;
	for (uint32_t i = 1; i < nr; i++) {
		ret = take(rig, got + len, &which);
		assert_true(ret > 0);
		assert_int_equal(which, index + i);
		len += (uint32_t)ret;
		if (i + 1 < nr) /* VN-42 */
			assert_int_equal(ret, offered[which].total);
	}
	return len;
}

static inline uint32_t egress(struct rig *rig, uint32_t n, uint32_t mtu, bool keep)
{
	for (uint32_t i = 0; i < 64; i++)
		sent[i] = &views[i];
	return via_vq_egress(&rig->vq, &rig->net, sent, n, mtu, keep, &rig->stats);
}

static inline void make_view(uint32_t i, const struct frame_shape *shape, uint32_t piece)
{
	frame_make(&frame, shape);
	frame_view(&views[i], &frame, pieces, piece);
}

static inline uint64_t drops(struct rig *rig, enum via_drop why)
{
	return via_counter_read(&rig->stats.drops[why]);
}

static inline uint64_t packets(struct rig *rig)
{
	return via_counter_read(&rig->stats.packets);
}

#endif
