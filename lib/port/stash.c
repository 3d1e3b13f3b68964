/* SPDX-License-Identifier: BSD-3-Clause */
/* See stash.h. */
#include "port/stash.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"

/* Where the next bytes of a view go: the rest of its slot, then the overflow. */
struct room {
	uint8_t *slot;
	uint32_t slot_left;
	uint32_t overflow_used;
};

static void add_piece(struct via_burst *to, struct via_view *view, const uint8_t *bytes,
		      uint32_t len, uint8_t *at)
{
	memcpy(at, bytes, len);
	to->piece[to->nr_pieces++] = (struct via_piece){ at, len };
	view->nr_pieces++;
}

static void copy_piece(struct via_burst *to, struct via_view *view, struct via_piece piece,
		       struct room *room)
{
	uint32_t part = via_min_u(piece.len, room->slot_left);

	if (part > 0)
		add_piece(to, view, piece.base, part, room->slot);
	room->slot += part;
	room->slot_left -= part;
	if (part == piece.len)
		return;
	assert(piece.len - part <= VIA_OVERFLOW_SIZE - room->overflow_used);
	add_piece(to, view, piece.base + part, piece.len - part,
		  to->overflow + room->overflow_used);
	room->overflow_used += piece.len - part;
}

static void copy_view(struct via_burst *to, uint32_t i, const struct via_view *from,
		      struct room *room)
{
	struct via_view *view = &to->view[i];

	*view = *from;
	view->piece = &to->piece[to->nr_pieces];
	view->nr_pieces = 0;
	room->slot = to->slot[i];
	room->slot_left = VIA_SLOT_SIZE;
	for (uint32_t p = 0; p < from->nr_pieces; p++)
		copy_piece(to, view, from->piece[p], room);
}

int port_stash_keep(struct port_stash *stash, const struct via_burst *burst, uint32_t first,
		    uint32_t n)
{
	struct room room = { .overflow_used = 0 };

	if (!stash->burst)
		stash->burst = via_burst_create();
	if (!stash->burst)
		return -ENOMEM;
	stash->burst->nr_pieces = 0;
	for (uint32_t i = 0; i < n; i++)
		copy_view(stash->burst, i, &burst->view[first + i], &room);
	stash->next = 0;
	stash->n = n;
	return 0;
}

uint32_t port_stash_lend(struct port_stash *stash, struct via_burst *burst, uint32_t max)
{
	uint32_t n = via_min_u(stash->n - stash->next, max);

	if (n > 0)
		memcpy(burst->view, &stash->burst->view[stash->next], n * sizeof(burst->view[0]));
	stash->next += n;
	return n;
}

void port_stash_return(struct port_stash *stash, uint32_t undelivered)
{
	assert(undelivered <= stash->next);
	stash->next -= undelivered;
}

void port_stash_free(struct port_stash *stash)
{
	via_burst_free(stash->burst);
	*stash = (struct port_stash){ .burst = NULL };
}
