/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers begin and end: their threads, and what these need before they run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viaduct/worker.h>

#include "switch/mail.h"

/* ---- the thread ---- */

static uint32_t relax_per_us(void)
{
	const uint32_t n = 2000;
	const uint64_t begin = via_clock_us();
	uint64_t us;

	for (uint32_t i = 0; i < n; i++)
		via_relax();
	us = via_clock_us() - begin;
	return us ? n / (uint32_t)via_min_u((unsigned int)us, n) : n;
}

static void *run(void *user)
{
	struct sw_worker *w = user;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", w->index);
	pthread_setname_np(pthread_self(), name);
	atomic_store(&w->tid, gettid());
	w->relax_max = relax_per_us();
	via_worker_register(name);
	sem_post(&w->registered);
	sw_worker_loop(w);
	via_worker_unregister();
	return NULL;
}

/* ---- control ---- */

static void *map_zeros(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int open_fds(struct sw_worker *w)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = SW_MAIL_EVENT };

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->mail_fd < 0 ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->mail_fd, &event) < 0)
		return -errno;
	return 0;
}

/* Signals are control's business, but for those that are about the thread itself: faults, and the
 * watchdog that interrupts a write which a peer has made to block (R19). */
static void block_signals(sigset_t *before)
{
	static const int own[] = {
		SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGURG
	};
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&set, own[i]);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

static int start_thread(struct sw_worker *w)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	sigset_t before;
	int ret;

	pthread_attr_init(&attr);
	if (w->cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((size_t)w->cpu, &cpus);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	block_signals(&before);
	ret = pthread_create(&w->thread, &attr, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (ret)
		return -ret;
	w->running = true;
	while (sem_wait(&w->registered) < 0)
		; /* EINTR */
	return 0;
}

int sw_worker_start(struct sw_core *core, uint32_t index, int cpu, struct via_error *err)
{
	struct sw_worker *w = &core->worker[index];
	int ret;

	w->core = core;
	w->index = index;
	w->cpu = cpu;
	w->free_slot = SW_NO_SLOT;
	w->epoll_fd = w->mail_fd = -1;
	sem_init(&w->registered, 0, 0);
	w->pass = sw_pass_create(core, index);
	w->polled = map_zeros(SW_MAX_QUEUES * sizeof(*w->polled));
	w->slot = map_zeros(SW_MAX_QUEUES * sizeof(*w->slot));
	if (!w->pass || !w->polled || !w->slot)
		return via_fail(err, -ENOMEM, "no memory for worker %u", index);
	if (cpu >= CPU_SETSIZE)
		return via_fail(err, -EINVAL, "worker %u: there is no CPU %d", index, cpu);
	ret = open_fds(w);
	if (ret < 0)
		return via_fail(err, ret, "worker %u has no descriptors to wait on: %s", index,
				strerror(-ret));
	ret = start_thread(w);
	if (ret == -EINVAL && cpu >= 0)
		return via_fail(err, ret, "worker %u cannot run on CPU %d", index, cpu);
	if (ret < 0)
		return via_fail(err, ret, "cannot start worker %u: %s", index, strerror(-ret));
	return 0;
}

static void stop(struct sw_worker *w)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&w->core->mail_lock);
	w->stop = true;
	pthread_mutex_unlock(&w->core->mail_lock);
	if (write(w->mail_fd, &one, sizeof(one)) < 0)
		return; /* full: it is about to look */
}

static void release(struct sw_worker *w)
{
	sw_mail_drop(w);
	sw_pass_free(w->pass);
	if (w->polled)
		munmap(w->polled, SW_MAX_QUEUES * sizeof(*w->polled));
	if (w->slot)
		munmap(w->slot, SW_MAX_QUEUES * sizeof(*w->slot));
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->mail_fd >= 0)
		close(w->mail_fd);
	sem_destroy(&w->registered);
}

void sw_workers_stop(struct sw_core *core)
{
	for (uint32_t i = 0; i < core->nr_workers; i++) {
		if (core->worker[i].running)
			stop(&core->worker[i]);
	}
	for (uint32_t i = 0; i < core->nr_workers; i++) {
		if (core->worker[i].running)
			pthread_join(core->worker[i].thread, NULL);
	}
	for (uint32_t i = 0; i < core->nr_workers; i++) {
		if (core->worker[i].core)
			release(&core->worker[i]);
	}
}

const struct via_need sw_needs[] = {
	VIA_NEED_IS("fcntl", 1, F_DUPFD_CLOEXEC, "a queue's wake-up outlives the port's own"),
	VIA_NEED_IS("fcntl", 1, F_GETFL, "a capture's pipe is made not to block"),
	VIA_NEED_IS("fcntl", 1, F_SETFL, "likewise"),
	VIA_NEED("exit", "workers end with the switch"),
	VIA_NEEDS_END,
};
