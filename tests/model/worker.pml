/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers that rest queues, sleep in epoll and read mail: switch/worker.c. A queue that is armed and
 * looked at once more is one step of two here; that the fence between them does what it must is
 * ring.pml's, so memory is plain.
 *
 * Two queues on two workers, and control, which gives them out, restarts one and moves it. What must
 * hold: whatever a driver adds is served, and all mail is read, or spin finds a state in which all wait. -DWITHOUT_… takes one
 * thing away that worker.c does for that.
 */
#define NR_WORKERS 2
#define NR_QUEUES  2
#define NOBODY     NR_WORKERS

#ifdef WITHOUT_LOOKING_AGAIN /* rest(): arm() looks once more */
#define LOOKING_AGAIN 0
#else
#define LOOKING_AGAIN 1
#endif
#ifdef WITHOUT_ASKING_FIRST /* and asks before it looks */
#define ASKING_FIRST 0
#else
#define ASKING_FIRST 1
#endif
#ifdef WITHOUT_READING_FD_FIRST /* read_mail(): the eventfd is read before the letters */
#define READING_FD_FIRST 0
#else
#define READING_FD_FIRST 1
#endif
#ifdef WITHOUT_POLLING_WHAT_STARTS /* change_fd(): what begins to run is polled, whatever its descriptor says */
#define POLLING_WHAT_STARTS 0
#else
#define POLLING_WHAT_STARTS 1
#endif
#ifdef WITHOUT_LOOKING_AT_WHAT_MOVED /* hand_over(): the new worker looks at the queue */
#define LOOKING_AT_WHAT_MOVED 0
#else
#define LOOKING_AT_WHAT_MOVED 1
#endif
#ifdef WITHOUT_POSTING_TO_THE_NEW_WORKER /* hand_over(): and is told of it */
#define POSTING_TO_THE_NEW_WORKER 0
#else
#define POSTING_TO_THE_NEW_WORKER 1
#endif

typedef Queue {
	byte work;     /* chains in the ring */
	bit asks;      /* for kicks, in the ring */
	bit kicked;    /* its eventfd's counter is not 0: nobody reads it */
	byte watcher;  /* whose epoll has it */
	bit event;     /* there is an edge of it in that epoll */
	byte holder;   /* by which it is served */
	bit polled, armed;
	/* under mail_lock */
	byte home, at;
	bit mailed, look;
};
Queue queue[NR_QUEUES];

byte mail_fd[NR_WORKERS];

/* ---- drivers ---- */

inline kick(q)
{
	d_step {
		queue[q].kicked = 1;
		if
		:: queue[q].watcher != NOBODY -> queue[q].event = 1
		:: else
		fi
	}
}

proctype driver(byte q; byte chains)
{
	do
	:: d_step { chains > 0 -> queue[q].work++; chains-- };
		atomic {
			if
			:: queue[q].asks -> kick(q)
			:: else
			fi
		}
	:: chains == 0 -> break
	od;
	queue[q].work == 0 /* else a chain is left while everybody waits */
}

/* ---- mail; each step holds mail_lock ---- */

inline post(q)
{
	if
	:: !queue[q].mailed ->
		queue[q].mailed = 1;
		mail_fd[queue[q].at] = 1
	:: else
	fi
}

inline sw_queue_give(q, to)
{
	d_step {
		queue[q].home = to;
		if
		:: queue[q].at == NOBODY -> queue[q].at = to
		:: else
		fi;
		post(q)
	}
}

inline sw_queue_look(q)
{
	d_step {
		queue[q].look = 1;
		post(q)
	}
}

/* ---- a worker ---- */

inline watch(w, q)
{
	queue[q].watcher = w;
	queue[q].event = queue[q].kicked /* epoll says so of what is ready when it is added */
}

inline unwatch(q)
{
	queue[q].watcher = NOBODY;
	queue[q].event = 0
}

inline poll_begin(q)
{
	if
	:: !queue[q].polled ->
		if
		:: queue[q].armed -> queue[q].asks = 0
		:: else
		fi;
		queue[q].armed = 0;
		queue[q].polled = 1
	:: else
	fi
}

inline rest(q)
{
	if
	:: ASKING_FIRST -> queue[q].asks = 1
	:: else -> found = queue[q].work > 0
	fi;
	if
	:: ASKING_FIRST -> found = LOOKING_AGAIN && queue[q].work > 0
	:: else -> queue[q].asks = 1
	fi;
	atomic {
		if
		:: found -> queue[q].asks = 0 /* disarm */
		:: else ->
			queue[q].armed = 1;
			queue[q].polled = 0
		fi;
		found = 0
	}
}

/* detach(), and the new worker's turn. mail_lock is held. */
inline hand_over(q)
{
	queue[q].polled = 0;
	unwatch(q);
	queue[q].holder = NOBODY;
	queue[q].look = queue[q].look || LOOKING_AT_WHAT_MOVED;
	queue[q].at = queue[q].home;
	if
	:: POSTING_TO_THE_NEW_WORKER -> post(q)
	:: else
	fi
}

inline change_fd(w, q)
{
	watch(w, q);
	queue[q].asks = 0; /* disarm */
	queue[q].armed = 0;
	if
	:: POLLING_WHAT_STARTS -> poll_begin(q)
	:: else
	fi
}

inline read_letter(w, q)
{
	d_step {
		if
		:: queue[q].mailed && queue[q].at == w ->
			queue[q].mailed = 0;
			if
			:: queue[q].home != w -> hand_over(q)
			:: else ->
				queue[q].holder = w;
				if
				:: queue[q].look ->
					queue[q].look = 0;
					change_fd(w, q)
				:: else
				fi
			fi
		:: else
		fi
	}
}

inline read_mail(w)
{
	if
	:: READING_FD_FIRST -> mail_fd[w] = 0
	:: else
	fi;
	read_letter(w, 0);
	read_letter(w, 1);
	if
	:: !READING_FD_FIRST -> mail_fd[w] = 0
	:: else
	fi
}

#define HAS_EVENT(w, q) (queue[q].watcher == w && queue[q].event)
#define IS_READY(w)     (HAS_EVENT(w, 0) || HAS_EVENT(w, 1) || mail_fd[w])
#define IS_POLLED(w, q) (queue[q].holder == w && queue[q].polled)

/* What epoll_wait() returns; the edges are over then. */
inline collect(w)
{
	d_step {
		ready[0] = HAS_EVENT(w, 0);
		ready[1] = HAS_EVENT(w, 1);
		mail = mail_fd[w];
		if
		:: ready[0] -> queue[0].event = 0
		:: else
		fi;
		if
		:: ready[1] -> queue[1].event = 0
		:: else
		fi
	}
}

inline handle_event(w, q)
{
	if
	:: ready[q] && queue[q].holder == w -> poll_begin(q)
	:: else
	fi;
	ready[q] = 0
}

inline handle(w)
{
	atomic {
		handle_event(w, 0);
		handle_event(w, 1)
	}
	if
	:: mail ->
		read_mail(w);
		mail = 0
	:: else
	fi
}

inline turn(w, q)
{
	if
	:: IS_POLLED(w, q) ->
		if
		:: atomic { queue[q].work > 0 -> queue[q].work-- }
		:: atomic { queue[q].work == 0 -> skip }; rest(q)
		:: queue[q].work == 0 -> skip /* lingers */
		fi
	:: else
	fi
}

proctype worker(byte w)
{
	bit found, mail;
	bit ready[NR_QUEUES];

	do
	:: turn(w, 0);
		turn(w, 1);
		if
		:: !IS_POLLED(w, 0) && !IS_POLLED(w, 1) ->
end_asleep:		atomic { IS_READY(w) -> collect(w) }
			handle(w)
		:: else ->
			if
			:: skip
			:: IS_READY(w) -> collect(w); handle(w) /* look() */
			fi
		fi
	od
}

/* ---- control ---- */

proctype control()
{
	sw_queue_look(0);
	sw_queue_give(0, 1);
	queue[0].holder == 1 && !queue[0].mailed && !queue[0].look /* else a letter is not read */
}

/* Queue 1 is served by worker 0, queue 0 is in its mailbox. */
init
{
	atomic {
		queue[1].at = 0;
		queue[1].holder = 0;
		watch(0, 1);
		poll_begin(1);
		queue[0].watcher = NOBODY;
		queue[0].holder = NOBODY;
		queue[0].at = NOBODY;
		sw_queue_give(0, 0);
		sw_queue_look(0);
		run worker(0);
		run worker(1);
		run driver(0, 2);
		run driver(1, 1);
		run control()
	}
}
