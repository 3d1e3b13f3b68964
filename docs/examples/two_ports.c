/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cable between two virtual machines: what one sends, the other receives.
 *
 *   two_ports /tmp/a.sock /tmp/b.sock
 *
 * The smallest complete program over libviaduct: one control thread that runs the loop, one worker that
 * moves packets. It polls; viaduct/device.h says how to sleep until a guest kicks (via_device_arm()).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <viaduct/device.h>
#include <viaduct/log.h>
#include <viaduct/stats.h>
#include <viaduct/worker.h>

static struct via_device *device[2];
static atomic_bool stop;

static void log_line(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	if (level <= VIA_LOG_INFO)
		fprintf(stderr, "%s\n", line);
}

/* Moves a burst from one device to the other. Returns how many packets there were. */
static uint32_t forward(struct via_device *from, struct via_device *to, struct via_burst *burst,
			struct via_queue_stats *stats)
{
	struct via_view *views[VIA_BURST];
	uint32_t n = via_device_ingress(from, 0, burst, VIA_BURST, &stats[0]);

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		views[i] = &burst->view[i];
	via_device_egress(to, 0, views, n, false, &stats[1]);
	via_device_ingress_release(from, 0, 0);
	return n;
}

static void *work(void *user)
{
	static struct via_queue_stats stats[2][2];
	const struct timespec nap = { .tv_nsec = 50000 };
	struct via_burst *burst = via_burst_create();

	(void)user;
	if (!burst)
		return NULL;
	via_worker_register("worker");
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint32_t n = forward(device[0], device[1], burst, stats[0]) +
			     forward(device[1], device[0], burst, stats[1]);

		via_worker_quiescent();
		if (n > 0)
			continue;
		via_worker_offline(); /* nobody waits for us while we sleep */
		nanosleep(&nap, NULL);
		via_worker_online();
	}
	via_worker_unregister();
	via_burst_free(burst);
	return NULL;
}

int main(int argc, char **argv)
{
	struct via_error err;
	struct via_loop *loop;
	pthread_t worker;

	if (argc != 3) {
		fprintf(stderr, "usage: two_ports SOCKET SOCKET\n");
		return 2;
	}
	via_log_to(log_line, NULL);
	if (via_loop_create(&loop, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		const struct via_device_config config = {
			.path = argv[1 + i],
			.queue_pairs = 1,
			.control_queue = true,
		};

		if (via_device_open(&device[i], loop, &config, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
	}
	if (pthread_create(&worker, NULL, work, NULL) != 0)
		return 1;
	via_loop_run(loop); /* until it is killed */
	return 0;
}
