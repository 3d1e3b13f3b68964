/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * talk: measures how two stacks talk with small messages.
 *
 *   talk answer tcp|udp PORT                sends back what comes, to one who asks, until killed
 *   talk ask tcp|udp ADDRESS PORT SECONDS   one question after the other; prints the median, the 99th
 *                                           percentile and the number of round trips: "31.2 60.9 25111"
 *   talk count PORT                         counts datagrams
 *   talk flood ADDRESS PORT SECONDS         sends datagrams and does not wait; prints how many a second
 *                                           the counter got, and the sender sent: "190211 402000"
 *
 * Times are microseconds. Messages have SIZE bytes.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sockets.h"

#define SIZE    64
#define BATCH   32
#define WARM_UP 100 /* questions that do not count */
#define LOST_MS 200 /* an answer that late is lost */
#define BUFFER  (4 << 20)
#define MOST    (1 << 20) /* round trips */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const char *what)
{
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	return 1;
}

static void wait_at_most(int fd, int ms)
{
	struct timeval time = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
}

static void send_at_once(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- round trips ---- */

static int answer_tcp(const char *port)
{
	int listener = bound_socket(SOCK_STREAM, port);
	char message[SIZE];

	if (listener < 0 || listen(listener, 1) < 0)
		return fail("cannot listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			return fail("accept");
		send_at_once(fd);
		while ((n = recv(fd, message, SIZE, 0)) > 0)
			if (send(fd, message, (size_t)n, 0) < 0)
				break;
		close(fd);
	}
}

static int answer_udp(const char *port)
{
	int fd = bound_socket(SOCK_DGRAM, port);
	char message[SIZE];

	if (fd < 0)
		return fail("cannot bind");
	for (;;) {
		struct sockaddr_in6 from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, message, SIZE, 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			return fail("recvfrom");
		sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* Asks once. Returns false if no answer came. */
static bool ask_once(int fd, uint64_t number)
{
	uint64_t message[SIZE / sizeof(uint64_t)] = { number };

	if (send(fd, message, SIZE, 0) != SIZE)
		return false;
	do {
		if (recv(fd, message, SIZE, MSG_WAITALL) != SIZE)
			return false;
	} while (message[0] != number); /* the answer to one that was given up */
	return true;
}

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, two = *(const uint32_t *)b;

	return (one > two) - (one < two);
}

static int print_round_trips(uint32_t *ns, size_t count)
{
	if (count == 0) {
		fprintf(stderr, "talk: no answer\n");
		return 1;
	}
	qsort(ns, count, sizeof(*ns), compare);
	printf("%.2f %.2f %zu\n", ns[count / 2] / 1e3, ns[count * 99 / 100] / 1e3, count);
	return 0;
}

/* Asks for as long as it is told to, and stores how long each answer took; returns how many came. */
static size_t ask_often(int fd, double seconds, uint32_t *ns)
{
	uint64_t before = now_ns(), end = before + (uint64_t)(seconds * 1e9);
	size_t came = 0;

	for (uint64_t number = WARM_UP; before < end && came < MOST; number++) {
		bool answered = ask_once(fd, number);
		uint64_t after = now_ns();

		if (answered)
			ns[came++] = (uint32_t)(after - before);
		before = after;
	}
	return came;
}

static int ask(int type, const char *address, const char *port, double seconds)
{
	static uint32_t ns[MOST];
	int fd = connected_socket(type, address, port);

	if (fd < 0)
		return fail("cannot connect");
	send_at_once(fd);
	wait_at_most(fd, LOST_MS);
	for (uint64_t number = 0; number < WARM_UP; number++)
		ask_once(fd, number);
	return print_round_trips(ns, ask_often(fd, seconds, ns));
}

/* ---- datagrams ---- */

/* What a datagram of a flood begins with. One that asks is answered: with what came, and between which
 * times of the counter's clock. */
struct flood {
	uint64_t asks, came, first_ns, last_ns;
};

struct batch {
	struct mmsghdr message[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in6 from[BATCH];
	char data[BATCH][SIZE];
};

static void batch_init(struct batch *batch)
{
	memset(batch, 0, sizeof(*batch));
	for (unsigned int i = 0; i < BATCH; i++) {
		batch->iov[i] = (struct iovec){ batch->data[i], SIZE };
		batch->message[i].msg_hdr.msg_iov = &batch->iov[i];
		batch->message[i].msg_hdr.msg_iovlen = 1;
	}
}

static int count(const char *port)
{
	static struct batch batch;
	int fd = bound_socket(SOCK_DGRAM, port), buffer = BUFFER;
	struct flood seen = { 0 };

	if (fd < 0)
		return fail("cannot bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	batch_init(&batch);
	for (;;) {
		int n;

		for (unsigned int i = 0; i < BATCH; i++) {
			batch.message[i].msg_hdr.msg_name = &batch.from[i];
			batch.message[i].msg_hdr.msg_namelen = sizeof(batch.from[i]);
		}
		n = recvmmsg(fd, batch.message, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			return fail("recvmmsg");
		for (int i = 0; i < n; i++) {
			struct flood asked;

			memcpy(&asked, batch.data[i], sizeof(asked));
			if (!asked.asks) {
				seen.last_ns = now_ns();
				seen.first_ns = seen.came++ ? seen.first_ns : seen.last_ns;
				continue;
			}
			sendto(fd, &seen, sizeof(seen), 0, (struct sockaddr *)&batch.from[i],
			       sizeof(batch.from[i]));
		}
	}
}

/* Asks the counter until it answers; it may have much to do before. */
static bool ask_counter(int fd, struct flood *seen)
{
	const struct flood question = { .asks = 1 };

	for (int i = 0; i < RETRIES; i++) {
		if (send(fd, &question, sizeof(question), 0) < 0)
			rest(RETRY_MS * 1000 * 1000); /* refused: it is not there yet */
		if (recv(fd, seen, sizeof(*seen), 0) == sizeof(*seen))
			return true;
	}
	return false;
}

static int flood(const char *address, const char *port, double seconds)
{
	static struct batch batch;
	int fd = connected_socket(SOCK_DGRAM, address, port);
	uint64_t sent = 0, begin, end;
	struct flood seen;

	if (fd < 0)
		return fail("cannot connect");
	wait_at_most(fd, LOST_MS);
	if (!ask_counter(fd, &seen))
		return fail("the counter does not answer");
	batch_init(&batch);
	begin = now_ns();
	end = begin + (uint64_t)(seconds * 1e9);
	while (now_ns() < end) {
		int n = sendmmsg(fd, batch.message, BATCH, 0);

		sent += n > 0 ? (uint64_t)n : 0;
	}
	seconds = (double)(now_ns() - begin) / 1e9;
	rest(LOST_MS * 1000 * 1000);
	if (!ask_counter(fd, &seen) || seen.came < 2)
		return fail("the counter does not answer");
	printf("%.0f %.0f\n", (double)seen.came * 1e9 / (double)(seen.last_ns - seen.first_ns),
	       (double)sent / seconds);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	bool tcp = argc > 2 && strcmp(argv[2], "tcp") == 0;

	if (argc == 4 && strcmp(verb, "answer") == 0)
		return tcp ? answer_tcp(argv[3]) : answer_udp(argv[3]);
	if (argc == 6 && strcmp(verb, "ask") == 0)
		return ask(tcp ? SOCK_STREAM : SOCK_DGRAM, argv[3], argv[4], atof(argv[5]));
	if (argc == 3 && strcmp(verb, "count") == 0)
		return count(argv[2]);
	if (argc == 5 && strcmp(verb, "flood") == 0)
		return flood(argv[2], argv[3], atof(argv[4]));
	fprintf(stderr, "talk: see the head of tests/lab/talk.c\n");
	return 2;
}
