/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong and what to do about it: one walk over the ports, each looked at by a list of checks.
 * What only the operator's side can see (sockets' owners, the machine) the command line adds.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "daemon/methods.h"
#include "daemon/sandbox.h"
#include "mem/mem.h"

enum level { DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_ERROR };

struct visit {
	struct daemon *d;
	json_t *findings;
	const struct cfg_port *config;
	struct via_port *port;
	bool connected; /* to a peer, whatever became of that */
	bool removed;   /* a TAP's interface */
	char interface[32];
};

static void find(struct visit *visit, enum level level, char *text, const char *hint)
{
	static const char *const names[] = { "note", "warning", "error" };

	json_array_append_new(visit->findings,
			      json_pack("{s:s, s:s, s:s, s:s}", "level", names[level], "port",
					visit->config ? visit->config->name : "", "text",
					text ? text : "", "hint", hint));
	free(text);
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

/* ---- peers ---- */

static void on_peer_fact(void *user, const char *key, const char *value)
{
	struct visit *visit = user;

	if (strcmp(key, "peer") == 0)
		visit->connected = strncmp(value, "process ", 8) == 0;
	else if (strcmp(key, "interface") == 0)
		snprintf(visit->interface, sizeof(visit->interface), "%s", value);
	else if (strcmp(key, "state") == 0)
		visit->removed = strcmp(value, "removed") == 0;
}

static void check_peer(struct visit *visit)
{
	const char *path = cfg_port_option(visit->config, "socket");
	const char *mode = cfg_port_option(visit->config, "mode");
	const char *type = visit->port->ops->type;
	bool client = mode ? strcmp(mode, "client") == 0 : strcmp(type, "virtio-user") == 0;

	if (visit->port->link)
		return;
	if (visit->connected)
		find(visit, DOCTOR_WARNING, format("its peer is connected, but no queue runs"),
		     "its guest has not started its driver yet, or was refused what it needs");
	else if (visit->removed)
		find(visit, DOCTOR_ERROR,
		     format("the interface '%s' was removed", visit->interface),
		     "somebody deleted it; make it again: viaduct port del and port add");
	else if (strcmp(type, "tap") == 0)
		find(visit, DOCTOR_WARNING,
		     format("the interface '%s' does not run", visit->interface),
		     "bring it up: ip link set dev INTERFACE up");
	else if (path && client)
		find(visit, DOCTOR_WARNING, format("nobody answers on '%s'", path),
		     "start the other side first, or look there at who listens: it is tried again "
		     "every two seconds");
	else if (path)
		find(visit, DOCTOR_WARNING, format("no front-end is connected to '%s'", path),
		     "start the VM with -chardev socket,id=c0,path=SOCKET -netdev "
		     "vhost-user,id=n0,chardev=c0 -device virtio-net-pci,netdev=n0, and with memory "
		     "that it shares: " VIA_MEM_SHARE_HINT);
}

/* ---- what the port says of itself ---- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void on_queue_fact(struct visit *visit, const char *key, const char *value)
{
	if (begins(value, "runs") || begins(value, "stopped"))
		return;
	if (begins(value, "refused"))
		find(visit, DOCTOR_ERROR, format("%s: %s", key, value),
		     "the guest's device must start anew: reload its driver or reboot the guest");
	else
		find(visit, DOCTOR_ERROR, format("%s is %s", key, value),
		     "the guest's driver broke a rule of the ring; reset its device (reload the "
		     "driver or reboot the guest)");
}

static void on_memory_fact(struct visit *visit, const char *value)
{
	unsigned int regions, sealed;

	if (sscanf(value, "%*u MiB in %u regions, %u sealed", &regions, &sealed) == 2 &&
	    sealed < regions)
		find(visit, DOCTOR_NOTE,
		     format("%u of its %u memory regions can be truncated by its front-end",
			    regions - sealed, regions),
		     "that would cost this VM its network, and nobody else anything; memory of "
		     "memory-backend-memfd is sealed, and 'memory: sealed' refuses any other");
}

/* What a guest should take, and what it costs when it does not. */
static const struct {
	const char *feature;
	bool for_pairs; /* only where the port has several queue pairs */
	const char *text, *hint;
} wanted[] = {
	{ "mrg_rxbuf", false, "its guest does not merge receive buffers (mrg_rxbuf)",
	  "large packets are cut before they reach it; use a driver that takes it, or "
	  "mrg_rxbuf=on of QEMU's -device" },
	{ "guest_tso4", false, "its guest takes no large TCP packets (guest_tso4)",
	  "each is cut into frames for it, which costs speed; see 'ethtool -k' in the guest and "
	  "guest_tso4=on of QEMU's -device" },
	{ "host_tso4", false, "its guest sends no large TCP packets (host_tso4)",
	  "it cuts them itself, which costs speed; see 'ethtool -k' in the guest and host_tso4=on "
	  "of QEMU's -device" },
	{ "mq", true, "its guest uses one queue pair of several (mq)",
	  "QEMU needs -netdev vhost-user,…,queues=N and -device virtio-net-pci,…,mq=on,vectors=2N+2; "
	  "libvirt <driver queues='N'/>; a Linux guest ethtool -L eth0 combined N" },
};

/* Whether 'word' is one of a list with spaces or commas. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (list && *list) {
		size_t n = strcspn(list, " ,");

		if (n == len && memcmp(list, word, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

static void on_features_fact(struct visit *visit, const char *value)
{
	const char *off = cfg_port_option(visit->config, "features");
	const char *pairs = cfg_port_option(visit->config, "queue_pairs");

	if (!visit->port->link)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (wanted[i].for_pairs && (!pairs || strcmp(pairs, "1") == 0))
			continue;
		if (!has_word(value, wanted[i].feature) && !has_word(off, wanted[i].feature))
			find(visit, DOCTOR_NOTE, format("%s", wanted[i].text), wanted[i].hint);
	}
}

static void on_fact(void *user, const char *key, const char *value)
{
	struct visit *visit = user;

	if (begins(key, "queue "))
		on_queue_fact(visit, key, value);
	else if (strcmp(key, "memory") == 0)
		on_memory_fact(visit, value);
	else if (strcmp(key, "features") == 0)
		on_features_fact(visit, value);
	else if (strcmp(key, "refused") == 0)
		find(visit, visit->port->link ? DOCTOR_NOTE : DOCTOR_ERROR,
		     format("a request of its front-end was refused: %s", value),
		     "the sentence says what was wrong with it");
	else if (strcmp(key, "last peer") == 0 && !strstr(value, "closed the connection"))
		find(visit, DOCTOR_WARNING, format("its last front-end: %s", value),
		     "the sentence says what the other side did or lacked; its own log may say more");
}

/* ---- drops ---- */

static const struct {
	enum via_drop why;
	const char *hint;
} drop_hints[] = {
	{ VIA_DROP_NO_QUEUE, "its guest is not up, or its driver has not started the queue" },
	{ VIA_DROP_FULL,
	  "its reader is slower than its senders: more CPU or queue pairs for the guest, a longer "
	  "ring (rx_queue_size=1024), or 'lossless: on'" },
	{ VIA_DROP_TOO_BIG,
	  "frames are longer than the port takes: make the MTUs of both ends equal" },
	{ VIA_DROP_VLAN,
	  "frames have a VLAN tag that the port is no member of: see 'viaduct vlan'" },
	{ VIA_DROP_SOURCE, "frames have a source address that is static elsewhere, or is none" },
	{ VIA_DROP_HEADER, "the guest's driver asks for offloads that are impossible" },
	{ VIA_DROP_SHORT, "the guest's driver sends frames without a whole header" },
	{ VIA_DROP_NO_OFFLOAD,
	  "packets ask for an offload that the receiver lacks and that cannot be done for it" },
	{ VIA_DROP_IO, "the kernel refuses frames; is the interface up?" },
};

static const char *hint_of(enum via_drop why)
{
	for (size_t i = 0; i < ARRAY_SIZE(drop_hints); i++)
		if (drop_hints[i].why == why)
			return drop_hints[i].hint;
	return NULL;
}

static void check_drops(struct visit *visit)
{
	const struct via_port *port = visit->port;

	for (int why = 0; why < VIA_NR_DROPS; why++) {
		const char *hint = hint_of((enum via_drop)why);
		uint64_t dropped = 0, packets = 0;

		for (uint32_t q = 0; q < port->nr_queues; q++) {
			dropped += via_counter_read(&port->receive[q].drops[why]) +
				   via_counter_read(&port->transmit[q].drops[why]);
			packets += via_counter_read(&port->receive[q].packets) +
				   via_counter_read(&port->transmit[q].packets);
		}
		/* A few, while guests come and go, are no reason to see a doctor. */
		if (!hint || dropped < 100 || dropped < packets / 1000)
			continue;
		find(visit, DOCTOR_WARNING,
		     format("dropped %llu packets: %s", (unsigned long long)dropped,
			    via_drop_text((enum via_drop)why)),
		     hint);
	}
}

static void check_sandbox(struct visit *visit)
{
	const struct running_sandbox *sandbox = &visit->d->sandbox;

	if (sandbox->calls == 0)
		find(visit, DOCTOR_WARNING,
		     format("the data process may make every system call: this viaductd was built "
			    "without libseccomp"),
		     "a guest that broke into it would have more to play with; install "
		     "libseccomp-dev and build again");
	else if (sandbox->landlock == 0 && !build_opens_files)
		find(visit, DOCTOR_NOTE, format("this kernel has no Landlock (Linux 5.13 has)"),
		     "the filter of system calls alone keeps the data process from files; nothing "
		     "need be done");
}

void method_doctor(struct daemon *d, struct rpc_call *call, const json_t *params)
{
	struct visit visit = { .d = d, .findings = json_array() };

	(void)params;
	check_sandbox(&visit);
	if (d->cfg->nr_ports == 0)
		find(&visit, DOCTOR_NOTE, format("the switch has no ports"),
		     "add some: viaduct port add vm1 type=vhost-user socket=/run/viaduct/vm1.sock");
	for (uint32_t i = 0; i < d->cfg->nr_ports; i++) {
		int index = sw_port_find(d->sw, d->cfg->ports[i]->name);

		if (index < 0)
			continue;
		visit.config = d->cfg->ports[i];
		visit.port = sw_port(d->sw, (uint32_t)index);
		visit.connected = visit.removed = false;
		visit.interface[0] = '\0';
		visit.port->ops->describe(visit.port, on_peer_fact, &visit);
		check_peer(&visit);
		visit.port->ops->describe(visit.port, on_fact, &visit);
		check_drops(&visit);
	}
	rpc_result(call, visit.findings);
}
