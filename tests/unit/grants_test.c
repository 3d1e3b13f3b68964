/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon/grants.c: what the broker opens for a data process that may have been taken over. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/grants.h"
#include "tests/test.h"

static void take(struct grants *grants, const char *yaml)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(yaml, strlen(yaml), CFG_HOST_ASK, &m);

	assert_non_null(cfg);
	assert_int_equal(grants_add(grants, cfg), 0);
	cfg_free(cfg);
}

static void sockets_are_those_that_the_operator_named_and_those_in_its_directories(void **state)
{
	static const struct {
		const char *path;
		bool granted;
	} cases[] = {
		{ "/var/lib/other/vm1.sock", true }, /* a port's in the file */
		{ "/var/lib/other/vm2.sock", false },
		{ "/srv/switch/vm9.sock", true },  /* beside the control socket */
		{ "/srv/positions/x.sock", true }, /* in run_dir */
		{ "/srv/vms/deep/er/vm.sock", true },
		{ "/srv/vms-of-others/vm.sock", false },
		{ "/srv/vms", false },
		{ "/srv/vms/../../run/docker.sock", false },
		{ "/srv/vms//../run/docker.sock", false },
		{ "/run/docker.sock", false },
		{ "/run/dbus/system_bus_socket", false },
		{ "relative.sock", false },
		{ "", false },
	};
	struct grants grants = { .sockets = NULL };

	(void)state;
	take(&grants, "control: /srv/switch/control.sock\n"
		      "run_dir: /srv/positions\n"
		      "socket_dirs: [/srv/vms/]\n"
		      "ports:\n"
		      "  - {name: vm1, type: vhost-user, socket: /var/lib/other/vm1.sock}\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (grants_has_socket(&grants, cases[i].path) != cases[i].granted)
			fail_msg("'%s' is judged wrongly", cases[i].path);
	grants_fini(&grants);
}

static void a_directory_that_others_use_as_well_is_not_ours(void **state)
{
	struct grants grants = { .sockets = NULL };

	(void)state;
	take(&grants, "control: /run/viaduct.sock\nrun_dir: /tmp\n");
	assert_false(grants_has_socket(&grants, "/run/docker.sock"));
	assert_false(grants_has_socket(&grants, "/tmp/x.sock"));
	take(&grants, "control: /run/viaduct.sock\nsocket_dirs: [/tmp]\n");
	assert_true(grants_has_socket(&grants, "/tmp/x.sock"));
	grants_fini(&grants);
}

static void a_world_writable_directory_is_not_ours(void **state)
{
	char dir[] = "/tmp/viaduct-grants-XXXXXX", yaml[80], path[64];
	struct grants grants = { .sockets = NULL };

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 01777), 0);
	snprintf(yaml, sizeof(yaml), "control: %s/control.sock\n", dir);
	snprintf(path, sizeof(path), "%s/vm1.sock", dir);
	take(&grants, yaml);
	assert_false(grants_has_socket(&grants, path));
	grants_fini(&grants);
	assert_int_equal(chmod(dir, 0755), 0);
	take(&grants, yaml);
	assert_true(grants_has_socket(&grants, path));
	grants_fini(&grants);
	rmdir(dir);
}

static void interfaces_are_those_that_the_operator_named(void **state)
{
	struct grants grants = { .sockets = NULL };

	(void)state;
	take(&grants, "control: /srv/x/c.sock\nports:\n"
		      "  - {name: host, type: tap}\n"
		      "  - {name: more, type: tap, ifname: via%d}\n"
		      "  - {name: hole, type: sink}\n");
	assert_true(grants_has_interface(&grants, "host"));
	assert_true(grants_has_interface(&grants, "via%d"));
	assert_false(grants_has_interface(&grants, "more"));
	assert_false(grants_has_interface(&grants, "hole"));
	assert_false(grants_has_interface(&grants, "eth0"));
	grants_fini(&grants);
}

static void what_was_named_once_stays_granted(void **state)
{
	struct grants grants = { .sockets = NULL };

	(void)state;
	take(&grants, "control: /srv/x/c.sock\nports:\n"
		      "  - {name: a, type: vhost-user, socket: /srv/y/a.sock}\n");
	take(&grants, "control: /srv/x/c.sock\nports:\n"
		      "  - {name: b, type: vhost-user, socket: /srv/y/b.sock}\n");
	assert_true(grants_has_socket(&grants, "/srv/y/a.sock"));
	assert_true(grants_has_socket(&grants, "/srv/y/b.sock"));
	grants_fini(&grants);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			sockets_are_those_that_the_operator_named_and_those_in_its_directories),
		cmocka_unit_test(a_directory_that_others_use_as_well_is_not_ours),
		cmocka_unit_test(a_world_writable_directory_is_not_ours),
		cmocka_unit_test(interfaces_are_those_that_the_operator_named),
		cmocka_unit_test(what_was_named_once_stays_granted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
