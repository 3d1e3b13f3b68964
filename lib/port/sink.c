/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts what it is sent and drops it. Nothing ever comes from it. */
#include <errno.h>
#include <stdlib.h>

#include "port/lock.h"
#include "port/types.h"

struct sink {
	struct via_port port;
	atomic_flag lock; /* guards port.transmit */
};

static void sink_destroy(struct via_port *port)
{
	via_port_fini(port);
	free(port);
}

static int sink_open(struct via_port **port, const struct via_port_config *config,
		     struct via_error *err)
{
	struct sink *sink;
	int ret = via_port_check_options(&port_sink_ops, config->options, err);

	if (ret < 0)
		return ret;
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return via_fail(err, -ENOMEM, "no memory for a sink");
	ret = via_port_init(&sink->port, &port_sink_ops, config, 1, err);
	if (ret < 0) {
		free(sink);
		return ret;
	}
	sink->port.link = true;
	*port = &sink->port;
	return 0;
}

static void sink_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	via_port_close_later(port, sink_destroy, closed, user);
}

static void sink_describe(struct via_port *port, via_describe_fn *line, void *user)
{
	(void)port;
	line(user, "purpose", port_sink_ops.help);
}

static uint32_t sink_ingress(struct via_port *port, uint32_t q, struct via_burst *burst,
			     uint32_t max)
{
	(void)port, (void)q, (void)max;
	burst->nr_pieces = 0;
	return 0;
}

static void sink_release(struct via_port *port, uint32_t q, struct via_burst *burst,
			 uint32_t undelivered)
{
	(void)port, (void)q, (void)burst, (void)undelivered;
}

static int sink_fd(struct via_port *port, uint32_t q)
{
	(void)port, (void)q;
	return VIA_FD_NONE;
}

static bool sink_arm(struct via_port *port, uint32_t q)
{
	(void)port, (void)q;
	return false;
}

static void sink_disarm(struct via_port *port, uint32_t q)
{
	(void)port, (void)q;
}

static uint32_t sink_egress(struct via_port *port, struct via_view *const *views, uint32_t n,
			    bool keep)
{
	struct sink *sink = via_container_of(port, struct sink, port);
	uint64_t bytes = 0;

	(void)keep;
	for (uint32_t i = 0; i < n; i++)
		bytes += views[i]->len;
	port_lock(&sink->lock);
	via_count(&port->transmit[0].packets, n);
	via_count(&port->transmit[0].bytes, bytes);
	port_unlock(&sink->lock);
	return n;
}

static const struct via_port_key sink_keys[] = {
	{ .name = NULL },
};

const struct via_port_ops port_sink_ops = {
	.type = "sink",
	.help = "counts what it is sent and drops it",
	.keys = sink_keys,
	.open = sink_open,
	.close = sink_close,
	.describe = sink_describe,
	.ingress_burst = sink_ingress,
	.ingress_release = sink_release,
	.ingress_fd = sink_fd,
	.arm = sink_arm,
	.disarm = sink_disarm,
	.egress_burst = sink_egress,
};
