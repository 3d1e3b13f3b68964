/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon/schema.c, config.c, node_yaml.c: what is refused, with which sentence, and the way back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "daemon/config.h"
#include "tests/test.h"

#define TOP "control: /run/viaduct/control.sock\n"

/* All mistakes of a text, each as "LINE: sentence\n". */
static char *mistakes_of(const char *yaml)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(yaml, strlen(yaml), CFG_HOST_ASK, &m);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_true(!cfg == (m.n > 0));
	for (size_t i = 0; i < m.n; i++)
		fprintf(out, "%u: %s\n", m.list[i].line, m.list[i].text);
	fclose(out);
	mistakes_fini(&m);
	cfg_free(cfg);
	return text;
}

static const struct {
	const char *yaml, *says; /* ending in '*': what follows depends on the machine or build */
} wrong[] = {
#include "config_cases.h"
};

static void every_mistake_is_answered_with_its_line_and_what_would_be_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char *says = mistakes_of(wrong[i].yaml);

		size_t len = strlen(wrong[i].says);

		if (wrong[i].says[len - 1] == '*')
			assert_memory_equal(says, wrong[i].says, len - 1);
		else
			assert_string_equal(says, wrong[i].says);
		free(says);
	}
}

static struct cfg *read_good(const char *yaml)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(yaml, strlen(yaml), CFG_HOST_ASK, &m);

	for (size_t i = 0; i < m.n; i++)
		print_message("%u: %s\n", m.list[i].line, m.list[i].text);
	assert_non_null(cfg);
	mistakes_fini(&m);
	return cfg;
}

static char *saved(const struct cfg *cfg)
{
	struct node *tree = cfg_to_node(cfg);
	char *text = node_to_yaml(tree);

	assert_non_null(text);
	node_free(tree);
	return text;
}

static void what_is_saved_reads_as_the_same(void **state)
{
	static const char text[] =
		"control: /run/viaduct/control.sock\n"
		"metrics: 127.0.0.1:9101\n"
		"run_dir: /var/lib/viaduct\n"
		"workers: 3\n"
		"poll_us: always\n"
		"fdb: {ageing: 60, size: 1024, port_limit: 16, static: [{mac: \"52:54:00:12:34:56\", "
		"vlan: 10, port: a}]}\n"
		"ports:\n"
		"  - {name: a, type: sink, mtu: 9000, vlan: 10, trunk: [20, 30-40], lossless: on, "
		"isolated: on}\n"
		"  - {name: \"no\", type: sink, trunk: all}\n"
		"  - {name: \"1\", type: tap, ifname: via%d, queues: 2, offloads: off}\n"
		"  - {name: v, type: virtio-user, socket: /run/v.sock, features: {packed: off, "
		"indirect: off}}\n";
	struct cfg *cfg = read_good(text), *again;
	char *first = saved(cfg), *second;

	(void)state;
	again = read_good(first);
	second = saved(again);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "trunk: [20, 30-40]"));
	assert_non_null(strstr(first, "features: {packed: off, indirect: off}"));
	assert_non_null(strstr(first, "name: \"no\""));
	assert_non_null(strstr(first, "ifname: \"via%d\""));
	free(first);
	free(second);
	cfg_free(cfg);
	cfg_free(again);
}

static void an_empty_file_is_a_valid_configuration(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "ports:\n",
					     "---\n# x\n...\n" };

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct cfg *cfg = read_good(texts[i]);

		assert_int_equal(cfg->nr_ports, 0);
		assert_int_equal(cfg->nr_workers, 1);
		assert_int_equal(cfg->poll_us, CFG_POLL_US);
		assert_non_null(strstr(cfg->control, "/viaduct/control.sock"));
		cfg_free(cfg);
	}
}

static void run_dir_is_where_the_control_socket_is(void **state)
{
	struct cfg *cfg = read_good("control: /srv/x/control.sock\n");

	(void)state;
	assert_string_equal(cfg->run_dir, "/srv/x");
	cfg_free(cfg);
}

/* Aliases may make a small file an endless or a huge tree. */
static void a_file_that_explodes_is_refused(void **state)
{
	char text[2000] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", line[100];
	char *says;

	(void)state;
	for (int i = 1; i < 9; i++) {
		snprintf(line, sizeof(line),
			 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
			 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
		strcat(text, line);
	}
	says = mistakes_of(text);
	assert_non_null(strstr(says, "too many values"));
	free(says);
	says = mistakes_of("ports: &p [*p]\n");
	assert_non_null(strstr(says, "nested too deeply"));
	free(says);
}

static void a_port_from_json_is_read_by_the_same_rules(void **state)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:[i, s], s:b, s:s}", "name", "v", "type",
				 "virtio-user", "mtu", 1500, "trunk", 10, "20-30", "lossless", 1,
				 "features", "packed:off,indirect:off");
	struct node *map = node_from_json(json);
	struct mistakes m = { 0 };
	struct cfg_port *port = cfg_port_from_node(map, NULL, NULL, &m);

	(void)state;
	assert_null(port);
	assert_int_equal(m.n, 1);
	assert_string_equal(m.list[0].text,
			    "port 'v': the key 'socket' is missing: the back-end's UNIX socket");
	mistakes_fini(&m);
	node_set(map, "socket", node_create(NODE_TEXT, "/run/v.sock"));
	port = cfg_port_from_node(map, NULL, NULL, &m);
	assert_non_null(port);
	assert_int_equal(port->mtu, 1500);
	assert_true(port->lossless);
	assert_true(port->sw.vlan.trunk);
	assert_string_equal(cfg_port_option(port, "features"), "packed,indirect");
	cfg_port_free(port);
	node_free(map);
	json_decref(json);
}

static void ports_that_differ_only_in_vlans_open_the_same(void **state)
{
	struct cfg *a = read_good(TOP "ports: [{name: a, type: tap, queues: 2}]\n");
	struct cfg *b = read_good(TOP "ports: [{name: a, type: tap, queues: 2, vlan: 3}]\n");
	struct cfg *c = read_good(TOP "ports: [{name: a, type: tap, queues: 3}]\n");

	(void)state;
	assert_true(cfg_port_opens_same(a->ports[0], b->ports[0]));
	assert_false(cfg_vlan_same(&a->ports[0]->sw, &b->ports[0]->sw));
	assert_false(cfg_port_opens_same(a->ports[0], c->ports[0]));
	cfg_free(a);
	cfg_free(b);
	cfg_free(c);
}

/* One short, so that no prefix of a good file makes trouble. */
static void every_prefix_and_every_damaged_byte_is_survived(void **state)
{
	static const char text[] =
		TOP "workers: [{cpu: 0}]\nfdb: {static: [{mac: 52:54:00:12:34:56, "
		    "port: a}]}\nports:\n  - &x {name: a, type: sink, trunk: "
		    "[1, 2-3]}\n  - {name: b, type: tap}\n";
	char copy[sizeof(text)];

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++)
		for (int damage = 0; damage < 256; damage += 51) {
			struct mistakes m = { 0 };
			struct cfg *cfg;

			memcpy(copy, text, sizeof(text));
			copy[size] = (char)damage;
			cfg = cfg_from_yaml(copy, damage ? sizeof(text) - 1 : size, CFG_HOST_ASK,
					    &m);
			assert_true(!cfg == (m.n > 0));
			cfg_free(cfg);
			mistakes_fini(&m);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_is_answered_with_its_line_and_what_would_be_right),
		cmocka_unit_test(what_is_saved_reads_as_the_same),
		cmocka_unit_test(an_empty_file_is_a_valid_configuration),
		cmocka_unit_test(run_dir_is_where_the_control_socket_is),
		cmocka_unit_test(a_file_that_explodes_is_refused),
		cmocka_unit_test(a_port_from_json_is_read_by_the_same_rules),
		cmocka_unit_test(ports_that_differ_only_in_vlans_open_the_same),
		cmocka_unit_test(every_prefix_and_every_damaged_byte_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
