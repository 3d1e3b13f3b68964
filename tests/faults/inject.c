/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of inject.h: each asks whether it is the one that is to fail, else goes to the next one of
 * its name (a sanitizer's, or libc's). Not instrumented, since it runs before a sanitizer does. */
#include "inject.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

/* ---- the rules ---- */

/*
 * Left out, since with right arguments nothing makes them fail: epoll_ctl() to change or remove,
 * timerfd_settime(), lseek(), getrlimit(), signal masks, mutexes, writes to our own eventfds (only a full
 * one refuses), and reading what F_GETFL reads.
 */
#define RULES(X)                                                     \
	X(malloc, ENOMEM)                                            \
	X(calloc, ENOMEM)                                            \
	X(realloc, ENOMEM)                                           \
	X(aligned_alloc, ENOMEM)                                     \
	X(strdup, ENOMEM)                                            \
	X(mmap, ENOMEM, EPERM)                                       \
	X(munmap, ENOMEM)                                            \
	X(madvise, ENOMEM)                                           \
	X(memfd_create, EMFILE, ENOMEM)                              \
	X(ftruncate, EPERM, EIO)                                     \
	X(fallocate, ENOSPC, EOPNOTSUPP)                             \
	X(fstat, ENOMEM, EIO)                                        \
	X(statx, ENOMEM, EIO)                                        \
	X(fstatfs, ENOSYS)                                           \
	X(lstat, EACCES)                                             \
	X(fcntl_dup, EMFILE)                                         \
	X(fcntl_add_seals, EPERM, EBUSY)                             \
	X(fcntl_get_seals, EINVAL)                                   \
	X(dup2, EINTR, EBUSY)                                        \
	X(open, EMFILE, EACCES, ENOMEM)                              \
	X(close, EINTR, EIO)                                         \
	X(unlink, EACCES)                                            \
	X(mkdir, ENOSPC, EACCES)                                     \
	X(access, EACCES)                                            \
	X(readlink, EACCES)                                          \
	X(chmod, EPERM)                                              \
	X(fchmod, EPERM)                                             \
	X(lchown, EPERM)                                             \
	X(flock, EWOULDBLOCK, EINTR)                                 \
	X(read_event, EAGAIN)                                        \
	X(read_file, EIO, EINTR)                                     \
	X(read_socket, EINTR, EAGAIN, ECONNRESET, FAULTS_SHORT)      \
	X(readv, EAGAIN, EBADFD)                                     \
	X(recv, EINTR, EAGAIN, ECONNRESET, ENOMEM, FAULTS_SHORT)     \
	X(recvmsg, EINTR, EAGAIN, ECONNRESET, ENOMEM, FAULTS_SHORT)  \
	X(write_peer, EINTR)                                         \
	X(write_file, ENOSPC, EINTR, FAULTS_SHORT)                   \
	X(write_socket, EINTR, EAGAIN, EPIPE, ENOBUFS, FAULTS_SHORT) \
	X(writev, EAGAIN, EIO, ENOBUFS)                              \
	X(pwritev2, EAGAIN, EIO, ENOBUFS)                            \
	X(pwrite, ENOSPC, EIO)                                       \
	X(send, EINTR, EAGAIN, EPIPE, ENOBUFS, FAULTS_SHORT)         \
	X(sendmsg, EINTR, EAGAIN, EPIPE, ETOOMANYREFS, FAULTS_SHORT) \
	X(sendto, ECONNREFUSED, ENOBUFS)                             \
	X(socket, EMFILE, ENOBUFS)                                   \
	X(socketpair, EMFILE)                                        \
	X(bind, EADDRINUSE, EACCES)                                  \
	X(listen, EADDRINUSE)                                        \
	X(connect, ECONNREFUSED, EAGAIN, ENOENT)                     \
	X(accept4, EMFILE, ECONNABORTED, EAGAIN)                     \
	X(getsockopt, ENOBUFS)                                       \
	X(setsockopt, ENOMEM)                                        \
	X(epoll_create1, EMFILE, ENOMEM)                             \
	X(epoll_ctl_add, ENOMEM, ENOSPC)                             \
	X(epoll_wait, EINTR)                                         \
	X(poll, EINTR, ENOMEM)                                       \
	X(eventfd, EMFILE, ENOMEM)                                   \
	X(timerfd_create, EMFILE)                                    \
	X(signalfd, EMFILE)                                          \
	X(ioctl, EPERM, EBUSY, ENOMEM)                               \
	X(pthread_create, EAGAIN)                                    \
	X(pthread_key_create, EAGAIN)                                \
	X(fork, EAGAIN, ENOMEM)                                      \
	X(execl, ENOENT, ENOMEM)                                     \
	X(waitpid, EINTR)                                            \
	X(nanosleep, EINTR)                                          \
	X(prctl, EPERM)                                              \
	X(setgroups, EPERM)                                          \
	X(setresuid, EAGAIN)                                         \
	X(setresgid, EPERM)                                          \
	X(setrlimit, EPERM)                                          \
	X(futex, EINTR)                                              \
	X(syscall, ENOSYS)                                           \
	X(getaddrinfo, ENOMEM)                                       \
	X(getpwnam, ENOMEM)                                          \
	X(getgrnam, ENOMEM)                                          \
	X(getpwuid, ENOMEM)

enum rule {
#define X(name, ...) RULE_##name,
	RULES(X)
#undef X
		NR_RULES,
	NO_RULE = NR_RULES,
};

static const struct faults_rule rules[NR_RULES] = {
#define X(name, ...) { #name, { __VA_ARGS__ } },
	RULES(X)
#undef X
};
static_assert(NR_RULES <= FAULTS_MAX_RULES, "they fit");

/* ---- sites ---- */

static struct faults_table *table;
static _Thread_local volatile bool within; /* us: what is called from here is nobody's */
static _Thread_local bool ignored;
static uintptr_t root;

struct trace {
	uintptr_t first; /* the return address that the backtrace begins with */
	uint64_t hash;
	uint32_t n;
	struct faults_frame frame[FAULTS_MAX_FRAMES];
};

static bool is_path(const char *path, const char *name)
{
	return strncmp(path, name, sizeof(table->module[0]) - 1) == 0;
}

static uint32_t module_of(const char *path)
{
	for (uint32_t i = 0; i < table->nr_modules; i++)
		if (is_path(path, table->module[i]))
			return i;
	if (table->nr_modules == FAULTS_MAX_MODULES)
		return FAULTS_MAX_MODULES - 1;
	strncpy(table->module[table->nr_modules], path, sizeof(table->module[0]) - 1);
	return table->nr_modules++;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x100000001b3) + (hash >> 29);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = mix(hash, (unsigned char)*text);
	return hash;
}

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *user)
{
	struct trace *trace = user;
	const uintptr_t address = _Unwind_GetIP(context);
	struct dl_find_object module;

	if (trace->n == 0 && address != trace->first)
		return _URC_NO_REASON; /* still our own */
	if (trace->n == FAULTS_MAX_FRAMES || address == 0 ||
	    _Unwind_GetRegionStart(context) == root ||
	    _dl_find_object((void *)address, &module) < 0)
		return _URC_END_OF_STACK;
	trace->frame[trace->n].offset = (uint32_t)(address - module.dlfo_link_map->l_addr);
	trace->frame[trace->n++].module = module_of(module.dlfo_link_map->l_name);
	trace->hash = mix(mix_text(trace->hash, module.dlfo_link_map->l_name),
			  address - module.dlfo_link_map->l_addr);
	return _URC_NO_REASON;
}

static void lock(void)
{
	while (atomic_flag_test_and_set(&table->lock))
		;
}

static void unlock(void)
{
	atomic_flag_clear(&table->lock);
}

static struct trace backtrace_from(enum rule rule, uintptr_t first)
{
	struct trace trace = { .first = first, .hash = mix(14695981039346656037u, rule) };

	lock(); /* for module_of() */
	_Unwind_Backtrace(add_frame, &trace);
	unlock();
	return trace;
}

/* What a sanitizer asks libc for, to know its threads: it expects to get it. */
static bool is_sanitizers(const struct trace *trace)
{
	for (uint32_t i = 0; i < trace->n; i++) {
		const char *module = table->module[trace->frame[i].module];

		if (module[0] == '\0')
			return false;
		if (strstr(module, "san.so"))
			return true;
	}
	return false;
}

static void record(enum rule rule, uintptr_t first)
{
	const struct trace trace = backtrace_from(rule, first);
	struct faults_site *site;
	uint32_t i;

	if (is_sanitizers(&trace))
		return;
	lock();
	for (i = 0; i < table->nr_sites && table->site[i].hash != trace.hash; i++)
		;
	if (i == table->nr_sites && i < FAULTS_MAX_SITES) {
		site = &table->site[i];
		*site = (struct faults_site){ .hash = trace.hash,
					      .rule = rule,
					      .nr_frames = trace.n };
		memcpy(site->frame, trace.frame, sizeof(site->frame));
		table->nr_sites++;
	}
	if (i < FAULTS_MAX_SITES)
		table->site[i].count++;
	unlock();
}

static int is_module(struct dl_phdr_info *info, size_t size, void *user)
{
	uintptr_t *address = user;
	const struct faults_site *site = &table->site[table->order.site];

	(void)size;
	if (!is_path(info->dlpi_name, table->module[site->frame[0].module]))
		return 0;
	*address = info->dlpi_addr + site->frame[0].offset;
	return 1;
}

/* Where the call that is to fail returns to. */
static uintptr_t wanted_address(void)
{
	static _Atomic(uintptr_t) known;
	uintptr_t address = known;

	if (!address) {
		dl_iterate_phdr(is_module, &address);
		known = address;
	}
	return address;
}

/* Whether this is the call of the order. Looks at the cheap marks first. */
static bool is_ordered(enum rule rule, uintptr_t first)
{
	const struct faults_site *site = &table->site[table->order.site];

	return rule == site->rule && first == wanted_address() &&
	       backtrace_from(rule, first).hash == site->hash &&
	       atomic_fetch_add(&table->seen, 1) + 1 == table->order.occurrence;
}

/* What a call is to do: 0 to go on, FAULTS_SHORT, or an errno, which is also stored. */
static int verdict(enum rule rule, void *return_address)
{
	const int before = errno;
	int error = 0;

	if (rule == NO_RULE || !table || table->mode == FAULTS_OFF || within || ignored)
		return 0;
	within = true;
	if (table->mode == FAULTS_RECORD) {
		record(rule, (uintptr_t)return_address);
	} else if (is_ordered(rule, (uintptr_t)return_address)) {
		error = table->order.error;
		table->fired = 1;
		table->mode = FAULTS_OFF;
	}
	within = false;
	errno = error > 0 ? error : before;
	return error;
}

/* ---- replacing ---- */

/* Volatile: dlsym() is declared as one that does not call us back, and does. */
static _Thread_local volatile bool finding;

static void *find(void **slot, const char *symbol)
{
	if (!*slot) {
		finding = true; /* dlsym() may allocate */
		*slot = dlsym(RTLD_NEXT, symbol);
		finding = false;
	}
	return *slot;
}

#define EXPORTED __attribute__((visibility("default"), noinline))
#define REPLACE(name, type, parameters)                        \
	EXPORTED type faulty_##name parameters __asm__(#name); \
	type faulty_##name parameters
#define ALSO_AS(name, other)                                                     \
	extern EXPORTED __typeof__(faulty_##name) faulty_##other __asm__(#other) \
		__attribute__((alias(#name)))
#define NEXT(name)                                               \
	({                                                       \
		static void *slot_;                              \
		(__typeof__(&faulty_##name))find(&slot_, #name); \
	})
#define VERDICT(rule) verdict(rule, __builtin_return_address(0))

#define CALL(name, type, failed, parameters, arguments)                      \
	REPLACE(name, type, parameters)                                      \
	{                                                                    \
		return VERDICT(RULE_##name) ? failed : NEXT(name) arguments; \
	}

/* ---- memory ---- */

static _Atomic(int64_t) blocks;
static _Alignas(16) char arena[65536]; /* for what dlsym() asks for */
static size_t arena_used;

static void *from_arena(size_t size)
{
	void *block = arena + arena_used;

	arena_used += (size + 15) & ~(size_t)15;
	return arena_used <= sizeof(arena) ? block : NULL;
}

static bool in_arena(const void *block)
{
	return (uintptr_t)block - (uintptr_t)arena < sizeof(arena);
}

static void *counted(void *block)
{
	blocks += block != NULL;
	return block;
}

REPLACE(malloc, void *, (size_t size))
{
	if (finding)
		return from_arena(size);
	return VERDICT(RULE_malloc) ? NULL : counted(NEXT(malloc)(size));
}

REPLACE(calloc, void *, (size_t n, size_t size))
{
	if (finding)
		return from_arena(n * size);
	return VERDICT(RULE_calloc) ? NULL : counted(NEXT(calloc)(n, size));
}

REPLACE(realloc, void *, (void *block, size_t size))
{
	void *grown;

	if (VERDICT(RULE_realloc))
		return NULL;
	if (!in_arena(block)) {
		grown = NEXT(realloc)(block, size);
		return block ? grown : counted(grown);
	}
	grown = counted(NEXT(malloc)(size));
	return grown ? memcpy(grown, block, size) : NULL;
}

REPLACE(aligned_alloc, void *, (size_t alignment, size_t size))
{
	return VERDICT(RULE_aligned_alloc) ? NULL : counted(NEXT(aligned_alloc)(alignment, size));
}

REPLACE(strdup, char *, (const char *text))
{
	const size_t size = strlen(text) + 1;
	char *copy = VERDICT(RULE_strdup) ? NULL : counted(NEXT(malloc)(size));

	return copy ? memcpy(copy, text, size) : NULL;
}

REPLACE(free, void, (void *block))
{
	if (!block || in_arena(block) || finding) /* dlsym() forgets its last error: left alone */
		return;
	blocks--;
	NEXT(free)(block);
}

CALL(mmap, void *, MAP_FAILED, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset))
ALSO_AS(mmap, mmap64);
CALL(madvise, int, -1, (void *at, size_t size, int advice), (at, size, advice))

/* Unmaps all the same, so that nothing is leaked by us. */
REPLACE(munmap, int, (void *at, size_t size))
{
	const bool fails = VERDICT(RULE_munmap);
	const int error = errno, ret = NEXT(munmap)(at, size);

	errno = error;
	return fails ? -1 : ret;
}

/* ---- files ---- */

CALL(memfd_create, int, -1, (const char *name, unsigned int flags), (name, flags))
CALL(ftruncate, int, -1, (int fd, off_t size), (fd, size))
ALSO_AS(ftruncate, ftruncate64);
CALL(fallocate, int, -1, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size))
ALSO_AS(fallocate, fallocate64);
CALL(fstat, int, -1, (int fd, struct stat *st), (fd, st))
ALSO_AS(fstat, fstat64);
CALL(lstat, int, -1, (const char *path, struct stat *st), (path, st))
ALSO_AS(lstat, lstat64);
CALL(statx, int, -1, (int dir, const char *path, int flags, unsigned int mask, struct statx *st),
     (dir, path, flags, mask, st))
CALL(fstatfs, int, -1, (int fd, void *fs), (fd, fs))
ALSO_AS(fstatfs, fstatfs64);
CALL(dup2, int, -1, (int from, int to), (from, to))
CALL(unlink, int, -1, (const char *path), (path))
CALL(mkdir, int, -1, (const char *path, mode_t mode), (path, mode))
CALL(access, int, -1, (const char *path, int mode), (path, mode))
CALL(readlink, ssize_t, -1, (const char *path, char *to, size_t size), (path, to, size))
CALL(chmod, int, -1, (const char *path, mode_t mode), (path, mode))
CALL(fchmod, int, -1, (int fd, mode_t mode), (fd, mode))
CALL(lchown, int, -1, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
CALL(flock, int, -1, (int fd, int operation), (fd, operation))

static enum rule rule_of_fcntl(int command)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return RULE_fcntl_dup;
	case F_ADD_SEALS:
		return RULE_fcntl_add_seals;
	case F_GET_SEALS:
		return RULE_fcntl_get_seals;
	default:
		return NO_RULE;
	}
}

#define POINTER_ARGUMENT(last)                     \
	({                                         \
		va_list list_;                     \
		void *argument_;                   \
		va_start(list_, last);             \
		argument_ = va_arg(list_, void *); \
		va_end(list_);                     \
		argument_;                         \
	})

REPLACE(fcntl, int, (int fd, int command, ...))
{
	void *argument = POINTER_ARGUMENT(command);

	return VERDICT(rule_of_fcntl(command)) ? -1 : NEXT(fcntl)(fd, command, argument);
}
ALSO_AS(fcntl, fcntl64);

REPLACE(open, int, (const char *path, int flags, ...))
{
	void *mode = POINTER_ARGUMENT(flags);

	return VERDICT(RULE_open) ? -1 : NEXT(open)(path, flags, mode);
}
ALSO_AS(open, open64);

REPLACE(ioctl, int, (int fd, unsigned long request, ...))
{
	void *argument = POINTER_ARGUMENT(request);

	return VERDICT(RULE_ioctl) ? -1 : NEXT(ioctl)(fd, request, argument);
}

/* A descriptor is gone whatever close() says. */
REPLACE(close, int, (int fd))
{
	const bool fails = VERDICT(RULE_close);
	const int error = errno, ret = NEXT(close)(fd);

	if (!fails)
		return ret;
	errno = error;
	return -1;
}

/* ---- transfers ---- */

static mode_t type_of(int fd)
{
	struct stat st = { 0 };

	return NEXT(fstat)(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_STREAM;
}

static enum rule rule_of_read(int fd)
{
	switch (type_of(fd)) {
	case S_IFSOCK:
		return RULE_read_socket;
	case 0:
		return RULE_read_event; /* eventfd, timerfd, signalfd */
	default:
		return RULE_read_file;
	}
}

/* A peer has made its eventfd block, and the watchdog interrupts: only where it can block. */
static enum rule rule_of_write(int fd)
{
	switch (type_of(fd)) {
	case S_IFSOCK:
		return RULE_write_socket;
	case 0:
		return NEXT(fcntl)(fd, F_GETFL) & O_NONBLOCK ? NO_RULE : RULE_write_peer;
	default:
		return RULE_write_file;
	}
}

/* Where it makes no sense: EAGAIN of what blocks, a part of what is one message. */
static bool is_possible(int fd, int flags, int error)
{
	if (error == EAGAIN)
		return flags & MSG_DONTWAIT || NEXT(fcntl)(fd, F_GETFL) & O_NONBLOCK;
	if (error == FAULTS_SHORT)
		return type_of(fd) != S_IFSOCK || is_stream(fd);
	return true;
}

static int verdict_of_transfer(enum rule rule, int fd, int flags, void *return_address)
{
	int error = verdict(rule, return_address);

	return error && is_possible(fd, flags, error) ? error : 0;
}

#define TRANSFER(rule, fd, flags) verdict_of_transfer(rule, fd, flags, __builtin_return_address(0))

static size_t part_of(size_t size)
{
	return size > 1 ? size / 2 : size;
}

REPLACE(read, ssize_t, (int fd, void *to, size_t size))
{
	const int what = TRANSFER(rule_of_read(fd), fd, 0);

	return what > 0 ? -1 : NEXT(read)(fd, to, what ? part_of(size) : size);
}

REPLACE(write, ssize_t, (int fd, const void *from, size_t size))
{
	const int what = TRANSFER(rule_of_write(fd), fd, 0);

	return what > 0 ? -1 : NEXT(write)(fd, from, what ? part_of(size) : size);
}

REPLACE(recv, ssize_t, (int fd, void *to, size_t size, int flags))
{
	const int what = TRANSFER(RULE_recv, fd, flags);

	return what > 0 ? -1 : NEXT(recv)(fd, to, what ? part_of(size) : size, flags);
}

REPLACE(send, ssize_t, (int fd, const void *from, size_t size, int flags))
{
	const int what = TRANSFER(RULE_send, fd, flags);

	return what > 0 ? -1 : NEXT(send)(fd, from, what ? part_of(size) : size, flags);
}

/* With one buffer, half of it: what this program uses. */
REPLACE(recvmsg, ssize_t, (int fd, struct msghdr *message, int flags))
{
	const int what = TRANSFER(RULE_recvmsg, fd, flags);

	if (what == FAULTS_SHORT && message->msg_iovlen == 1)
		message->msg_iov[0].iov_len = part_of(message->msg_iov[0].iov_len);
	return what > 0 ? -1 : NEXT(recvmsg)(fd, message, flags);
}

REPLACE(sendmsg, ssize_t, (int fd, const struct msghdr *message, int flags))
{
	const int what = TRANSFER(RULE_sendmsg, fd, flags);

	if (what == FAULTS_SHORT && message->msg_iovlen == 1)
		message->msg_iov[0].iov_len = part_of(message->msg_iov[0].iov_len);
	return what > 0 ? -1 : NEXT(sendmsg)(fd, message, flags);
}

CALL(readv, ssize_t, -1, (int fd, const struct iovec *to, int n), (fd, to, n))
CALL(writev, ssize_t, -1, (int fd, const struct iovec *from, int n), (fd, from, n))
CALL(pwritev2, ssize_t, -1, (int fd, const struct iovec *from, int n, off_t at, int flags),
     (fd, from, n, at, flags))
ALSO_AS(pwritev2, pwritev64v2);
CALL(pwrite, ssize_t, -1, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
ALSO_AS(pwrite, pwrite64);

/* ---- sockets and events ---- */

CALL(sendto, ssize_t, -1,
     (int fd, const void *from, size_t size, int flags, const struct sockaddr *to, socklen_t n),
     (fd, from, size, flags, to, n))
CALL(socket, int, -1, (int domain, int type, int protocol), (domain, type, protocol))
CALL(socketpair, int, -1, (int domain, int type, int protocol, int *pair),
     (domain, type, protocol, pair))
CALL(bind, int, -1, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
CALL(listen, int, -1, (int fd, int backlog), (fd, backlog))
CALL(connect, int, -1, (int fd, const struct sockaddr *address, socklen_t size),
     (fd, address, size))
CALL(accept4, int, -1, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
CALL(getsockopt, int, -1, (int fd, int level, int name, void *value, socklen_t *size),
     (fd, level, name, value, size))
CALL(setsockopt, int, -1, (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size))
CALL(epoll_create1, int, -1, (int flags), (flags))
CALL(epoll_wait, int, -1, (int fd, struct epoll_event *events, int n, int timeout),
     (fd, events, n, timeout))
CALL(poll, int, -1, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout))
CALL(eventfd, int, -1, (unsigned int count, int flags), (count, flags))
CALL(timerfd_create, int, -1, (int clock, int flags), (clock, flags))
CALL(signalfd, int, -1, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))

REPLACE(epoll_ctl, int, (int epoll, int operation, int fd, struct epoll_event *event))
{
	if (operation == EPOLL_CTL_ADD && VERDICT(RULE_epoll_ctl_add))
		return -1;
	return NEXT(epoll_ctl)(epoll, operation, fd, event);
}

/* ---- threads, processes, accounts ---- */

CALL(pthread_create, int, EAGAIN,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *user),
     (thread, attributes, run, user))
CALL(pthread_key_create, int, EAGAIN, (pthread_key_t * key, void (*destroy)(void *)),
     (key, destroy))
CALL(fork, pid_t, -1, (void), ())
CALL(waitpid, pid_t, -1, (pid_t pid, int *how, int options), (pid, how, options))
CALL(nanosleep, int, -1, (const struct timespec *time, struct timespec *left), (time, left))
CALL(prctl, int, -1,
     (int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d),
     (option, a, b, c, d))
CALL(setgroups, int, -1, (size_t n, const gid_t *groups), (n, groups))
CALL(setresuid, int, -1, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved))
CALL(setresgid, int, -1, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved))
CALL(setrlimit, int, -1, (int resource, const void *limit), (resource, limit))
ALSO_AS(setrlimit, setrlimit64);
CALL(getaddrinfo, int, EAI_MEMORY,
     (const char *node, const char *service, const struct addrinfo *hints,
      struct addrinfo **result),
     (node, service, hints, result))
CALL(getpwnam, struct passwd *, NULL, (const char *name), (name))
CALL(getpwuid, struct passwd *, NULL, (uid_t uid), (uid))
CALL(getgrnam, void *, NULL, (const char *name), (name))

#define MAX_WORDS 16

REPLACE(execl, int, (const char *path, const char *word, ...))
{
	char *words[MAX_WORDS] = { (char *)(uintptr_t)word };
	va_list list;

	va_start(list, word);
	for (int i = 1; i < MAX_WORDS - 1 && (words[i] = va_arg(list, char *)); i++)
		;
	va_end(list);
	return VERDICT(RULE_execl) ? -1 : execv(path, words);
}

REPLACE(syscall, long, (long number, ...))
{
	enum rule rule = number == SYS_futex ? RULE_futex : RULE_syscall;
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) != FUTEX_WAIT)
		rule = NO_RULE; /* waking works */
	return VERDICT(rule) ? -1 : NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- control ---- */

static struct faults_table *map_table(int fd)
{
	const int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	struct faults_table *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, flags, fd, 0);

	return t == MAP_FAILED ? NULL : t;
}

/* A new table is all zeros; one that a process before us has begun is used as it is. */
static __attribute__((constructor)) void begin(void)
{
	const char *path = getenv("FAULTS_TABLE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct faults_table *t = path && fd < 0 ? NULL : map_table(fd);

	if (fd >= 0)
		close(fd);
	if (!t)
		return;
	if (t->size != sizeof(*t)) {
		memcpy(t->rule, rules, sizeof(rules));
		t->nr_rules = NR_RULES;
		t->size = sizeof(*t);
	}
	table = t;
}

struct faults_table *faults_table(void)
{
	return table;
}

void faults_record(void)
{
	table->mode = FAULTS_RECORD;
}

void faults_fail(struct faults_order order)
{
	table->order = order;
	table->seen = table->fired = 0;
	table->mode = FAULTS_FAIL;
}

void faults_off(void)
{
	table->mode = FAULTS_OFF;
}

void faults_ignore(bool on)
{
	ignored = on;
}

void faults_root(void *function)
{
	root = (uintptr_t)function;
}

int64_t faults_blocks(void)
{
	return blocks;
}
