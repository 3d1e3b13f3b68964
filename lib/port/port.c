/* SPDX-License-Identifier: BSD-3-Clause */
/* What all port types share: the table of types, the head of a port, and its end. */
#include "port/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "port/types.h"

const struct via_port_ops *const via_port_types[] = {
	&port_vhost_user_ops, &port_virtio_user_ops, &port_tap_ops,
	&port_sink_ops,       &port_gen_ops,         NULL,
};

const struct via_port_ops *via_port_type(const char *type)
{
	for (const struct via_port_ops *const *ops = via_port_types; *ops; ops++)
		if (strcmp((*ops)->type, type) == 0)
			return *ops;
	return NULL;
}

static int check_name(const char *name, struct via_error *err)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = name ? strlen(name) : 0;

	if (len >= 1 && len < VIA_PORT_NAME_SIZE && strspn(name, allowed) == len)
		return 0;
	return via_fail(
		err, -EINVAL,
		"'%.64s' cannot be a port's name: it must be 1 to %d letters, digits, '_', '.' "
		"or '-'",
		name ? name : "", VIA_PORT_NAME_SIZE - 1);
}

int via_port_init(struct via_port *port, const struct via_port_ops *ops,
		  const struct via_port_config *config, uint16_t nr_queues, struct via_error *err)
{
	int ret = check_name(config->name, err);

	*port = (struct via_port){
		.ops = ops,
		.nr_queues = nr_queues,
		.mtu = config->mtu,
		.lossless = config->lossless,
		.config = *config,
	};
	if (ret < 0)
		return ret;
	memcpy(port->name, config->name, strlen(config->name) + 1);
	port->config.name = port->name;
	port->config.options = NULL;
	port->receive = calloc(nr_queues, sizeof(*port->receive));
	port->transmit = calloc(nr_queues, sizeof(*port->transmit));
	if (!port->receive || !port->transmit) {
		via_port_fini(port);
		return via_fail(err, -ENOMEM, "no memory for the counters of %u queues", nr_queues);
	}
	return 0;
}

void via_port_fini(struct via_port *port)
{
	free(port->receive);
	free(port->transmit);
	port->receive = port->transmit = NULL;
}

static void close_now(void *user)
{
	struct via_port *port = user;
	void (*closed)(void *) = port->closing.closed;

	user = port->closing.user;
	port->closing.destroy(port);
	if (closed)
		closed(user);
}

void via_port_close_later(struct via_port *port, void (*destroy)(struct via_port *port),
			  void (*closed)(void *user), void *user)
{
	port->closing.destroy = destroy;
	port->closing.closed = closed;
	port->closing.user = user;
	via_loop_after_grace(port->config.loop, close_now, port);
}

const struct via_opener *via_port_opener(const struct via_port_config *config)
{
	return config->opener ? config->opener : &via_opener_direct;
}

void via_port_set_link(struct via_port *port, bool link)
{
	if (port->link == link)
		return;
	port->link = link;
	if (port->config.link_changed)
		port->config.link_changed(port->config.user, port);
}
