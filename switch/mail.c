/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How control reaches workers.
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
 */
#include "switch/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "switch/polling.h"

/* ---- the worker reads ---- */

static void add_nr_queues(struct sw_worker *w, uint32_t n)
{
	atomic_fetch_add_explicit(&w->nr_queues, n, memory_order_relaxed);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = VIA_FD_NONE;
}

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
	sw_poll_end(w, q);
	sw_unwatch(w, q);
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
		sw_unwatch(w, q);
		close_fd(&q->fd);
	}
	q->fd = fd;
	q->retry_us = 0;
	if (restarted)
		q->source.done = q->source.captured = 0;
	sw_watch(w, q);
	if (q->fd == VIA_FD_NONE) {
		sw_poll_end(w, q);
	} else if (!sw_queue_is_dead(q)) {
		/* What has just begun to run may ask for notifications, though nobody has armed it. */
		q->ops->disarm(q->port, q->source.q);
		q->armed = false;
		sw_poll_begin(w, q, sw_poll_us(w));
	}
}

/* A RARP request for the port's own address, as hypervisors send after a migration. */
static void announce(struct sw_worker *w, struct sw_queue *q, const uint8_t mac[6])
{
	static const uint8_t rarp[] = { 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3 };
	struct via_view *view = &w->pass->burst->view[0];
	const struct sw_source kept = q->source; /* about the queue's own packets */
	uint8_t *frame = view->snapshot;

	if (sw_queue_is_dead(q))
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
	const bool dead = sw_queue_is_dead(q), look = q->look, restarted = q->restarted;
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

void sw_mail_read(struct sw_worker *w)
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
		sw_poll_everything(w);
}

void sw_mail_drop(struct sw_worker *w)
{
	while (w->mail) {
		struct sw_queue *q = w->mail;

		w->mail = q->next_mail;
		free_queue(w->core, q);
	}
}

/* ---- control writes ---- */

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
