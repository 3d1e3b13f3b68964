/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two roles of a thread, for clang's -Wthread-safety: 'control' owns configuration, sockets and
 * lifecycle; a 'worker' serves its own queues. Empty for other compilers.
 */
#ifndef VIA_ROLE_H
#define VIA_ROLE_H

#ifdef __clang__
#define VIA_ATTR(x) __attribute__((x))
#else
#define VIA_ATTR(x)
#endif

struct VIA_ATTR(capability("role")) via_role;
extern const struct via_role via_control, via_worker; /* never defined: names for the checker */

#define VIA_RUNS_ON(role)  VIA_ATTR(requires_capability(role))
#define VIA_OWNED_BY(role) VIA_ATTR(guarded_by(role))

#endif
