/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device on the other side of our driver: it takes chains as the specification says and gives them back in
 * any order, or writes anything anywhere. It knows the layouts by itself, on purpose.
 */
#ifndef VIA_FUZZ_DEVICE_H
#define VIA_FUZZ_DEVICE_H

#include "ring/ring.h"
#include "tests/fuzz/fuzz.h"

#define DEVICE_HOLDS 32

/* A chain that was taken and not yet given back. */
struct device_chain {
	uint16_t id, nr_slots;
	uint64_t addr; /* of its first buffer */
	uint32_t len;
};

struct device {
	enum via_ring_format format;
	uint16_t size;
	uint8_t *desc, *avail, *used;
	struct via_ring_sizes sizes;
	struct via_ring_pos next;  /* to take */
	struct via_ring_pos given; /* to give back */
	uint32_t nr_held;
	struct device_chain held[DEVICE_HOLDS];
};

void device_open(struct device *d, enum via_ring_format format, uint16_t size, void *desc,
		 void *avail, void *used);
/* Takes what the driver offers now. */
void device_takes(struct device *d);
/* Gives chain 'which' of those held back, with 'len' bytes. */
void device_gives(struct device *d, uint32_t which, uint32_t len);
/* Writes a word of the ring, or some. */
void device_writes(struct device *d, struct input *in);
/* Asks for kicks, or for none. */
void device_asks(struct device *d, struct input *in);

#endif
