/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon: viaductd, the switch as a program.
 *
 *   main.c           options; reads and checks the configuration; becomes the broker
 *   broker.c         the parent: opens what both need, waits, ends it all, cleans up
 *   broker_children.c  the data process and the exporter begin, end, and begin again
 *   broker_serve.c   what the data process may ask for
 *   broker_open.c    what the broker opens, and under which conditions
 *   grants.c         what it opens for the data process: what the operator has named
 *   privileges.c     capabilities and the user, given up
 *   sandbox.h        files and system calls, taken away from the data process and the exporter
 *   broker_client.c  the data process's side of it: a struct via_opener
 *   kept.c           the running configuration, for a data process that follows
 *   data.c           the data process: control loop, switch, start and end
 *   change.c         ports in and out of the running switch; reload
 *   rpc.c            JSON-RPC 2.0 over the control socket: who is let in
 *   rpc_connection.c  a client's bytes, lines and deadlines
 *   rpc_call.c       its calls, checked and answered; the methods are in method_*.c, their table in methods.c
 *   node.c           neutral trees: what YAML and JSON have in common; node_yaml.c, node_json.c
 *   schema.c         our table of keys, over reader.c; schema_port.c, schema_pairs.c: those of ports
 *   config.c         the model that they are read into, and back
 *   dlog.c           lines on stderr
 *   exporter.c       viaduct-exporter, a program of its own: Prometheus over HTTP
 *
 * Two processes: the broker has the privileges and touches no packet and no peer's bytes; the data
 * process touches both and opens nothing. They share nothing but a socket pair (broker.h) and the memory of
 * kept.h.
 *
 * May use everything below it: switch/, lib/. Nothing includes it but cli/, for the client side.
 */
#ifndef VIA_DAEMON_H
#define VIA_DAEMON_H

#include <stddef.h>
#include <viaduct/error.h>

/* Limits of what a file, a socket or a client may ask for. */
#define DAEMON_CONFIG_MAX (4 * 1024 * 1024) /* bytes of a configuration */
#define DAEMON_PATH_SIZE  108               /* of a UNIX socket's path, with its NUL */

/*
 * The control socket when nothing names one: /run/viaduct/control.sock for root, else
 * $XDG_RUNTIME_DIR/viaduct/control.sock. Returns 0, or -1 when there is no such directory to name.
 */
int daemon_default_control(char path[DAEMON_PATH_SIZE]);

/* All that can be read from 'fd', terminated, at most DAEMON_CONFIG_MAX bytes; to free(). NULL with
 * the reason in 'err'. */
char *daemon_read_fd(int fd, size_t *size, struct via_error *err);

#endif
