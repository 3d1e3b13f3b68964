/* SPDX-License-Identifier: BSD-3-Clause */
/* Making threads, and waiting until they have begun. */
#include "base/thread.h"

#include <semaphore.h>
#include <signal.h>

#include "base/tell.h"

struct beginning { /* on the stack of who starts the thread, until 'over' */
	const char *name;
	void *(*run)(void *user);
	void *user;
	sem_t over;
};

static void *begin(void *user)
{
	struct beginning *beginning = user;
	void *(*run)(void *user) = beginning->run;

	user = beginning->user;
	pthread_setname_np(pthread_self(), beginning->name);
	via_tell_begin();
	sem_post(&beginning->over);
	return run(user);
}

int via_thread_start(pthread_t *thread, const char *name, void *(*run)(void *user), void *user)
{
	struct beginning beginning = { .name = name, .run = run, .user = user };
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sem_init(&beginning.over, 0, 0);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(thread, NULL, begin, &beginning);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (ret == 0 && sem_wait(&beginning.over) < 0)
		; /* EINTR */
	sem_destroy(&beginning.over);
	return ret;
}
