/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/port: everything that can be plugged into the switch, behind one interface.
 *
 *   port.h         the interface        port.c       what all types share: table, counters, closing
 *   options.c      a type's own keys    opener.c     paths, names and privileges, by ourselves
 *   vhost_user.c   a VM or container    tap.c        the kernel's stack
 *   virtio_user.c  we are the driver    sink.c       counts and drops
 *   gen.c          generates traffic and checks what comes back
 *   types.h        the types, for the table   features.h   names of virtio features
 *
 * May use everything in lib/. Operations are named from the switch: *ingress* is what a port lends
 * to the switch, *egress* what the switch hands to the port.
 *
 * Control opens, closes and describes ports. Workers move packets: one worker at a time serves an
 * ingress queue; any worker may call egress_burst() on any port (ports lock where they must).
 */
#ifndef VIA_PORT_H
#define VIA_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>
#include <viaduct/loop.h>
#include <viaduct/view.h>

#include "net/drop.h"

#define VIA_PORT_NAME_SIZE  32
#define VIA_PORT_MAX_QUEUES 128

/* What ingress_fd() answers instead of a descriptor. */
#define VIA_FD_POLL (-1) /* the queue runs, but nothing tells of its work */
#define VIA_FD_NONE (-2) /* the queue does not run: nobody looks at it */

struct via_port;
struct via_need;

/*
 * How a port gets descriptors that need a path, a name or a privilege. viaductd's data process opens
 * nothing itself: it hands in one that asks its broker. NULL members and a NULL opener mean: open it
 * yourself (via_opener_direct). Each returns a descriptor (or 0) or a negative errno with 'err' filled.
 * Thread: control; may wait for a few milliseconds.
 */
struct via_opener {
	/* A listening UNIX stream socket; removes a stale one that nobody answers on, never a live one.
	 * uid, gid: (uint32_t)-1 leaves them; mode: (uint32_t)-1 gives 0600. */
	int (*listen_unix)(void *user, const char *path, uint32_t uid, uint32_t gid, uint32_t mode,
			   struct via_error *err);
	/* A connected UNIX stream socket; -ECONNREFUSED or -ENOENT if nobody listens (yet). */
	int (*connect_unix)(void *user, const char *path, struct via_error *err);
	/* The number of the user (or, with 'is_group', of the group) called 'name', in '*id'. Returns 0 or
	 * a negative errno. */
	int (*account)(void *user, const char *name, bool is_group, uint32_t *id,
		       struct via_error *err);
	/* Removes a socket that listen_unix() made and whose descriptor is closed by now. */
	void (*unlink_unix)(void *user, const char *path);
	/* One queue of a TAP: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, multi-queue if 'queues' > 1; 'ifname'
	 * (IFNAMSIZ, in and out) may hold a %d pattern. Called once a queue. */
	int (*tap)(void *user, char *ifname, uint32_t queues, struct via_error *err);
	/* Sets a TAP's MTU and brings it up. */
	int (*tap_setup)(void *user, const char *ifname, uint32_t mtu, struct via_error *err);
	/* A small file, made if need be, sized 'size', for mmap(MAP_SHARED): queue positions of 'name'. */
	int (*state_file)(void *user, const char *name, uint64_t size, struct via_error *err);
	/* A netlink socket that tells of every change of an interface (RTMGRP_LINK). */
	int (*link_events)(void *user, struct via_error *err);
	/* Memory to share with a peer: via_memfd_create(). */
	int (*shared_memory)(void *user, uint64_t size, struct via_error *err);
	/* A timerfd of CLOCK_MONOTONIC. */
	int (*timer)(void *user, struct via_error *err);
	void *user; /* borrowed */
};
extern const struct via_opener via_opener_direct;

/* A port's own keys, as text from the configuration ("socket" → "/run/x.sock"); ends with a NULL key.
 * The common keys (mtu) are members below. */
struct via_port_option {
	const char *key, *value;
};

struct via_port_config {
	const char *name; /* copied; 1 to 31 of [A-Za-z0-9_.-] */
	uint32_t mtu;     /* 0: not set */
	bool lossless;
	const struct via_port_option *options; /* borrowed until return */
	const struct via_opener *opener;       /* borrowed while the port lives; NULL: direct */
	struct via_loop *loop;                 /* borrowed while the port lives */
	/*
	 * Tells the owner that ingress queue 'q' may have begun or ended to run, or has another wake
	 * descriptor: it should look at ingress_fd() again and have a worker look at the queue once.
	 * Called on control, also from within open.
	 */
	void (*queue_changed)(void *user, struct via_port *port, uint32_t q);
	/* Tells the owner that the peer came, went, or changed what it takes (for logs and 'show'). */
	void (*link_changed)(void *user, struct via_port *port);
	/* An announcement (RARP) that the owner should send from this port's address; 'mac' 6 bytes. */
	void (*announce)(void *user, struct via_port *port, const uint8_t *mac);
	void *user; /* borrowed: of the three above */
};

/* Documentation and validation of a type's own keys: one table for --check, RPC, man page. */
struct via_port_key {
	const char *name;
	enum via_key_kind {
		VIA_KEY_STRING,
		VIA_KEY_PATH,   /* of a UNIX socket: at most 107 bytes, absolute */
		VIA_KEY_UINT,   /* 'min' to 'max' */
		VIA_KEY_CHOICE, /* one of 'choices', separated by '|' */
		VIA_KEY_SWITCH, /* on or off */
		VIA_KEY_MAC,
		VIA_KEY_FEATURES, /* a mapping NAME: off, handed over as "NAME,NAME" of those taken away */
		VIA_KEY_OCTAL, /* a file mode */
		VIA_KEY_USER,  /* of this host, by name or number */
		VIA_KEY_GROUP, /* likewise */
	} kind;
	uint64_t min, max;
	const char *choices;
	bool required;
	const char *help; /* a sentence */
	/* For --check, where not every value of the kind fits: whether 'value' does, and what it must
	 * be. NULL: all do. open() answers for itself. */
	bool (*fits)(const char *value);
	const char *form;
};

/* One line of 'viaduct port show': a name and what it is, both text. */
typedef void via_describe_fn(void *user, const char *key, const char *value);

struct via_port_ops {
	const char *type;                /* as in the configuration */
	const char *help;                /* a sentence */
	const struct via_port_key *keys; /* ends with a NULL name */
	const struct via_need *needs;    /* of its own, beside those of lib/; NULL: none */

	/* Opens. The queues exist from then on, whether or not a peer is there. Thread: control. */
	int (*open)(struct via_port **port, const struct via_port_config *config,
		    struct via_error *err);
	/*
	 * Ends the port: unpublishes, waits (asynchronously, by via_loop_after_grace) until no worker
	 * is in it, then frees it and calls 'closed(user)' (may be NULL). The owner has taken its queues
	 * from all workers before. Thread: control.
	 */
	void (*close)(struct via_port *port, void (*closed)(void *user), void *user);
	/* Calls 'line' for each fact worth showing. Thread: control. */
	void (*describe)(struct via_port *port, via_describe_fn *line, void *user);

	/* Asks the peer to announce itself, so that the switch learns where it is without flooding.
	 * NULL: this type has nobody to ask. Thread: control. */
	void (*ask_announce)(struct via_port *port);

	/* Up to 'max' (at most VIA_BURST) views into burst->view[0 …], each of at least 14 bytes and
	 * counted in 'receive' (packets, bytes); returns how many. What it took stays lent until
	 * ingress_release(), which is called after each call that returned more than 0. Resets
	 * burst->nr_pieces. Thread: the queue's worker. */
	uint32_t (*ingress_burst)(struct via_port *port, uint32_t q, struct via_burst *burst,
				  uint32_t max);
	/* Ends the loan. The last 'undelivered' views (lossless, else 0) are to come again. */
	void (*ingress_release)(struct via_port *port, uint32_t q, struct via_burst *burst,
				uint32_t undelivered);
	/* The descriptor whose readability means work for queue q; VIA_FD_POLL: it runs and has none,
	 * poll it; VIA_FD_NONE: it does not run, leave it alone until queue_changed(). It is watched
	 * edge-triggered (through a duplicate) and never read by the owner. Thread: control. */
	int (*ingress_fd)(struct via_port *port, uint32_t q);
	/* Before sleeping: asks for wake-ups, then looks once more; true if there is work after all.
	 * Thread: the queue's worker. */
	bool (*arm)(struct via_port *port, uint32_t q);
	/* Wake-ups are not needed. Thread: the queue's worker. */
	void (*disarm)(struct via_port *port, uint32_t q);

	/* Sends views (all to this port, in order). Each is delivered or counted as dropped, except with
	 * 'keep' (lossless): then it stops where the port is full. Views may be changed (fix-ups parse
	 * them) but can be sent to other ports as well. Returns how many were dealt with.
	 * Thread: any worker. */
	uint32_t (*egress_burst)(struct via_port *port, struct via_view *const *views, uint32_t n,
				 bool keep);
};

/* The common head of every port; a type embeds it first. */
struct via_port {
	const struct via_port_ops *ops;
	char name[VIA_PORT_NAME_SIZE];
	uint16_t
		nr_queues; /* ingress queues, and places for counters of both directions; constant */
	uint32_t mtu;      /* as configured; 0: none */
	bool lossless;
	bool link; /* a peer is there and at least one queue runs; control writes */
	struct via_queue_stats
		*receive; /* nr_queues: what the switch received. Writer: the queue's worker */
	struct via_queue_stats
		*transmit; /* nr_queues: what the switch sent. Writer: the lock holder */
	struct via_port_config config; /* its callbacks, loop and opener; 'options' is NULL */
	struct {
		void (*destroy)(struct via_port *port);
		void (*closed)(void *user);
		void *user;
	} closing; /* of via_port_close_later() */
};

/* All types that this build has, ending with NULL. */
extern const struct via_port_ops *const via_port_types[];
const struct via_port_ops *via_port_type(const char *type); /* NULL if there is none */

/* ---- for port types (port.c) ---- */

/* Fills the head and allocates the counters. Returns 0, -EINVAL for a bad name, or -ENOMEM. */
int via_port_init(struct via_port *port, const struct via_port_ops *ops,
		  const struct via_port_config *config, uint16_t nr_queues, struct via_error *err);
void via_port_fini(struct via_port *port);

/* Calls 'destroy(port)', then 'closed(user)', once no worker can be in the port any more: how
 * ops->close() ends. Thread: control. */
void via_port_close_later(struct via_port *port, void (*destroy)(struct via_port *port),
			  void (*closed)(void *user), void *user);

/* The opener of a configuration: its own, or the direct one. */
const struct via_opener *via_port_opener(const struct via_port_config *config);

/* Sets 'link' and tells the owner when that is news. Thread: control. */
void via_port_set_link(struct via_port *port, bool link);

/* ---- options (options.c) ---- */

/* The value of an option, or 'fallback'. Values were validated against the type's keys before. */
const char *via_port_option(const struct via_port_config *config, const char *key,
			    const char *fallback);
uint64_t via_port_option_uint(const struct via_port_config *config, const char *key,
			      uint64_t fallback);
uint32_t via_port_option_octal(const struct via_port_config *config, const char *key,
			       uint32_t fallback);
bool via_port_option_on(const struct via_port_config *config, const char *key, bool fallback);
/* Returns false, with 'mac' untouched, if there is none. */
bool via_port_option_mac(const struct via_port_config *config, const char *key, uint8_t mac[6]);

/* Checks options against the type's keys: unknown, missing, given twice, impossible. Returns 0 or
 * -EINVAL with one sentence in 'err' that names the key and what would be right. */
int via_port_check_options(const struct via_port_ops *ops, const struct via_port_option *options,
			   struct via_error *err);

/* Whether 'word' is one of 'choices', which '|' separates. */
bool via_port_is_choice(const char *word, size_t len, const char *choices);

#endif
