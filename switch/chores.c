/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What workers ask control for.
 *
 * Timers run only while there is something for them to do. A worker that makes something to do
 * (a first learned address, some load) nudges control by an eventfd, once.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "switch/control.h"

#define REBALANCE_MS 1000

void sw_nudge(struct sw_core *core, uint32_t what)
{
	const uint64_t one = 1;

	/* Pairs with the exchanges of on_nudge() and nudge_done(): what the nudge is about comes before
	 * this look, so control sees it, or we see that control has to be told. */
	via_fence();
	if (atomic_load_explicit(&core->nudged, memory_order_relaxed) & what)
		return;
	if (atomic_fetch_or(&core->nudged, what) & what)
		return;
	if (write(core->nudge_fd, &one, sizeof(one)) < 0)
		return; /* full: control is about to look */
}

/* Control has done it; workers may ask again. */
static void nudge_done(struct sw_switch *sw, uint32_t what)
{
	sw->doing &= ~what;
	atomic_fetch_and(&sw->core.nudged, ~what);
}

static uint32_t nr_learned(const struct sw_switch *sw)
{
	return atomic_load(&sw->core.fdb.learned);
}

/* Entries live between once and one and a quarter times the ageing time. */
static void start_ageing(struct sw_switch *sw)
{
	via_timer_start(sw->ageing, sw->core.fdb.ageing_s * 1000 / 4);
}

static void on_ageing(void *user)
{
	struct sw_switch *sw = user;

	sw_fdb_age(&sw->core.fdb, sw_seconds(&sw->core, via_clock_us()));
	if (nr_learned(sw)) {
		start_ageing(sw);
		return;
	}
	nudge_done(sw, SW_NUDGE_AGE);
	/* Who learned before that was done did not nudge. */
	if (nr_learned(sw))
		sw_nudge(&sw->core, SW_NUDGE_AGE);
}

static void on_rebalancing(void *user)
{
	struct sw_switch *sw = user;
	const uint64_t now_us = via_clock_us();
	const bool busy = sw_rebalance(&sw->core, now_us - sw->measured_us);

	sw->measured_us = now_us;
	if (busy)
		via_timer_start(sw->rebalancing, REBALANCE_MS);
	else
		nudge_done(sw, SW_NUDGE_REBALANCE);
}

static void on_nudge(void *user, uint32_t events)
{
	struct sw_switch *sw = user;
	uint64_t n;
	uint32_t what;

	(void)events;
	if (read(sw->core.nudge_fd, &n, sizeof(n)) < 0)
		return;
	what = atomic_fetch_and(&sw->core.nudged, ~(uint32_t)SW_NUDGE_CLOSE) & ~sw->doing;
	sw->doing |= what & ~(uint32_t)SW_NUDGE_CLOSE;
	if (what & SW_NUDGE_AGE)
		start_ageing(sw);
	if (what & SW_NUDGE_REBALANCE) {
		sw_rebalance_begin(&sw->core);
		sw->measured_us = via_clock_us();
		via_timer_start(sw->rebalancing, REBALANCE_MS);
	}
	if (what & SW_NUDGE_CLOSE)
		sw_ports_close_unused(sw);
}

int sw_chores_open(struct sw_switch *sw, struct via_error *err)
{
	int ret;

	sw->core.nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sw->core.nudge_fd < 0)
		return via_fail(err, -errno, "no descriptor for the switch: %s", strerror(errno));
	ret = via_loop_watch(&sw->nudge, sw->loop, sw->core.nudge_fd, EPOLLIN, on_nudge, sw, err);
	if (ret == 0)
		ret = via_timer_create(&sw->ageing, sw->loop, on_ageing, sw, err);
	if (ret == 0)
		ret = via_timer_create(&sw->rebalancing, sw->loop, on_rebalancing, sw, err);
	return ret;
}

void sw_chores_close(struct sw_switch *sw)
{
	via_timer_free(sw->rebalancing);
	via_timer_free(sw->ageing);
	via_loop_unwatch(sw->nudge);
	if (sw->core.nudge_fd >= 0)
		close(sw->core.nudge_fd);
}
