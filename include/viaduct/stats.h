/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a queue counts, and why a packet is dropped. A packet is delivered or dropped for one reason,
 * counted where that is decided, at the port named in the reason's text. One list for code, command
 * line, metrics and documentation.
 */
#ifndef VIADUCT_STATS_H
#define VIADUCT_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A counter: one thread adds, any thread reads with via_counter_read(). */
typedef struct {
	_Atomic(uint64_t) raw;
} via_counter;

static inline uint64_t via_counter_read(const via_counter *c)
{
	return atomic_load_explicit(&c->raw, memory_order_relaxed);
}

#define VIA_DROP_REASONS(X)                                                                     \
	/* what came from the port */                                                           \
	X(SHORT, "short", "received frame shorter than its headers (virtio-net, Ethernet)")     \
	X(LONG, "long", "received frame longer than 65589 bytes")                               \
	X(HEADER, "header", "received virtio-net header that asks for the impossible")          \
	X(DISABLED, "disabled", "received on a queue that the guest has disabled")              \
	X(VLAN, "vlan", "received with a VLAN tag that the port is not a member of")            \
	X(SOURCE, "source", "received with a multicast, zero or foreign static source address") \
	X(RESERVED, "reserved", "received for a link-local bridge address (01:80:c2:00:00:0x)") \
	X(NOWHERE, "nowhere", "received for the port it came from, or for no port")             \
	/* what was to go to the port */                                                        \
	X(NO_QUEUE, "no_queue", "to a port with no running queue")                              \
	X(FULL, "full", "to a queue without free buffers")                                      \
	X(TOO_BIG, "too_big", "to a port whose MTU or buffers are smaller than the frame")      \
	X(NO_OFFLOAD, "no_offload", "needs a checksum or segmentation that cannot be done")     \
	X(FILTER, "filter", "not wanted by the guest's receive filter")                         \
	X(FLOOD, "flood", "beyond the flood budget of a burst")                                 \
	X(ISOLATED, "isolated", "between two isolated ports")                                   \
	X(IO, "io", "the kernel refused it")

enum via_drop {
#define X(name, label, text) VIA_DROP_##name,
	VIA_DROP_REASONS(X)
#undef X
		VIA_NR_DROPS,
};

const char *via_drop_label(enum via_drop why); /* of the metric's "reason" label */
const char *via_drop_text(enum via_drop why);

/* One for each direction of a queue. The queue's worker (or lock holder) writes, anybody reads. */
struct via_queue_stats {
	via_counter packets;
	via_counter bytes;    /* of frames, as carried: a GSO frame counts once */
	via_counter csum;     /* checksums filled in for the destination */
	via_counter segments; /* segments cut for the destination */
	via_counter drops[VIA_NR_DROPS];
};

#ifdef __cplusplus
}
#endif
#endif
