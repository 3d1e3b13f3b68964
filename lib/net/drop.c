/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of drop reasons, from the one list in viaduct/stats.h. */
#include <viaduct/stats.h>

#include "base/base.h"

VIA_EXPORT const char *via_drop_label(enum via_drop why)
{
	static const char *const labels[] = {
#define X(name, label, text) [VIA_DROP_##name] = label,
		VIA_DROP_REASONS(X)
#undef X
	};

	return (unsigned int)why < VIA_NR_DROPS ? labels[why] : "unknown";
}

VIA_EXPORT const char *via_drop_text(enum via_drop why)
{
	static const char *const texts[] = {
#define X(name, label, text) [VIA_DROP_##name] = text,
		VIA_DROP_REASONS(X)
#undef X
	};

	return (unsigned int)why < VIA_NR_DROPS ? texts[why] : "unknown";
}
