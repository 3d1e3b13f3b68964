/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying with a checksum; see scatter.h. */
#include "net/scatter.h"

#include "net/wire.h"

/* Bytes that are summed as they are stored; 'len' of them so far, for the parity of the next. */
struct sum {
	uint64_t total; /* of fewer than 2^32 parts of 32 bits */
	uint32_t len;
};

static void sum_add(struct sum *sum, uint32_t part, uint32_t len)
{
	sum->total += sum->len % 2 ? via_csum_swap(part) : part;
	sum->len += len;
}

static void put_summed(struct via_cursor *c, const uint8_t *src, uint32_t len, struct sum *sum)
{
	while (len > 0) {
		uint32_t part = via_cursor_room(c, len);

		sum_add(sum, via_csum_copy(c->seg->base + c->used, src, part, 0), part);
		c->used += part;
		src += part;
		len -= part;
	}
}

static uint16_t sum_fold(const struct sum *sum)
{
	uint64_t total = (sum->total & 0xffffffff) + (sum->total >> 32);

	return via_csum_fold((uint32_t)((total & 0xffffffff) + (total >> 32)));
}

void via_scatter_csum(const struct via_seg *seg, const struct via_net_hdr *hdr, uint32_t hdr_size,
		      const struct via_view *view)
{
	uint8_t head[VIA_NET_HDR_MAX + VIA_SNAPSHOT_SIZE];
	uint8_t *frame = head + hdr_size;
	struct via_cursor c = { .seg = seg };
	struct sum sum = { 0 };
	uint16_t field;

	/* What the checksum covers of the snapshot begins with it, so parities count from there; its
	 * field holds the pseudo header's sum and is covered too (VIRTIO 1.3 §5.1.6.2). */
	sum_add(&sum,
		via_csum_add(0, view->snapshot + view->csum_start,
			     (uint32_t)(view->snapshot_len - view->csum_start)),
		(uint32_t)(view->snapshot_len - view->csum_start));
	via_cursor_skip(&c, hdr_size + view->snapshot_len);
	for (uint32_t i = 0; i < view->nr_pieces; i++)
		put_summed(&c, view->piece[i].base, view->piece[i].len, &sum);

	field = sum_fold(&sum);
	if (field == 0 && view->csum_offset == VIA_UDP_CHECKSUM)
		field = 0xffff; /* 0 would say that there is none (RFC 768) */
	memcpy(head, hdr, hdr_size);
	via_copy_snapshot(frame, view->snapshot, view->snapshot_len);
	memcpy(frame + view->csum_start + view->csum_offset, &field, sizeof(field));
	c = (struct via_cursor){ .seg = seg };
	via_cursor_put(&c, head, hdr_size + view->snapshot_len);
}
