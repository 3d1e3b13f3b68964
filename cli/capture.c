/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capturing: viaductd writes pcap into a pipe of ours (never into our terminal or file, which it could
 * not write to without waiting), and we carry it on. Ends with Ctrl-C, or when nobody reads any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct request {
	const char *port, *file;
	long snaplen;
};

/* How carrying ended. */
enum end { END_OF_CAPTURE, END_OF_READER, END_BY_SIGNAL, END_BY_ERROR };

static bool parse(int argc, char *argv[], struct request *request)
{
	*request = (struct request){ .port = argv[0], .snaplen = 65535 };
	for (int i = 1; i < argc; i++) {
		char *end;

		if (strcmp(argv[i], "-w") == 0 && i + 1 < argc) {
			request->file = argv[++i];
			continue;
		}
		if (strcmp(argv[i], "-w") == 0) {
			cli_fail(CLI_USAGE, "a file must follow '-w'");
			return false;
		}
		request->snaplen = strtol(argv[i], &end, 10);
		if (*end || request->snaplen < 14 || request->snaplen > 65589) {
			cli_fail(
				CLI_USAGE,
				"'%s' is no number of bytes from 14 to 65589; it is: viaduct capture "
				"PORT|all [-w FILE] [SNAPLEN]",
				argv[i]);
			return false;
		}
	}
	return true;
}

static enum end write_all(int to, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(to, bytes, size);

		if (n < 0 && errno == EINTR && interrupted)
			return END_OF_READER; /* it has stopped reading, and we are told to end */
		if (n < 0 && errno != EINTR)
			return errno == EPIPE ? END_OF_READER : END_BY_ERROR;
		bytes += n < 0 ? 0 : n;
		size -= n < 0 ? 0 : (size_t)n;
	}
	return END_OF_CAPTURE;
}

/* Returns false with '*end' at the end. */
static bool copy_some(int from, int to, enum end *end)
{
	char bytes[65536];
	ssize_t got = read(from, bytes, sizeof(bytes));

	*end = END_OF_CAPTURE;
	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (got > 0)
		*end = write_all(to, bytes, (size_t)got);
	return got > 0 && *end == END_OF_CAPTURE;
}

/* Until the reader or the writer has gone, or somebody interrupts. */
static enum end carry(int from, int to)
{
	struct pollfd fds[2] = { { .fd = from, .events = POLLIN }, { .fd = to, .events = 0 } };
	enum end end;

	while (!interrupted) {
		fds[0].revents = fds[1].revents = 0;
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents & (POLLERR | POLLHUP))
			return END_OF_READER;
		if (fds[0].revents && !copy_some(from, to, &end))
			return end;
	}
	return END_BY_SIGNAL;
}

/* Begins a capture. Returns the end of a pipe to read it from, or -1 after having said why not. */
static int start(struct cli *cli, const struct request *request)
{
	json_t *answer;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0) {
		cli_fail(CLI_FAILED, "pipe: %s", strerror(errno));
		return -1;
	}
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* as much as is allowed without privileges */
	answer = cli_ask_with_fd(
		cli, "capture.start",
		json_pack("{s:s, s:i}", "port", request->port, "snaplen", (int)request->snaplen),
		ends[1]);
	close(ends[1]);
	if (!answer) {
		close(ends[0]);
		return -1;
	}
	json_decref(answer);
	return ends[0];
}

static enum cli_status write_failed(const char *file)
{
	return cli_fail(CLI_FAILED, "cannot write to '%s': %s", file ? file : "standard output",
			strerror(errno));
}

/* Ends the capture, carries on what is still in the pipe, and says how many frames there were. */
static enum cli_status finish(struct cli *cli, int from, int to, const char *file, enum end *end)
{
	json_t *answer = cli_ask(cli, "capture.stop", NULL);

	while (*end == END_BY_SIGNAL && copy_some(from, to, end))
		*end = END_BY_SIGNAL;
	if (!answer)
		return CLI_FAILED;
	if (*end == END_BY_ERROR) {
		json_decref(answer);
		return write_failed(file);
	}
	fprintf(stderr, "viaduct: %lld frames captured, %lld lost\n", cli_number(answer, "frames"),
		cli_number(answer, "lost"));
	if (cli->json)
		return cli_print_json(answer);
	json_decref(answer);
	return CLI_OK;
}

static enum cli_status capture(struct cli *cli, int from, int to, const char *file)
{
	const struct sigaction action = { .sa_handler = on_signal };
	enum end end;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	end = carry(from, to);
	if (end == END_BY_ERROR)
		return write_failed(file);
	if (end == END_OF_CAPTURE)
		return cli_fail(CLI_FAILED, "the capture has ended: its port was closed, or "
					    "viaductd ended");
	return finish(cli, from, to, file, &end);
}

enum cli_status cli_capture(struct cli *cli, int argc, char *argv[])
{
	struct request request;
	enum cli_status status;
	int from, out = STDOUT_FILENO;

	if (!parse(argc, argv, &request))
		return CLI_USAGE;
	if (!request.file && isatty(STDOUT_FILENO))
		return cli_fail(CLI_USAGE,
				"a terminal cannot show pcap; use: viaduct capture %s | "
				"tcpdump -n -r -   or: viaduct capture %s -w FILE",
				request.port, request.port);
	if (!request.file && cli->json)
		return cli_fail(CLI_USAGE, "pcap goes to standard output; -j needs -w FILE");
	/* First, so that a capture that is refused leaves an earlier file alone. */
	from = start(cli, &request);
	if (from < 0)
		return CLI_FAILED;
	if (request.file)
		out = open(request.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		status = cli_fail(CLI_FAILED, "cannot write '%s': %s", request.file,
				  strerror(errno));
	else
		status = capture(cli, from, out, request.file);
	close(from);
	if (request.file && out >= 0)
		close(out);
	return status;
}
