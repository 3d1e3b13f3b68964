/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Worker threads and the ingress queues that they serve. worker.c has the theory of operation; what is
 * declared here is in crew.c, mail.c and assign.c as said.
 */
#ifndef SW_WORKER_H
#define SW_WORKER_H

#include <semaphore.h>
#include <sys/types.h>

#include "switch/core.h"
#include "switch/forward.h"

/* Queues of the whole switch: each worker has places for all. */
#define SW_MAX_QUEUES 65536

#define SW_NOT_POLLED UINT32_MAX
#define SW_NO_SLOT    UINT32_MAX
#define SW_MAIL_EVENT UINT64_MAX /* the data of epoll for mail_fd */

/* An ingress queue of a port. Made by control, freed by the worker that has it. */
struct sw_queue {
	/* constant */
	const struct via_port_ops *ops;
	struct via_port *port;

	via_cache_aligned _Atomic(bool) dead; /* control: nobody may use 'port' any more */

	/* the worker that has it */
	struct sw_source source;
	uint64_t worked_us; /* when it last had work */
	uint32_t linger_us; /* quiet time after which it rests */
	uint64_t retry_us;  /* not looked at before: what it had could not be delivered */
	int fd;             /* VIA_FD_… or a duplicate of the port's, in this worker's epoll */
	uint32_t slot;      /* of the epoll's data; valid with fd >= 0 */
	uint32_t max;       /* views in the next burst */
	uint32_t skip;      /* turns that its last burst has taken already */
	uint32_t polled_at; /* place in the polling set, or SW_NOT_POLLED */
	bool armed;         /* wake-ups were asked for */
	struct sw_worker *holder; /* itself; NULL on the way */
	via_counter packets;

	/* mail_lock */
	struct sw_queue *next_mail;
	bool mailed;    /* is in the mailbox of 'at' */
	bool look;      /* 'new_fd' takes the place of 'fd', and the queue is polled */
	bool restarted; /* what it gave back before is void */
	bool announce;  /* send a RARP from 'mac' */
	int new_fd;     /* VIA_FD_… or a duplicate, owned */
	uint8_t mac[6];
	_Atomic(uint32_t) *left; /* dead: of its port's queues, that are not freed */
	struct sw_worker *at;    /* that has it, or gets it by its mailbox */
	struct sw_worker *home;  /* that should have it */

	/* control */
	struct sw_queue *next;   /* of all that the switch has */
	uint64_t packets_before; /* at the last measurement */
	uint32_t load;           /* thousandths of a core */
};

/* What an epoll event means. */
struct sw_slot {
	struct sw_queue *queue; /* NULL: free */
	uint32_t generation;    /* of its use; events of an earlier one are stale */
	uint32_t next_free;
};

struct sw_worker {
	/* constant */
	struct sw_core *core;
	uint32_t index;
	int cpu; /* -1: not pinned */
	pthread_t thread;
	bool running;     /* 'thread' is */
	sem_t registered; /* posted once it has made all that it needs of the kernel */
	int epoll_fd;
	int mail_fd;        /* eventfd */
	uint32_t relax_max; /* via_relax() that take about a microsecond */

	/* worker */
	struct sw_pass *pass;
	struct sw_queue **polled; /* nr_polled of them */
	struct sw_slot *slot;
	uint32_t nr_slots, free_slot;
	uint64_t now_us;    /* the turn's clock */
	uint64_t looked_us; /* when epoll was last asked */
	uint32_t relax;     /* via_relax() before the next turn */
	bool stopping;

	/* worker writes, any reads */
	via_cache_aligned _Atomic(uint32_t) nr_polled;
	_Atomic(uint32_t) nr_queues;
	_Atomic(bool) asleep;
	_Atomic(int) tid;
	via_counter busy_us, packets, wakeups, sleeps;
	via_counter
		busy_cycles; /* via_cycles() of bursts that had packets, without looks and pauses */
	uint64_t nudged_busy_us; /* worker: 'busy_us' when control was last nudged */

	/* mail_lock */
	via_cache_aligned struct sw_queue *mail;
	bool stop;     /* end */
	bool look_all; /* poll_us has changed */

	/* control: for assign.c */
	uint32_t assigned; /* queues */
	uint32_t load;     /* thousandths of a core, when last measured */
	uint64_t busy_before_us, packets_before, recent_packets;
};

/* ---- crew.c ---- */

/* Starts core->worker[index] and waits until it is one. Returns 0, or a negative errno with the reason in 'err'. Ended by
 * sw_workers_stop(), which also frees what start left half-built. Thread: control. */
int sw_worker_start(struct sw_core *core, uint32_t index, int cpu, struct via_error *err);
/* Ends all workers and waits for them; frees queues that are still in the mail. Thread: control. */
void sw_workers_stop(struct sw_core *core);

/* Polls, rests and sleeps until it is told to end: worker.c. Thread: the worker. */
void sw_worker_loop(struct sw_worker *w);

/* ---- mail.c ---- */

/* A queue that no worker has yet; NULL without memory. Thread: control. */
struct sw_queue *sw_queue_create(struct via_port *port, uint16_t index, uint16_t q);

/* All of these reach the worker by mail and never wait. Thread: control. */

/* Gives a new queue to a worker, or moves one. */
void sw_queue_give(struct sw_core *core, struct sw_queue *queue, struct sw_worker *to);
/* Has the worker use what ingress_fd() says now, and look at the queue once. */
void sw_queue_look(struct sw_core *core, struct sw_queue *queue);
/* Sends an announcement of 'mac' as if it had come in by the queue. */
void sw_queue_announce(struct sw_core *core, struct sw_queue *queue, const uint8_t mac[6]);
/* Takes the queue away for good; it frees itself, takes one off '*left', and nudges control when that
 * was the last (SW_NUDGE_CLOSE). After a grace period no worker is in its port. */
void sw_queue_kill(struct sw_core *core, struct sw_queue *queue, _Atomic(uint32_t) *left);
/* Has all workers notice another poll_us. */
void sw_workers_look(struct sw_core *core);

/* ---- assign.c ---- */

/* The worker that a new queue should go to. Thread: control. */
struct sw_worker *sw_assign(struct sw_core *core);
/* Gives the queue to a worker and keeps count. Thread: control. */
void sw_queue_move(struct sw_core *core, struct sw_queue *queue, struct sw_worker *to);
/* Begins to measure. Thread: control. */
void sw_rebalance_begin(struct sw_core *core);
/* Measures the 'elapsed_us' since the last call of the two and moves at most one queue. Returns whether any
 * worker was busy at all. Thread: control. */
bool sw_rebalance(struct sw_core *core, uint64_t elapsed_us);

#endif
