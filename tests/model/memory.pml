/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that two threads share, as weak as C11 lets it be: what lib/base/shared.h is made of.
 *
 * A store is seen by its own thread at once and lies in 'sent' until the other thread comes to see it.
 * Each load chooses how many of the stores to its word it sees, any number from none to all, so stores
 * may stay in a buffer beyond later loads, and become visible in another order than they were made; of
 * one word they are seen in order. What the three means of order do:
 *
 *   store_release, load_acquire   who sees that store by that load sees all that its thread stored before
 *   fence                         who passes a fence after another's sees all that was stored before that
 *
 * That is the C11 model (its views, with two threads) but for one thing: no load sees what is stored
 * only later. Each of the three takes the name of a barrier, which is 1, or 0 when the model is checked
 * without it.
 */
#define OTHER(me) (1 - me)
#define DEPTH     16 /* stores on their way; an assertion says if that is too few */

typedef Store {
	byte word;
	byte value;
	bit releases;
};

typedef Thread {
	byte seen[NR_WORDS];  /* what it would load if it saw nothing new */
	byte unseen[NR_WORDS]; /* how many of its own stores the other one has not seen */
	Store sent[DEPTH];    /* these, in order */
	byte nr_sent;
	byte nr_fenced;       /* of them, those before its last fence */
};

Thread thread[2];

hidden byte at, from;

/* 'me' sees the store 'i' of the other thread. */
inline see(me, i)
{
	thread[me].seen[thread[OTHER(me)].sent[i].word] = thread[OTHER(me)].sent[i].value;
	thread[OTHER(me)].unseen[thread[OTHER(me)].sent[i].word]--;
	thread[OTHER(me)].nr_sent--;
	if
	:: i < thread[OTHER(me)].nr_fenced -> thread[OTHER(me)].nr_fenced--
	:: else
	fi;
	from = i;
	do
	:: from < thread[OTHER(me)].nr_sent ->
		thread[OTHER(me)].sent[from].word = thread[OTHER(me)].sent[from + 1].word;
		thread[OTHER(me)].sent[from].value = thread[OTHER(me)].sent[from + 1].value;
		thread[OTHER(me)].sent[from].releases = thread[OTHER(me)].sent[from + 1].releases;
		from++
	:: else -> break
	od;
	thread[OTHER(me)].sent[from].word = 0;
	thread[OTHER(me)].sent[from].value = 0;
	thread[OTHER(me)].sent[from].releases = 0
}

/* 'me' sees the other's oldest store to 'w', and what came before if that orders it. */
inline see_next(me, w, acquires)
{
	d_step {
		at = 0;
		do
		:: thread[OTHER(me)].sent[at].word != w -> at++
		:: else -> break
		od;
		if
		:: acquires && thread[OTHER(me)].sent[at].releases ->
			do
			:: at > 0 -> at--; see(me, 0)
			:: else -> break
			od
		:: else
		fi;
		see(me, at)
	}
}

inline put(me, w, what, is_release)
{
	d_step {
		assert(thread[me].nr_sent < DEPTH);
		assert(thread[OTHER(me)].unseen[w] == 0); /* one writer at a time */
		thread[me].seen[w] = what;
		thread[me].unseen[w]++;
		thread[me].sent[thread[me].nr_sent].word = w;
		thread[me].sent[thread[me].nr_sent].value = what;
		thread[me].sent[thread[me].nr_sent].releases = is_release;
		thread[me].nr_sent++
	}
}

inline get(me, w, to, acquires)
{
	atomic {
		do
		:: thread[OTHER(me)].unseen[w] > 0 -> see_next(me, w, acquires)
		:: break
		od;
		to = thread[me].seen[w]
	}
}

/* 'me' sees all stores to 'w': before a store of its own to a word that both write, or a system call that
 * compares the word. */
inline latest(me, w)
{
	atomic {
		do
		:: thread[OTHER(me)].unseen[w] > 0 -> see_next(me, w, 0)
		:: else -> break
		od
	}
}

#define store(me, w, what)                put(me, w, what, 0)
#define store_release(me, w, what, barrier) put(me, w, what, barrier)
#define load(me, w, to)                  get(me, w, to, 0)
#define load_acquire(me, w, to, barrier) get(me, w, to, barrier)

inline fence(me, barrier)
{
	d_step {
		if
		:: barrier ->
			thread[me].nr_fenced = thread[me].nr_sent;
			do
			:: thread[OTHER(me)].nr_fenced > 0 -> see(me, 0)
			:: else -> break
			od
		:: else
		fi
	}
}
