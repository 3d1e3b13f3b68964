/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue with both its sides in one thread, for tests of what goes through it: our driver's ring,
 * the device's queue, and guest memory in two regions that are adjacent for the guest only.
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/net.h"
#include "ring/driver_ring.h"
#include "ring/vq.h"
#include "tests/test.h"

#define RIG_GPA    UINT64_C(0x100000)
#define RIG_REGION (4u << 20) /* bytes of each of the two regions */

struct rig {
	enum via_ring_format format;
	struct via_mem *mem;
	uint64_t next; /* gpa of the next buffer */
	void *desc, *avail, *used;
	struct via_ring ring;
	struct via_vq vq;
	struct via_drv_ring drv;
	struct via_vq_net net;
	struct via_queue_stats stats;
};

struct rig_config {
	enum via_ring_format format;
	uint16_t size;
	uint64_t features; /* of the device, for the virtio-net header */
	bool in_order, event_idx;
};

static inline void rig_map(struct rig *rig)
{
	rig->mem = calloc(1, sizeof(*rig->mem) + 2 * sizeof(struct via_region));
	rig->mem->nr_regions = 2;
	for (uint32_t i = 0; i < 2; i++)
		rig->mem->region[i] = (struct via_region){
			.gpa = RIG_GPA + i * RIG_REGION,
			.size = RIG_REGION,
			.host = malloc(RIG_REGION),
		};
}

/* Tables for indirect chains, for rings of up to 256, are in the first half of the first region. */
static inline void rig_init(struct rig *rig, const struct rig_config *config)
{
	struct via_ring_sizes sizes = via_ring_sizes(config->format, config->size);
	struct via_drv_config drv = {
		.format = config->format,
		.size = config->size,
		.event_idx = config->event_idx,
		.in_order = config->in_order,
		.tables_addr = RIG_GPA,
		.table_size = 256,
	};

	*rig = (struct rig){ .format = config->format, .next = RIG_GPA + RIG_REGION / 2 };
	rig_map(rig);
	drv.desc = rig->desc = aligned_alloc(64, (sizes.desc + 63) / 64 * 64);
	drv.avail = rig->avail = malloc(sizes.avail);
	drv.used = rig->used = malloc(sizes.used);
	if (config->size <= 256)
		drv.tables = rig->mem->region[0].host;
	assert_int_equal(via_drv_init(&rig->drv, &drv, NULL), 0);
	rig->ring = (struct via_ring){
		.mem = rig->mem,
		.format = config->format,
		.size = config->size,
		.event_idx = config->event_idx,
		.indirect = true,
		.in_order = config->in_order,
		.features = config->features,
		.kick_fd = -1,
		.call_fd = eventfd(0, EFD_NONBLOCK),
		.enabled = true,
	};
	if (config->format == VIA_RING_PACKED) {
		rig->ring.packed.desc = rig->desc;
		rig->ring.packed.driver = rig->avail;
		rig->ring.packed.device = rig->used;
	} else {
		rig->ring.split.desc = rig->desc;
		rig->ring.split.avail = rig->avail;
		rig->ring.split.used = rig->used;
	}
	rig->net = via_vq_net_of(config->features);
	via_vq_start(&rig->vq, &rig->ring, (struct via_ring_pos){ .wrap = true },
		     (struct via_ring_pos){ .wrap = true });
}

static inline void rig_end(struct rig *rig)
{
	via_drv_free(&rig->drv);
	close(rig->ring.call_fd);
	free(rig->desc);
	free(rig->avail);
	free(rig->used);
	free(rig->mem->region[0].host);
	free(rig->mem->region[1].host);
	free(rig->mem);
}

/* How often the driver was called since last asked. */
static inline uint64_t rig_calls(struct rig *rig)
{
	uint64_t n = 0;

	return read(rig->ring.call_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Copies between guest memory, across the seam, and 'bytes'. */
static inline void rig_copy(struct rig *rig, uint64_t gpa, void *bytes, uint32_t len, bool to_guest)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t at = gpa + i - RIG_GPA;
		uint8_t *host = rig->mem->region[at / RIG_REGION].host + at % RIG_REGION;

		if (to_guest)
			*host = ((uint8_t *)bytes)[i];
		else
			((uint8_t *)bytes)[i] = *host;
	}
}

/* Room for 'len' bytes in guest memory, filled with a pattern. Starts over when memory ends: tests do
 * not have that much outstanding. */
static inline uint64_t rig_alloc(struct rig *rig, uint32_t len)
{
	uint64_t gpa = rig->next;

	if (gpa + len > RIG_GPA + 2ul * RIG_REGION)
		gpa = RIG_GPA + RIG_REGION / 2;
	for (uint32_t i = 0; i < len; i++)
		rig_copy(rig, gpa + i, &(uint8_t){ 0xa5 }, 1, true);
	rig->next = gpa + len;
	return gpa;
}

/* Takes back what the device has used. Returns -1 if there is nothing. */
static inline int rig_reap(struct rig *rig, struct via_drv_done *done)
{
	int ret;

	*done = (struct via_drv_done){ 0 };
	ret = drv_reap(&rig->drv, done, rig->format);

	assert_true(ret >= 0);
	return ret == 1 ? 0 : -1;
}

#define RIG_FORMATS(format) \
	for (enum via_ring_format format = VIA_RING_SPLIT; format <= VIA_RING_PACKED; format++)

#endif
