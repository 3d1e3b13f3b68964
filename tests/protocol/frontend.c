/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/protocol/frontend.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <viaduct/log.h>

#include "base/unix.h"

/* ---- the device's owner ---- */

static void on_pair(void *user, uint32_t pair)
{
	struct frontend *fe = user;

	fe->pair_changes[pair % 4]++;
}

static void on_link(void *user, bool up)
{
	struct frontend *fe = user;

	fe->link = up;
	fe->links++;
}

static void on_announce(void *user, const uint8_t mac[6])
{
	struct frontend *fe = user;

	fe->announcements++;
	memcpy(fe->announced, mac, 6);
}

static const struct via_device_events events = {
	.pair_changed = on_pair,
	.link_changed = on_link,
	.announce = on_announce,
};

static void on_closed(void *user)
{
	struct frontend *fe = user;

	fe->closed = true;
}

void fe_open_device(struct frontend *fe, const struct via_device_config *config)
{
	struct via_device_config c = config ? *config : (struct via_device_config){ 0 };
	struct via_error err = { "" };
	int ret;

	c.name = "vm";
	c.path = fe->path;
	c.events = &events;
	c.user = fe;
	ret = via_device_open(&fe->dev, fe->loop, &c, &err);
	if (ret < 0)
		fail_msg("%s", err.text);
}

static void log_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	(void)level;
	print_message("%s\n", line);
}

static void map_memory(struct frontend *fe, unsigned int flags)
{
	fe->mem_fd = test_memfd(FE_MEM_SIZE, flags);
	fe->mem = mmap(NULL, FE_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fe->mem_fd, 0);
	assert_true(fe->mem != MAP_FAILED);
}

void fe_use_unsealable_memory(struct frontend *fe)
{
	munmap(fe->mem, FE_MEM_SIZE);
	close(fe->mem_fd);
	map_memory(fe, 0);
}

void fe_open(struct frontend *fe, const struct via_device_config *config)
{
	via_log_to(getenv("VIADUCT_TEST_LOG") ? log_line : NULL, NULL);
	*fe = (struct frontend){ .fd = -1 };
	snprintf(fe->dir, sizeof(fe->dir), "/tmp/viaduct-test-XXXXXX");
	assert_non_null(mkdtemp(fe->dir));
	snprintf(fe->path, sizeof(fe->path), "%s/vm.sock", fe->dir);
	assert_int_equal(via_loop_create(&fe->loop, NULL), 0);
	fe->burst = via_burst_create();
	assert_non_null(fe->burst);
	map_memory(fe, MFD_ALLOW_SEALING);
	for (uint32_t i = 0; i < FE_QUEUES; i++) {
		fe->queue[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fe->queue[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	fe_open_device(fe, config);
}

static void close_device(struct frontend *fe)
{
	fe->closed = false;
	via_device_close(fe->dev, on_closed, fe);
	fe->dev = NULL;
	/* Where a test has had a worker, grace periods take a thread. */
	for (int i = 0; i < 500 && !fe->closed; i++)
		via_loop_turn(fe->loop, 10);
	assert_true(fe->closed);
}

void fe_reopen_device(struct frontend *fe, const struct via_device_config *config)
{
	if (fe->fd >= 0)
		fe_disconnect(fe);
	close_device(fe);
	fe_open_device(fe, config);
}

void fe_close(struct frontend *fe)
{
	close_device(fe);
	if (fe->fd >= 0)
		close(fe->fd);
	for (uint32_t i = 0; i < FE_QUEUES; i++) {
		close(fe->queue[i].kick);
		close(fe->queue[i].call);
		via_drv_free(&fe->queue[i].drv);
	}
	munmap(fe->mem, FE_MEM_SIZE);
	close(fe->mem_fd);
	via_burst_free(fe->burst);
	via_loop_free(fe->loop);
	assert_int_equal(access(fe->path, F_OK), -1); /* the device has removed it */
	assert_int_equal(rmdir(fe->dir), 0);
}

int fe_setup_with(void **state, const struct via_device_config *config)
{
	static struct frontend fe;

	fe_open(&fe, config);
	*state = &fe;
	return 0;
}

int fe_setup(void **state)
{
	return fe_setup_with(state, NULL);
}

int fe_teardown(void **state)
{
	fe_close(*state);
	return 0;
}

void fe_turn(struct frontend *fe)
{
	struct pollfd p = { .fd = via_loop_fd(fe->loop), .events = POLLIN };

	for (int i = 0; i < 1000 && poll(&p, 1, 0) == 1; i++)
		via_loop_turn(fe->loop, 0);
}

/* ---- messages ---- */

void fe_connect(struct frontend *fe)
{
	struct via_error err = { "" };

	fe->fd = via_unix_connect(fe->path, &err);
	if (fe->fd < 0)
		fail_msg("%s", err.text);
	fe_turn(fe);
}

void fe_disconnect(struct frontend *fe)
{
	close(fe->fd);
	fe->fd = -1;
	fe->protocol = fe->features = 0;
	fe_turn(fe);
}

void fe_send_bytes(struct frontend *fe, const void *bytes, size_t len, const int *fds, uint32_t n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(256 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c;

		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	/* A device that has closed already is what some tests are about. */
	if (sendmsg(fe->fd, &hdr, MSG_NOSIGNAL) < 0)
		return;
}

void fe_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, uint32_t n)
{
	uint8_t bytes[sizeof(struct vu_header) + 1024];
	const struct vu_header header = { request, flags, size };

	assert_true(size <= 1024);
	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	fe_send_bytes(fe, bytes, sizeof(header) + size, fds, n);
}

int fe_recv(struct frontend *fe, struct vu_msg *reply)
{
	ssize_t n;

	memset(reply, 0, sizeof(*reply));
	n = recv(fe->fd, &reply->header, sizeof(reply->header), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return FE_CLOSED;
	assert_int_equal(n, sizeof(reply->header));
	assert_int_equal(reply->header.flags, VU_VERSION | VU_REPLY_MASK); /* VU-01 */
	assert_true(reply->header.size <= sizeof(reply->payload));
	if (reply->header.size)
		assert_int_equal(recv(fe->fd, reply->payload.raw, reply->header.size, MSG_DONTWAIT),
				 reply->header.size);
	return 1;
}

int fe_ack(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
	   const int *fds, uint32_t n)
{
	struct vu_msg reply;
	int ret;

	fe_send(fe, request, VU_VERSION | VU_NEED_REPLY_MASK, payload, size, fds, n);
	fe_turn(fe);
	ret = fe_recv(fe, &reply);
	if (ret <= 0)
		return FE_CLOSED;
	assert_int_equal(reply.header.request, request);
	assert_int_equal(reply.header.size, sizeof(uint64_t));
	return (int)reply.payload.u64;
}

int fe_ack_u64(struct frontend *fe, uint32_t request, uint64_t value)
{
	return fe_ack(fe, request, &value, sizeof(value), NULL, 0);
}

int fe_ack_state(struct frontend *fe, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vu_vring_state state = { index, num };

	return fe_ack(fe, request, &state, sizeof(state), NULL, 0);
}

uint64_t fe_get(struct frontend *fe, uint32_t request)
{
	struct vu_msg reply;

	fe_send(fe, request, VU_VERSION, NULL, 0, NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	assert_int_equal(reply.header.request, request);
	assert_int_equal(reply.header.size, sizeof(uint64_t));
	return reply.payload.u64;
}

uint32_t fe_get_base(struct frontend *fe, uint32_t index)
{
	const struct vu_vring_state state = { index, 0 };
	struct vu_msg reply;

	fe_send(fe, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0);
	fe_turn(fe);
	assert_int_equal(fe_recv(fe, &reply), 1);
	assert_int_equal(reply.header.size, sizeof(state));
	assert_int_equal(reply.payload.state.index, index);
	return reply.payload.state.num;
}

/* ---- negotiation and setup ---- */

void fe_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol)
{
	const uint64_t bit30 = VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	fe_send(fe, VU_SET_OWNER, VU_VERSION, NULL, 0, NULL, 0);
	fe->features = features & fe_get(fe, VU_GET_FEATURES);
	if (fe->features & bit30) {
		fe->protocol = protocol & fe_get(fe, VU_GET_PROTOCOL_FEATURES);
		fe_send(fe, VU_SET_PROTOCOL_FEATURES, VU_VERSION, &fe->protocol,
			sizeof(fe->protocol), NULL, 0);
	}
	fe_send(fe, VU_SET_FEATURES, VU_VERSION, &fe->features, sizeof(fe->features), NULL, 0);
	fe_turn(fe);
}

struct vu_region fe_region(void)
{
	return (struct vu_region){ .size = FE_MEM_SIZE, .user_addr = FE_USER_ADDR };
}

int fe_set_memory(struct frontend *fe)
{
	const struct vu_regions table = { .nr_regions = 1, .region = { fe_region() } };

	return fe_ack(fe, VU_SET_MEM_TABLE, &table, 8 + sizeof(struct vu_region), &fe->mem_fd, 1);
}

int fe_set_notifier(struct frontend *fe, uint32_t request, uint32_t i, int fd)
{
	const uint64_t word = i | (fd < 0 ? VU_VRING_NOFD_MASK : 0);

	return fe_ack(fe, request, &word, sizeof(word), &fd, fd < 0 ? 0 : 1);
}

int fe_set_addr(struct frontend *fe, uint32_t i)
{
	const struct vu_vring_addr addr = {
		.index = i,
		.desc = FE_USER_ADDR + FE_RING_AT(i),
		.avail = FE_USER_ADDR + FE_RING_AT(i) + FE_AVAIL,
		.used = FE_USER_ADDR + FE_RING_AT(i) + FE_USED,
	};

	return fe_ack(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static enum via_ring_format format_of(const struct frontend *fe)
{
	return via_has(fe->features, VIRTIO_F_RING_PACKED) ? VIA_RING_PACKED : VIA_RING_SPLIT;
}

void fe_init_ring(struct frontend *fe, uint32_t i)
{
	struct fe_queue *q = &fe->queue[i];
	uint8_t *at = fe->mem + FE_RING_AT(i);
	const struct via_drv_config config = {
		.format = format_of(fe),
		.size = FE_RING_SIZE,
		.event_idx = via_has(fe->features, VIRTIO_F_EVENT_IDX),
		.in_order = via_has(fe->features, VIRTIO_F_IN_ORDER),
		.desc = at,
		.avail = at + FE_AVAIL,
		.used = at + FE_USED,
	};

	via_drv_free(&q->drv);
	assert_int_equal(via_drv_init(&q->drv, &config, NULL), 0);
}

void fe_setup_queue(struct frontend *fe, uint32_t i, uint32_t base, bool fresh)
{
	if (fresh)
		fe_init_ring(fe, i);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_NUM, i, FE_RING_SIZE), 0);
	assert_int_equal(fe_ack_state(fe, VU_SET_VRING_BASE, i, base), 0);
	assert_int_equal(fe_set_addr(fe, i), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_CALL, i, fe->queue[i].call), 0);
	assert_int_equal(fe_set_notifier(fe, VU_SET_VRING_KICK, i, fe->queue[i].kick), 0);
}

void fe_start(struct frontend *fe, uint64_t features, uint32_t n)
{
	fe_connect(fe);
	fe_negotiate(fe, features, FE_PROTOCOL);
	assert_int_equal(fe_set_memory(fe), 0);
	for (uint32_t i = 0; i < n; i++) {
		fe_setup_queue(fe, i, 0, true);
		assert_int_equal(fe_ack_state(fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
}

/* ---- packets ---- */

static uint64_t buffer_of(struct frontend *fe, uint32_t i)
{
	const uint32_t nr = fe->queue[i].next_buffer++ % FE_RING_SIZE;

	return FE_BUFFERS + ((uint64_t)i * FE_RING_SIZE + nr) * FE_BUFFER_SIZE;
}

static void add(struct fe_queue *q, uint64_t addr, uint32_t len, bool writable, void *token)
{
	const struct via_drv_buffer buf = { addr, len };

	if (q->drv.format == VIA_RING_PACKED) {
		assert_int_equal(drv_add(&q->drv, &buf, !writable, writable, VIA_DRV_DIRECT, token,
					 VIA_RING_PACKED),
				 0);
		drv_publish(&q->drv, VIA_RING_PACKED);
	} else {
		assert_int_equal(drv_add(&q->drv, &buf, !writable, writable, VIA_DRV_DIRECT, token,
					 VIA_RING_SPLIT),
				 0);
		drv_publish(&q->drv, VIA_RING_SPLIT);
	}
}

static int reap(struct fe_queue *q, struct via_drv_done *done)
{
	return q->drv.format == VIA_RING_PACKED ? drv_reap(&q->drv, done, VIA_RING_PACKED)
						: drv_reap(&q->drv, done, VIA_RING_SPLIT);
}

void fe_post(struct frontend *fe, uint32_t pair, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = buffer_of(fe, 2 * pair);

		add(&fe->queue[2 * pair], addr, FE_BUFFER_SIZE, true, fe->mem + addr);
	}
}

#define NET_HEADER 12

void fe_transmit(struct frontend *fe, uint32_t pair, uint8_t fill, uint32_t len)
{
	struct fe_queue *q = &fe->queue[2 * pair + 1];
	uint64_t addr = buffer_of(fe, 2 * pair + 1);
	struct via_drv_done done;

	while (reap(q, &done) == 1)
		;
	memset(fe->mem + addr, 0, NET_HEADER);
	memset(fe->mem + addr + NET_HEADER, 2, 12); /* two addresses */
	memset(fe->mem + addr + NET_HEADER + 12, fill, len - 12);
	add(q, addr, NET_HEADER + len, false, fe->mem + addr);
}

uint32_t fe_ingress(struct frontend *fe, uint32_t pair, uint8_t *fill)
{
	uint32_t n = via_device_ingress(fe->dev, pair, fe->burst, VIA_BURST, &fe->stats);

	if (n == 0)
		return 0;
	if (fill)
		*fill = fe->burst->view[n - 1].snapshot[12];
	via_device_ingress_release(fe->dev, pair, 0);
	return n;
}

bool fe_egress(struct frontend *fe, uint32_t pair, uint8_t fill, uint32_t len)
{
	struct via_view *view = &fe->burst->view[0];
	struct via_drv_done done = { 0 };

	*view = (struct via_view){ .len = len, .snapshot_len = (uint16_t)len };
	memset(view->snapshot, fill, len);
	assert_int_equal(via_device_egress(fe->dev, pair, &view, 1, false, &fe->stats), 1);
	if (reap(&fe->queue[2 * pair], &done) != 1)
		return false;
	assert_int_equal(done.len, NET_HEADER + len);
	assert_int_equal(((uint8_t *)done.token)[NET_HEADER], fill);
	return true;
}

void fe_assert_traffic(struct frontend *fe, uint32_t pair)
{
	static uint8_t fill;
	uint8_t got = 0;

	fill++;
	fe_transmit(fe, pair, fill, 60);
	assert_int_equal(fe_ingress(fe, pair, &got), 1);
	assert_int_equal(got, fill);
	fe_post(fe, pair, 1);
	assert_true(fe_egress(fe, pair, fill, 60));
}

bool fe_was_called(struct frontend *fe, uint32_t i)
{
	uint64_t count;

	return read(fe->queue[i].call, &count, sizeof(count)) == sizeof(count);
}
