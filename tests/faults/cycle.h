/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Full life cycles: each begins with nothing, opens, talks, closes, and leaves nothing. library.c runs
 * them, with one call failing.
 *
 * What one failure may do to a cycle: nothing; a refusal with a sentence; or trouble that passes, with
 * a link that comes back or an answer that is an error. What it asked for must have worked in the end.
 */
#ifndef TEST_FAULTS_CYCLE_H
#define TEST_FAULTS_CYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/loop.h>

enum cycle_end {
	CYCLE_PASSED,
	CYCLE_REFUSED, /* 'text' is the reason, for people */
	CYCLE_FAILED,  /* 'text' says what did not work */
};

struct cycle_story {
	char path[100]; /* of files that the cycle may make: it adds a suffix */
	bool has_tap;   /* TAPs can be made */
	char text[600];
};

typedef enum cycle_end cycle_fn(struct cycle_story *story);

cycle_fn cycle_device_split, cycle_device_packed, cycle_switch, cycle_control, cycle_config;

/* ---- for cycles ---- */

enum cycle_end cycle_refused(struct cycle_story *story, const char *reason);
enum cycle_end cycle_failed(struct cycle_story *story, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Turns the loop until 'holds(user)'. Returns false if that takes unreasonably long. */
bool cycle_wait(struct via_loop *loop, bool (*holds)(void *user), void *user);

#endif
