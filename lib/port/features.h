/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the virtio features that a configuration may take away from a port. */
#ifndef VIA_PORT_FEATURES_H
#define VIA_PORT_FEATURES_H

#include <stdint.h>

/* For the 'choices' of a VIA_KEY_FEATURES key. */
#define PORT_FEATURE_CHOICES                                                        \
	"packed|in_order|event_idx|indirect|mrg_rxbuf|mq|csum|host_tso4|host_tso6|" \
	"host_ecn|host_uso|guest_csum|guest_tso4|guest_tso6|guest_ecn|guest_uso4|guest_uso6"

/* The mask of a list of those names, "NAME,NAME" (may be NULL); other words count for nothing. */
uint64_t port_features_off(const char *names);

#endif
