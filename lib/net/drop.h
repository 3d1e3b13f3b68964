/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting drops; the reasons and the counters are in viaduct/stats.h. */
#ifndef VIA_DROP_H
#define VIA_DROP_H

#include <viaduct/stats.h>

#include "base/shared.h"

static inline void via_drop_count(struct via_queue_stats *stats, enum via_drop why, uint64_t n)
{
	via_count(&stats->drops[why], n);
}

#endif
