/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See batch.h. The kernel's interface is three calls and two rings of memory, and little of it is needed,
 * so this is written without liburing.
 *
 * Theory of operation: nothing outlives the call that asked for it. Each request has RWF_NOWAIT, which
 * forbids the kernel to hand it to a thread of its own or to wait for the file: it is carried out within
 * io_uring_enter(), by the calling thread, or fails with -EAGAIN there. One after the other, in the order
 * of the submission ring, as they are neither linked nor drained. So memory is borrowed as by writev(),
 * and the completions lie there on return.
 *
 * The restrictions make that more than a habit: before a ring can be used it is bound to two operations,
 * and IOSQE_ASYNC, links, buffers that the kernel chooses and any registering are refused. So who may
 * call io_uring_enter() on it can do with that what readv() and writev() can.
 *
 * A ring belongs to a thread, from its beginning to its end, not to what it reads or writes:
 *
 * - It exists before a sandbox does, which then need allow io_uring_enter() only, although files come and
 *   go. (A process with privileges could not hand rings over: since Linux 6.7 they do not pass sockets.)
 * - Who ends one gets a signal without a handler some time later (the kernel's task_work), and so does
 *   every thread that ever used it: their epoll_wait(), connect() or poll() fail with EINTR, their send()
 *   is cut short. Here nobody but the thread that ends itself has used it.
 *
 * The files are not registered with it, which would be a little cheaper: a ring dies some time after its
 * process does, and would keep a network interface busy until then, when the next process wants it.
 */
#include "base/batch.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/calls.h"

struct ring {
	bool ready;
	int fd;
	/* Mapped from the kernel; MAP_FAILED: not there. */
	uint8_t *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	/* Within 'rings'. Who writes: us, the kernel; us, the kernel. */
	_Atomic(uint32_t) *sq_tail, *sq_head, *cq_head, *cq_tail;
	const struct io_uring_cqe *cqes;
};

#define NO_RING                                                   \
	{                                                         \
		.fd = -1, .rings = MAP_FAILED, .sqes = MAP_FAILED \
	}

static _Thread_local struct ring own = NO_RING;
static _Atomic(int) refusal;

/* ---- the three calls ---- */

static int setup(struct io_uring_params *params)
{
	return (int)syscall(SYS_io_uring_setup, VIA_BATCH_MAX, params);
}

static void enter(int fd, uint32_t submit, uint32_t wait_for)
{
	/* What came of it is in the rings, whatever the call says. */
	(void)syscall(SYS_io_uring_enter, fd, submit, wait_for,
		      wait_for > 0 ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

static int do_register(int fd, uint32_t what, const void *arg, uint32_t n)
{
	return syscall(SYS_io_uring_register, fd, what, arg, n) < 0 ? -errno : 0;
}

/* ---- moving ---- */

static struct io_uring_sqe request(int fd, enum via_batch_op op,
				   const struct via_transfer *transfer, uint32_t i)
{
	return (struct io_uring_sqe){
		.opcode = (uint8_t)op,
		.fd = fd,
		.addr = (uintptr_t)transfer->iov,
		.len = (uint32_t)transfer->nr_iov,
		.rw_flags = RWF_NOWAIT,
		.user_data = i,
	};
}

/* Takes the completions that are there. Returns how many. */
static uint32_t reap(const struct ring *ring, struct via_transfer *transfers, uint32_t n)
{
	uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed), found = 0;
	/* Pairs with the kernel's release of what it completed. */
	const uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);

	for (; head != tail; head++, found++) {
		const struct io_uring_cqe *cqe = &ring->cqes[head % (2 * VIA_BATCH_MAX)];

		assert(cqe->user_data < n);
		transfers[cqe->user_data].moved = cqe->res;
	}
	/* Pairs with the kernel's acquire before it writes there again. */
	atomic_store_explicit(ring->cq_head, head, memory_order_release);
	return found;
}

bool via_batch_ready(void)
{
	return own.ready;
}

uint32_t via_batch_move(int fd, enum via_batch_op op, struct via_transfer *transfers, uint32_t n)
{
	const struct ring *ring = &own;
	uint32_t first, taken, reaped;

	assert(n <= VIA_BATCH_MAX);
	if (!ring->ready)
		return 0;
	first = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++)
		ring->sqes[(first + i) % VIA_BATCH_MAX] = request(fd, op, &transfers[i], i);
	/* Pairs with the kernel's acquire in the call. */
	atomic_store_explicit(ring->sq_tail, first + n, memory_order_release);
	enter(ring->fd, n, 0);
	taken = atomic_load_explicit(ring->sq_head, memory_order_acquire) - first;
	/* What it did not take is ours again: the kernel looks at the ring during the call only. */
	atomic_store_explicit(ring->sq_tail, first + taken, memory_order_release);

	reaped = reap(ring, transfers, taken);
	/* Not in a kernel that keeps its word on RWF_NOWAIT. Memory that it may still read is not let
	 * go of in any case. */
	while (via_unlikely(reaped < taken)) {
		enter(ring->fd, 0, taken - reaped);
		reaped += reap(ring, transfers, taken);
	}
	return taken;
}

/* ---- beginning and end ---- */

static int map(struct ring *ring, const struct io_uring_params *params)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	uint32_t *array;

	ring->rings_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	ring->rings = mmap(NULL, ring->rings_size, prot, flags, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, VIA_BATCH_MAX * sizeof(*ring->sqes), prot, flags, ring->fd,
			  IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -ENOMEM;
	ring->sq_head = (void *)(ring->rings + params->sq_off.head);
	ring->sq_tail = (void *)(ring->rings + params->sq_off.tail);
	ring->cq_head = (void *)(ring->rings + params->cq_off.head);
	ring->cq_tail = (void *)(ring->rings + params->cq_off.tail);
	ring->cqes = (void *)(ring->rings + params->cq_off.cqes);
	array = (void *)(ring->rings + params->sq_off.array);
	for (uint32_t i = 0; i < VIA_BATCH_MAX; i++)
		array[i] = i; /* entries are used in their order */
	return 0;
}

/* Nothing but reads and writes, without any flag. */
static int restrict_ring(int fd)
{
	const struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = VIA_BATCH_READ },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = VIA_BATCH_WRITE },
	};
	int ret = do_register(fd, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_SIZE(allowed));

	return ret < 0 ? ret : do_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

void via_batch_begin(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	int ret;

	own.fd = setup(&params);
	ret = own.fd < 0 ? -errno : map(&own, &params);
	if (ret == 0)
		ret = restrict_ring(own.fd);
	own.ready = ret == 0;
	if (own.ready)
		return;
	via_batch_end();
	atomic_store_explicit(&refusal, ret, memory_order_relaxed);
}

void via_batch_end(void)
{
	if (own.fd >= 0)
		close(own.fd);
	if (own.rings != MAP_FAILED)
		munmap(own.rings, own.rings_size);
	if (own.sqes != MAP_FAILED)
		munmap(own.sqes, VIA_BATCH_MAX * sizeof(*own.sqes));
	own = (struct ring)NO_RING;
}

int via_batch_error(void)
{
	return atomic_load_explicit(&refusal, memory_order_relaxed);
}

const struct via_need via_batch_needs[] = {
	VIA_NEED("io_uring_enter",
		 "several frames of a TAP at once, by rings that can only read and write"),
	VIA_NEEDS_END,
};
