/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a configuration's values: each way to get one wrong has its sentence, with its line and what
 * would be right. Reading goes on after a mistake, so that one run reports all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/reader.h"
#include "daemon/value.h"

/* ---- sentences ---- */

/* What a value looks like, for "… is WHAT; it must be …". */
static const char *describe(const struct node *value, char *text, size_t size)
{
	if (value->kind == NODE_LIST)
		return "a list";
	if (value->kind == NODE_MAP)
		return "a mapping";
	if (value->is_null)
		return "empty";
	snprintf(text, size, "'%.48s%s'", value->text, strlen(value->text) > 48 ? "…" : "");
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' '; /* a sentence has one line */
	return text;
}

void reader_wrong(struct reader *r, const struct node *value, const char *must_be)
{
	char text[64];

	mistakes_add(r->m, value->line, "%s%s is %s; it must be %s", r->where,
		     value->key ? value->key : "an entry", describe(value, text, sizeof(text)),
		     must_be);
}

/* The text of a value, or NULL after having reported that it has none. */
const char *reader_text(struct reader *r, const struct node *value, const char *must_be)
{
	if (value->kind == NODE_TEXT && !value->is_null && value->text[0])
		return value->text;
	reader_wrong(r, value, must_be);
	return NULL;
}

uint64_t reader_uint(struct reader *r, const struct node *value, uint64_t min, uint64_t max)
{
	uint64_t number = min;
	char must_be[80];
	const char *text;

	snprintf(must_be, sizeof(must_be), "a number from %llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	text = reader_text(r, value, must_be);
	if (text && !value_uint(text, min, max, &number))
		reader_wrong(r, value, must_be);
	return number;
}

bool reader_switch(struct reader *r, const struct node *value)
{
	const char *text = reader_text(r, value, "on or off");
	bool on = false;

	if (text && !value_switch(text, &on))
		reader_wrong(r, value, "on or off");
	return on;
}

void reader_no_memory(struct reader *r)
{
	mistakes_add(r->m, 0, "no memory to read the configuration");
}

char *reader_copy(struct reader *r, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		reader_no_memory(r);
	return copy;
}

char *reader_string(struct reader *r, const struct node *value, const char *must_be)
{
	const char *text = reader_text(r, value, must_be);

	return text ? reader_copy(r, text) : NULL;
}

bool reader_is_socket_path(struct reader *r, const struct node *value, const char *text)
{
	char why[120];

	if (!value_socket_problem(text, why, sizeof(why)))
		return true;
	mistakes_add(r->m, value->line, "%s%s '%.120s' is %s", r->where, value->key, text, why);
	return false;
}

const char *reader_closest(const char *word, const char *best, const char *candidate,
			   unsigned int *distance)
{
	unsigned int d = value_distance(word, candidate);

	if (d >= *distance || d > 1 + strlen(word) / 3)
		return best;
	*distance = d;
	return candidate;
}

/* ---- a mapping against a table ---- */

void reader_append(char *list, size_t size, const char *word)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", used ? ", " : "", word);
}

/* Says that there is no such key; 'more' is a port type's own table, or NULL. */
void reader_unknown_key(struct reader *r, const struct node *value, const struct schema_key *keys,
			const struct via_port_key *more)
{
	unsigned int distance = UINT32_MAX;
	const char *best = NULL;
	char list[400] = "";

	for (; keys->name; keys++) {
		best = reader_closest(value->key, best, keys->name, &distance);
		reader_append(list, sizeof(list), keys->name);
	}
	for (; more && more->name; more++) {
		best = reader_closest(value->key, best, more->name, &distance);
		reader_append(list, sizeof(list), more->name);
	}
	if (best)
		mistakes_add(r->m, value->key_line, "%sthere is no key '%.64s'; did you mean '%s'?",
			     r->where, value->key, best);
	else
		mistakes_add(r->m, value->key_line, "%sthere is no key '%.64s'; there are: %s",
			     r->where, value->key, list);
}

const struct schema_key *reader_find_key(const struct schema_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

void reader_map(struct reader *r, const struct node *map, const struct schema_key *keys)
{
	for (const struct node *value = map->first; value; value = value->next) {
		const struct schema_key *key = reader_find_key(keys, value->key);

		if (!key)
			reader_unknown_key(r, value, keys, NULL);
		else
			key->read(r, value);
	}
}

void reader_missing(struct reader *r, unsigned int line, const char *key, const char *help)
{
	mistakes_add(r->m, line, "%sthe key '%s' is missing: %s", r->where, key, help);
}
