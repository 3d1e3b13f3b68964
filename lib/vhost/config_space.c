/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of the device (virtio-net.md §5), for front-ends that ask us for it. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "vhost/vhost.h"

struct net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
	uint8_t later[16]; /* speed, RSS: features that are not offered */
};
static_assert(sizeof(struct net_config) == 28, "VIRTIO 1.3 §5.1.4");

enum { STATUS_LINK_UP = 1, STATUS_ANNOUNCE = 2 };

static struct net_config config_of(const struct via_device *dev)
{
	struct net_config config = {
		.status = htole16(
			(uint16_t)(STATUS_LINK_UP | (dev->announcing ? STATUS_ANNOUNCE : 0))),
		.max_virtqueue_pairs = htole16(vu_pairs(dev)),
		.mtu = htole16(dev->config.mtu),
	};

	memcpy(config.mac, dev->mac, sizeof(config.mac));
	return config;
}

VIA_EXPORT int via_device_announce(struct via_device *dev)
{
	if (!via_has(dev->features, VIRTIO_NET_F_GUEST_ANNOUNCE) || !dev->backend.conn ||
	    !vu_has_protocol(dev, VU_PROTOCOL_CONFIG))
		return -EOPNOTSUPP;
	dev->announcing = true; /* until the driver acknowledges: VN-13 */
	vu_backend_config_changed(dev);
	return 0;
}

/* Any range within the space may be read; the table has checked that 'size' fits the message. */
static int check_range(const struct vu_config *c, struct via_error *err)
{
	const uint32_t size = sizeof(struct net_config);

	if (c->offset > size || c->size > size - c->offset)
		return via_fail(err, -EINVAL, "%u bytes at %u; the configuration space has %u",
				c->size, c->offset, size);
	return 0;
}

int vu_get_config(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct vu_config *c = &msg->payload.config;
	struct vu_config *reply = &dev->reply.payload.config;
	const struct net_config config = config_of(dev);
	int ret = check_range(c, err);

	if (ret < 0)
		return ret;
	reply->offset = c->offset;
	reply->size = c->size;
	memcpy(reply->data, (const uint8_t *)&config + c->offset, c->size);
	dev->reply.header.size = VU_CONFIG_HEAD + c->size;
	return 0;
}

/* Only the address is writable: to a driver from before VIRTIO 1, and for a migration. */
int vu_set_config(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct vu_config *c = &msg->payload.config;
	struct net_config config = config_of(dev), before = config;
	int ret = check_range(c, err);

	if (ret < 0)
		return ret;
	if (c->flags > 1)
		return via_fail(err, -EINVAL, "unknown flags 0x%x", c->flags);
	memcpy((uint8_t *)&config + c->offset, c->data, c->size);
	if (c->flags == 0 && via_has(dev->features, VIRTIO_F_VERSION_1) &&
	    memcmp(&config, &before, sizeof(config)) != 0)
		return via_fail(err, -EPERM, "the configuration space is read-only");
	return vu_filter_set_mac(dev, config.mac);
}
