/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file on FUSE whose server can fall silent: whoever asks it anything then waits for ever. One file is all
 * of the file system, mounted on a file. Needs root and /dev/fuse.
 */
#ifndef VIA_TEST_FUSE_H
#define VIA_TEST_FUSE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

struct test_fuse {
	char path[64];
	int fd; /* the server's */
	pthread_t thread;
	_Atomic(bool) silent;
	_Atomic(uint32_t) unanswered;
};

static inline void test_fuse_answer(struct test_fuse *f, const struct fuse_in_header *in, int error,
				    const void *body, size_t size)
{
	uint8_t bytes[256];
	struct fuse_out_header out = { .unique = in->unique, .error = -error };

	out.len = (uint32_t)(sizeof(out) + size);
	memcpy(bytes, &out, sizeof(out));
	if (size)
		memcpy(bytes + sizeof(out), body, size);
	if (write(f->fd, bytes, out.len) < 0)
		return; /* the request is gone */
}

static inline void test_fuse_serve(struct test_fuse *f, const struct fuse_in_header *in)
{
	const struct fuse_init_in *asked = (const void *)(in + 1);
	struct fuse_init_out init = { .major = 7, .minor = 26, .max_write = 4096 };
	struct fuse_attr_out attr = { .attr = { .ino = 1, .mode = S_IFREG | 0666, .nlink = 1 } };
	struct fuse_open_out opened = { .fh = 1 };

	switch (in->opcode) {
	case FUSE_INIT:
		init.minor = asked->minor < init.minor ? asked->minor : init.minor;
		test_fuse_answer(f, in, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		test_fuse_answer(f, in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		test_fuse_answer(f, in, 0, &opened, sizeof(opened));
		break;
	case FUSE_FLUSH:
		test_fuse_answer(f, in, 0, NULL, 0);
		break;
	case FUSE_RELEASE:
		test_fuse_answer(f, in, 0, NULL, 0);
		break;
	default:
		test_fuse_answer(f, in, ENOSYS, NULL, 0);
	}
}

static inline void *test_fuse_run(void *user)
{
	struct test_fuse *f = user;
	_Alignas(8) uint8_t bytes[65536];

	while (read(f->fd, bytes, sizeof(bytes)) > 0) { /* until it is unmounted */
		if (f->silent)
			f->unanswered++;
		else
			test_fuse_serve(f, (const struct fuse_in_header *)(const void *)bytes);
	}
	return NULL;
}

/* False where that is not possible. */
static inline bool test_fuse_mount(struct test_fuse *f)
{
	char options[96];
	int fd;

	*f = (struct test_fuse){ .path = "/tmp/viaduct-fuse-XXXXXX" };
	f->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (f->fd < 0)
		return false;
	fd = mkstemp(f->path);
	close(fd);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", f->fd);
	if (mount("test", f->path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		unlink(f->path);
		close(f->fd);
		return false;
	}
	assert_int_equal(pthread_create(&f->thread, NULL, test_fuse_run, f), 0);
	return true;
}

/* Who waits for an answer gets an error. */
static inline void test_fuse_unmount(struct test_fuse *f)
{
	assert_int_equal(umount2(f->path, MNT_FORCE | MNT_DETACH), 0);
	pthread_join(f->thread, NULL);
	close(f->fd);
	unlink(f->path);
}

#endif
