/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour that must notice nothing: two well-behaved drivers on two ports, and two clients.
 *
 *   witness SENDER RECEIVER FRESH CONTROL [--packed] [--rate N]
 *
 * A frame goes from the port of socket SENDER to that of RECEIVER every millisecond (N a second, in
 * bursts of a millisecond), with its number and the time in it. Every PROBE_MS somebody connects to the
 * socket FRESH and asks for features, and somebody asks CONTROL for its status.
 *
 * A line on standard input is answered by a line of JSON, with what happened since the last one.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <viaduct/driver.h>
#include <viaduct/log.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "ring/ring.h"
#include "vhost/message.h"

#define PROBE_MS    20
#define PATIENCE_MS 5000 /* for an answer */
#define DRAIN_MS    100  /* for frames under way, when a report is due */
#define ANNOUNCE_MS 1000
#define QUEUE_SIZE  8192 /* so that it may lose its CPU for a while, and no frame */
#define FRAME_LEN   64
#define MAGIC       UINT64_C(0x7769746e65737321)
#define WINDOW      4096 /* frames back that are told from duplicates */

/* ---- how long something took, in microseconds ---- */

#define HISTOGRAM 100000

struct latency {
	uint64_t n, failed;
	uint32_t max;
	uint32_t count[HISTOGRAM]; /* the last one: that or more */
};

static void latency_add(struct latency *l, uint64_t us)
{
	l->n++;
	l->count[us < HISTOGRAM ? us : HISTOGRAM - 1]++;
	if (us > l->max)
		l->max = (uint32_t)us;
}

static uint32_t latency_share(const struct latency *l, double share)
{
	uint64_t left = (uint64_t)(share * (double)l->n);

	for (uint32_t us = 0; us < HISTOGRAM; us++) {
		if (l->count[us] > left)
			return us;
		left -= l->count[us];
	}
	return l->max;
}

static void latency_print(const char *name, struct latency *l)
{
	printf("\"%s\": {\"n\": %llu, \"failed\": %llu, \"p50\": %u, \"p99\": %u, \"max\": %u}",
	       name, (unsigned long long)l->n, (unsigned long long)l->failed, latency_share(l, 0.5),
	       latency_share(l, 0.99), l->max);
	memset(l, 0, sizeof(*l));
}

/* ---- those who ask ---- */

static struct {
	const char *fresh_path, *control_path;
	pthread_mutex_t lock; /* guards the others */
	struct latency fresh, control;
} asking = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool ask_features(int fd)
{
	const struct vu_header header = { .request = VU_GET_FEATURES, .flags = VU_VERSION };
	struct {
		struct vu_header header;
		uint64_t features;
	} __attribute__((packed)) reply;

	return send(fd, &header, sizeof(header), MSG_NOSIGNAL) == sizeof(header) &&
	       recv(fd, &reply, sizeof(reply), MSG_WAITALL) == sizeof(reply) &&
	       reply.header.request == VU_GET_FEATURES &&
	       via_has(reply.features, VHOST_USER_F_PROTOCOL_FEATURES);
}

static bool ask_status(int fd)
{
	static const char line[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}\n";
	char answer[65536];
	ssize_t n;

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return false;
	do
		n = recv(fd, answer, sizeof(answer), 0);
	while (n > 0 && answer[n - 1] != '\n');
	return n > 0;
}

static void ask(const char *path, bool (*question)(int fd), struct latency *latency)
{
	const uint64_t begin = via_clock_us();
	int fd = connect_to(path);
	bool good = fd >= 0 && question(fd);
	uint64_t took = via_clock_us() - begin;

	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&asking.lock);
	if (good)
		latency_add(latency, took);
	else
		latency->failed++;
	pthread_mutex_unlock(&asking.lock);
}

static void *ask_on(void *user)
{
	(void)user;
	for (;;) {
		ask(asking.fresh_path, ask_features, &asking.fresh);
		ask(asking.control_path, ask_status, &asking.control);
		usleep(PROBE_MS * 1000);
	}
	return NULL;
}

/* ---- traffic ---- */

enum { SENDER, RECEIVER };

static const uint8_t address[2][6] = { { 2, 'w', 'i', 't', 0, 1 }, { 2, 'w', 'i', 't', 0, 2 } };

struct frame {
	uint8_t dst[6], src[6];
	uint8_t type[2]; /* of local experiments */
	uint16_t zero;
	uint64_t magic, number, sent_us;
} __attribute__((packed));
static_assert(sizeof(struct frame) <= FRAME_LEN, "it fits");

static struct {
	struct via_driver *driver[2];
	struct via_burst *burst;
	struct via_queue_stats stats[2][2];
	uint32_t rate;
	double due_us, announce_us;
	uint64_t next;         /* number of the frame to send */
	uint64_t seen[WINDOW]; /* numbers that came, each in its place; plus one */

	/* since the last report */
	uint64_t sent, received, repeated, wrong, down;
	uint64_t last_us, gap_us; /* when a frame came; the longest time without */
	struct latency latency;
} traffic;

static void make_view(struct via_view *view, int from, int to)
{
	struct frame frame = { .type = { 0x88, 0xb5 }, .magic = MAGIC };

	memcpy(frame.src, address[from], 6);
	memcpy(frame.dst, address[to], 6);
	frame.number = from == SENDER ? traffic.next++ : UINT64_MAX;
	frame.sent_us = via_clock_us();
	*view = (struct via_view){ .len = FRAME_LEN, .snapshot_len = FRAME_LEN };
	memcpy(view->snapshot, &frame, sizeof(frame));
}

static void send_frames(int from, uint32_t n)
{
	static struct via_view view[VIA_BURST];
	struct via_view *views[VIA_BURST];

	while (n > 0) {
		uint32_t part = via_min_u(n, VIA_BURST);

		for (uint32_t i = 0; i < part; i++) {
			make_view(&view[i], from, !from);
			views[i] = &view[i];
		}
		via_driver_egress(traffic.driver[from], 0, views, part, false,
				  &traffic.stats[from][1]);
		n -= part;
	}
}

static bool both_run(void)
{
	return via_driver_pair_runs(traffic.driver[SENDER], 0) &&
	       via_driver_pair_runs(traffic.driver[RECEIVER], 0);
}

/* What the clock says should be sent by now; the receiver says now and then where it is. */
static void send_due(void)
{
	const double now = (double)via_clock_us(), interval = 1e6 / traffic.rate;
	uint32_t n = 0;

	if (now < traffic.due_us)
		return;
	if (now >= traffic.announce_us) {
		send_frames(RECEIVER, 1);
		traffic.announce_us = now + ANNOUNCE_MS * 1000;
	}
	if (now - traffic.due_us > interval * QUEUE_SIZE / 4)
		traffic.due_us =
			now; /* we were held up, not they: more than a ring takes at once */
	while (traffic.due_us <= now) {
		traffic.due_us += interval;
		n++;
	}
	if (!both_run()) {
		traffic.down += n;
		traffic.announce_us = 0;
		return;
	}
	traffic.sent += n;
	send_frames(SENDER, n);
}

static void note_frame(const struct via_view *view, uint64_t now)
{
	struct frame frame;

	memcpy(&frame, view->snapshot, sizeof(frame));
	if (view->len != FRAME_LEN || frame.magic != MAGIC ||
	    memcmp(frame.dst, address[RECEIVER], 6) != 0 || frame.number >= traffic.next) {
		traffic.wrong++;
		return;
	}
	if (traffic.seen[frame.number % WINDOW] == frame.number + 1)
		traffic.repeated++;
	traffic.seen[frame.number % WINDOW] = frame.number + 1;
	traffic.received++;
	latency_add(&traffic.latency, now - frame.sent_us);
	if (traffic.last_us && now - traffic.last_us > traffic.gap_us)
		traffic.gap_us = now - traffic.last_us;
	traffic.last_us = now;
}

/* Takes what came to one end. Returns how many frames. */
static uint32_t receive(int end)
{
	uint32_t n = via_driver_ingress(traffic.driver[end], 0, traffic.burst, VIA_BURST,
					&traffic.stats[end][0]);
	const uint64_t now = via_clock_us();

	for (uint32_t i = 0; i < n && end == RECEIVER; i++)
		note_frame(&traffic.burst->view[i], now);
	if (n > 0)
		via_driver_ingress_release(traffic.driver[end], 0, 0);
	return n;
}

/* Until the next frame is due, or something comes. */
static void wait_for_work(void)
{
	const int64_t left = (int64_t)traffic.due_us - (int64_t)via_clock_us();
	struct timespec wait = { .tv_nsec = left > 0 ? left * 1000 : 0 };
	struct pollfd fd[2] = { { .fd = 0, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	uint64_t count;

	if (left > 0 && via_driver_pair_runs(traffic.driver[RECEIVER], 0)) {
		if (via_driver_arm(traffic.driver[RECEIVER], 0))
			return;
		fd[1].fd = via_driver_call_fd(traffic.driver[RECEIVER], 0);
	}
	via_worker_offline();
	ppoll(fd, 2, &wait, NULL);
	via_worker_online();
	if (fd[1].revents & POLLIN && read(fd[1].fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		traffic.down++;
}

static void report(void)
{
	const uint64_t until = via_clock_us() + DRAIN_MS * 1000;

	while (traffic.received < traffic.sent && via_clock_us() < until) {
		via_worker_quiescent();
		if (receive(RECEIVER) == 0)
			usleep(200);
	}
	printf("{\"sent\": %llu, \"received\": %llu, \"repeated\": %llu, \"wrong\": %llu, "
	       "\"down\": %llu, \"gap_us\": %llu, ",
	       (unsigned long long)traffic.sent, (unsigned long long)traffic.received,
	       (unsigned long long)traffic.repeated, (unsigned long long)traffic.wrong,
	       (unsigned long long)traffic.down, (unsigned long long)traffic.gap_us);
	latency_print("latency_us", &traffic.latency);
	pthread_mutex_lock(&asking.lock);
	printf(", ");
	latency_print("fresh_us", &asking.fresh);
	printf(", ");
	latency_print("control_us", &asking.control);
	pthread_mutex_unlock(&asking.lock);
	printf("}\n");
	fflush(stdout);
	traffic.sent = traffic.received = traffic.repeated = traffic.wrong = traffic.down = 0;
	traffic.gap_us = traffic.last_us = 0;
}

/* Answers lines. Returns false at their end. */
static bool answer_lines(void)
{
	struct pollfd fd = { .fd = 0, .events = POLLIN };
	char line[64];

	if (poll(&fd, 1, 0) <= 0)
		return true;
	if (read(0, line, sizeof(line)) <= 0)
		return false;
	report();
	return true;
}

static void *exchange(void *user)
{
	(void)user;
	via_worker_register("witness");
	do {
		send_due();
		while (receive(RECEIVER) + receive(SENDER) > 0)
			via_worker_quiescent();
		via_worker_quiescent();
		wait_for_work();
	} while (answer_lines());
	via_worker_unregister();
	exit(0);
}

/* ---- all of it ---- */

static void log_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	if (level <= VIA_LOG_WARNING)
		fprintf(stderr, "witness: %s\n", line);
}

static int fail(const char *what)
{
	fprintf(stderr, "witness: %s\n", what);
	return 1;
}

int main(int argc, char *argv[])
{
	struct via_driver_config config = {
		.queue_size = QUEUE_SIZE,
		.features_off = VIA_BIT(VIRTIO_F_RING_PACKED),
	};
	struct via_error err;
	struct via_loop *loop;
	pthread_t thread;

	if (argc < 5)
		return fail("which four sockets?");
	traffic.rate = 1000;
	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "--packed") == 0)
			config.features_off = 0;
		else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc)
			traffic.rate = (uint32_t)atoi(argv[++i]);
		else
			return fail(argv[i]);
	}
	if (traffic.rate == 0)
		return fail("--rate 0");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	via_log_to(log_line, NULL);
	if (via_loop_create(&loop, &err) < 0 || via_watchdog_start(&err) < 0)
		return fail(err.text);
	for (int i = 0; i < 2; i++) {
		config.name = config.path = argv[1 + i];
		if (via_driver_open(&traffic.driver[i], loop, &config, &err) < 0)
			return fail(err.text);
	}
	traffic.burst = via_burst_create();
	asking.fresh_path = argv[3];
	asking.control_path = argv[4];
	if (!traffic.burst || pthread_create(&thread, NULL, exchange, NULL) != 0 ||
	    pthread_create(&thread, NULL, ask_on, NULL) != 0)
		return fail("no memory");
	via_loop_run(loop);
	return 0;
}
