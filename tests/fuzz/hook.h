/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lib/ says before each load of memory that a peer may be writing, in the fuzzers' build of it: this
 * file is included before all others (see base/base.h, and racer.h for what happens).
 */
#ifndef VIA_FUZZ_HOOK_H
#define VIA_FUZZ_HOOK_H

#include <stddef.h>

void racer_before_load(const void *at, size_t size);
#define VIA_FUZZ_LOAD(at, size) racer_before_load((at), (size))

#endif
