/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MAC table; fdb.h has its layout and the reading side.
 *
 * Writers lock one bucket at a time, and for a few stores only. Workers never wait for a lock: an
 * address that cannot be learned now is learned with its next frame. Control waits, since the holder
 * is a worker about to let go.
 *
 * 'page' counts the entries in each page of buckets, so that sweeps skip memory that was never used
 * instead of touching it. It and the other counts are changed by whoever holds the bucket's lock.
 *
 * When control leaves a page without entries it gives it back to the system: otherwise stations that come
 * and go, each in a page of its own, would in the end have touched all of the table. It holds the locks
 * of all the page's buckets meanwhile, and what is there next is buckets that were never used. Their
 * sequence words begin anew, each time elsewhere, so that no reader takes one for what it was before.
 */
#include "switch/fdb.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define RETRIES    1000
#define LOCK_TRIES 1000
#define SEQ_STEP   0x9e3779b8 /* far apart, whatever their number */

static uint64_t key_at(const struct sw_fdb_bucket *b, unsigned int place)
{
	return atomic_load_explicit(&b->key[place], memory_order_relaxed);
}

static sw_fdb_value value_at(const struct sw_fdb_bucket *b, unsigned int place)
{
	return atomic_load_explicit(&b->value[place], memory_order_relaxed);
}

/* The word of a locked bucket that has 'seq' while it is free: even, never 0. */
static uint32_t locked(const struct sw_fdb *fdb, uint32_t seq)
{
	const uint32_t next =
		seq ? seq + 1 : atomic_load_explicit(&fdb->first_seq, memory_order_relaxed);

	return next ? next : 2;
}

/* Acquires: sees all that the previous holder stored. */
static bool try_lock(const struct sw_fdb *fdb, struct sw_fdb_bucket *b)
{
	uint32_t seq = atomic_load_explicit(&b->seq, memory_order_relaxed);

	return (seq == 0 || seq & 1) &&
	       atomic_compare_exchange_strong_explicit(&b->seq, &seq, locked(fdb, seq),
						       memory_order_acquire, memory_order_relaxed);
}

static void lock(const struct sw_fdb *fdb, struct sw_fdb_bucket *b)
{
	for (uint32_t tries = 1; !try_lock(fdb, b); tries++) {
		if (tries % LOCK_TRIES)
			via_relax();
		else
			poll(NULL, 0, 1); /* it has lost its CPU, perhaps to us */
	}
}

static void unlock(struct sw_fdb_bucket *b)
{
	uint32_t seq = atomic_load_explicit(&b->seq, memory_order_relaxed);

	/* Pairs with the first acquire of sw_fdb_look(). */
	atomic_store_explicit(&b->seq, seq + 1, memory_order_release);
}

/* Releases, so that who sees one of these words also sees that the bucket is locked. */
static void put(struct sw_fdb_bucket *b, unsigned int place, uint64_t key, sw_fdb_value value)
{
	atomic_store_explicit(&b->value[place], value, memory_order_release);
	atomic_store_explicit(&b->key[place], key, memory_order_release);
}

/* The place that holds 'key' (0: a free one), or SW_FDB_PLACES. */
static unsigned int place_of(const struct sw_fdb_bucket *b, uint64_t key)
{
	unsigned int i = 0;

	while (i < SW_FDB_PLACES && key_at(b, i) != key)
		i++;
	return i;
}

static void count(struct sw_fdb *fdb, enum sw_fdb_counter what)
{
	atomic_fetch_add_explicit(&fdb->count[what], 1, memory_order_relaxed);
}

static uint32_t age_of(sw_fdb_value value, uint32_t now_s)
{
	const uint32_t then = value & (SW_FDB_STATIC - 1), now = now_s % SW_FDB_TIMES;
	const uint32_t age = now >= then ? now - then : now + SW_FDB_TIMES - then;

	/* Workers' clocks may be ahead of the caller's by a turn. */
	return age > SW_FDB_TIMES / 2 ? 0 : age;
}

static uint64_t page_of(const struct sw_fdb *fdb, const struct sw_fdb_bucket *b)
{
	return (uint64_t)(b - fdb->bucket) / SW_FDB_PAGE;
}

static bool page_is_empty(const struct sw_fdb *fdb, uint64_t page)
{
	return atomic_load_explicit(&fdb->page[page].entries, memory_order_relaxed) == 0;
}

/* Accounts for an entry that came (1) or went (-1). The bucket is locked. */
static void account(struct sw_fdb *fdb, const struct sw_fdb_bucket *b, sw_fdb_value value, int n)
{
	atomic_fetch_add_explicit(&fdb->page[page_of(fdb, b)].entries, (uint16_t)n,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&fdb->entries, (uint32_t)n, memory_order_relaxed);
	if (value & SW_FDB_STATIC)
		return;
	atomic_fetch_add_explicit(&fdb->learned, (uint32_t)n, memory_order_relaxed);
	atomic_fetch_add_explicit(&fdb->of_port[sw_fdb_port(value)], (uint32_t)n,
				  memory_order_relaxed);
}

static void remove_at(struct sw_fdb *fdb, struct sw_fdb_bucket *b, unsigned int place)
{
	account(fdb, b, value_at(b, place), -1);
	put(b, place, 0, 0);
}

/* Of a bucket that was never used, or is being written. A writer that was put off the CPU while holding
 * the lock must not hold readers for long: they flood instead. */
sw_fdb_value sw_fdb_find_again(struct sw_fdb_bucket *b, uint64_t key)
{
	sw_fdb_value value;

	for (unsigned int i = 0; i < RETRIES; i++) {
		if (atomic_load_explicit(&b->seq, memory_order_relaxed) == 0)
			break; /* never used */
		if (sw_fdb_look(b, key, &value))
			return value;
		via_relax();
	}
	return SW_FDB_NONE;
}

/* May 'port' have one more? Workers that ask at the same moment may exceed a limit by one each. */
static bool has_room(struct sw_fdb *fdb, uint32_t port)
{
	if (atomic_load_explicit(&fdb->of_port[port], memory_order_relaxed) >= fdb->port_limit) {
		count(fdb, SW_FDB_COUNT_PORT_FULL);
		return false;
	}
	return true;
}

static void insert(struct sw_fdb *fdb, struct sw_fdb_bucket *b, uint64_t key, sw_fdb_value seen)
{
	const unsigned int place = place_of(b, 0);

	if (!has_room(fdb, sw_fdb_port(seen)))
		return;
	if (place == SW_FDB_PLACES ||
	    atomic_load_explicit(&fdb->entries, memory_order_relaxed) >= fdb->size) {
		count(fdb, SW_FDB_COUNT_FULL);
		return;
	}
	put(b, place, key, seen);
	account(fdb, b, seen, 1);
	count(fdb, SW_FDB_COUNT_LEARNED);
	if (fdb->needs_ageing)
		fdb->needs_ageing(fdb->user);
}

static void move(struct sw_fdb *fdb, struct sw_fdb_bucket *b, unsigned int place, sw_fdb_value seen)
{
	if (!has_room(fdb, sw_fdb_port(seen)))
		return;
	account(fdb, b, value_at(b, place), -1);
	put(b, place, key_at(b, place), seen);
	account(fdb, b, seen, 1);
	count(fdb, SW_FDB_COUNT_MOVED);
}

bool sw_fdb_learn_slow(struct sw_fdb *fdb, struct sw_fdb_bucket *b, uint64_t key,
		       sw_fdb_value known, sw_fdb_value seen)
{
	unsigned int place;

	if (known != SW_FDB_NONE && known & SW_FDB_STATIC)
		return sw_fdb_port(known) == sw_fdb_port(seen);
	if (!try_lock(fdb, b))
		return true;
	place = place_of(b, key);
	if (place == SW_FDB_PLACES)
		insert(fdb, b, key, seen);
	else if (value_at(b, place) & SW_FDB_STATIC)
		; /* since we looked: the next frame is judged by it */
	else if (sw_fdb_port(value_at(b, place)) != sw_fdb_port(seen))
		move(fdb, b, place, seen);
	else
		put(b, place, key, seen);
	unlock(b);
	return true;
}

/* Gives a page's memory back if it has no entries. Not if somebody learns meanwhile, nor if it cannot be
 * (it is locked, or the system's pages are larger). Thread: control. */
static void give_back(struct sw_fdb *fdb, uint64_t page)
{
	struct sw_fdb_bucket *b = &fdb->bucket[page * SW_FDB_PAGE];

	if (!page_is_empty(fdb, page))
		return;
	for (uint64_t i = 0; i < SW_FDB_PAGE; i++)
		lock(fdb, &b[i]);
	/* By whoever locks a bucket of it afterwards. */
	atomic_fetch_add_explicit(&fdb->first_seq, SEQ_STEP, memory_order_relaxed);
	if (page_is_empty(fdb, page) && madvise(b, SW_FDB_PAGE * sizeof(*b), MADV_DONTNEED) == 0)
		return; /* all are zeros now: free */
	for (uint64_t i = 0; i < SW_FDB_PAGE; i++)
		unlock(&b[i]);
}

int sw_fdb_put_static(struct sw_fdb *fdb, uint64_t key, uint32_t port, struct via_error *err)
{
	struct sw_fdb_bucket *b = sw_fdb_bucket(fdb, key);
	const sw_fdb_value value = port << 20 | SW_FDB_STATIC;
	unsigned int place;

	lock(fdb, b);
	place = place_of(b, key);
	if (place == SW_FDB_PLACES)
		place = place_of(b, 0);
	/* A learned address makes room for one that somebody configured. */
	for (unsigned int i = 0; i < SW_FDB_PLACES && place == SW_FDB_PLACES; i++) {
		if (!(value_at(b, i) & SW_FDB_STATIC))
			place = i;
	}
	if (place < SW_FDB_PLACES) {
		if (key_at(b, place))
			account(fdb, b, value_at(b, place), -1);
		put(b, place, key, value);
		account(fdb, b, value, 1);
	}
	unlock(b);
	if (place == SW_FDB_PLACES)
		return via_fail(err, -ENOSPC,
				"the address's bucket of the MAC table is full of static entries");
	return 0;
}

int sw_fdb_remove(struct sw_fdb *fdb, uint64_t key)
{
	struct sw_fdb_bucket *b = sw_fdb_bucket(fdb, key);
	unsigned int place;

	lock(fdb, b);
	place = place_of(b, key);
	if (place < SW_FDB_PLACES)
		remove_at(fdb, b, place);
	unlock(b);
	give_back(fdb, page_of(fdb, b));
	return place < SW_FDB_PLACES ? 0 : -ENOENT;
}

/* ---- sweeps ---- */

/* Which entries a sweep removes. */
struct sweep {
	int port; /* -1: of all */
	enum sw_fdb_kinds kinds;
	uint32_t min_age_s, now_s;
};

static bool is_swept(const struct sweep *s, sw_fdb_value value)
{
	if (s->port >= 0 && sw_fdb_port(value) != (uint32_t)s->port)
		return false;
	if (value & SW_FDB_STATIC)
		return s->kinds == SW_FDB_ALL;
	return s->min_age_s == 0 || age_of(value, s->now_s) >= s->min_age_s;
}

static bool has_swept(const struct sweep *s, const struct sw_fdb_bucket *b)
{
	for (unsigned int i = 0; i < SW_FDB_PLACES; i++) {
		if (key_at(b, i) && is_swept(s, value_at(b, i)))
			return true;
	}
	return false;
}

static uint32_t sweep_bucket(struct sw_fdb *fdb, struct sw_fdb_bucket *b, const struct sweep *s)
{
	uint32_t n = 0;

	if (!has_swept(s, b)) /* by far the most: not worth a lock */
		return 0;
	lock(fdb, b);
	for (unsigned int i = 0; i < SW_FDB_PLACES; i++) {
		if (key_at(b, i) && is_swept(s, value_at(b, i))) {
			remove_at(fdb, b, i);
			n++;
		}
	}
	unlock(b);
	return n;
}

static uint32_t sweep_page(struct sw_fdb *fdb, uint64_t page, const struct sweep *s)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < SW_FDB_PAGE; i++)
		n += sweep_bucket(fdb, &fdb->bucket[page * SW_FDB_PAGE + i], s);
	give_back(fdb, page);
	return n;
}

static uint32_t sweep_all(struct sw_fdb *fdb, const struct sweep *s)
{
	uint32_t n = 0;

	for (uint64_t page = 0; page < fdb->nr_buckets / SW_FDB_PAGE; page++) {
		if (!page_is_empty(fdb, page))
			n += sweep_page(fdb, page, s);
	}
	return n;
}

uint32_t sw_fdb_forget(struct sw_fdb *fdb, int port, enum sw_fdb_kinds kinds)
{
	return sweep_all(fdb, &(struct sweep){ .port = port, .kinds = kinds });
}

uint32_t sw_fdb_age(struct sw_fdb *fdb, uint32_t now_s)
{
	const struct sweep old = { .port = -1, .min_age_s = fdb->ageing_s, .now_s = now_s };
	const uint32_t n = sweep_all(fdb, &old);

	atomic_fetch_add_explicit(&fdb->count[SW_FDB_COUNT_AGED], n, memory_order_relaxed);
	return n;
}

static struct sw_fdb_entry entry_of(uint64_t key, sw_fdb_value value, uint32_t now_s)
{
	struct sw_fdb_entry e = { .vlan = (key >> 48) & 0xfff,
				  .port = (uint16_t)sw_fdb_port(value),
				  .is_static = value & SW_FDB_STATIC };
	const uint64_t word = htole64(key);

	memcpy(e.mac, &word, sizeof(e.mac));
	e.age_s = e.is_static ? 0 : age_of(value, now_s);
	return e;
}

static void walk_bucket(const struct sw_fdb *fdb, struct sw_fdb_bucket *b, uint32_t now_s,
			void (*fn)(void *user, const struct sw_fdb_entry *entry), void *user)
{
	struct sw_fdb_entry entry[SW_FDB_PLACES];
	unsigned int n = 0;

	lock(fdb, b);
	for (unsigned int i = 0; i < SW_FDB_PLACES; i++) {
		if (key_at(b, i))
			entry[n++] = entry_of(key_at(b, i), value_at(b, i), now_s);
	}
	unlock(b);
	for (unsigned int i = 0; i < n; i++)
		fn(user, &entry[i]);
}

void sw_fdb_each(struct sw_fdb *fdb, uint32_t now_s,
		 void (*fn)(void *user, const struct sw_fdb_entry *entry), void *user)
{
	for (uint64_t page = 0; page < fdb->nr_buckets / SW_FDB_PAGE; page++) {
		if (page_is_empty(fdb, page))
			continue;
		for (uint64_t i = 0; i < SW_FDB_PAGE; i++)
			walk_bucket(fdb, &fdb->bucket[page * SW_FDB_PAGE + i], now_s, fn, user);
	}
}

/* ---- beginning and end ---- */

static void *map_zeros(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint64_t make_secret(void)
{
	uint64_t secret;

	if (getrandom(&secret, sizeof(secret), GRND_NONBLOCK) != sizeof(secret))
		secret = via_clock_us() * UINT64_C(0x9e3779b97f4a7c15);
	return secret;
}

/* As many buckets as entries or more: at most one in a thousand addresses finds its bucket full. */
static uint32_t bucket_bits(uint32_t size)
{
	uint32_t bits = 6; /* a page */

	while ((UINT64_C(1) << bits) < size)
		bits++;
	return bits;
}

int sw_fdb_init(struct sw_fdb *fdb, const struct sw_config *config, struct via_error *err)
{
	uint32_t bits;

	fdb->size = config->fdb_size ? config->fdb_size : 65536;
	fdb->port_limit = config->fdb_port_limit ? config->fdb_port_limit : SW_FDB_PORT_LIMIT;
	fdb->ageing_s = config->ageing_s ? config->ageing_s : 300;
	if (fdb->size > SW_FDB_MAX_ENTRIES)
		return via_fail(err, -EINVAL, "a MAC table of %u entries: at most %u are possible",
				fdb->size, SW_FDB_MAX_ENTRIES);
	if (fdb->ageing_s > SW_FDB_MAX_AGE)
		return via_fail(err, -EINVAL, "an ageing time of %u s: at most %u s are possible",
				fdb->ageing_s, SW_FDB_MAX_AGE);

	bits = bucket_bits(fdb->size);
	fdb->shift = 64 - bits;
	fdb->nr_buckets = UINT64_C(1) << bits;
	fdb->secret = make_secret();
	atomic_init(&fdb->first_seq, SEQ_STEP);
	fdb->bucket = map_zeros(fdb->nr_buckets * sizeof(*fdb->bucket));
	fdb->page = calloc(fdb->nr_buckets / SW_FDB_PAGE, sizeof(*fdb->page));
	if (!fdb->bucket || !fdb->page) {
		sw_fdb_fini(fdb);
		return via_fail(err, -ENOMEM, "no memory for a MAC table of %u entries", fdb->size);
	}
	return 0;
}

void sw_fdb_fini(struct sw_fdb *fdb)
{
	if (fdb->bucket)
		munmap(fdb->bucket, fdb->nr_buckets * sizeof(*fdb->bucket));
	free(fdb->page);
	fdb->bucket = NULL;
	fdb->page = NULL;
}
