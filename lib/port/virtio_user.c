/* SPDX-License-Identifier: BSD-3-Clause */
/* We are the driver of another vhost-user back-end: a chain of switches, or a device elsewhere. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <viaduct/driver.h>

#include "net/net.h"
#include "port/features.h"
#include "port/types.h"

struct virtio_user {
	struct via_port port;
	struct via_driver *driver;
	bool closing; /* the owner wants to hear nothing more */
};

static struct virtio_user *of(struct via_port *port)
{
	return via_container_of(port, struct virtio_user, port);
}

/* ---- what the driver tells ---- */

static void on_pair_changed(void *user, uint32_t pair)
{
	struct virtio_user *v = user;

	if (!v->closing && v->port.config.queue_changed)
		v->port.config.queue_changed(v->port.config.user, &v->port, pair);
}

static void on_link_changed(void *user, bool up)
{
	struct virtio_user *v = user;

	if (!v->closing)
		via_port_set_link(&v->port, up);
}

static int on_open_socket(void *user, const char *path, bool server, struct via_error *err)
{
	const uint32_t as_it_is = (uint32_t)-1;
	struct virtio_user *v = user;
	const struct via_opener *opener = via_port_opener(&v->port.config);

	return server ? opener->listen_unix(opener->user, path, as_it_is, as_it_is, as_it_is, err)
		      : opener->connect_unix(opener->user, path, err);
}

static void on_unlink_socket(void *user, const char *path)
{
	struct virtio_user *v = user;
	const struct via_opener *opener = via_port_opener(&v->port.config);

	opener->unlink_unix(opener->user, path);
}

static int on_create_memory(void *user, uint64_t size, struct via_error *err)
{
	struct virtio_user *v = user;
	const struct via_opener *opener = via_port_opener(&v->port.config);

	return opener->shared_memory(opener->user, size, err);
}

static const struct via_driver_events events = {
	.pair_changed = on_pair_changed,
	.link_changed = on_link_changed,
	.open_socket = on_open_socket,
	.unlink_socket = on_unlink_socket,
	.create_memory = on_create_memory,
};

/* ---- open, close, describe ---- */

static void virtio_user_free(struct via_port *port)
{
	via_port_fini(port);
	free(of(port));
}

static int virtio_user_open(struct via_port **port, const struct via_port_config *config,
			    struct via_error *err)
{
	uint16_t pairs = (uint16_t)via_port_option_uint(config, "queue_pairs", 1);
	struct via_driver_config driver = {
		.name = config->name,
		.path = via_port_option(config, "socket", ""),
		.queue_pairs = pairs,
		.queue_size = (uint16_t)via_port_option_uint(config, "queue_size", 0),
		.features_off = port_features_off(via_port_option(config, "features", NULL)),
		.events = &events,
	};
	struct virtio_user *v;
	int ret = via_port_check_options(&port_virtio_user_ops, config->options, err);

	if (ret < 0)
		return ret;
	v = calloc(1, sizeof(*v));
	if (!v)
		return via_fail(err, -ENOMEM, "no memory for a port");
	ret = via_port_init(&v->port, &port_virtio_user_ops, config, pairs, err);
	if (ret < 0) {
		free(v);
		return ret;
	}
	if (strcmp(via_port_option(config, "mode", "client"), "server") == 0)
		driver.mode = VIA_DRIVER_SERVER;
	driver.user = v;
	ret = via_driver_open(&v->driver, config->loop, &driver, err);
	if (ret < 0) {
		virtio_user_free(&v->port);
		return ret;
	}
	*port = &v->port;
	return 0;
}

static void on_driver_closed(void *user)
{
	struct virtio_user *v = user;

	via_port_close_later(&v->port, virtio_user_free, v->port.closing.closed,
			     v->port.closing.user);
}

static void virtio_user_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	struct virtio_user *v = of(port);

	v->closing = true;
	port->closing.closed = closed;
	port->closing.user = user;
	via_driver_close(v->driver, on_driver_closed, v);
}

static void virtio_user_describe(struct via_port *port, via_describe_fn *line, void *user)
{
	via_driver_describe(of(port)->driver, line, user);
}

/* ---- packets ---- */

static uint32_t virtio_user_ingress(struct via_port *port, uint32_t q, struct via_burst *burst,
				    uint32_t max)
{
	return via_driver_ingress(of(port)->driver, q, burst, max, &port->receive[q]);
}

static void virtio_user_release(struct via_port *port, uint32_t q, struct via_burst *burst,
				uint32_t undelivered)
{
	(void)burst;
	via_driver_ingress_release(of(port)->driver, q, undelivered);
}

static int virtio_user_fd(struct via_port *port, uint32_t q)
{
	struct via_driver *driver = of(port)->driver;
	int fd;

	if (!via_driver_pair_runs(driver, q))
		return VIA_FD_NONE;
	fd = via_driver_call_fd(driver, q);
	return fd >= 0 ? fd : VIA_FD_POLL;
}

static bool virtio_user_arm(struct via_port *port, uint32_t q)
{
	return via_driver_arm(of(port)->driver, q);
}

static void virtio_user_disarm(struct via_port *port, uint32_t q)
{
	via_driver_disarm(of(port)->driver, q);
}

static uint32_t pair_of(struct via_view *view, uint32_t pairs)
{
	return pairs > 1 ? via_view_flow(view) % pairs : 0;
}

/* Flows stay on their pair, and so in order: runs of views for one pair go together. */
static uint32_t virtio_user_egress(struct via_port *port, struct via_view *const *views, uint32_t n,
				   bool keep)
{
	struct via_driver *driver = of(port)->driver;
	const uint32_t pairs = via_driver_pairs(driver);
	uint32_t done = 0;

	while (done < n) {
		const uint32_t pair = pair_of(views[done], pairs);
		uint32_t end = done + 1, sent;

		while (end < n && pair_of(views[end], pairs) == pair)
			end++;
		sent = via_driver_egress(driver, pair, views + done, end - done, keep,
					 &port->transmit[pair]);
		done += sent;
		if (done < end)
			break;
	}
	return done;
}

/* Rings of other sizes cannot be split ones. */
static bool is_power_of_2(const char *value)
{
	const unsigned long size = strtoul(value, NULL, 10);

	return size && (size & (size - 1)) == 0;
}

static const struct via_port_key keys[] = {
	{ .name = "socket",
	  .kind = VIA_KEY_PATH,
	  .required = true,
	  .help = "the back-end's UNIX socket" },
	{ .name = "mode",
	  .kind = VIA_KEY_CHOICE,
	  .choices = "client|server",
	  .help = "client (the default): the back-end listens; server: it connects to us" },
	{ .name = "queue_pairs",
	  .kind = VIA_KEY_UINT,
	  .min = 1,
	  .max = VIA_PORT_MAX_QUEUES,
	  .help = "queue pairs asked for (1); the back-end may have fewer" },
	{ .name = "queue_size",
	  .kind = VIA_KEY_UINT,
	  .min = 2,
	  .max = 32768,
	  .fits = is_power_of_2,
	  .form = "a power of 2 from 2 to 32768",
	  .help = "slots of each ring (256)" },
	{ .name = "features",
	  .kind = VIA_KEY_FEATURES,
	  .choices = PORT_FEATURE_CHOICES,
	  .help = "virtio features not to accept" },
	{ .name = NULL },
};

const struct via_port_ops port_virtio_user_ops = {
	.type = "virtio-user",
	.help = "drives the device of another vhost-user back-end",
	.keys = keys,
	.open = virtio_user_open,
	.close = virtio_user_close,
	.describe = virtio_user_describe,
	.ingress_burst = virtio_user_ingress,
	.ingress_release = virtio_user_release,
	.ingress_fd = virtio_user_fd,
	.arm = virtio_user_arm,
	.disarm = virtio_user_disarm,
	.egress_burst = virtio_user_egress,
};
