/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest: memory in regions of odd shapes, a ring in parts of their exact size, and a driver that offers
 * chains as it should, or writes anything anywhere. It knows the layouts by itself, on purpose, and so does
 * what is here about chains: slow, obvious, written from the specification (VIRTIO 1.3 §2.7, §2.8).
 */
#ifndef VIA_FUZZ_GUEST_H
#define VIA_FUZZ_GUEST_H

#include "ring/vq.h"
#include "tests/fuzz/arena.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/racer.h"

#define GUEST_MAX_SIZE 20 /* slots */
#define GUEST_PIECES   512

struct guest {
	enum via_ring_format format;
	uint16_t size;
	uint8_t *desc, *avail, *used; /* parts; packed: descriptors, driver area, device area */
	struct via_mem *mem;
	uint16_t next_desc;      /* split: the descriptor to be used next */
	uint16_t avail_idx;      /* split: chains offered */
	uint16_t next_id;        /* packed */
	struct via_ring_pos pos; /* packed: the slot to be filled next */
};

/* Makes memory and a ring that begins at 'pos'. */
void guest_open(struct guest *g, enum via_ring_format format, uint16_t size,
		struct via_ring_pos pos);
/* What the device's side knows of it. */
struct via_ring guest_ring(const struct guest *g, uint64_t features);

/* Where 'gpa' lies, with the bytes that follow in its region; NULL if it lies nowhere. */
uint8_t *guest_at(const struct guest *g, uint64_t gpa, uint64_t *left);
/* An address: most of the time within a region. */
uint64_t guest_pick(const struct guest *g, struct input *in);

/* ---- what the driver does, all of it by arena_write() ---- */

void guest_offers(struct guest *g, struct input *in); /* a chain, direct or not, and shows it */
void guest_writes_word(struct guest *g, struct input *in);  /* 16 bits of the ring */
void guest_writes_bytes(struct guest *g, struct input *in); /* some bytes anywhere */
void guest_writes_frame(struct guest *g, struct input *in); /* a header and a frame's headers */
void guest_asks(struct guest *g, struct input *in);         /* for calls, or for none */

/* ---- chains ---- */

struct spec_chain {
	uint32_t nr_pieces, nr_readable;
	uint32_t readable_len, writable_len;
	uint16_t id, nr_slots;
	struct {
		uint8_t *base;
		uint32_t len;
	} piece[GUEST_PIECES];
	uint32_t nr_entries; /* of an indirect table, which lie here */
	const uint8_t *entry[GUEST_PIECES];
};

enum spec_is {
	SPEC_NO, /* no chain, or the words were not loaded */
	SPEC_YES,
	SPEC_UNSURE, /* the record does not tell */
};

/* Where words come from: returns false if there is none there. */
struct spec_words {
	bool (*load)(struct spec_words *from, const uint8_t *at, uint32_t size, uint64_t *value);
	uint64_t used[RACER_LOG / 64]; /* mask of loads that are accounted for */
};

/* The bytes as they lie there now, or as they were at arena_remember(). */
struct spec_words spec_memory_now(void);
struct spec_words spec_memory_before(void);
/* The loads that were written down, each to be used once. */
struct spec_words spec_loads(void);
/* Leaves out the first load of 'at'. */
void spec_skip(struct spec_words *from, const uint8_t *at);

/* The chain with head 'head' of a split ring, or at 'pos' of a packed one. */
enum spec_is spec_chain(const struct guest *g, struct via_ring_pos pos, uint16_t head,
			struct spec_words *from, struct spec_chain *chain);

#endif
