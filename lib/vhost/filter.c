/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which frames the driver wants, as it has told the control queue (VN-09 to VN-12).
 *
 * Until it says anything it wants everything: promiscuous is on (as QEMU has it), so drivers without
 * CTRL_RX see all frames. An immutable filter is published to workers; each command makes a new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/vhost.h"

#define MAX_MACS 64 /* of each kind; a driver with more gets all of that kind */
#define MAX_VID  4095

struct vu_filter {
	struct vu_retired retired;
	bool promisc, allmulti;
	bool all_vlans;
	bool too_many_unicast, too_many_multicast;
	uint16_t nr_unicast, nr_multicast;
	uint8_t mac[6]; /* the driver's own */
	uint8_t unicast[MAX_MACS][6], multicast[MAX_MACS][6];
	uint64_t vlan[(MAX_VID + 1) / 64]; /* mask of those that are wanted */
};

static void filter_free(struct vu_retired *retired)
{
	free(via_container_of(retired, struct vu_filter, retired));
}

static const struct vu_filter *current(const struct via_device *dev)
{
	return atomic_load_explicit(&dev->filter, memory_order_relaxed);
}

static void publish(struct via_device *dev, struct vu_filter *filter)
{
	/* Pairs with the acquire in via_device_wants(): the filter is complete. */
	const struct vu_filter *old =
		atomic_exchange_explicit(&dev->filter, filter, memory_order_release);

	if (old)
		vu_retire(dev, (struct vu_retired *)(uintptr_t)&old->retired);
}

void vu_filter_reset(struct via_device *dev)
{
	publish(dev, NULL);
}

/* A copy of the filter in force, to be changed and published; NULL without memory. */
static struct vu_filter *edit(const struct via_device *dev)
{
	const struct vu_filter *now = current(dev);
	struct vu_filter *filter = malloc(sizeof(*filter));

	if (!filter)
		return NULL;
	if (now) {
		*filter = *now;
		return filter;
	}
	*filter = (struct vu_filter){
		.retired.free = filter_free,
		.promisc = true,
		.all_vlans = !via_has(dev->features, VIRTIO_NET_F_CTRL_VLAN),
	};
	memcpy(filter->mac, dev->mac, sizeof(filter->mac));
	return filter;
}

int vu_filter_set_mode(struct via_device *dev, enum vu_filter_mode mode, bool on)
{
	struct vu_filter *filter = edit(dev);

	if (!filter)
		return -ENOMEM;
	if (mode == VU_FILTER_PROMISC)
		filter->promisc = on;
	else
		filter->allmulti = on;
	publish(dev, filter);
	return 0;
}

/* Reads one table {le32 n; n addresses} from 'data'. Returns how many bytes it has, 0 if it is cut off. */
static uint32_t read_table(const uint8_t *data, uint32_t len, uint8_t (*table)[6], uint16_t *nr,
			   bool *too_many)
{
	uint32_t n;

	if (len < 4)
		return 0;
	n = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
	if (n > (len - 4) / 6)
		return 0;
	*too_many = n > MAX_MACS;
	*nr = (uint16_t)(*too_many ? 0 : n);
	memcpy(table, data + 4, *nr * (size_t)6);
	return 4 + n * 6;
}

int vu_filter_set_table(struct via_device *dev, const uint8_t *data, uint32_t len)
{
	struct vu_filter *filter = edit(dev);
	uint32_t first, second = 0;

	if (!filter)
		return -ENOMEM;
	first = read_table(data, len, filter->unicast, &filter->nr_unicast,
			   &filter->too_many_unicast);
	if (first)
		second = read_table(data + first, len - first, filter->multicast,
				    &filter->nr_multicast, &filter->too_many_multicast);
	if (!second || first + second != len) {
		free(filter);
		return -EINVAL;
	}
	publish(dev, filter);
	return 0;
}

int vu_filter_set_mac(struct via_device *dev, const uint8_t mac[6])
{
	struct vu_filter *filter;

	if (current(dev)) {
		filter = edit(dev);
		if (!filter)
			return -ENOMEM;
		memcpy(filter->mac, mac, sizeof(filter->mac));
		publish(dev, filter);
	}
	memcpy(dev->mac, mac, sizeof(dev->mac));
	return 0;
}

int vu_filter_set_vlan(struct via_device *dev, uint16_t vid, bool on)
{
	struct vu_filter *filter;

	if (vid > MAX_VID)
		return -EINVAL;
	filter = edit(dev);
	if (!filter)
		return -ENOMEM;
	if (on)
		filter->vlan[vid / 64] |= VIA_BIT(vid % 64);
	else
		filter->vlan[vid / 64] &= ~VIA_BIT(vid % 64);
	publish(dev, filter);
	return 0;
}

/* ---- workers ---- */

static bool is_listed(const uint8_t (*table)[6], uint16_t nr, const uint8_t *mac)
{
	for (uint16_t i = 0; i < nr; i++)
		if (memcmp(table[i], mac, 6) == 0)
			return true;
	return false;
}

static bool wants_vlan(const struct vu_filter *f, const uint8_t *frame)
{
	uint16_t vid;

	if (f->all_vlans || frame[12] != 0x81 || frame[13] != 0x00)
		return true;
	vid = (uint16_t)((frame[14] << 8 | frame[15]) & MAX_VID);
	return via_has(f->vlan[vid / 64], vid % 64);
}

static bool wants_mac(const struct vu_filter *f, const uint8_t *mac)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (f->promisc)
		return true;
	if (mac[0] & 1)
		return f->allmulti || f->too_many_multicast || memcmp(mac, broadcast, 6) == 0 ||
		       is_listed(f->multicast, f->nr_multicast, mac);
	return f->too_many_unicast || memcmp(mac, f->mac, 6) == 0 ||
	       is_listed(f->unicast, f->nr_unicast, mac);
}

VIA_EXPORT bool via_device_wants(struct via_device *dev, const struct via_view *view)
{
	/* Pairs with the release in publish(). */
	const struct vu_filter *f = atomic_load_explicit(&dev->filter, memory_order_acquire);

	if (via_likely(!f))
		return true;
	return view->snapshot_len >= 16
		       ? wants_vlan(f, view->snapshot) && wants_mac(f, view->snapshot)
		       : wants_mac(f, view->snapshot);
}
