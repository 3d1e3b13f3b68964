/* SPDX-License-Identifier: BSD-3-Clause */
/* A build as users have it: nothing beyond what our code needs. */
#include "daemon/sandbox.h"

const struct via_need build_needs[] = { VIA_NEEDS_END };
const bool build_opens_files = false;
