/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which pair of a guest a flow goes to: the one on which the guest last sent that flow (VN-16), so that
 * the answer arrives where the question came from; else one by hash. Only pairs whose RX queue runs and
 * is enabled. A fixed table of flows: colliding ones share a place, the last speaker has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/vhost.h"

int vu_steer_init(struct via_device *dev, struct via_error *err)
{
	if (vu_pairs(dev) == 1)
		return 0;
	dev->steer.flow = calloc(VU_NR_FLOWS, sizeof(*dev->steer.flow));
	return dev->steer.flow ? 0 : via_fail(err, -ENOMEM, "no memory for a flow table");
}

void vu_steer_forget(struct via_device *dev)
{
	if (!dev->steer.flow)
		return;
	for (uint32_t i = 0; i < VU_NR_FLOWS; i++)
		atomic_store_explicit(&dev->steer.flow[i], 0, memory_order_relaxed);
}

void vu_steer_update(struct via_device *dev)
{
	struct vu_steer *s = &dev->steer;
	uint64_t runs[2] = { 0 };
	uint16_t nr = 0;

	for (uint8_t pair = 0; pair < vu_pairs(dev); pair++) {
		const struct vu_queue *rx = &dev->queue[2 * pair];

		if (!rx->ring || !rx->ring->ring.enabled || rx->index == vu_control_index(dev))
			continue;
		runs[pair / 64] |= VIA_BIT(pair % 64);
		atomic_store_explicit(&s->pair[nr++], pair, memory_order_relaxed);
	}
	for (int i = 0; i < 2; i++)
		atomic_store_explicit(&s->runs[i], runs[i], memory_order_relaxed);
	atomic_store_explicit(&s->nr, nr, memory_order_relaxed);
}

VIA_EXPORT int via_device_steer(struct via_device *dev, uint32_t flow)
{
	struct vu_steer *s = &dev->steer;
	uint16_t nr = atomic_load_explicit(&s->nr, memory_order_relaxed);
	uint8_t pair = 0;

	if (nr == 0)
		return -1;
	if (s->flow)
		pair = atomic_load_explicit(&s->flow[flow % VU_NR_FLOWS], memory_order_relaxed);
	if (pair && via_has(atomic_load_explicit(&s->runs[(pair - 1) / 64], memory_order_relaxed),
			    (pair - 1) % 64))
		return pair - 1;
	return atomic_load_explicit(&s->pair[flow % nr], memory_order_relaxed);
}

VIA_EXPORT void via_device_steer_learn(struct via_device *dev, uint32_t flow, uint32_t pair)
{
	_Atomic(uint8_t) *place;
	const uint8_t value = (uint8_t)(pair + 1);

	if (!dev->steer.flow)
		return;
	place = &dev->steer.flow[flow % VU_NR_FLOWS];
	/* Written only when it changes: all workers read this line. */
	if (atomic_load_explicit(place, memory_order_relaxed) != value)
		atomic_store_explicit(place, value, memory_order_relaxed);
}
