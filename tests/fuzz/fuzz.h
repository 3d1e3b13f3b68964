/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz: programs that get bytes and must survive them.
 *
 *   fuzz.h             this: a target's entry, its input, and what it insists on
 *   hook.h, racer.*    the peer that rewrites its memory between two of our loads, and the record of them
 *   arena.*            memory of exact size between bytes that cannot be touched
 *   guest.*            a guest's memory and its driver, honest or not; chains as the specification has them
 *   device.*           a device, honest or not
 *   clock.*, pool.*    a clock that a target moves; descriptors of all kinds
 *   words.h            texts
 *   ring_device.c      device-side queues and frames in them, split and packed
 *   ring_driver.c      driver-side rings, split and packed
 *   messages_device.c  a vhost-user device        messages_driver.c  our front-end
 *   frames.c           headers and offloads       config.c, control.c  what operators say
 *   replay.c           runs a target over files: what 'make check' does with the corpora
 *   run                runs the fuzzers (clang's libFuzzer), keeps the ledger, makes the corpora small
 *
 * An input is a program: bytes are taken from its front as operations and their arguments, and from its end
 * for what the racing peer does meanwhile, until they meet. Any bytes are a valid program, so a mutation
 * changes an operation and not the meaning of all that follows. When it is used up, every number is 0.
 */
#ifndef VIA_FUZZ_FUZZ_H
#define VIA_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define INSIST(what)                                                                           \
	do {                                                                                   \
		if (!(what)) {                                                                 \
			fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, \
				#what);                                                        \
			abort();                                                               \
		}                                                                              \
	} while (0)

struct input {
	const uint8_t *at, *end;
};

static inline bool in_more(const struct input *in)
{
	return in->at < in->end;
}

static inline uint8_t in_u8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static inline uint16_t in_u16(struct input *in)
{
	uint16_t low = in_u8(in);

	return (uint16_t)(low | in_u8(in) << 8);
}

static inline uint32_t in_u32(struct input *in)
{
	uint32_t low = in_u16(in);

	return low | (uint32_t)in_u16(in) << 16;
}

static inline uint64_t in_u64(struct input *in)
{
	uint64_t low = in_u32(in);

	return low | (uint64_t)in_u32(in) << 32;
}

static inline uint32_t in_below(struct input *in, uint32_t n)
{
	return in_u8(in) % n;
}

static inline bool in_bool(struct input *in)
{
	return in_u8(in) & 1;
}

/* From the end. */
static inline uint8_t in_last(struct input *in)
{
	return in->at < in->end ? *--in->end : 0;
}

#endif
