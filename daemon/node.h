/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trees of texts, lists and mappings: what a YAML file, the parameters of a JSON-RPC call and the
 * running configuration have in common. One schema (schema.h) reads all of them; each node knows its
 * line if it came from a file, so every mistake can be reported with it.
 */
#ifndef VIA_DAEMON_NODE_H
#define VIA_DAEMON_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	bool is_null;          /* a text that is not there: "key:" with nothing behind it */
	bool is_string;        /* a text that is no number in JSON, whatever it looks like */
	unsigned int line;     /* from 1; 0: not from a file */
	unsigned int key_line; /* of 'key' */
	char *key;             /* of a mapping's member; owned */
	char *text;            /* NODE_TEXT; owned */
	struct node *first;    /* NODE_LIST, NODE_MAP: its children; owned */
	struct node *last, *next;
};

/* What is wrong with an input: sentences with their lines. */
#define NODE_MAX_MISTAKES 200

struct mistakes {
	struct mistake {
		unsigned int line; /* 0: not about a line */
		char *text;        /* owned */
	} * list;
	size_t n;
	struct mistake last_resort; /* the list where there is no memory for one */
};

/* Adds one (beyond NODE_MAX_MISTAKES it is forgotten). */
void mistakes_add(struct mistakes *m, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void mistakes_sort(struct mistakes *m); /* by line, stable */
/* "FILE:LINE: sentence" for each. */
void mistakes_print(const struct mistakes *m, const char *file, FILE *out);
void mistakes_fini(struct mistakes *m);

/* ---- building; a NULL from one of these is no memory, and the others accept it ---- */
struct node *node_create(enum node_kind kind, const char *text);
void node_free(struct node *node); /* accepts NULL */
/* Appends; 'child' is consumed. 'key' (copied) is NULL in a list. Returns 'child', or NULL. */
struct node *node_add(struct node *parent, const char *key, struct node *child);
struct node *node_add_text(struct node *parent, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
struct node *node_add_string(struct node *parent, const char *key,
			     const char *text); /* is_string */
/* The member of a mapping, or NULL. */
struct node *node_get(const struct node *map, const char *key);
/* Adds or replaces a member; 'child' is consumed. */
int node_set(struct node *map, const char *key, struct node *child);
void node_remove(struct node *map, const char *key); /* frees the member, if there is one */
struct node *node_copy(const struct node *node);     /* without 'next' and 'key' */

/* ---- node_yaml.c ---- */
/*
 * Reads one YAML document. Returns its tree (an empty mapping for an empty document), or NULL with
 * at least one mistake added: bad YAML with its line, duplicate keys, aliases that explode.
 */
struct node *node_from_yaml(const char *text, size_t size, struct mistakes *m);
/* Writes a mapping as YAML: its members a line each, what is deeper in flow style. Returns a string
 * to free(), or NULL without memory. */
char *node_to_yaml(const struct node *map);

/* ---- node_json.c ---- */
struct node *node_from_json(const json_t *json); /* NULL: no memory, or nested too deeply */
/* Texts that are decimal numbers become numbers, on and off become booleans (both unless is_string
 * is set), others strings. NULL: no memory. */
json_t *node_to_json(const struct node *node);

#endif
