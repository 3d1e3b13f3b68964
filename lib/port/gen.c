/* SPDX-License-Identifier: BSD-3-Clause */
/* The port type 'gen': options, opening, closing, what it reports. See gen.h. */
#include "port/gen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/bytes.h"
#include "port/types.h"

#define SIZES_FORM "a number from 60 to 65549, or up to 64 of them with commas between"
static_assert(GEN_MIN_SIZE == 60 && GEN_MAX_SIZE == 65549 && GEN_MAX_SIZES == 64,
	      "as SIZES_FORM says");

static bool is_sizes(const char *text);

static const struct via_port_key keys[] = {
	{ .name = "size",
	  .kind = VIA_KEY_STRING,
	  .fits = is_sizes,
	  .form = SIZES_FORM,
	  .help = "bytes of a frame (60), 60 to 65549, or several, sent in turn: 60,60,1514" },
	{ .name = "flows",
	  .kind = VIA_KEY_UINT,
	  .min = 1,
	  .max = GEN_MAX_FLOWS,
	  .help = "flows, by UDP source port (1)" },
	{ .name = "rate",
	  .kind = VIA_KEY_UINT,
	  .min = 0,
	  .max = 1000000000,
	  .help = "frames a second; 0 (the default): as fast as it can" },
	{ .name = "count",
	  .kind = VIA_KEY_UINT,
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "frames to send; 0 (the default): without end" },
	{ .name = "src_mac",
	  .kind = VIA_KEY_MAC,
	  .help = "source address; made from the port's name if not given" },
	{ .name = "dst_mac",
	  .kind = VIA_KEY_MAC,
	  .help = "destination address (ff:ff:ff:ff:ff:ff)" },
	{ .name = "csum",
	  .kind = VIA_KEY_CHOICE,
	  .choices = "off|partial",
	  .help = "UDP checksum: off (the default), or partial: left to who receives it" },
	{ .name = "gso",
	  .kind = VIA_KEY_UINT,
	  .min = 0,
	  .max = 9000,
	  .help = "payload bytes of a segment that frames are to be cut into; 0 (the default): "
		  "none; needs csum: partial" },
	{ .name = "send", .kind = VIA_KEY_SWITCH, .help = "off: only checks what comes (on)" },
	{ .name = "check",
	  .kind = VIA_KEY_SWITCH,
	  .help = "compare the payload of what comes (on)" },
	{ .name = NULL },
};

/* ---- the pattern ---- */

uint8_t gen_pattern_bytes[GEN_PATTERN_SIZE];

void gen_pattern_fill(void)
{
	uint64_t x = 1;

	if (gen_pattern_bytes[0])
		return; /* by an earlier gen: workers may read it already */
	for (uint32_t i = 0; i < GEN_PATTERN_SIZE; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		gen_pattern_bytes[i] = (uint8_t)(x >> 56) | (i == 0);
	}
}

/* ---- options ---- */

static int bad_size(const char *text, struct via_error *err)
{
	return via_fail(err, -EINVAL, "size is '%.80s'; it must be %s", text, SIZES_FORM);
}

static int parse_sizes(const char *text, uint32_t sizes[GEN_MAX_SIZES], uint32_t *n,
		       struct via_error *err)
{
	const char *at = text;

	for (*n = 0; *n < GEN_MAX_SIZES; at++) {
		char *end;
		unsigned long size = strtoul(at, &end, 10);

		if (*at < '0' || *at > '9' || size < GEN_MIN_SIZE || size > GEN_MAX_SIZE ||
		    (*end && *end != ','))
			return bad_size(text, err);
		sizes[(*n)++] = (uint32_t)size;
		at = end;
		if (*at == '\0')
			return 0;
	}
	return bad_size(text, err);
}

static bool is_sizes(const char *text)
{
	uint32_t sizes[GEN_MAX_SIZES], n;

	return parse_sizes(text, sizes, &n, NULL) == 0;
}

static uint64_t hash_name(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return hash;
}

static void choose_macs(const struct via_port_config *config, uint8_t src[6], uint8_t dst[6])
{
	uint64_t hash = hash_name(config->name);

	memset(dst, 0xff, 6);
	via_port_option_mac(config, "dst_mac", dst);
	src[0] = 0x02;
	src[1] = 'g';
	via_put_be32(src + 2, (uint32_t)(hash ^ hash >> 32));
	via_port_option_mac(config, "src_mac", src);
}

static int read_sender(struct gen_sender *s, const struct via_port_config *config,
		       struct via_error *err)
{
	uint64_t rate = via_port_option_uint(config, "rate", 0);
	uint32_t sizes[GEN_MAX_SIZES];
	uint8_t src[6], dst[6];
	int ret = parse_sizes(via_port_option(config, "size", "60"), sizes, &s->nr_templates, err);

	if (ret < 0)
		return ret;
	s->on = via_port_option_on(config, "send", true);
	s->partial_csum = strcmp(via_port_option(config, "csum", "off"), "partial") == 0;
	s->gso = (uint16_t)via_port_option_uint(config, "gso", 0);
	s->nr_flows = (uint32_t)via_port_option_uint(config, "flows", 1);
	s->count = via_port_option_uint(config, "count", 0);
	s->interval = rate ? 1e9 / (double)rate : 0;
	/* Another life of this port is another source: its sequence numbers start anew. */
	s->source = (uint32_t)(hash_name(config->name) ^ via_clock_us() * UINT64_C(0x9e3779b1));
	if (s->gso && s->gso < GEN_RECORD_SIZE)
		return via_fail(err, -EINVAL, "gso is %u; it must be 0, or %d to 9000", s->gso,
				GEN_RECORD_SIZE);
	if (s->gso && !s->partial_csum)
		return via_fail(err, -EINVAL, "gso needs csum: partial");
	choose_macs(config, src, dst);
	for (uint32_t i = 0; i < s->nr_templates; i++)
		gen_make_template(&s->template[i], s, sizes[i], dst, src);
	return 0;
}

/* ---- open, close ---- */

static void gen_destroy(struct via_port *port)
{
	struct gen *gen = gen_of(port);

	if (gen->sender.timer_fd >= 0)
		close(gen->sender.timer_fd);
	free(gen->sender.seq);
	free(gen->checker.flow);
	via_port_fini(port);
	free(gen);
}

static int gen_set_up(struct gen *gen, const struct via_port_config *config, struct via_error *err)
{
	const struct via_opener *opener = via_port_opener(config);
	struct gen_sender *s = &gen->sender;
	int ret = read_sender(s, config, err);

	if (ret < 0)
		return ret;
	gen->checker.payload = via_port_option_on(config, "check", true);
	gen->checker.flow = calloc(GEN_TABLE, sizeof(*gen->checker.flow));
	s->seq = calloc(s->nr_flows, sizeof(*s->seq));
	if (!gen->checker.flow || !s->seq)
		return via_fail(err, -ENOMEM, "no memory for %u flows", s->nr_flows);
	if (!s->on)
		return 0;
	s->timer_fd = opener->timer(opener->user, err);
	return s->timer_fd < 0 ? s->timer_fd : 0;
}

static int gen_open(struct via_port **port, const struct via_port_config *config,
		    struct via_error *err)
{
	int ret = via_port_check_options(&port_gen_ops, config->options, err);
	struct gen *gen;

	if (ret < 0)
		return ret;
	gen = aligned_alloc(VIA_CACHE_LINE, sizeof(*gen));
	if (!gen)
		return via_fail(err, -ENOMEM, "no memory for a port");
	memset(gen, 0, sizeof(*gen));
	gen->sender.timer_fd = -1;
	gen_pattern_fill();
	ret = via_port_init(&gen->port, &port_gen_ops, config, 1, err);
	if (ret == 0)
		ret = gen_set_up(gen, config, err);
	if (ret < 0) {
		gen_destroy(&gen->port);
		return ret;
	}
	gen->port.link = true;
	gen->last.at_us = via_clock_us();
	*port = &gen->port;
	return 0;
}

static void gen_close(struct via_port *port, void (*closed)(void *user), void *user)
{
	via_port_close_later(port, gen_destroy, closed, user);
}

/* ---- reports ---- */

static void report(const struct gen *gen, struct gen_report *to)
{
#define X(name, help) to->name = via_counter_read(&gen->counter.name);
	GEN_COUNTERS(X)
#undef X
}

void port_gen_report(struct via_port *port, struct gen_report *to)
{
	report(gen_of(port), to);
}

static void describe_rate(via_describe_fn *line, void *user, const char *key, uint64_t n,
			  uint64_t us)
{
	char text[32];

	snprintf(text, sizeof(text), "%.0f", (double)n * 1e6 / (double)us);
	line(user, key, text);
}

/* The rates are of the time since the last description, or since the port was opened. */
static void gen_describe(struct via_port *port, via_describe_fn *line, void *user)
{
	struct gen *gen = gen_of(port);
	const uint64_t now_us = via_clock_us();
	uint64_t us = now_us - gen->last.at_us;
	struct gen_report now;
	char text[32];

	report(gen, &now);
#define X(name, help)                                                       \
	snprintf(text, sizeof(text), "%llu", (unsigned long long)now.name); \
	line(user, #name, text);
	GEN_COUNTERS(X)
#undef X
	if (us == 0)
		us = 1;
	describe_rate(line, user, "sent_per_second", now.sent - gen->last.report.sent, us);
	describe_rate(line, user, "received_per_second", now.received - gen->last.report.received,
		      us);
	gen->last.at_us = now_us;
	gen->last.report = now;
}

static int gen_fd(struct via_port *port, uint32_t q)
{
	const struct gen_sender *s = &gen_of(port)->sender;

	(void)q;
	return s->on ? s->timer_fd : VIA_FD_NONE;
}

const struct via_port_ops port_gen_ops = {
	.type = "gen",
	.help = "generates traffic and checks what comes back",
	.keys = keys,
	.open = gen_open,
	.close = gen_close,
	.describe = gen_describe,
	.ingress_burst = gen_ingress,
	.ingress_release = gen_release,
	.ingress_fd = gen_fd,
	.arm = gen_arm,
	.disarm = gen_disarm,
	.egress_burst = gen_egress,
};
