/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port type 'gen': sends frames of given sizes, flows and rate, and checks those that come back.
 *
 *   gen.c        options, open, close, the report
 *   gen_send.c   frames to the switch          gen_check.c   frames from the switch
 *
 * A frame is IPv4 and UDP; its payload is one *record* or, if it is a segmentation offload's, one a
 * segment, so that it can be checked whole and cut. A record says who sent it and which it is of its
 * flow; what follows is a stretch of a pattern that starts elsewhere for each sequence number. So a
 * lost, repeated, overtaken, mixed-up or damaged record is told apart from any other, and sending one
 * touches nothing but its headers.
 */
#ifndef VIA_PORT_GEN_H
#define VIA_PORT_GEN_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/shared.h"
#include "port/port.h"

/* ---- what others may ask; Thread: any ---- */

/* Of a port of type gen, since it was opened. All are records but for 'frames'. */
#define GEN_COUNTERS(X)                                                            \
	X(frames, "frames sent")                                                   \
	X(sent, "records sent")                                                    \
	X(received, "records received")                                            \
	X(lost, "records that later ones of their flow have overtaken for good")   \
	X(reordered, "records that came after a later one of their flow")          \
	X(duplicates, "records that came twice")                                   \
	X(corrupt, "records whose payload is not what was sent")                   \
	X(bad_checksum, "frames whose UDP checksum is wrong")                      \
	X(foreign, "frames that no gen has sent")                                  \
	X(untracked, "records of more flows than are kept: neither lost nor late") \
	X(skipped, "frames not sent because the port was not served in time")

struct gen_report {
#define X(name, help) uint64_t name;
	GEN_COUNTERS(X)
#undef X
};

/* 'port' is of type gen. */
void port_gen_report(struct via_port *port, struct gen_report *report);

/* ---- between the files ---- */

#define GEN_MAX_SIZES   64
#define GEN_MAX_FLOWS   32768
#define GEN_MAX_RECORDS 64 /* of a frame, as many as Linux segments at once */
#define GEN_MIN_SIZE    60
#define GEN_MAX_SIZE    65549 /* Ethernet and the longest IPv4 packet */
#define GEN_HEADERS     42    /* Ethernet, IPv4, UDP */
#define GEN_FIRST_PORT  1024  /* UDP source port of flow 0 */
#define GEN_PORT        9     /* UDP destination port: discard */

/* The start of a record, as it lies in the frame, in network order. */
#define GEN_RECORD_SIZE 16
struct gen_record {
	uint32_t check;  /* gen_record_check(): shows that it is one */
	uint32_t source; /* of the port that sent it */
	uint16_t flow;
	uint16_t len; /* bytes, this header included */
	uint32_t seq; /* of its flow */
};
static_assert(sizeof(struct gen_record) == GEN_RECORD_SIZE, "no holes");

/* A mix of all other members: chance does not make one, nor does a bit that fell over. */
static inline uint32_t gen_record_check(const struct gen_record *r)
{
	uint64_t x = ((uint64_t)r->source << 32 | r->seq) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= ((uint64_t)r->flow << 16 | r->len) * UINT64_C(0xc2b2ae3d27d4eb4f);
	x ^= x >> 29;
	return (uint32_t)((x * UINT64_C(0x165667b19e3779f9)) >> 32);
}

/* The pattern of all gens: bytes of sequence number 'seq' start at gen_pattern(seq). */
#define GEN_PATTERN_STARTS 1024
#define GEN_PATTERN_STEP   13
#define GEN_PATTERN_SIZE   (GEN_PATTERN_STARTS * GEN_PATTERN_STEP + 65536)
extern uint8_t gen_pattern_bytes[GEN_PATTERN_SIZE]; /* filled in by gen_pattern_fill() */
void gen_pattern_fill(void);                        /* Thread: control */

static inline const uint8_t *gen_pattern(uint32_t seq)
{
	return gen_pattern_bytes + seq % GEN_PATTERN_STARTS * GEN_PATTERN_STEP;
}

/* What is the same for all frames of one size. */
struct gen_template {
	uint8_t headers[GEN_HEADERS]; /* all but the source port */
	uint32_t len;
	uint32_t nr_records;
	uint32_t record_len; /* of each but the last */
	uint32_t last_len;
};

/* Sending; but for the first members its worker's. */
struct gen_sender {
	bool on, partial_csum;
	uint32_t source;
	uint16_t gso; /* payload bytes of a segment; 0: none */
	uint32_t nr_flows, nr_templates;
	uint64_t count;  /* frames to send; 0: without end */
	double interval; /* ns between frames; 0: as fast as it can */
	struct gen_template template[GEN_MAX_SIZES];
	int timer_fd; /* -1: never sends */

	uint64_t next; /* frame */
	uint32_t *seq; /* of each flow: the next record's */
	double due;    /* ns of CLOCK_MONOTONIC at which the next frame should go */
	bool started;
};

/* What is known of a flow that comes in. */
struct gen_flow {
	uint64_t key;  /* source and flow, plus one; 0: free */
	uint64_t seen; /* bit i: next - 1 - i has come */
	uint32_t next; /* the sequence number expected */
};

struct gen_checker {
	bool payload;          /* compare it */
	atomic_flag lock;      /* guards 'flow' and the counters that say so; held for one record */
	struct gen_flow *flow; /* GEN_TABLE of them */
};

#define GEN_TABLE 65536 /* a power of two */

struct gen {
	struct via_port port;
	struct gen_sender sender;
	via_cache_aligned struct gen_checker checker;
	struct {
		/* Writer: frames, sent, skipped: the sending worker; the others: who holds the lock. */
#define X(name, help) via_counter name;
		GEN_COUNTERS(X)
#undef X
	} counter;
	struct { /* control: for the rates of 'describe' */
		uint64_t at_us;
		struct gen_report report;
	} last;
};

static inline struct gen *gen_of(struct via_port *port)
{
	return via_container_of(port, struct gen, port);
}

/* gen_send.c. Thread: the queue's worker */
uint32_t gen_ingress(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t max);
void gen_release(struct via_port *port, uint32_t q, struct via_burst *burst, uint32_t undelivered);
bool gen_arm(struct via_port *port, uint32_t q);
void gen_disarm(struct via_port *port, uint32_t q);
/* Makes the template of frames of 'size' bytes. Thread: control. */
void gen_make_template(struct gen_template *template, const struct gen_sender *sender,
		       uint32_t size, const uint8_t dst[6], const uint8_t src[6]);

/* gen_check.c. Thread: any worker */
uint32_t gen_egress(struct via_port *port, struct via_view *const *views, uint32_t n, bool keep);

#endif
