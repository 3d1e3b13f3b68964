/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viaduct-exporter: Prometheus' metrics over HTTP, from the control API.
 *
 * A process of its own, so that no HTTP parser sits beside the rings. The broker starts it with the
 * listening socket; started by hand it serves a socket of another's making just as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/metrics.h"
#include "daemon/privileges.h"
#include "daemon/rpc_client.h"
#include "daemon/sandbox.h"

#define MAX_CONNECTIONS 16
#define TIMEOUT_S       10

struct exporter {
	const char *control;
};

/* The whole text, or NULL with the reason. A connection each time: the data process may be another
 * one by now. */
static char *collect(const struct exporter *exporter, struct via_error *err)
{
	struct rpc_caller caller;
	json_t *status = NULL, *stats = NULL;
	char *text = NULL;

	if (rpc_connect(&caller, exporter->control, err) < 0)
		return NULL;
	if (rpc_call_method(&caller, "status", NULL, -1, &status, err) == 0 &&
	    rpc_call_method(&caller, "stats", NULL, -1, &stats, err) == 0) {
		text = metrics_text(status, stats);
		if (!text)
			via_fail(err, -ENOMEM, "no memory");
	}
	json_decref(status);
	json_decref(stats);
	rpc_disconnect(&caller);
	return text;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result ret;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				status == MHD_HTTP_OK ? "text/plain; version=0.0.4; charset=utf-8"
						      : "text/plain; charset=utf-8");
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned int status,
			   const char *sentence)
{
	char *text = NULL;

	return asprintf(&text, "%s\n", sentence) < 0 ? MHD_NO : answer(connection, status, text);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct via_error err;
	char *text;

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)context;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	if (strcmp(url, "/") == 0)
		return say(connection, MHD_HTTP_OK, "viaduct: metrics are at /metrics");
	if (strcmp(url, "/metrics") != 0)
		return say(connection, MHD_HTTP_NOT_FOUND, "metrics are at /metrics");
	text = collect(user, &err);
	if (!text)
		return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, err.text);
	return answer(connection, MHD_HTTP_OK, text);
}

/* Its own system calls: those of libmicrohttpd, and of asking the data process. */
static const struct via_need needs[] = {
	VIA_NEED("accept4", "Prometheus connects"),
	VIA_NEED("brk", "memory"),
	VIA_NEED("clock_gettime", "connections that say nothing end"),
	VIA_NEED("close", "connections end"),
	VIA_NEED("connect", "to the control socket"),
	VIA_NEED("epoll_ctl", "connections come and go"),
	VIA_NEED("epoll_wait", "requests"),
	VIA_NEED("exit_group", "the end"),
	VIA_NEED("fcntl", "connections are made not to block"),
	VIA_NEED("futex", "locks"),
	VIA_NEED("getsockopt", "what became of a connection"),
	VIA_NEED("lseek", "reading the answer of the data process"),
	VIA_NEED("madvise", "memory goes back"),
	VIA_NEED_UNDER("mmap", 2, PROT_EXEC, 0, "memory, not executable"),
	VIA_NEED_UNDER("mprotect", 2, PROT_EXEC, 0, "likewise"),
	VIA_NEED("munmap", "memory goes"),
	VIA_NEED_IS("newfstatat", 3, AT_EMPTY_PATH, "how to read from a descriptor"),
	VIA_NEED("fstat", "likewise"),
	VIA_NEED("poll", "waiting for the data process"),
	VIA_NEED("read", "its answer"),
	VIA_NEED("recvfrom", "requests"),
	VIA_NEED("recvmsg", "requests"),
	VIA_NEED("restart_syscall", "the kernel goes on with a call that SIGSTOP interrupted"),
	VIA_NEED("sendmsg", "answers"),
	VIA_NEED("sendto", "answers"),
	VIA_NEED("setsockopt", "answers are sent at once"),
	VIA_NEED("shutdown", "connections end"),
	VIA_NEED_IS("socket", 0, AF_UNIX, "to the control socket"),
	VIA_NEED("write", "complaints to stderr"),
	VIA_NEED("writev", "answers"),
	VIA_NEEDS_END,
};

static int restrict_self(struct via_error *err)
{
	static const struct via_need *const lists[] = { needs, build_needs, NULL };
	int ret = 0;

	/* Each reads a file the first time. */
	json_object_seed(0);
	tzset();
	if (!build_opens_files)
		ret = sandbox_close_files(err);
	return ret < 0 ? ret : sandbox_limit_calls(lists, err);
}

/* Of one thread. SIGTERM ends it: there is nothing to finish. */
static int serve(struct exporter *exporter, int fd)
{
	struct via_error err;
	struct MHD_Daemon *httpd;

	signal(SIGPIPE, SIG_IGN);
	httpd = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, exporter,
				 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				 (unsigned int)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned int)TIMEOUT_S, MHD_OPTION_END);
	if (!httpd) {
		fprintf(stderr, "viaduct-exporter: cannot serve descriptor %d\n", fd);
		return EXIT_FAILURE;
	}
	if (restrict_self(&err) < 0) {
		fprintf(stderr, "viaduct-exporter: %s\n", err.text);
		return EXIT_FAILURE;
	}
	while (MHD_run_wait(httpd, -1) == MHD_YES)
		;
	return EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
	static const struct option table[] = { { "fd", required_argument, NULL, 'f' },
					       { "socket", required_argument, NULL, 's' },
					       { NULL, 0, NULL, 0 } };
	struct exporter exporter = { 0 };
	struct via_error err;
	int c, fd = -1;

	while ((c = getopt_long(argc, argv, "s:", table, NULL)) != -1) {
		if (c == 'f')
			fd = atoi(optarg);
		else if (c == 's')
			exporter.control = optarg;
		else
			return EXIT_FAILURE;
	}
	if (fd < 0 || !exporter.control) {
		fputs("viaduct-exporter: started by viaductd; by hand: viaduct-exporter --fd N "
		      "-s CONTROL, with N a listening socket\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (privileges_drop(&err) < 0) {
		fprintf(stderr, "viaduct-exporter: %s\n", err.text);
		return EXIT_FAILURE;
	}
	return serve(&exporter, fd);
}
