/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user device whose front-end says anything, in any pieces and with any descriptors, and whose guest
 * then uses what was agreed: real sockets, files and mappings, a clock that is a parameter, one thread.
 *
 * Beyond what the sanitizers see: replies are to what was asked, of the protocol's form; descriptors are as
 * many as before; the device serves the next front-end.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/device.h>

#include "base/base.h"
#include "mem/mem.h"
#include "net/net.h"
#include "ring/driver_ring.h"
#include "tests/fuzz/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pool.h"
#include "tests/fuzz/wire.h"
#include "vhost/message.h"

#define MAX_OPS    64
#define QUEUES     5
#define USER_ADDR  UINT64_C(0x7f0000000000)
#define RING_AT(i) ((i)*UINT64_C(0x4000))
#define AVAIL      0x2000
#define USED       0x3000
#define BUFFERS    0x20000

static struct input in;
static struct via_device *dev;
static struct via_burst *burst;
static struct via_queue_stats stats;
static bool reply_ack; /* as far as we know */
static bool truncated; /* the guest does nothing any more: it would fault, as its owner deserves */
static uint16_t ring_size, pairs;
static enum via_ring_format format;
static uint8_t *memory;
static struct via_drv_ring drv[QUEUES];

/* ---- the device's owner ---- */

static int on_open_socket(void *user, const char *path, enum via_device_mode mode,
			  struct via_error *err)
{
	const int small = 4608, fd = wire_connect(err);

	(void)user;
	(void)path;
	(void)mode;
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return fd;
}

static void on_pair(void *user, uint32_t pair)
{
	(void)user;
	INSIST(pair < pairs);
	via_device_kick_fd(dev, pair);
}

static void on_link(void *user, bool up)
{
	(void)user;
	(void)up;
}

static void on_announce(void *user, const uint8_t mac[6])
{
	(void)user;
	(void)mac;
}

static const struct via_device_events events = {
	.pair_changed = on_pair,
	.link_changed = on_link,
	.announce = on_announce,
	.open_socket = on_open_socket,
};

/* ---- messages ---- */

/* The only answer to a request that nobody knows. */
static void check_refusal(uint32_t size, const uint8_t *payload)
{
	uint64_t value;

	INSIST(size == sizeof(value));
	memcpy(&value, payload, sizeof(value));
	INSIST(value != 0);
}

static void read_replies(void)
{
	struct {
		struct vu_header header;
		uint8_t payload[4096];
	} reply;

	while (wire.peer >= 0) {
		ssize_t n = recv(wire.peer, &reply.header, sizeof(reply.header), MSG_DONTWAIT);

		if (n < (ssize_t)sizeof(reply.header))
			return;
		INSIST(reply.header.flags == (VU_VERSION | VU_REPLY_MASK));
		INSIST(reply.header.size <= sizeof(reply.payload));
		if (reply.header.size)
			INSIST(recv(wire.peer, reply.payload, reply.header.size, MSG_DONTWAIT) ==
			       (ssize_t)reply.header.size);
		if (reply.header.request == 0 || reply.header.request >= VU_NR_REQUESTS)
			check_refusal(reply.header.size, reply.payload);
	}
}

static void send_message(uint32_t request, const void *payload, uint32_t size, const int *fds,
			 uint32_t nr_fds)
{
	uint8_t bytes[sizeof(struct vu_header) + 512];
	const struct vu_header header = { request,
					  VU_VERSION | (reply_ack ? VU_NEED_REPLY_MASK : 0), size };

	memcpy(bytes, &header, sizeof(header));
	if (size > 0)
		memcpy(bytes + sizeof(header), payload, size);
	if (wire.peer >= 0)
		pool_send(wire.peer, bytes, sizeof(header) + size, fds, nr_fds);
	wire_turn();
	read_replies();
}

static void send_u64(uint32_t request, uint64_t value)
{
	send_message(request, &value, sizeof(value), NULL, 0);
}

static void send_state(uint32_t request, uint32_t index, uint32_t num)
{
	const struct vu_vring_state state = { index, num };

	send_message(request, &state, sizeof(state), NULL, 0);
}

static uint32_t pick_fds(int fds[16])
{
	const uint8_t how = in_u8(&in);
	uint32_t n = how & 0x80 ? how & 15 : how & 0x40 ? 0 : 1;

	for (uint32_t i = 0; i < n; i++)
		fds[i] = pool_fd(n == 1 ? (how & 15) % POOL_NR : in_below(&in, POOL_NR));
	return n;
}

/* A number that means something somewhere. */
static uint64_t pick_number(void)
{
	static const uint64_t numbers[] = {
		0,
		1,
		2,
		3,
		4,
		5,
		8,
		16,
		64,
		255,
		256,
		257,
		0x1000,
		0x4000,
		0x20000,
		POOL_MEMORY_SIZE,
		USER_ADDR,
		USER_ADDR + 0x1000,
		UINT32_MAX,
		UINT64_MAX,
		UINT64_MAX - 4095,
		1ull << 32,
		1ull << 30,
		1ull << 34,
	};
	const uint8_t which = in_u8(&in);

	if (which < 2 * ARRAY_SIZE(numbers))
		return numbers[which / 2] + (which & 1 ? in_u8(&in) : 0);
	return which < 200 ? in_u16(&in) : in_u64(&in);
}

static void fill_payload(uint8_t *payload, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += 8) {
		uint64_t number = pick_number();

		if (in_bool(&in)) /* two numbers */
			number = (uint32_t)number | pick_number() << 32;
		memcpy(payload + at, &number, size - at < 8 ? size - at : 8);
	}
}

/* Any message: a known request or none, numbers where numbers are, descriptors or none. */
static void op_message(void)
{
	static const uint16_t sizes[] = { 0, 8, 8, 8, 12, 16, 20, 24, 40, 40, 72, 268 };
	const uint32_t request = in_u8(&in) % (VU_NR_REQUESTS + 3);
	const uint8_t how = in_u8(&in);
	uint32_t size = sizes[(how & 15) % ARRAY_SIZE(sizes)] + (how & 0x10 ? in_below(&in, 5) : 0);
	uint8_t bytes[sizeof(struct vu_header) + 512] = { 0 };
	struct vu_header header = { request, VU_VERSION, size };
	int fds[16];
	uint32_t nr_fds;

	if (how & 0x20)
		header.flags |= VU_NEED_REPLY_MASK;
	if ((how & 0xc0) == 0x40)
		header.flags = in_u8(&in);
	if ((how & 0xc0) == 0x80)
		header.size = (uint32_t)pick_number();
	fill_payload(bytes + sizeof(header), size);
	nr_fds = pick_fds(fds);
	memcpy(bytes, &header, sizeof(header));
	if (wire.peer >= 0)
		pool_send(wire.peer, bytes, sizeof(header) + size, fds, nr_fds);
}

/* Some bytes, with descriptors: what comes of a message that is cut. */
static void op_bytes(void)
{
	uint8_t bytes[32];
	const uint32_t n = 1 + in_below(&in, sizeof(bytes));
	int fds[16];
	uint32_t nr_fds = pick_fds(fds);

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = in_u8(&in);
	if (wire.peer >= 0)
		pool_send(wire.peer, bytes, n, fds, nr_fds);
}

/* ---- what a front-end says that means it ---- */

static struct vu_region whole_memory(uint64_t size)
{
	return (struct vu_region){ .gpa = 0, .size = size, .user_addr = USER_ADDR };
}

static void op_memory(void)
{
	const uint8_t how = in_u8(&in);
	struct vu_regions regions = { .nr_regions = 1 };
	const int fd = pool_fd(how & 1 ? POOL_UNSEALABLE : POOL_MEMORY);
	int fds[2] = { fd, pool_fd(POOL_SHORT) };

	memory = pool_memory(how & 1 ? POOL_UNSEALABLE : POOL_MEMORY);
	regions.region[0] = whole_memory(POOL_MEMORY_SIZE);
	if (how & 2) { /* adjacent for the guest only */
		regions.nr_regions = 2;
		regions.region[1] = (struct vu_region){ POOL_MEMORY_SIZE, 4096,
							USER_ADDR + POOL_MEMORY_SIZE, 0 };
	}
	send_message(VU_SET_MEM_TABLE, &regions, 8 + 32 * regions.nr_regions, fds,
		     regions.nr_regions);
}

static void op_region(void)
{
	const uint8_t how = in_u8(&in);
	struct vu_single_region single = { .region = { 0x100000, 4096, USER_ADDR + 0x100000, 0 } };
	int fd = pool_fd(POOL_SHORT);

	single.region.gpa += (how >> 2) * UINT64_C(0x1000);
	single.region.user_addr += (how >> 2) * UINT64_C(0x1000);
	send_message(how & 1 ? VU_REM_MEM_REG : VU_ADD_MEM_REG, &single, sizeof(single), &fd,
		     how & 2 ? 0 : 1);
}

static uint64_t offered_features(void)
{
	uint64_t features = VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	const uint8_t how = in_u8(&in);

	if (how & 1)
		features |= VIA_BIT(VIRTIO_F_RING_PACKED);
	if (how & 2)
		features |= VIA_BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (how & 4)
		features |= VIA_BIT(VIRTIO_F_EVENT_IDX) | VIA_BIT(VIRTIO_F_INDIRECT_DESC);
	if (how & 8)
		features |= VIA_BIT(VIRTIO_NET_F_MQ) | VIA_BIT(VIRTIO_NET_F_CTRL_VQ) |
			    VIA_BIT(VIRTIO_NET_F_CTRL_RX) | VIA_BIT(VIRTIO_NET_F_CTRL_VLAN) |
			    VIA_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
	if (how & 16)
		features |= VIA_BIT(VIRTIO_NET_F_CSUM) | VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) |
			    VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_HOST_TSO4) |
			    VIA_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (how & 32)
		features |= VIA_BIT(VIRTIO_F_IN_ORDER);
	if (how & 64)
		features |= VIA_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | VIA_BIT(VIRTIO_NET_F_STATUS);
	format = how & 1 ? VIA_RING_PACKED : VIA_RING_SPLIT;
	return features;
}

static void op_negotiate(void)
{
	const uint64_t features = offered_features();

	send_message(VU_SET_OWNER, NULL, 0, NULL, 0);
	send_message(VU_GET_FEATURES, NULL, 0, NULL, 0);
	send_message(VU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	send_u64(VU_SET_PROTOCOL_FEATURES,
		 in_more(&in) ? in_u32(&in)
			      : VIA_BIT(VU_PROTOCOL_REPLY_ACK) | VIA_BIT(VU_PROTOCOL_MQ));
	reply_ack = true;
	send_u64(VU_SET_FEATURES, features);
}

static void driver_init(uint32_t i)
{
	const struct via_drv_config config = {
		.format = format,
		.size = ring_size,
		.desc = memory + RING_AT(i),
		.avail = memory + RING_AT(i) + AVAIL,
		.used = memory + RING_AT(i) + USED,
	};

	via_drv_free(&drv[i]);
	if (truncated || via_drv_init(&drv[i], &config, NULL) < 0)
		memset(&drv[i], 0, sizeof(drv[i]));
}

static void op_queue(void)
{
	const uint8_t how = in_u8(&in);
	const uint32_t i = how % QUEUES;
	const uint64_t user = USER_ADDR + RING_AT(i), index = i;
	const struct vu_vring_addr addr = {
		.index = i, .desc = user, .avail = user + AVAIL, .used = user + USED
	};
	int kick = pool_fd(POOL_EVENTFD), call = pool_fd(how & 64 ? POOL_PIPE : POOL_OTHER_EVENTFD);

	driver_init(i);
	send_state(VU_SET_VRING_NUM, i, ring_size);
	send_state(VU_SET_VRING_BASE, i, format == VIA_RING_PACKED ? 0x80008000 : 0);
	send_message(VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	send_message(VU_SET_VRING_CALL, &index, 8, &call, 1);
	send_message(VU_SET_VRING_ERR, &index, 8, &call, 1);
	send_message(VU_SET_VRING_KICK, &index, 8, &kick, 1);
	send_state(VU_SET_VRING_ENABLE, i, 1);
}

static void op_say(void)
{
	const uint8_t how = in_u8(&in);
	const uint32_t i = how % QUEUES;

	switch (how >> 5) {
	case 0:
		send_state(VU_GET_VRING_BASE, i, 0);
		break;
	case 1:
		send_state(VU_SET_VRING_ENABLE, i, how >> 4 & 1);
		break;
	case 2:
		send_state(VU_VRING_KICK, i, 0);
		break;
	case 3:
		send_u64(VU_SET_STATUS, in_u8(&in));
		break;
	case 4:
		send_u64(VU_NET_SET_MTU, in_u16(&in));
		break;
	case 5:
		send_message(VU_RESET_DEVICE, NULL, 0, NULL, 0);
		break;
	case 6:
		send_u64(VU_SET_FEATURES, offered_features());
		break;
	default:
		send_u64(VU_SEND_RARP, in_u32(&in));
	}
}

static void op_start(void)
{
	op_negotiate();
	op_memory();
	op_queue();
	op_queue();
}

/* ---- what the guest and a worker do ---- */

static void op_guest(void)
{
	const uint8_t how = in_u8(&in);
	struct via_drv_ring *ring = &drv[how % QUEUES];
	const uint32_t n = 1 + (how >> 6);
	struct via_drv_buffer buf[4];

	if (!ring->slot || truncated)
		return;
	for (uint32_t i = 0; i < n; i++)
		buf[i] = (struct via_drv_buffer){ BUFFERS + (in_u8(&in) % 64) * 2048u,
						  16 + in_u16(&in) % 2048 };
	if (format == VIA_RING_PACKED) {
		drv_add(ring, buf, how & 32 ? n : 0, how & 32 ? 0 : n, VIA_DRV_DIRECT, NULL,
			VIA_RING_PACKED);
		drv_publish(ring, VIA_RING_PACKED);
	} else {
		drv_add(ring, buf, how & 32 ? n : 0, how & 32 ? 0 : n, VIA_DRV_DIRECT, NULL,
			VIA_RING_SPLIT);
		drv_publish(ring, VIA_RING_SPLIT);
	}
}

/* A command on the control queue, readable, and a byte for the answer. */
static void op_command(void)
{
	struct via_drv_ring *ring = &drv[in_bool(&in) ? 2 : 4];
	const struct via_drv_buffer buf[2] = { { BUFFERS, 2 + in_below(&in, 32) },
					       { BUFFERS + 4096, 1 } };
	const uint64_t one = 1;

	if (!ring->slot || truncated)
		return;
	for (uint32_t i = 0; i < 20; i++)
		memory[BUFFERS + i] = in_u8(&in) & 15;
	if (format == VIA_RING_PACKED) {
		drv_add(ring, buf, 1, 1, VIA_DRV_DIRECT, NULL, VIA_RING_PACKED);
		drv_publish(ring, VIA_RING_PACKED);
	} else {
		drv_add(ring, buf, 1, 1, VIA_DRV_DIRECT, NULL, VIA_RING_SPLIT);
		drv_publish(ring, VIA_RING_SPLIT);
	}
	INSIST(write(pool_fd(POOL_EVENTFD), &one, 8) == 8);
	wire_turn();
}

static void op_scribble(void)
{
	const uint32_t at = in_u16(&in) % (POOL_MEMORY_SIZE / 2 - 8) * 2u;
	const uint16_t value = in_u16(&in);

	if (!truncated)
		memcpy(memory + at, &value, sizeof(value));
}

static void op_worker(void)
{
	const uint8_t how = in_u8(&in);
	const uint32_t pair = (how & 1) % pairs;
	struct via_view view = { .len = 60, .snapshot_len = 60, .flow = how };
	struct via_view *views[] = { &view };

	switch (how >> 1 & 7) {
	case 0:
	case 1:
		via_device_ingress(dev, pair, burst, 64, &stats);
		via_device_ingress_release(dev, pair, how >> 6);
		break;
	case 2:
	case 3:
		if (via_device_wants(dev, &view))
			via_device_egress(dev, pair, views, 1, how & 64, &stats);
		break;
	case 4:
		via_device_arm(dev, pair);
		break;
	case 5:
		via_device_disarm(dev, pair);
		break;
	case 6:
		INSIST(via_device_steer(dev, how * 2654435761u) < (int)pairs);
		break;
	default:
		via_device_announce(dev);
	}
}

/* ---- the world ---- */

static void on_line(void *user, const char *key, const char *value)
{
	(void)user;
	INSIST(key && value && strlen(value) < 4096);
}

static void op_world(void)
{
	const uint8_t how = in_u8(&in);

	switch (how & 7) {
	case 0:
		clock_passes(how >> 3);
		break;
	case 1:
		clock_passes(6000);
		break;
	case 2:
		wire_hang_up();
		reply_ack = false;
		break;
	case 3:
		via_device_describe(dev, on_line, NULL);
		break;
	case 4:
		pool_truncate((how >> 3) * 4096u);
		truncated = true;
		break;
	default:
		read_replies();
	}
	wire_turn();
}

static void op_turn(void)
{
	wire_turn();
}

/* ---- a run ---- */

static void set_up_once(void)
{
	if (wire.loop)
		return;
	INSIST(via_guard_install(NULL) == 0);
	INSIST(via_loop_create(&wire.loop, NULL) == 0);
	burst = via_burst_create();
	INSIST(burst);
	pool_open();
}

static void open_device(void)
{
	const uint8_t how = in_u8(&in);
	const struct via_device_config config = {
		.name = "vm",
		.path = "/nowhere",
		.mode = VIA_DEVICE_CLIENT,
		.queue_pairs = pairs = (uint16_t)(1 + (how & 1)),
		.inband = how & 2,
		.control_queue = how & 4,
		.sealed_only = how & 8,
		.mtu = how & 16 ? 1500 : 0,
		.has_mac = how & 32,
		.mac = { 2, 0, 0, 0, 0, 1 },
		.events = &events,
	};

	ring_size = (uint16_t)(1 << (how >> 6) * 2);
	wire.refuses = truncated = false;
	reply_ack = false;
	memory = pool_memory(POOL_MEMORY);
	memset(&stats, 0, sizeof(stats));
	INSIST(via_device_open(&dev, wire.loop, &config, NULL) == 0);
	wire_turn();
}

static void close_device(void)
{
	wire.refuses = true;
	wire.closed = false;
	via_device_close(dev, wire_on_closed, NULL);
	wire_turn();
	INSIST(wire.closed);
	wire_hang_up();
	for (uint32_t i = 0; i < QUEUES; i++)
		via_drv_free(&drv[i]);
	pool_truncate(POOL_MEMORY_SIZE);
	memset(pool_memory(POOL_MEMORY), 0, QUEUES * RING_AT(1));
	memset(pool_memory(POOL_UNSEALABLE), 0, QUEUES * RING_AT(1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(void) = {
		op_message,  op_message, op_message, op_bytes,  op_memory, op_region, op_negotiate,
		op_queue,    op_say,     op_say,     op_start,  op_guest,  op_guest,  op_command,
		op_scribble, op_worker,  op_worker,  op_worker, op_world,  op_turn,
	};
	int next_fd;

	set_up_once();
	next_fd = pool_next_fd();
	in = (struct input){ data, data + size };
	open_device();
	for (int i = 0; i < MAX_OPS && in_more(&in); i++)
		ops[in_below(&in, ARRAY_SIZE(ops))]();
	wire_turn();
	close_device();
	INSIST(pool_next_fd() == next_fd);
	return 0;
}
