/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls: the lists of those that our threads make while they run, for who takes all others away
 * from the process (viaductd's daemon/sandbox.c), and the few that need another form for that.
 *
 * Each list is beside the code that needs it. What is only needed while a process starts (making
 * threads, the event loop, the workers) is in none.
 */
#ifndef VIA_CALLS_H
#define VIA_CALLS_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Which values of one argument a need is about. */
enum via_need_rule {
	VIA_NEED_ANY,   /* whatever the arguments are */
	VIA_NEED_VALUE, /* argument 'arg' under 'mask' is 'value' */
	VIA_NEED_SELF,  /* argument 'arg' is the process itself */
};

/* Calls are named as in syscalls(2): their numbers differ from one architecture to the next. */
struct via_need {
	const char *call, *why;
	enum via_need_rule rule;
	unsigned int arg;
	uint64_t mask, value;
};

#define VIA_NEED(call_, why_)                  \
	{                                      \
		.call = (call_), .why = (why_) \
	}
#define VIA_NEED_IS(call_, arg_, value_, why_) VIA_NEED_UNDER(call_, arg_, UINT64_MAX, value_, why_)
#define VIA_NEED_UNDER(call_, arg_, mask_, value_, why_)                               \
	{                                                                              \
		.call = (call_), .why = (why_), .rule = VIA_NEED_VALUE, .arg = (arg_), \
		.mask = (mask_), .value = (value_)                                     \
	}
#define VIA_NEEDS_END        \
	{                    \
		.call = NULL \
	}

/* Those of this folder; other folders' are in their own headers. */
extern const struct via_need via_loop_needs[], via_grace_needs[], via_tell_needs[],
	via_unix_needs[], via_batch_needs[];

/* The device, number, type and mode, size and block size of a file, as the kernel has them, by the call of
 * via_fd_type(). Only where nobody else need be asked: memory, files of ours. */
int via_fstat(int fd, struct stat *st);
/* recv() and send() of glibc are two more system calls than there are ways to move bytes. */
ssize_t via_recv(int fd, void *bytes, size_t size, int flags);
ssize_t via_send(int fd, const void *bytes, size_t size, int flags);

#endif
