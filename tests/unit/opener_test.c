/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/port/opener.c: sockets and state files. TAPs are in tap_test.c, which has a namespace. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/port.h"
#include "tests/memfd.h"

#define LEAVE UINT32_MAX

static const struct via_opener *const opener = &via_opener_direct;
static char dir[] = "/tmp/viaduct-opener-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int listen_here(struct via_error *err)
{
	return opener->listen_unix(NULL, path, LEAVE, LEAVE, LEAVE, err);
}

static void a_stale_socket_is_replaced_and_a_live_one_never(void **state)
{
	struct via_error err = { "" };
	int fd = listen_here(&err);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	fd = listen_here(&err);
	assert_true(fd >= 0);
	assert_int_equal(listen_here(&err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another program"));
	opener->unlink_unix(NULL, path); /* somebody answers: it is not ours to remove */
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	opener->unlink_unix(NULL, path);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_file_that_is_no_socket_is_never_removed(void **state)
{
	struct via_error err = { "" };
	int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(file >= 0);
	close(file);
	assert_int_equal(listen_here(&err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "a file that is no socket has this name"));
	opener->unlink_unix(NULL, path);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void mode_and_owner_are_set_or_left(void **state)
{
	struct via_error err = { "" };
	struct stat st;
	int fd = opener->listen_unix(NULL, path, getuid(), getgid(), 0620, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0620);
	assert_int_equal(st.st_uid, getuid());
	close(fd);
	fd = listen_here(&err);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	opener->unlink_unix(NULL, path);
}

static void a_listener_that_may_not_be_given_away_is_not_left_behind(void **state)
{
	struct via_error err = { "" };
	pid_t child;
	int status;

	(void)state;
	if (getuid() != 0) {
		print_message("# needs root\n");
		skip();
	}
	assert_int_equal(chmod(dir, 0777), 0);
	child = fork();
	if (child == 0) {
		bool ok = setresgid(65534, 65534, 65534) == 0 &&
			  setresuid(65534, 65534, 65534) == 0 &&
			  opener->listen_unix(NULL, path, 0, LEAVE, 0600, &err) == -EPERM &&
			  strstr(err.text, "owner") && access(path, F_OK) < 0;

		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(dir, 0755), 0);
}

static void who_may_not_is_told_what_to_change(void **state)
{
	struct via_error err = { "" };
	pid_t child;
	int status, fd;

	(void)state;
	if (getuid() != 0) {
		print_message("# needs root\n");
		skip();
	}
	fd = listen_here(&err);
	assert_true(fd >= 0);
	child = fork();
	if (child == 0) {
		bool ok = setresgid(65534, 65534, 65534) == 0 &&
			  setresuid(65534, 65534, 65534) == 0 &&
			  opener->connect_unix(NULL, path, &err) == -EACCES &&
			  strstr(err.text, "user 65534 may not write to this socket");

		path[strlen(path) - 1] = 't';
		ok = ok && listen_here(&err) == -EACCES &&
		     strstr(err.text, "user 65534 may not make a socket in");
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	opener->unlink_unix(NULL, path);
}

static void nobody_there_is_told_apart_from_a_stale_socket(void **state)
{
	struct via_error err = { "" };
	int fd, client;

	(void)state;
	assert_int_equal(opener->connect_unix(NULL, path, &err), -ENOENT);
	fd = listen_here(&err);
	client = opener->connect_unix(NULL, path, &err);
	assert_true(client >= 0);
	assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
	close(client);
	close(fd);
	assert_int_equal(opener->connect_unix(NULL, path, &err), -ECONNREFUSED);
	opener->unlink_unix(NULL, path);
}

static void a_missing_directory_is_named(void **state)
{
	struct via_error err = { "" };
	char deep[96];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/no/s", dir);
	assert_int_equal(opener->listen_unix(NULL, deep, LEAVE, LEAVE, LEAVE, &err), -ENOENT);
	snprintf(deep, sizeof(deep), "there is no directory '%s/no'", dir);
	assert_non_null(strstr(err.text, deep));
}

static void failures_leave_no_descriptor_behind(void **state)
{
	int before = test_nr_fds(), fd;

	(void)state;
	fd = listen_here(NULL);
	assert_int_equal(listen_here(NULL), -EADDRINUSE);
	close(fd);
	assert_int_equal(opener->connect_unix(NULL, path, NULL), -ECONNREFUSED);
	opener->unlink_unix(NULL, path);
	assert_int_equal(opener->state_file(NULL, "../x", 64, NULL), -EINVAL);
	assert_int_equal(test_nr_fds(), before);
}

/* As a user of its own, whose state goes to XDG_RUNTIME_DIR. */
static int use_state_file(void)
{
	struct via_error err = { "" };
	char text[128];
	uint8_t *at;
	int fd, again;

	if (getuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 1;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	fd = opener->state_file(NULL, "vm1", 4096, &err);
	if (fd < 0)
		return 2;
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return 3;
	at[4095] = 7;
	munmap(at, 4096);
	if (opener->state_file(NULL, "vm1", 4096, &err) != -EBUSY ||
	    !strstr(err.text, "another process has a port of this name"))
		return 4;
	close(fd);
	again = opener->state_file(NULL, "vm1", 4096, &err);
	if (again < 0 || pread(again, text, 1, 4095) != 1 || text[0] != 7)
		return 5;
	close(again);
	snprintf(text, sizeof(text), "%s/viaduct/vm1.state", dir);
	unlink(text);
	*strrchr(text, '/') = '\0';
	return rmdir(text) ? 6 : 0;
}

static void a_state_file_is_kept_and_has_one_user(void **state)
{
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(chmod(dir, 0777), 0);
	child = fork();
	if (child == 0)
		_exit(use_state_file());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(dir, 0755), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_never),
		cmocka_unit_test(a_file_that_is_no_socket_is_never_removed),
		cmocka_unit_test(mode_and_owner_are_set_or_left),
		cmocka_unit_test(a_listener_that_may_not_be_given_away_is_not_left_behind),
		cmocka_unit_test(who_may_not_is_told_what_to_change),
		cmocka_unit_test(nobody_there_is_told_apart_from_a_stale_socket),
		cmocka_unit_test(a_missing_directory_is_named),
		cmocka_unit_test(failures_leave_no_descriptor_behind),
		cmocka_unit_test(a_state_file_is_kept_and_has_one_user),
	};

	return cmocka_run_group_tests_name("opener", tests, setup, teardown);
}
