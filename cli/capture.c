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

static bool parse(int argc, char *argv[], struct request *request)
{
	*request = (struct request){ .port = argv[0], .snaplen = 65535 };
	for (int i = 1; i < argc; i++) {
		char *end;

		if (strcmp(argv[i], "-w") == 0 && i + 1 < argc) {
			request->file = argv[++i];
			continue;
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

static bool copy_some(int from, int to)
{
	char bytes[65536];
	ssize_t got = read(from, bytes, sizeof(bytes));

	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t done = 0; done < got;) {
		ssize_t n = write(to, bytes + done, (size_t)(got - done));

		if (n < 0 && errno != EINTR)
			return false;
		done += n < 0 ? 0 : n;
	}
	return got > 0;
}

/* Until the reader or the writer has gone, or somebody interrupts. */
static void carry(int from, int to)
{
	struct pollfd fds[2] = { { .fd = from, .events = POLLIN }, { .fd = to, .events = 0 } };

	while (!interrupted) {
		fds[0].revents = fds[1].revents = 0;
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents & (POLLERR | POLLHUP))
			return; /* nobody reads our output any more */
		if (fds[0].revents && !copy_some(from, to))
			return;
	}
}

static enum cli_status capture(struct cli *cli, const struct request *request, int out)
{
	const struct sigaction action = { .sa_handler = on_signal };
	json_t *answer;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cli_fail(CLI_FAILED, "pipe: %s", strerror(errno));
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* as much as is allowed without privileges */
	answer = cli_ask_with_fd(
		cli, "capture.start",
		json_pack("{s:s, s:i}", "port", request->port, "snaplen", (int)request->snaplen),
		ends[1]);
	close(ends[1]);
	if (!answer) {
		close(ends[0]);
		return CLI_FAILED;
	}
	json_decref(answer);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	carry(ends[0], out);
	answer = cli_ask(cli, "capture.stop", NULL);
	while (copy_some(ends[0], out)) /* what was still in the pipe */
		;
	close(ends[0]);
	if (!answer)
		return CLI_FAILED;
	fprintf(stderr, "viaduct: %lld frames captured, %lld lost\n", cli_number(answer, "frames"),
		cli_number(answer, "lost"));
	json_decref(answer);
	return CLI_OK;
}

enum cli_status cli_capture(struct cli *cli, int argc, char *argv[])
{
	struct request request;
	enum cli_status status;
	int out = STDOUT_FILENO;

	if (!parse(argc, argv, &request))
		return CLI_USAGE;
	if (!request.file && isatty(STDOUT_FILENO))
		return cli_fail(CLI_USAGE,
				"a terminal cannot show pcap; use: viaduct capture %s | "
				"tcpdump -n -r -   or: viaduct capture %s -w FILE",
				request.port, request.port);
	if (request.file)
		out = open(request.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		return cli_fail(CLI_FAILED, "cannot write '%s': %s", request.file, strerror(errno));
	status = capture(cli, &request, out);
	if (request.file)
		close(out);
	return status;
}
