/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of memory regions: built aside, validated as a whole, never changed (R5, R6, VU-30).
 *
 * A change makes a new table that shares the mappings of the old one. Regions are sorted by guest
 * address, so that a translation is a binary search; ring addresses, which are in the front-end's own
 * addresses, are translated by control only and searched one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem/mem.h"

/* ---- what a description must satisfy ---- */

static bool wraps(uint64_t start, uint64_t size)
{
	uint64_t end;

	return __builtin_add_overflow(start, size, &end);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_region(const struct via_region_desc *d, struct via_error *err)
{
	if (d->size == 0)
		return via_fail(err, -EINVAL, "its size is 0");
	if (wraps(d->gpa, d->size) || wraps(d->user_addr, d->size) ||
	    wraps(d->mmap_offset, d->size))
		return via_fail(err, -EINVAL, "an address plus its size 0x%llx wraps",
				(unsigned long long)d->size);
	if (d->mmap_offset % (uint64_t)getpagesize())
		return via_fail(err, -EINVAL, "its offset 0x%llx is not on a page",
				(unsigned long long)d->mmap_offset);
	return 0;
}

static int check_overlap(const struct via_region_desc *d, uint64_t gpa, uint64_t user_addr,
			 uint64_t size, struct via_error *err)
{
	if (overlap(d->gpa, d->size, gpa, size))
		return via_fail(err, -EINVAL,
				"guest addresses 0x%llx + 0x%llx overlap another region",
				(unsigned long long)d->gpa, (unsigned long long)d->size);
	if (overlap(d->user_addr, d->size, user_addr, size))
		return via_fail(err, -EINVAL,
				"user addresses 0x%llx + 0x%llx overlap another region",
				(unsigned long long)d->user_addr, (unsigned long long)d->size);
	return 0;
}

/* Counts 'bytes' more that a table maps. */
static int add_mapped(uint64_t *mapped, uint64_t bytes, struct via_error *err)
{
	if (bytes > VIA_MEM_MAX_MAPPED - *mapped)
		return via_fail(err, -EINVAL,
				"with its 0x%llx bytes more than 0x%llx are to be mapped",
				(unsigned long long)bytes, (unsigned long long)VIA_MEM_MAX_MAPPED);
	*mapped += bytes;
	return 0;
}

static int check_regions(const struct via_region_desc *descs, uint32_t n, struct via_error *err)
{
	uint64_t mapped = 0;

	for (uint32_t i = 0; i < n; i++) {
		int ret = check_region(&descs[i], err);

		for (uint32_t j = 0; ret == 0 && j < i; j++)
			ret = check_overlap(&descs[i], descs[j].gpa, descs[j].user_addr,
					    descs[j].size, err);
		if (ret == 0)
			ret = add_mapped(&mapped, descs[i].mmap_offset + descs[i].size, err);
		if (ret < 0)
			return via_fail_in(err, ret, "memory region %u", i);
	}
	return 0;
}

static int check_count(uint32_t n, struct via_error *err)
{
	if (n > VIA_MEM_MAX_REGIONS)
		return via_fail(err, -EINVAL, "%u memory regions, at most %d are possible", n,
				VIA_MEM_MAX_REGIONS);
	return 0;
}

/* ---- tables ---- */

static struct via_mem *table_alloc(uint32_t capacity, struct via_error *err)
{
	struct via_mem *mem = malloc(sizeof(*mem) + capacity * sizeof(mem->region[0]));

	if (mem)
		mem->nr_regions = 0;
	else
		via_fail(err, -ENOMEM, "no memory for a table of %u memory regions", capacity);
	return mem;
}

/* Puts a region at its place. The table has room. */
static void table_insert(struct via_mem *mem, const struct via_region *region)
{
	uint32_t i = mem->nr_regions++;

	for (; i > 0 && mem->region[i - 1].gpa > region->gpa; i--)
		mem->region[i] = mem->region[i - 1];
	mem->region[i] = *region;
}

static int table_map(struct via_mem *mem, const struct via_region_desc *d, int fd,
		     enum via_mem_policy policy, struct via_error *err)
{
	struct via_region region = { .gpa = d->gpa, .size = d->size, .user_addr = d->user_addr };
	/* From the file's beginning, whatever the offset: hugetlbfs maps whole pages only (VU-31). */
	int ret = via_mapping_open(&region.mapping, fd, d->mmap_offset + d->size, policy, err);

	if (ret < 0)
		return ret;
	region.host = via_mapping_base(region.mapping) + d->mmap_offset;
	table_insert(mem, &region);
	return 0;
}

static void table_share(struct via_mem *mem, const struct via_region *region)
{
	via_mapping_get(region->mapping);
	table_insert(mem, region);
}

int via_mem_create(struct via_mem **mem, const struct via_region_desc *descs, const int *fds,
		   uint32_t n, enum via_mem_policy policy, struct via_error *err)
{
	struct via_mem *m;
	int ret = check_count(n, err);

	if (ret == 0)
		ret = check_regions(descs, n, err);
	if (ret < 0)
		return ret;
	m = table_alloc(n, err);
	if (!m)
		return -ENOMEM;

	for (uint32_t i = 0; i < n; i++) {
		ret = table_map(m, &descs[i], fds[i], policy, err);
		if (ret < 0) {
			via_mem_free(m);
			return via_fail_in(err, ret, "memory region %u", i);
		}
	}
	for (uint32_t i = 0; i < n; i++)
		close(fds[i]);
	*mem = m;
	return 0;
}

/* Bytes of its file that are mapped for a region: from the beginning on. */
static uint64_t mapped_for(const struct via_region *r)
{
	return (uint64_t)(r->host - via_mapping_base(r->mapping)) + r->size;
}

/* Whether a region fits what a table has. */
static int check_added(const struct via_mem *old, const struct via_region_desc *desc,
		       struct via_error *err)
{
	uint64_t mapped = 0;
	int ret = check_region(desc, err);

	for (uint32_t i = 0; ret == 0 && i < old->nr_regions; i++) {
		const struct via_region *r = &old->region[i];

		mapped += mapped_for(r);
		ret = check_overlap(desc, r->gpa, r->user_addr, r->size, err);
	}
	return ret < 0 ? ret : add_mapped(&mapped, desc->mmap_offset + desc->size, err);
}

int via_mem_add(struct via_mem **mem, const struct via_mem *old, const struct via_region_desc *desc,
		int fd, enum via_mem_policy policy, struct via_error *err)
{
	struct via_mem *m;
	int ret = check_count(old->nr_regions + 1, err);

	if (ret == 0)
		ret = check_added(old, desc, err);
	if (ret < 0)
		return via_fail_in(err, ret, "memory region to add");
	m = table_alloc(old->nr_regions + 1, err);
	if (!m)
		return -ENOMEM;

	for (uint32_t i = 0; i < old->nr_regions; i++)
		table_share(m, &old->region[i]);
	ret = table_map(m, desc, fd, policy, err);
	if (ret < 0) {
		via_mem_free(m);
		return via_fail_in(err, ret, "memory region to add");
	}
	close(fd);
	*mem = m;
	return 0;
}

static bool is_described(const struct via_region *r, const struct via_region_desc *d)
{
	return r->gpa == d->gpa && r->size == d->size && r->user_addr == d->user_addr;
}

int via_mem_remove(struct via_mem **mem, const struct via_mem *old,
		   const struct via_region_desc *desc, struct via_error *err)
{
	struct via_mem *m = table_alloc(old->nr_regions, err);

	if (!m)
		return -ENOMEM;
	for (uint32_t i = 0; i < old->nr_regions; i++)
		if (!is_described(&old->region[i], desc))
			table_share(m, &old->region[i]);
	if (m->nr_regions == old->nr_regions) {
		via_mem_free(m);
		return via_fail(err, -ENOENT,
				"no memory region has guest address 0x%llx, size 0x%llx, user "
				"address 0x%llx",
				(unsigned long long)desc->gpa, (unsigned long long)desc->size,
				(unsigned long long)desc->user_addr);
	}
	*mem = m;
	return 0;
}

void via_mem_free(struct via_mem *mem)
{
	if (!mem)
		return;
	for (uint32_t i = 0; i < mem->nr_regions; i++)
		via_mapping_put(mem->region[i].mapping);
	free(mem);
}

/* ---- questions ---- */

uint32_t via_mem_nr_sealed(const struct via_mem *mem)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < mem->nr_regions; i++)
		n += via_mapping_is_sealed(mem->region[i].mapping);
	return n;
}

static const struct via_region *find_user(const struct via_mem *mem, uint64_t user_addr)
{
	for (uint32_t i = 0; i < mem->nr_regions; i++)
		if (user_addr - mem->region[i].user_addr < mem->region[i].size)
			return &mem->region[i];
	return NULL;
}

bool via_mem_identity(const struct via_mem *mem, uint64_t user_addr, uint64_t *dev, uint64_t *ino)
{
	const struct via_region *r = find_user(mem, user_addr);

	if (!r)
		return false;
	via_mapping_identity(r->mapping, dev, ino);
	return true;
}

bool via_mem_is_lost(const struct via_mem *mem)
{
	for (uint32_t i = 0; i < mem->nr_regions; i++)
		if (via_mapping_is_lost(mem->region[i].mapping))
			return true;
	return false;
}

void *via_mem_translate_user(const struct via_mem *mem, uint64_t user_addr, uint64_t size)
{
	const struct via_region *r = find_user(mem, user_addr);

	if (!r || size > r->size - (user_addr - r->user_addr))
		return NULL;
	return r->host + (user_addr - r->user_addr);
}

uint8_t *via_mem_search(const struct via_mem *mem, struct via_mem_hint *hint, uint64_t gpa,
			uint64_t *contiguous)
{
	uint32_t low = 0, high = mem->nr_regions;

	*contiguous = 0; /* R15: also on failure */
	/* The first region above 'gpa' is at 'high' in the end; the one before it may have it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (mem->region[middle].gpa <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || gpa - mem->region[low - 1].gpa >= mem->region[low - 1].size)
		return NULL;
	hint->region = low - 1;
	*contiguous = mem->region[low - 1].size - (gpa - mem->region[low - 1].gpa);
	return mem->region[low - 1].host + (gpa - mem->region[low - 1].gpa);
}
