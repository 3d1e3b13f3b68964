/* SPDX-License-Identifier: BSD-3-Clause */
/* A lock for a few dozen instructions between workers: what egress_burst() of a port without system
 * calls needs. Its holder never waits for anything. */
#ifndef VIA_PORT_LOCK_H
#define VIA_PORT_LOCK_H

#include <stdatomic.h>

#include "base/base.h"

static inline void port_lock(atomic_flag *lock)
{
	while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire))
		via_relax();
}

static inline void port_unlock(atomic_flag *lock)
{
	atomic_flag_clear_explicit(lock, memory_order_release);
}

#endif
