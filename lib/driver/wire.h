/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user messages that a front-end sends (reference vhost-user.md §1, §2, §4). Internal to
 * lib/driver. */
#ifndef VIA_DRIVER_WIRE_H
#define VIA_DRIVER_WIRE_H

#include <assert.h>
#include <stdint.h>

enum {
	FE_GET_FEATURES = 1,
	FE_SET_FEATURES = 2,
	FE_SET_OWNER = 3,
	FE_SET_MEM_TABLE = 5,
	FE_SET_VRING_NUM = 8,
	FE_SET_VRING_ADDR = 9,
	FE_SET_VRING_BASE = 10,
	FE_GET_VRING_BASE = 11,
	FE_SET_VRING_KICK = 12,
	FE_SET_VRING_CALL = 13,
	FE_GET_PROTOCOL_FEATURES = 15,
	FE_SET_PROTOCOL_FEATURES = 16,
	FE_GET_QUEUE_NUM = 17,
	FE_SET_VRING_ENABLE = 18,
	FE_SET_STATUS = 39,
	FE_GET_STATUS = 40,
};

/* Header flags. A reply's are exactly these two (VU-01). */
#define FE_VERSION     1
#define FE_REPLY_FLAGS (FE_VERSION | 4)
#define FE_NEED_REPLY  8

/* Feature number: the protocol features can be negotiated. */
#define FE_F_PROTOCOL_FEATURES 30

/* Protocol feature numbers. */
enum {
	FE_PROTOCOL_MQ = 0,
	FE_PROTOCOL_REPLY_ACK = 3,
	FE_PROTOCOL_STATUS = 16,
};

/* In a u64 with a ring's index: no descriptor comes with it. */
#define FE_NO_FD (UINT64_C(1) << 8)

/* Device status (VIRTIO 1.3 §2.1). */
enum {
	FE_STATUS_ACKNOWLEDGE = 1,
	FE_STATUS_DRIVER = 2,
	FE_STATUS_DRIVER_OK = 4,
	FE_STATUS_FEATURES_OK = 8,
};

struct fe_header {
	uint32_t request, flags, size;
};
static_assert(sizeof(struct fe_header) == 12, "vhost-user: header");

struct fe_state {
	uint32_t index, num;
};

struct fe_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};
static_assert(sizeof(struct fe_addr) == 40, "vhost-user: vring addr");

struct fe_memory {
	uint32_t nr_regions, padding;
	uint64_t gpa, size, user_addr, mmap_offset; /* of the only region */
};
static_assert(sizeof(struct fe_memory) == 40, "vhost-user: memory regions");

/* A payload follows its header at once. */
struct __attribute__((packed, aligned(4))) fe_message {
	struct fe_header header;
	union {
		uint64_t u64;
		struct fe_state state;
		struct fe_addr addr;
		struct fe_memory memory;
	};
};
static_assert(sizeof(struct fe_message) == 52, "the largest message is one with 40 bytes");

#endif
