/* SPDX-License-Identifier: BSD-3-Clause */
/* What a cmocka test includes: cmocka.h needs these four, before it. */
#ifndef VIA_TEST_H
#define VIA_TEST_H

/* clang-format off: the order matters */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
