/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others do to the interface: its MTU and whether it is up, and its end.
 *
 * Netlink says that some interface has changed; what has become of ours is then asked anew, so a lost
 * message does no harm. The interface's name and whether it is there at all are asked of the
 * descriptor, which goes on to work when the interface is moved to another network namespace. There
 * nothing more is heard of it: MTU and state stay as last seen.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/calls.h"
#include "port/tap.h"

static void set_gone(struct tap *tap)
{
	struct via_port *port = &tap->port;

	if (tap->gone)
		return;
	tap->gone = true;
	via_log(VIA_LOG_WARNING,
		"port %s: the interface '%s' was removed; remove and add the port to have it again",
		port->name, tap->ifname);
	via_port_set_link(port, false);
	for (uint32_t q = 0; q < port->nr_queues; q++)
		if (port->config.queue_changed)
			port->config.queue_changed(port->config.user, port, q);
}

/* What the interface is like. Members that cannot be found out stay as they are. */
struct state {
	uint32_t mtu;
	bool up, gone;
};

static void ask(struct tap *tap, struct state *state)
{
	struct ifreq request = { .ifr_flags = 0 };

	if (ioctl(tap->queue[0].fd, TUNGETIFF, &request) < 0) {
		state->gone = errno == EBADFD;
		return;
	}
	memcpy(tap->ifname, request.ifr_name, IFNAMSIZ);
	if (ioctl(tap->link_fd, SIOCGIFMTU, &request) < 0)
		return; /* in another namespace */
	state->mtu = (uint32_t)request.ifr_mtu;
	if (ioctl(tap->link_fd, SIOCGIFFLAGS, &request) == 0)
		state->up = request.ifr_flags & IFF_UP;
}

static void look(struct tap *tap)
{
	const uint32_t before = atomic_load_explicit(&tap->mtu, memory_order_relaxed);
	struct state state = { .mtu = before, .up = tap->port.link };

	ask(tap, &state);
	if (state.gone) {
		set_gone(tap);
		return;
	}
	if (state.mtu != before) {
		atomic_store_explicit(&tap->mtu, state.mtu, memory_order_relaxed);
		via_log(VIA_LOG_INFO, "port %s: the MTU of '%s' is %u now, it was %u",
			tap->port.name, tap->ifname, state.mtu, before);
	}
	via_port_set_link(&tap->port, state.up);
}

static void on_netlink(void *user, uint32_t events)
{
	struct tap *tap = user;
	char ignored[4096];
	ssize_t got;

	(void)events;
	do
		got = via_recv(tap->link_fd, ignored, sizeof(ignored), MSG_DONTWAIT | MSG_TRUNC);
	while (got > 0 || (got < 0 && errno == ENOBUFS));
	look(tap);
}

static int subscribe(struct tap *tap)
{
	const struct via_opener *opener = via_port_opener(&tap->port.config);

	tap->link_fd = opener->link_events(opener->user, NULL);
	if (tap->link_fd < 0)
		return tap->link_fd;
	return via_loop_watch(&tap->link_watch, tap->port.config.loop, tap->link_fd, EPOLLIN,
			      on_netlink, tap, NULL);
}

void tap_link_start(struct tap *tap)
{
	struct state state = {
		.mtu = atomic_load_explicit(&tap->mtu, memory_order_relaxed),
		.up = tap->port.link,
	};
	int ret = subscribe(tap);

	if (ret < 0) {
		via_log(VIA_LOG_WARNING,
			"port %s: changes of the MTU of '%s' will not be noticed: %s",
			tap->port.name, tap->ifname, strerror(-ret));
		tap_link_stop(tap);
		return;
	}
	/* After the subscription: nothing falls between. And without a word to the owner, who does not
	 * have the port yet. */
	ask(tap, &state);
	atomic_store_explicit(&tap->mtu, state.mtu, memory_order_relaxed);
	tap->port.link = state.up;
}

void tap_link_stop(struct tap *tap)
{
	via_loop_unwatch(tap->link_watch);
	if (tap->link_fd >= 0)
		close(tap->link_fd);
	tap->link_watch = NULL;
	tap->link_fd = -1;
}
