/* SPDX-License-Identifier: BSD-3-Clause */
/* Sentences for people. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <viaduct/error.h>

#include "base/base.h"

VIA_EXPORT int via_fail(struct via_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}

VIA_EXPORT int via_fail_in(struct via_error *err, int code, const char *format, ...)
{
	struct via_error context;
	va_list args;
	size_t lead;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(context.text, sizeof(context.text), format, args);
	va_end(args);

	/* The context goes in front; a sentence that becomes too long loses its end. */
	lead = strlen(context.text) + 2;
	if (lead < sizeof(err->text)) {
		memmove(err->text + lead, err->text, sizeof(err->text) - lead);
		err->text[sizeof(err->text) - 1] = '\0';
		memcpy(err->text, context.text, lead - 2);
		memcpy(err->text + lead - 2, ": ", 2);
	} else {
		*err = context;
	}
	return code;
}
