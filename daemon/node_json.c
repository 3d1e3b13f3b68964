/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON to neutral trees and back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/node.h"

#define JSON_MAX_NODE_DEPTH 16

static struct node *from_json(const json_t *json, unsigned int depth);

static struct node *from_children(const json_t *json, unsigned int depth)
{
	struct node *node = node_create(json_is_object(json) ? NODE_MAP : NODE_LIST, NULL);
	const json_t *value;
	const char *key;
	void *iter;

	if (node && node->kind == NODE_LIST) {
		for (size_t i = 0; i < json_array_size(json); i++)
			if (!node_add(node, NULL, from_json(json_array_get(json, i), depth + 1)))
				goto fail;
		return node;
	}
	/* The cast drops const only for jansson's iterator, which does not write. */
	for (iter = json_object_iter((json_t *)(uintptr_t)json); iter;
	     iter = json_object_iter_next((json_t *)(uintptr_t)json, iter)) {
		key = json_object_iter_key(iter);
		value = json_object_iter_value(iter);
		if (!node_add(node, key, from_json(value, depth + 1)))
			goto fail;
	}
	return node;

fail:
	node_free(node);
	return NULL;
}

static struct node *from_json(const json_t *json, unsigned int depth)
{
	struct node *node;
	char number[32];

	if (depth > JSON_MAX_NODE_DEPTH)
		return NULL;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return from_children(json, depth);
	case JSON_STRING:
		return node_create(NODE_TEXT, json_string_value(json));
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json));
		return node_create(NODE_TEXT, number);
	case JSON_REAL:
		snprintf(number, sizeof(number), "%g", json_real_value(json));
		return node_create(NODE_TEXT, number);
	case JSON_TRUE:
		return node_create(NODE_TEXT, "on");
	case JSON_FALSE:
		return node_create(NODE_TEXT, "off");
	default:
		break;
	}
	node = node_create(NODE_TEXT, "null");
	if (node)
		node->is_null = true;
	return node;
}

struct node *node_from_json(const json_t *json)
{
	return from_json(json, 0);
}

static json_t *text_to_json(const char *text)
{
	size_t len = strlen(text);

	if (len > 0 && len < 16 && strspn(text, "0123456789") == len &&
	    (text[0] != '0' || len == 1))
		return json_integer(strtoll(text, NULL, 10));
	if (strcmp(text, "on") == 0)
		return json_true();
	if (strcmp(text, "off") == 0)
		return json_false();
	return json_string(text);
}

json_t *node_to_json(const struct node *node)
{
	json_t *json;

	if (node->kind == NODE_TEXT)
		return node->is_string ? json_string(node->text) : text_to_json(node->text);
	json = node->kind == NODE_MAP ? json_object() : json_array();
	for (const struct node *child = node->first; child; child = child->next) {
		int ret = child->key ? json_object_set_new(json, child->key, node_to_json(child))
				     : json_array_append_new(json, node_to_json(child));

		if (ret < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}
