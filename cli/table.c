/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned columns: cells are collected, then printed as wide as the widest of each column. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define MAX_COLUMNS 16

struct table {
	unsigned int nr_columns;
	bool right[MAX_COLUMNS];
	size_t width[MAX_COLUMNS];
	char **cells; /* owned, as their texts; row by row, the heads first */
	size_t nr_cells, room;
};

/* Columns that a text takes: bytes that continue a UTF-8 character take none. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void add_cell(struct table *table, char *text)
{
	size_t column = table->nr_cells % table->nr_columns, width = text ? width_of(text) : 0;

	if (table->nr_cells == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		char **cells = realloc(table->cells, room * sizeof(*cells));

		if (!cells) {
			free(text);
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	table->cells[table->nr_cells++] = text;
	if (width > table->width[column])
		table->width[column] = width;
}

struct table *table_create(const char *heads)
{
	struct table *table = calloc(1, sizeof(*table));
	char *copy = strdup(heads), *rest = copy, *head;

	if (!table || !copy)
		abort(); /* a command line without memory for its heads */
	table->nr_columns = 1;
	for (const char *c = heads; *c; c++)
		table->nr_columns += *c == '|';
	for (unsigned int i = 0; (head = strsep(&rest, "|")); i++) {
		table->right[i] = head[0] == '>';
		add_cell(table, strdup(head + table->right[i]));
	}
	free(copy);
	return table;
}

void table_cell(struct table *table, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	add_cell(table, text);
}

static void print_cell(const struct table *table, size_t i, FILE *out)
{
	const char *text = table->cells[i] ? table->cells[i] : "";
	size_t column = i % table->nr_columns;
	int gap = (int)(table->width[column] - width_of(text));
	bool last = column + 1 == table->nr_columns;

	if (table->right[column])
		fprintf(out, "%*s%s", gap, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : gap, "");
	fputs(last ? "\n" : "  ", out);
}

void table_print(struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->nr_cells; i++) {
		print_cell(table, i, out);
		free(table->cells[i]);
	}
	free(table->cells);
	free(table);
}

const char *table_short(char text[16], double value)
{
	static const char units[] = " kMGTP";
	unsigned int unit = 0;

	while (value >= 999.5 && unit < sizeof(units) - 2) {
		value /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(text, 16, "%.0f", value);
	else
		snprintf(text, 16, "%.*f %c",
			 value < 9.995   ? 2
			 : value < 99.95 ? 1
					 : 0,
			 value, units[unit]);
	return text;
}
