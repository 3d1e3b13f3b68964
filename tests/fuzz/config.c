/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration of any text: YAML, tree, schema, model, and back. What was understood is written so that it
 * is understood as the same again; what was not is explained, line by line. Two texts in one input are
 * compared as a reload would.
 */
#include <string.h>

#include "base/base.h"
#include "daemon/config.h"
#include "tests/fuzz/words.h"

static const char *const words[] = { WORDS_CONFIG };

/* Reads a text; mistakes are sentences with lines of it. */
static struct cfg *read_text(const char *text, size_t len)
{
	struct mistakes m = { 0 };
	struct cfg *cfg = cfg_from_yaml(text, len, CFG_HOST_KNOWN, &m);

	INSIST((cfg == NULL) == (m.n > 0));
	mistakes_sort(&m);
	INSIST(m.n <= NODE_MAX_MISTAKES);
	for (size_t i = 0; i < m.n; i++)
		INSIST(m.list[i].text && m.list[i].text[0] && m.list[i].line <= len + 2);
	mistakes_fini(&m);
	return cfg;
}

static char *text_of(const struct cfg *cfg)
{
	struct node *node = cfg_to_node(cfg);
	char *text = node ? node_to_yaml(node) : NULL;

	INSIST(text);
	node_free(node);
	return text;
}

static void check_survives_writing(const struct cfg *cfg)
{
	char *once = text_of(cfg), *twice;
	struct cfg *again = read_text(once, strlen(once));

	INSIST(again && again->nr_ports == cfg->nr_ports && again->nr_statics == cfg->nr_statics);
	twice = text_of(again);
	INSIST(strcmp(once, twice) == 0);
	for (uint32_t i = 0; i < cfg->nr_ports; i++) {
		struct cfg_port *port = cfg_find_port(again, cfg->ports[i]->name);

		INSIST(port && cfg_port_opens_same(port, cfg->ports[i]));
		INSIST(cfg_vlan_same(&port->sw, &cfg->ports[i]->sw));
	}
	cfg_free(again);
	free(once);
	free(twice);
}

/* What a change from one to the other would leave open. */
static void compare(const struct cfg *a, const struct cfg *b)
{
	for (uint32_t i = 0; i < a->nr_ports; i++) {
		struct cfg_port *copy = cfg_port_copy(a->ports[i]);
		const struct cfg_port *other = cfg_find_port(b, a->ports[i]->name);

		INSIST(copy && cfg_port_opens_same(copy, a->ports[i]));
		if (other)
			INSIST(cfg_port_opens_same(copy, other) ==
			       cfg_port_opens_same(other, copy));
		cfg_port_free(copy);
	}
}

static struct cfg *read_next(struct input *in)
{
	static char text[16384];
	const size_t len = words_write(in, words, ARRAY_SIZE(words), text, sizeof(text));
	struct cfg *cfg = read_text(text, len);

	if (cfg)
		check_survives_writing(cfg);
	return cfg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct cfg *a = read_next(&in), *b = read_next(&in);

	if (a && b)
		compare(a, b);
	cfg_free(a);
	cfg_free(b);
	return 0;
}
