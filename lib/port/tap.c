/* SPDX-License-Identifier: BSD-3-Clause */
/* The port type 'tap': opening, closing, describing. See tap.h. */
#include "port/tap.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/calls.h"
#include "net/net.h"
#include "port/types.h"

#define DEFAULT_MTU 1500 /* of an interface that nobody asked for another */

/* Since Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static bool is_ifname(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < IFNAMSIZ && !strpbrk(name, "/: \t\n") && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static const struct via_port_key tap_keys[] = {
	{ .name = "ifname",
	  .kind = VIA_KEY_STRING,
	  .fits = is_ifname,
	  .form = "an interface's name: 1 to 15 bytes without '/', ':' or blanks",
	  .help = "Name of the kernel's interface, at most 15 bytes; it is made if it does not exist, "
		  "and a %d in it becomes a number. Default: the port's name." },
	{ .name = "queues",
	  .kind = VIA_KEY_UINT,
	  .min = 1,
	  .max = VIA_PORT_MAX_QUEUES,
	  .help = "Queues of the interface, so that several workers can serve it. Default: 1." },
	{ .name = "offloads",
	  .kind = VIA_KEY_SWITCH,
	  .help = "Leaves checksums and segmentation to the kernel, or to whom its packets go. "
		  "Default: on." },
	{ .name = NULL },
};

/* ---- closing ---- */

static void tap_destroy(struct via_port *port)
{
	struct tap *tap = tap_of(port);

	for (uint32_t q = 0; q < port->nr_queues; q++) {
		struct tap_queue *queue = &tap->queue[q];

		if (queue->fd >= 0)
			close(queue->fd);
		port_stash_free(&queue->stash);
		tap_out_free(queue->out);
		pthread_mutex_destroy(&queue->lock);
	}
	via_port_fini(port);
	free(tap);
}

static void tap_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	tap_link_stop(tap_of(port));
	via_port_close_later(port, tap_destroy, closed, user);
}

/* ---- opening ---- */

static int choose_name(struct tap *tap, const struct via_port_config *config, struct via_error *err)
{
	const char *name = via_port_option(config, "ifname", config->name);

	if (!is_ifname(name))
		return via_fail(err, -EINVAL,
				"'%.64s' cannot be an interface's name: it must be 1 to %d bytes "
				"without '/', ':' or blanks; give one with 'ifname'",
				name, IFNAMSIZ - 1);
	memcpy(tap->ifname, name, strlen(name) + 1);
	return 0;
}

static int open_queues(struct tap *tap, const struct via_opener *opener, struct via_error *err)
{
	for (uint32_t q = 0; q < tap->port.nr_queues; q++) {
		struct tap_queue *queue = &tap->queue[q];

		queue->out = tap_out_create();
		if (!queue->out)
			return via_fail(err, -ENOMEM, "no memory for a queue of '%s'", tap->ifname);
		queue->fd = opener->tap(opener->user, tap->ifname, tap->port.nr_queues, err);
		if (queue->fd < 0)
			return queue->fd;
	}
	return 0;
}

/* The header before each frame, little-endian as everywhere here, and no limit on what is on its way
 * to the kernel's stack: what does not fit there is the stack's to drop. */
static int agree_on_format(const struct tap *tap, struct via_error *err)
{
	const int size = TAP_HDR_SIZE, little_endian = 1, sndbuf = INT_MAX;

	for (uint32_t q = 0; q < tap->port.nr_queues; q++) {
		const int fd = tap->queue[q].fd;

		if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
		    ioctl(fd, TUNSETVNETLE, &little_endian) < 0 ||
		    ioctl(fd, TUNSETSNDBUF, &sndbuf) < 0)
			return via_fail(err, -errno, "cannot set up the TAP '%s': %s", tap->ifname,
					strerror(errno));
	}
	return 0;
}

/*
 * Which offloads frames that we read may need, from the newest on (reference exception-path.md §1.3).
 * What the kernel takes of us needs no setting, but a kernel that has not heard of USO takes none.
 */
static int agree_on_offloads(struct tap *tap, bool on, struct via_error *err)
{
	static const struct {
		unsigned long mask;
		uint32_t offloads;
	} steps[] = {
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
		  VIA_OFFLOAD_ALL },
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		  VIA_OFFLOAD_CSUM | VIA_OFFLOAD_TSO4 | VIA_OFFLOAD_TSO6 | VIA_OFFLOAD_ECN },
		{ 0, 0 },
	};

	for (size_t i = on ? 0 : ARRAY_SIZE(steps) - 1; i < ARRAY_SIZE(steps); i++) {
		if (ioctl(tap->queue[0].fd, TUNSETOFFLOAD, steps[i].mask) < 0)
			continue;
		tap->gives = tap->takes = steps[i].offloads;
		return 0;
	}
	return via_fail(err, -errno, "cannot set the offloads of '%s': %s", tap->ifname,
			strerror(errno));
}

/* An interface that was made beforehand, for a user without privileges, may be up or be brought up by
 * who made it: that we may not is no reason to fail. */
static int bring_up(const struct tap *tap, const struct via_opener *opener, struct via_error *err)
{
	struct via_error why = { "" };
	int ret = opener->tap_setup(opener->user, tap->ifname, tap->port.mtu, &why);

	if (ret == -EPERM || ret == -EACCES) {
		via_log(VIA_LOG_WARNING, "port %s: %s; set it with: ip link set %s up%s",
			tap->port.name, why.text, tap->ifname, tap->port.mtu ? " mtu …" : "");
		return 0;
	}
	return ret < 0 ? via_fail(err, ret, "%s", why.text) : 0;
}

/* Whether the kernel's TAPs can be asked not to wait (since Linux 6.4), without which none is read or written
 * by io_uring. Asked by a frame of one byte, which is never one. */
static int try_nowait(const struct tap *tap)
{
	const struct iovec byte = { &(char){ 0 }, 1 };

	return tap_write(tap->queue[0].fd, &byte, 1, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP
		       ? -EOPNOTSUPP
		       : 0;
}

/* 0, or why each frame is a system call. */
static int batch_error(const struct tap *tap)
{
	return tap->nowait_error < 0 ? tap->nowait_error : via_batch_error();
}

static void try_batch(struct tap *tap)
{
	static bool said; /* written by control */

	tap->nowait_error = try_nowait(tap);
	if (said || batch_error(tap) == 0)
		return;
	via_log(VIA_LOG_INFO, "port %s: each frame of a TAP is a system call, without io_uring: %s",
		tap->port.name, strerror(-batch_error(tap)));
	said = true;
}

static int set_up(struct tap *tap, const struct via_port_config *config, struct via_error *err)
{
	const struct via_opener *opener = via_port_opener(config);
	int ret = choose_name(tap, config, err);

	if (ret == 0)
		ret = open_queues(tap, opener, err);
	if (ret == 0)
		ret = agree_on_format(tap, err);
	if (ret == 0)
		ret = agree_on_offloads(tap, via_port_option_on(config, "offloads", true), err);
	if (ret == 0)
		ret = bring_up(tap, opener, err);
	if (ret == 0)
		try_batch(tap);
	return ret;
}

static struct tap *tap_create(uint16_t nr_queues)
{
	struct tap *tap = calloc(1, sizeof(*tap) + nr_queues * sizeof(tap->queue[0]));

	if (!tap)
		return NULL;
	tap->link_fd = -1;
	for (uint32_t q = 0; q < nr_queues; q++) {
		tap->queue[q].fd = -1;
		pthread_mutex_init(&tap->queue[q].lock, NULL);
	}
	return tap;
}

static int tap_open(struct via_port **port, const struct via_port_config *config,
		    struct via_error *err)
{
	uint16_t nr_queues;
	struct tap *tap;
	int ret = via_port_check_options(&port_tap_ops, config->options, err);

	if (ret < 0)
		return ret;
	nr_queues = (uint16_t)via_port_option_uint(config, "queues", 1);
	tap = tap_create(nr_queues);
	if (!tap)
		return via_fail(err, -ENOMEM, "no memory for a TAP");
	ret = via_port_init(&tap->port, &port_tap_ops, config, nr_queues, err);
	if (ret == 0)
		ret = set_up(tap, config, err);
	if (ret < 0) {
		tap_destroy(&tap->port);
		return ret;
	}
	tap->port.link = true;
	atomic_store_explicit(&tap->mtu, config->mtu ? config->mtu : DEFAULT_MTU,
			      memory_order_relaxed);
	tap_link_start(tap);
	*port = &tap->port;
	return 0;
}

/* ---- asking ---- */

static void describe_offloads(const struct tap *tap, char *text, size_t size)
{
	if (tap->takes == 0)
		snprintf(text, size, "none: checksums and segments are made by the switch");
	else
		snprintf(text, size, "checksum, TSO%s",
			 tap->takes & VIA_OFFLOAD_USO4 ? ", USO" : "");
}

static void describe_calls(const struct tap *tap, char *text, size_t size)
{
	if (batch_error(tap) == 0)
		snprintf(text, size, "for several frames each, by io_uring");
	else
		snprintf(text, size, "for each frame, without io_uring: %s",
			 strerror(-batch_error(tap)));
}

static void tap_describe(struct via_port *port, via_describe_fn *line, void *user)
{
	const struct tap *tap = tap_of(port);
	char text[80];

	line(user, "interface", tap->ifname);
	line(user, "state", tap->gone ? "removed" : port->link ? "up" : "down");
	snprintf(text, sizeof(text), "%u", atomic_load_explicit(&tap->mtu, memory_order_relaxed));
	line(user, "mtu", text);
	snprintf(text, sizeof(text), "%u", port->nr_queues);
	line(user, "queues", text);
	describe_offloads(tap, text, sizeof(text));
	line(user, "offloads", text);
	describe_calls(tap, text, sizeof(text));
	line(user, "system calls", text);
}

static int tap_fd(struct via_port *port, uint32_t q)
{
	const struct tap *tap = tap_of(port);

	return tap->gone ? VIA_FD_NONE : tap->queue[q].fd;
}

static const struct via_need needs[] = {
	VIA_NEED("readv", "frames from the kernel"),
	VIA_NEED("pwritev2", "frames to it"),
	VIA_NEED("poll", "whether one came before a queue rests"),
	VIA_NEED_IS("ioctl", 1, TUNSETVNETHDRSZ, "the header before each frame of a TAP"),
	VIA_NEED_IS("ioctl", 1, TUNSETVNETLE, "its byte order"),
	VIA_NEED_IS("ioctl", 1, TUNSETSNDBUF, "no limit on what is on its way to the kernel"),
	VIA_NEED_IS("ioctl", 1, TUNSETOFFLOAD, "which offloads its frames may need"),
	VIA_NEED_IS("ioctl", 1, TUNGETIFF, "a TAP's name now, and whether it is still there"),
	VIA_NEED_IS("ioctl", 1, SIOCGIFMTU, "an interface's MTU"),
	VIA_NEED_IS("ioctl", 1, SIOCGIFFLAGS, "whether it is up"),
	VIA_NEEDS_END,
};

const struct via_port_ops port_tap_ops = {
	.type = "tap",
	.help = "a network interface of the host's kernel",
	.keys = tap_keys,
	.needs = needs,
	.open = tap_open,
	.close = tap_close,
	.describe = tap_describe,
	.ingress_burst = tap_ingress,
	.ingress_release = tap_release,
	.ingress_fd = tap_fd,
	.arm = tap_arm,
	.disarm = tap_disarm,
	.egress_burst = tap_egress,
};
