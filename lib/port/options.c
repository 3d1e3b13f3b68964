/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A type's own keys: checked once against the type's table, then read. The table is what the
 * configuration, the command line and the manual page know of a type.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "port/port.h"

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define VALUE_SHOWN    "%.80s" /* how much of a wrong value is repeated */

/* ---- one value ---- */

static bool parse_number(const char *text, int base, uint64_t *number)
{
	const char *digits = base == 8 ? "01234567" : "0123456789";
	size_t len = strlen(text);

	if (len == 0 || strspn(text, digits) != len)
		return false;
	errno = 0;
	*number = strtoull(text, NULL, base);
	return errno == 0;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	uint8_t bytes[6];

	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		char pair[3] = { text[3 * i], text[3 * i + 1], '\0' }, *end;

		if (strspn(pair, "0123456789abcdefABCDEF") != 2 ||
		    text[3 * i + 2] != (i < 5 ? ':' : '\0'))
			return false;
		bytes[i] = (uint8_t)strtoul(pair, &end, 16);
	}
	memcpy(mac, bytes, sizeof(bytes));
	return true;
}

bool via_port_is_choice(const char *word, size_t len, const char *choices)
{
	while (*choices) {
		size_t next = strcspn(choices, "|");

		if (next == len && len > 0 && memcmp(choices, word, len) == 0)
			return true;
		choices += next + (choices[next] == '|');
	}
	return false;
}

static int check_path(const char *key, const char *value, struct via_error *err)
{
	if (value[0] != '/')
		return via_fail(err, -EINVAL,
				"%s is '" VALUE_SHOWN "'; it must be an absolute path, such as "
				"/run/viaduct/vm1.sock",
				key, value);
	if (strlen(value) > PATH_MAX_BYTES)
		return via_fail(
			err, -EINVAL,
			"%s is a path of %zu bytes; the kernel takes at most %zu for a socket: "
			"choose a shorter directory",
			key, strlen(value), PATH_MAX_BYTES);
	return 0;
}

static int check_features(const struct via_port_key *key, const char *value, struct via_error *err)
{
	while (*value) {
		size_t len = strcspn(value, ",");

		if (key->choices && !via_port_is_choice(value, len, key->choices))
			return via_fail(err, -EINVAL, "%s has no '%.*s'; there are %s", key->name,
					(int)(len < 32 ? len : 32), value, key->choices);
		value += len + (value[len] == ',');
	}
	return 0;
}

static int wrong(const struct via_port_key *key, const char *value, const char *must_be,
		 struct via_error *err)
{
	return via_fail(err, -EINVAL, "%s is '" VALUE_SHOWN "'; it must be %s", key->name, value,
			must_be);
}

static int check_value(const struct via_port_key *key, const char *value, struct via_error *err)
{
	char range[80];
	uint64_t number;
	uint8_t mac[6];

	switch (key->kind) {
	case VIA_KEY_STRING:
	case VIA_KEY_USER:
	case VIA_KEY_GROUP:
		return *value ? 0 : wrong(key, value, "a text", err);
	case VIA_KEY_PATH:
		return check_path(key->name, value, err);
	case VIA_KEY_UINT:
		snprintf(range, sizeof(range), "a number from %llu to %llu",
			 (unsigned long long)key->min, (unsigned long long)key->max);
		return parse_number(value, 10, &number) && number >= key->min && number <= key->max
			       ? 0
			       : wrong(key, value, range, err);
	case VIA_KEY_CHOICE:
		return via_port_is_choice(value, strlen(value), key->choices)
			       ? 0
			       : via_fail(err, -EINVAL,
					  "%s is '" VALUE_SHOWN "'; it must be one of %s",
					  key->name, value, key->choices);
	case VIA_KEY_SWITCH:
		return via_port_is_choice(value, strlen(value), "on|off")
			       ? 0
			       : wrong(key, value, "on or off", err);
	case VIA_KEY_MAC:
		return parse_mac(value, mac)
			       ? 0
			       : wrong(key, value, "a MAC address, such as 52:54:00:12:34:56", err);
	case VIA_KEY_FEATURES:
		return check_features(key, value, err);
	case VIA_KEY_OCTAL:
		return parse_number(value, 8, &number) && number <= 07777
			       ? 0
			       : wrong(key, value, "a file mode in octal digits, such as 0660",
				       err);
	}
	return 0;
}

/* ---- all of a port ---- */

static const struct via_port_key *find_key(const struct via_port_ops *ops, const char *name)
{
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

static int unknown_key(const struct via_port_ops *ops, const char *name, struct via_error *err)
{
	char names[160] = "";
	size_t used = 0;

	for (const struct via_port_key *key = ops->keys; key && key->name; key++) {
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
						 used ? ", " : "", key->name);
	}
	return via_fail(err, -EINVAL, "a port of type %s has no '%.32s'; its own keys are: %s",
			ops->type, name, names[0] ? names : "none");
}

static const struct via_port_option *find_option(const struct via_port_option *options,
						 const char *key)
{
	for (; options && options->key; options++)
		if (strcmp(options->key, key) == 0)
			return options;
	return NULL;
}

int via_port_check_options(const struct via_port_ops *ops, const struct via_port_option *options,
			   struct via_error *err)
{
	for (const struct via_port_option *o = options; o && o->key; o++) {
		const struct via_port_key *key = find_key(ops, o->key);
		int ret;

		if (!key)
			return unknown_key(ops, o->key, err);
		if (find_option(options, o->key) != o)
			return via_fail(err, -EINVAL, "%s is given twice", key->name);
		ret = check_value(key, o->value, err);
		if (ret < 0)
			return ret;
	}
	for (const struct via_port_key *key = ops->keys; key && key->name; key++)
		if (key->required && !find_option(options, key->name))
			return via_fail(err, -EINVAL, "a port of type %s needs '%s': %s", ops->type,
					key->name, key->help);
	return 0;
}

/* ---- reading ---- */

const char *via_port_option(const struct via_port_config *config, const char *key,
			    const char *fallback)
{
	const struct via_port_option *option = find_option(config->options, key);

	return option ? option->value : fallback;
}

uint64_t via_port_option_uint(const struct via_port_config *config, const char *key,
			      uint64_t fallback)
{
	const char *value = via_port_option(config, key, NULL);
	uint64_t number;

	return value && parse_number(value, 10, &number) ? number : fallback;
}

uint32_t via_port_option_octal(const struct via_port_config *config, const char *key,
			       uint32_t fallback)
{
	const char *value = via_port_option(config, key, NULL);
	uint64_t number;

	return value && parse_number(value, 8, &number) ? (uint32_t)number : fallback;
}

bool via_port_option_on(const struct via_port_config *config, const char *key, bool fallback)
{
	return strcmp(via_port_option(config, key, fallback ? "on" : "off"), "on") == 0;
}

bool via_port_option_mac(const struct via_port_config *config, const char *key, uint8_t mac[6])
{
	const char *value = via_port_option(config, key, NULL);

	return value && parse_mac(value, mac);
}
