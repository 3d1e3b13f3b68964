/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct via_driver: a virtio-net driver that outlives its back-ends.
 *
 * Theory of operation. Each connection is a life (life.c). Control makes one when the front-end has
 * heard what the back-end offers, publishes it when the back-end has been told everything, unpublishes it
 * when the connection ends, and frees it after a grace period, so that views which a worker holds stay
 * good. Workers load 'life' once a call; without one there is nothing to receive, and what is sent is
 * counted as dropped.
 *
 * Between a burst and its release a worker's life may be unpublished: the release then has nowhere to
 * go and does nothing, since the buffers die with the life.
 *
 * A worker that finds the back-end breaking a rule marks the life, and wakes control through an
 * eventfd; control drops the connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <viaduct/driver.h>

#include "base/base.h"
#include "driver/queue.h"

#define DEFAULT_QUEUE_SIZE 256
#define MAX_PAIRS          128 /* a ring's index has 8 bits in some messages */

struct via_driver {
	struct via_loop *loop;
	char *name;
	uint16_t queue_pairs, queue_size;
	uint64_t features_off;
	bool polling;
	const struct via_driver_events *events;
	void *user;

	struct via_frontend *frontend;
	int trouble_fd;
	struct via_watch *trouble_watch;
	struct drv_life *next;           /* told to the back-end, not yet published */
	_Atomic(struct drv_life *) life; /* published by control, read by workers */
	void (*closed)(void *user);
	void *closed_user;
};

static const struct via_driver_events no_events;

/* Pairs with the release in on_started(): what it points to is complete. */
static struct drv_life *life_of(const struct via_driver *d)
{
	return atomic_load_explicit(&d->life, memory_order_acquire);
}

/* The life, if it serves 'pair' and its back-end has broken no rule. */
static struct drv_life *life_of_pair(const struct via_driver *d, uint32_t pair)
{
	struct drv_life *life = life_of(d);

	return life && pair < life->nr_pairs && drv_is_fine(life) ? life : NULL;
}

/* ---- features ---- */

/* What is accepted where it is offered, and what it needs (virtio-net.md §1). */
static const struct {
	uint8_t number;
	const char *name;
	uint64_t needs_any;
} features[] = {
	{ VIRTIO_F_VERSION_1, "version_1", 0 },
	{ VIRTIO_F_RING_PACKED, "packed", VIA_BIT(VIRTIO_F_VERSION_1) },
	{ VIRTIO_F_IN_ORDER, "in_order", 0 },
	{ VIRTIO_F_EVENT_IDX, "event_idx", 0 },
	{ VIRTIO_F_INDIRECT_DESC, "indirect", 0 },
	{ VIRTIO_NET_F_MRG_RXBUF, "mrg_rxbuf", 0 },
	{ VIRTIO_NET_F_MQ, "mq", 0 },
	{ VIRTIO_NET_F_CSUM, "csum", 0 },
	{ VIRTIO_NET_F_HOST_TSO4, "host_tso4", VIA_BIT(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_TSO6, "host_tso6", VIA_BIT(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_USO, "host_uso", VIA_BIT(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_ECN, "host_ecn",
	  VIA_BIT(VIRTIO_NET_F_HOST_TSO4) | VIA_BIT(VIRTIO_NET_F_HOST_TSO6) },
	{ VIRTIO_NET_F_GUEST_CSUM, "guest_csum", 0 },
	{ VIRTIO_NET_F_GUEST_TSO4, "guest_tso4", VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_TSO6, "guest_tso6", VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_USO4, "guest_uso4", VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_USO6, "guest_uso6", VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_ECN, "guest_ecn",
	  VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO6) },
};

/* The rows are sorted by need: what a row needs was decided above it. */
static uint64_t choose_features(const struct via_driver *d, uint64_t offered)
{
	uint64_t chosen = 0;

	offered &= ~d->features_off;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (!via_has(offered, features[i].number))
			continue;
		if (features[i].needs_any && !(chosen & features[i].needs_any))
			continue;
		chosen |= VIA_BIT(features[i].number);
	}
	if (d->queue_pairs < 2)
		chosen &= ~VIA_BIT(VIRTIO_NET_F_MQ);
	return chosen;
}

/* A split ring's size is a power of two: the next lower one. */
static uint16_t choose_size(const struct via_driver *d, uint64_t chosen)
{
	uint16_t size = d->queue_size;

	if (via_has(chosen, VIRTIO_F_RING_PACKED))
		return size;
	while (size & (size - 1))
		size &= (uint16_t)(size - 1);
	return size;
}

/* ---- lives ---- */

static void tell_pairs(struct via_driver *d, uint32_t nr_pairs)
{
	for (uint32_t i = 0; d->events->pair_changed && i < nr_pairs; i++)
		d->events->pair_changed(d->user, i);
}

static int on_setup(void *user, const struct via_frontend_offer *offer,
		    struct via_frontend_setup *setup, struct via_error *err)
{
	struct via_driver *d = user;
	struct drv_life_config config = {
		.features = choose_features(d, offer->features),
		.nr_pairs = 1,
		.polling = d->polling,
		.trouble_fd = d->trouble_fd,
		.create_memory = d->events->create_memory,
		.user = d->user,
	};
	int ret;

	if (!via_has(config.features, VIRTIO_F_VERSION_1))
		return via_fail(err, -EPROTO, "it offers no VIRTIO 1.0 (VERSION_1)");
	config.queue_size = choose_size(d, config.features);
	if (via_has(config.features, VIRTIO_NET_F_MQ))
		config.nr_pairs = (uint16_t)via_min_u(d->queue_pairs, offer->queue_pairs);
	ret = drv_life_create(&d->next, &config, err);
	if (ret < 0)
		return ret;
	*setup = (struct via_frontend_setup){
		.features = config.features,
		.mem_fd = d->next->mem_fd,
		.gpa = DRV_GPA,
		.size = d->next->size,
		.nr_rings = 2u * config.nr_pairs,
		.ring = d->next->ring,
	};
	return 0;
}

static void on_started(void *user)
{
	struct via_driver *d = user;
	struct drv_life *life = d->next;

	/* The buffers that are posted already were published before anybody could be told. */
	for (uint32_t i = 0; i < life->nr_pairs; i++)
		drv_kick(&life->rx[i].q);
	d->next = NULL;
	atomic_store_explicit(&d->life, life, memory_order_release); /* pairs with life_of() */
	tell_pairs(d, life->nr_pairs);
	if (d->events->link_changed)
		d->events->link_changed(d->user, true);
}

static void free_life(void *user)
{
	drv_life_free(user);
}

static void on_stopped(void *user)
{
	struct via_driver *d = user;
	struct drv_life *life = life_of(d);

	drv_life_free(d->next); /* no worker has seen it */
	d->next = NULL;
	if (!life)
		return;
	atomic_store_explicit(&d->life, NULL, memory_order_relaxed);
	tell_pairs(d, life->nr_pairs);
	if (d->events->link_changed)
		d->events->link_changed(d->user, false);
	via_loop_after_grace(d->loop, free_life, life);
}

static void on_trouble(void *user, uint32_t events)
{
	static const char *const texts[] = {
		[DRV_FINE] = NULL,
		[DRV_BAD_USED] = "it used a buffer that it was not given (VQ-D-07)",
		[DRV_BAD_BUFFERS] = "it sent a frame in more buffers than it used (VD-06)",
		[DRV_BAD_KICK] = "it made a kick descriptor block (R19)",
	};
	struct via_driver *d = user;
	struct drv_life *life = life_of(d);
	uint64_t n;

	(void)events;
	if (read(d->trouble_fd, &n, sizeof(n)) < 0 || !life)
		return;
	if (!drv_is_fine(life)) /* else it was an earlier life's */
		via_frontend_restart(d->frontend, texts[atomic_load(&life->trouble)]);
}

static int on_open_socket(void *user, const char *path, bool server, struct via_error *err)
{
	struct via_driver *d = user;

	return d->events->open_socket(d->user, path, server, err);
}

static void on_unlink_socket(void *user, const char *path)
{
	struct via_driver *d = user;

	d->events->unlink_socket(d->user, path);
}

static const struct via_frontend_ops frontend_ops = {
	.setup = on_setup,
	.started = on_started,
	.stopped = on_stopped,
};

static const struct via_frontend_ops frontend_ops_opener = {
	.setup = on_setup,
	.started = on_started,
	.stopped = on_stopped,
	.open_socket = on_open_socket,
	.unlink_socket = on_unlink_socket,
};

/* ---- open, close ---- */

static void free_driver(void *user)
{
	struct via_driver *d = user;

	via_loop_unwatch(d->trouble_watch);
	if (d->trouble_fd >= 0)
		close(d->trouble_fd);
	if (d->closed)
		d->closed(d->closed_user);
	free(d->name);
	free(d);
}

static int check_config(const struct via_driver_config *config, struct via_error *err)
{
	if (config->queue_pairs > MAX_PAIRS)
		return via_fail(err, -EINVAL, "%u queue pairs: at most %d are possible",
				config->queue_pairs, MAX_PAIRS);
	if (config->queue_size == 1 || config->queue_size > VIA_RING_MAX_SIZE)
		return via_fail(err, -EINVAL, "a queue size of %u: 2 to %d are possible",
				config->queue_size, VIA_RING_MAX_SIZE);
	return 0;
}

static int open_parts(struct via_driver *d, const struct via_driver_config *config,
		      struct via_error *err)
{
	struct via_frontend_config frontend = {
		.name = config->name,
		.path = config->path,
		.server = config->mode == VIA_DRIVER_SERVER,
		.ops = d->events->open_socket ? &frontend_ops_opener : &frontend_ops,
		.user = d,
	};
	int ret;

	d->trouble_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->trouble_fd < 0)
		return via_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	ret = via_loop_watch(&d->trouble_watch, d->loop, d->trouble_fd, EPOLLIN, on_trouble, d,
			     err);
	return ret < 0 ? ret : via_frontend_open(&d->frontend, d->loop, &frontend, err);
}

VIA_EXPORT int via_driver_open(struct via_driver **driver, struct via_loop *loop,
			       const struct via_driver_config *config, struct via_error *err)
{
	struct via_driver *d;
	int ret = check_config(config, err);

	if (ret < 0)
		return ret;
	d = malloc(sizeof(*d));
	if (!d)
		return via_fail(err, -ENOMEM, "no memory for a driver");
	*d = (struct via_driver){
		.loop = loop,
		.name = strdup(config->name),
		.queue_pairs = config->queue_pairs ? config->queue_pairs : 1,
		.queue_size = config->queue_size ? config->queue_size : DEFAULT_QUEUE_SIZE,
		.features_off = config->features_off,
		.polling = config->polling,
		.events = config->events ? config->events : &no_events,
		.user = config->user,
		.trouble_fd = -1,
	};
	ret = d->name ? open_parts(d, config, err)
		      : via_fail(err, -ENOMEM, "no memory for a driver");
	if (ret < 0) {
		free_driver(d);
		return ret;
	}
	*driver = d;
	return 0;
}

/* The front-end has called on_stopped(): a life that was published is freed before. */
static void on_frontend_closed(void *user)
{
	struct via_driver *d = user;

	via_loop_after_grace(d->loop, free_driver, d);
}

VIA_EXPORT void via_driver_close(struct via_driver *d, void (*closed)(void *user), void *user)
{
	if (!d)
		return;
	d->closed = closed;
	d->closed_user = user;
	via_frontend_close(d->frontend, on_frontend_closed, d);
}

/* ---- questions ---- */

VIA_EXPORT int via_driver_call_fd(const struct via_driver *d, uint32_t pair)
{
	const struct drv_life *life = life_of_pair(d, pair);

	return life ? life->rx[pair].q.call_fd : -1;
}

VIA_EXPORT bool via_driver_pair_runs(const struct via_driver *d, uint32_t pair)
{
	return life_of_pair(d, pair) != NULL;
}

VIA_EXPORT uint32_t via_driver_pairs(const struct via_driver *d)
{
	const struct drv_life *life = life_of_pair(d, 0);

	return life ? life->nr_pairs : 0;
}

VIA_EXPORT uint64_t via_driver_features(const struct via_driver *d)
{
	const struct drv_life *life = life_of(d);

	return life ? life->features : 0;
}

static void describe_features(const struct drv_life *life,
			      void (*line)(void *user, const char *key, const char *value),
			      void *user)
{
	char text[256];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(features) && used < sizeof(text); i++)
		if (via_has(life->features, features[i].number))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? " " : "", features[i].name);
	line(user, "features", text);
}

VIA_EXPORT void via_driver_describe(struct via_driver *d,
				    void (*line)(void *user, const char *key, const char *value),
				    void *user)
{
	const struct drv_life *life = life_of(d);
	char text[96];

	line(user, "backend", via_frontend_state(d->frontend));
	if (via_frontend_reason(d->frontend)[0])
		line(user, "reason", via_frontend_reason(d->frontend));
	if (!life)
		return;
	describe_features(life, line, user);
	snprintf(text, sizeof(text), "%u of %u slots, %s", 2u * life->nr_pairs, life->queue_size,
		 life->format == VIA_RING_PACKED ? "packed" : "split");
	line(user, "queues", text);
	snprintf(text, sizeof(text), "%llu KiB shared", (unsigned long long)life->size / 1024);
	line(user, "memory", text);
}

/* ---- data path ---- */

VIA_EXPORT uint32_t via_driver_ingress(struct via_driver *d, uint32_t pair, struct via_burst *burst,
				       uint32_t max, struct via_queue_stats *stats)
{
	struct drv_life *life = life_of_pair(d, pair);

	return life ? drv_rx_burst(&life->rx[pair], burst, max, stats) : 0;
}

VIA_EXPORT void via_driver_ingress_release(struct via_driver *d, uint32_t pair,
					   uint32_t undelivered)
{
	struct drv_life *life = life_of_pair(d, pair);

	if (life)
		drv_rx_release(&life->rx[pair], undelivered);
}

VIA_EXPORT uint32_t via_driver_egress(struct via_driver *d, uint32_t pair,
				      struct via_view *const *views, uint32_t n, bool keep,
				      struct via_queue_stats *stats)
{
	struct drv_life *life = life_of_pair(d, pair);

	if (via_likely(life != NULL))
		return drv_tx_burst(&life->tx[pair], views, n, keep, stats);
	via_drop_count(stats, VIA_DROP_NO_QUEUE, n);
	return n;
}

VIA_EXPORT bool via_driver_arm(struct via_driver *d, uint32_t pair)
{
	struct drv_life *life = life_of_pair(d, pair);

	return life && drv_rx_arm(&life->rx[pair]);
}

VIA_EXPORT void via_driver_disarm(struct via_driver *d, uint32_t pair)
{
	struct drv_life *life = life_of_pair(d, pair);

	if (life)
		drv_rx_disarm(&life->rx[pair]);
}
