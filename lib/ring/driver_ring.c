/* SPDX-License-Identifier: BSD-3-Clause */
/* The cold side of the driver's ring: setting it up, and taking chains back without the device. */
#include "ring/driver_ring.h"

#include <stdlib.h>
#include <string.h>

static int check_config(const struct via_drv_config *config, struct via_error *err)
{
	uint32_t size = config->size;

	if (size == 0 || size > VIA_RING_MAX_SIZE)
		return via_fail(err, -EINVAL, "a ring of %u slots: 1 to %u are possible", size,
				VIA_RING_MAX_SIZE);
	if (config->format == VIA_RING_SPLIT && (size & (size - 1)))
		return via_fail(err, -EINVAL, "a split ring of %u slots: it must be a power of two",
				size);
	return 0;
}

int via_drv_init(struct via_drv_ring *drv, const struct via_drv_config *config,
		 struct via_error *err)
{
	struct via_ring_sizes sizes = via_ring_sizes(config->format, config->size);
	struct via_drv_slot *slot;
	int ret = check_config(config, err);

	if (ret < 0)
		return ret;
	slot = calloc(config->size, sizeof(*slot));
	if (!slot)
		return via_fail(err, -ENOMEM, "no memory for a ring of %u slots", config->size);
	*drv = (struct via_drv_ring){
		.format = config->format,
		.size = config->size,
		.event_idx = config->event_idx,
		.in_order = config->in_order,
		.tables = config->tables,
		.tables_addr = config->tables_addr,
		.table_size = config->tables ? config->table_size : 0,
		.nr_free = config->size,
		.slot = slot,
	};
	for (uint32_t i = 0; i < config->size; i++)
		slot[i].next = (uint16_t)(i + 1 < config->size ? i + 1 : 0);

	memset(config->desc, 0, sizes.desc);
	memset(config->avail, 0, sizes.avail);
	memset(config->used, 0, sizes.used);
	if (config->format == VIA_RING_PACKED) {
		drv->packed.desc = config->desc;
		drv->packed.driver = config->avail;
		drv->packed.device = config->used;
		drv->avail.wrap = drv->next.wrap = drv->used.wrap = true; /* VQ-P-13 */
	} else {
		drv->split.desc = config->desc;
		drv->split.avail = config->avail;
		drv->split.used = config->used;
	}
	return 0;
}

void via_drv_free(struct via_drv_ring *drv)
{
	free(drv->slot);
	*drv = (struct via_drv_ring){ 0 };
}

void via_drv_mark_broken(struct via_drv_ring *drv)
{
	drv->broken = true;
}
