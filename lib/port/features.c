/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the virtio features that a configuration may take away from a port. */
#include "port/features.h"

#include <string.h>

#include "base/base.h"
#include "net/net.h"

static const struct {
	const char *name;
	uint8_t number;
} features[] = {
	{ "packed", VIRTIO_F_RING_PACKED },
	{ "in_order", VIRTIO_F_IN_ORDER },
	{ "event_idx", VIRTIO_F_EVENT_IDX },
	{ "indirect", VIRTIO_F_INDIRECT_DESC },
	{ "mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF },
	{ "mq", VIRTIO_NET_F_MQ },
	{ "csum", VIRTIO_NET_F_CSUM },
	{ "host_tso4", VIRTIO_NET_F_HOST_TSO4 },
	{ "host_tso6", VIRTIO_NET_F_HOST_TSO6 },
	{ "host_ecn", VIRTIO_NET_F_HOST_ECN },
	{ "host_uso", VIRTIO_NET_F_HOST_USO },
	{ "guest_csum", VIRTIO_NET_F_GUEST_CSUM },
	{ "guest_tso4", VIRTIO_NET_F_GUEST_TSO4 },
	{ "guest_tso6", VIRTIO_NET_F_GUEST_TSO6 },
	{ "guest_ecn", VIRTIO_NET_F_GUEST_ECN },
	{ "guest_uso4", VIRTIO_NET_F_GUEST_USO4 },
	{ "guest_uso6", VIRTIO_NET_F_GUEST_USO6 },
};

static uint64_t feature_mask(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (strlen(features[i].name) == len && memcmp(features[i].name, name, len) == 0)
			return VIA_BIT(features[i].number);
	return 0;
}

uint64_t port_features_off(const char *names)
{
	uint64_t mask = 0;

	while (names && *names) {
		size_t len = strcspn(names, ",");

		mask |= feature_mask(names, len);
		names += len + (names[len] == ',');
	}
	return mask;
}
