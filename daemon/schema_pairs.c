/* SPDX-License-Identifier: BSD-3-Clause */
/* What ports of one configuration must not share: sockets, network interfaces. */
#include <string.h>

#include "daemon/schema.h"

/* ---- between ports ---- */

const char *cfg_port_socket(const struct cfg_port *port, bool *listens)
{
	for (const struct via_port_key *key = port->ops->keys; key && key->name; key++) {
		const char *mode = cfg_port_option(port, "mode");
		const char *path = cfg_port_option(port, key->name);

		if (key->kind != VIA_KEY_PATH || !path)
			continue;
		if (mode)
			*listens = strcmp(mode, "server") == 0;
		else
			*listens = strcmp(port->ops->type, "vhost-user") == 0;
		return path;
	}
	return NULL;
}

/* Two that listen, or two that connect as the same thing; one of each is a chain of two ports. */
static bool sockets_collide(const struct cfg_port *a, const struct cfg_port *b)
{
	bool a_listens = false, b_listens = false;
	const char *of_a = a->ops && b->ops ? cfg_port_socket(a, &a_listens) : NULL;
	const char *of_b = of_a ? cfg_port_socket(b, &b_listens) : NULL;

	return of_b && strcmp(of_a, of_b) == 0 && (a_listens == b_listens || a->ops == b->ops);
}

const char *cfg_port_interface(const struct cfg_port *port)
{
	const char *ifname = cfg_port_option(port, "ifname");

	if (ifname || !port->ops || strcmp(port->ops->type, "tap") != 0)
		return ifname;
	return port->name;
}

static bool interfaces_collide(const struct cfg_port *a, const struct cfg_port *b)
{
	const char *of_a = cfg_port_interface(a), *of_b = cfg_port_interface(b);

	return of_a && of_b && !strchr(of_a, '%') && strcmp(of_a, of_b) == 0;
}

static void check_pair(const struct cfg_port *port, const struct cfg_port *other,
		       struct mistakes *m)
{
	char first[32] = "";
	bool listens;

	if (port->line && other->line)
		snprintf(first, sizeof(first), " in line %u", other->line);
	if (strcmp(port->name, other->name) == 0)
		mistakes_add(m, port->line, "port '%s': there is already a port of this name%s",
			     port->name, first);
	else if (sockets_collide(port, other))
		mistakes_add(m, port->line,
			     "port '%s': the socket '%s' is already that of port '%s'%s",
			     port->name, cfg_port_socket(port, &listens), other->name, first);
	else if (interfaces_collide(port, other))
		mistakes_add(m, port->line,
			     "port '%s': the interface '%s' is already that of port '%s'%s",
			     port->name, cfg_port_interface(port), other->name, first);
}

/* The daemon's own sockets are no port's. */
static void check_own_sockets(const struct cfg *cfg, const struct cfg_port *port,
			      struct mistakes *m)
{
	bool listens;
	const char *path = port->ops ? cfg_port_socket(port, &listens) : NULL;

	if (path && cfg->control && strcmp(path, cfg->control) == 0)
		mistakes_add(m, port->line, "port '%s': '%s' is the control socket", port->name,
			     path);
	if (path && cfg->metrics && strncmp(cfg->metrics, "unix:", 5) == 0 &&
	    strcmp(path, cfg->metrics + 5) == 0)
		mistakes_add(m, port->line, "port '%s': '%s' is the metrics socket", port->name,
			     path);
}

/* Once all keys are known: 'control' may come behind 'ports'. */
void schema_check_sockets(const struct cfg *cfg, unsigned int metrics_line, struct mistakes *m)
{
	if (cfg->metrics && cfg->control && strncmp(cfg->metrics, "unix:", 5) == 0 &&
	    strcmp(cfg->metrics + 5, cfg->control) == 0)
		mistakes_add(m, metrics_line, "metrics: '%s' is the control socket", cfg->control);
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		check_own_sockets(cfg, cfg->ports[i], m);
}

void schema_check_among_ports(const struct cfg *cfg, const struct cfg_port *port,
			      const struct cfg_port *replaces, struct mistakes *m)
{
	for (uint32_t i = 0; i < cfg->nr_ports; i++)
		if (cfg->ports[i] != replaces)
			check_pair(port, cfg->ports[i], m);
}

void schema_check_port(const struct cfg *cfg, const struct cfg_port *port,
		       const struct cfg_port *replaces, struct mistakes *m)
{
	schema_check_among_ports(cfg, port, replaces, m);
	check_own_sockets(cfg, port, m);
}
