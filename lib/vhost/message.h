/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user wire protocol: numbers and layouts, each once (reference vhost-user.md §1 to §4).
 * Native byte order: both ends run on this machine.
 */
#ifndef VIA_VHOST_MESSAGE_H
#define VIA_VHOST_MESSAGE_H

#include <assert.h>
#include <stdint.h>

/* Requests of the front-end: number, name. */
#define VU_REQUESTS(X)               \
	X(1, GET_FEATURES)           \
	X(2, SET_FEATURES)           \
	X(3, SET_OWNER)              \
	X(4, RESET_OWNER)            \
	X(5, SET_MEM_TABLE)          \
	X(6, SET_LOG_BASE)           \
	X(7, SET_LOG_FD)             \
	X(8, SET_VRING_NUM)          \
	X(9, SET_VRING_ADDR)         \
	X(10, SET_VRING_BASE)        \
	X(11, GET_VRING_BASE)        \
	X(12, SET_VRING_KICK)        \
	X(13, SET_VRING_CALL)        \
	X(14, SET_VRING_ERR)         \
	X(15, GET_PROTOCOL_FEATURES) \
	X(16, SET_PROTOCOL_FEATURES) \
	X(17, GET_QUEUE_NUM)         \
	X(18, SET_VRING_ENABLE)      \
	X(19, SEND_RARP)             \
	X(20, NET_SET_MTU)           \
	X(21, SET_BACKEND_REQ_FD)    \
	X(22, IOTLB_MSG)             \
	X(23, SET_VRING_ENDIAN)      \
	X(24, GET_CONFIG)            \
	X(25, SET_CONFIG)            \
	X(26, CREATE_CRYPTO_SESSION) \
	X(27, CLOSE_CRYPTO_SESSION)  \
	X(28, POSTCOPY_ADVISE)       \
	X(29, POSTCOPY_LISTEN)       \
	X(30, POSTCOPY_END)          \
	X(31, GET_INFLIGHT_FD)       \
	X(32, SET_INFLIGHT_FD)       \
	X(33, GPU_SET_SOCKET)        \
	X(34, RESET_DEVICE)          \
	X(35, VRING_KICK)            \
	X(36, GET_MAX_MEM_SLOTS)     \
	X(37, ADD_MEM_REG)           \
	X(38, REM_MEM_REG)           \
	X(39, SET_STATUS)            \
	X(40, GET_STATUS)            \
	X(41, GET_SHARED_OBJECT)     \
	X(42, SET_DEVICE_STATE_FD)   \
	X(43, CHECK_DEVICE_STATE)    \
	X(44, GET_SHMEM_CONFIG)

enum vu_request {
#define X(number, name) VU_##name = number,
	VU_REQUESTS(X)
#undef X
		VU_NR_REQUESTS,
};

/* Requests of the back-end, on the backend channel. */
enum vu_backend_request {
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_VRING_CALL = 4,
	VU_BACKEND_VRING_ERR = 5,
};

/* Protocol features: number, name. */
#define VU_PROTOCOL_FEATURES(X)        \
	X(0, MQ)                       \
	X(1, LOG_SHMFD)                \
	X(2, RARP)                     \
	X(3, REPLY_ACK)                \
	X(4, MTU)                      \
	X(5, BACKEND_REQ)              \
	X(6, CROSS_ENDIAN)             \
	X(7, CRYPTO_SESSION)           \
	X(8, PAGEFAULT)                \
	X(9, CONFIG)                   \
	X(10, BACKEND_SEND_FD)         \
	X(11, HOST_NOTIFIER)           \
	X(12, INFLIGHT_SHMFD)          \
	X(13, RESET_DEVICE)            \
	X(14, INBAND_NOTIFICATIONS)    \
	X(15, CONFIGURE_MEM_SLOTS)     \
	X(16, STATUS)                  \
	X(17, XEN_MMAP)                \
	X(18, SHARED_OBJECT)           \
	X(19, DEVICE_STATE)            \
	X(20, GET_VRING_BASE_INFLIGHT) \
	X(21, GPA_ADDRESSES)           \
	X(22, SHMEM)

enum vu_protocol_feature {
#define X(number, name) VU_PROTOCOL_##name = number,
	VU_PROTOCOL_FEATURES(X)
#undef X
		VU_NR_PROTOCOL_FEATURES,
};

/* A virtio feature number that only vhost-user knows: protocol features can be negotiated. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* ---- the header ---- */

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* payload bytes that follow */
};
static_assert(sizeof(struct vu_header) == 12, "vhost-user: header");

enum {
	VU_VERSION = 1,
	VU_VERSION_MASK = 3,
	VU_REPLY_MASK = 4,
	VU_NEED_REPLY_MASK = 8,
};

/* ---- payloads ---- */

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};
static_assert(sizeof(struct vu_vring_state) == 8, "vhost-user: vring state");

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};
static_assert(sizeof(struct vu_vring_addr) == 40, "vhost-user: vring address");

#define VU_VRING_LOG_MASK 1U /* of 'flags': writes to the used ring are logged */

struct vu_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vu_region) == 32, "vhost-user: memory region");

#define VU_MAX_REGIONS 8 /* in one message */

struct vu_regions {
	uint32_t nr_regions;
	uint32_t padding;
	struct vu_region region[VU_MAX_REGIONS];
};
static_assert(sizeof(struct vu_regions) == 264, "vhost-user: memory regions");

struct vu_single_region {
	uint64_t padding;
	struct vu_region region;
};
static_assert(sizeof(struct vu_single_region) == 40, "vhost-user: single memory region");

#define VU_MAX_CONFIG 256

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags; /* 0: ordinary; 1: live migration */
	uint8_t data[VU_MAX_CONFIG];
};
static_assert(sizeof(struct vu_config) == 268, "vhost-user: config space");
#define VU_CONFIG_HEAD 12 /* bytes before 'data' */

/* Of the u64 of KICK, CALL and ERR. */
#define VU_VRING_INDEX_MASK UINT64_C(0xff)
#define VU_VRING_NOFD_MASK  UINT64_C(0x100)

/* The largest payload that a request to us can have (VU-05). */
#define VU_MAX_PAYLOAD sizeof(struct vu_config)

#define VU_MAX_FDS     8 /* even, see hostile.md 2.3 */

struct vu_queue;

struct vu_msg {
	struct vu_header header;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_regions memory;
		struct vu_single_region single;
		struct vu_config config;
		uint8_t raw[VU_MAX_PAYLOAD];
	} payload;
	uint32_t nr_fds;
	int fd[VU_MAX_FDS]; /* owned; -1 once taken with vu_msg_take_fd() */
	/* The queue that it is about, found when it was checked: its index is not looked at again (R4).
	 * NULL for messages about none. */
	struct vu_queue *queue;
};

#endif
