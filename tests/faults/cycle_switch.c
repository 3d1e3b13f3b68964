/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A switch with two workers and a port of each type: traffic goes from a generator through our device
 * and our driver to a checker, and floods a sink and a TAP; a capture, static addresses, VLANs; the end.
 *
 * What is refused is asked for once more: one failure must not be in the way of the next attempt.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "cycle.h"
#include "inject.h"
#include "port/gen.h"
#include "switch/switch.h"

#define NR_FRAMES 20
#define REST_US   200000

struct rig {
	struct via_loop *loop;
	struct sw_switch *sw;
	struct cycle_story *story;
	enum cycle_end end;
	int index[6];          /* of the ports that are there, or -1 */
	uint32_t open, closed; /* how many */
	int capture;
};

static const uint8_t station[6] = { 2, 0, 0, 0, 0, 9 };

struct wanted_port {
	const char *name, *type;
	uint16_t vlan;
	struct via_port_option options[5];
};

/* In VLAN 1 what 'from' sends, in VLAN 2 what came through the guest's rings. */
static const struct wanted_port wanted[] = {
	{ "vm", "vhost-user", 1, { { "socket", "%s.sock" }, { "queue_pairs", "2" } } },
	{ "driver", "virtio-user", 2, { { "socket", "%s.sock" }, { "queue_pairs", "2" } } },
	{ "from", "gen", 1, { { "rate", "2000" }, { "size", "600" } } },
	{ "to", "gen", 2, { { "send", "off" } } },
	{ "hole", "sink", 1, { { NULL, NULL } } },
	{ "tap", "tap", 1, { { "ifname", "faults0" } } },
};
enum { TO = 3, HOLE, TAP };

/* ---- asking ---- */

static void rest(struct via_loop *loop)
{
	const uint64_t until = via_clock_us() + REST_US;

	while (via_clock_us() < until)
		via_loop_turn(loop, 5);
}

/* What a failure may do: refuse with a sentence, once. Returns whether to ask again. */
static bool may_ask_again(struct rig *rig, const struct via_error *err)
{
	if (rig->end == CYCLE_PASSED) {
		rig->end = cycle_refused(rig->story, err->text);
		if (rig->loop)
			rest(rig->loop); /* what was half open closes */
		return true;
	}
	rig->end = cycle_failed(rig->story, "refused twice: %s", err->text);
	return false;
}

static int add_port_once(struct rig *rig, const struct wanted_port *w, struct via_error *err)
{
	const struct sw_port_config membership = { .vlan = { .vlan = w->vlan } };
	struct via_port_option options[5];
	char name[VIA_PORT_NAME_SIZE]; /* which is that of a file as well */
	struct via_port_config config = { .name = name, .options = options };
	char path[108], ifname[16];

	snprintf(name, sizeof(name), "%s-%d", w->name, getpid());
	memcpy(options, w->options, sizeof(options));
	snprintf(path, sizeof(path), "%s.sock", rig->story->path);
	if (options[0].key && strcmp(options[0].key, "socket") == 0)
		options[0].value = path;
	snprintf(ifname, sizeof(ifname), "f%d", getpid());
	if (options[0].key && strcmp(options[0].key, "ifname") == 0)
		options[0].value = ifname;
	return sw_port_add(rig->sw, via_port_type(w->type), &config, &membership, err);
}

static bool add_port(struct rig *rig, uint32_t i)
{
	struct via_error err = { "" };

	while ((rig->index[i] = add_port_once(rig, &wanted[i], &err)) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	rig->open++;
	return true;
}

static void on_closed(void *user)
{
	((struct rig *)user)->closed++;
}

static void del_port(struct rig *rig, uint32_t index)
{
	struct via_error err = { "" };

	while (sw_port_del(rig->sw, index, on_closed, rig, &err) < 0)
		if (!may_ask_again(rig, &err))
			return;
}

/* ---- doing ---- */

static bool frames_arrive(void *user)
{
	struct rig *rig = user;
	struct gen_report report;

	port_gen_report(sw_port(rig->sw, (uint32_t)rig->index[TO]), &report);
	return report.received >= NR_FRAMES;
}

static bool change_and_look(struct rig *rig)
{
	const struct sw_port_config isolated = { .vlan = { .vlan = 1 }, .isolated = true };
	const uint32_t hole = (uint32_t)rig->index[HOLE];
	struct via_error err = { "" };
	struct sw_worker_info info;

	while (sw_port_set(rig->sw, hole, &isolated, &err) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	while (sw_fdb_add(rig->sw, station, 1, hole, &err) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	while (sw_capture_start(rig->sw, -1, rig->capture, 64, &err) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	sw_worker_info(rig->sw, 1, &info);
	sw_set_poll_us(rig->sw, 0);
	sw_fdb_flush(rig->sw, -1);
	return true;
}

static bool build(struct rig *rig)
{
	struct sw_config config = { .nr_workers = 2, .poll_us = 50 };
	struct via_error err = { "" };

	while (via_loop_create(&rig->loop, &err) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	config.loop = rig->loop;
	while (sw_create(&rig->sw, &config, &err) < 0)
		if (!may_ask_again(rig, &err))
			return false;
	for (uint32_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if ((i != TAP || rig->story->has_tap) && !add_port(rig, i))
			return false;
	return true;
}

static void use(struct rig *rig)
{
	if (!change_and_look(rig))
		return;
	if (!cycle_wait(rig->loop, frames_arrive, rig))
		rig->end = cycle_failed(rig->story, "no frames arrive");
	sw_capture_stop(rig->sw, NULL, NULL);
	sw_fdb_del(rig->sw, station, 1, NULL);
}

static bool all_closed(void *user)
{
	const struct rig *rig = user;

	return rig->closed == rig->open;
}

static void take_down(struct rig *rig)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (rig->index[i] >= 0)
			del_port(rig, (uint32_t)rig->index[i]);
	if (rig->loop && !cycle_wait(rig->loop, all_closed, rig))
		rig->end =
			cycle_failed(rig->story, "%u of %u ports closed", rig->closed, rig->open);
	sw_free(rig->sw);
	via_loop_free(rig->loop);
}

enum cycle_end cycle_switch(struct cycle_story *story)
{
	struct rig rig = { .story = story, .index = { -1, -1, -1, -1, -1, -1 } };

	faults_ignore(true);
	rig.capture = memfd_create("capture", MFD_CLOEXEC);
	faults_ignore(false);
	if (build(&rig))
		use(&rig);
	take_down(&rig);
	faults_ignore(true);
	close(rig.capture);
	faults_ignore(false);
	return rig.end;
}
