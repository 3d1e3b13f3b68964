/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM or container: the device side of a vhost-user socket (viaduct/device.h) as a port. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viaduct/device.h>
#include <viaduct/log.h>

#include "base/calls.h"
#include "net/net.h"
#include "port/features.h"
#include "port/types.h"
#include "ring/position.h"

#define LEAVE UINT32_MAX

struct vhost_user {
	struct via_port port;
	struct via_device *device;
	uint32_t uid, gid, perm; /* of the socket that we listen on; LEAVE: as it is */
	int state_fd;            /* keeps the lock on the state file; -1: none */
	bool closing;            /* the owner wants to hear nothing more */
};

static struct vhost_user *of(struct via_port *port)
{
	return via_container_of(port, struct vhost_user, port);
}

/* ---- what the device tells ---- */

static void on_pair_changed(void *user, uint32_t pair)
{
	struct vhost_user *v = user;

	if (!v->closing && v->port.config.queue_changed)
		v->port.config.queue_changed(v->port.config.user, &v->port, pair);
}

static void on_link_changed(void *user, bool up)
{
	struct vhost_user *v = user;

	if (!v->closing)
		via_port_set_link(&v->port, up);
}

static void on_announce(void *user, const uint8_t mac[6])
{
	struct vhost_user *v = user;

	if (!v->closing && v->port.config.announce)
		v->port.config.announce(v->port.config.user, &v->port, mac);
}

static int on_open_socket(void *user, const char *path, enum via_device_mode mode,
			  struct via_error *err)
{
	struct vhost_user *v = user;
	const struct via_opener *opener = via_port_opener(&v->port.config);

	return mode == VIA_DEVICE_SERVER
		       ? opener->listen_unix(opener->user, path, v->uid, v->gid, v->perm, err)
		       : opener->connect_unix(opener->user, path, err);
}

static void on_unlink_socket(void *user, const char *path)
{
	struct vhost_user *v = user;
	const struct via_opener *opener = via_port_opener(&v->port.config);

	opener->unlink_unix(opener->user, path);
}

static const struct via_device_events events = {
	.pair_changed = on_pair_changed,
	.link_changed = on_link_changed,
	.announce = on_announce,
	.open_socket = on_open_socket,
	.unlink_socket = on_unlink_socket,
};

/* ---- what the options mean ---- */

static bool is_number(const char *text, uint32_t *number)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value >= LEAVE)
		return false;
	*number = (uint32_t)value;
	return true;
}

/* The user or group that an option names, by name or number; LEAVE without the option. */
static int find_account(const struct via_port_config *config, const char *key, bool is_group,
			uint32_t *id, struct via_error *err)
{
	const struct via_opener *opener = via_port_opener(config);
	const char *name = via_port_option(config, key, NULL);
	int ret;

	*id = LEAVE;
	if (!name || is_number(name, id))
		return 0;
	ret = opener->account(opener->user, name, is_group, id, err);
	return ret < 0 ? via_fail_in(err, ret, "%s", key) : 0;
}

/*
 * The address of a guest whose configuration names none: always the same for a port's name, so that a
 * restart changes nothing for the guest and its neighbours. FNV-1a, made local and unicast.
 */
static void default_mac(const char *name, uint8_t mac[6])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> (8 * i));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static int choose_mac(const struct via_port_config *config, uint8_t mac[6], struct via_error *err)
{
	static const uint8_t zero[6];

	if (!via_port_option_mac(config, "mac", mac))
		default_mac(config->name, mac);
	if ((mac[0] & 1) || memcmp(mac, zero, sizeof(zero)) == 0)
		return via_fail(
			err, -EINVAL,
			"mac is '%s'; it must be the address of one station: not zero, and the "
			"first byte even",
			via_port_option(config, "mac", ""));
	return 0;
}

/*
 * Where a packed ring's positions survive us. A port without such a file works, but after a restart a
 * guest with a packed ring must reconnect. The device maps the file; its lock against another process
 * lasts as long as a descriptor.
 */
static int begin_anew(int fd, uint64_t size)
{
	struct stat st;
	void *file;

	if (via_fstat(fd, &st) < 0 || (uint64_t)st.st_size < size)
		return -EINVAL;
	file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		return -errno;
	memset(file, 0, size);
	munmap(file, size);
	return 0;
}

/* What another version has left, or a crash, is of no use and no reason not to start. */
static int check_state(struct vhost_user *v, int fd)
{
	struct via_positions *positions;
	struct via_error why = { "" };
	/* As many as via_device_state_size() counts: those of the pairs, and the control queue. */
	int ret = via_positions_map(&positions, fd, 2u * v->port.nr_queues + 1, &why);

	if (ret == 0) {
		via_positions_unmap(positions);
		return 0;
	}
	via_log(VIA_LOG_WARNING,
		"port %s: its ring positions of an earlier run are lost, so a guest with a packed ring "
		"must reconnect: %s",
		v->port.name, why.text);
	return begin_anew(fd, via_device_state_size(v->port.nr_queues));
}

static int open_state(struct vhost_user *v, int *fd, struct via_error *err)
{
	const struct via_opener *opener = via_port_opener(&v->port.config);
	struct via_error why = { "" };
	int ret = opener->state_file(opener->user, v->port.name,
				     via_device_state_size(v->port.nr_queues), &why);

	if (ret == -EBUSY)
		return via_fail(err, ret, "%s", why.text);
	if (ret < 0) {
		via_log(VIA_LOG_WARNING,
			"port %s: ring positions will not survive a restart of this process: %s",
			v->port.name, why.text);
		return 0;
	}
	if (check_state(v, ret) < 0) {
		close(ret);
		return 0;
	}
	v->state_fd = fcntl(ret, F_DUPFD_CLOEXEC, 3);
	*fd = ret;
	return 0;
}

/* ---- open, close, describe ---- */

static void vhost_user_free(struct via_port *port)
{
	if (of(port)->state_fd >= 0)
		close(of(port)->state_fd);
	via_port_fini(port);
	free(of(port));
}

static int open_device(struct vhost_user *v, const struct via_port_config *config,
		       struct via_error *err)
{
	struct via_device_config device = {
		.name = v->port.name,
		.path = via_port_option(config, "socket", ""),
		.mode = strcmp(via_port_option(config, "mode", "server"), "client") == 0
				? VIA_DEVICE_CLIENT
				: VIA_DEVICE_SERVER,
		.queue_pairs = v->port.nr_queues,
		.features_off = port_features_off(via_port_option(config, "features", NULL)),
		.inband = via_port_option_on(config, "inband", false),
		/* Its place is behind the last pair, where 128 pairs leave none. */
		.control_queue = v->port.nr_queues < VIA_DEVICE_MAX_PAIRS,
		.sealed_only = strcmp(via_port_option(config, "memory", "guarded"), "sealed") == 0,
		.mtu = (uint16_t)config->mtu,
		.has_mac = true,
		.events = &events,
		.user = v,
	};
	int ret = choose_mac(config, device.mac, err);

	if (ret == 0)
		ret = find_account(config, "owner", false, &v->uid, err);
	if (ret == 0)
		ret = find_account(config, "group", true, &v->gid, err);
	v->perm = via_port_option_octal(config, "perm", LEAVE);
	if (ret == 0)
		ret = open_state(v, &device.state_fd, err);
	if (ret < 0)
		return ret;
	ret = via_device_open(&v->device, config->loop, &device, err);
	if (ret < 0 && device.state_fd > 0)
		close(device.state_fd);
	return ret;
}

static int vhost_user_open(struct via_port **port, const struct via_port_config *config,
			   struct via_error *err)
{
	int ret = via_port_check_options(&port_vhost_user_ops, config->options, err);
	struct vhost_user *v;

	if (ret < 0)
		return ret;
	if (config->mtu > 0 && (config->mtu < 68 || config->mtu > 65535))
		return via_fail(err, -EINVAL, "mtu is %u; it must be 68 to 65535", config->mtu);
	v = calloc(1, sizeof(*v));
	if (!v)
		return via_fail(err, -ENOMEM, "no memory for a port");
	v->state_fd = -1;
	ret = via_port_init(&v->port, &port_vhost_user_ops, config,
			    (uint16_t)via_port_option_uint(config, "queue_pairs", 1), err);
	if (ret == 0)
		ret = open_device(v, config, err);
	if (ret < 0) {
		vhost_user_free(&v->port);
		return ret;
	}
	*port = &v->port;
	return 0;
}

static void on_device_closed(void *user)
{
	struct vhost_user *v = user;

	via_port_close_later(&v->port, vhost_user_free, v->port.closing.closed,
			     v->port.closing.user);
}

static void vhost_user_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	struct vhost_user *v = of(port);

	v->closing = true;
	port->closing.closed = closed;
	port->closing.user = user;
	via_device_close(v->device, on_device_closed, v);
}

static void vhost_user_describe(struct via_port *port, via_describe_fn *line, void *user)
{
	via_device_describe(of(port)->device, line, user);
}

/* ---- from the guest ---- */

/* A guest's answers go to the pair on which it asked (VN-16). */
static void learn_flows(struct via_device *device, struct via_burst *burst, uint32_t n,
			uint32_t pair)
{
	for (uint32_t i = 0; i < n; i++)
		via_device_steer_learn(device, via_view_flow(&burst->view[i]), pair);
}

static uint32_t vhost_user_ingress(struct via_port *port, uint32_t q, struct via_burst *burst,
				   uint32_t max)
{
	struct via_device *device = of(port)->device;
	uint32_t n = via_device_ingress(device, q, burst, max, &port->receive[q]);

	if (port->nr_queues > 1)
		learn_flows(device, burst, n, q);
	return n;
}

static void vhost_user_release(struct via_port *port, uint32_t q, struct via_burst *burst,
			       uint32_t undelivered)
{
	(void)burst;
	via_device_ingress_release(of(port)->device, q, undelivered);
}

static int vhost_user_fd(struct via_port *port, uint32_t q)
{
	struct via_device *device = of(port)->device;
	int fd;

	if (!via_device_pair_runs(device, q))
		return VIA_FD_NONE;
	fd = via_device_kick_fd(device, q);
	return fd >= 0 ? fd : VIA_FD_POLL;
}

static bool vhost_user_arm(struct via_port *port, uint32_t q)
{
	return via_device_arm(of(port)->device, q);
}

static void vhost_user_disarm(struct via_port *port, uint32_t q)
{
	via_device_disarm(of(port)->device, q);
}

/* ---- to the guest ---- */

/* With no pair running, pair 0 counts what is sent as dropped for that. */
static uint32_t pair_of(struct via_port *port, struct via_view *view)
{
	int pair;

	if (port->nr_queues == 1)
		return 0;
	pair = via_device_steer(of(port)->device, via_view_flow(view));
	return pair < 0 ? 0 : (uint32_t)pair;
}

/* Counted here and nowhere else, by any worker without a lock: so, unlike the others, by an addition
 * that is atomic. */
static void count_unwanted(struct via_port *port, uint32_t n)
{
	atomic_fetch_add_explicit(&port->transmit[0].drops[VIA_DROP_FILTER].raw, n,
				  memory_order_relaxed);
}

/* Views in order, by runs for one pair: what was dealt with is a prefix, as 'keep' needs it. */
static uint32_t send_runs(struct via_port *port, struct via_view *const *views, uint32_t n,
			  bool keep)
{
	struct via_device *device = of(port)->device;
	uint32_t done = 0;

	while (done < n) {
		uint32_t pair, end = done + 1, sent;

		if (!via_device_wants(device, views[done])) {
			count_unwanted(port, 1);
			done++;
			continue;
		}
		pair = pair_of(port, views[done]);
		while (end < n && pair_of(port, views[end]) == pair &&
		       via_device_wants(device, views[end]))
			end++;
		sent = via_device_egress(device, pair, views + done, end - done, keep,
					 &port->transmit[pair]);
		done += sent;
		if (done < end)
			break;
	}
	return done;
}

/* At most VIA_BURST views, sorted by pair: each pair's ring is locked, published and told of once. */
static void send_sorted(struct via_port *port, struct via_view *const *views, uint32_t n)
{
	struct via_device *device = of(port)->device;
	struct via_view *batch[VIA_BURST];
	uint8_t pairs[VIA_BURST];
	uint64_t left = 0;

	for (uint32_t i = 0; i < n; i++) {
		pairs[i] = (uint8_t)pair_of(port, views[i]);
		if (via_device_wants(device, views[i]))
			left |= VIA_BIT(i);
		else
			count_unwanted(port, 1);
	}
	while (left) {
		const uint8_t pair = pairs[__builtin_ctzll(left)];
		uint32_t nr = 0;

		for (uint32_t i = 0; i < n; i++) {
			if (!(left >> i & 1) || pairs[i] != pair)
				continue;
			batch[nr++] = views[i];
			left &= ~VIA_BIT(i);
		}
		via_device_egress(device, pair, batch, nr, false, &port->transmit[pair]);
	}
}

static uint32_t vhost_user_egress(struct via_port *port, struct via_view *const *views, uint32_t n,
				  bool keep)
{
	if (keep || port->nr_queues == 1)
		return send_runs(port, views, n, keep);
	for (uint32_t i = 0; i < n; i += VIA_BURST)
		send_sorted(port, views + i, via_min_u(n - i, VIA_BURST));
	return n;
}

/* A guest that cannot be asked is learned from what it sends, as ever. */
static void vhost_user_ask_announce(struct via_port *port)
{
	via_device_announce(of(port)->device);
}

static const struct via_port_key keys[] = {
	{ .name = "socket",
	  .kind = VIA_KEY_PATH,
	  .required = true,
	  .help = "the UNIX socket between us and the VMM" },
	{ .name = "mode",
	  .kind = VIA_KEY_CHOICE,
	  .choices = "server|client",
	  .help = "server (the default): we listen; client: the VMM listens, and we reconnect "
		  "whenever it comes back" },
	{ .name = "queue_pairs",
	  .kind = VIA_KEY_UINT,
	  .min = 1,
	  .max = VIA_DEVICE_MAX_PAIRS,
	  .help = "queue pairs offered (1)" },
	{ .name = "owner",
	  .kind = VIA_KEY_USER,
	  .help = "user, by name or number, who owns the socket that we listen on" },
	{ .name = "group",
	  .kind = VIA_KEY_GROUP,
	  .help = "its group, by name or number, such as kvm or libvirt-qemu" },
	{ .name = "perm", .kind = VIA_KEY_OCTAL, .help = "its mode, such as 0660" },
	{ .name = "features",
	  .kind = VIA_KEY_FEATURES,
	  .choices = PORT_FEATURE_CHOICES,
	  .help = "virtio features not to offer" },
	{ .name = "memory",
	  .kind = VIA_KEY_CHOICE,
	  .choices = "guarded|sealed",
	  .help = "guarded (the default): survive a VMM that truncates the guest's memory; sealed: "
		  "refuse memory that could be truncated" },
	{ .name = "mac",
	  .kind = VIA_KEY_MAC,
	  .help = "address of the guest's interface where no VMM sets one; made from the port's "
		  "name if not given" },
	{ .name = "inband",
	  .kind = VIA_KEY_SWITCH,
	  .help = "offer notifications as messages on the socket (off)" },
	{ .name = NULL },
};

static const struct via_need needs[] = {
	VIA_NEED_IS("fcntl", 1, F_DUPFD_CLOEXEC, "a descriptor that outlives its other owner"),
	VIA_NEEDS_END,
};

const struct via_port_ops port_vhost_user_ops = {
	.type = "vhost-user",
	.help = "serves a VM or container: the device side of a vhost-user socket",
	.keys = keys,
	.needs = needs,
	.open = vhost_user_open,
	.close = vhost_user_close,
	.describe = vhost_user_describe,
	.ask_announce = vhost_user_ask_announce,
	.ingress_burst = vhost_user_ingress,
	.ingress_release = vhost_user_release,
	.ingress_fd = vhost_user_fd,
	.arm = vhost_user_arm,
	.disarm = vhost_user_disarm,
	.egress_burst = vhost_user_egress,
};
