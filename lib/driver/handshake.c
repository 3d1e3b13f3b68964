/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conversation of a front-end with a back-end, as two tables of steps (reference vhost-user.md
 * §5, §5.2): how rings are started, and how they are stopped.
 *
 * A step is said once or once a ring, if it applies. Where REPLY_ACK was agreed every step is answered,
 * so a refusal names the message that was refused; where it was not, the last step's answer means that
 * all before it were taken.
 */
#include "driver/handshake.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

enum per { ONCE, EACH_RING };
enum answer { ANSWER_ACK, ANSWER_U64, ANSWER_STATE };

struct fe_step {
	const char *name; /* NULL: the table's end */
	uint32_t request;
	enum per per;
	enum answer answer;
	bool (*applies)(const struct fe_handshake *h); /* NULL: always */
	/* Fills in what is not zero, and 'fd'; the header's size is that of what was filled in. */
	void (*build)(const struct fe_handshake *h, struct fe_request *r);
	/* Judges the answer; NULL: whatever it is. Not called for acks, which must be 0. */
	int (*judge)(struct fe_handshake *h, const struct fe_message *m, struct via_error *err);
};

/* Device status (VIRTIO 1.3 §2.1). */
enum {
	FE_STATUS_ACKNOWLEDGE = 1,
	FE_STATUS_DRIVER = 2,
	FE_STATUS_DRIVER_OK = 4,
	FE_STATUS_FEATURES_OK = 8,
};

/* Protocol features that are of use to us. */
#define WANTED \
	(VIA_BIT(VU_PROTOCOL_MQ) | VIA_BIT(VU_PROTOCOL_REPLY_ACK) | VIA_BIT(VU_PROTOCOL_STATUS))

/* ---- when ---- */

static bool has_protocol(const struct fe_handshake *h)
{
	return via_has(h->features, VHOST_USER_F_PROTOCOL_FEATURES);
}

static bool has_mq(const struct fe_handshake *h)
{
	return via_has(h->protocol, VU_PROTOCOL_MQ);
}

static bool has_status(const struct fe_handshake *h)
{
	return via_has(h->protocol, VU_PROTOCOL_STATUS);
}

static bool has_no_acks(const struct fe_handshake *h)
{
	return !h->acks;
}

/* ---- what ---- */

static void put_u64(struct fe_request *r, uint64_t value)
{
	r->message.header.size = sizeof(value);
	r->message.u64 = value;
}

static void put_state(const struct fe_handshake *h, struct fe_request *r, uint32_t num)
{
	r->message.header.size = sizeof(r->message.state);
	r->message.state = (struct vu_vring_state){ .index = h->ring, .num = num };
}

static void put_ring_fd(const struct fe_handshake *h, struct fe_request *r, int fd)
{
	put_u64(r, h->ring | (fd < 0 ? VU_VRING_NOFD_MASK : 0));
	r->fd = fd;
}

static void build_protocol(const struct fe_handshake *h, struct fe_request *r)
{
	put_u64(r, h->protocol);
}

static void build_status_driver(const struct fe_handshake *h, struct fe_request *r)
{
	(void)h;
	put_u64(r, FE_STATUS_ACKNOWLEDGE | FE_STATUS_DRIVER);
}

static void build_status_features(const struct fe_handshake *h, struct fe_request *r)
{
	(void)h;
	put_u64(r, FE_STATUS_ACKNOWLEDGE | FE_STATUS_DRIVER | FE_STATUS_FEATURES_OK);
}

static void build_status_ok(const struct fe_handshake *h, struct fe_request *r)
{
	(void)h;
	put_u64(r, FE_STATUS_ACKNOWLEDGE | FE_STATUS_DRIVER | FE_STATUS_FEATURES_OK |
			   FE_STATUS_DRIVER_OK);
}

static void build_features(const struct fe_handshake *h, struct fe_request *r)
{
	/* With bit 30, rings wait for SET_VRING_ENABLE. */
	put_u64(r, h->setup.features | (h->features & VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
}

static void build_memory(const struct fe_handshake *h, struct fe_request *r)
{
	/* User addresses are only names; ours stay ours. */
	r->message.header.size = sizeof(r->message.memory);
	r->message.memory = (struct fe_memory){
		.nr_regions = 1,
		.region = { .gpa = h->setup.gpa, .size = h->setup.size, .user_addr = h->setup.gpa },
	};
	r->fd = h->setup.mem_fd;
}

static void build_num(const struct fe_handshake *h, struct fe_request *r)
{
	put_state(h, r, h->setup.ring[h->ring].size);
}

static void build_base(const struct fe_handshake *h, struct fe_request *r)
{
	put_state(h, r, h->setup.ring[h->ring].base);
}

static void build_addr(const struct fe_handshake *h, struct fe_request *r)
{
	const struct via_frontend_ring *ring = &h->setup.ring[h->ring];

	r->message.header.size = sizeof(r->message.addr);
	r->message.addr = (struct vu_vring_addr){
		.index = h->ring,
		.desc = ring->desc,
		.avail = ring->avail,
		.used = ring->used,
	};
}

static void build_kick(const struct fe_handshake *h, struct fe_request *r)
{
	put_ring_fd(h, r, h->setup.ring[h->ring].kick_fd);
}

static void build_call(const struct fe_handshake *h, struct fe_request *r)
{
	put_ring_fd(h, r, h->setup.ring[h->ring].call_fd);
}

static void build_enable(const struct fe_handshake *h, struct fe_request *r)
{
	put_state(h, r, 1);
}

static void build_state_0(const struct fe_handshake *h, struct fe_request *r)
{
	put_state(h, r, 0);
}

/* ---- the answers ---- */

static int judge_features(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	(void)err;
	h->features = m->u64;
	h->offer.features = m->u64 & ~VIA_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	h->offer.queue_pairs = 1;
	return 0;
}

static int judge_protocol(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	(void)err;
	h->protocol = m->u64 & WANTED;
	return 0;
}

static int judge_queues(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	if (m->u64 == 0)
		return via_fail(err, -EPROTO, "it has no queue pairs");
	h->offer.queue_pairs = m->u64 < UINT16_MAX ? (uint16_t)m->u64 : UINT16_MAX;
	return 0;
}

static int judge_status(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	if (!(m->u64 & FE_STATUS_FEATURES_OK))
		return via_fail(err, -EPROTO, "it refuses features 0x%llx",
				(unsigned long long)h->setup.features);
	return 0;
}

static int judge_base(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	if (m->state.index != h->ring)
		return via_fail(err, -EPROTO, "it answers for ring %u", m->state.index);
	return 0;
}

/* ---- the tables ---- */

/* All that is known of the back-end's abilities is known where this stands. */
#define SET_UP UINT32_MAX

static const struct fe_step start_steps[] = {
	{ "SET_OWNER", VU_SET_OWNER, ONCE, ANSWER_ACK, NULL, NULL, NULL },
	{ "GET_FEATURES", VU_GET_FEATURES, ONCE, ANSWER_U64, NULL, NULL, judge_features },
	{ "GET_PROTOCOL_FEATURES", VU_GET_PROTOCOL_FEATURES, ONCE, ANSWER_U64, has_protocol, NULL,
	  judge_protocol },
	{ "SET_PROTOCOL_FEATURES", VU_SET_PROTOCOL_FEATURES, ONCE, ANSWER_ACK, has_protocol,
	  build_protocol, NULL },
	{ "GET_QUEUE_NUM", VU_GET_QUEUE_NUM, ONCE, ANSWER_U64, has_mq, NULL, judge_queues },
	{ "set-up", SET_UP, ONCE, ANSWER_ACK, NULL, NULL, NULL },
	{ "SET_STATUS", VU_SET_STATUS, ONCE, ANSWER_ACK, has_status, build_status_driver, NULL },
	/* Early: old DPDK makes a ring only when it hears of its call descriptor. */
	{ "SET_VRING_CALL", VU_SET_VRING_CALL, EACH_RING, ANSWER_ACK, NULL, build_call, NULL },
	{ "SET_FEATURES", VU_SET_FEATURES, ONCE, ANSWER_ACK, NULL, build_features, NULL },
	{ "SET_STATUS", VU_SET_STATUS, ONCE, ANSWER_ACK, has_status, build_status_features, NULL },
	{ "GET_STATUS", VU_GET_STATUS, ONCE, ANSWER_U64, has_status, NULL, judge_status },
	{ "SET_MEM_TABLE", VU_SET_MEM_TABLE, ONCE, ANSWER_ACK, NULL, build_memory, NULL },
	{ "SET_VRING_NUM", VU_SET_VRING_NUM, EACH_RING, ANSWER_ACK, NULL, build_num, NULL },
	{ "SET_VRING_BASE", VU_SET_VRING_BASE, EACH_RING, ANSWER_ACK, NULL, build_base, NULL },
	{ "SET_VRING_ADDR", VU_SET_VRING_ADDR, EACH_RING, ANSWER_ACK, NULL, build_addr, NULL },
	{ "SET_VRING_KICK", VU_SET_VRING_KICK, EACH_RING, ANSWER_ACK, NULL, build_kick, NULL },
	{ "SET_VRING_ENABLE", VU_SET_VRING_ENABLE, EACH_RING, ANSWER_ACK, has_protocol,
	  build_enable, NULL },
	{ "SET_STATUS", VU_SET_STATUS, ONCE, ANSWER_ACK, has_status, build_status_ok, NULL },
	/* A last question, whose answer comes after everything was taken. */
	{ "GET_FEATURES", VU_GET_FEATURES, ONCE, ANSWER_U64, has_no_acks, NULL, NULL },
	{ 0 },
};

static const struct fe_step stop_steps[] = {
	{ "SET_VRING_ENABLE", VU_SET_VRING_ENABLE, EACH_RING, ANSWER_ACK, has_protocol,
	  build_state_0, NULL },
	{ "GET_VRING_BASE", VU_GET_VRING_BASE, EACH_RING, ANSWER_STATE, NULL, build_state_0,
	  judge_base },
	{ 0 },
};

/* ---- walking them ---- */

void fe_handshake_start(struct fe_handshake *h)
{
	*h = (struct fe_handshake){ .ops = h->ops, .user = h->user, .step = start_steps };
}

void fe_handshake_stop(struct fe_handshake *h)
{
	h->step = stop_steps;
	h->ring = 0;
}

const char *fe_handshake_name(const struct fe_handshake *h)
{
	return h->step ? h->step->name : "nothing";
}

static void go_on(struct fe_handshake *h)
{
	if (h->step->per == EACH_RING && ++h->ring < h->setup.nr_rings)
		return;
	if (h->step->request == VU_SET_PROTOCOL_FEATURES)
		h->acks = via_has(h->protocol, VU_PROTOCOL_REPLY_ACK);
	h->ring = 0;
	h->step++;
}

static int set_up(struct fe_handshake *h, struct via_error *err)
{
	int ret = h->ops->setup(h->user, &h->offer, &h->setup, err);

	h->set_up = ret == 0;
	return ret;
}

/* Passes over what does not apply, and runs what is not said but done. */
static int find_step(struct fe_handshake *h, struct via_error *err)
{
	for (; h->step->name; h->step++) {
		if (h->step->request == SET_UP) {
			int ret = set_up(h, err);

			if (ret < 0)
				return ret;
		} else if (!h->step->applies || h->step->applies(h)) {
			return 1;
		}
	}
	h->step = NULL;
	return 0;
}

int fe_handshake_next(struct fe_handshake *h, struct fe_request *r, struct via_error *err)
{
	static const uint32_t answer_sizes[] = {
		[ANSWER_ACK] = sizeof(uint64_t),
		[ANSWER_U64] = sizeof(uint64_t),
		[ANSWER_STATE] = sizeof(struct vu_vring_state),
	};
	int ret = h->step ? find_step(h, err) : 0;

	if (ret <= 0)
		return ret;
	memset(r, 0, sizeof(*r));
	r->fd = -1;
	r->message.header.request = h->step->request;
	r->message.header.flags = VU_VERSION;
	if (h->step->build)
		h->step->build(h, r);
	r->has_reply = h->step->answer != ANSWER_ACK || h->acks;
	r->reply_size = answer_sizes[h->step->answer];
	if (h->step->answer == ANSWER_ACK && h->acks)
		r->message.header.flags |= VU_NEED_REPLY_MASK;
	if (!r->has_reply)
		go_on(h);
	return 1;
}

int fe_handshake_reply(struct fe_handshake *h, const struct fe_message *m, struct via_error *err)
{
	const struct fe_step *step = h->step;
	int ret = 0;

	if (step->answer == ANSWER_ACK && m->u64 != 0)
		ret = via_fail(err, -EPROTO, "it refuses (%llu)", (unsigned long long)m->u64);
	else if (step->judge)
		ret = step->judge(h, m, err);
	if (ret == 0)
		go_on(h);
	return ret;
}
