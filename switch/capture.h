/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mirror of frames into a descriptor, as a pcap file: what 'viaduct capture' reads.
 */
#ifndef SW_CAPTURE_H
#define SW_CAPTURE_H

#include <viaduct/error.h>
#include <viaduct/loop.h>
#include <viaduct/view.h>

#include "base/base.h"

struct sw_capture; /* opaque */

/* Begins a capture of port 'port' (-1: all) for 'nr_workers' into 'fd' (borrowed until the end; made
 * non-blocking). Returns 0 or a negative errno. The capture runs once workers see it in the table.
 * Thread: control. */
int sw_capture_create(struct sw_capture **capture, struct via_loop *loop, uint32_t nr_workers,
		      int port, int fd, uint32_t snaplen, struct via_error *err);

/* Writes what is there and lets go of the descriptor; workers may still add to its buffers.
 * Thread: control. */
void sw_capture_end(struct sw_capture *capture, uint64_t *frames, uint64_t *lost);

/* After a grace period of the table that named it. Accepts NULL. Thread: control. */
void sw_capture_free(struct sw_capture *capture);

/* Copies 'n' views that enter or leave 'port', if that port is captured. Thread: worker. */
via_cold void sw_capture_views(struct sw_capture *capture, uint32_t worker, uint32_t port,
			       struct via_view *const *views, uint32_t n);

#endif
