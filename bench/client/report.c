/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "bench/client/client.h"

/* Frames that count: those that came, or those that went where none is to come. */
static uint64_t packets(const struct client_config *config, const struct client_count *count)
{
	return config->receives ? count->received + count->others : count->sent;
}

static uint64_t all_packets(const struct client_config *config, const struct client_result *result)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < config->nr_ports; i++)
		n += packets(config, &result->port[i]);
	return n;
}

static double idle_share(const struct client_result *r)
{
	return (double)r->idle_cycles / (double)(r->idle_cycles + r->busy_cycles);
}

static double busy_per_packet(const struct client_result *r, uint64_t n)
{
	return n ? (double)r->busy_cycles / (double)n : 0;
}

/* ---- JSON ---- */

static json_t *port_json(const struct client_config *config, const struct client_result *r,
			 uint32_t i)
{
	const struct client_count *count = &r->port[i];

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "socket", config->socket[i], "sent",
			 (json_int_t)count->sent, "received", (json_int_t)count->received, "others",
			 (json_int_t)count->others, "refused", (json_int_t)count->refused,
			 "sent_per_second", (double)count->sent / r->seconds, "received_per_second",
			 (double)count->received / r->seconds);
}

static void report_json(const struct client_config *config, const struct client_result *r)
{
	uint64_t n = all_packets(config, r);
	json_t *ports = json_array(), *all;

	for (uint32_t i = 0; i < config->nr_ports; i++)
		json_array_append_new(ports, port_json(config, r, i));
	all = json_pack("{s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:s, s:o}",
			"packets_per_second", (double)n / r->seconds, "bits_per_second",
			(double)n * (double)config->size * 8 / r->seconds, "lost",
			(json_int_t)r->lost, "idle_share", idle_share(r), "busy_cycles_per_packet",
			busy_per_packet(r, n), "cycles_per_second",
			(double)(r->idle_cycles + r->busy_cycles) / r->seconds, "seconds",
			r->seconds, "turns", (json_int_t)r->turns, "idle_turns",
			(json_int_t)r->idle_turns, "ring", config->packed ? "packed" : "split",
			"ports", ports);
	if (config->latency && r->lost == 0)
		json_object_set_new(all, "latency_us",
				    json_pack("{s:f, s:f, s:f, s:f}", "p50", r->latency_us[0],
					      "p99", r->latency_us[1], "p99.9", r->latency_us[2],
					      "max", r->latency_us[3]));
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

/* ---- text ---- */

static void report_text(const struct client_config *config, const struct client_result *r)
{
	uint64_t n = all_packets(config, r);

	printf("%.3f million packets a second (%" PRIu64 " bytes, %.2f Gbit/s, %.1f s)\n",
	       (double)n / r->seconds / 1e6, config->size,
	       (double)n * (double)config->size * 8 / r->seconds / 1e9, r->seconds);
	for (uint32_t i = 0; i < config->nr_ports; i++) {
		const struct client_count *count = &r->port[i];

		printf("  %s: sent %.3f, received %.3f million a second", config->socket[i],
		       (double)count->sent / r->seconds / 1e6,
		       (double)count->received / r->seconds / 1e6);
		if (count->refused)
			printf(", %" PRIu64 " not sent, as the ring was full", count->refused);
		if (count->others)
			printf(", %" PRIu64 " of others", count->others);
		putchar('\n');
	}
	printf("lost %" PRIu64 "; this client was idle for %.0f %% of the cycles and needed %.1f "
	       "for a packet\n",
	       r->lost, 100 * idle_share(r), busy_per_packet(r, n));
	if (config->latency && r->lost == 0)
		printf("latency: half of the frames took %.2f us, 99 %% %.2f, 99.9 %% %.2f, the "
		       "longest %.2f\n",
		       r->latency_us[0], r->latency_us[1], r->latency_us[2], r->latency_us[3]);
}

void client_report(const struct client_config *config, const struct client_result *result)
{
	if (config->json)
		report_json(config, result);
	else
		report_text(config, result);
}

int client_main(int argc, char *argv[], bool json)
{
	struct client_config config;
	struct client_result result;
	struct via_error err = { "" };

	if (client_parse(&config, argc, argv, &err) < 0) {
		fprintf(stderr, "viaduct: %s\n", err.text);
		return 2;
	}
	config.json = json;
	if (client_measure(&config, &result, &err) < 0) {
		fprintf(stderr, "viaduct: %s\n", err.text);
		return 1;
	}
	client_report(&config, &result);
	return 0;
}
