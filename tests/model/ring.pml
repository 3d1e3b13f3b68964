/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver and a device that serve one ring and sleep when they can: lib/ring/vq.h, driver_ring.h, and
 * of switch/worker.c what a queue goes through. -DPACKED and -DEVENT_IDX say which ring.
 *
 * What must hold: no chain stays while both sleep (spin finds a state without a next one, "invalid end
 * state"), and nobody reads an entry, a payload or an event index that is older than what led there
 * (assertions). README.md says more.
 */
#define DRIVER 0
#define DEVICE 1

#ifndef SIZE
#define SIZE 2 /* slots */
#endif
#ifndef CHAINS
#define CHAINS 3 /* that make their way; more than the ring has slots, so that slots are used again */
#endif

#include "barriers.pml"
#ifdef PACKED
#include "packed.pml"
#define RING(name) packed_##name
#else
#include "split.pml"
#define RING(name) split_##name
#endif

bit kick_fd, call_fd; /* eventfds; that they order memory as well is not relied upon */

/* ---- the driver ---- */

inline drv_wants_kick(wants)
{
	fence(DRIVER, B5);
	RING(drv_wants_kick)(drv.unkicked, wants);
	drv.unkicked = 0
}

inline drv_arm(any)
{
	RING(drv_ask)();
	fence(DRIVER, B8);
	if
	:: drv.sent == drv.received -> any = 0
	:: else -> RING(drv_look)(any)
	fi
}

/* Adds what there is room for, or some of it. */
inline drv_send()
{
	do
	:: drv.sent < CHAINS && drv.sent - drv.received < SIZE -> RING(drv_add)()
	:: break
	od;
	if
	:: drv.added ->
		RING(drv_publish)();
		drv_wants_kick(wants);
		if
		:: wants -> kick_fd = 1
		:: else
		fi;
		wants = 0
	:: else
	fi
}

proctype driver()
{
	bit any, wants;
	byte word, asker_at;

	do
	:: drv.received == CHAINS -> break
	:: else ->
		drv_send();
		RING(drv_look)(any);
		if
		:: any ->
			RING(drv_unask)();
			do
			:: any ->
				RING(drv_take)();
				if
				:: drv.sent == drv.received -> any = 0
				:: else -> RING(drv_look)(any)
				fi
			:: else -> break
			od
		:: else ->
			if
			:: skip /* looks again */
			:: drv.sent > drv.received ->
				drv_arm(any);
				if
				:: any -> any = 0
				:: else -> call_fd -> call_fd = 0
				fi;
				RING(drv_unask)()
			fi
		fi
	od
}

/* ---- the device ---- */

inline vq_wants_call(wants)
{
	fence(DEVICE, B6);
	RING(wants_call)(vq.unsignalled, wants);
	vq.unsignalled = 0;
	vq.signalled_valid = 1
}

inline vq_arm(any)
{
	RING(ask)();
	vq.armed = 1;
	fence(DEVICE, B7);
	RING(look)(any)
}

inline vq_disarm()
{
	if
	:: vq.armed ->
		vq.armed = 0;
		RING(unask)()
	:: else
	fi
}

proctype device()
{
	bit any, wants;
	byte word, asker_at;
#ifdef PACKED
	Position slot;
	byte i;
#endif

	vq_disarm();
	do
	:: RING(pop)(any);
		if
		:: any ->
			do
			:: any ->
				RING(push)();
				RING(pop)(any)
			:: else -> break
			od;
			RING(publish)();
			vq_wants_call(wants);
			if
			:: wants -> call_fd = 1
			:: else
			fi;
			wants = 0
		:: else ->
			if
			:: skip /* lingers */
			:: vq_arm(any); /* rest() */
				if
				:: any -> any = 0
				:: else ->
end_asleep:				kick_fd -> kick_fd = 0
				fi;
				vq_disarm()
			fi
		fi
	od
}

init
{
	atomic {
		RING(drv_init)();
		RING(start)();
		run driver();
		run device()
	}
}
