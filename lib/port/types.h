/* SPDX-License-Identifier: BSD-3-Clause */
/* The port types, one row each: declared here, listed in port.c. */
#ifndef VIA_PORT_TYPES_H
#define VIA_PORT_TYPES_H

#include "port/port.h"

extern const struct via_port_ops port_gen_ops;         /* gen.c */
extern const struct via_port_ops port_sink_ops;        /* sink.c */
extern const struct via_port_ops port_tap_ops;         /* tap.c */
extern const struct via_port_ops port_vhost_user_ops;  /* vhost_user.c */
extern const struct via_port_ops port_virtio_user_ops; /* virtio_user.c */

#endif
