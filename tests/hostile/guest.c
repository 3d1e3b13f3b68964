/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that comes and goes: our driver on a port's socket.
 *
 *   guest SOCKET FROM TO TIMES [--packed]
 *
 * Each time it comes it sends frames from MAC address FROM to TO until the back-end has taken some of them,
 * and goes. TIMES is how often; 0: it comes once, and sends and receives until somebody kills it. Prints how
 * often it was served, and exits with 0 if that was each time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <viaduct/driver.h>
#include <viaduct/worker.h>

#include "base/base.h"
#include "ring/ring.h"

#define QUEUE_SIZE  256
#define FRAME_LEN   64
#define TYPE        0x88b5 /* of local experiments */
#define PATIENCE_MS 10000  /* for a back-end that serves, and for its first look at a ring */

static struct {
	struct via_loop *loop;
	struct via_driver *driver;
	struct via_driver_config config;
	struct via_burst *burst;
	struct via_view view;
	struct via_queue_stats stats[2];
	bool gone; /* the driver is closed */
} guest;

/* ---- control: one turn of the loop; this thread is worker as well, and holds nothing meanwhile ---- */

static void turn(int timeout_ms)
{
	via_worker_offline();
	via_loop_turn(guest.loop, timeout_ms);
	via_worker_online();
}

static void on_closed(void *user)
{
	(void)user;
	guest.gone = true;
}

static bool come(struct via_error *err)
{
	const uint64_t deadline = via_clock_us() + PATIENCE_MS * 1000;

	if (via_driver_open(&guest.driver, guest.loop, &guest.config, err) < 0)
		return false;
	while (!via_driver_pair_runs(guest.driver, 0)) {
		if (via_clock_us() > deadline) {
			via_fail(err, -ETIMEDOUT, "nobody serves it");
			return false;
		}
		turn(1);
	}
	return true;
}

static void go(void)
{
	guest.gone = false;
	via_driver_close(guest.driver, on_closed, NULL);
	while (!guest.gone)
		turn(1);
}

/* ---- traffic ---- */

static bool set_frame(const char *from, const char *to)
{
	struct ether_header header = { 0 };
	const struct ether_addr *addr;

	addr = ether_aton(from);
	if (addr)
		memcpy(header.ether_shost, addr, ETH_ALEN);
	addr = addr ? ether_aton(to) : NULL;
	if (!addr)
		return false;
	memcpy(header.ether_dhost, addr, ETH_ALEN);
	header.ether_type = htons(TYPE);
	guest.view.len = guest.view.snapshot_len = FRAME_LEN;
	memcpy(guest.view.snapshot, &header, sizeof(header));
	return true;
}

static uint32_t send_burst(void)
{
	struct via_view *views[VIA_BURST];

	for (uint32_t i = 0; i < VIA_BURST; i++)
		views[i] = &guest.view;
	return via_driver_egress(guest.driver, 0, views, VIA_BURST, false, &guest.stats[1]);
}

static uint32_t receive_burst(void)
{
	uint32_t n = via_driver_ingress(guest.driver, 0, guest.burst, VIA_BURST, &guest.stats[0]);

	if (n > 0)
		via_driver_ingress_release(guest.driver, 0, 0);
	return n;
}

/* More than its ring has room for were taken by the driver: the back-end has used the first ones. */
static bool is_served(struct via_error *err)
{
	const uint64_t deadline = via_clock_us() + PATIENCE_MS * 1000;
	uint32_t sent = 0;

	while (sent <= QUEUE_SIZE) {
		sent += send_burst();
		if (via_clock_us() > deadline) {
			via_fail(err, -ETIMEDOUT, "only %u frames were taken", sent);
			return false;
		}
		turn(0);
	}
	return true;
}

static void exchange_on(void)
{
	for (;;) {
		while (receive_burst() > 0)
			;
		send_burst();
		turn(0);
	}
}

/* ---- all of it ---- */

static int fail(const char *what)
{
	fprintf(stderr, "guest: %s\n", what);
	return 1;
}

static int come_and_go(int times, struct via_error *err)
{
	int served = 0;

	while (served < times && come(err) && is_served(err)) {
		served++;
		go();
	}
	printf("%d\n", served);
	return served == times ? 0 : fail(err->text);
}

int main(int argc, char *argv[])
{
	struct via_error err = { 0 };
	int times;

	if (argc < 5 || !set_frame(argv[2], argv[3]))
		return fail("SOCKET FROM TO TIMES [--packed]");
	guest.config = (struct via_driver_config){
		.name = "guest",
		.path = argv[1],
		.queue_size = QUEUE_SIZE,
		.features_off = argc > 5 ? 0 : VIA_BIT(VIRTIO_F_RING_PACKED),
	};
	times = atoi(argv[4]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	guest.burst = via_burst_create();
	if (!guest.burst || via_loop_create(&guest.loop, &err) < 0 || via_watchdog_start(&err) < 0)
		return fail(err.text);
	via_worker_register("guest");
	if (times > 0)
		return come_and_go(times, &err);
	if (!come(&err))
		return fail(err.text);
	exchange_on();
}
