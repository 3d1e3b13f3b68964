/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that tells peers, and the watchdog that goes to sleep beside it: lib/base/tell.c. What must
 * hold: a write that hangs is interrupted, or spin finds a state in which both wait.
 */
#define TELLER   0
#define WATCHDOG 1
#define TELLS    3

#define SEQUENCE 0
#define ASLEEP   1 /* a futex, written by both */
#define NR_WORDS 2

#include "barriers.pml"
#include "memory.pml"

bit hangs;    /* the teller, in its write */
bit sleeping; /* the watchdog, in the kernel */

inline wake_watchdog()
{
	atomic {
		latest(TELLER, ASLEEP); /* an exchange */
		if
		:: thread[TELLER].seen[ASLEEP] ->
			store(TELLER, ASLEEP, 0);
			sleeping = 0
		:: else
		fi
	}
}

active proctype teller()
{
	byte sequence, asleep;

	do
	:: sequence < 2 * TELLS ->
		/* begin() */
		sequence++;
		store(TELLER, SEQUENCE, sequence);
		fence(TELLER, W1);
		load(TELLER, ASLEEP, asleep);
		if
		:: asleep -> wake_watchdog()
		:: else
		fi;
		/* tell() */
		if
		:: skip
		:: hangs = 1; !hangs
		fi;
		/* end() */
		sequence++;
		store(TELLER, SEQUENCE, sequence)
	:: else -> break
	od
}

/* Interrupts the teller if it may hang. */
inline look(any)
{
	atomic {
		load(WATCHDOG, SEQUENCE, now);
		if
		:: now % 2 == 1 && now == seen -> hangs = 0
		:: else
		fi;
		any = now % 2 == 1 || now != seen;
		seen = now;
		now = 0
	}
}

inline set_asleep(value)
{
	atomic {
		latest(WATCHDOG, ASLEEP);
		store(WATCHDOG, ASLEEP, value)
	}
}

inline futex_wait()
{
	atomic {
		latest(WATCHDOG, ASLEEP);
		sleeping = thread[WATCHDOG].seen[ASLEEP]
	}
end_asleep:
	!sleeping
}

active proctype watchdog()
{
	byte now, seen;
	bit any;

	do
	:: look(any);
		if
		:: any
		:: else -> /* look_and_sleep() */
			set_asleep(1);
			fence(WATCHDOG, W2);
			look(any);
			if
			:: any -> set_asleep(0)
			:: else -> futex_wait()
			fi
		fi
	od
}
