/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xfer: sends payload that the other end can check, for tests between guests.
 *
 *   xfer recv tcp PORT                      xfer send tcp ADDRESS PORT BYTES
 *   xfer recv udp PORT                      xfer send udp ADDRESS PORT DATAGRAMS SIZE [SEGMENT]
 *
 * Every byte follows from its place, so that a receiver knows what must come. With SEGMENT each
 * datagram of SIZE bytes is one send() of UDP segments (UDP_SEGMENT) of that size. A receiver ends with
 * its sender, and exits with 0 if all that came was intact; it prints what came of how much.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sockets.h"

#define CHUNK   65536
#define QUIET_S 3     /* a receiver of datagrams waits that long for the next */
#define WINDOW  12000 /* bytes of datagrams under way: a ring of few slots must hold them */

/* What must be at 'place' of a stream: the bytes of numbered pseudo-random words. */
static void fill(uint8_t *out, size_t len, uint64_t place)
{
	for (size_t done = 0; done < len;) {
		uint64_t word = ((place + done) >> 3) * 0x9e3779b97f4a7c15u;
		size_t skip = (place + done) & 7, n = len - done < 8 - skip ? len - done : 8 - skip;

		word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
		word = htole64(word ^ word >> 27);
		memcpy(out + done, (uint8_t *)&word + skip, n);
		done += n;
	}
}

static int fail(const char *what)
{
	fprintf(stderr, "xfer: %s: %s\n", what, strerror(errno));
	return 1;
}

static int recv_tcp(const char *port)
{
	static uint8_t got[CHUNK], want[CHUNK];
	int listener = bound_socket(SOCK_STREAM, port), fd;
	uint64_t place = 0;
	ssize_t n;

	if (listener < 0 || listen(listener, 1) < 0)
		return fail("cannot listen");
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return fail("accept");
	while ((n = read(fd, got, sizeof(got))) > 0) {
		fill(want, (size_t)n, place);
		if (memcmp(got, want, (size_t)n) != 0) {
			printf("wrong bytes after %llu\n", (unsigned long long)place);
			return 1;
		}
		place += (uint64_t)n;
	}
	printf("%llu\n", (unsigned long long)place);
	return n < 0 ? fail("read") : 0;
}

static int send_tcp(const char *address, const char *port, uint64_t total)
{
	static uint8_t chunk[CHUNK];
	int fd = connected_socket(SOCK_STREAM, address, port);

	if (fd < 0)
		return fail("cannot connect");
	for (uint64_t place = 0; place < total;) {
		size_t len = total - place < CHUNK ? (size_t)(total - place) : CHUNK;
		ssize_t n;

		fill(chunk, len, place);
		n = write(fd, chunk, len);
		if (n <= 0)
			return fail("write");
		place += (uint64_t)n;
	}
	return 0;
}

/* What a datagram begins with. One with count 0 is echoed: so the sender knows that the receiver is
 * there, and has taken all that was sent before. */
struct head {
	uint64_t number, count;
};

static int recv_udp(const char *port)
{
	static uint8_t got[CHUNK], want[CHUNK];
	int fd = bound_socket(SOCK_DGRAM, port), buffer = 8 << 20;
	struct timeval quiet = { .tv_sec = 30 };
	uint64_t came = 0, wrong = 0, count = 0;
	struct head head;

	if (fd < 0)
		return fail("cannot bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet));
	quiet.tv_sec = QUIET_S;
	do {
		struct sockaddr_in6 from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &len);

		if (n < (ssize_t)sizeof(head))
			break;
		memcpy(&head, got, sizeof(head));
		if (head.count == 0) {
			sendto(fd, got, (size_t)n, 0, (struct sockaddr *)&from, len);
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet));
			continue;
		}
		count = head.count;
		fill(want, (size_t)n - sizeof(head), head.number);
		came++;
		wrong += memcmp(got + sizeof(head), want, (size_t)n - sizeof(head)) != 0;
	} while (head.count == 0 || head.number + 1 < head.count);
	printf("%llu of %llu, %llu wrong\n", (unsigned long long)came, (unsigned long long)count,
	       (unsigned long long)wrong);
	return wrong || !came;
}

/* Asks until the receiver answers to 'number'. */
static bool greet(int fd, uint64_t number)
{
	struct timeval wait = { .tv_usec = RETRY_MS * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (int i = 0; i < RETRIES; i++) {
		struct head head = { .number = number };

		send(fd, &head, sizeof(head), 0);
		while (recv(fd, &head, sizeof(head), 0) == sizeof(head))
			if (head.number == number)
				return true;
		if (errno != EAGAIN) /* refused: nobody is there yet */
			rest(RETRY_MS * 1000 * 1000);
	}
	return false;
}

static int send_udp(const char *address, const char *port, uint64_t count, size_t size, int segment)
{
	static uint8_t datagram[CHUNK];
	int fd = connected_socket(SOCK_DGRAM, address, port);
	size_t part = segment ? (size_t)segment : size;
	uint64_t per_send = size / part, under_way = 0;
	struct head head = { .count = count * per_send };

	if (fd < 0 || !greet(fd, 0))
		return fail("nobody answers");
	if (segment && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
		return fail("UDP_SEGMENT");
	for (uint64_t i = 0; i < count; i++) {
		for (uint64_t k = 0; k < per_send; k++, head.number++) {
			uint8_t *at = datagram + k * part;

			memcpy(at, &head, sizeof(head));
			fill(at + sizeof(head), part - sizeof(head), head.number);
		}
		if (send(fd, datagram, per_send * part, 0) < 0)
			return fail("send");
		under_way += per_send * part;
		if (under_way < WINDOW || head.number == head.count)
			continue;
		if (!greet(fd, head.number))
			return fail("the receiver is gone");
		under_way = 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool tcp = argc > 2 && strcmp(argv[2], "tcp") == 0;

	if (argc == 4 && strcmp(argv[1], "recv") == 0)
		return tcp ? recv_tcp(argv[3]) : recv_udp(argv[3]);
	if (argc == 6 && tcp)
		return send_tcp(argv[3], argv[4], strtoull(argv[5], NULL, 10));
	if (argc == 7 || argc == 8) {
		size_t size = strtoull(argv[6], NULL, 10);
		int segment = argc == 8 ? atoi(argv[7]) : 0;

		if (size > sizeof(struct head) && size < CHUNK &&
		    (!segment || (segment > (int)sizeof(struct head) && segment <= (int)size)))
			return send_udp(argv[3], argv[4], strtoull(argv[5], NULL, 10), size,
					segment);
	}
	fprintf(stderr, "xfer: see the head of tests/lab/xfer.c\n");
	return 2;
}
