/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See discard.h. One thread closes for all peers, one descriptor after the other. Who holds it up with one
 * holds up only what others have sent that is as odd: nobody waits for it, and nobody may have more than
 * MANY of them waiting.
 */
#include "base/discard.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/passed.h"
#include "base/tell.h"

#define MANY          16
#define MANY_MESSAGES 1024

struct via_discards {
	_Atomic(uint32_t) users; /* its owner, and each that waits */
};

struct waiting {
	struct waiting *next;
	struct via_discards *discards;
	int fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct waiting *first, **last = &first;
static bool started;

static void put(struct via_discards *d)
{
	if (d && atomic_fetch_sub(&d->users, 1) == 1)
		free(d);
}

/* ---- the thread ---- */

void *via_discard_run(void *user)
{
	(void)user;
	pthread_mutex_lock(&lock);
	for (;;) {
		struct waiting *w = first;

		if (!w) {
			pthread_cond_wait(&wake, &lock);
			continue;
		}
		first = w->next;
		if (!first)
			last = &first;
		pthread_mutex_unlock(&lock);
		via_close(w->fd);
		put(w->discards);
		free(w);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

void via_discard_started(void)
{
	pthread_mutex_lock(&lock);
	started = true;
	pthread_mutex_unlock(&lock);
}

/* ---- everybody else ---- */

struct via_discards *via_discards_create(void)
{
	struct via_discards *d = malloc(sizeof(*d));

	if (d)
		atomic_init(&d->users, 1);
	return d;
}

void via_discards_free(struct via_discards *d)
{
	put(d);
}

bool via_discards_are_many(const struct via_discards *d)
{
	return atomic_load_explicit(&d->users, memory_order_relaxed) > MANY;
}

/* Eventfds and their like, pipes, memory: closing these is the kernel's own business. */
static bool closes_at_once(int fd)
{
	const int type = via_fd_type(fd);

	return type == 0 || type == S_IFIFO || fcntl(fd, F_GET_SEALS) >= 0;
}

/* Hands 'fd' to the thread; false if there is none, or no memory. */
static bool hand_over(struct via_discards *d, int fd)
{
	struct waiting *w = malloc(sizeof(*w));
	bool taken;

	if (!w)
		return false;
	*w = (struct waiting){ .discards = d, .fd = fd };
	pthread_mutex_lock(&lock);
	taken = started;
	if (taken) {
		if (d)
			atomic_fetch_add(&d->users, 1);
		*last = w;
		last = &w->next;
		pthread_cond_signal(&wake);
	}
	pthread_mutex_unlock(&lock);
	if (!taken)
		free(w);
	return taken;
}

void via_discard(struct via_discards *d, int fd)
{
	if (closes_at_once(fd) || !hand_over(d, fd))
		via_close(fd);
}

/* Takes the next bytes of a socket, with the descriptors that lie there. Returns whether there were any. */
static bool take_some(struct via_discards *d, int sock)
{
	union via_passed_space control;
	char bytes[4096];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct via_passed passed;
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return false;
	passed = via_passed_of(&msg);
	for (int fd; (fd = via_passed_next(&passed)) >= 0;)
		via_discard(d, fd);
	return n > 0;
}

void via_discard_socket(struct via_discards *d, int fd)
{
	/* More than fits: a peer that goes on sending does not keep us. */
	for (int i = 0; i < MANY_MESSAGES && take_some(d, fd); i++)
		;
	via_close(fd);
}
