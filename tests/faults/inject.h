/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes one call of a program fail: an allocation or a system call, at one call site, once.
 *
 * inject.c is linked into the program. What an executable defines all its libraries use, so calls that
 * libyaml, jansson or liburcu make are counted and failed as well, and a sanitizer stays underneath.
 *
 * A *site* is a call of one kind with its whole backtrace, so the same malloc() on behalf of two
 * callers is two sites. Recording fills the table with the sites that a run meets; later runs are each
 * given an order: the site, which of its calls, and the errno. The table may be shared by processes:
 * that of FAULTS_TABLE, a file, is (daemon.py reads and writes it); addresses in it are relative to
 * their modules.
 */
#ifndef TEST_FAULTS_INJECT_H
#define TEST_FAULTS_INJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAULTS_MAX_SITES   8192
#define FAULTS_MAX_FRAMES  24
#define FAULTS_MAX_MODULES 32
#define FAULTS_MAX_RULES   96
#define FAULTS_MAX_ERRORS  5

/* In place of an errno: the call transfers fewer bytes than were asked for. */
#define FAULTS_SHORT (-1)

enum faults_mode { FAULTS_OFF, FAULTS_RECORD, FAULTS_FAIL };

/* A kind of call, and how it may fail: only as the kernel or libc could make it fail for want of
 * something, by a signal, or because of a peer. Calls that cannot have no rule. */
struct faults_rule {
	char name[24];
	int32_t error[FAULTS_MAX_ERRORS]; /* ends with 0 if shorter */
};

struct faults_frame {
	uint32_t module, offset;
};

struct faults_site {
	uint64_t hash;
	uint32_t rule, nr_frames;
	_Atomic(uint32_t) count; /* of calls while recording */
	uint32_t reserved;
	struct faults_frame frame[FAULTS_MAX_FRAMES]; /* the caller's first */
};

struct faults_order {
	uint32_t site, occurrence; /* from 1 */
	int32_t error;
};

struct faults_table {
	uint32_t size; /* of this structure */
	_Atomic(uint32_t) mode;
	struct faults_order order;
	_Atomic(uint32_t) seen, fired; /* calls of the order's site; whether it was carried out */
	atomic_flag lock;              /* guards what follows, while recording */
	uint32_t nr_rules, nr_modules;
	_Atomic(uint32_t) nr_sites;
	struct faults_rule rule[FAULTS_MAX_RULES];
	char module[FAULTS_MAX_MODULES][128]; /* paths; "": the program itself */
	struct faults_site site[FAULTS_MAX_SITES];
};

/* The table in use: a shared one that processes inherit, or that of FAULTS_TABLE. */
struct faults_table *faults_table(void);

void faults_record(void);
void faults_fail(struct faults_order order);
void faults_off(void);

/* What this thread calls from now on is the test's own. */
void faults_ignore(bool on);

/* A backtrace ends at this function: what called it is the same for all runs. */
void faults_root(void *function);

/* Blocks of memory that were allocated and not freed so far. */
int64_t faults_blocks(void);

#endif
