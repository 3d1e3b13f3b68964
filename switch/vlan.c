/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access and trunk ports (802.1Q).
 *
 * A frame keeps the form in which it came, with its VLAN's tag or without. A port that wants the
 * other form gets a *variant*: a view of its own whose snapshot is a copy with four bytes put in or
 * taken out, and whose payload is the original's. There are two forms, so a view has at most one
 * variant, however many ports a flood goes to.
 *
 * A tag put into a full snapshot pushes the last four bytes out. They become a piece in front of the
 * payload's pieces; it points into the original's snapshot, so they are still the bytes that were
 * judged. A tag taken out leaves the variant's snapshot four bytes short of full.
 */
#include "net/net.h"
#include "switch/forward.h"

#define MACS_SIZE 12
#define VID_MASK  0xfff

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_be16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

bool sw_vlan_classify(const struct sw_member *in, struct via_view *view, bool *tagged)
{
	uint8_t *tci = view->snapshot + MACS_SIZE + 2;

	*tagged = be16(view->snapshot + MACS_SIZE) == SW_TPID;
	if (*tagged && view->snapshot_len < MACS_SIZE + SW_TAG_SIZE + 2)
		return false; /* half a tag */
	view->vlan = *tagged ? be16(tci) & VID_MASK : in->vlan;
	if (*tagged && view->vlan == 0) {
		view->vlan = in->vlan;
		put_be16(tci, (uint16_t)((be16(tci) & ~VID_MASK) | in->vlan));
	}
	return sw_is_member(in, view->vlan);
}

static void shift(struct via_view *v, int by)
{
	v->len = (uint32_t)((int)v->len + by);
	v->csum_start = (uint16_t)(v->csum_start + by);
	if (v->l3)
		v->l3 = (uint16_t)(v->l3 + by);
	if (v->l4)
		v->l4 = (uint16_t)(v->l4 + by);
	if (v->payload)
		v->payload = (uint16_t)(v->payload + by);
}

/* What the original's line 0 says holds for the variant but for what has moved. */
static void copy_head(struct via_view *to, const struct via_view *from)
{
	memcpy(to, from, offsetof(struct via_view, snapshot));
}

static void pop(struct via_view *to, const struct via_view *from)
{
	copy_head(to, from);
	memcpy(to->snapshot, from->snapshot, MACS_SIZE);
	memcpy(to->snapshot + MACS_SIZE, from->snapshot + MACS_SIZE + SW_TAG_SIZE,
	       VIA_SNAPSHOT_SIZE - MACS_SIZE - SW_TAG_SIZE);
	to->snapshot_len = (uint16_t)(from->snapshot_len - SW_TAG_SIZE);
	to->flags &= (uint8_t)~VIA_VIEW_TAGGED;
	shift(to, -SW_TAG_SIZE);
}

/* Bytes of 'from' that a tag pushes out of its snapshot become a piece. */
static void spill(struct sw_pass *pass, struct via_view *to, const struct via_view *from)
{
	struct via_piece *piece = &pass->piece[pass->nr_pieces];
	const uint32_t keep = VIA_SNAPSHOT_SIZE - SW_TAG_SIZE;

	/* A burst's views have their pieces in the burst, so they fit here with one more each. */
	assert(pass->nr_pieces + from->nr_pieces < ARRAY_SIZE(pass->piece));
	piece[0] = (struct via_piece){ from->snapshot + keep, from->snapshot_len - keep };
	for (uint32_t i = 0; i < from->nr_pieces; i++)
		piece[1 + i] = from->piece[i];
	to->piece = piece;
	to->nr_pieces = (uint16_t)(from->nr_pieces + 1);
	to->snapshot_len = VIA_SNAPSHOT_SIZE;
	pass->nr_pieces += to->nr_pieces;
}

static void push(struct sw_pass *pass, struct via_view *to, const struct via_view *from)
{
	copy_head(to, from);
	memcpy(to->snapshot, from->snapshot, MACS_SIZE);
	put_be16(to->snapshot + MACS_SIZE, SW_TPID);
	put_be16(to->snapshot + MACS_SIZE + 2, from->vlan);
	memcpy(to->snapshot + MACS_SIZE + SW_TAG_SIZE, from->snapshot + MACS_SIZE,
	       VIA_SNAPSHOT_SIZE - MACS_SIZE - SW_TAG_SIZE);
	if (from->snapshot_len > VIA_SNAPSHOT_SIZE - SW_TAG_SIZE)
		spill(pass, to, from);
	else
		to->snapshot_len = (uint16_t)(from->snapshot_len + SW_TAG_SIZE);
	to->flags |= VIA_VIEW_TAGGED;
	shift(to, SW_TAG_SIZE);
}

struct via_view *sw_vlan_variant(struct sw_pass *pass, uint32_t i, bool tagged)
{
	struct via_view *to = &pass->variant[i];

	if (!(pass->variants >> i & 1)) {
		pass->variants |= UINT64_C(1) << i;
		if (tagged)
			pop(to, &pass->burst->view[i]);
		else
			push(pass, to, &pass->burst->view[i]);
	}
	return to;
}
