/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed ring: lib/ring/packed_driver.h, packed.h, and of notify.h what they use. */

#define DESC_TAIL       0                  /* written by both, in turns */
#define DESC_ADDR       SIZE               /* with the payload that it leads to */
#define PAYLOAD         (DESC_ADDR + SIZE) /* that the device has written */
#define DRIVER_OFF_WRAP (PAYLOAD + SIZE)
#define DRIVER_FLAGS    (DRIVER_OFF_WRAP + 1)
#define DEVICE_OFF_WRAP (DRIVER_OFF_WRAP + 2)
#define DEVICE_FLAGS    (DRIVER_OFF_WRAP + 3)
#define NR_WORDS        (DRIVER_OFF_WRAP + 4)

#include "memory.pml"

typedef Position {
	byte idx;
	bit wrap;
};

inline advance(pos)
{
	pos.idx++;
	if
	:: pos.idx == SIZE ->
		pos.idx = 0;
		pos.wrap = !pos.wrap
	:: else
	fi
}

/* A tail word: the chain's number, and the bits AVAIL and USED as the driver and as the device writes
 * them. */
#define LAP_MASK         3
#define AVAIL_BITS(wrap) (wrap -> 2 : 1)
#define USED_BITS(wrap)  (wrap -> 3 : 0)
#define TAIL(n, bits)    ((n) << 2 | (bits))
#define NUMBER(tail)     ((tail) >> 2)

/* ---- event areas ---- */

#define ENABLE  0
#define DISABLE 1
#define DESC    2

#ifdef EVENT_IDX
/* Both words of an area also say which chain was the asker's next. */
#define EVENT_WORD(n, value) ((n) << 3 | (value))
#define ASKER_AT(word)       ((word) >> 3)
#define OFF_WRAP(pos)        (pos.idx | pos.wrap << 2)
/* notify_packed_wants(): the slot of the event, in the lap of 'new' */
#define EVENT(word, new)     (((word) & 3) - (((word) >> 2 & 1) != new.wrap -> SIZE : 0))
#define WANTS(word, new, n)  ((n) > SIZE || ((new.idx - EVENT(word, new) - 1) & 255) < (n))
#endif

/* Asks in our area to be told once slot 'pos' is passed. */
inline notify_packed_ask(me, area, pos, chain)
{
#ifdef EVENT_IDX
	store(me, area, EVENT_WORD(chain, OFF_WRAP(pos)));
	store_release(me, area + 1, EVENT_WORD(chain, DESC), B9_ASK)
#else
	store(me, area + 1, ENABLE)
#endif
}

/* Reads the other's area and decides. */
inline notify_packed_area_wants(me, area, new_is_first, new, n, wants)
{
	atomic {
		load_acquire(me, area + 1, word, B9_ANSWER);
		wants = (word & 3) != DISABLE
	}
#ifdef EVENT_IDX
	if
	:: (word & 3) == DESC && !new_is_first ->
		atomic {
			asker_at = ASKER_AT(word);
			load(me, area, word);
			assert(ASKER_AT(word) >= asker_at); /* else it is of an ask before */
			wants = WANTS(word, new, n);
			asker_at = 0
		}
	:: else
	fi;
#endif
	word = 0
}

/* ---- the driver ---- */

typedef Driver {
	Position avail, next, used;
	byte held_tail;
	byte added, unkicked;
	byte sent, received; /* chains; the n-th carries n, and comes back with it */
};
Driver drv;

inline packed_drv_init()
{
	drv.avail.wrap = 1;
	drv.next.wrap = 1;
	drv.used.wrap = 1
}

inline packed_drv_add()
{
	store(DRIVER, DESC_ADDR + drv.next.idx, drv.sent + 1);
	atomic {
		drv.sent++;
		if
		:: drv.added == 0 -> drv.held_tail = TAIL(drv.sent, AVAIL_BITS(drv.next.wrap))
		:: else ->
			store(DRIVER, DESC_TAIL + drv.next.idx,
			      TAIL(drv.sent, AVAIL_BITS(drv.next.wrap)))
		fi;
		drv.added++;
		advance(drv.next)
	}
}

inline packed_drv_publish()
{
	atomic {
		store_release(DRIVER, DESC_TAIL + drv.avail.idx, drv.held_tail, B1);
		drv.held_tail = 0;
		drv.avail.idx = drv.next.idx;
		drv.avail.wrap = drv.next.wrap;
		drv.unkicked = drv.unkicked + drv.added;
		drv.added = 0
	}
}

inline packed_drv_wants_kick(n, wants)
{
	notify_packed_area_wants(DRIVER, DEVICE_OFF_WRAP, 0, drv.avail, n, wants)
}

inline packed_drv_look(any)
{
	atomic {
		load_acquire(DRIVER, DESC_TAIL + drv.used.idx, word, B4);
		any = (word & LAP_MASK) == USED_BITS(drv.used.wrap);
		assert(!any || NUMBER(word) == drv.received + 1);
		word = 0
	}
}

inline packed_drv_take()
{
	atomic {
		load(DRIVER, PAYLOAD + drv.used.idx, word);
		assert(word == drv.received + 1); /* else it is what was there before */
		word = 0;
		drv.received++;
		advance(drv.used)
	}
}

inline packed_drv_ask()
{
	notify_packed_ask(DRIVER, DRIVER_OFF_WRAP, drv.used, drv.received)
}

inline packed_drv_unask()
{
	store(DRIVER, DRIVER_FLAGS, DISABLE)
}

/* ---- the device ---- */

typedef Device {
	Position avail, used;
	byte batch; /* pushed and not published: the chains before 'popped' */
	byte unsignalled;
	bit signalled_valid;
	bit armed;
	byte popped; /* chains */
};
Device vq;

inline packed_start()
{
	vq.avail.wrap = 1;
	vq.used.wrap = 1;
	vq.armed = 1
}

inline packed_look(any)
{
	atomic {
		load_acquire(DEVICE, DESC_TAIL + vq.avail.idx, word, B2);
		any = (word & LAP_MASK) == AVAIL_BITS(vq.avail.wrap);
		assert(!any || NUMBER(word) == vq.popped + 1);
		word = 0
	}
}

inline packed_pop(any)
{
	packed_look(any);
	if
	:: any ->
		atomic {
			load(DEVICE, DESC_ADDR + vq.avail.idx, word);
			assert(word == vq.popped + 1); /* else it is what was there before */
			word = 0;
			vq.popped++
		}
	:: else
	fi
}

inline packed_push()
{
	atomic {
		store(DEVICE, PAYLOAD + vq.avail.idx, vq.popped);
		vq.batch++;
		advance(vq.avail)
	}
}

/* packed_write_batch(): the slots behind the first one, then the first, which shows them all. */
inline packed_publish()
{
	atomic {
		slot.idx = vq.used.idx;
		slot.wrap = vq.used.wrap;
		i = 1
	}
	do
	:: i < vq.batch ->
		atomic {
			advance(slot);
			store(DEVICE, DESC_TAIL + slot.idx,
			      TAIL(vq.popped - vq.batch + 1 + i, USED_BITS(slot.wrap)));
			i++
		}
	:: else -> break
	od;
	atomic {
		i = 0;
		slot.idx = 0;
		slot.wrap = 0;
		store_release(DEVICE, DESC_TAIL + vq.used.idx,
			      TAIL(vq.popped - vq.batch + 1, USED_BITS(vq.used.wrap)), B3);
		vq.used.idx = vq.avail.idx;
		vq.used.wrap = vq.avail.wrap;
		vq.unsignalled = vq.unsignalled + vq.batch;
		vq.batch = 0
	}
}

inline packed_wants_call(n, wants)
{
	notify_packed_area_wants(DEVICE, DRIVER_OFF_WRAP, !vq.signalled_valid, vq.used, n, wants)
}

inline packed_ask()
{
	notify_packed_ask(DEVICE, DEVICE_OFF_WRAP, vq.avail, vq.popped)
}

inline packed_unask()
{
	store(DEVICE, DEVICE_FLAGS, DISABLE)
}
