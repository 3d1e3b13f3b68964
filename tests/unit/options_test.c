/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/port/options.c: what a mistake in a port's own keys is answered with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "port/port.h"
#include "tests/test.h"

static const struct via_port_key keys[] = {
	{ .name = "socket",
	  .kind = VIA_KEY_PATH,
	  .required = true,
	  .help = "where the VMM connects" },
	{ .name = "mode", .kind = VIA_KEY_CHOICE, .choices = "server|client" },
	{ .name = "pairs", .kind = VIA_KEY_UINT, .min = 1, .max = 128 },
	{ .name = "mac", .kind = VIA_KEY_MAC },
	{ .name = "inband", .kind = VIA_KEY_SWITCH },
	{ .name = "features", .kind = VIA_KEY_FEATURES, .choices = "packed|indirect" },
	{ .name = "perm", .kind = VIA_KEY_OCTAL },
	{ .name = "owner", .kind = VIA_KEY_STRING },
	{ .name = NULL },
};
static const struct via_port_ops ops = { .type = "thing", .keys = keys };
static const struct via_port_ops plain = { .type = "plain" };

static const char *check(const struct via_port_ops *type, const char *key, const char *value)
{
	static struct via_error err;
	struct via_port_option options[] = { { "socket", "/run/x" },
					     { key, value },
					     { NULL, NULL } };
	const struct via_port_option *from =
		type == &plain || strcmp(key, "socket") == 0 ? options + 1 : options;
	int ret = via_port_check_options(type, from, &err);

	if (ret == 0)
		return "fine";
	assert_int_equal(ret, -EINVAL);
	return err.text;
}

static void what_a_type_takes_passes(void **state)
{
	static const struct via_port_option good[] = {
		{ "socket", "/run/x" },
		{ "mode", "client" },
		{ "pairs", "128" },
		{ "mac", "52:54:00:aB:34:56" },
		{ "features", "packed,indirect" },
		{ "perm", "0660" },
		{ "inband", "off" },
		{ "owner", "libvirt-qemu" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_string_equal(check(&ops, good[i].key, good[i].value), "fine");
	assert_int_equal(via_port_check_options(&plain, NULL, NULL), 0);
}

static void a_mistake_is_answered_with_the_key_and_what_would_be_right(void **state)
{
	static const struct {
		const char *key, *value, *says;
	} cases[] = {
		{ "modus", "server",
		  "a port of type thing has no 'modus'; its own keys are: socket, mode, pairs" },
		{ "mode", "serve", "mode is 'serve'; it must be one of server|client" },
		{ "mode", "", "mode is ''; it must be one of server|client" },
		{ "mode", "server|client", "it must be one of server|client" },
		{ "pairs", "0", "pairs is '0'; it must be a number from 1 to 128" },
		{ "pairs", "129", "it must be a number from 1 to 128" },
		{ "pairs", "-1", "it must be a number from 1 to 128" },
		{ "pairs", " 1", "it must be a number from 1 to 128" },
		{ "pairs", "18446744073709551617", "it must be a number from 1 to 128" },
		{ "mac", "52:54:00:12:34", "mac is '52:54:00:12:34'; it must be a MAC address" },
		{ "mac", "52:54:00:12:34:5g", "it must be a MAC address" },
		{ "mac", "52-54-00-12-34-56", "it must be a MAC address" },
		{ "inband", "maybe", "inband is 'maybe'; it must be on or off" },
		{ "features", "packed,mrg", "features has no 'mrg'; there are packed|indirect" },
		{ "perm", "0680", "perm is '0680'; it must be a file mode in octal digits" },
		{ "perm", "17777", "it must be a file mode in octal digits" },
		{ "socket", "vm1.sock", "socket is 'vm1.sock'; it must be an absolute path" },
		{ "owner", "", "owner is ''; it must be a text" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = check(&ops, cases[i].key, cases[i].value);

		print_message("# %s\n", text);
		assert_non_null(strstr(text, cases[i].says));
	}
	assert_non_null(strstr(check(&plain, "mode", "x"), "its own keys are: none"));
}

static void a_path_over_107_bytes_is_refused_with_the_limit(void **state)
{
	char path[109];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	assert_string_equal(check(&ops, "socket", path), "fine");
	path[107] = 'x';
	path[108] = '\0';
	assert_non_null(
		strstr(check(&ops, "socket", path), "108 bytes; the kernel takes at most 107"));
}

static void a_missing_and_a_repeated_key_are_named(void **state)
{
	const struct via_port_option twice[] = {
		{ "socket", "/a" }, { "pairs", "1" }, { "pairs", "2" }, { NULL, NULL }
	};
	struct via_error err;

	(void)state;
	assert_int_equal(via_port_check_options(&ops, NULL, &err), -EINVAL);
	assert_string_equal(err.text,
			    "a port of type thing needs 'socket': where the VMM connects");
	assert_int_equal(via_port_check_options(&ops, twice, &err), -EINVAL);
	assert_string_equal(err.text, "pairs is given twice");
}

static void values_are_read_as_their_kind(void **state)
{
	const struct via_port_option options[] = { { "pairs", "010" },
						   { "perm", "660" },
						   { "inband", "on" },
						   { "mac", "52:54:00:aB:34:56" },
						   { NULL, NULL } };
	const struct via_port_config config = { .options = options }, empty = { .options = NULL };
	uint8_t mac[6] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	assert_int_equal(via_port_option_uint(&config, "pairs", 7), 10);
	assert_int_equal(via_port_option_uint(&empty, "pairs", 7), 7);
	assert_int_equal(via_port_option_octal(&config, "perm", 0), 0660);
	assert_int_equal(via_port_option_octal(&empty, "perm", 0600), 0600);
	assert_true(via_port_option_on(&config, "inband", false));
	assert_true(via_port_option_on(&empty, "inband", true));
	assert_string_equal(via_port_option(&empty, "owner", "nobody"), "nobody");
	assert_false(via_port_option_mac(&empty, "mac", mac));
	assert_int_equal(mac[0], 1);
	assert_true(via_port_option_mac(&config, "mac", mac));
	assert_memory_equal(mac, "\x52\x54\x00\xab\x34\x56", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_type_takes_passes),
		cmocka_unit_test(a_mistake_is_answered_with_the_key_and_what_would_be_right),
		cmocka_unit_test(a_path_over_107_bytes_is_refused_with_the_limit),
		cmocka_unit_test(a_missing_and_a_repeated_key_are_named),
		cmocka_unit_test(values_are_read_as_their_kind),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
