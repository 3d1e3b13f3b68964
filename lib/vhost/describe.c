/* SPDX-License-Identifier: BSD-3-Clause */
/* What 'viaduct port show' says of a vhost-user device. */
#include <stdio.h>
#include <string.h>

#include "vhost/vhost.h"

struct text {
	char bytes[1024];
	size_t len;
};

/* Appends a word; what does not fit is left out. */
static void add_word(struct text *t, const char *word)
{
	int n = snprintf(t->bytes + t->len, sizeof(t->bytes) - t->len, "%s%s", t->len ? " " : "",
			 word);

	if (n > 0 && (size_t)n < sizeof(t->bytes) - t->len)
		t->len += (size_t)n;
	t->bytes[t->len] = '\0';
}

static const char *const feature_names[64] = {
	[VIRTIO_NET_F_CSUM] = "csum",
	[VIRTIO_NET_F_GUEST_CSUM] = "guest_csum",
	[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS] = "ctrl_guest_offloads",
	[VIRTIO_NET_F_MTU] = "mtu",
	[VIRTIO_NET_F_MAC] = "mac",
	[VIRTIO_NET_F_GUEST_TSO4] = "guest_tso4",
	[VIRTIO_NET_F_GUEST_TSO6] = "guest_tso6",
	[VIRTIO_NET_F_GUEST_ECN] = "guest_ecn",
	[VIRTIO_NET_F_HOST_TSO4] = "host_tso4",
	[VIRTIO_NET_F_HOST_TSO6] = "host_tso6",
	[VIRTIO_NET_F_HOST_ECN] = "host_ecn",
	[VIRTIO_NET_F_MRG_RXBUF] = "mrg_rxbuf",
	[VIRTIO_NET_F_STATUS] = "status",
	[VIRTIO_NET_F_CTRL_VQ] = "ctrl_vq",
	[VIRTIO_NET_F_CTRL_RX] = "ctrl_rx",
	[VIRTIO_NET_F_CTRL_VLAN] = "ctrl_vlan",
	[VIRTIO_NET_F_GUEST_ANNOUNCE] = "guest_announce",
	[VIRTIO_NET_F_MQ] = "mq",
	[VIRTIO_NET_F_CTRL_MAC_ADDR] = "ctrl_mac_addr",
	[VIRTIO_F_ANY_LAYOUT] = "any_layout",
	[VIRTIO_F_INDIRECT_DESC] = "indirect",
	[VIRTIO_F_EVENT_IDX] = "event_idx",
	[VIRTIO_F_VERSION_1] = "version_1",
	[VIRTIO_F_RING_PACKED] = "packed",
	[VIRTIO_F_IN_ORDER] = "in_order",
	[VIRTIO_NET_F_GUEST_USO4] = "guest_uso4",
	[VIRTIO_NET_F_GUEST_USO6] = "guest_uso6",
	[VIRTIO_NET_F_HOST_USO] = "host_uso",
};

static const char *const protocol_names[VU_NR_PROTOCOL_FEATURES] = {
#define X(number, name) [number] = #name,
	VU_PROTOCOL_FEATURES(X)
#undef X
};

static struct text names_of(uint64_t mask, const char *const *names, unsigned int nr)
{
	struct text t = { .len = 0 };

	for (unsigned int i = 0; i < nr; i++)
		if (via_has(mask, i) && names[i])
			add_word(&t, names[i]);
	return t;
}

typedef void line_fn(void *user, const char *key, const char *value);

static void describe_session(struct via_device *dev, line_fn *line, void *user)
{
	struct text t;
	char word[32];

	if (dev->refused.text[0])
		line(user, "refused", dev->refused.text);
	if (dev->session != VU_CONNECTED) {
		line(user, "peer", dev->trouble[0] ? dev->trouble : "none");
		if (dev->ended[0])
			line(user, "last peer", dev->ended);
		return;
	}
	snprintf(word, sizeof(word), "process %d", dev->peer_pid);
	line(user, "peer", word);
	t = names_of(dev->features, feature_names, 64);
	line(user, "features", t.len ? t.bytes : "none");
	t = names_of(dev->protocol, protocol_names, VU_NR_PROTOCOL_FEATURES);
	line(user, "protocol", t.len ? t.bytes : "none");
}

/* 'n' of something, if there is any. */
static void add_count(struct text *t, const char *what, uint64_t n)
{
	char word[160];

	if (n == 0)
		return;
	snprintf(word, sizeof(word), "%s%s: %llu", t->len ? "| " : "", what, (unsigned long long)n);
	add_word(t, word);
}

/* Which rules front-ends have broken, and how often. */
static void describe_faults(const struct via_device *dev, line_fn *line, void *user)
{
	const struct vu_faults *faults = &dev->faults;
	struct text t = { .len = 0 };

	add_count(&t, "refused requests", faults->requests);
	add_count(&t, "refused queues", faults->starts);
	add_count(&t, "dropped connections", faults->sessions);
	for (int i = VIA_BROKEN_NONE + 1; i < VIA_NR_BROKEN; i++)
		add_count(&t, via_broken_text((enum via_broken)i), faults->broken[i]);
	if (t.len)
		line(user, "faults", t.bytes);
}

static void describe_memory(struct via_device *dev, line_fn *line, void *user)
{
	const struct via_mem *mem = dev->memory ? dev->memory->mem : NULL;
	uint64_t size = 0;
	char word[96];

	if (!mem)
		return;
	for (uint32_t i = 0; i < mem->nr_regions; i++)
		size += mem->region[i].size;
	snprintf(word, sizeof(word), "%llu MiB in %u regions, %u sealed",
		 (unsigned long long)(size >> 20), mem->nr_regions, via_mem_nr_sealed(mem));
	line(user, "memory", word);
}

static void describe_queue(const struct vu_queue *q, line_fn *line, void *user)
{
	enum via_broken broken = atomic_load_explicit(&q->vq.broken, memory_order_relaxed);
	char key[32], word[256], state[128] = "runs";

	if (!q->has_num && !q->ring && !q->refused[0])
		return; /* never mentioned by the front-end */
	snprintf(key, sizeof(key), "queue %u", q->index);
	if (broken)
		snprintf(state, sizeof(state), "broken: %s", via_broken_text(broken));
	if (q->refused[0])
		snprintf(word, sizeof(word), "refused: %s", q->refused);
	else if (!q->ring)
		snprintf(word, sizeof(word), "stopped");
	else
		snprintf(word, sizeof(word), "%s, %s, %u slots%s%s, %llu calls, armed %llu times",
			 state, q->ring->ring.format == VIA_RING_PACKED ? "packed" : "split",
			 q->num, vu_queue_is_enabled(q) ? "" : ", disabled",
			 q->ring->ring.kick_fd < 0 ? ", polled" : "",
			 (unsigned long long)via_counter_read(&q->vq.calls),
			 (unsigned long long)via_counter_read(&q->vq.kicks_wanted));
	line(user, key, word);
}

VIA_EXPORT void via_device_describe(struct via_device *dev, line_fn *line, void *user)
{
	char word[32];

	line(user, "socket", dev->path);
	line(user, "mode", dev->config.mode == VIA_DEVICE_SERVER ? "server" : "client");
	snprintf(word, sizeof(word), "%u", vu_pairs(dev));
	line(user, "queue_pairs", word);
	describe_session(dev, line, user);
	describe_faults(dev, line, user);
	describe_memory(dev, line, user);
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		describe_queue(&dev->queue[i], line, user);
}
