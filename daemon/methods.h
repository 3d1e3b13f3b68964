/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The methods of the control API; methods.c has their table. What they answer is described in
 * docs/control-api.md.
 */
#ifndef VIA_DAEMON_METHODS_H
#define VIA_DAEMON_METHODS_H

#include "daemon/rpc.h"

typedef void method_fn(struct daemon *d, struct rpc_call *call, const json_t *params);

/* method_show.c */
method_fn method_status, method_stats, method_port_list, method_port_show, method_vlan_show,
	method_help;
/* method_fdb.c */
method_fn method_fdb_show, method_fdb_add, method_fdb_del, method_fdb_flush;
/* method_change.c */
method_fn method_port_add, method_port_del, method_port_set, method_set, method_reload, method_save,
	method_shutdown;
/* method_capture.c */
method_fn method_capture_start, method_capture_stop;
/* doctor.c */
method_fn method_doctor;

/* Reads the file again and begins the change to it. Returns 0, or a code with all mistakes in 'm' or
 * the reason in 'err'; 'done' is called at the end if it returned 0. */
enum rpc_code method_start_reload(struct daemon *d, void (*done)(void *, const struct node *),
				  void *user, struct mistakes *m, struct via_error *err);
/* The port with this index is about to close: its capture ends, lest it go on with whoever is next at
 * that index. */
void method_port_closing(struct daemon *d, int index);

/* A client has gone: its capture ends. */
void method_client_gone(struct daemon *d, void *client);

#endif
