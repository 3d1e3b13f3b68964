/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a peer says must hold before it is used: where packets go by, those conditions are asked here, so
 * that their cost can be told. 'meson setup -Dunchecked=true' makes a build in which they vanish; it is
 * for bench/checks.py alone, cannot be installed, and believes every guest.
 */
#ifndef VIA_CHECK_H
#define VIA_CHECK_H

#include "base/base.h"

#ifdef VIA_UNCHECKED
#define via_holds(condition) ((void)(condition), 1)
#else
#define via_holds(condition) via_likely(condition)
#endif

#endif
