/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/base/unix.c */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unix.h"
#include "tests/test.h"

static char dir[] = "/tmp/viaduct-unix-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
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

static void nobody_there_is_told_apart_from_a_stale_socket(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(via_unix_connect(path, NULL), -ENOENT);
	fd = via_unix_listen(path, NULL);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(via_unix_connect(path, NULL), -ECONNREFUSED);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct via_error err = { "" };
	int fd = via_unix_listen(path, &err), peer, client; /* the last case left a stale one */
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(via_unix_listen(path, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	client = via_unix_connect(path, NULL); /* the listener lives on */
	assert_true(client >= 0);
	peer = via_unix_accept(fd); /* the probe of the second via_unix_listen() */
	assert_true(peer >= 0);
	close(peer);
	peer = via_unix_accept(fd);
	assert_true(peer >= 0);
	assert_int_equal(via_unix_accept(fd), -EAGAIN);
	close(peer);
	close(client);
	close(fd);
	unlink(path);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(file >= 0);
	close(file);
	assert_int_equal(via_unix_listen(path, NULL), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_path_over_107_bytes_is_refused_with_the_limit(void **state)
{
	char longest[109];
	struct via_error err = { "" };

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	assert_int_equal(via_unix_connect(longest, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "at most 107 bytes, this one has 108"));
	assert_int_equal(via_unix_listen("", &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_there_is_told_apart_from_a_stale_socket),
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test(a_path_over_107_bytes_is_refused_with_the_limit),
	};

	return cmocka_run_group_tests_name("unix", tests, setup, teardown);
}
