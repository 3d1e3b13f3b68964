/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/clock.h"

#include <stddef.h>
#include <sys/timerfd.h>
#include <time.h>

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *before);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *before);

#define US_OF(ts) ((uint64_t)(ts).tv_sec * 1000000 + (uint64_t)(ts).tv_nsec / 1000)

static uint64_t now_us = 1000000000;
static int timer_fd = -1; /* the loop's one */
static uint64_t timer_us; /* when it is due; 0: never */

/* Sets the real one to be due at once, or never. */
static void set_timer(void)
{
	const struct itimerspec due = { .it_value = { .tv_nsec = timer_us && timer_us <= now_us } };

	__real_timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &due, NULL);
}

void clock_passes(uint32_t ms)
{
	now_us += ms * UINT64_C(1000);
	if (timer_fd >= 0)
		set_timer();
}

/* What others than lib/ ask (the fuzzer is one) is real. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ts);
	*ts = (struct timespec){ (time_t)(now_us / 1000000), (long)(now_us % 1000000) * 1000 };
	return 0;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *before)
{
	(void)flags;
	(void)before;
	timer_fd = fd;
	timer_us = US_OF(when->it_value);
	set_timer();
	return 0;
}
