/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/client: a generator over our driver, which measures any vhost-user back-end that listens on
 * its sockets. It is a front-end on each of them, all in one thread.
 *
 *   options.c   the command line              report.c   what was measured, as text and JSON
 *   frame.c     the frames that are sent      port.c     one socket: connection, memory, rings
 *   load.c      the loops                     client.c   connect, announce, warm up, measure, drain
 *
 * It must be so cheap that the back-end is the bottleneck, and it says whether it was:
 *
 *   idle share            of the measured cycles, those of turns that found nothing to do
 *   busy cycles a packet  the others, divided by the packets received (sent, if nothing is received)
 *
 * What makes it cheap: frames are written once, when the buffers are made, and never touched again; a
 * chain that came back is posted again as it is (ring/standing.h). So the back-end reads frames that lie
 * in its own cache unless it has no room for them. Of a frame received the first line is read, as any
 * consumer would; --touch says otherwise. Kicks are considered when there is nothing else to do, or
 * every CLIENT_KICK_TURNS turns.
 *
 * Used by cli (viaduct bench SOCKET...) and by build/bench/bench-client. May use lib/ and jansson.
 */
#ifndef VIA_BENCH_CLIENT_H
#define VIA_BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <viaduct/error.h>

#define CLIENT_MAX_PORTS  64
#define CLIENT_MAX_BURST  256
#define CLIENT_KICK_TURNS 64
#define CLIENT_MAX_CUT    64   /* descriptors of a frame */
#define CLIENT_SMALL      2048 /* bytes: buffers are not smaller, as those of real drivers */

enum client_load {
	CLIENT_CLOSED, /* so many frames are on their way, and no more: nothing can be lost */
	CLIENT_FILL,   /* whenever the ring has room */
	CLIENT_RATE,   /* open loop */
};

enum client_touch {
	CLIENT_TOUCH_HEADER, /* the frame's first line */
	CLIENT_TOUCH_ALL,    /* all of its lines */
	CLIENT_TOUCH_NONE,
};

/* What is measured. Filled in by client_parse(), which checks it. */
struct client_config {
	const char *socket[CLIENT_MAX_PORTS]; /* borrowed */
	uint32_t nr_ports;
	bool listens; /* on the sockets, to which back-ends connect */

	bool sends, receives;
	bool fill;
	enum client_load load;
	uint64_t in_flight; /* closed: frames a direction */
	uint64_t rate;      /* open: frames a second and direction */
	bool flood;         /* to an address that nobody has */

	uint64_t size; /* of a frame, without FCS */
	uint64_t cut;  /* descriptors of a frame sent */
	bool gso;      /* frames are TCP segments to be cut by whoever cannot take them */
	enum client_touch touch;

	bool packed, in_order, mergeable, indirect, event_idx;
	uint64_t ring_size, rx_buffer; /* slots; bytes */
	uint64_t burst, pause;         /* packets a turn; pauses of the CPU after an idle turn */
	bool hugepages;
	bool latency; /* note how long frames take */

	double seconds, warmup;
	uint64_t cpu;
	bool pinned; /* to 'cpu' */
	bool json;
};

/* Shares whose latency is told; the last is the longest. */
#define CLIENT_LATENCIES 4
extern const double client_shares[CLIENT_LATENCIES];

/* Frames of a port. */
struct client_count {
	uint64_t sent, received;
	uint64_t refused; /* open loop: due, but the ring was full */
	uint64_t others;  /* received, but not from the partner */
};

/* What was measured. */
struct client_result {
	struct client_count port[CLIENT_MAX_PORTS]; /* while it was measured */
	uint64_t lost;                              /* from the first frame to the last */
	uint64_t busy_cycles, idle_cycles, turns, idle_turns;
	double seconds;
	double latency_us[CLIENT_LATENCIES]; /* shares of frames took no longer */
};

/* ---- options.c ---- */

/* Fills in 'config' from the words behind the program's name. Returns 0, or -EINVAL with the reason. */
int client_parse(struct client_config *config, int argc, char *argv[], struct via_error *err);
extern const char client_usage[];

/* ---- client.c ---- */

/* Measures. Returns 0, or a negative errno with the reason in 'err'. */
int client_measure(const struct client_config *config, struct client_result *result,
		   struct via_error *err);

/* ---- report.c ---- */

void client_report(const struct client_config *config, const struct client_result *result);

/* All of it, for a main(): parses, measures, reports or complains. Returns the exit code: 0 done, 1 it
 * did not work, 2 the command line is wrong. */
int client_main(int argc, char *argv[], bool json);

#endif
