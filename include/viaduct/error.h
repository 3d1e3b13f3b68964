/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors: a negative errno for the program, a sentence for the person.
 *
 * Every function of libviaduct that can fail takes a 'struct via_error *err' last (it may be NULL),
 * returns 0 or a negative errno, and fills the sentence on failure only. The edge (a program's log,
 * command line or RPC answer) prints it unchanged.
 */
#ifndef VIADUCT_ERROR_H
#define VIADUCT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

struct via_error {
	char text[320]; /* one sentence without a full stop; always terminated */
};

/*
 * Writes the sentence into 'err' (may be NULL) and returns 'code', so that a failing function ends
 * with 'return via_fail(err, -EINVAL, "queue %u: …", …)'. Thread: any.
 */
int via_fail(struct via_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the sentence in 'err' (may be NULL). Returns 'code'. Thread: any. */
int via_fail_in(struct via_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
