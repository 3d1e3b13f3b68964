/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring: lib/ring/split_driver.h, split.h, and of notify.h what they use. */

#define INDICES 8 /* in the place of 65536 */
#define START   6 /* so that indices wrap */

#define AVAIL_IDX  0
#define AVAIL_RING 1 /* an entry, with the descriptor and the payload that it leads to */
#define USED_IDX   (AVAIL_RING + SIZE)
#define USED_RING  (USED_IDX + 1) /* an element, with the payload that it is about */
#ifdef EVENT_IDX
#define USED_EVENT  (USED_RING + SIZE)
#define AVAIL_EVENT (USED_EVENT + 1)
#else
#define AVAIL_FLAGS (USED_RING + SIZE)
#define USED_FLAGS  (AVAIL_FLAGS + 1)
#define NO_NOTIFY   1
#endif
#define NR_WORDS (USED_RING + SIZE + 2)

#include "memory.pml"

#define AFTER(i, n)    (((i) + (n)) % INDICES)
#define DISTANCE(a, b) (((a) + INDICES - (b)) % INDICES)

/* notify_split_wants() */
#define WANTS(event, new, n) (DISTANCE(new, AFTER(event, 1)) < (n))

/* ---- the driver ---- */

typedef Driver {
	byte avail_idx, used_idx, used_seen;
	byte added, unkicked;
	byte sent, received; /* chains; the n-th carries n, and comes back with it */
};
Driver drv;

inline split_drv_init()
{
	drv.avail_idx = START;
	drv.used_idx = START;
	drv.used_seen = START;
	thread[DRIVER].seen[AVAIL_IDX] = START;
	thread[DRIVER].seen[USED_IDX] = START;
	thread[DEVICE].seen[AVAIL_IDX] = START;
	thread[DEVICE].seen[USED_IDX] = START
}

inline split_drv_add()
{
	atomic {
		store(DRIVER, AVAIL_RING + AFTER(drv.avail_idx, drv.added) % SIZE, drv.sent + 1);
		drv.sent++;
		drv.added++
	}
}

inline split_drv_publish()
{
	atomic {
		drv.avail_idx = AFTER(drv.avail_idx, drv.added);
		drv.unkicked = drv.unkicked + drv.added;
		drv.added = 0;
		store_release(DRIVER, AVAIL_IDX, drv.avail_idx, B1)
	}
}

inline split_drv_wants_kick(n, wants)
{
	atomic {
#ifdef EVENT_IDX
		load(DRIVER, AVAIL_EVENT, word);
		wants = WANTS(word, drv.avail_idx, n);
#else
		load(DRIVER, USED_FLAGS, word);
		wants = !(word & NO_NOTIFY);
#endif
		word = 0
	}
}

inline split_drv_look(any)
{
	atomic {
		if
		:: drv.used_seen == drv.used_idx -> load_acquire(DRIVER, USED_IDX, drv.used_seen, B4)
		:: else
		fi;
		assert(DISTANCE(drv.used_seen, drv.used_idx) <= drv.sent - drv.received);
		any = drv.used_seen != drv.used_idx
	}
}

inline split_drv_take()
{
	atomic {
		load(DRIVER, USED_RING + drv.used_idx % SIZE, word);
		assert(word == drv.received + 1); /* else it is an element of the lap before */
		word = 0;
		drv.used_idx = AFTER(drv.used_idx, 1);
		drv.received++
	}
}

inline split_drv_ask()
{
#ifdef EVENT_IDX
	store(DRIVER, USED_EVENT, drv.used_idx)
#else
	store(DRIVER, AVAIL_FLAGS, 0)
#endif
}

inline split_drv_unask()
{
#ifdef EVENT_IDX
	skip
#else
	store(DRIVER, AVAIL_FLAGS, NO_NOTIFY)
#endif
}

/* ---- the device ---- */

typedef Device {
	byte avail_idx, avail_seen, used_idx;
	byte pushed, unsignalled;
	bit signalled_valid;
	bit armed;
	byte popped; /* chains */
};
Device vq;

inline split_start()
{
	vq.avail_idx = START;
	vq.avail_seen = START;
	vq.used_idx = START;
	vq.armed = 1
}

inline split_look(any)
{
	atomic {
		load_acquire(DEVICE, AVAIL_IDX, vq.avail_seen, B2);
		assert(DISTANCE(vq.avail_seen, vq.avail_idx) <= SIZE); /* VX-01 */
		any = vq.avail_seen != vq.avail_idx
	}
}

inline split_pop(any)
{
	if
	:: vq.avail_seen == vq.avail_idx -> split_look(any)
	:: else -> any = 1
	fi;
	if
	:: any ->
		atomic {
			load(DEVICE, AVAIL_RING + vq.avail_idx % SIZE, word);
			assert(word == vq.popped + 1); /* else it is an entry of the lap before */
			word = 0;
			vq.avail_idx = AFTER(vq.avail_idx, 1);
			vq.popped++
		}
	:: else
	fi
}

inline split_push()
{
	atomic {
		store(DEVICE, USED_RING + AFTER(vq.used_idx, vq.pushed) % SIZE, vq.popped);
		vq.pushed++
	}
}

inline split_publish()
{
	atomic {
		vq.used_idx = AFTER(vq.used_idx, vq.pushed);
		vq.unsignalled = vq.unsignalled + vq.pushed;
		vq.pushed = 0;
		store_release(DEVICE, USED_IDX, vq.used_idx, B3)
	}
}

inline split_wants_call(n, wants)
{
	atomic {
#ifdef EVENT_IDX
		load(DEVICE, USED_EVENT, word);
		wants = !vq.signalled_valid || WANTS(word, vq.used_idx, n);
#else
		load(DEVICE, AVAIL_FLAGS, word);
		wants = !(word & NO_NOTIFY);
#endif
		word = 0
	}
}

inline split_ask()
{
#ifdef EVENT_IDX
	store(DEVICE, AVAIL_EVENT, vq.avail_idx)
#else
	store(DEVICE, USED_FLAGS, 0)
#endif
}

inline split_unask()
{
#ifdef EVENT_IDX
	skip
#else
	store(DEVICE, USED_FLAGS, NO_NOTIFY)
#endif
}
