/* SPDX-License-Identifier: BSD-3-Clause */
/* The frames that the client sends: virtio-net header, Ethernet, IPv4, then UDP or (GSO) TCP. */
#ifndef VIA_BENCH_FRAME_H
#define VIA_BENCH_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HEADER 12 /* bytes of the virtio-net header of VIRTIO 1 */
#define FRAME_MAX    65549
#define FRAME_MSS    1448

struct frame_spec {
	uint32_t size; /* without the virtio-net header */
	uint32_t from; /* number of the port that sends it */
	uint32_t to;   /* number of the port that gets it, or one of these */
	bool gso;
};
enum { FRAME_TO_NOBODY = 0xfffe, FRAME_TO_ALL = 0xffff };

/* Bytes of headers, Ethernet to transport. */
uint32_t frame_headers(const struct frame_spec *spec);

/* Writes virtio-net header and frame into 'bytes' (FRAME_HEADER + size). */
void frame_write(uint8_t *bytes, const struct frame_spec *spec);

/* The eight bytes of a frame from FRAME_MARK on, as a number of this machine: who sent it, and the end
 * of the address that it goes to. */
#define FRAME_MARK 4
uint64_t frame_mark(const struct frame_spec *spec);

#endif
