/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver-side ring of FUZZ_FORMAT whose device does anything at any moment: the rings of
 * ring/driver_ring.h, the standing chains of ring/standing.h, and the queues of lib/driver on top of them.
 *
 * Beyond what the sanitizers see: what comes back was outstanding, once, with no more bytes than it had
 * room for, in order where that was promised; slots are neither lost nor made; what the device owns is not
 * written; a broken ring stays so; and everything takes a bounded number of loads, drv_reap() each word once.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver/queue.h"
#include "ring/standing.h"
#include "tests/fuzz/arena.h"
#include "tests/fuzz/device.h"
#include "tests/fuzz/racer.h"

#define MAX_OPS    96
#define MAX_SIZE   16
#define MAX_CHAINS 64
#define TABLE_SIZE 4
#define TABLES     UINT64_C(0x40000)

static struct input in;
static struct device device;
static uint16_t size;
static bool event_idx, in_order;

/* ---- what may be written ---- */

static uint8_t *device_part; /* the driver writes nothing there */
static uint32_t device_part_size;

static void must_not_be_the_devices(void *user, uint32_t offset)
{
	(void)user;
	INSIST(offset - arena_offset(device_part) >= device_part_size);
}

static void begin(uint32_t max_loads)
{
	arena_remember();
	racer_expect(max_loads);
}

static void end(void)
{
	arena_changes(must_not_be_the_devices, NULL);
	racer_expect(UINT32_MAX);
}

static bool each_word_was_loaded_once(void)
{
	for (uint32_t i = 0; i < racer.nr_log; i++)
		for (uint32_t k = 0; k < i; k++)
			if (racer.log[i].at == racer.log[k].at)
				return false;
	return true;
}

/* ---- a ring in the arena ---- */

static void make_parts(struct via_drv_config *config)
{
	const struct via_ring_sizes sizes = via_ring_sizes(FUZZ_FORMAT, size);

	arena_reset();
	*config = (struct via_drv_config){
		.format = FUZZ_FORMAT,
		.size = size,
		.event_idx = event_idx,
		.in_order = in_order,
		.desc = arena_add((uint32_t)sizes.desc),
		.avail = arena_add((uint32_t)sizes.avail),
		.used = arena_add((uint32_t)sizes.used),
		.tables = arena_add(size * TABLE_SIZE * 16u),
		.tables_addr = TABLES,
		.table_size = TABLE_SIZE,
	};
	device_part = config->used;
	device_part_size = (uint32_t)sizes.used;
	device_open(&device, FUZZ_FORMAT, size, config->desc, config->avail, config->used);
}

/* What the device does, whatever drives it. */
static void device_acts(uint32_t max_len)
{
	const uint8_t how = in_u8(&in);

	switch (how & 7) {
	case 0:
	case 1:
		device_takes(&device);
		break;
	case 2:
	case 3:
	case 4:
		device_takes(&device);
		device_gives(&device, in_order ? 0 : how >> 3, in_u8(&in) % (max_len + 1));
		break;
	case 5:
		device_gives(&device, how >> 3, in_u16(&in));
		break;
	case 6:
		device_writes(&device, &in);
		break;
	default:
		device_asks(&device, &in);
	}
}

/* ---- chains of drv_add() ---- */

struct chain {
	enum { FREE, ADDED, OUTSTANDING } is;
	uint32_t capacity, nr_slots;
	uint32_t number; /* in the order in which they were added */
};

static struct {
	struct via_drv_ring ring;
	struct chain chain[MAX_CHAINS];
	uint32_t added; /* so far */
} drv;

static uint32_t slots_of(void)
{
	uint32_t slots = 0;

	for (uint32_t i = 0; i < MAX_CHAINS; i++)
		slots += drv.chain[i].is != FREE ? drv.chain[i].nr_slots : 0;
	return slots;
}

static void op_add(void)
{
	const uint8_t how = in_u8(&in);
	const bool table = how & 1;
	const uint32_t n = table ? 1 + (how >> 1) % TABLE_SIZE : 1 + (how >> 1) % 6;
	const uint32_t readable = (how >> 4) % (n + 1);
	struct via_drv_buffer buf[6];
	uint32_t i, capacity = 0;
	int ret;

	for (i = 0; i < MAX_CHAINS && drv.chain[i].is != FREE; i++)
		;
	for (uint32_t k = 0; k < n; k++) {
		buf[k] = (struct via_drv_buffer){ 0x1000u * k, in_u8(&in) };
		capacity += k >= readable ? buf[k].len : 0;
	}
	begin(0);
	ret = drv_add(&drv.ring, buf, readable, n - readable,
		      table ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT, &drv.chain[i], FUZZ_FORMAT);
	end();
	INSIST(ret == 0 || slots_of() + (table ? 1 : n) > size);
	if (ret == 0)
		drv.chain[i] = (struct chain){ ADDED, capacity, table ? 1 : n, drv.added++ };
}

static void op_publish(void)
{
	begin(2);
	drv_publish(&drv.ring, FUZZ_FORMAT);
	drv_wants_kick(&drv.ring, FUZZ_FORMAT);
	end();
	for (uint32_t i = 0; i < MAX_CHAINS; i++)
		if (drv.chain[i].is == ADDED)
			drv.chain[i].is = OUTSTANDING;
}

static bool is_oldest(const struct chain *chain)
{
	for (uint32_t i = 0; i < MAX_CHAINS; i++)
		if (drv.chain[i].is != FREE && drv.chain[i].number < chain->number)
			return false;
	return true;
}

static void op_reap(void)
{
	struct via_drv_done done = { 0 };
	struct chain *chain;
	int ret;

	op_publish(); /* as is asked of drv_reap()'s callers */
	begin(3);
	ret = drv_reap(&drv.ring, &done, FUZZ_FORMAT);
	end();
	INSIST(each_word_was_loaded_once());
	INSIST(ret == 1 || ret == 0 || (ret == -EPROTO && drv.ring.broken));
	if (ret <= 0)
		return;
	chain = done.token;
	INSIST(chain->is == OUTSTANDING && done.len <= chain->capacity);
	INSIST(!in_order || is_oldest(chain));
	chain->is = FREE;
}

static void op_drv_arm(void)
{
	begin(4);
	if (in_bool(&in))
		drv_arm(&drv.ring, FUZZ_FORMAT);
	else
		drv_disarm(&drv.ring, FUZZ_FORMAT);
	end();
}

static void op_device(void)
{
	device_acts(32);
}

static void run_drv(void)
{
	static void (*const ops[])(void) = { op_add,  op_add,    op_publish, op_reap,
					     op_reap, op_device, op_device,  op_drv_arm };
	struct via_drv_config config;

	memset(&drv, 0, sizeof(drv));
	make_parts(&config);
	INSIST(via_drv_init(&drv.ring, &config, NULL) == 0);
	for (int i = 0; i < MAX_OPS && in_more(&in); i++) {
		const bool broken = drv.ring.broken;

		ops[in_below(&in, ARRAY_SIZE(ops))]();
		INSIST(drv.ring.broken >= broken);
		INSIST(drv.ring.nr_free + slots_of() == size);
	}
	via_drv_free(&drv.ring);
}

/* ---- standing chains ---- */

static struct {
	struct via_standing st;
	struct via_hand hand[MAX_SIZE]; /* in the driver's hands */
	uint32_t nr_hands;
	bool with_device[MAX_SIZE * 2]; /* by id */
} standing;

static void op_post(void)
{
	const uint32_t n = in_below(&in, standing.nr_hands + 1);

	begin(2);
	standing_post(&standing.st, standing.hand, n, FUZZ_FORMAT);
	for (uint32_t i = 0; i < n; i++)
		standing.with_device[standing.hand[i].id] = true;
	standing.nr_hands -= n;
	memmove(standing.hand, standing.hand + n, standing.nr_hands * sizeof(standing.hand[0]));
	drv_publish(&standing.st.ring, FUZZ_FORMAT);
	drv_wants_kick(&standing.st.ring, FUZZ_FORMAT);
	end();
}

static void op_standing_reap(void)
{
	const bool broken = standing.st.ring.broken;
	struct via_hand *hand = standing.hand + standing.nr_hands;
	const uint32_t max = 1 + in_below(&in, size);
	uint32_t n;

	if (standing.nr_hands == standing.st.nr_chains)
		return;
	begin(3 * MAX_SIZE + 8);
	n = standing_reap(&standing.st, hand,
			  via_min_u(max, standing.st.nr_chains - standing.nr_hands), FUZZ_FORMAT);
	end();
	INSIST(n <= max && (!broken || n == 0));
	for (uint32_t i = 0; i < n; i++) {
		INSIST(hand[i].id < size && standing.with_device[hand[i].id]);
		INSIST(hand[i].len <= standing.st.capacity);
		standing.with_device[hand[i].id] = false;
	}
	standing.nr_hands += n;
}

static void op_standing_arm(void)
{
	begin(4);
	if (in_bool(&in))
		drv_arm(&standing.st.ring, FUZZ_FORMAT);
	else
		drv_disarm(&standing.st.ring, FUZZ_FORMAT);
	end();
}

static void run_standing(void)
{
	static void (*const ops[])(void) = { op_post,          op_post,        op_standing_reap,
					     op_standing_reap, op_device,      op_device,
					     op_device,        op_standing_arm };
	const uint16_t nr_slots = (uint16_t)(1 + in_below(&in, 3));
	const bool table = nr_slots == 1 && in_bool(&in);
	struct via_drv_config config;

	memset(&standing, 0, sizeof(standing));
	make_parts(&config);
	if (via_standing_init(&standing.st, &config, nr_slots, NULL) < 0)
		return;
	for (uint32_t i = 0; i < standing.st.nr_chains; i++) {
		const struct via_drv_buffer buf[3] = { { 0x1000, 16 },
						       { 0x2000, 8 },
						       { 0x3000, 8 } };
		const uint32_t n = table ? 3 : nr_slots;

		via_standing_set(&standing.st, i, buf, n - 1, 1,
				 table ? VIA_DRV_INDIRECT : VIA_DRV_DIRECT);
		standing.hand[i].id = i * nr_slots;
	}
	standing.nr_hands = standing.st.nr_chains;
	for (int i = 0; i < MAX_OPS && in_more(&in); i++)
		ops[in_below(&in, ARRAY_SIZE(ops))]();
	INSIST(standing.nr_hands + standing.st.ring.outstanding == standing.st.nr_chains);
	via_standing_free(&standing.st);
}

/* ---- lib/driver's queues ---- */

static struct {
	struct drv_life *life;
	struct device tx;
	struct via_queue_stats stats;
	uint32_t nr_lent;
} life;
static struct via_burst *burst;
static int trouble_fd = -1;

/* Where the back-end's address lies here, with so many bytes behind it; NULL if it lies nowhere. */
static uint8_t *shared_at(uint64_t addr, uint32_t len)
{
	const uint64_t offset = addr - DRV_GPA;

	return offset < life.life->size && len <= life.life->size - offset
		       ? life.life->base + offset
		       : NULL;
}

/* A frame into as many RX buffers as it takes, as a device does it, or nearly. */
static void op_deliver(void)
{
	const uint8_t how = in_u8(&in);
	const uint32_t nr_buffers = 1 + (how & 3);
	uint32_t len = in_u16(&in) % (nr_buffers * DRV_STRIDE);

	for (uint32_t i = 0; i < nr_buffers; i++) {
		const uint32_t part = len < DRV_STRIDE ? len : DRV_STRIDE;
		uint8_t *at;

		device_takes(&device);
		if (device.nr_held == 0)
			return;
		at = shared_at(device.held[0].addr, DRV_STRIDE);
		if (at && i == 0) {
			at[0] = how & 4 ? in_u8(&in) : 0;
			at[1] = how & 8 ? in_u8(&in) : 0;
			at[2] = at[6] = 34;
			at[4] = how & 8 ? 100 : 0;
			at[8] = 16;
			at[10] = (uint8_t)(how & 16 ? in_u8(&in) : nr_buffers);
			at[11] = 0;
			at[24] = 8;
			at[26] = 0x45;
			at[35] = 6;
		}
		device_gives(&device, 0, part);
		len -= part;
	}
}

static bool is_in_rx_buffers(const uint8_t *at, uint32_t len)
{
	const struct drv_queue *q = &life.life->rx[0].q;
	const uint64_t offset = (uint64_t)(at - q->buffer),
		       room = (uint64_t)q->nr_buffers * q->stride;

	return at >= q->buffer && offset <= room && len <= room - offset;
}

static void op_receive(void)
{
	struct drv_rx *rx = &life.life->rx[0];
	const uint32_t max = 1 + in_below(&in, 64);

	racer_expect(VIA_BURST * (MAX_SIZE * 4 + 16));
	life.nr_lent = drv_rx_burst(rx, burst, max, &life.stats);
	INSIST(life.nr_lent <= max && life.nr_lent <= size);
	for (uint32_t i = 0; i < life.nr_lent; i++) {
		const struct via_view *view = &burst->view[i];
		uint32_t len = view->snapshot_len;

		for (uint32_t k = 0; k < view->nr_pieces; k++) {
			INSIST(is_in_rx_buffers(view->piece[k].base, view->piece[k].len));
			len += view->piece[k].len;
		}
		INSIST(len == view->len && len >= 14 && len <= VIA_FRAME_MAX);
	}
	drv_rx_release(rx, in_u8(&in) & 7);
	INSIST(rx->nr_frames <= size && rx->ring.outstanding <= size);
}

static void op_send(void)
{
	static uint8_t payload[8192];
	const uint8_t how = in_u8(&in);
	struct via_piece piece = { payload, 1 + in_u16(&in) % sizeof(payload) };
	struct via_view view = { .snapshot_len = 54, .nr_pieces = 1, .piece = &piece };
	struct via_view *views[] = { &view };
	struct drv_tx *tx = &life.life->tx[0];

	view.len = view.snapshot_len + piece.len;
	view.snapshot[12] = 8;
	view.snapshot[14] = 0x45;
	view.snapshot[16] = (uint8_t)((view.len - 14) >> 8);
	view.snapshot[17] = (uint8_t)(view.len - 14);
	view.snapshot[23] = 6;
	view.snapshot[46] = 0x50;
	if (how & 1) {
		view.flags = VIA_VIEW_NEEDS_CSUM;
		view.csum_start = 34;
		view.csum_offset = 16;
	}
	if ((how & 3) == 3) {
		view.gso = VIA_GSO_TCPV4;
		view.gso_size = (uint16_t)(200 + how);
	}
	racer_expect(1000);
	INSIST(drv_tx_burst(tx, views, 1, how & 4, &life.stats) <= 1);
	INSIST(tx->nr_free <= tx->q.nr_buffers);
}

static void op_tx_device(void)
{
	const uint8_t how = in_u8(&in);

	if (how & 1) {
		device_takes(&life.tx);
		device_gives(&life.tx, in_order ? 0 : how >> 2, how & 2 ? in_u8(&in) : 0);
	} else {
		device_writes(&life.tx, &in);
	}
}

static void op_rx_device(void)
{
	device_acts(255);
}

static void op_rx_arm(void)
{
	racer_expect(8);
	if (in_bool(&in))
		drv_rx_arm(&life.life->rx[0]);
	else
		drv_rx_disarm(&life.life->rx[0]);
}

static uint64_t pick_features(void)
{
	static const uint8_t bits[] = {
		VIRTIO_NET_F_MRG_RXBUF,  VIRTIO_F_INDIRECT_DESC, VIRTIO_NET_F_CSUM,
		VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_GUEST_USO4, VIRTIO_F_VERSION_1,
	};
	const uint8_t chosen = in_u8(&in);
	uint64_t features = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(bits); i++)
		features |= (uint64_t)(chosen >> i & 1) << bits[i];
	if (event_idx)
		features |= VIA_BIT(VIRTIO_F_EVENT_IDX);
	if (in_order)
		features |= VIA_BIT(VIRTIO_F_IN_ORDER);
	if (FUZZ_FORMAT == VIA_RING_PACKED)
		features |= VIA_BIT(VIRTIO_F_RING_PACKED);
	return features;
}

static void open_device(struct device *d, const struct via_frontend_ring *ring)
{
	uint8_t *base = life.life->base;

	device_open(d, FUZZ_FORMAT, size, base + (ring->desc - DRV_GPA),
		    base + (ring->avail - DRV_GPA), base + (ring->used - DRV_GPA));
	if (FUZZ_FORMAT == VIA_RING_SPLIT)
		d->next.wrap = d->given.wrap = false;
}

static void run_life(void)
{
	static void (*const ops[])(void) = { op_deliver,   op_deliver,   op_receive,
					     op_receive,   op_send,      op_send,
					     op_tx_device, op_rx_device, op_rx_arm };
	struct drv_life_config config;

	config = (struct drv_life_config){
		.features = pick_features(),
		.nr_pairs = 1,
		.queue_size = size,
		.polling = true,
		.trouble_fd = trouble_fd,
	};
	arena_reset();
	memset(&life, 0, sizeof(life));
	INSIST(drv_life_create(&life.life, &config, NULL) == 0);
	open_device(&device, &life.life->ring[0]);
	open_device(&life.tx, &life.life->ring[1]);
	racer.base = life.life->base;
	racer.size = life.life->size;
	for (int i = 0; i < MAX_OPS && in_more(&in); i++)
		ops[in_below(&in, ARRAY_SIZE(ops))]();
	racer.size = 0;
	drv_life_free(life.life);
}

/* ---- a run ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const runs[])(void) = { run_drv, run_standing, run_life };
	uint8_t how;

	if (!burst) {
		burst = via_burst_create();
		trouble_fd = eventfd(0, EFD_NONBLOCK);
		INSIST(burst && trouble_fd >= 0);
	}
	in = (struct input){ data, data + len };
	how = in_u8(&in);
	size = in_u8(&in);
	size = (uint16_t)(FUZZ_FORMAT == VIA_RING_SPLIT ? 1 << size % 5 : 1 + size % MAX_SIZE);
	event_idx = how & 4;
	in_order = how & 8;
	racer_start(&in);
	runs[(how & 3) % 3]();
	racer_stop();
	return 0;
}
