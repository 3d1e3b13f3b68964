/* SPDX-License-Identifier: BSD-3-Clause */
/* One text, one value: the smallest forms of the configuration, each with its rule. */
#ifndef VIA_DAEMON_VALUE_H
#define VIA_DAEMON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal, 'min' to 'max', nothing around it. */
bool value_uint(const char *text, uint64_t min, uint64_t max, uint64_t *value);
bool value_octal(const char *text, uint64_t *value);      /* 0 to 0777 */
bool value_switch(const char *text, bool *value);         /* on|true|yes, off|false|no */
bool value_choice(const char *text, const char *choices); /* one of those separated by '|' */
/* Six pairs of hex digits with colons: an address that one station may have. */
bool value_mac(const char *text, uint8_t mac[6]);
/* 1 to 31 of [A-Za-z0-9_.-], beginning with a letter or digit. */
bool value_name(const char *text);
/* "10,20-30" or "all" into bits 1 to 4094. */
bool value_vlans(const char *text, uint64_t members[64]);
/* NULL for a path that a UNIX socket can have, else what is wrong, in 'why'. */
const char *value_socket_problem(const char *text, char *why, size_t size);

/* How many letters to add, drop, change or swap to make 'b' of 'a'; for "did you mean". */
unsigned int value_distance(const char *a, const char *b);

#endif
