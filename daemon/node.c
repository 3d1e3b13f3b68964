/* SPDX-License-Identifier: BSD-3-Clause */
/* Neutral trees and lists of mistakes: no format, no schema. */
#include "daemon/node.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char no_memory[] = "no memory to say what is wrong";

/* A mistake that is not counted would be none: without memory it is said in fewer words. */
static void add_without_memory(struct mistakes *m)
{
	if (m->n > 0)
		return; /* something is said already */
	m->last_resort = (struct mistake){ .text = no_memory };
	m->list = &m->last_resort;
	m->n = 1;
}

void mistakes_add(struct mistakes *m, unsigned int line, const char *format, ...)
{
	struct mistake *list;
	va_list ap;
	char *text;
	int ret;

	if (m->n >= NODE_MAX_MISTAKES || m->list == &m->last_resort)
		return;
	va_start(ap, format);
	ret = vasprintf(&text, format, ap);
	va_end(ap);
	if (ret < 0) {
		add_without_memory(m);
		return;
	}
	list = realloc(m->list, (m->n + 1) * sizeof(*list));
	if (!list) {
		free(text);
		add_without_memory(m);
		return;
	}
	m->list = list;
	m->list[m->n++] = (struct mistake){ .line = line, .text = text };
}

/* Insertion sort: short lists, and stable, so that mistakes of one line stay in their order. */
void mistakes_sort(struct mistakes *m)
{
	for (size_t i = 1; i < m->n; i++) {
		struct mistake moving = m->list[i];
		size_t k = i;

		for (; k > 0 && m->list[k - 1].line > moving.line; k--)
			m->list[k] = m->list[k - 1];
		m->list[k] = moving;
	}
}

void mistakes_print(const struct mistakes *m, const char *file, FILE *out)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->list[i].line)
			fprintf(out, "%s:%u: %s\n", file, m->list[i].line, m->list[i].text);
		else
			fprintf(out, "%s: %s\n", file, m->list[i].text);
	}
	if (m->n == NODE_MAX_MISTAKES)
		fprintf(out, "%s: there may be more mistakes\n", file);
}

void mistakes_fini(struct mistakes *m)
{
	for (size_t i = 0; i < m->n && m->list != &m->last_resort; i++)
		free(m->list[i].text);
	if (m->list != &m->last_resort)
		free(m->list);
	*m = (struct mistakes){ 0 };
}

struct node *node_create(enum node_kind kind, const char *text)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	if (text) {
		node->text = strdup(text);
		if (!node->text) {
			free(node);
			return NULL;
		}
	}
	return node;
}

void node_free(struct node *node)
{
	struct node *next;

	if (!node)
		return;
	for (struct node *child = node->first; child; child = next) {
		next = child->next;
		node_free(child);
	}
	free(node->key);
	free(node->text);
	free(node);
}

struct node *node_add(struct node *parent, const char *key, struct node *child)
{
	if (!parent || !child)
		goto fail;
	if (key) {
		child->key = strdup(key);
		if (!child->key)
			goto fail;
	}
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	return child;

fail:
	node_free(child);
	return NULL;
}

struct node *node_add_text(struct node *parent, const char *key, const char *format, ...)
{
	struct node *child;
	char *text = NULL;
	va_list ap;
	int ret;

	va_start(ap, format);
	ret = vasprintf(&text, format, ap);
	va_end(ap);
	if (ret < 0)
		return NULL;
	child = node_create(NODE_TEXT, text);
	free(text);
	return node_add(parent, key, child);
}

struct node *node_add_string(struct node *parent, const char *key, const char *text)
{
	struct node *child = node_create(NODE_TEXT, text);

	if (child)
		child->is_string = true;
	return node_add(parent, key, child);
}

struct node *node_get(const struct node *map, const char *key)
{
	for (struct node *child = map->first; child; child = child->next)
		if (child->key && strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

int node_set(struct node *map, const char *key, struct node *child)
{
	struct node **at = &map->first, *old;

	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	if (!*at || !child)
		return node_add(map, key, child) ? 0 : -1;
	child->key = strdup(key);
	if (!child->key) {
		node_free(child);
		return -1;
	}
	old = *at;
	child->next = old->next;
	if (map->last == old)
		map->last = child;
	*at = child;
	node_free(old);
	return 0;
}

void node_remove(struct node *map, const char *key)
{
	struct node **at = &map->first, *previous = NULL, *gone;

	while (*at && strcmp((*at)->key, key) != 0) {
		previous = *at;
		at = &(*at)->next;
	}
	gone = *at;
	if (!gone)
		return;
	*at = gone->next;
	if (map->last == gone)
		map->last = previous;
	node_free(gone);
}

struct node *node_copy(const struct node *node)
{
	struct node *copy = node_create(node->kind, node->text);

	if (!copy)
		return NULL;
	copy->is_null = node->is_null;
	copy->is_string = node->is_string;
	copy->line = node->line;
	for (const struct node *child = node->first; child; child = child->next) {
		struct node *added = node_add(copy, child->key, node_copy(child));

		if (!added) {
			node_free(copy);
			return NULL;
		}
		added->key_line = child->key_line;
	}
	return copy;
}
