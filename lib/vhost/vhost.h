/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/vhost: the back-end of vhost-user, device side of include/viaduct/device.h.
 *
 *   message.h          the wire protocol: numbers and layouts
 *   connection.c       a stream of messages, without waiting
 *   dispatch.c         what each message must satisfy (a table), and what is answered
 *   negotiate.c        features and protocol features; prerequisites; status; owner
 *   memory.c           the front-end's memory regions
 *   vring.c            what the front-end says of rings
 *   ring_start.c       from there to a ring that workers serve: checks, positions, start and stop
 *   kick.c             descriptors that notify: what they must be; in-band notifications
 *   backend_channel.c  messages from us to the front-end
 *   config_space.c     the device's configuration space
 *   control_queue.c    commands of the driver, where no VMM answers them
 *   filter.c           which frames the driver wants
 *   steer.c            which pair a flow goes to
 *   settle.c           waiting for workers; log lines
 *   session.c          listening, connecting, one front-end at a time
 *   device.c           the public device: life and data path
 *   describe.c         facts for people
 *
 * May use base, mem, ring, net. Called by port and by applications.
 *
 * Theory of operation. The control thread owns everything here but what workers reach: the ring of
 * each queue, the filter, the steering targets. Those are immutable and published by a pointer. A
 * change takes them out of sight with vu_retire() and goes on with vu_settle(): its continuation runs
 * when no worker can hold what was retired. Meanwhile the connection reads nothing and the control
 * queue rests, so a device makes one change at a time, a message is answered only when its effect is
 * complete, and no handler waits.
 *
 * A ring has two ways of not running: the front-end stopped it (then everything must be said again,
 * R29), or its memory went away (then it goes on where it was, once the memory is back).
 */
#ifndef VIA_VHOST_H
#define VIA_VHOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <viaduct/device.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "base/calls.h"
#include "mem/mem.h"
#include "net/net.h"
#include "ring/position.h"
#include "ring/ring.h"
#include "vhost/connection.h"
#include "vhost/message.h"

extern const struct via_need vu_needs[]; /* kick.c */

/* ---- what waits for workers ---- */

/* The head of everything that is published to workers by a pointer. */
struct vu_retired {
	struct vu_retired *next;
	void (*free)(struct vu_retired *retired);
};

/* No longer published: to be freed after a grace period. */
void vu_retire(struct via_device *dev, struct vu_retired *retired);
/* Frees what was retired, of a device that no worker can be in. */
void vu_retired_free(struct via_device *dev);

/* Calls 'then' once nothing that was retired can be in a worker's hands: at once if nothing was. */
typedef void vu_then(struct via_device *dev);
void vu_settle(struct via_device *dev, vu_then *then);

/* Whether a change is waiting: no other may begin. */
bool vu_is_settling(const struct via_device *dev);

/* ---- queues ---- */

/* What workers get of a running queue. */
struct vu_ring {
	struct via_ring ring; /* first: what the queue publishes points here */
	struct via_vq_net net;
	uint32_t mtu; /* the driver takes no longer frames; 0: no limit */
	struct vu_retired retired;
	int old_fd[3]; /* descriptors that were replaced together with this; -1: none */
};

enum { VU_KICK, VU_CALL, VU_ERR, VU_NR_NOTIFIERS };

/* Where a queue is told of, or tells of, something. */
struct vu_notifier {
	int fd;         /* owned; -1: none */
	bool is_set;    /* the front-end has sent one, or that there is none */
	bool is_inband; /* 'fd' is an eventfd of ours */
	bool is_socket;
	struct via_watch *watch; /* of an in-band call: a worker has written it */
};

struct vu_queue {
	struct via_device *dev;
	uint16_t index;

	/* as the front-end said */
	bool has_num, has_base, has_addr, enabled;
	uint32_t num;
	uint32_t base;
	struct vu_vring_addr addr;
	struct vu_notifier notifier[VU_NR_NOTIFIERS];

	struct vu_ring *ring;        /* published; NULL: stopped */
	bool stopped;                /* unpublished, positions not taken over yet */
	bool clean;                  /* it was stopped for good, not for want of memory */
	enum via_ring_format format; /* of the ring that runs, or ran last */
	bool has_pos;                /* 'avail' and 'used' are where to go on */
	struct via_ring_pos avail, used;
	bool changed; /* the owner is to be told */
	bool ran;     /* since it was reset: its base is known */
	uint32_t
		answered; /* what GET_VRING_BASE has told of one that ran, also in an earlier session */
	bool has_answered;
	char refused[160];    /* why it does not start, for people; "": it may */
	enum via_broken told; /* what has been logged */

	/* worker */
	struct via_lent lent;
	/* any worker that sends here */
	_Atomic(uint32_t) faults; /* the guard's count when last looked at */
	_Atomic(bool) alarmed;    /* the control thread knows that it is broken */

	_Atomic(bool) wants_call; /* control sets, a worker clears: signal once without a reason */
	struct via_vq vq;
};

/* ---- the device ---- */

enum vu_session {
	VU_IDLE, /* nobody is connected */
	VU_CONNECTED,
	VU_ENDING, /* disconnected; workers are leaving its rings */
};

struct vu_memory {
	struct vu_retired retired;
	struct via_mem *mem;
};

struct vu_backend_channel {
	struct vu_conn *conn;
	bool config_changed;          /* to be told */
	uint64_t calls[5], errors[5]; /* masks of queues to be told */
};

struct vu_filter;
struct vu_handler;

/* How often front-ends have broken rules, since the device was opened. */
struct vu_faults {
	uint64_t requests; /* refused */
	uint64_t starts;   /* of queues, refused */
	uint64_t sessions; /* ended for it */
	uint64_t broken[VIA_NR_BROKEN];
};

/* Which pairs packets may go to. Control writes, workers read: one that reads a mixture of old and new
 * picks a pair that no longer runs, and the packet is a counted drop. */
struct vu_steer {
	_Atomic(uint64_t) runs[2]; /* mask of pairs */
	_Atomic(uint16_t) nr;
	_Atomic(uint8_t) pair[VIA_DEVICE_MAX_PAIRS]; /* 'nr' of them */
	_Atomic(uint8_t)
		*flow; /* VU_NR_FLOWS: pair on which a flow was last sent, + 1; NULL with one
				 * pair. Workers write. */
};

/* The control queue's own state, as the driver has set it. */
struct vu_control {
	bool pending; /* a kick came while something else was settling */
	struct via_watch *watch;
	int kick_fd;            /* what is watched */
	struct via_timer *poll; /* where there is no kick descriptor */
	struct via_seg *seg;    /* arena for chains; NULL until first used */
	struct via_chain chain; /* being answered */
	uint8_t ack;
	bool busy;   /* a command settles */
	bool resume; /* it settles from the loop: that goes on serving */
};

/* What the driver has said by control commands; a reset forgets it. */
struct vu_driver_state {
	uint16_t pairs;          /* that are in use */
	uint64_t guest_offloads; /* mask of GUEST_* features that are switched on */
};

/* Features that GUEST_OFFLOADS switches on and off. */
#define VU_GUEST_OFFLOADS                                                      \
	(VIA_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIA_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VIA_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIA_BIT(VIRTIO_NET_F_GUEST_ECN) |  \
	 VIA_BIT(VIRTIO_NET_F_GUEST_USO4) | VIA_BIT(VIRTIO_NET_F_GUEST_USO6))

struct via_device {
	struct via_loop *loop;
	char *name, *path;
	struct via_device_config config; /* its strings are the two above */
	uint64_t offered, protocol_offered;
	uint16_t nr_queues; /* of all that can exist */
	struct vu_queue *queue;
	struct via_positions *positions; /* NULL: none are kept */
	uint32_t deadline_ms;            /* of messages */

	/* life */
	bool closing;
	void (*closed)(void *user);
	void *closed_user;
	enum vu_session session;
	bool quarantined; /* when the session has ended, nobody is served for a while */
	int listen_fd;
	struct via_watch *listen_watch;
	struct via_timer *retry; /* client: next attempt; server: accept again after EMFILE */
	uint32_t retry_ms;
	char trouble[160]; /* the last reason logged for not connecting: told once */

	/* changes */
	struct vu_retired *retired, *waiting;
	vu_then *then;

	/* a session */
	struct vu_conn *conn;
	struct via_discards *discards; /* descriptors that nobody wants */
	int peer_pid;                  /* 0: unknown */
	char ended[256];               /* why the last one ended */
	/* The last request that was refused, and why: of this session, or of the one that ended. */
	struct via_error refused;
	uint64_t features, protocol;
	bool has_features, has_protocol;
	bool has_owner;
	uint8_t status;
	struct vu_memory *memory; /* NULL: none yet */
	struct vu_backend_channel backend;
	uint16_t host_mtu; /* of NET_SET_MTU; 0: not set */
	uint8_t mac[6];    /* in config space */
	bool announcing;   /* the status bit */
	struct vu_driver_state driver;
	struct vu_control control;
	bool link; /* as last told */

	/* the message being handled */
	struct vu_msg *msg;
	const struct vu_handler *handler;
	int result;
	bool fatal; /* it may not be answered at all: the connection is closed */
	struct via_error why;
	struct vu_msg reply; /* payload, and its size in the header */

	struct vu_faults faults;
	/* lines that a front-end can cause, see vu_log(): of its coming and going, of trouble */
	struct {
		uint64_t since_us;
		uint32_t lines, left_out;
	} log[2];

	/* a worker has found a queue broken */
	int alarm_fd;
	struct via_watch *alarm_watch;

	/* published to workers */
	_Atomic(const struct vu_filter *) filter; /* NULL: everything is wanted */
	struct vu_steer steer;
};

#define VU_NR_FLOWS 4096 /* a power of two */

static inline bool vu_has_protocol(const struct via_device *dev, enum vu_protocol_feature feature)
{
	return via_has(dev->protocol, feature);
}

static inline uint16_t vu_pairs(const struct via_device *dev)
{
	return dev->config.queue_pairs;
}

/* The control queue's index if we serve it, else UINT16_MAX. It depends on what was negotiated
 * (virtio-net.md §0): a driver without MQ has it right behind its only pair. */
uint16_t vu_control_index(const struct via_device *dev);

/* Logs a line that begins with the device's name. What a peer can cause any number of times is limited:
 * 20 lines in 10 seconds, and as many warnings and errors; then how many were left out. */
void vu_log(struct via_device *dev, enum via_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- dispatch.c ---- */
extern const struct vu_conn_ops vu_session_conn_ops;
const char *vu_request_name(uint32_t request); /* "request 99" for unknown ones; static storage */

/* ---- negotiate.c: handlers, and what is offered ---- */
void vu_offer(struct via_device *dev);
int vu_get_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_owner(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_reset_owner(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_get_protocol_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_protocol_features(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_get_queue_num(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_reset_device(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_status(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_get_status(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_net_set_mtu(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_send_rarp(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
/* Whether DRIVER_OK is set, where it is spoken (VU-20). */
bool vu_driver_is_ready(const struct via_device *dev);
/* What the driver had set by control commands is forgotten. */
void vu_driver_reset(struct via_device *dev);

/* ---- memory.c ---- */
int vu_set_mem_table(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_get_max_mem_slots(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_add_mem_reg(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_rem_mem_reg(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
void vu_memory_drop(struct via_device *dev); /* all of it; the rings are stopped */

/* ---- vring.c ---- */
int vu_set_vring_num(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_vring_addr(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_vring_base(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_get_vring_base(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
void vu_got_vring_base(struct via_device *dev, struct vu_msg *msg);
int vu_set_vring_notifier(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
void vu_has_set_vring_call(struct via_device *dev, struct vu_msg *msg);
int vu_set_vring_enable(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_vring_kick(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_log_fd(struct via_device *dev, struct vu_msg *msg, struct via_error *err);

/* ---- ring_start.c ---- */

/* Starts every queue that can run and does not; to be called when nothing is settling. */
void vu_queues_start(struct via_device *dev);
/* Unpublishes; the positions are known after the next settling. 'clean': the front-end must say
 * everything again; else the queue starts by itself once it can. */
void vu_queue_stop(struct vu_queue *q, bool clean);
/* Publishes a running queue's ring anew: something that does not touch its geometry has changed. One
 * that cannot be (its memory is gone) is stopped. 'old_fd' (-1: none) is closed after it. */
void vu_queue_refresh(struct vu_queue *q, int old_fd);
void vu_queues_refresh(struct via_device *dev);
/* Takes over the positions of stopped queues, after settling: their 'base' is where they are. */
void vu_queues_stopped(struct via_device *dev);
/* What has been said anew may make a queue start that was refused. */
void vu_queues_reconsider(struct via_device *dev);
/* The front-end must say the addresses, the base and the kick again (R29). A kick descriptor is
 * returned: close it once no worker can wait for it. */
int vu_queue_forget(struct vu_queue *q);
/* Back to the state at power-on, but for call and err. */
void vu_queue_reset(struct vu_queue *q);
/* Whether it may carry packets: enabled, and among the pairs in use. */
bool vu_queue_is_enabled(const struct vu_queue *q);
enum via_ring_format vu_format(const struct via_device *dev);

/* ---- kick.c ---- */

enum vu_fd_kind { VU_FD_EVENT = 1, VU_FD_SOCKET = 2 };

/* Whether 'fd' is of one of 'kinds' (R3), found out without blocking, reading or writing anything. */
bool vu_fd_is(int fd, unsigned int kinds);
/* Puts 'fd' (-1: none) in place and returns the old one. */
int vu_notifier_set(struct vu_notifier *n, int fd);
/* An eventfd of ours that stands for in-band messages about 'q'. Returns it or a negative errno. */
int vu_notifier_inband(struct vu_queue *q, int which, struct via_error *err);
void vu_notifier_forget(struct vu_notifier *n); /* closes */

/* ---- backend_channel.c ---- */
int vu_set_backend_req_fd(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
void vu_backend_config_changed(struct via_device *dev);
void vu_backend_call(struct via_device *dev, uint16_t index);
void vu_backend_error(struct via_device *dev, uint16_t index);
void vu_backend_close(struct via_device *dev);

/* ---- config_space.c ---- */
int vu_get_config(struct via_device *dev, struct vu_msg *msg, struct via_error *err);
int vu_set_config(struct via_device *dev, struct vu_msg *msg, struct via_error *err);

/* ---- control_queue.c ---- */
/* Begins or ends to serve it, as its queue runs or not. */
void vu_control_update(struct via_device *dev);
/* Serves commands until one needs to settle or the budget is used up. */
void vu_control_serve(struct via_device *dev);
/* What is kept while the queue may run; it does not. */
void vu_control_forget(struct via_device *dev);
void vu_control_fini(struct via_device *dev);

/* ---- filter.c ---- */
enum vu_filter_mode { VU_FILTER_PROMISC, VU_FILTER_ALLMULTI };
void vu_filter_reset(struct via_device *dev);
int vu_filter_set_mode(struct via_device *dev, enum vu_filter_mode mode, bool on);
int vu_filter_set_table(struct via_device *dev, const uint8_t *data, uint32_t len);
int vu_filter_set_mac(struct via_device *dev, const uint8_t mac[6]);
int vu_filter_set_vlan(struct via_device *dev, uint16_t vid, bool on);

/* ---- steer.c ---- */
int vu_steer_init(struct via_device *dev, struct via_error *err);
void vu_steer_update(struct via_device *dev); /* as queues run now */
void vu_steer_forget(struct via_device *dev); /* all flows */

/* ---- session.c ---- */
int vu_session_open(struct via_device *dev, struct via_error *err);
enum vu_end { VU_END_FINE, VU_END_FAULT /* the front-end broke a rule */ };
void vu_session_end(struct via_device *dev, enum vu_end end, const char *why);
/* The same of a front-end that holds threads of ours up: the next one waits a second, so that what
 * connects again and again costs the other ports next to nothing (R19). */
void vu_session_quarantine(struct via_device *dev, const char *why);
void vu_session_close(struct via_device *dev);
/* A change has settled: a session that ended meanwhile goes on ending. */
void vu_session_settled(struct via_device *dev);
/* Tells the owner what has changed since last told. */
void vu_tell_owner(struct via_device *dev);

/* ---- device.c ---- */
/* Tells of each queue that broke since last told: log, counts, the err descriptor; ends the session if it
 * cannot go on. */
void vu_tell_broken(struct via_device *dev);
void vu_device_free(struct via_device *dev);

#endif
