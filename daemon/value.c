/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts of the configuration and what they mean. No sentences here: schema.c has those. */
#include "daemon/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "daemon/daemon.h"

bool value_uint(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (text[0] == '\0' || strlen(text) > 19)
		return false;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return false;
		sum = sum * 10 + (uint64_t)(*c - '0');
	}
	if (sum < min || sum > max)
		return false;
	*value = sum;
	return true;
}

bool value_octal(const char *text, uint64_t *value)
{
	uint64_t sum = 0;

	if (text[0] == '\0' || strlen(text) > 5)
		return false;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '7')
			return false;
		sum = sum * 8 + (uint64_t)(*c - '0');
	}
	*value = sum;
	return sum <= 0777;
}

bool value_switch(const char *text, bool *value)
{
	static const char *const words[] = { "off", "on", "false", "true", "no", "yes" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*value = i % 2;
			return true;
		}
	}
	return false;
}

bool value_choice(const char *text, const char *choices)
{
	size_t len = strlen(text);

	while (len > 0 && choices && *choices) {
		size_t n = strcspn(choices, "|");

		if (n == len && memcmp(choices, text, n) == 0)
			return true;
		choices += n + (choices[n] == '|');
	}
	return false;
}

bool value_mac(const char *text, uint8_t mac[6])
{
	static const uint8_t zero[6];
	uint8_t bytes[6];

	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		const char pair[3] = { text[3 * i], text[3 * i + 1], '\0' };

		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]) ||
		    (i < 5 && text[3 * i + 2] != ':'))
			return false;
		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	if ((bytes[0] & 1) || memcmp(bytes, zero, 6) == 0)
		return false;
	memcpy(mac, bytes, 6);
	return true;
}

bool value_name(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 31 && isalnum((unsigned char)text[0]) &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
		       len;
}

/* "20" or "20-30", 'len' bytes of it. */
static bool add_vlans(const char *text, size_t len, uint64_t members[64])
{
	uint64_t first, last;
	char word[16], *dash;

	if (len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	dash = strchr(word, '-');
	if (dash)
		*dash = '\0';
	if (!value_uint(word, 1, 4094, &first))
		return false;
	last = first;
	if (dash && !value_uint(dash + 1, first, 4094, &last))
		return false;
	for (uint64_t vlan = first; vlan <= last; vlan++)
		members[vlan / 64] |= VIA_BIT(vlan % 64);
	return true;
}

bool value_vlans(const char *text, uint64_t members[64])
{
	if (strcmp(text, "all") == 0)
		return add_vlans("1-4094", 6, members);
	for (;;) {
		size_t len = strcspn(text, ",");

		if (!add_vlans(text, len, members))
			return false;
		if (text[len] == '\0')
			return true;
		text += len + 1;
		text += strspn(text, " ");
	}
}

const char *value_socket_problem(const char *text, char *why, size_t size)
{
	size_t len = strlen(text);

	if (text[0] != '/')
		snprintf(why, size,
			 "a relative path; give the whole path, such as "
			 "/run/viaduct/vm1.sock");
	else if (len >= DAEMON_PATH_SIZE)
		snprintf(why, size, "%zu bytes long; the path of a UNIX socket has at most %d", len,
			 DAEMON_PATH_SIZE - 1);
	else if (text[len - 1] == '/')
		snprintf(why, size, "a directory; give the path of the socket itself");
	else
		return NULL;
	return why;
}

/* Optimal string alignment, of which the last three rows are kept; words longer than a row are far. */
unsigned int value_distance(const char *a, const char *b)
{
	unsigned int rows[3][64], la = (unsigned int)strlen(a), lb = (unsigned int)strlen(b);

	if (la >= 64 || lb >= 64)
		return 64;
	for (unsigned int k = 0; k <= lb; k++)
		rows[0][k] = k;
	for (unsigned int i = 1; i <= la; i++) {
		unsigned int *now = rows[i % 3];
		const unsigned int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (unsigned int k = 1; k <= lb; k++) {
			now[k] = via_min_u(last[k], now[k - 1]) + 1;
			now[k] = via_min_u(now[k], last[k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				now[k] = via_min_u(now[k], before[k - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}
