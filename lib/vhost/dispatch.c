/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each message must satisfy before its handler sees it, and what is answered.
 *
 * The table below is the protocol's contract: exact size, descriptors, the feature that gates it, where
 * the queue's index is. It is checked in one place, so that no handler can forget it (R2 to R4,
 * VU-04 to VU-07, VU-12).
 *
 * A handler validates, then commits (R12): on failure it has changed nothing. What it retired is
 * settled before the answer, so an acknowledged effect is complete (reference vhost-user.md §4.6).
 *
 * Failure (§1.1): a message with its own reply gets that reply's error value where there is one; else
 * NEED_REPLY gets a non-zero u64; else the connection is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vhost/vhost.h"

enum vu_reply {
	REPLY_ACK,    /* a u64, if asked for */
	REPLY_OWN,    /* dev->reply, on success; no error value: failure closes */
	REPLY_CONFIG, /* dev->reply; nothing behind the header on failure */
};

enum vu_index {
	INDEX_NONE,
	INDEX_STATE, /* u32 at the beginning (vring state, vring address) */
	INDEX_U64,   /* bits 0 to 7 of a u64, whose bits 9 to 63 are 0 */
};

/* How many payload bytes follow: a constant, or as many as the payload's own count says. */
enum vu_size { SIZE_EXACT, SIZE_REGIONS, SIZE_CONFIG };

/* How many descriptors come along. */
enum vu_fds {
	FDS_NONE,
	FDS_ONE,
	FDS_OPTIONAL, /* one is tolerated, and closed */
	FDS_NOFD,     /* one, unless bit 8 of the u64 says none */
	FDS_REGIONS,  /* one a region */
};

struct vu_handler {
	/* NULL: known and refused. */
	int (*handle)(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
	/* After settling, before the answer. */
	void (*finish)(struct via_device *dev, struct vu_msg *msg);
	uint16_t size;
	uint8_t sized;       /* enum vu_size */
	uint8_t fds;         /* enum vu_fds */
	uint8_t index;       /* enum vu_index */
	uint8_t reply;       /* enum vu_reply */
	int8_t needs;        /* protocol feature that gates it, + 1; 0: none */
	int8_t virtio;       /* virtio feature that must have been acknowledged, + 1 */
	const char *refused; /* why, where there is no feature to name */
};

#define NEEDS(feature) .needs = VU_PROTOCOL_##feature + 1
#define U64            .size = sizeof(uint64_t)
#define STATE          .size = sizeof(struct vu_vring_state), .index = INDEX_STATE

static const struct vu_handler handlers[VU_NR_REQUESTS] = {
	/* clang-format off: one row a message */
	[VU_GET_FEATURES] = { vu_get_features, .reply = REPLY_OWN },
	[VU_SET_FEATURES] = { vu_set_features, U64 },
	[VU_SET_OWNER] = { .handle = vu_set_owner },
	[VU_RESET_OWNER] = { .handle = vu_reset_owner },
	[VU_GET_PROTOCOL_FEATURES] = { vu_get_protocol_features, .reply = REPLY_OWN },
	[VU_SET_PROTOCOL_FEATURES] = { vu_set_protocol_features, U64 },
	[VU_GET_QUEUE_NUM] = { vu_get_queue_num, .reply = REPLY_OWN, NEEDS(MQ) },
	[VU_SET_BACKEND_REQ_FD] = { vu_set_backend_req_fd, .fds = FDS_ONE, NEEDS(BACKEND_REQ) },
	[VU_RESET_DEVICE] = { vu_reset_device, NEEDS(RESET_DEVICE) },
	[VU_SET_STATUS] = { vu_set_status, U64, NEEDS(STATUS) },
	[VU_GET_STATUS] = { vu_get_status, .reply = REPLY_OWN, NEEDS(STATUS) },
	[VU_NET_SET_MTU] = { vu_net_set_mtu, U64, NEEDS(MTU) },
	[VU_SEND_RARP] = { vu_send_rarp, U64, NEEDS(RARP) },

	[VU_SET_MEM_TABLE] = { vu_set_mem_table, .sized = SIZE_REGIONS, .fds = FDS_REGIONS },
	[VU_GET_MAX_MEM_SLOTS] = { vu_get_max_mem_slots, .reply = REPLY_OWN,
				   NEEDS(CONFIGURE_MEM_SLOTS) },
	[VU_ADD_MEM_REG] = { vu_add_mem_reg, .size = sizeof(struct vu_single_region),
			     .fds = FDS_ONE, NEEDS(CONFIGURE_MEM_SLOTS) },
	[VU_REM_MEM_REG] = { vu_rem_mem_reg, .size = sizeof(struct vu_single_region),
			     .fds = FDS_OPTIONAL, NEEDS(CONFIGURE_MEM_SLOTS) },

	[VU_SET_VRING_NUM] = { vu_set_vring_num, STATE },
	[VU_SET_VRING_ADDR] = { vu_set_vring_addr, .size = sizeof(struct vu_vring_addr),
				.index = INDEX_STATE },
	[VU_SET_VRING_BASE] = { vu_set_vring_base, STATE },
	[VU_GET_VRING_BASE] = { vu_get_vring_base, vu_got_vring_base, STATE, .reply = REPLY_OWN },
	[VU_SET_VRING_KICK] = { vu_set_vring_notifier, U64, .index = INDEX_U64, .fds = FDS_NOFD },
	[VU_SET_VRING_CALL] = { vu_set_vring_notifier, vu_has_set_vring_call, U64,
				.index = INDEX_U64, .fds = FDS_NOFD },
	[VU_SET_VRING_ERR] = { vu_set_vring_notifier, U64, .index = INDEX_U64, .fds = FDS_NOFD },
	[VU_SET_VRING_ENABLE] = { vu_set_vring_enable, STATE,
				  .virtio = VHOST_USER_F_PROTOCOL_FEATURES + 1 },
	[VU_VRING_KICK] = { vu_vring_kick, STATE, NEEDS(INBAND_NOTIFICATIONS) },

	[VU_GET_CONFIG] = { vu_get_config, .sized = SIZE_CONFIG, .reply = REPLY_CONFIG,
			    NEEDS(CONFIG) },
	[VU_SET_CONFIG] = { vu_set_config, .sized = SIZE_CONFIG, NEEDS(CONFIG) },

	/* Nothing is logged, so nobody is to be poked. */
	[VU_SET_LOG_FD] = { vu_set_log_fd, .fds = FDS_ONE },

	/* Known, and never offered: the gate refuses them by the feature's name. */
	[VU_SET_LOG_BASE] = { NULL, .size = 16, .fds = FDS_ONE, NEEDS(LOG_SHMFD) },
	[VU_IOTLB_MSG] = { NULL, .size = 32,
			   .refused = "an IOMMU (VIRTIO_F_ACCESS_PLATFORM) is not offered" },
	[VU_SET_VRING_ENDIAN] = { NULL, STATE, NEEDS(CROSS_ENDIAN) },
	[VU_POSTCOPY_ADVISE] = { NULL, .reply = REPLY_OWN, NEEDS(PAGEFAULT) },
	[VU_POSTCOPY_LISTEN] = { NULL, NEEDS(PAGEFAULT) },
	[VU_POSTCOPY_END] = { NULL, .reply = REPLY_OWN, NEEDS(PAGEFAULT) },
	[VU_GET_INFLIGHT_FD] = { NULL, .size = 24, .reply = REPLY_OWN, NEEDS(INFLIGHT_SHMFD) },
	[VU_SET_INFLIGHT_FD] = { NULL, .size = 24, .fds = FDS_ONE, NEEDS(INFLIGHT_SHMFD) },
	[VU_CREATE_CRYPTO_SESSION] = { NULL, NEEDS(CRYPTO_SESSION), .reply = REPLY_OWN },
	[VU_CLOSE_CRYPTO_SESSION] = { NULL, U64, NEEDS(CRYPTO_SESSION) },
	[VU_GPU_SET_SOCKET] = { NULL, .fds = FDS_ONE, .refused = "this is no GPU" },
	[VU_GET_SHARED_OBJECT] = { NULL, .size = 16, .reply = REPLY_OWN, NEEDS(SHARED_OBJECT) },
	[VU_SET_DEVICE_STATE_FD] = { NULL, .size = 8, .fds = FDS_ONE, .reply = REPLY_OWN,
				     NEEDS(DEVICE_STATE) },
	[VU_CHECK_DEVICE_STATE] = { NULL, .reply = REPLY_OWN, NEEDS(DEVICE_STATE) },
	[VU_GET_SHMEM_CONFIG] = { NULL, .reply = REPLY_OWN, NEEDS(SHMEM) },
	/* clang-format on */
};

static const char *const request_names[VU_NR_REQUESTS] = {
#define X(number, name) [number] = #name,
	VU_REQUESTS(X)
#undef X
};

static const char *const protocol_names[VU_NR_PROTOCOL_FEATURES] = {
#define X(number, name) [number] = #name,
	VU_PROTOCOL_FEATURES(X)
#undef X
};

const char *vu_request_name(uint32_t request)
{
	static char unknown[32];

	if (request < VU_NR_REQUESTS && request_names[request])
		return request_names[request];
	snprintf(unknown, sizeof(unknown), "request %u", request);
	return unknown;
}

/* ---- the checks ---- */

/* What has not come of a payload is 0, so its counts may be looked at before its size. */
static int check_size(const struct vu_handler *h, const struct vu_msg *msg, struct via_error *err)
{
	uint32_t size = msg->header.size, right = h->size;

	if (h->sized == SIZE_REGIONS) {
		if (msg->payload.memory.nr_regions == 0 ||
		    msg->payload.memory.nr_regions > VU_MAX_REGIONS)
			return via_fail(err, -EINVAL, "%u regions; 1 to %u are possible",
					msg->payload.memory.nr_regions, VU_MAX_REGIONS);
		right = 8 + msg->payload.memory.nr_regions * (uint32_t)sizeof(struct vu_region);
		/* User-mode Linux sends two places, whether or not the second one is used. */
		if (size > right && (size - 8) % sizeof(struct vu_region) == 0)
			right = size;
	} else if (h->sized == SIZE_CONFIG) {
		if (msg->payload.config.size > VU_MAX_CONFIG)
			return via_fail(err, -EINVAL,
					"%u bytes of configuration; at most %u are possible",
					msg->payload.config.size, VU_MAX_CONFIG);
		right = VU_CONFIG_HEAD + msg->payload.config.size;
	}
	if (size != right)
		return via_fail(err, -EINVAL, "a payload of %u bytes instead of %u", size, right);
	return 0;
}

static int check_fds(const struct vu_handler *h, const struct vu_msg *msg, struct via_error *err)
{
	uint32_t min = 0, max = 0;

	switch ((enum vu_fds)h->fds) {
	case FDS_NONE:
		break;
	case FDS_ONE:
		min = max = 1;
		break;
	case FDS_OPTIONAL:
		max = 1;
		break;
	case FDS_NOFD:
		min = max = msg->payload.u64 & VU_VRING_NOFD_MASK ? 0 : 1;
		break;
	case FDS_REGIONS:
		min = max = msg->payload.memory.nr_regions;
		break;
	}
	if (msg->nr_fds < min || msg->nr_fds > max)
		return via_fail(err, -EINVAL, "%u descriptors instead of %u", msg->nr_fds, max);
	return 0;
}

/* Without the MQ protocol feature there is one pair (§5.1), unless the driver reaches us without a VMM
 * in between: it speaks virtio's MQ only. */
static uint32_t nr_usable_queues(const struct via_device *dev)
{
	if (vu_has_protocol(dev, VU_PROTOCOL_MQ) || via_has(dev->features, VIRTIO_NET_F_MQ) ||
	    dev->config.control_queue)
		return dev->nr_queues;
	return 2;
}

static int check_index(const struct vu_handler *h, const struct via_device *dev, struct vu_msg *msg,
		       struct via_error *err)
{
	uint64_t index = msg->payload.state.index;

	if (h->index == INDEX_NONE)
		return 0;
	if (h->index == INDEX_U64) {
		if (msg->payload.u64 & ~(VU_VRING_INDEX_MASK | VU_VRING_NOFD_MASK))
			return via_fail(err, -EINVAL, "unknown bits in 0x%llx",
					(unsigned long long)msg->payload.u64);
		index = msg->payload.u64 & VU_VRING_INDEX_MASK;
	}
	if (index >= nr_usable_queues(dev))
		return via_fail(
			err, -ERANGE, "queue %llu does not exist: this device has %u queue pair%s",
			(unsigned long long)index, vu_pairs(dev), vu_pairs(dev) == 1 ? "" : "s");
	msg->queue = &dev->queue[index];
	return 0;
}

static int check_gate(const struct vu_handler *h, const struct via_device *dev,
		      struct via_error *err)
{
	if (h->needs && !vu_has_protocol(dev, (enum vu_protocol_feature)(h->needs - 1)))
		return via_fail(err, -EPROTO, "protocol feature %s was not negotiated",
				protocol_names[h->needs - 1]);
	/* QEMU enables queues before it says the features of the driver; so do all back-ends allow. */
	if (h->virtio && dev->has_features &&
	    !via_has(dev->features, (unsigned int)(h->virtio - 1)))
		return via_fail(err, -EPROTO, "virtio feature %d was not acknowledged",
				h->virtio - 1);
	if (!h->handle)
		return via_fail(err, -EOPNOTSUPP, "%s", h->refused ? h->refused : "not supported");
	return 0;
}

static int check(const struct vu_handler *h, const struct via_device *dev, struct vu_msg *msg,
		 struct via_error *err)
{
	int ret = check_gate(h, dev, err);

	if (ret == 0)
		ret = check_size(h, msg, err);
	if (ret == 0)
		ret = check_fds(h, msg, err);
	if (ret == 0)
		ret = check_index(h, dev, msg, err);
	return ret;
}

/* ---- the answer ---- */

static bool wants_ack(const struct via_device *dev, const struct vu_msg *msg)
{
	return vu_has_protocol(dev, VU_PROTOCOL_REPLY_ACK) &&
	       msg->header.flags & VU_NEED_REPLY_MASK;
}

static void send_reply(struct via_device *dev, const void *payload, uint32_t size)
{
	/* Exactly these flags: NEED_REPLY is not repeated (VU-01). */
	vu_conn_send(dev->conn, dev->msg->header.request, VU_VERSION | VU_REPLY_MASK, payload,
		     size);
}

/* Answers. Returns false if the connection must be closed instead. */
static bool answer(struct via_device *dev)
{
	enum vu_reply reply = dev->handler ? (enum vu_reply)dev->handler->reply : REPLY_ACK;
	uint64_t ack = dev->result < 0;

	if (reply == REPLY_ACK) {
		if (wants_ack(dev, dev->msg))
			send_reply(dev, &ack, sizeof(ack));
		else if (ack)
			return false;
	} else if (dev->result == 0) {
		send_reply(dev, &dev->reply.payload, dev->reply.header.size);
	} else if (reply == REPLY_CONFIG) {
		send_reply(dev, NULL, 0);
	} else {
		return false;
	}
	return true;
}

/* After settling: the effect is complete. A session that ended meanwhile has taken the message along,
 * and what it stopped has not settled yet. */
static void message_done(struct via_device *dev)
{
	struct vu_msg *msg = dev->msg;

	if (dev->session != VU_CONNECTED)
		return;
	vu_queues_stopped(dev);
	if (dev->result == 0 && dev->handler->finish)
		dev->handler->finish(dev, msg);
	vu_queues_start(dev);
	vu_tell_owner(dev);
	if (dev->session != VU_CONNECTED)
		return; /* the owner has closed us */
	if (dev->result < 0) {
		via_fail_in(&dev->why, dev->result, "%s", vu_request_name(msg->header.request));
		dev->refused = dev->why;
		dev->faults.requests++;
	}
	if (dev->fatal || !answer(dev)) {
		vu_session_end(dev, VU_END_FAULT, dev->why.text);
		return;
	}
	if (dev->session != VU_CONNECTED)
		return; /* the answer could not be sent */
	if (dev->result < 0)
		vu_log(dev, VIA_LOG_WARNING, "%s", dev->why.text);
	dev->msg = NULL;
	vu_conn_next(dev->conn);
	if (via_discards_are_many(dev->discards)) { /* R13 */
		vu_session_quarantine(dev, "it has sent descriptors that cannot be closed");
		return;
	}
	if (dev->control.pending)
		vu_control_serve(dev);
}

static void on_message(void *user, struct vu_msg *msg)
{
	struct via_device *dev = user;
	uint32_t request = msg->header.request;

	dev->msg = msg;
	dev->fatal = false;
	dev->handler =
		request < VU_NR_REQUESTS && request_names[request] ? &handlers[request] : NULL;
	memset(&dev->reply, 0, sizeof(dev->reply)); /* nothing of ours leaks (VU-09, R30) */
	dev->result = dev->handler ? check(dev->handler, dev, msg, &dev->why)
				   : via_fail(&dev->why, -EOPNOTSUPP, "unknown");
	if (dev->result == 0)
		dev->result = dev->handler->handle(dev, msg, &dev->why);
	vu_settle(dev, message_done);
}

static void on_ended(void *user, const char *why)
{
	struct via_device *dev = user;

	vu_session_end(dev, vu_conn_is_at_fault(dev->conn) ? VU_END_FAULT : VU_END_FINE, why);
}

const struct vu_conn_ops vu_session_conn_ops = {
	.message = on_message,
	.ended = on_ended,
};
