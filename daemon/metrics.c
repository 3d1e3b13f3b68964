/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prometheus' text format. Every metric is a row of a table; directions are the switch's: 'receive'
 * is what the switch received from the port.
 */
#include "daemon/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static const struct port_metric {
	const char *name, *direction, *key, *help;
} port_metrics[] = {
	{ "viaduct_port_receive_packets_total", "receive", "packets",
	  "Packets that the switch received from the port." },
	{ "viaduct_port_receive_bytes_total", "receive", "bytes",
	  "Bytes of frames that the switch received from the port; a segmentation-offload frame "
	  "counts once." },
	{ "viaduct_port_transmit_packets_total", "transmit", "packets",
	  "Packets that the switch sent to the port." },
	{ "viaduct_port_transmit_bytes_total", "transmit", "bytes",
	  "Bytes of frames that the switch sent to the port." },
	{ "viaduct_port_transmit_checksums_total", "transmit", "csum",
	  "Checksums that the switch filled in for the port." },
	{ "viaduct_port_transmit_segments_total", "transmit", "segments",
	  "Segments that the switch cut for the port." },
};

static const struct worker_metric {
	const char *name, *key, *help;
	double scale; /* base units in one of ours */
} worker_metrics[] = {
	{ "viaduct_worker_busy_seconds_total", "busy_us", "Time that the worker moved packets.",
	  1e-6 },
	{ "viaduct_worker_packets_total", "packets", "Packets that the worker took in.", 1 },
	{ "viaduct_worker_wakeups_total", "wakeups", "How often the worker was woken.", 1 },
	{ "viaduct_worker_sleeps_total", "sleeps", "How often the worker went to sleep.", 1 },
};

/* Names of ports need no escapes (their alphabet has none); types neither. */
static void port_labels(FILE *out, const json_t *port)
{
	fprintf(out, "{port=\"%s\",type=\"%s\"", json_string_value(json_object_get(port, "name")),
		json_string_value(json_object_get(port, "type")));
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void write_port_metric(FILE *out, const struct port_metric *metric, const json_t *ports)
{
	const json_t *port;
	size_t i;

	head(out, metric->name, "counter", metric->help);
	json_array_foreach(ports, i, port)
	{
		fputs(metric->name, out);
		port_labels(out, port);
		fprintf(out, "} %lld\n",
			number(json_object_get(port, metric->direction), metric->key));
	}
}

static void write_drops(FILE *out, const char *name, const char *direction, const json_t *ports,
			const char *help)
{
	const char *reason;
	json_t *port, *count;
	size_t i;

	head(out, name, "counter", help);
	json_array_foreach(ports, i, port)
	{
		json_t *drops = json_object_get(json_object_get(port, direction), "drops");

		json_object_foreach(drops, reason, count)
		{
			fputs(name, out);
			port_labels(out, port);
			fprintf(out, ",reason=\"%s\"} %lld\n", reason,
				(long long)json_integer_value(count));
		}
	}
}

static void write_ports(FILE *out, const json_t *ports)
{
	const json_t *port;
	size_t i;

	for (size_t m = 0; m < ARRAY_SIZE(port_metrics); m++)
		write_port_metric(out, &port_metrics[m], ports);
	write_drops(out, "viaduct_port_receive_drops_total", "receive", ports,
		    "Packets from the port that were dropped, by reason; absent until it occurs.");
	write_drops(out, "viaduct_port_transmit_drops_total", "transmit", ports,
		    "Packets to the port that were dropped, by reason; absent until it occurs.");
	head(out, "viaduct_port_up", "gauge", "1 if the port has a peer and a queue that runs.");
	json_array_foreach(ports, i, port)
	{
		fputs("viaduct_port_up", out);
		port_labels(out, port);
		fprintf(out, "} %d\n", json_is_true(json_object_get(port, "link")));
	}
}

static void write_workers(FILE *out, const json_t *workers)
{
	const json_t *worker;
	size_t i;

	for (size_t m = 0; m < ARRAY_SIZE(worker_metrics); m++) {
		const struct worker_metric *metric = &worker_metrics[m];

		head(out, metric->name, "counter", metric->help);
		json_array_foreach(workers, i, worker)
			fprintf(out, "%s{worker=\"%zu\"} %.15g\n", metric->name, i,
				(double)number(worker, metric->key) * metric->scale);
	}
}

static void write_switch(FILE *out, const json_t *status, const json_t *counters)
{
	const char *name;
	json_t *value;

	head(out, "viaduct_switch_events_total", "counter",
	     "Counters of the switch as a whole, by name.");
	/* The cast is for jansson's iterator, which does not write. */
	json_object_foreach((json_t *)(uintptr_t)counters, name, value)
	{
		if (strcmp(name, "fdb_entries") != 0) /* a gauge, below */
			fprintf(out, "viaduct_switch_events_total{event=\"%s\"} %lld\n", name,
				(long long)json_integer_value(value));
	}
	head(out, "viaduct_fdb_entries", "gauge", "MAC addresses that the switch knows.");
	fprintf(out, "viaduct_fdb_entries %lld\n", number(status, "fdb_entries"));
	head(out, "viaduct_uptime_seconds", "gauge", "Time since the data process started.");
	fprintf(out, "viaduct_uptime_seconds %lld\n", number(status, "uptime_s"));
	head(out, "viaduct_build_info", "gauge", "The version, as a label.");
	fprintf(out, "viaduct_build_info{version=\"%s\"} 1\n",
		json_string_value(json_object_get(status, "version")));
}

char *metrics_text(const json_t *status, const json_t *stats)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_ports(out, json_object_get(stats, "ports"));
	write_workers(out, json_object_get(status, "workers"));
	write_switch(out, status, json_object_get(stats, "switch"));
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
