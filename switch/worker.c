/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker: polls queues that have work, rests those that have none, sleeps when all rest.
 *
 * Theory of operation
 *
 * States of a queue, seen by the worker that holds it:
 *
 *   polled    in the polling set: looked at once a turn, at most one burst each time (R18)
 *   resting   not in the set, armed: the port notifies its descriptor, which is in our epoll
 *   idle      the port says that the queue does not run (VIA_FD_NONE): only mail brings it back
 *
 * A polled queue that had no work for poll_us is armed: notifications on, and one more look. Work
 * found by that look keeps it polled; otherwise it rests. No wake-up can be lost: work that came
 * before the look is seen by it, work that comes after it is notified, and a notification stays in
 * epoll until somebody asks. The descriptor is watched edge-triggered and never read, since it is the
 * peer's and a read could block (R19): each write to an eventfd is an edge of its own, whatever its
 * count. A queue without a descriptor never rests.
 *
 * How long a queue lingers in the polling set adapts. Who is called back soon after it has rested, as
 * by a round trip that takes a little longer than poll_us, would have had the packet at once and for less
 * by staying: it lingers twice as long the next time, up to LINGER times poll_us. Who is called back
 * later lingers for poll_us again.
 *
 * A worker with queues to poll asks epoll without waiting every LOOK_US. With none it goes offline
 * for RCU and waits: an idle worker makes no system call and no context switch until somebody wants
 * something from it.
 *
 * Control changes things by mail only: a queue to take, look at, move or drop is put into the mailbox
 * of the worker that has it ('at'), and that worker's eventfd is written. What is wanted is written
 * into the queue itself under mail_lock; a letter that is not read yet is amended, so mail needs no
 * memory and never overflows. A queue in the mail belongs to the worker in whose mailbox it lies.
 * Moving a queue is done by its old worker: it takes the queue out of its sets and puts it into the
 * new one's mailbox, so two workers never serve a queue at once, and the lock orders their accesses.
 *
 * Deleting a port. Control publishes a table without the port and marks its queues dead (kill), then
 * waits for a grace period. A worker looks at the mark each time before it calls the port, so after
 * its next quiescent point it calls it no more: after the grace period nobody is in the port, and
 * control may close it. The queue itself outlives that: the worker frees it when it reads the mail,
 * after it has taken it out of its sets, and its duplicate of the port's descriptor is closed with it.
 * Control does not touch a queue that it has killed, and closes the port once both have happened.
 *
 * Epoll. What is watched is a duplicate of the port's descriptor, which only the worker closes, after
 * EPOLL_CTL_DEL: had we watched the port's own, then closing it while the peer still holds its
 * eventfd would leave an entry in our epoll that nothing can remove. An event carries a place in
 * 'slot' and its generation and is resolved when the worker is online again, so an event that was
 * collected before its queue went away means nothing instead of something freed.
 */
#include "switch/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viaduct/log.h>
#include <viaduct/worker.h>

#define LOOK_US       20     /* between looks at epoll while polling */
#define EVENTS        64     /* taken from epoll at once */
#define LITTLE        16     /* packets in a turn; with fewer a pause pays */
#define FAIR_BYTES    524288 /* of a queue in a turn, about */
#define COPY_BYTES    1024   /* what takes the time of one copy of a flood */
#define SEGMENT_BYTES 256    /* what may take the time of one segment more */
#define WALK_BYTES    128    /* what takes the time of a descriptor's look */
#define LINGER        4      /* times poll_us that a queue may stay quiet before it rests */
#define RETRY_US      10     /* before a queue whose packets nobody took is looked at again */
#define BUSY_US       50000  /* of work between nudges to rebalance */
#define MAIL_EVENT    UINT64_MAX
#define NO_SLOT       UINT32_MAX

/* ---- epoll ---- */

static uint64_t event_of(const struct sw_worker *w, uint32_t slot)
{
	return (uint64_t)w->slot[slot].generation << 32 | slot;
}

static uint32_t take_slot(struct sw_worker *w, struct sw_queue *q)
{
	uint32_t i = w->free_slot;

	if (i != NO_SLOT)
		w->free_slot = w->slot[i].next_free;
	else
		i = w->nr_slots++; /* there are places for all queues of the switch */
	w->slot[i].queue = q;
	return i;
}

static void drop_slot(struct sw_worker *w, uint32_t i)
{
	w->slot[i].queue = NULL;
	w->slot[i].generation++;
	w->slot[i].next_free = w->free_slot;
	w->free_slot = i;
}

/* NULL if the event is of something that is gone. */
static struct sw_queue *resolve(const struct sw_worker *w, uint64_t event)
{
	const struct sw_slot *slot = &w->slot[(uint32_t)event];

	return slot->generation == event >> 32 ? slot->queue : NULL;
}

/* Watches q->fd. What cannot be watched is polled. */
static void watch(struct sw_worker *w, struct sw_queue *q)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	if (q->fd < 0)
		return;
	q->slot = take_slot(w, q);
	event.data.u64 = event_of(w, q->slot);
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, q->fd, &event) == 0)
		return;
	via_log(VIA_LOG_WARNING,
		"port '%s': queue %u is polled, its descriptor cannot be watched: %s",
		q->port->name, q->source.q, strerror(errno));
	drop_slot(w, q->slot);
	close(q->fd);
	q->fd = VIA_FD_POLL;
}

/* The descriptor stays open. */
static void unwatch(struct sw_worker *w, struct sw_queue *q)
{
	if (q->fd < 0)
		return;
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, q->fd, NULL);
	drop_slot(w, q->slot);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = VIA_FD_NONE;
}

/* ---- the polling set ---- */

static bool is_dead(const struct sw_queue *q)
{
	/* Whoever still sees false is waited for by control's grace period. */
	return atomic_load_explicit(&q->dead, memory_order_relaxed);
}

static uint32_t nr_polled(const struct sw_worker *w)
{
	return atomic_load_explicit(&w->nr_polled, memory_order_relaxed);
}

static void set_nr_polled(struct sw_worker *w, uint32_t n)
{
	atomic_store_explicit(&w->nr_polled, n, memory_order_relaxed);
}

static void add_nr_queues(struct sw_worker *w, uint32_t n)
{
	atomic_fetch_add_explicit(&w->nr_queues, n, memory_order_relaxed);
}

static uint32_t poll_us(const struct sw_worker *w)
{
	return atomic_load_explicit(&w->core->poll_us, memory_order_relaxed);
}

/* How long a queue that is called back now should linger. */
static uint32_t adapted_us(const struct sw_worker *w, const struct sw_queue *q)
{
	const uint32_t most = LINGER * poll_us(w);
	const uint64_t quiet = w->now_us - q->worked_us;

	return quiet < most ? via_min_u(2 * q->linger_us, most) : poll_us(w);
}

static void poll_begin(struct sw_worker *w, struct sw_queue *q, uint32_t linger_us)
{
	const uint32_t n = nr_polled(w);

	q->linger_us = linger_us;
	q->worked_us = w->now_us;
	if (q->polled_at != SW_NOT_POLLED)
		return;
	if (q->armed)
		q->ops->disarm(q->port, q->source.q);
	q->armed = false;
	q->polled_at = n;
	w->polled[n] = q;
	set_nr_polled(w, n + 1);
}

static void poll_end(struct sw_worker *w, struct sw_queue *q)
{
	const uint32_t n = nr_polled(w) - 1;

	if (q->polled_at == SW_NOT_POLLED)
		return;
	w->polled[q->polled_at] = w->polled[n];
	w->polled[q->polled_at]->polled_at = q->polled_at;
	q->polled_at = SW_NOT_POLLED;
	set_nr_polled(w, n);
}

/* ---- a turn ---- */

/*
 * Who sends long frames, or ones of many segments or many descriptors, or to all ports, gets the time of
 * the others, not their number of frames (R18): fewer a burst, and more again only step by step, so that
 * other frames in between win nothing. Where one frame alone is too much, as one that a driver has cut
 * into thousands of pieces, the others have their turns first. What no packet came of counts as well.
 */
static void share_fairly(struct sw_queue *q, const struct sw_pass *pass, uint32_t n)
{
	uint32_t bytes = pass->burst->nr_walked * WALK_BYTES;

	if (n > 0)
		bytes += (SW_FLOOD_BUDGET - pass->flood_left) * COPY_BYTES;
	for (uint32_t i = 0; i < n; i++) {
		const struct via_view *view = &pass->burst->view[i];

		bytes += view->len + (sw_nr_segments(view) - 1) * SEGMENT_BYTES;
	}
	if (via_unlikely(bytes > FAIR_BYTES)) {
		q->max = n * FAIR_BYTES / bytes + 1;
		q->skip = bytes / FAIR_BYTES - 1;
	} else if (via_unlikely(q->max < VIA_BURST && bytes <= FAIR_BYTES / 2)) {
		q->max = via_min_u(2 * q->max, VIA_BURST);
	}
}

/* Gives the queue one burst. Returns how many packets went on. */
static uint32_t serve(struct sw_worker *w, struct sw_queue *q)
{
	const uint64_t begin = via_cycles();
	uint32_t n, undelivered;

	if (is_dead(q) || (q->retry_us && w->now_us < q->retry_us))
		return 0;
	if (via_unlikely(q->skip > 0)) {
		q->skip--;
		return 0;
	}
	w->pass->burst->nr_walked = 0;
	n = q->ops->ingress_burst(q->port, q->source.q, w->pass->burst, q->max);
	q->retry_us = 0;
	if (n == 0) {
		if (via_unlikely(w->pass->burst->nr_walked > 0))
			share_fairly(q, w->pass, 0);
		return 0;
	}
	undelivered = sw_forward(w->pass, &q->source, n, w->now_us);
	share_fairly(q, w->pass, n);
	q->ops->ingress_release(q->port, q->source.q, w->pass->burst, undelivered);
	q->worked_us = w->now_us;
	n -= undelivered;
	if (n == 0)
		q->retry_us = w->now_us + RETRY_US;
	via_count(&q->packets, n);
	via_count(&w->busy_cycles, via_cycles() - begin);
	return n;
}

static bool may_rest(const struct sw_worker *w, const struct sw_queue *q)
{
	return q->fd >= 0 && poll_us(w) != SW_POLL_ALWAYS && q->retry_us == 0 &&
	       w->now_us - q->worked_us >= q->linger_us;
}

/* Arms the queue and lets it go, unless arming finds work. */
static void rest(struct sw_worker *w, struct sw_queue *q)
{
	if (is_dead(q)) {
		poll_end(w, q);
	} else if (q->ops->arm(q->port, q->source.q)) {
		q->ops->disarm(q->port, q->source.q);
	} else {
		q->armed = true;
		poll_end(w, q);
	}
}

static uint32_t serve_all(struct sw_worker *w)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < nr_polled(w);) {
		struct sw_queue *q = w->polled[i];
		const uint32_t n = serve(w, q);

		found += n;
		if (n == 0 && may_rest(w, q))
			rest(w, q);
		if (q->polled_at == i) /* else another one is in its place now */
			i++;
	}
	return found;
}

/* ---- mail ---- */

static void attach(struct sw_worker *w, struct sw_queue *q)
{
	if (q->holder == w)
		return;
	q->holder = w;
	add_nr_queues(w, 1);
}

static void detach(struct sw_worker *w, struct sw_queue *q)
{
	if (q->holder != w)
		return;
	poll_end(w, q);
	unwatch(w, q);
	q->holder = NULL;
	add_nr_queues(w, UINT32_MAX); /* one less */
}

static void free_queue(struct sw_core *core, struct sw_queue *q)
{
	_Atomic(uint32_t) *left = q->left;

	close_fd(&q->fd);
	close_fd(&q->new_fd);
	free(q);
	/* Control may free '*left' as soon as it is 0. */
	if (left && atomic_fetch_sub(left, 1) == 1)
		sw_nudge(core, SW_NUDGE_CLOSE);
}

/* Puts the queue into the mailbox of the worker that has it. mail_lock is held. */
static void post(struct sw_queue *q)
{
	const uint64_t one = 1;

	if (q->mailed)
		return;
	q->mailed = true;
	q->next_mail = q->at->mail;
	q->at->mail = q;
	/* Fails only when the counter is full, and then the worker is about to wake up anyway. */
	if (write(q->at->mail_fd, &one, sizeof(one)) < 0)
		return;
}

/* Sends the queue to its new worker, which looks at it first of all. mail_lock is held. */
static void hand_over(struct sw_worker *w, struct sw_queue *q)
{
	detach(w, q);
	if (!q->look)
		q->new_fd = q->fd;
	else
		close_fd(&q->fd);
	q->fd = VIA_FD_NONE;
	q->look = true;
	q->at = q->home;
	post(q);
}

/* The queue's descriptor is another one now, or the queue begins or ends to run. */
static void change_fd(struct sw_worker *w, struct sw_queue *q, int fd, bool restarted)
{
	if (q->fd >= 0) {
		unwatch(w, q);
		close_fd(&q->fd);
	}
	q->fd = fd;
	q->retry_us = 0;
	if (restarted)
		q->source.done = q->source.captured = 0;
	watch(w, q);
	if (q->fd == VIA_FD_NONE) {
		poll_end(w, q);
	} else if (!is_dead(q)) {
		/* What has just begun to run may ask for notifications, though nobody has armed it. */
		q->ops->disarm(q->port, q->source.q);
		q->armed = false;
		poll_begin(w, q, poll_us(w));
	}
}

/* A RARP request for the port's own address, as hypervisors send after a migration. */
static void announce(struct sw_worker *w, struct sw_queue *q, const uint8_t mac[6])
{
	static const uint8_t rarp[] = { 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3 };
	struct via_view *view = &w->pass->burst->view[0];
	const struct sw_source kept = q->source; /* about the queue's own packets */
	uint8_t *frame = view->snapshot;

	if (is_dead(q))
		return;
	memset(view, 0, sizeof(*view));
	view->len = 60;
	view->snapshot_len = 60;
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, rarp, sizeof(rarp));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 32, mac, 6);
	q->source.done = q->source.captured = 0;
	sw_forward(w->pass, &q->source, 1, w->now_us);
	q->source = kept;
}

/* Reads one letter. mail_lock is held on entry and return, not in between. */
static void read_letter(struct sw_worker *w, struct sw_queue *q)
{
	const bool dead = is_dead(q), look = q->look, restarted = q->restarted;
	const bool announced = q->announce;
	const int fd = q->new_fd;
	uint8_t mac[6];

	if (!dead && q->home != w) {
		hand_over(w, q);
		return;
	}
	memcpy(mac, q->mac, sizeof(mac));
	if (!dead) {
		q->look = q->restarted = q->announce = false;
		q->new_fd = VIA_FD_NONE;
	}
	pthread_mutex_unlock(&w->core->mail_lock);

	if (dead) {
		detach(w, q);
		free_queue(w->core, q);
	} else {
		attach(w, q);
		if (look)
			change_fd(w, q, fd, restarted);
		if (announced)
			announce(w, q, mac);
	}
	pthread_mutex_lock(&w->core->mail_lock);
}

static void poll_everything(struct sw_worker *w)
{
	for (uint32_t i = 0; i < w->nr_slots; i++) {
		if (w->slot[i].queue && !is_dead(w->slot[i].queue))
			poll_begin(w, w->slot[i].queue, poll_us(w));
	}
}

static void read_mail(struct sw_worker *w)
{
	uint64_t n;
	bool look_all;

	if (read(w->mail_fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&w->core->mail_lock);
	while (w->mail) {
		struct sw_queue *q = w->mail;

		w->mail = q->next_mail;
		q->mailed = false;
		read_letter(w, q);
	}
	w->stopping = w->stop;
	look_all = w->look_all;
	w->look_all = false;
	pthread_mutex_unlock(&w->core->mail_lock);
	if (look_all)
		poll_everything(w);
}

/* ---- the loop ---- */

static void handle(struct sw_worker *w, const struct epoll_event *events, int n)
{
	bool mail = false;

	for (int i = 0; i < n; i++) {
		struct sw_queue *q;

		if (events[i].data.u64 == MAIL_EVENT) {
			mail = true;
			continue;
		}
		q = resolve(w, events[i].data.u64);
		if (q && !is_dead(q) && q->polled_at == SW_NOT_POLLED)
			poll_begin(w, q, adapted_us(w, q));
	}
	if (mail) /* last, since it frees queues */
		read_mail(w);
}

static void look(struct sw_worker *w)
{
	struct epoll_event events[EVENTS];

	w->looked_us = w->now_us;
	handle(w, events, epoll_wait(w->epoll_fd, events, EVENTS, 0));
}

static void sleep_until_event(struct sw_worker *w)
{
	struct epoll_event events[EVENTS];
	int n;

	via_count(&w->sleeps, 1);
	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	via_worker_offline();
	n = epoll_wait(w->epoll_fd, events, EVENTS, -1);
	via_worker_online();
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	via_count(&w->wakeups, 1);
	w->now_us = w->looked_us = via_clock_us();
	handle(w, events, n);
}

/* Looking at a ring's index takes its cache line from the driver about to write it, so who found
 * little waits for more: at most a microsecond, less when work begins to come. */
static void pause_politely(struct sw_worker *w, uint32_t found)
{
	if (found >= LITTLE) {
		w->relax /= 2;
		return;
	}
	w->relax = via_min_u(w->relax * 2 + 1, w->relax_max);
	for (uint32_t i = 0; i < w->relax; i++)
		via_relax();
}

static void account(struct sw_worker *w, uint64_t before_us, uint32_t found)
{
	uint64_t busy_us;

	if (found == 0)
		return;
	via_count(&w->packets, found);
	via_count(&w->busy_us, w->now_us - before_us);
	busy_us = via_counter_read(&w->busy_us);
	if (w->core->nr_workers > 1 && busy_us - w->nudged_busy_us >= BUSY_US) {
		w->nudged_busy_us = busy_us;
		sw_nudge(w->core, SW_NUDGE_REBALANCE);
	}
}

static void loop(struct sw_worker *w)
{
	w->now_us = via_clock_us();
	while (!w->stopping) {
		const uint64_t before_us = w->now_us;
		const uint32_t found = serve_all(w);

		via_worker_quiescent();
		if (nr_polled(w) == 0) {
			w->now_us = via_clock_us();
			account(w, before_us, found);
			sleep_until_event(w);
			continue;
		}
		pause_politely(w, found);
		w->now_us = via_clock_us();
		account(w, before_us, found);
		if (w->now_us - w->looked_us >= LOOK_US)
			look(w);
	}
}

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
	loop(w);
	via_worker_unregister();
	return NULL;
}

/* ---- control: beginning and end ---- */

static void *map_zeros(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int open_fds(struct sw_worker *w)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = MAIL_EVENT };

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
	w->free_slot = NO_SLOT;
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
	while (w->mail) {
		struct sw_queue *q = w->mail;

		w->mail = q->next_mail;
		free_queue(w->core, q);
	}
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

/* ---- control: queues ---- */

struct sw_queue *sw_queue_create(struct via_port *port, uint16_t index, uint16_t q)
{
	struct sw_queue *queue = aligned_alloc(VIA_CACHE_LINE, sizeof(*queue));

	if (!queue)
		return NULL;
	*queue = (struct sw_queue){
		.ops = port->ops,
		.port = port,
		.source = { .port = port, .index = index, .q = q },
		.fd = VIA_FD_NONE,
		.new_fd = VIA_FD_NONE,
		.polled_at = SW_NOT_POLLED,
		.max = VIA_BURST,
	};
	return queue;
}

void sw_queue_give(struct sw_core *core, struct sw_queue *q, struct sw_worker *to)
{
	pthread_mutex_lock(&core->mail_lock);
	q->home = to;
	if (!q->at)
		q->at = to;
	post(q);
	pthread_mutex_unlock(&core->mail_lock);
}

/* A descriptor of our own for what the port says, or VIA_FD_…. */
static int duplicate_fd(const struct sw_queue *q)
{
	const int fd = q->ops->ingress_fd(q->port, q->source.q);
	int copy;

	if (fd < 0)
		return fd == VIA_FD_POLL ? VIA_FD_POLL : VIA_FD_NONE;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy >= 0)
		return copy;
	via_log(VIA_LOG_WARNING,
		"port '%s': queue %u is polled, no descriptor is left to wait on: %s",
		q->port->name, q->source.q, strerror(errno));
	return VIA_FD_POLL;
}

void sw_queue_look(struct sw_core *core, struct sw_queue *q)
{
	const int fd = duplicate_fd(q);

	pthread_mutex_lock(&core->mail_lock);
	close_fd(&q->new_fd);
	q->new_fd = fd;
	q->look = true;
	q->restarted = true;
	if (q->at)
		post(q);
	pthread_mutex_unlock(&core->mail_lock);
}

void sw_queue_announce(struct sw_core *core, struct sw_queue *q, const uint8_t mac[6])
{
	pthread_mutex_lock(&core->mail_lock);
	memcpy(q->mac, mac, sizeof(q->mac));
	q->announce = true;
	post(q);
	pthread_mutex_unlock(&core->mail_lock);
}

void sw_queue_kill(struct sw_core *core, struct sw_queue *q, _Atomic(uint32_t) *left)
{
	pthread_mutex_lock(&core->mail_lock);
	q->left = left;
	atomic_store_explicit(&q->dead, true, memory_order_relaxed);
	if (q->at)
		post(q);
	else
		free_queue(core, q);
	pthread_mutex_unlock(&core->mail_lock);
}

void sw_workers_look(struct sw_core *core)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&core->mail_lock);
	for (uint32_t i = 0; i < core->nr_workers; i++)
		core->worker[i].look_all = true;
	pthread_mutex_unlock(&core->mail_lock);
	for (uint32_t i = 0; i < core->nr_workers; i++) {
		if (write(core->worker[i].mail_fd, &one, sizeof(one)) < 0)
			continue; /* full: it is about to look */
	}
}

const struct via_need sw_needs[] = {
	VIA_NEED_IS("fcntl", 1, F_DUPFD_CLOEXEC, "a queue's wake-up outlives the port's own"),
	VIA_NEED_IS("fcntl", 1, F_GETFL, "a capture's pipe is made not to block"),
	VIA_NEED_IS("fcntl", 1, F_SETFL, "likewise"),
	VIA_NEED("exit", "workers end with the switch"),
	VIA_NEEDS_END,
};
