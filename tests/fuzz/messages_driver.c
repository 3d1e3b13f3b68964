/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our front-end and driver (lib/driver) against a back-end that answers anything, late, in pieces, or not at
 * all, and then uses the rings, or not. Descriptors are as many as before, and a driver that gave a back-end up
 * takes the next one.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/driver.h>

#include "base/base.h"
#include "net/net.h"
#include "tests/fuzz/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pool.h"
#include "tests/fuzz/wire.h"
#include "vhost/message.h"

#define MAX_OPS 64

static struct input in;
static struct via_driver *driver;
static struct via_burst *burst;
static struct via_queue_stats stats;
static uint16_t pairs;
static struct {
	struct vu_header header;
	uint8_t payload[512];
} asked; /* the request that waits for an answer; 0: none */

static int on_open_socket(void *user, const char *path, bool server, struct via_error *err)
{
	const int fd = wire_connect(err);

	(void)user;
	(void)path;
	(void)server;
	if (fd >= 0)
		memset(&asked, 0, sizeof(asked));
	return fd;
}

static void on_pair(void *user, uint32_t pair)
{
	(void)user;
	via_driver_call_fd(driver, pair);
}

static const struct via_driver_events events = {
	.pair_changed = on_pair,
	.open_socket = on_open_socket,
};

/* ---- the back-end ---- */

/* Reads a request, closing what comes with it. False if there is none. */
static bool read_request(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { &asked.header, sizeof(asked.header) };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	if (wire.peer < 0 ||
	    recvmsg(wire.peer, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(asked.header))
		return false;
	for (c = CMSG_FIRSTHDR(&hdr); c; c = CMSG_NXTHDR(&hdr, c))
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	INSIST((asked.header.flags & VU_VERSION_MASK) == VU_VERSION);
	INSIST(asked.header.request > 0 && asked.header.request < VU_NR_REQUESTS);
	INSIST(asked.header.size <= sizeof(asked.payload));
	if (asked.header.size)
		INSIST(recv(wire.peer, asked.payload, asked.header.size, MSG_DONTWAIT) ==
		       (ssize_t)asked.header.size);
	return true;
}

static void reply(uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	uint8_t bytes[sizeof(struct vu_header) + 64];
	const struct vu_header header = { request, flags, size };

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), payload, size);
	if (wire.peer >= 0)
		pool_send(wire.peer, bytes, sizeof(header) + size, NULL, 0);
}

static bool is_to_be_answered(void)
{
	switch (asked.header.request) {
	case VU_GET_FEATURES:
	case VU_GET_PROTOCOL_FEATURES:
	case VU_GET_QUEUE_NUM:
	case VU_GET_STATUS:
	case VU_GET_VRING_BASE:
		return true;
	default:
		return asked.header.flags & VU_NEED_REPLY_MASK;
	}
}

/* Answers as a back-end should, with numbers of the input's. */
static void answer(uint8_t how)
{
	uint64_t value = 0;
	uint32_t size = 8;

	switch (asked.header.request) {
	case VU_GET_FEATURES:
		value = VIA_BIT(VIRTIO_F_VERSION_1) | VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
			(uint64_t)(in_u8(&in) & 7) << 34 | (uint64_t)in_u32(&in);
		break;
	case VU_GET_PROTOCOL_FEATURES:
		value = VIA_BIT(VU_PROTOCOL_MQ) | VIA_BIT(VU_PROTOCOL_REPLY_ACK) | in_u32(&in);
		break;
	case VU_GET_QUEUE_NUM:
		value = how & 1 ? in_u16(&in) : 2;
		break;
	case VU_GET_VRING_BASE:
		value = asked.payload[0];
		break;
	case VU_GET_STATUS:
		value = how & 1 ? in_u8(&in) : 0xf;
		break;
	default:
		break;
	}
	reply(asked.header.request, VU_VERSION | VU_REPLY_MASK, &value, size);
}

/* Serves what was asked, for as long as it goes well. */
static void op_serve(void)
{
	const uint8_t how = in_u8(&in);

	for (int i = 0; i < 1 + (how >> 1) && i < 64; i++) {
		wire_turn();
		if (!read_request())
			return;
		if (is_to_be_answered())
			answer(how);
	}
	wire_turn();
}

/* Answers wrongly. */
static void op_misanswer(void)
{
	const uint8_t how = in_u8(&in);
	uint64_t value[4] = { in_u64(&in), in_u32(&in), in_u8(&in), 0 };
	uint32_t request, flags = VU_VERSION | VU_REPLY_MASK, size = 8;

	wire_turn();
	read_request();
	request = asked.header.request;
	if (how & 1)
		request = in_u8(&in);
	if (how & 2)
		flags = in_u8(&in);
	if (how & 4)
		size = in_u8(&in) & 31;
	reply(request, flags, value, size);
	wire_turn();
}

static void op_bytes(void)
{
	const uint8_t how = in_u8(&in);
	uint8_t bytes[16];
	int fds[2] = { pool_fd(how % POOL_NR), pool_fd(POOL_EVENTFD) };

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = in_u8(&in);
	if (wire.peer >= 0)
		pool_send(wire.peer, bytes, 1 + (how & 15), fds,
			  how & 0x40 ? 1 + (how >> 4 & 1) : 0);
	wire_turn();
}

/* ---- a worker, the clock, the end of a connection ---- */

static void op_worker(void)
{
	const uint8_t how = in_u8(&in);
	struct via_view view = { .len = 60, .snapshot_len = 60 };
	struct via_view *views[] = { &view };

	const uint32_t pair = (how >> 2 & 1) % pairs;

	INSIST(via_driver_pairs(driver) <= pairs);
	switch (how & 3) {
	case 0:
		via_driver_ingress(driver, pair, burst, 64, &stats);
		via_driver_ingress_release(driver, pair, how >> 4);
		break;
	case 1:
		via_driver_egress(driver, pair, views, 1, how & 8, &stats);
		break;
	case 2:
		via_driver_arm(driver, pair);
		break;
	default:
		via_driver_disarm(driver, pair);
	}
}

static void on_line(void *user, const char *key, const char *value)
{
	(void)user;
	INSIST(key && value);
}

static void op_world(void)
{
	const uint8_t how = in_u8(&in);

	switch (how & 3) {
	case 0:
		clock_passes(how >> 2);
		break;
	case 1:
		clock_passes(6000);
		break;
	case 2:
		wire_hang_up();
		break;
	default:
		via_driver_describe(driver, on_line, NULL);
	}
	wire_turn();
}

/* ---- a run ---- */

static void open_driver(void)
{
	const uint8_t how = in_u8(&in);
	const struct via_driver_config config = {
		.name = "up",
		.path = "/nowhere",
		.queue_pairs = pairs = (uint16_t)(1 + (how & 1)),
		.queue_size = (uint16_t)(2 << (how >> 1 & 7)),
		.features_off = how & 16 ? VIA_BIT(VIRTIO_F_RING_PACKED) : 0,
		.polling = how & 32,
		.events = &events,
	};

	wire.refuses = false;
	memset(&stats, 0, sizeof(stats));
	INSIST(via_driver_open(&driver, wire.loop, &config, NULL) == 0);
	wire_turn();
}

static void close_driver(void)
{
	wire.closed = false;
	wire.refuses = true;
	via_driver_close(driver, wire_on_closed, NULL);
	for (int i = 0; i < 8 && !wire.closed; i++) {
		wire_turn();
		clock_passes(1000); /* a back-end that does not answer is waited for in vain */
	}
	wire_turn();
	INSIST(wire.closed);
	wire_hang_up();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(void) = { op_serve, op_serve,  op_serve, op_misanswer,
					     op_bytes, op_worker, op_world };
	int next_fd;

	if (!wire.loop) {
		INSIST(via_loop_create(&wire.loop, NULL) == 0);
		burst = via_burst_create();
		INSIST(burst);
		pool_open();
	}
	next_fd = pool_next_fd();
	in = (struct input){ data, data + size };
	open_driver();
	for (int i = 0; i < MAX_OPS && in_more(&in); i++)
		ops[in_below(&in, ARRAY_SIZE(ops))]();
	close_driver();
	INSIST(pool_next_fd() == next_fd);
	return 0;
}
