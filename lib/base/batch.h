/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several reads or writes of a descriptor without positions in one system call. Each worker can; a thread that is none, or
 * that the kernel does not let (it has no io_uring, or forbids it), makes a call for each.
 */
#ifndef VIA_BATCH_H
#define VIA_BATCH_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIA_BATCH_MAX 32 /* transfers in a call */

enum via_batch_op { VIA_BATCH_READ = IORING_OP_READV, VIA_BATCH_WRITE = IORING_OP_WRITEV };

struct via_transfer {
	struct iovec *iov; /* borrowed during the call, as what it points to */
	int nr_iov;
	ssize_t moved; /* out: bytes, or a negative errno */
};

/*
 * Makes the calling thread one that can, and ends that. All system calls but the one that moves are made
 * here, so a process may forbid them once its workers run. Thread: worker, by via_worker_register().
 */
void via_batch_begin(void);
void via_batch_end(void);

/* 0, or why a thread cannot, as a negative errno: -EPERM where somebody forbids it (a sandbox, sysctl
 * kernel.io_uring_disabled), -ENOSYS. Thread: any. */
int via_batch_error(void);

/*
 * Does 'n' transfers, at most VIA_BATCH_MAX, in their order and without waiting: what would have to fails
 * with -EAGAIN, whatever O_NONBLOCK says, and all with -EOPNOTSUPP if the descriptor's kind does not know
 * RWF_NOWAIT. Returns how many the kernel took, from the front: all, but for want of memory; 0 on a thread
 * that cannot. Thread: any.
 */
uint32_t via_batch_move(int fd, enum via_batch_op op, struct via_transfer *transfers, uint32_t n);

/* Whether the calling thread can. Thread: any. */
bool via_batch_ready(void);

#endif
