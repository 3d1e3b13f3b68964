/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML to neutral trees, over libyaml's documents, whose nodes carry their lines; and back.
 *
 * A document is bounded before it is walked: depth and number of nodes, because aliases can make a
 * small file a huge tree, or an endless one.
 */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "daemon/node.h"

#define YAML_MAX_DEPTH 16
#define YAML_MAX_NODES 500000

struct yaml_walk {
	yaml_document_t *document;
	struct mistakes *mistakes;
	unsigned int nr_nodes;
	bool stopped; /* a limit was hit; said once */
};

static unsigned int line_of(const yaml_node_t *node)
{
	return (unsigned int)node->start_mark.line + 1;
}

static struct node *convert(struct yaml_walk *walk, const yaml_node_t *from, unsigned int depth);

static struct node *stop(struct yaml_walk *walk, const yaml_node_t *at, const char *why)
{
	if (!walk->stopped)
		mistakes_add(walk->mistakes, line_of(at), "%s", why);
	walk->stopped = true;
	return NULL;
}

static struct node *convert_text(struct yaml_walk *walk, const yaml_node_t *from)
{
	const char *value = (const char *)from->data.scalar.value;
	struct node *node;

	if (strlen(value) != from->data.scalar.length)
		return stop(walk, from, "a text with a NUL byte in it");
	node = node_create(NODE_TEXT, value);
	if (node)
		node->is_null =
			from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
			(value[0] == '\0' || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
	return node;
}

static void convert_member(struct yaml_walk *walk, struct node *map, const yaml_node_pair_t *pair,
			   unsigned int depth)
{
	const yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
	const yaml_node_t *value = yaml_document_get_node(walk->document, pair->value);
	const struct node *first;
	const char *name;
	struct node *child;

	if (key->type != YAML_SCALAR_NODE) {
		mistakes_add(walk->mistakes, line_of(key), "a key must be a simple word");
		return;
	}
	name = (const char *)key->data.scalar.value;
	first = node_get(map, name);
	if (first) {
		mistakes_add(walk->mistakes, line_of(key), "'%s' is given twice, first in line %u",
			     name, first->key_line);
		return;
	}
	child = node_add(map, name, convert(walk, value, depth + 1));
	if (child)
		child->key_line = line_of(key);
	else if (!walk->stopped)
		stop(walk, value, "no memory to read this");
}

static struct node *convert_children(struct yaml_walk *walk, const yaml_node_t *from,
				     unsigned int depth)
{
	struct node *node =
		node_create(from->type == YAML_MAPPING_NODE ? NODE_MAP : NODE_LIST, NULL);

	if (!node)
		return NULL;
	if (node->kind == NODE_MAP) {
		for (yaml_node_pair_t *pair = from->data.mapping.pairs.start;
		     pair < from->data.mapping.pairs.top && !walk->stopped; pair++)
			convert_member(walk, node, pair, depth);
		return node;
	}
	for (yaml_node_item_t *item = from->data.sequence.items.start;
	     item < from->data.sequence.items.top && !walk->stopped; item++) {
		const yaml_node_t *child = yaml_document_get_node(walk->document, *item);

		if (!node_add(node, NULL, convert(walk, child, depth + 1)) && !walk->stopped)
			stop(walk, child, "no memory to read this");
	}
	return node;
}

static struct node *convert(struct yaml_walk *walk, const yaml_node_t *from, unsigned int depth)
{
	struct node *node;

	if (depth > YAML_MAX_DEPTH)
		return stop(walk, from, "nested too deeply");
	if (++walk->nr_nodes > YAML_MAX_NODES)
		return stop(walk, from, "too many values");
	node = from->type == YAML_SCALAR_NODE ? convert_text(walk, from)
					      : convert_children(walk, from, depth);
	if (node)
		node->line = line_of(from);
	return node;
}

/* The most frequent of all, for which libyaml has hard words. */
static bool is_tab(const char *problem)
{
	return problem && strstr(problem, "cannot start any token");
}

static void add_parser_problem(const yaml_parser_t *parser, struct mistakes *m)
{
	unsigned int line = (unsigned int)parser->problem_mark.line + 1;

	if (is_tab(parser->problem))
		mistakes_add(
			m, line,
			"not YAML: column %zu has a character that nothing can begin with: "
			"indent with spaces, never with tabs, and quote what begins with @ or `",
			parser->problem_mark.column + 1);
	else if (parser->error == YAML_READER_ERROR)
		mistakes_add(m, 0, "not YAML: %s at byte %zu", parser->problem,
			     parser->problem_offset);
	else if (parser->context)
		mistakes_add(m, line, "not YAML: %s, column %zu (%s that begins in line %zu)",
			     parser->problem, parser->problem_mark.column + 1, parser->context,
			     parser->context_mark.line + 1);
	else
		mistakes_add(m, line, "not YAML: %s, column %zu",
			     parser->problem ? parser->problem : "no memory",
			     parser->problem_mark.column + 1);
}

static struct node *convert_document(yaml_document_t *document, struct mistakes *m)
{
	struct yaml_walk walk = { .document = document, .mistakes = m };
	const yaml_node_t *root = yaml_document_get_root_node(document);
	struct node *tree;

	if (!root)
		return node_create(NODE_MAP, NULL);
	tree = convert(&walk, root, 0);
	if (tree && tree->is_null) {
		tree->kind = NODE_MAP; /* nothing but comments, or a lone '---' */
		tree->is_null = false;
	}
	if (tree && tree->kind != NODE_MAP) {
		mistakes_add(m, tree->line,
			     "a configuration is a mapping of keys to values, such "
			     "as 'ports: […]'");
		walk.stopped = true;
	}
	if (walk.stopped) {
		node_free(tree);
		return NULL;
	}
	return tree;
}

/* One document is all there may be; what follows a second '---' would otherwise be ignored. */
static void check_end(yaml_parser_t *parser, struct mistakes *m)
{
	yaml_document_t extra;
	const yaml_node_t *root;

	if (!yaml_parser_load(parser, &extra)) {
		add_parser_problem(parser, m);
		return;
	}
	root = yaml_document_get_root_node(&extra);
	if (root)
		mistakes_add(m, line_of(root), "a second document begins here; only one is read");
	yaml_document_delete(&extra);
}

struct node *node_from_yaml(const char *text, size_t size, struct mistakes *m)
{
	size_t before = m->n;
	struct node *tree = NULL;
	yaml_document_t document;
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser)) {
		mistakes_add(m, 0, "no memory to read the configuration");
		return NULL;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (yaml_parser_load(&parser, &document)) {
		bool empty = !yaml_document_get_root_node(&document);

		tree = convert_document(&document, m);
		yaml_document_delete(&document);
		if (tree && !empty)
			check_end(&parser, m);
	} else {
		add_parser_problem(&parser, m);
	}
	yaml_parser_delete(&parser);
	if (!tree && m->n == before)
		mistakes_add(m, 0, "no memory to read the configuration");
	return tree;
}

/* ---- and back ---- */

/* Words that YAML readers take for something else than a text. */
static bool is_plain(const char *text)
{
	static const char *const special[] = {
		"true", "false", "yes", "no", "null", "~", "y", "n"
	};

	if (text[0] == '\0' || strchr("-:.", text[0]) ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-") !=
		    strlen(text))
		return false;
	if (text[strlen(text) - 1] == ':')
		return false;
	if (strchr(text, ':') && strspn(text, "0123456789:") == strlen(text))
		return false; /* a MAC of digits is a number to the base 60 for others */
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (strcasecmp(text, special[i]) == 0)
			return false;
	return true;
}

static void write_text(FILE *out, const char *text)
{
	if (is_plain(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(out, "\\x%02x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void write_flow(FILE *out, const struct node *node)
{
	if (node->kind == NODE_TEXT) {
		write_text(out, node->text);
		return;
	}
	fputc(node->kind == NODE_MAP ? '{' : '[', out);
	for (const struct node *child = node->first; child; child = child->next) {
		if (child != node->first)
			fputs(", ", out);
		if (child->key)
			fprintf(out, "%s: ", child->key);
		write_flow(out, child);
	}
	fputc(node->kind == NODE_MAP ? '}' : ']', out);
}

/* A list of mappings gets a line for each; everything else stays on the key's line. */
static void write_member(FILE *out, const struct node *member)
{
	fprintf(out, "%s:", member->key);
	if (member->kind != NODE_LIST || !member->first || member->first->kind != NODE_MAP) {
		fputc(' ', out);
		write_flow(out, member);
		fputc('\n', out);
		return;
	}
	fputc('\n', out);
	for (const struct node *child = member->first; child; child = child->next) {
		fputs("  - ", out);
		write_flow(out, child);
		fputc('\n', out);
	}
}

char *node_to_yaml(const struct node *map)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (const struct node *member = map->first; member; member = member->next)
		write_member(out, member);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
