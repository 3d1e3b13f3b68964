/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon/sandbox*.c, calls.c: what the data process may do, and that all else ends it. Each case is a child
 * that restricts itself. The lists are those of a plain build, whatever this one is made with.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "daemon/sandbox.h"
#include "tests/test.h"

#define MOST_CALLS 30 /* of a data process: issue 4 */

static const struct via_need *const *plain_calls(void)
{
	static const struct via_need *lists[32];
	size_t n = 0;

	for (const struct via_need *const *list = data_calls(); *list; list++)
		if (*list != build_needs)
			lists[n++] = *list;
	lists[n] = NULL;
	return lists;
}

static void limit(const struct via_need *const *lists)
{
	struct via_error err;

	/* Without privileges it needs this, as privileges_drop() does. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    sandbox_limit_calls(lists, &err) != (int)calls_count(lists))
		_exit(99);
}

/* How a child ends that runs 'act', whose answer is its exit code. */
static int end_of(int (*act)(const void *user), const void *user)
{
	pid_t child = fork();
	int how;

	assert_true(child >= 0);
	if (child == 0)
		_exit(act(user));
	assert_int_equal(waitpid(child, &how, 0), child);
	return how;
}

static void assert_killed(const char *what, int how)
{
	if (!WIFSIGNALED(how) || WTERMSIG(how) != SIGSYS)
		fail_msg("%s: ended with %x instead of SIGSYS", what, how);
}

/* ---- what is forbidden ---- */

struct call {
	const char *what;
	long number, args[6];
};

static const struct sockaddr_in somewhere = { .sin_family = AF_INET };
static char *const no_words[] = { NULL };

#define ADDRESS(p) ((long)(uintptr_t)(p))

static const struct call forbidden[] = {
	{ "open a file", SYS_openat, { AT_FDCWD, ADDRESS("/etc/passwd"), O_RDONLY } },
	{ "open a file, the old way", SYS_open, { ADDRESS("/etc/passwd"), O_RDONLY } },
	{ "open a file, the new way", SYS_openat2, { AT_FDCWD, ADDRESS("/etc/passwd") } },
	{ "create a file", SYS_creat, { ADDRESS("/tmp/viaduct-sandbox"), 0600 } },
	{ "open a file by its handle", SYS_open_by_handle_at, { AT_FDCWD, 0, O_RDONLY } },
	{ "look at a file", SYS_newfstatat, { AT_FDCWD, ADDRESS("/"), 0, 0 } },
	{ "look at a file by its path", SYS_statx, { AT_FDCWD, ADDRESS("/"), 0, 0xfff, 0 } },
	{ "look at a file's inode", SYS_fstat, { 0, 0 } },
	{ "list a folder", SYS_getdents64, { 0, 0, 0 } },
	{ "remove a file", SYS_unlinkat, { AT_FDCWD, ADDRESS("/tmp/viaduct-sandbox"), 0 } },
	{ "rename a file", SYS_rename, { ADDRESS("/tmp/viaduct-sandbox"), ADDRESS("/tmp/x") } },
	{ "make a memory file", SYS_memfd_create, { ADDRESS("x"), 0 } },
	{ "truncate a file", SYS_ftruncate, { 0, 0 } },
	{ "start a program", SYS_execve, { ADDRESS("/bin/true"), ADDRESS(no_words), 0 } },
	{ "start a program by descriptor", SYS_execveat, { 0, ADDRESS(""), 0, 0, AT_EMPTY_PATH } },
	{ "make a process", SYS_clone, { SIGCHLD } },
	{ "make a process or thread", SYS_clone3, { 0, 0 } },
	{ "make a socket", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "make a socket of the network", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "make a netlink socket", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	{ "connect", SYS_connect, { 0, ADDRESS(&somewhere), sizeof(somewhere) } },
	{ "bind", SYS_bind, { 0, ADDRESS(&somewhere), sizeof(somewhere) } },
	{ "listen", SYS_listen, { 0, 1 } },
	{ "look into another process", SYS_ptrace, { PTRACE_TRACEME } },
	{ "read another process", SYS_process_vm_readv, { 1, 0, 0, 0, 0, 0 } },
	{ "take another's descriptor", SYS_pidfd_getfd, { 0, 0, 0 } },
	{ "signal another process", SYS_kill, { 1, 0 } },
	{ "signal another's thread", SYS_tgkill, { 1, 1, 0 } },
	{ "map executable memory",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "map writable and executable memory",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0 } },
	{ "make memory executable", SYS_mprotect, { 0, 4096, PROT_EXEC } },
	{ "make memory executable with a key", SYS_pkey_mprotect, { 0, 4096, PROT_EXEC, -1 } },
	{ "map System V memory", SYS_shmat, { 0, 0, 0 } },
	{ "change personality", SYS_personality, { 0 } },
	{ "set up io_uring, which makes calls of its own", SYS_io_uring_setup, { 1, 0 } },
	{ "load a program into the kernel", SYS_bpf, { 0, 0, 0 } },
	{ "watch the machine", SYS_perf_event_open, { 0, 0, -1, -1, 0 } },
	{ "handle page faults", SYS_userfaultfd, { 0 } },
	{ "leave a namespace", SYS_unshare, { 0 } },
	{ "mount", SYS_mount, { 0, 0, 0, 0, 0 } },
	{ "change the process's state", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "become another user", SYS_setuid, { 0 } },
	{ "set capabilities", SYS_capset, { 0, 0 } },
	{ "an ioctl of terminals", SYS_ioctl, { 0, TIOCSTI, ADDRESS("x") } },
	{ "attach a TAP", SYS_ioctl, { 0, TUNSETIFF, 0 } },
	{ "a lease on a file", SYS_fcntl, { 0, F_SETLEASE, F_WRLCK } },
	{ "own the signals of a descriptor", SYS_fcntl, { 0, F_SETOWN, 1 } },
};

static int make_call(const void *user)
{
	const struct call *call = user;
	const long *a = call->args;

	limit(plain_calls());
	syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return 0;
}

static void what_is_not_listed_ends_the_process(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
		assert_killed(forbidden[i].what, end_of(make_call, &forbidden[i]));
}

static atomic_bool may_open;

static void *open_later(void *user)
{
	(void)user;
	while (!atomic_load(&may_open))
		;
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
	_exit(0);
}

static int limit_beside_a_thread(const void *user)
{
	pthread_t thread;

	(void)user;
	if (pthread_create(&thread, NULL, open_later, NULL) != 0)
		return 99;
	limit(plain_calls());
	atomic_store(&may_open, true);
	for (;;)
		poll(NULL, 0, 1000);
}

static void threads_that_are_there_already_are_limited_as_well(void **state)
{
	(void)state;
	assert_killed("a thread", end_of(limit_beside_a_thread, NULL));
}

/* ---- what is allowed ---- */

static int do_what_is_needed(const void *user)
{
	const int *fds = user;
	struct stat st;
	uint64_t n = 1;
	char byte = 1;
	void *at;
	int fd;

	limit(data_calls()); /* what this build's runtime does on the way is none of our business */
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0 || write(fd, &n, sizeof(n)) < 0 || read(fd, &n, sizeof(n)) < 0)
		return 1;
	if (fcntl(fd, F_DUPFD_CLOEXEC, 3) < 0 || close(fd) < 0 || via_fstat(fds[0], &st) < 0)
		return 2;
	if (via_send(fds[0], &byte, 1, MSG_NOSIGNAL) != 1 || via_recv(fds[1], &byte, 1, 0) != 1)
		return 3;
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	if (at == MAP_FAILED || munmap(at, 4096) < 0 || poll(NULL, 0, 1) < 0)
		return 4;
	if (fcntl(fds[2], F_GET_SEALS) < 0 || ioctl(fds[2], TUNGETIFF, NULL) == 0)
		return 5;
	if (!build_opens_files &&
	    (syscall(SYS_mremap, at, 4096, 8192, 0, NULL) >= 0 || errno != ENOMEM))
		return 6;
	return 42;
}

static void what_is_listed_works(void **state)
{
	int how, fds[3];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fds[2] = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fds[2], 4096), 0);
	how = end_of(do_what_is_needed, fds);
	assert_true(WIFEXITED(how));
	assert_int_equal(WEXITSTATUS(how), 42);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void the_list_is_short(void **state)
{
	(void)state;
	assert_in_range(calls_count(plain_calls()), 20, MOST_CALLS);
}

static void every_call_has_a_reason(void **state)
{
	(void)state;
	for (const struct via_need *const *list = plain_calls(); *list; list++)
		for (const struct via_need *need = *list; need->call; need++)
			assert_true(need->why && strlen(need->why) > 3);
}

/* ---- files ---- */

static int open_after_closing(const void *user)
{
	struct via_error err;
	int listener, abi = sandbox_close_files(&err);

	(void)user;
	if (abi <= 0)
		return abi == 0 ? 77 : 99;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 1;
	if (open("/tmp/viaduct-sandbox", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		return 2;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (abi >= 4 &&
	    (bind(listener, (const struct sockaddr *)&somewhere, sizeof(somewhere)) == 0 ||
	     errno != EACCES))
		return 3;
	/* Signals to processes outside: to who made us. */
	if (abi >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM))
		return 4;
	return 42;
}

static void no_file_can_be_opened_even_without_the_filter(void **state)
{
	int how = end_of(open_after_closing, NULL);

	(void)state;
	assert_true(WIFEXITED(how));
	if (WEXITSTATUS(how) == 77) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(how), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_listed_ends_the_process),
		cmocka_unit_test(threads_that_are_there_already_are_limited_as_well),
		cmocka_unit_test(what_is_listed_works),
		cmocka_unit_test(the_list_is_short),
		cmocka_unit_test(every_call_has_a_reason),
		cmocka_unit_test(no_file_can_be_opened_even_without_the_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
