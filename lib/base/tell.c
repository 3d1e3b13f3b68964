/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling peers, and a watchdog over it (R19).
 *
 * Theory of operation. A peer shares the file behind its eventfd with us, so it can fill it and
 * clear O_NONBLOCK: a write then blocks until the peer likes. Each thread that tells has a sequence
 * word, odd while it writes. The watchdog looks at all of them every few milliseconds; a word that is
 * odd and was the same at the last look belongs to a thread that hangs, and gets a signal whose handler
 * does nothing: the write fails with EINTR. A write that does not block completes whatever signals are
 * pending, so a thread that merely lost its CPU for a while loses nothing.
 *
 * A look that sees no word changed puts the watchdog to sleep, so an idle process has no wake-ups; the
 * next thread to tell wakes it. Between its store to the word and its look at 'asleep' there is a full
 * barrier, and the same between the watchdog's 'asleep' and its last look at the words: one of the two
 * sees the other.
 */
#include "base/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "base/calls.h"
#include "base/discard.h"
#include "base/shared.h"
#include "base/thread.h"

#define LOOK_MS 3

struct teller {
	pid_t process, thread;
	struct teller *next;
	bool is_known;
	uint64_t seen;                                /* by the watchdog, at its last look */
	via_cache_aligned _Atomic(uint64_t) sequence; /* odd: in a write. Writer: the thread */
};

static _Thread_local struct teller self;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards 'tellers' */
static struct teller *tellers;
static pthread_key_t at_exit; /* of a thread: takes it off the list */
static atomic_bool running;   /* there is a watchdog */
static _Atomic(uint32_t) asleep;

/* ---- the tellers ---- */

static void forget(void *user)
{
	struct teller *teller = user, **link;

	pthread_mutex_lock(&lock);
	for (link = &tellers; *link && *link != teller; link = &(*link)->next)
		;
	if (*link)
		*link = teller->next;
	pthread_mutex_unlock(&lock);
}

/* The signal must reach the thread, whatever it blocks for other reasons. */
static via_cold void introduce(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VIA_WATCHDOG_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	self.process = getpid();
	self.thread = gettid();
	self.is_known = true;
	pthread_setspecific(at_exit, &self);
	pthread_mutex_lock(&lock);
	self.next = tellers;
	tellers = &self;
	pthread_mutex_unlock(&lock);
}

static void wake_watchdog(void)
{
	if (atomic_exchange_explicit(&asleep, 0, memory_order_relaxed))
		syscall(SYS_futex, &asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void begin(void)
{
	uint64_t sequence = atomic_load_explicit(&self.sequence, memory_order_relaxed);

	atomic_store_explicit(&self.sequence, sequence + 1, memory_order_relaxed);
	/* W1, with W2 in look_and_sleep() */
	via_fence();
	if (via_unlikely(atomic_load_explicit(&asleep, memory_order_relaxed)))
		wake_watchdog();
}

static void end(void)
{
	uint64_t sequence = atomic_load_explicit(&self.sequence, memory_order_relaxed);

	atomic_store_explicit(&self.sequence, sequence + 1, memory_order_relaxed);
}

static bool tell(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) >= 0 || errno == EAGAIN;
}

void via_tell_begin(void)
{
	if (atomic_load_explicit(&running, memory_order_relaxed) && !self.is_known)
		introduce();
}

static bool is_watched(void)
{
	if (!atomic_load_explicit(&running, memory_order_relaxed))
		return false;
	if (via_unlikely(!self.is_known))
		introduce();
	return true;
}

bool via_tell(int fd)
{
	bool told;

	if (!is_watched())
		return tell(fd);
	begin();
	told = tell(fd);
	end();
	return told;
}

ssize_t via_write(int fd, const void *data, size_t size)
{
	const bool watched = is_watched();
	ssize_t n;

	if (watched)
		begin();
	n = write(fd, data, size);
	n = n < 0 ? -errno : n;
	if (watched)
		end();
	return n;
}

void via_close(int fd)
{
	const bool watched = is_watched();

	if (watched)
		begin();
	close(fd); /* it is gone, also if that was cut short */
	if (watched)
		end();
}

int via_fd_type(int fd)
{
	struct statx st;

	/* With this flag FUSE, NFS and their like answer from what the kernel has. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return -errno;
	return st.stx_mode & S_IFMT;
}

bool via_tell_socket(int fd)
{
	const uint64_t one = 1;

	return via_send(fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
}

/* ---- the watchdog ---- */

static void on_signal(int signal)
{
	(void)signal; /* it has interrupted what it was to interrupt */
}

/* Returns whether any thread has told something since the last look, or still tries to. */
static bool look(void)
{
	bool any = false;

	pthread_mutex_lock(&lock);
	for (struct teller *t = tellers; t; t = t->next) {
		uint64_t now = atomic_load_explicit(&t->sequence, memory_order_relaxed);

		if ((now & 1) && now == t->seen)
			syscall(SYS_tgkill, t->process, t->thread, VIA_WATCHDOG_SIGNAL);
		any |= (now & 1) || now != t->seen;
		t->seen = now;
	}
	pthread_mutex_unlock(&lock);
	return any;
}

static void look_and_sleep(void)
{
	atomic_store_explicit(&asleep, 1, memory_order_relaxed);
	/* W2, with W1 in begin() */
	via_fence();
	if (look())
		atomic_store_explicit(&asleep, 0, memory_order_relaxed);
	else
		syscall(SYS_futex, &asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}

static void *watchdog(void *user)
{
	(void)user;
	for (;;) {
		poll(NULL, 0, LOOK_MS);
		if (!look())
			look_and_sleep();
	}
	return NULL;
}

static int start_thread(void *(*run)(void *user), const char *name)
{
	pthread_t thread;
	int ret = via_thread_start(&thread, name, run, NULL);

	if (ret == 0)
		pthread_detach(thread);
	return ret;
}

VIA_EXPORT int via_watchdog_start(struct via_error *err)
{
	struct sigaction action = { .sa_handler =
					    on_signal }; /* no SA_RESTART: that is the point */
	int ret;

	if (atomic_load(&running))
		return 0;
	sigemptyset(&action.sa_mask);
	if (sigaction(VIA_WATCHDOG_SIGNAL, &action, NULL) < 0)
		return via_fail(err, -errno, "cannot handle signal %d: %s", VIA_WATCHDOG_SIGNAL,
				strerror(errno));
	ret = -pthread_key_create(&at_exit, forget);
	atomic_store(&running, ret == 0); /* threads that begin from now on introduce themselves */
	if (ret == 0)
		ret = start_thread(watchdog, "via-watchdog");
	if (ret == 0)
		ret = start_thread(via_discard_run, "via-discard");
	if (ret == 0)
		via_discard_started();
	atomic_store(&running, ret == 0);
	if (ret < 0)
		return via_fail(err, ret, "cannot start the watchdog: %s", strerror(-ret));
	via_tell_begin();
	return 0;
}

const struct via_need via_tell_needs[] = {
	{ .call = "tgkill",
	  .why = "the watchdog interrupts a thread of ours that a peer holds in a write",
	  .rule = VIA_NEED_SELF },
	VIA_NEED("rt_sigreturn",
		 "the way back from that signal, and from a fault in a peer's memory"),
	VIA_NEEDS_END,
};
