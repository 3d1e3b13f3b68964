/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/mem: the memory that a front-end shares with us.
 *
 *   mem.h, table.c   region tables: built and validated as a whole, immutable, translated with a length
 *   mapping.c        one mapped file descriptor: checks on the file, seals, reference count
 *   memfd.c          memory of our own that others will map
 *   guard.c          a front-end that truncates its file makes us fault; this survives it
 *
 * May use base. Tables are made and freed by control, read by workers under the rule of
 * viaduct/worker.h: control publishes a new table and frees the old after a grace period.
 */
#ifndef VIA_MEM_H
#define VIA_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <viaduct/error.h>

#include "base/base.h"
#include "base/calls.h"

#define VIA_MEM_MAX_REGIONS 509 /* what the other back-ends offer; QEMU clips at 512 */

/* What the files of one table may take of the process's addresses: an eighth, so that no front-end with
 * a file of holes takes those of all others (R13). */
#define VIA_MEM_MAX_MAPPED (UINT64_C(1) << 44)

extern const struct via_need via_mem_needs[]; /* mapping.c */

/* A memfd (owned by the caller) of 'size' bytes, sealed at that size. Returns a negative errno with the
 * reason in 'err' if there is none. Thread: any. */
int via_memfd_create(uint64_t size, struct via_error *err);

enum via_mem_policy {
	VIA_MEM_GUARDED, /* seal if possible, else survive a truncation (the default) */
	VIA_MEM_SEALED,  /* refuse what cannot be sealed against shrinking */
};

struct via_mapping; /* opaque: one mapped file, shared by the tables that name it */

/*
 * Maps the first 'size' bytes (not 0) of a front-end's file, shared and writable, guarded, and if the
 * file allows it sealed against shrinking. Only memfds and files on tmpfs or hugetlbfs are taken:
 * no other kind can be touched without the danger of waiting for somebody. Regions are mapped this
 * way, and so are dirty logs and in-flight areas. 'fd' stays the caller's and is not needed any more.
 * Returns 0 with one reference, or a negative errno. Thread: control.
 */
int via_mapping_open(struct via_mapping **mapping, int fd, uint64_t size,
		     enum via_mem_policy policy, struct via_error *err);
struct via_mapping *via_mapping_get(struct via_mapping *mapping);
void via_mapping_put(struct via_mapping *mapping); /* the last one unmaps; accepts NULL */

uint8_t *via_mapping_base(const struct via_mapping *mapping);
bool via_mapping_is_sealed(const struct via_mapping *mapping);
/* True once a fault hit it: its bytes are zeros of ours now. Thread: any. */
bool via_mapping_is_lost(const struct via_mapping *mapping);
void via_mapping_identity(const struct via_mapping *mapping, uint64_t *dev, uint64_t *ino);

/* What to tell somebody whose guest memory cannot be mapped. */
#define VIA_MEM_SHARE_HINT                                                                          \
	"with QEMU use -object memory-backend-memfd,share=on, with libvirt <memoryBacking><source " \
	"type='memfd'/><access mode='shared'/></memoryBacking>"

/* A region as the front-end describes it (vhost-user: memory region description). */
struct via_region_desc {
	uint64_t gpa;         /* guest physical address */
	uint64_t size;        /* bytes */
	uint64_t user_addr;   /* the front-end's own virtual address: ring addresses are in these */
	uint64_t mmap_offset; /* of the region in its file */
};

struct via_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint8_t *host;               /* where 'gpa' is mapped here */
	struct via_mapping *mapping; /* counted */
};

/* Immutable once published; sorted by 'gpa'. */
struct via_mem {
	uint32_t nr_regions;
	struct via_region region[];
};

/*
 * Builds a table from 'n' regions and their descriptors. Everything is checked before anything is
 * mapped for good (VU-30): sizes, wraps, overlap in guest and user addresses, type and size of each
 * file. 'fds' are consumed on success, stay the caller's on failure. n = 0 gives an empty table.
 * Thread: control.
 */
int via_mem_create(struct via_mem **mem, const struct via_region_desc *descs, const int *fds,
		   uint32_t n, enum via_mem_policy policy, struct via_error *err);

/* A new table: 'old' and one more region; 'fd' is consumed on success. 'old' stays. */
int via_mem_add(struct via_mem **mem, const struct via_mem *old, const struct via_region_desc *desc,
		int fd, enum via_mem_policy policy, struct via_error *err);

/* A new table: 'old' without the region that has this gpa, size and user_addr. 'old' stays. */
int via_mem_remove(struct via_mem **mem, const struct via_mem *old,
		   const struct via_region_desc *desc, struct via_error *err);

/* Frees the table; mappings that no other table names are unmapped. Accepts NULL. Thread: control,
 * after the grace period of whatever published it. */
void via_mem_free(struct via_mem *mem);

/* How many of its regions' files are sealed against shrinking. */
uint32_t via_mem_nr_sealed(const struct via_mem *mem);

/* Identity of the file behind 'user_addr': the same guest memory gives the same pair as long as the
 * guest lives. Returns false where no region has the address. */
bool via_mem_identity(const struct via_mem *mem, uint64_t user_addr, uint64_t *dev, uint64_t *ino);

/* True once a fault hit one of the table's mappings: its bytes are zeros of ours now. Thread: any. */
bool via_mem_is_lost(const struct via_mem *mem);

/* The last region that answered, kept by each queue so that most translations need one comparison. */
struct via_mem_hint {
	uint32_t region;
};

/* The slow path of via_mem_translate(): a binary search. NULL if no region has 'gpa'. */
uint8_t *via_mem_search(const struct via_mem *mem, struct via_mem_hint *hint, uint64_t gpa,
			uint64_t *contiguous);

/*
 * Where 'gpa' lies here, and in '*contiguous' how many bytes from there lie in one piece (not capped
 * by what the caller wants; at least 1). NULL if no region has it. A buffer longer than '*contiguous'
 * goes on with another translation: regions adjacent for the guest need not be adjacent here (VU-32).
 * Thread: any that holds 'mem'.
 */
static via_always_inline uint8_t *via_mem_translate(const struct via_mem *mem,
						    struct via_mem_hint *hint, uint64_t gpa,
						    uint64_t *contiguous)
{
	if (via_likely(hint->region < mem->nr_regions)) {
		const struct via_region *r = &mem->region[hint->region];
		uint64_t offset = gpa - r->gpa; /* wraps to a huge number below the region */

		if (via_likely(offset < r->size)) {
			*contiguous = r->size - offset;
			return r->host + offset;
		}
	}
	return via_mem_search(mem, hint, gpa, contiguous);
}

/* Where 'size' bytes at a front-end's own address lie here, in one piece; NULL if they do not. For
 * rings, which must be contiguous. Thread: control. */
void *via_mem_translate_user(const struct via_mem *mem, uint64_t user_addr, uint64_t size);

/*
 * Installs the process-wide SIGBUS handler that survives truncated guest memory: a fault in a guarded
 * mapping replaces the whole mapping by private zeros and marks it lost; any other address goes to
 * the handler that was there before. Idempotent. Returns 0 or a negative errno. Thread: control,
 * before workers start.
 */
int via_guard_install(struct via_error *err);

/* Looks at each page of guarded memory, for a fault that a system call has only reported (EFAULT): here it
 * is raised, and survived, and its device hears of it. Does nothing elsewhere. Thread: any. */
void via_guard_touch(const void *at, size_t size);

/* Grows by one with each fault survived, so that a worker notices with one load a turn. */
extern _Atomic(uint32_t) via_guard_faults;

/* For mapping.c: guards [base, base + size) until via_guard_remove(); a fault stores true in '*lost'.
 * Returns 0 or -ENOSPC when all slots are taken. Thread: control. */
int via_guard_add(void *base, size_t size, atomic_bool *lost);
void via_guard_remove(void *base);

#endif
