/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock that is a parameter: lib/ asks it in place of the system's (the linker sees to that: --wrap), and so
 * do its timers. It stands still but for clock_passes().
 */
#ifndef VIA_FUZZ_CLOCK_H
#define VIA_FUZZ_CLOCK_H

#include <stdint.h>

/* From now on timers are due so much earlier. */
void clock_passes(uint32_t ms);

#endif
