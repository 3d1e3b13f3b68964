/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon/rpc_connection.c, rpc.c: what a client may cost, how long it may take, and who finds a place. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/unix.h"
#include "rpc_rig.h"

static void a_line_without_end_is_refused_and_the_client_with_it(void **state)
{
	char bytes[4096];
	struct rig rig;
	json_t *answer;

	(void)state;
	rig_open(&rig);
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < RPC_MAX_LINE / 4096 + 1; i++) {
		assert_true(send(rig.sock, bytes, sizeof(bytes), 0) > 0);
		via_loop_turn(rig.d.loop, 10);
	}
	answer = json_loads(next_line(&rig, rig.sock), 0, NULL);
	assert_refused(answer, RPC_INVALID_REQUEST, "a request has at most 262144 bytes");
	for (int i = 0; i < 10; i++)
		via_loop_turn(rig.d.loop, 1);
	while (recv(rig.sock, bytes, sizeof(bytes), 0) > 0)
		;
	assert_true(recv(rig.sock, bytes, 1, 0) == 0 || errno == ECONNRESET);
	rig_close(&rig);
}

static void a_client_that_takes_no_answers_costs_a_bounded_amount(void **state)
{
	static const char request[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"help\"}\n";
	bool lost = false;
	struct rig rig;
	int sock;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 100);
	sock = connect_client(&rig);
	for (int i = 0; i < 3000 && !lost; i++) {
		lost = send(sock, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
		via_loop_turn(rig.d.loop, i < 2000 ? 0 : 10);
	}
	assert_true(lost);
	close(sock);
	call_done(&rig, "status", "");
	rig_close(&rig);
}

static void send_lines(int sock, const char *line, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(send(sock, line, strlen(line), 0), (ssize_t)strlen(line));
}

/* How many answers are there now. */
static int count_answers(int sock)
{
	char text[65536];
	int answers = 0;
	ssize_t n;

	while ((n = recv(sock, text, sizeof(text), 0)) > 0)
		for (ssize_t i = 0; i < n; i++)
			answers += text[i] == '\n';
	return answers;
}

static void many_requests_at_once_leave_others_their_turn(void **state) /* R18 */
{
	struct rig rig;
	int left = 60;

	(void)state;
	rig_open(&rig);
	send_lines(rig.sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n",
		   left);
	shutdown(rig.sock, SHUT_WR); /* and they are served to the last */
	for (int i = 0; i < MAX_TURNS && left; i++) {
		int n;

		via_loop_turn(rig.d.loop, 10);
		n = count_answers(rig.sock);
		assert_in_range(n, 0, RPC_TURN_LINES);
		left -= n;
	}
	assert_int_equal(left, 0);
	rig_close(&rig);
}

/* ---- deadlines ---- */

#define HALF       "{\"jsonrpc\": \"2.0\", "
#define OTHER_HALF "\"id\": 1, \"method\": \"port.list\"}\n"

static bool is_connected(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

static void turn_for(struct rig *rig, uint32_t ms)
{
	const uint64_t end = via_clock_us() + ms * UINT64_C(1000);

	do {
		via_loop_turn(rig->d.loop, 10);
	} while (via_clock_us() < end);
}

static void half_a_request_is_given_up_and_an_idle_client_is_not(void **state) /* R1 */
{
	struct rig rig;
	int half, idle;
	char byte;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 50);
	half = connect_client(&rig);
	idle = connect_client(&rig);
	send_lines(half, HALF, 1);
	for (int i = 0; i < MAX_TURNS && is_connected(half); i++)
		via_loop_turn(rig.d.loop, 10);
	assert_int_equal(recv(half, &byte, 1, 0), 0);
	send_lines(idle, HALF OTHER_HALF, 1);
	next_line(&rig, idle);
	close(half);
	close(idle);
	rig_close(&rig);
}

static void a_request_that_comes_byte_by_byte_is_given_up(void **state) /* R1 */
{
	struct rig rig;
	char byte;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 50);
	for (int i = 0; i < MAX_TURNS && is_connected(rig.sock); i++) {
		send_lines(rig.sock, "x", 1);
		via_loop_turn(rig.d.loop, 0);  /* reads it, */
		via_loop_turn(rig.d.loop, 10); /* and waits */
	}
	assert_int_equal(recv(rig.sock, &byte, 1, 0), 0);
	rig_close(&rig);
}

/* It always has the beginning of its next request here, also where the one before has no answer. */
static void a_client_that_pipelines_is_not_closed_while_it_is_served(void **state)
{
	static const char *const next[] = { OTHER_HALF HALF, "\"method\": \"status\"}\n" HALF };
	char byte;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(next); i++) {
		struct rig rig;

		rig_open(&rig);
		rpc_set_deadline(rig.d.rpc, 200);
		send_lines(rig.sock, HALF, 1);
		via_loop_turn(rig.d.loop, 0);
		rpc_set_deadline(rig.d.rpc, RPC_DEADLINE_MS);
		send_lines(rig.sock, next[i], 1);
		turn_for(&rig, 300);
		assert_int_equal(count_answers(rig.sock), i == 0);
		assert_true(is_connected(rig.sock));
		rpc_set_deadline(rig.d.rpc, 50); /* of what it does not go on with */
		send_lines(rig.sock, next[i], 1);
		turn_for(&rig, 10);
		assert_int_equal(count_answers(rig.sock), i == 0);
		for (int k = 0; k < MAX_TURNS && is_connected(rig.sock); k++)
			via_loop_turn(rig.d.loop, 10);
		assert_int_equal(recv(rig.sock, &byte, 1, 0), 0);
		rig_close(&rig);
	}
}

/* Says more than the kernel has room to answer. */
static int ask_for_much(struct rig *rig)
{
	static const char help[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"help\"}\n";
	int pair[2], small = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(rpc_add_client(rig->d.rpc, pair[0]), 0);
	send_lines(pair[1], help, RPC_TURN_LINES);
	return pair[1];
}

static void answers_that_are_taken_bit_by_bit_are_given_up(void **state) /* R1 */
{
	char bytes[1000]; /* less than the kernel's pieces, more than one of these in a deadline */
	int sock, answers = 0;
	ssize_t n = -1;
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 50);
	sock = ask_for_much(&rig);
	for (int i = 0; i < MAX_TURNS && n != 0; i++) {
		via_loop_turn(rig.d.loop, 10);
		n = recv(sock, bytes, sizeof(bytes), 0);
		for (ssize_t k = 0; k < n; k++)
			answers += bytes[k] == '\n';
	}
	assert_int_equal(n, 0);
	assert_in_range(answers, 0, RPC_TURN_LINES - 1);
	close(sock);
	rig_close(&rig);
}

/* Nothing of it is read before they have left, so it cannot be ended sooner. */
static void half_a_request_behind_answers_has_a_deadline_of_its_own(void **state)
{
	struct rig rig;
	int sock, answers;

	(void)state;
	rig_open(&rig);
	rpc_set_deadline(rig.d.rpc, 200);
	sock = ask_for_much(&rig);
	send_lines(sock, HALF, 1);
	via_loop_turn(rig.d.loop, 0);
	rpc_set_deadline(rig.d.rpc, RPC_DEADLINE_MS);
	answers = count_answers(sock);
	assert_in_range(answers, 0, RPC_TURN_LINES - 1); /* the others wait */
	for (int i = 0; i < MAX_TURNS && answers < RPC_TURN_LINES; i++) {
		via_loop_turn(rig.d.loop, 10);
		answers += count_answers(sock);
	}
	turn_for(&rig, 300);
	assert_true(is_connected(sock));
	send_lines(sock, OTHER_HALF, 1);
	next_line(&rig, sock);
	close(sock);
	rig_close(&rig);
}

/* ---- places ---- */

/* Of the rig's daemon, on a path of its own. */
static struct rpc *listen_at(struct rig *rig, char path[32], int *listen_fd)
{
	struct rpc *rpc;

	snprintf(path, 32, "/tmp/viaduct-rpc-%d", (int)getpid());
	*listen_fd = via_unix_listen(path, NULL);
	assert_true(*listen_fd >= 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(rpc_create(&rpc, &rig->d, *listen_fd, NULL, NULL), 0);
	return rpc;
}

/* Connects; returns whether it was served. */
static bool is_served(struct rig *rig, const char *path, int *sock)
{
	*sock = via_unix_connect(path, NULL);
	assert_true(*sock >= 0);
	send_lines(*sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n", 1);
	return !strstr(next_line(rig, *sock), "too many clients");
}

static void who_may_use_the_socket_cannot_shut_the_operator_out(void **state) /* R24 */
{
	int listen_fd, sock[RPC_MAX_CLIENTS], n = 0, operator;
	struct rpc *rpc;
	struct rig rig;
	char path[32];

	(void)state;
	if (geteuid() != 0)
		skip();
	rig_open(&rig);
	rpc = listen_at(&rig, path, &listen_fd);
	while (n < RPC_MAX_CLIENTS) {
		bool served;

		assert_int_equal(seteuid(65534), 0);
		sock[n] = via_unix_connect(path, NULL); /* remembered by the kernel: who */
		assert_int_equal(seteuid(0), 0);
		send_lines(sock[n], "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"help\"}\n", 1);
		served = !strstr(next_line(&rig, sock[n++]), "too many clients");
		if (!served)
			break;
	}
	assert_int_equal(n, RPC_MAX_CLIENTS - RPC_RESERVED + 1);
	assert_true(is_served(&rig, path, &operator));
	while (n > 0)
		close(sock[--n]);
	close(operator);
	rpc_free(rpc);
	close(listen_fd);
	unlink(path);
	rig_close(&rig);
}

static void without_descriptors_control_waits_instead_of_spinning(void **state) /* R24 */
{
	struct rlimit before, none;
	int listen_fd, sock, turns = 0;
	struct rpc *rpc;
	struct rig rig;
	char path[32];

	(void)state;
	rig_open(&rig);
	rpc = listen_at(&rig, path, &listen_fd);
	sock = via_unix_connect(path, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = via_clock_us() + 50000; via_clock_us() < end; turns++)
		via_loop_turn(rig.d.loop, 10); /* at most five, if nothing happens */
	assert_in_range(turns, 1, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	send_lines(sock, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.list\"}\n", 1);
	assert_non_null(strstr(next_line(&rig, sock), "sink")); /* and served in the end */
	close(sock);
	rpc_free(rpc);
	close(listen_fd);
	unlink(path);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_without_end_is_refused_and_the_client_with_it),
		cmocka_unit_test(a_client_that_takes_no_answers_costs_a_bounded_amount),
		cmocka_unit_test(many_requests_at_once_leave_others_their_turn),
		cmocka_unit_test(half_a_request_is_given_up_and_an_idle_client_is_not),
		cmocka_unit_test(a_request_that_comes_byte_by_byte_is_given_up),
		cmocka_unit_test(a_client_that_pipelines_is_not_closed_while_it_is_served),
		cmocka_unit_test(answers_that_are_taken_bit_by_bit_are_given_up),
		cmocka_unit_test(half_a_request_behind_answers_has_a_deadline_of_its_own),
		cmocka_unit_test(who_may_use_the_socket_cannot_shut_the_operator_out),
		cmocka_unit_test(without_descriptors_control_waits_instead_of_spinning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
