/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of a configuration against tables of keys. Mistakes go to 'm'; what could not be read stays as
 * it was. Thread: control.
 */
#ifndef VIA_DAEMON_READER_H
#define VIA_DAEMON_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"

struct reader {
	struct mistakes *m;
	char where[48]; /* "port 'vm1': ", or empty at the top */
	struct cfg *cfg;
	struct cfg_port *port;
	struct cfg_static *entry;
	unsigned int metrics_line;
	enum cfg_host host;
};

struct schema_key {
	const char *name;
	void (*read)(struct reader *r, const struct node *value);
	const char *form; /* "must be …" */
	const char *help;
};

/* "KEY is WHAT; it must be …" */
void reader_wrong(struct reader *r, const struct node *value, const char *must_be);
/* "the key … is missing" */
void reader_missing(struct reader *r, unsigned int line, const char *key, const char *help);

/* The text of a value, or NULL after having reported that it has none. */
const char *reader_text(struct reader *r, const struct node *value, const char *must_be);
/* A number from 'min' to 'max'; 'min' after having reported that it is none. */
uint64_t reader_uint(struct reader *r, const struct node *value, uint64_t min, uint64_t max);
bool reader_switch(struct reader *r, const struct node *value);
/* "no memory …": what would be lost is a mistake. */
void reader_no_memory(struct reader *r);
/* A copy of 'text', to free(); NULL after having reported that there is no memory. */
char *reader_copy(struct reader *r, const char *text);
/* Like reader_text(); the caller frees. */
char *reader_string(struct reader *r, const struct node *value, const char *must_be);
/* Whether 'text', the value or a part of it, can be the path of a UNIX socket; says why not. */
bool reader_is_socket_path(struct reader *r, const struct node *value, const char *text);

/* "a, b" and 'word' becomes "a, b, word", cut where 'size' ends. */
void reader_append(char *list, size_t size, const char *word);

/* Whichever of 'best' and 'candidate' is closer to 'word', if close at all: for "did you mean". Begin
 * with 'best' NULL and '*distance' UINT32_MAX. */
const char *reader_closest(const char *word, const char *best, const char *candidate,
			   unsigned int *distance);

/* Reads each value of 'map' by its key's row; 'keys' ends with a NULL name. */
void reader_map(struct reader *r, const struct node *map, const struct schema_key *keys);
/* The row of a key, or NULL. */
const struct schema_key *reader_find_key(const struct schema_key *keys, const char *name);
/* Says that there is no such key; 'more' is a port type's own table, or NULL. */
void reader_unknown_key(struct reader *r, const struct node *value, const struct schema_key *keys,
			const struct via_port_key *more);

#endif
