/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver's control queue, for the programs that test lib/vhost/control_queue.c: a front-end with two pairs. */
#ifndef VIA_TEST_CONTROL_H
#define VIA_TEST_CONTROL_H

#include <string.h>

#include "tests/protocol/frontend.h"

#define CONTROL_FEATURES                                                              \
	(FE_SPLIT | VIA_BIT(VIRTIO_NET_F_MQ) | VIA_BIT(VIRTIO_NET_F_CTRL_VQ) |        \
	 VIA_BIT(VIRTIO_NET_F_CTRL_RX) | VIA_BIT(VIRTIO_NET_F_CTRL_VLAN) |            \
	 VIA_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
	 VIA_BIT(VIRTIO_NET_F_STATUS) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |            \
	 VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
#define CONTROL 4 /* its index with two pairs */

enum { OK = 0, ERR = 1, NO_ANSWER = 0x77 };

/* For each case: fe_setup() of such a device. */
static inline int control_setup(void **state)
{
	const struct via_device_config config = { .queue_pairs = 2,
						  .control_queue = true,
						  .has_mac = true,
						  .mac = { 2, 0, 0, 0, 0, 1 } };

	return fe_setup_with(state, &config);
}

/* The driver gives its 'nr'-th command, of up to 64 bytes, and does not kick. Returns where its answer will
 * be. The ring is a split one. */
static inline uint8_t *control_offer(struct frontend *fe, uint32_t nr, const uint8_t *bytes,
				     uint32_t len)
{
	struct fe_queue *q = &fe->queue[CONTROL];
	const uint64_t at = FE_BUFFERS + 128 * (uint64_t)nr;
	const struct via_drv_buffer buf[2] = { { at, len }, { at + 64, 1 } };
	uint8_t *ack = fe->mem + at + 64;

	memcpy(fe->mem + at, bytes, len);
	*ack = NO_ANSWER;
	assert_int_equal(drv_add(&q->drv, buf, 1, 1, VIA_DRV_DIRECT, NULL, VIA_RING_SPLIT), 0);
	drv_publish(&q->drv, VIA_RING_SPLIT);
	return ack;
}

static inline void control_kick(struct frontend *fe)
{
	const uint64_t one = 1;

	assert_int_equal(write(fe->queue[CONTROL].kick, &one, sizeof(one)), sizeof(one));
}

#endif
