/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/mem/guard.c: R7, HX-16 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/base.h"
#include "mem/mem.h"
#include "tests/memfd.h"
#include "tests/test.h"

#define SIZE (64 * KIB)

/* The application's own handler, there before ours. */
static sigjmp_buf escape;

static void on_foreign_fault(int signal)
{
	(void)signal;
	siglongjmp(escape, 1);
}

/* ---- handlers that were there before, each in a process of its own ---- */

#define CAUGHT 7

static void on_foreign_info(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_addr) /* exit() in a handler: nothing of this process was interrupted */
		exit(CAUGHT);
}

static void fault(void)
{
	int fd = test_memfd(4096, 0);
	const volatile uint8_t *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	if (ftruncate(fd, 0) == 0)
		(void)*at;
}

static void get_signal(void)
{
	raise(SIGBUS);
}

/* A fault that the kernel tells of without repeating the access. */
static void tell_of_fault(int code, void *at)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = code };

	info.si_addr = at;
	syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &info);
}

static void get_fault(void)
{
	struct sigaction now;

	tell_of_fault(BUS_ADRALN, NULL);
	sigaction(SIGBUS, NULL, &now);
	if (now.sa_handler == SIG_DFL)
		exit(CAUGHT);
}

static struct {
	const char *what;
	struct sigaction handler;
	void (*provoke)(void);
	int exits, signal; /* how the process must end */
	int ended;         /* how it has */
} lives[] = {
	{ "a fault ends it", { .sa_handler = SIG_DFL }, fault, 0, SIGBUS, 0 },
	{ "a fault cannot be ignored", { .sa_handler = SIG_IGN }, fault, 0, SIGBUS, 0 },
	{ "the next one ends it", { .sa_handler = SIG_IGN }, get_fault, CAUGHT, 0, 0 },
	{ "a signal ends it", { .sa_handler = SIG_DFL }, get_signal, 0, SIGBUS, 0 },
	{ "a signal may be ignored", { .sa_handler = SIG_IGN }, get_signal, 0, 0, 0 },
	{ "a handler is told where",
	  { .sa_sigaction = on_foreign_info, .sa_flags = SA_SIGINFO },
	  fault,
	  CAUGHT,
	  0,
	  0 },
};

/* Before the handler is installed here: it is installed once in a process. */
static void live(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			sigaction(SIGBUS, &lives[i].handler, NULL);
			via_guard_install(NULL);
			lives[i].provoke();
			exit(0);
		}
		waitpid(pid, &lives[i].ended, 0);
	}
}

static void who_handled_faults_before_still_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
		print_message("%s\n", lives[i].what);
		if (lives[i].signal) {
			assert_true(WIFSIGNALED(lives[i].ended));
			assert_int_equal(WTERMSIG(lives[i].ended), lives[i].signal);
		} else {
			assert_true(WIFEXITED(lives[i].ended));
			assert_int_equal(WEXITSTATUS(lives[i].ended), lives[i].exits);
		}
	}
}

/* ---- in this process ---- */

static struct sigaction guard;

static int install(void **state)
{
	(void)state;
	live();
	signal(SIGBUS, on_foreign_fault);
	return via_guard_install(NULL) || via_guard_install(NULL) ||
	       sigaction(SIGBUS, NULL, &guard);
}

/* cmocka puts its own handler there before each case. */
static void handle_faults(void **state)
{
	(void)state;
	assert_int_equal(sigaction(SIGBUS, &guard, NULL), 0);
}

static struct via_mem *table_of(int fd, uint64_t gpa)
{
	struct via_region_desc d = { gpa, SIZE, 0x1000000 + gpa, 0 };
	struct via_mem *mem = NULL;
	int mine = dup(fd);

	assert_int_equal(via_mem_create(&mem, &d, &mine, 1, VIA_MEM_GUARDED, NULL), 0);
	return mem;
}

static uint8_t peek(const uint8_t *at)
{
	return *(const volatile uint8_t *)at;
}

static void truncated_memory_becomes_zeros_and_is_lost(void **state)
{
	static const uint64_t sizes[] = { 0, SIZE - 4096, 4096 };

	handle_faults(state);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd = test_memfd(SIZE, 0);
		struct via_mem *mem = table_of(fd, 0);
		uint32_t faults = atomic_load(&via_guard_faults);
		uint8_t *host = mem->region[0].host;

		memset(host, 0xaa, SIZE);
		assert_false(via_mem_is_lost(mem));
		assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
		assert_int_equal(peek(host + SIZE - 1), 0);
		assert_true(via_mem_is_lost(mem));
		assert_int_equal(atomic_load(&via_guard_faults), faults + 1);
		for (size_t at = 0; at < SIZE; at++) /* all of it, also what was still there */
			assert_int_equal(host[at], 0);
		memset(host, 1, SIZE);
		via_mem_free(mem);
		close(fd);
	}
}

static void other_tables_keep_their_bytes(void **state)
{
	int fd = test_memfd(SIZE, 0), other_fd = test_memfd(SIZE, 0);
	struct via_mem *mem = table_of(fd, 0), *other = table_of(other_fd, 0);

	handle_faults(state);
	memset(other->region[0].host, 0x55, SIZE);
	assert_int_equal(ftruncate(fd, 0), 0);
	peek(mem->region[0].host);
	assert_true(via_mem_is_lost(mem));
	assert_false(via_mem_is_lost(other));
	for (size_t at = 0; at < SIZE; at++)
		assert_int_equal(other->region[0].host[at], 0x55);
	via_mem_free(mem);
	via_mem_free(other);
	close(fd);
	close(other_fd);
}

static void a_system_call_on_lost_memory_answers_efault(void **state)
{
	int fd = test_memfd(SIZE, 0), out = test_memfd(0, 0);
	struct via_mem *mem = table_of(fd, 0);

	handle_faults(state);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(write(out, mem->region[0].host, 100), -1);
	assert_int_equal(errno, EFAULT);
	assert_false(via_mem_is_lost(mem)); /* so whoever gets EFAULT must look at the memory */
	peek(mem->region[0].host);
	assert_true(via_mem_is_lost(mem));
	via_mem_free(mem);
	close(fd);
	close(out);
}

static void a_memory_cell_that_breaks_under_the_zeros_is_replaced_as_well(void **state)
{
	int fd = test_memfd(SIZE, 0);
	struct via_mem *mem = table_of(fd, 0);
	uint8_t *host = mem->region[0].host;
	uint32_t faults;

	handle_faults(state);
	assert_int_equal(ftruncate(fd, 0), 0);
	peek(host);
	memset(host, 1, SIZE);
	faults = atomic_load(&via_guard_faults);
	tell_of_fault(BUS_MCEERR_AR, host + 4096);
	assert_int_equal(atomic_load(&via_guard_faults), faults + 1);
	assert_int_equal(peek(host + 4096), 0);
	via_mem_free(mem);
	close(fd);
}

static void a_fault_that_cannot_be_repaired_goes_to_the_handler_that_was_there_before(void **state)
{
	uint8_t *room = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t faults = atomic_load(&via_guard_faults);
	atomic_bool lost = false;

	handle_faults(state);
	assert_int_equal(via_guard_add(room, SIZE_MAX / 2, &lost),
			 0); /* so many zeros there are not */
	if (sigsetjmp(escape, 1) == 0) {
		tell_of_fault(BUS_ADRERR, room);
		fail_msg("the fault was swallowed");
	}
	assert_int_equal(atomic_load(&via_guard_faults), faults);
	via_guard_remove(room);
	munmap(room, SIZE);
}

static void *toucher(void *user)
{
	volatile uint8_t *host = user; /* gcc 12 drops the store of what was just read */

	for (size_t at = 0; at < SIZE; at += 64)
		host[at] = (uint8_t)(host[at] + 1);
	return NULL;
}

static void threads_that_fault_together_all_go_on(void **state)
{
	handle_faults(state);
	for (int round = 0; round < 20; round++) {
		int fd = test_memfd(SIZE, 0);
		struct via_mem *mem = table_of(fd, 0);
		pthread_t thread[3];

		assert_int_equal(ftruncate(fd, 0), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(
				pthread_create(&thread[i], NULL, toucher, mem->region[0].host), 0);
		for (int i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		assert_true(via_mem_is_lost(mem));
		via_mem_free(mem);
		close(fd);
	}
}

static void a_fault_elsewhere_goes_to_the_handler_that_was_there_before(void **state)
{
	int fd = test_memfd(4096, 0);
	uint32_t faults = atomic_load(&via_guard_faults);
	uint8_t *room = mmap(NULL, 4 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Guarded memory is below and above: neither is what the fault is in. */
	uint8_t *foreign = mmap(room + SIZE, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	atomic_bool below = false, above = false;

	handle_faults(state);
	assert_int_equal(via_guard_add(room, SIZE, &below), 0);
	assert_int_equal(via_guard_add(room + 2 * SIZE, SIZE, &above), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	if (sigsetjmp(escape, 1) == 0) {
		peek(foreign);
		fail_msg("the fault was swallowed");
	}
	assert_int_equal(atomic_load(&via_guard_faults), faults);
	assert_false(atomic_load(&below) || atomic_load(&above));
	via_guard_remove(room);
	via_guard_remove(room + 2 * SIZE);
	munmap(room, 4 * SIZE);
	close(fd);
}

static void what_is_no_longer_guarded_is_foreign(void **state)
{
	int fd = test_memfd(4096, 0);
	atomic_bool lost = false;
	uint8_t *base = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	handle_faults(state);
	assert_int_equal(via_guard_add(base, 4096, &lost), 0);
	via_guard_remove(base);
	via_guard_remove(base);
	assert_int_equal(ftruncate(fd, 0), 0);
	if (sigsetjmp(escape, 1) == 0) {
		peek(base);
		fail_msg("the fault was swallowed");
	}
	assert_false(atomic_load(&lost));
	munmap(base, 4096);
	close(fd);
}

/* ---- guards that come and go while another thread looks for its own ---- */

/* Runs 'what' in a thread of another process with our memory, which stops before it begins; -1 where nobody
 * may trace. */
static pid_t run_traced(int (*what)(void *), void *user)
{
	static _Alignas(16) uint8_t stack[64 * KIB];
	pid_t pid = clone(what, stack + sizeof(stack), CLONE_VM | SIGCHLD, user);
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return -1;
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

/* How it is after it went on, by one instruction or until its end. */
static int go_on(pid_t pid, enum __ptrace_request how)
{
	int status;

	assert_int_equal(ptrace(how, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int touch_foreign(void *at)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(1);
	kill(getpid(), SIGSTOP);
	via_guard_touch(at, 1);
	return 0;
}

/* The first pages of 'room' are guarded, then another one. Whoever takes the place of one of them and the
 * size of the other believes that the guard has the page that nobody may touch. */
static void a_guard_that_changes_is_not_believed_at_any_moment(void **state)
{
	const size_t page = 4096;
	uint8_t *room = mmap(NULL, 8 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	atomic_bool lost = false;
	unsigned int step = 0;
	bool ended = false;

	(void)state;
	for (unsigned int when = 0; !ended; when++) {
		assert_int_equal(via_guard_add(room + 4 * page, page, &lost), 0);
		pid_t pid = run_traced(touch_foreign, room + 6 * page);
		int status = 0;

		if (pid < 0) {
			via_guard_remove(room + 4 * page);
			munmap(room, 8 * page);
			skip();
		}
		for (step = 0; step < when && !ended; step++) {
			status = go_on(pid, PTRACE_SINGLESTEP);
			ended = WIFEXITED(status);
		}
		via_guard_remove(room + 4 * page);
		assert_int_equal(via_guard_add(room, 4 * page, &lost), 0);
		if (!ended)
			status = go_on(pid, PTRACE_CONT);
		if (WIFSTOPPED(status)) { /* nobody who has our memory is left behind */
			kill(pid, SIGKILL);
			assert_int_equal(waitpid(pid, &status, 0), pid);
		}
		via_guard_remove(room);
		assert_true(WIFEXITED(status)); /* else the page was touched */
	}
	print_message("%u moments\n", step);
	munmap(room, 8 * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The first one, so that its guard is the only one that there ever was. */
		cmocka_unit_test(a_guard_that_changes_is_not_believed_at_any_moment),
		cmocka_unit_test(truncated_memory_becomes_zeros_and_is_lost),
		cmocka_unit_test(other_tables_keep_their_bytes),
		cmocka_unit_test(a_system_call_on_lost_memory_answers_efault),
		cmocka_unit_test(a_memory_cell_that_breaks_under_the_zeros_is_replaced_as_well),
		cmocka_unit_test(
			a_fault_that_cannot_be_repaired_goes_to_the_handler_that_was_there_before),
		cmocka_unit_test(threads_that_fault_together_all_go_on),
		cmocka_unit_test(a_fault_elsewhere_goes_to_the_handler_that_was_there_before),
		cmocka_unit_test(what_is_no_longer_guarded_is_foreign),
		cmocka_unit_test(who_handled_faults_before_still_does),
	};

	return cmocka_run_group_tests_name("guard", tests, install, NULL);
}
