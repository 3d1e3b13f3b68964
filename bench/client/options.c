/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bench/client/client.h"
#include "bench/client/frame.h"
#include "ring/ring.h"

const char client_usage[] =
	"With sockets: each pair of them exchanges frames; each announces its address before.\n"
	"  --dequeue           only sends: what a back-end takes\n"
	"  --enqueue           only receives: what a back-end gives\n"
	"  --in-flight N       frames on their way in each direction (as many as cannot be lost)\n"
	"  --fill              sends whenever there is room\n"
	"  --rate N            sends so many frames a second in each direction\n"
	"  --flood             to an address that nobody has\n"
	"  --size BYTES        of a frame, without FCS (60)\n"
	"  --gso               TCP segments of 64 KiB (or --size), for whoever takes them whole\n"
	"  --cut N             a frame is a chain of N descriptors: virtio-net header; headers;\n"
	"                      payload in equal parts (1; with --gso 16)\n"
	"  --touch WHAT        what is read of a frame received: header, all, none (header)\n"
	"  --packed --in-order --no-mergeable --indirect --event-idx\n"
	"                      the rings' features; --indirect: chains are tables\n"
	"  --ring N            slots of a ring (256)\n"
	"  --rx-buffer BYTES   (2048, or what a frame needs without mergeable buffers)\n"
	"  --burst N           frames that are taken or sent at once (64)\n"
	"  --pause N           pauses of the CPU after a turn that found nothing (4)\n"
	"  --latency           says how long frames take, if none was lost\n"
	"  --listen            on the sockets: the back-ends connect\n"
	"  --hugepages         memory from hugepages\n"
	"  --seconds N --warmup N   (3 and 0.5)\n"
	"  --cpu N             runs on this CPU\n";

enum kind { FLAG, NO_FLAG, NUMBER, SECONDS, TOUCH };

static const struct option {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
} options[] = {
#define OPTION(name, kind, member, ...)                                              \
	{                                                                            \
		"--" name, kind, offsetof(struct client_config, member), __VA_ARGS__ \
	}
	OPTION("dequeue", NO_FLAG, receives, 0, 0),
	OPTION("enqueue", NO_FLAG, sends, 0, 0),
	OPTION("in-flight", NUMBER, in_flight, 1, VIA_RING_MAX_SIZE),
	OPTION("fill", FLAG, fill, 0, 0),
	OPTION("rate", NUMBER, rate, 1, UINT64_C(1000000000)),
	OPTION("flood", FLAG, flood, 0, 0),
	OPTION("size", NUMBER, size, 60, FRAME_MAX),
	OPTION("gso", FLAG, gso, 0, 0),
	OPTION("cut", NUMBER, cut, 1, CLIENT_MAX_CUT),
	OPTION("touch", TOUCH, touch, 0, 0),
	OPTION("packed", FLAG, packed, 0, 0),
	OPTION("in-order", FLAG, in_order, 0, 0),
	OPTION("no-mergeable", NO_FLAG, mergeable, 0, 0),
	OPTION("indirect", FLAG, indirect, 0, 0),
	OPTION("event-idx", FLAG, event_idx, 0, 0),
	OPTION("ring", NUMBER, ring_size, 2, VIA_RING_MAX_SIZE),
	OPTION("rx-buffer", NUMBER, rx_buffer, 128, 1 << 20),
	OPTION("burst", NUMBER, burst, 1, CLIENT_MAX_BURST),
	OPTION("pause", NUMBER, pause, 0, 10000),
	OPTION("latency", FLAG, latency, 0, 0),
	OPTION("listen", FLAG, listens, 0, 0),
	OPTION("hugepages", FLAG, hugepages, 0, 0),
	OPTION("seconds", SECONDS, seconds, 0, 600),
	OPTION("warmup", SECONDS, warmup, 0, 600),
	OPTION("cpu", NUMBER, cpu, 0, 1023),
};

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *value >= min && *value <= max;
}

static bool parse_seconds(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*value) && *value >= 0 && *value <= 600;
}

static bool parse_touch(const char *text, enum client_touch *touch)
{
	static const char *const names[] = {
		[CLIENT_TOUCH_HEADER] = "header",
		[CLIENT_TOUCH_ALL] = "all",
		[CLIENT_TOUCH_NONE] = "none",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*touch = (enum client_touch)i;
			return true;
		}
	}
	return false;
}

static const struct option *find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(word, options[i].name) == 0)
			return &options[i];
	return NULL;
}

static int take_value(struct client_config *config, const struct option *o, const char *text,
		      struct via_error *err)
{
	void *member = (char *)config + o->offset;

	switch (o->kind) {
	case FLAG:
	case NO_FLAG:
		*(bool *)member = o->kind == FLAG;
		return 0;
	case NUMBER:
		if (parse_number(text, o->min, o->max, member))
			return 0;
		return via_fail(err, -EINVAL, "%s takes a number from %llu to %llu, not '%s'",
				o->name, (unsigned long long)o->min, (unsigned long long)o->max,
				text);
	case SECONDS:
		if (parse_seconds(text, member))
			return 0;
		return via_fail(err, -EINVAL, "%s takes seconds from 0 to 600, not '%s'", o->name,
				text);
	case TOUCH:
		if (parse_touch(text, member))
			return 0;
		return via_fail(err, -EINVAL, "%s is header, all or none, not '%s'", o->name, text);
	}
	return -EINVAL;
}

static int take_words(struct client_config *config, int argc, char *argv[], struct via_error *err)
{
	for (int i = 0; i < argc; i++) {
		const struct option *o = find(argv[i]);
		bool alone = o && (o->kind == FLAG || o->kind == NO_FLAG);
		int ret;

		if (!o && argv[i][0] == '-')
			return via_fail(err, -EINVAL, "there is no option '%s'", argv[i]);
		if (!o && config->nr_ports == CLIENT_MAX_PORTS)
			return via_fail(err, -EINVAL, "at most %d sockets are possible",
					CLIENT_MAX_PORTS);
		if (!o) {
			config->socket[config->nr_ports++] = argv[i];
			continue;
		}
		if (!alone && ++i == argc)
			return via_fail(err, -EINVAL, "a value must follow %s", o->name);
		ret = take_value(config, o, argv[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- what was not said ---- */

#define UNSET UINT64_MAX

static void set_default(uint64_t *value, uint64_t otherwise)
{
	if (*value == UNSET)
		*value = otherwise;
}

/* Frames that every receiver's ring has room for, whoever sends them. */
static uint64_t safe_in_flight(const struct client_config *config)
{
	uint64_t buffers =
		(FRAME_HEADER + config->size + config->rx_buffer - 1) / config->rx_buffer;
	uint64_t senders = config->flood && config->nr_ports > 2 ? config->nr_ports - 1 : 1;
	uint64_t n = config->ring_size / buffers / senders;

	return n ? n : 1;
}

static void complete(struct client_config *config)
{
	set_default(&config->size, config->gso ? FRAME_MAX : 60);
	set_default(&config->cut, config->gso ? 16 : 1);
	set_default(&config->rx_buffer,
		    !config->mergeable && config->size > CLIENT_SMALL - FRAME_HEADER
			    ? config->size + FRAME_HEADER
			    : CLIENT_SMALL);
	config->load = config->rate != UNSET               ? CLIENT_RATE
		       : config->fill || !config->receives ? CLIENT_FILL
							   : CLIENT_CLOSED;
	set_default(&config->in_flight, safe_in_flight(config));
	config->pinned = config->cpu != UNSET;
}

static int check(const struct client_config *config, struct via_error *err)
{
	const uint64_t needed = FRAME_HEADER + config->size;

	if (config->nr_ports == 0)
		return via_fail(err, -EINVAL, "which sockets? 'viaduct help bench' says more");
	if (!config->sends && !config->receives)
		return via_fail(err, -EINVAL, "either --dequeue or --enqueue");
	if (config->sends && config->receives && config->nr_ports % 2)
		return via_fail(err, -EINVAL,
				"an odd number of sockets are no pairs: give another one, or "
				"--dequeue or --enqueue");
	if (config->latency && !(config->sends && config->receives))
		return via_fail(err, -EINVAL, "--latency needs frames that are sent and received");
	if (config->fill && config->rate != UNSET)
		return via_fail(err, -EINVAL, "either --fill or --rate");
	if (!config->packed && (config->ring_size & (config->ring_size - 1)))
		return via_fail(err, -EINVAL, "a split ring has a power of two of slots, not %llu",
				(unsigned long long)config->ring_size);
	if (config->cut > config->ring_size)
		return via_fail(err, -EINVAL, "--cut %llu does not fit a ring of %llu",
				(unsigned long long)config->cut,
				(unsigned long long)config->ring_size);
	if (config->in_order && !config->indirect && config->ring_size % config->cut)
		return via_fail(err, -EINVAL,
				"--in-order needs a ring of a multiple of %llu slots (--cut)",
				(unsigned long long)config->cut);
	if (!config->mergeable && config->rx_buffer < needed)
		return via_fail(err, -EINVAL,
				"without mergeable buffers --rx-buffer must be %llu at least",
				(unsigned long long)needed);
	if (config->rx_buffer * config->ring_size < needed)
		return via_fail(err, -EINVAL, "a ring of %llu has no room for a frame",
				(unsigned long long)config->ring_size);
	return 0;
}

int client_parse(struct client_config *config, int argc, char *argv[], struct via_error *err)
{
	int ret;

	*config = (struct client_config){
		.sends = true,
		.receives = true,
		.in_flight = UNSET,
		.rate = UNSET,
		.size = UNSET,
		.cut = UNSET,
		.rx_buffer = UNSET,
		.cpu = UNSET,
		.mergeable = true,
		.ring_size = 256,
		.burst = 64,
		.pause = 4,
		.seconds = 3,
		.warmup = 0.5,
	};
	ret = take_words(config, argc, argv, err);
	if (ret < 0)
		return ret;
	complete(config);
	return check(config, err);
}
