/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slot of the guard that control changes while a handler in another thread reads it: slot_write() and
 * slot_read() of lib/mem/guard.c. What must hold: a copy that is believed is of one write.
 *
 * The model's fence orders more than the code's, but only for a handler that has seen nothing of the
 * later write, whose copy is whole anyway.
 */
#define CONTROL 0
#define HANDLER 1
#define WRITES  2

#define SEQUENCE 0
#define BASE     1
#define SIZE     2
#define LOST     3
#define NR_WORDS 4

#include "barriers.pml"
#include "memory.pml"

#ifdef WITHOUT_REFUSING_ODD
#define IS_ODD(sequence) 0
#else
#define IS_ODD(sequence) (sequence % 2 == 1)
#endif
#ifdef WITHOUT_LOOKING_AGAIN
#define HAS_CHANGED(sequence, now) 0
#else
#define HAS_CHANGED(sequence, now) (sequence != now)
#endif

/* The nth write stores n in all three. */
active proctype control()
{
	byte n;

	do
	:: n < WRITES ->
		n++;
		store(CONTROL, SEQUENCE, 2 * n - 1);
		fence(CONTROL, G1);
		store(CONTROL, BASE, n);
		store(CONTROL, SIZE, n);
		store(CONTROL, LOST, n);
		store_release(CONTROL, SEQUENCE, 2 * n, G3)
	:: else -> break
	od
}

active proctype handler()
{
	byte sequence, base, size, lost, now;

	load_acquire(HANDLER, SEQUENCE, sequence, G4);
	load(HANDLER, BASE, base);
	load(HANDLER, SIZE, size);
	load(HANDLER, LOST, lost);
	fence(HANDLER, G2);
	load(HANDLER, SEQUENCE, now);
	if
	:: IS_ODD(sequence) || HAS_CHANGED(sequence, now)
	:: else -> assert(base == size && size == lost)
	fi
}
