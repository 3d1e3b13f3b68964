/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port for tests of the switch: lends the frames that a test gives it, keeps what it is sent.
 *
 * Its one lock is enough for any number of workers. Each ingress queue has a list of frames and an
 * eventfd; a frame that is given to an armed queue is notified, as a guest's kick would.
 */
#ifndef FAKE_PORT_H
#define FAKE_PORT_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "port/port.h"

#define FAKE_FRAMES 4096
#define FAKE_SIZE   256 /* bytes of a frame that are kept */
#define FAKE_QUEUES 4

struct fake_frame {
	uint32_t len;
	uint32_t number; /* given by the test, found again in what was sent */
	uint8_t bytes[FAKE_SIZE];
};

struct fake_list {
	uint32_t head, tail; /* free-running */
	struct fake_frame frame[FAKE_FRAMES];
};

struct fake_port {
	struct via_port port; /* first */
	pthread_mutex_t lock;
	struct fake_list in[FAKE_QUEUES];
	struct fake_list out;
	int fd[FAKE_QUEUES];
	int says_fd[FAKE_QUEUES]; /* what ingress_fd() answers */
	bool armed[FAKE_QUEUES];
	uint32_t lent[FAKE_QUEUES];
	uint32_t room; /* frames that it still takes; UINT32_MAX: any number */
	uint32_t walk; /* descriptors that each burst costs */
	bool closed;
	/* calls */
	uint32_t nr_egress, nr_ingress, nr_arm, nr_disarm, nr_undelivered;
	uint64_t delivered, full;
	int busy[FAKE_QUEUES]; /* workers inside ingress of a queue: never two */
	bool overlapped;
};

extern const struct via_port_ops fake_ops;

static inline struct fake_port *fake(struct via_port *port)
{
	return (struct fake_port *)(void *)port;
}

static inline void fake_notify(struct fake_port *f, uint32_t q)
{
	const uint64_t one = 1;

	if (write(f->fd[q], &one, sizeof(one)) != sizeof(one))
		abort();
}

/* Gives the port a frame to lend. Returns false if it has too many already. */
static inline bool fake_give(struct fake_port *f, uint32_t q, const void *bytes, uint32_t len,
			     uint32_t number)
{
	struct fake_list *l = &f->in[q];
	struct fake_frame *frame;
	bool notify = false;

	pthread_mutex_lock(&f->lock);
	if (l->tail - l->head == FAKE_FRAMES) {
		pthread_mutex_unlock(&f->lock);
		return false;
	}
	frame = &l->frame[l->tail++ % FAKE_FRAMES];
	frame->len = len;
	frame->number = number;
	memcpy(frame->bytes, bytes, via_min_u(len, FAKE_SIZE));
	notify = f->armed[q];
	pthread_mutex_unlock(&f->lock);
	if (notify)
		fake_notify(f, q);
	return true;
}

/* Takes the next frame that was sent to the port; false if there is none. */
static inline bool fake_take(struct fake_port *f, struct fake_frame *frame)
{
	bool got;

	pthread_mutex_lock(&f->lock);
	got = f->out.head != f->out.tail;
	if (got)
		*frame = f->out.frame[f->out.head++ % FAKE_FRAMES];
	pthread_mutex_unlock(&f->lock);
	return got;
}

static inline bool fake_is_armed(struct fake_port *f, uint32_t q)
{
	bool armed;

	pthread_mutex_lock(&f->lock);
	armed = f->armed[q];
	pthread_mutex_unlock(&f->lock);
	return armed;
}

static inline uint32_t fake_nr_out(struct fake_port *f)
{
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	n = f->out.tail - f->out.head;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void fake_lend(struct via_burst *burst, uint32_t i, const struct fake_frame *frame)
{
	struct via_view *v = &burst->view[i];

	memset(v, 0, offsetof(struct via_view, snapshot));
	v->len = frame->len;
	v->snapshot_len = (uint16_t)via_min_u(frame->len, VIA_SNAPSHOT_SIZE);
	v->flow = frame->number; /* comes back in egress */
	memcpy(v->snapshot, frame->bytes, v->snapshot_len);
	if (frame->len > v->snapshot_len) {
		burst->piece[burst->nr_pieces] = (struct via_piece){ frame->bytes + v->snapshot_len,
								     frame->len - v->snapshot_len };
		v->piece = &burst->piece[burst->nr_pieces++];
		v->nr_pieces = 1;
	}
}

static uint32_t fake_ingress_burst(struct via_port *port, uint32_t q, struct via_burst *burst,
				   uint32_t max)
{
	struct fake_port *f = fake(port);
	struct fake_list *l = &f->in[q];
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	if (f->busy[q]++)
		f->overlapped = true;
	burst->nr_pieces = 0;
	burst->nr_walked += f->walk;
	n = via_min_u(max, l->tail - l->head);
	for (uint32_t i = 0; i < n; i++)
		fake_lend(burst, i, &l->frame[(l->head + i) % FAKE_FRAMES]);
	f->lent[q] = n;
	f->nr_ingress++;
	if (n == 0)
		f->busy[q]--;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void fake_ingress_release(struct via_port *port, uint32_t q, struct via_burst *burst,
				 uint32_t undelivered)
{
	struct fake_port *f = fake(port);

	(void)burst;
	pthread_mutex_lock(&f->lock);
	f->in[q].head += f->lent[q] - undelivered;
	f->nr_undelivered += undelivered;
	f->busy[q]--;
	pthread_mutex_unlock(&f->lock);
}

static void fake_keep(struct fake_port *f, const struct via_view *v)
{
	struct fake_frame *frame = &f->out.frame[f->out.tail % FAKE_FRAMES];
	uint32_t at = v->snapshot_len;

	frame->len = v->len;
	frame->number = v->flow;
	memcpy(frame->bytes, v->snapshot, v->snapshot_len);
	for (uint32_t i = 0; i < v->nr_pieces; i++) {
		if (at + v->piece[i].len <= FAKE_SIZE)
			memcpy(frame->bytes + at, v->piece[i].base, v->piece[i].len);
		at += v->piece[i].len;
	}
	if (at != v->len)
		abort(); /* the view contradicts itself */
	f->out.tail++;
}

static uint32_t fake_egress_burst(struct via_port *port, struct via_view *const *views, uint32_t n,
				  bool keep)
{
	struct fake_port *f = fake(port);
	uint32_t i;

	pthread_mutex_lock(&f->lock);
	f->nr_egress++;
	for (i = 0; i < n; i++) {
		const bool full = f->room == 0 || f->out.tail - f->out.head == FAKE_FRAMES;

		if (full && keep)
			break;
		if (full) {
			f->full++;
			continue;
		}
		if (f->room != UINT32_MAX)
			f->room--;
		fake_keep(f, views[i]);
		f->delivered++;
	}
	pthread_mutex_unlock(&f->lock);
	return i;
}

static int fake_ingress_fd(struct via_port *port, uint32_t q)
{
	return fake(port)->says_fd[q];
}

static bool fake_arm(struct via_port *port, uint32_t q)
{
	struct fake_port *f = fake(port);
	bool work;

	pthread_mutex_lock(&f->lock);
	f->nr_arm++;
	f->armed[q] = true;
	work = f->in[q].head != f->in[q].tail;
	pthread_mutex_unlock(&f->lock);
	return work;
}

static void fake_disarm(struct via_port *port, uint32_t q)
{
	struct fake_port *f = fake(port);

	pthread_mutex_lock(&f->lock);
	f->nr_disarm++;
	f->armed[q] = false;
	pthread_mutex_unlock(&f->lock);
}

/* Makes a port without a switch around it. */
static struct fake_port *fake_create(const char *name, uint16_t nr_queues)
{
	struct fake_port *f = calloc(1, sizeof(*f));

	f->port.ops = &fake_ops;
	snprintf(f->port.name, sizeof(f->port.name), "%s", name);
	f->port.nr_queues = nr_queues;
	f->port.link = true;
	f->port.receive = calloc(nr_queues, sizeof(*f->port.receive));
	f->port.transmit = calloc(nr_queues, sizeof(*f->port.transmit));
	f->room = UINT32_MAX;
	pthread_mutex_init(&f->lock, NULL);
	for (uint32_t q = 0; q < FAKE_QUEUES; q++)
		f->says_fd[q] = f->fd[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return f;
}

static void fake_free(struct fake_port *f)
{
	for (uint32_t q = 0; q < FAKE_QUEUES; q++)
		close(f->fd[q]);
	pthread_mutex_destroy(&f->lock);
	free(f->port.receive);
	free(f->port.transmit);
	free(f);
}

static int fake_open(struct via_port **port, const struct via_port_config *config,
		     struct via_error *err)
{
	const char *queues =
		config->options && config->options[0].key ? config->options[0].value : "1";
	struct fake_port *f = fake_create(config->name, (uint16_t)atoi(queues));

	(void)err;
	f->port.lossless = config->lossless;
	f->port.config = *config;
	*port = &f->port;
	return 0;
}

static void fake_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	fake_free(fake(port));
	if (closed)
		closed(user);
}

const struct via_port_ops fake_ops = {
	.type = "fake",
	.open = fake_open,
	.close = fake_close,
	.ingress_burst = fake_ingress_burst,
	.ingress_release = fake_ingress_release,
	.ingress_fd = fake_ingress_fd,
	.arm = fake_arm,
	.disarm = fake_disarm,
	.egress_burst = fake_egress_burst,
};

#endif
