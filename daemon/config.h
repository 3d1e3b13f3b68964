/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration as the daemon works with it: read by schema.c from a tree (file or RPC call),
 * turned back into a tree for 'save' and 'show'. Every struct owns what it points to.
 */
#ifndef VIA_DAEMON_CONFIG_H
#define VIA_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"
#include "daemon/node.h"
#include "port/port.h"
#include "switch/switch.h"

struct cfg_port {
	char name[VIA_PORT_NAME_SIZE];
	const struct via_port_ops *ops;
	uint32_t mtu; /* 0: not set */
	bool lossless;
	struct sw_port_config sw;
	/* The type's own keys; ends with a NULL key. Keys are borrowed from 'ops', values owned. */
	struct via_port_option *options;
	uint32_t nr_options;
	unsigned int line;
};

struct cfg_static { /* a MAC address that is always behind one port */
	uint8_t mac[6];
	uint16_t vlan; /* 0: of ports without VLANs */
	char port[VIA_PORT_NAME_SIZE];
	unsigned int line;
};

struct cfg {
	char *control;      /* never NULL */
	char *metrics;      /* "unix:/path", "host:port", or NULL: none */
	char *run_dir;      /* never NULL */
	char *user, *group; /* NULL: as started */
	char **socket_dirs; /* nr_socket_dirs, without a slash at the end */
	uint32_t nr_socket_dirs;
	uint32_t nr_workers;
	int *cpus; /* nr_workers of them, or NULL: not pinned */
	uint32_t poll_us;
	uint32_t fdb_ageing_s, fdb_size, fdb_port_limit; /* 0: the switch's default */
	struct cfg_static *statics;
	uint32_t nr_statics;
	struct cfg_port **ports;
	uint32_t nr_ports;
};

#define CFG_POLL_US 50

/* Whether this host has the users, groups and CPUs that a configuration names. */
enum cfg_host {
	CFG_HOST_ASK,   /* look; what it does not have is a mistake */
	CFG_HOST_KNOWN, /* somebody has looked: the data process opens no files to do so */
};

/*
 * Reads a file's text. Returns the configuration, or NULL with every mistake in 'm', each with its
 * line. An empty text is a valid configuration.
 */
struct cfg *cfg_from_yaml(const char *text, size_t size, enum cfg_host host, struct mistakes *m);
void cfg_free(struct cfg *cfg); /* accepts NULL */

/*
 * Reads one port. 'cfg' (may be NULL) is what it must not collide with, apart from the port
 * 'replaces' (may be NULL). Returns it (to cfg_port_free()), or NULL with the mistakes in 'm'.
 */
struct cfg_port *cfg_port_from_node(const struct node *map, const struct cfg *cfg,
				    const struct cfg_port *replaces, struct mistakes *m);
struct cfg_port *cfg_port_copy(const struct cfg_port *port);
void cfg_port_free(struct cfg_port *port);                                 /* accepts NULL */
const char *cfg_port_option(const struct cfg_port *port, const char *key); /* or NULL */
/* The path that the port listens on or connects to, and which of the two; the kernel's interface that it
 * is. NULL: it has none. */
const char *cfg_port_socket(const struct cfg_port *port, bool *listens);
const char *cfg_port_interface(const struct cfg_port *port);
/* Takes note of a directory; consumes nothing. Returns -1 without memory. */
int cfg_add_socket_dir(struct cfg *cfg, const char *dir);
/* Reads one static entry; its port must be one of 'cfg' unless that is NULL. */
bool cfg_static_from_node(struct cfg_static *entry, const struct node *map, const struct cfg *cfg,
			  struct mistakes *m);

struct cfg_port *cfg_find_port(const struct cfg *cfg, const char *name); /* or NULL */
int cfg_add_port(struct cfg *cfg, struct cfg_port *port);                /* consumed on success */
struct cfg_port *cfg_take_port(struct cfg *cfg, const char *name); /* out of the list, or NULL */
int cfg_add_static(struct cfg *cfg, const struct cfg_static *entry);
void cfg_remove_static(struct cfg *cfg, const uint8_t mac[6], uint16_t vlan);

/* Whether going from 'a' to 'b' leaves the port open: all but its VLANs and isolation are equal. */
bool cfg_port_opens_same(const struct cfg_port *a, const struct cfg_port *b);
bool cfg_vlan_same(const struct sw_port_config *a, const struct sw_port_config *b);

/* Trees of what is set (defaults are left out). NULL: no memory. */
struct node *cfg_to_node(const struct cfg *cfg);
struct node *cfg_port_to_node(const struct cfg_port *port);
/* The VLANs of a trunk as "10,20-30" or "all"; to free(). */
char *cfg_vlans_text(const uint64_t members[64]);

/* ---- schema.c: reading trees; documentation of every key ---- */

/* Reads a whole configuration into 'cfg' (of defaults). */
void schema_read(struct cfg *cfg, const struct node *map, enum cfg_host host, struct mistakes *m);
/* Reads one port without looking at others. */
void schema_read_port(struct cfg_port *port, const struct node *map, enum cfg_host host,
		      struct mistakes *m);
void schema_read_static(struct cfg_static *entry, const struct node *map, struct mistakes *m);
void schema_check_static(const struct cfg *cfg, const struct cfg_static *entry, struct mistakes *m);
/* What two ports, or a port and the daemon, cannot share. */
void schema_check_port(const struct cfg *cfg, const struct cfg_port *port,
		       const struct cfg_port *replaces, struct mistakes *m);
/* All keys with their forms and sentences, for people. */
void schema_print(FILE *out);

#endif
