/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's memory regions.
 *
 * Every change makes a new table aside, validated as a whole (lib/mem: VU-30 to VU-32), and swaps it in.
 * Rings that run are published anew with their addresses in the new table; those that are not in it any
 * more stop, and start by themselves where they were once they are (VU-33, VU-34). The old table goes
 * after a grace period, before the message is acknowledged.
 */
#include <errno.h>
#include <stdlib.h>

#include "vhost/vhost.h"

static void memory_free(struct vu_retired *retired)
{
	struct vu_memory *memory = via_container_of(retired, struct vu_memory, retired);

	via_mem_free(memory->mem);
	free(memory);
}

static struct vu_memory *memory_create(struct via_error *err)
{
	struct vu_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		via_fail(err, -ENOMEM, "no memory for a memory table");
	else
		memory->retired.free = memory_free;
	return memory;
}

static enum via_mem_policy policy_of(const struct via_device *dev)
{
	return dev->config.sealed_only ? VIA_MEM_SEALED : VIA_MEM_GUARDED;
}

static struct via_region_desc desc_of(const struct vu_region *region)
{
	return (struct via_region_desc){
		.gpa = region->gpa,
		.size = region->size,
		.user_addr = region->user_addr,
		.mmap_offset = region->mmap_offset,
	};
}

/* NULL takes all memory away. */
static void publish(struct via_device *dev, struct vu_memory *memory)
{
	if (dev->memory)
		vu_retire(dev, &dev->memory->retired);
	dev->memory = memory;
	if (memory)
		vu_queues_refresh(dev);
	vu_queues_reconsider(dev);
}

void vu_memory_drop(struct via_device *dev)
{
	publish(dev, NULL);
}

/* After a lib/mem call: the descriptors are its own on success. */
static int finish(struct via_device *dev, struct vu_msg *msg, struct vu_memory *memory, int ret)
{
	if (ret < 0) {
		free(memory);
		return ret;
	}
	for (uint32_t i = 0; i < msg->nr_fds; i++)
		vu_msg_take_fd(msg, i);
	publish(dev, memory);
	return 0;
}

int vu_set_mem_table(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	struct via_region_desc descs[VU_MAX_REGIONS];
	struct vu_memory *memory = memory_create(err);
	const uint32_t n = msg->payload.memory.nr_regions;

	if (!memory)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		descs[i] = desc_of(&msg->payload.memory.region[i]);
	return finish(dev, msg, memory,
		      via_mem_create(&memory->mem, descs, msg->fd, n, policy_of(dev), err));
}

int vu_get_max_mem_slots(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	(void)msg;
	(void)err;
	dev->reply.payload.u64 = VIA_MEM_MAX_REGIONS;
	dev->reply.header.size = sizeof(uint64_t);
	return 0;
}

int vu_add_mem_reg(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct via_region_desc desc = desc_of(&msg->payload.single.region);
	struct vu_memory *memory = memory_create(err);
	int ret;

	if (!memory)
		return -ENOMEM;
	ret = dev->memory ? via_mem_add(&memory->mem, dev->memory->mem, &desc, msg->fd[0],
					policy_of(dev), err)
			  : via_mem_create(&memory->mem, &desc, msg->fd, 1, policy_of(dev), err);
	return finish(dev, msg, memory, ret);
}

int vu_rem_mem_reg(struct via_device *dev, struct vu_msg *msg, struct via_error *err)
{
	const struct via_region_desc desc = desc_of(&msg->payload.single.region);
	struct vu_memory *memory;
	int ret;

	if (!dev->memory)
		return via_fail(err, -ENOENT, "there is no memory region yet");
	memory = memory_create(err);
	if (!memory)
		return -ENOMEM;
	ret = via_mem_remove(&memory->mem, dev->memory->mem, &desc, err);
	vu_msg_close_fds(msg, dev->discards); /* one is tolerated (§4.2) */
	return finish(dev, msg, memory, ret);
}
