/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is offered, what was acknowledged, and the messages about the device as a whole.
 *
 * Features may only change while no enabled ring runs (R25, VU-26). Rings that run disabled are
 * stopped first: a front-end without a VMM unloads its driver by ENABLE 0 and says everything again
 * for the next one, without GET_VRING_BASE (design §6).
 */
#include <errno.h>
#include <string.h>

#include "vhost/vhost.h"

/* ---- what is offered ---- */

#define RING_FEATURES                                                  \
	(VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VIRTIO_F_RING_PACKED) | \
	 VIA_BIT(VIRTIO_F_IN_ORDER) | VIA_BIT(VIRTIO_F_EVENT_IDX) |    \
	 VIA_BIT(VIRTIO_F_INDIRECT_DESC) | VIA_BIT(VIRTIO_F_ANY_LAYOUT))

#define OFFLOAD_FEATURES                                                       \
	(VIA_BIT(VIRTIO_NET_F_CSUM) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |       \
	 VIA_BIT(VIRTIO_NET_F_HOST_TSO4) | VIA_BIT(VIRTIO_NET_F_HOST_TSO6) |   \
	 VIA_BIT(VIRTIO_NET_F_HOST_ECN) | VIA_BIT(VIRTIO_NET_F_HOST_USO) |     \
	 VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 VIA_BIT(VIRTIO_NET_F_GUEST_ECN) | VIA_BIT(VIRTIO_NET_F_GUEST_USO4) |  \
	 VIA_BIT(VIRTIO_NET_F_GUEST_USO6) | VIA_BIT(VIRTIO_NET_F_MRG_RXBUF))

#define CONTROL_FEATURES                                                         \
	(VIA_BIT(VIRTIO_NET_F_CTRL_VQ) | VIA_BIT(VIRTIO_NET_F_CTRL_RX) |         \
	 VIA_BIT(VIRTIO_NET_F_CTRL_VLAN) | VIA_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | \
	 VIA_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))

/* A feature needs all of one mask and any of another, if that is not empty (virtio-net.md §1). */
struct prerequisite {
	uint8_t feature;
	uint64_t all, any;
};

#define ALL(bit) .all = VIA_BIT(bit)

static const struct prerequisite prerequisites[] = {
	{ VIRTIO_NET_F_GUEST_TSO4, ALL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_TSO6, ALL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_USO4, ALL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_USO6, ALL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_ECN,
	  .any = VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO6) },
	{ VIRTIO_NET_F_HOST_TSO4, ALL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_TSO6, ALL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_USO, ALL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_ECN,
	  .any = VIA_BIT(VIRTIO_NET_F_HOST_TSO4) | VIA_BIT(VIRTIO_NET_F_HOST_TSO6) },
	{ VIRTIO_NET_F_CTRL_RX, ALL(VIRTIO_NET_F_CTRL_VQ) },
	{ VIRTIO_NET_F_CTRL_VLAN, ALL(VIRTIO_NET_F_CTRL_VQ) },
	{ VIRTIO_NET_F_CTRL_MAC_ADDR, ALL(VIRTIO_NET_F_CTRL_VQ) },
	{ VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
	  ALL(VIRTIO_NET_F_CTRL_VQ) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_ANNOUNCE, ALL(VIRTIO_NET_F_CTRL_VQ) | VIA_BIT(VIRTIO_NET_F_STATUS) },
	{ VIRTIO_F_RING_PACKED, ALL(VIRTIO_F_VERSION_1) },
	{ VIRTIO_F_IN_ORDER, ALL(VIRTIO_F_VERSION_1) },
};

/* Takes away what lacks its prerequisites, until nothing changes. */
static uint64_t complete(uint64_t features)
{
	uint64_t before;

	do {
		before = features;
		for (size_t i = 0; i < ARRAY_SIZE(prerequisites); i++) {
			const struct prerequisite *p = &prerequisites[i];

			if ((features & p->all) != p->all || (p->any && !(features & p->any)))
				features &= ~VIA_BIT(p->feature);
		}
	} while (features != before);
	return features;
}

/*
 * With a VMM in between the control queue is the VMM's, and what it needs is not ours to offer. MQ is
 * offered all the same: the VMM tells it to the driver, and us by ENABLE.
 */
static uint64_t virtio_offered(const struct via_device_config *config)
{
	uint64_t features = RING_FEATURES | OFFLOAD_FEATURES | VIA_BIT(VIRTIO_NET_F_STATUS);

	if (config->control_queue)
		features |= CONTROL_FEATURES;
	if (config->queue_pairs > 1)
		features |= VIA_BIT(VIRTIO_NET_F_MQ);
	if (config->has_mac)
		features |= VIA_BIT(VIRTIO_NET_F_MAC);
	if (config->mtu)
		features |= VIA_BIT(VIRTIO_NET_F_MTU);
	features = complete(features & ~config->features_off);
	if (config->control_queue && !via_has(features, VIRTIO_NET_F_CTRL_VQ))
		features &= ~VIA_BIT(VIRTIO_NET_F_MQ);
	return features;
}

void vu_offer(struct via_device *dev)
{
	const struct via_device_config *config = &dev->config;

	dev->offered = virtio_offered(config) | VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	dev->protocol_offered = VIA_BIT(VU_PROTOCOL_MQ) | VIA_BIT(VU_PROTOCOL_RARP) |
				VIA_BIT(VU_PROTOCOL_REPLY_ACK) | VIA_BIT(VU_PROTOCOL_BACKEND_REQ) |
				VIA_BIT(VU_PROTOCOL_CONFIG) | VIA_BIT(VU_PROTOCOL_RESET_DEVICE) |
				VIA_BIT(VU_PROTOCOL_CONFIGURE_MEM_SLOTS) |
				VIA_BIT(VU_PROTOCOL_STATUS);
	if (via_has(dev->offered, VIRTIO_NET_F_MTU))
		dev->protocol_offered |= VIA_BIT(VU_PROTOCOL_MTU);
	if (config->inband)
		dev->protocol_offered |= VIA_BIT(VU_PROTOCOL_INBAND_NOTIFICATIONS);
}

/* ---- answers ---- */

static int reply_u64(struct via_device *dev, uint64_t value)
{
	dev->reply.payload.u64 = value;
	dev->reply.header.size = sizeof(value);
	return 0;
}

int vu_get_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	return reply_u64(dev, dev->offered);
}

int vu_get_protocol_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	return reply_u64(dev, dev->protocol_offered);
}

int vu_get_queue_num(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	return reply_u64(dev, vu_pairs(dev)); /* pairs, for net (§4.1) */
}

/* ---- features ---- */

uint16_t vu_control_index(const struct via_device *dev)
{
	if (!via_has(dev->features, VIRTIO_NET_F_CTRL_VQ)) /* offered only where we serve it */
		return UINT16_MAX;
	return via_has(dev->features, VIRTIO_NET_F_MQ) ? (uint16_t)(2 * vu_pairs(dev)) : 2;
}

enum via_ring_format vu_format(const struct via_device *dev)
{
	return via_has(dev->features, VIRTIO_F_RING_PACKED) ? VIA_RING_PACKED : VIA_RING_SPLIT;
}

void vu_driver_reset(struct via_device *dev)
{
	const bool control = vu_control_index(dev) != UINT16_MAX;

	vu_steer_forget(dev);
	dev->driver = (struct vu_driver_state){
		/* VN-14: one pair until an MQ command comes; a VMM answers those itself, by ENABLE. */
		.pairs = control && via_has(dev->features, VIRTIO_NET_F_MQ) ? 1 : vu_pairs(dev),
		.guest_offloads = dev->features & VU_GUEST_OFFLOADS, /* VN-24 */
	};
	memcpy(dev->mac, dev->config.mac, sizeof(dev->mac));
	dev->announcing = false;
	vu_filter_reset(dev);
}

static bool an_enabled_ring_runs(const struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		if (dev->queue[i].ring && dev->queue[i].enabled)
			return true;
	return false;
}

int vu_set_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const uint64_t features = msg->payload.u64, extra = features & ~dev->offered;

	if (extra)
		return via_fail(err, -EINVAL,
				"features 0x%llx were not offered (offered are 0x%llx)",
				(unsigned long long)extra, (unsigned long long)dev->offered);
	if (dev->has_features && features == dev->features)
		return 0; /* VU-26 */
	if (an_enabled_ring_runs(dev))
		return via_fail(err, -EBUSY, "features cannot change while queues run");

	for (uint16_t i = 0; i < dev->nr_queues; i++)
		vu_queue_stop(&dev->queue[i], true);
	dev->features = features;
	dev->has_features = true;
	if (!via_has(features, VHOST_USER_F_PROTOCOL_FEATURES))
		for (uint16_t i = 0; i < dev->nr_queues; i++)
			dev->queue[i].enabled = true; /* §5 */
	vu_driver_reset(dev);
	return 0;
}

int vu_set_protocol_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const uint64_t protocol = msg->payload.u64, extra = protocol & ~dev->protocol_offered;

	if (extra) /* VU-10 */
		return via_fail(err, -EINVAL,
				"protocol features 0x%llx were not offered (offered are 0x%llx)",
				(unsigned long long)extra,
				(unsigned long long)dev->protocol_offered);
	if (via_has(protocol, VU_PROTOCOL_INBAND_NOTIFICATIONS) &&
	    (!via_has(protocol, VU_PROTOCOL_BACKEND_REQ) ||
	     !via_has(protocol, VU_PROTOCOL_REPLY_ACK))) {
		dev->fatal = true; /* VU-11 */
		return via_fail(err, -EPROTO,
				"in-band notifications need BACKEND_REQ and REPLY_ACK as well");
	}
	if (dev->has_protocol && protocol != dev->protocol && an_enabled_ring_runs(dev))
		return via_fail(err, -EBUSY, "protocol features cannot change while queues run");
	dev->protocol = protocol;
	dev->has_protocol = true;
	return 0;
}

/* ---- the device as a whole ---- */

int vu_set_owner(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	dev->has_owner = true; /* once more does no harm (§4.1) */
	return 0;
}

static void reset(struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		vu_queue_stop(&dev->queue[i], true);
		vu_queue_reset(&dev->queue[i]);
	}
	dev->status = 0;
	vu_driver_reset(dev);
}

/* Deprecated; QEMU sends it where RESET_DEVICE is not offered. */
int vu_reset_owner(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	dev->has_owner = false;
	reset(dev);
	return 0;
}

int vu_reset_device(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	reset(dev);
	return 0;
}

/* Device status, VIRTIO 1.3 §2.1. */
enum {
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 0x40,
};

int vu_set_status(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const uint64_t status = msg->payload.u64;

	if (status > 0xff)
		return via_fail(err, -EINVAL, "0x%llx is no device status",
				(unsigned long long)status);
	if (status == 0)
		reset(dev);
	else
		dev->status = (uint8_t)(status & ~(uint64_t)STATUS_NEEDS_RESET);
	return 0;
}

static bool a_queue_is_broken(const struct via_device *dev)
{
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		const struct vu_queue *q = &dev->queue[i];

		if (q->refused[0] ||
		    (q->ring && atomic_load_explicit(&q->vq.broken, memory_order_relaxed)))
			return true;
	}
	return false;
}

int vu_get_status(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	uint8_t status = dev->status;

	(void)msg;
	(void)err;
	if (status & STATUS_DRIVER_OK && a_queue_is_broken(dev))
		status |= STATUS_NEEDS_RESET; /* VU-29 */
	return reply_u64(dev, status);
}

bool vu_driver_is_ready(const struct via_device *dev)
{
	/* VU-20: the status gates only where it is spoken. */
	return !vu_has_protocol(dev, VU_PROTOCOL_STATUS) || dev->status & STATUS_DRIVER_OK;
}

int vu_net_set_mtu(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const uint64_t mtu = msg->payload.u64;

	if (mtu < 68 || mtu > 65535)
		return via_fail(err, -EINVAL, "an MTU of %llu is impossible (68 to 65535)",
				(unsigned long long)mtu);
	dev->host_mtu = (uint16_t)mtu;
	return 0;
}

int vu_send_rarp(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	(void)err;
	memcpy(mac, msg->payload.raw, sizeof(mac)); /* bytes 0 to 5 */
	if (!(mac[0] & 1) && memcmp(mac, zero, sizeof(mac)) != 0 && dev->config.events->announce)
		dev->config.events->announce(dev->config.user, mac);
	return 0;
}
