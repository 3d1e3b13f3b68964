/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the schema share. The rest of the daemon uses config.h. */
#ifndef VIA_DAEMON_SCHEMA_H
#define VIA_DAEMON_SCHEMA_H

#include <stdio.h>

#include "daemon/reader.h"

extern const struct schema_key schema_port_keys[];

/* Prints the keys of each port type. */
void schema_print_types(FILE *out);

/* Reports what 'port' shares with another port of 'cfg' and must not; 'replaces' is left out. */
void schema_check_among_ports(const struct cfg *cfg, const struct cfg_port *port,
			      const struct cfg_port *replaces, struct mistakes *m);
/* Reports ports whose socket is the control socket or that of the metrics. */
void schema_check_sockets(const struct cfg *cfg, unsigned int metrics_line, struct mistakes *m);

#endif
