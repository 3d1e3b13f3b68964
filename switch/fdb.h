/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MAC table: which port an address of a VLAN was last seen on.
 *
 * Memory is fixed: buckets of one cache line in a mapping whose untouched pages cost nothing. A
 * bucket is read without locks under its sequence word and written by workers (learning) and control
 * (everything else), who lock it by making the word even. All its words are atomic; a reader that
 * meets a writer looks again.
 *
 * Bounded for everybody (R27): a bucket's places, the table's size, and what each port may learn.
 * What does not fit is not learned, and frames for it are flooded.
 */
#ifndef SW_FDB_H
#define SW_FDB_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <viaduct/error.h>

#include "base/base.h"
#include "base/shared.h"
#include "switch/switch.h"

#define SW_FDB_PLACES      5
#define SW_FDB_PAGE        64     /* buckets in a page of memory, which share a count of entries */
#define SW_FDB_MAX_AGE     200000 /* seconds */
#define SW_FDB_MAX_ENTRIES (1 << 24)

/* What is known of an address: port in bits 20 to 31, static in bit 19, and below the second in
 * which it was last seen, modulo SW_FDB_TIMES. */
typedef uint32_t sw_fdb_value;

#define SW_FDB_STATIC (1u << 19)
#define SW_FDB_TIMES  (SW_FDB_STATIC - 1)
#define SW_FDB_NONE   UINT32_MAX /* no value: its time would be SW_FDB_TIMES */
static_assert(SW_MAX_PORTS <= 1 << 12, "a port index has 12 bits");
/* Sweeps come every quarter of the ageing time. */
static_assert(SW_FDB_MAX_AGE + SW_FDB_MAX_AGE / 4 < SW_FDB_TIMES / 2, "ages do not wrap");

struct sw_fdb_bucket {
	_Atomic(uint64_t) key[SW_FDB_PLACES]; /* 0: free */
	_Atomic(sw_fdb_value) value[SW_FDB_PLACES];
	_Atomic(uint32_t) seq; /* odd: free; 0: free and never used; else locked */
};
static_assert(sizeof(struct sw_fdb_bucket) == VIA_CACHE_LINE, "one probe is one cache miss");

/* Events, for 'stats'. */
#define SW_FDB_COUNTERS(X)                                                   \
	X(LEARNED, "fdb_learned", "addresses learned")                       \
	X(MOVED, "fdb_moved", "addresses that moved to another port")        \
	X(AGED, "fdb_aged", "addresses forgotten for not being seen")        \
	X(PORT_FULL, "fdb_port_full", "not learned: the port has its share") \
	X(FULL, "fdb_full", "not learned: no place in the table or its bucket")

enum sw_fdb_counter {
#define X(name, label, text) SW_FDB_COUNT_##name,
	SW_FDB_COUNTERS(X)
#undef X
		SW_FDB_NR_COUNTERS,
};

struct sw_fdb_page {
	_Atomic(uint16_t) entries;
};

struct sw_fdb {
	struct sw_fdb_bucket *bucket;
	uint64_t secret; /* peers cannot choose addresses that share a bucket */
	uint32_t shift;  /* 64 - log2(number of buckets) */
	uint32_t size;   /* entries */
	uint32_t port_limit;
	uint32_t ageing_s;
	uint64_t nr_buckets;
	/* Told by a worker that there is something to age (again); may be NULL. */
	void (*needs_ageing)(void *user);
	void *user;

	_Atomic(uint32_t) first_seq; /* of a bucket that was never used, when it is locked: even */

	via_cache_aligned _Atomic(uint32_t) entries; /* all */
	_Atomic(uint32_t) learned;                   /* of them not static */
	_Atomic(uint64_t) count[SW_FDB_NR_COUNTERS];
	_Atomic(uint32_t) of_port[SW_MAX_PORTS]; /* learned by each */
	struct sw_fdb_page *page;                /* one for each SW_FDB_PAGE buckets */
};

/* Sizes of 0 are defaults. Returns 0, -EINVAL or -ENOMEM. Thread: control. */
int sw_fdb_init(struct sw_fdb *fdb, const struct sw_config *config, struct via_error *err);
void sw_fdb_fini(struct sw_fdb *fdb);

/* A MAC as a number: its first byte lowest. */
static inline uint64_t sw_mac(const uint8_t mac[6])
{
	uint64_t word = 0;

	memcpy(&word, mac, 6);
	return le64toh(word);
}

/* Never 0: that is a free place. */
static inline uint64_t sw_fdb_key(uint64_t mac, uint16_t vlan)
{
	return mac | (uint64_t)vlan << 48 | UINT64_C(1) << 63;
}

static inline struct sw_fdb_bucket *sw_fdb_bucket(const struct sw_fdb *fdb, uint64_t key)
{
	/* One multiplication by a secret spreads addresses that are counted up, as guests' are, badly
	 * for some secrets. */
	uint64_t hash = (key ^ fdb->secret) * UINT64_C(0x9e3779b97f4a7c15);

	hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return &fdb->bucket[hash >> fdb->shift];
}

static inline sw_fdb_value sw_fdb_value_of(uint32_t port, uint32_t now_s)
{
	return port << 20 | now_s % SW_FDB_TIMES;
}

static inline uint32_t sw_fdb_port(sw_fdb_value value)
{
	return value >> 20;
}

/* A look that said false: see fdb.c. */
via_cold sw_fdb_value sw_fdb_find_again(struct sw_fdb_bucket *bucket, uint64_t key);

/* One look at a bucket: true with what is there in '*value', unless nobody ever wrote it or somebody
 * does. */
static via_always_inline bool sw_fdb_look(struct sw_fdb_bucket *bucket, uint64_t key,
					  sw_fdb_value *value)
{
	/* Pairs with unlock() in fdb.c: what it stored before is visible. */
	const uint32_t seq = atomic_load_explicit(&bucket->seq, memory_order_acquire);

	*value = SW_FDB_NONE;
	for (unsigned int i = 0; i < SW_FDB_PLACES; i++) {
		/* These acquires pair with the releases of put(): having seen one of its words,
		 * the second look at 'seq' sees that the bucket was locked. */
		if (atomic_load_explicit(&bucket->key[i], memory_order_acquire) == key) {
			*value = atomic_load_explicit(&bucket->value[i], memory_order_acquire);
			break;
		}
	}
	return via_likely(seq & 1 &&
			  atomic_load_explicit(&bucket->seq, memory_order_relaxed) == seq);
}

/* What is known of 'key', or SW_FDB_NONE. Thread: any. */
static via_always_inline sw_fdb_value sw_fdb_find(struct sw_fdb_bucket *bucket, uint64_t key)
{
	sw_fdb_value value;

	if (via_unlikely(!sw_fdb_look(bucket, key, &value)))
		return sw_fdb_find_again(bucket, key);
	return value;
}

/* The rest of sw_fdb_learn(): 'known' is not 'seen'. */
via_cold bool sw_fdb_learn_slow(struct sw_fdb *fdb, struct sw_fdb_bucket *bucket, uint64_t key,
				sw_fdb_value known, sw_fdb_value seen);

/*
 * 'key' was seen as a source: 'seen' is sw_fdb_value_of() its port and this second. Writes only if
 * that is news. Returns false if the address is another port's by a static entry. Thread: worker.
 */
static via_always_inline bool sw_fdb_learn(struct sw_fdb *fdb, struct sw_fdb_bucket *bucket,
					   uint64_t key, sw_fdb_value seen)
{
	const sw_fdb_value known = sw_fdb_find(bucket, key);

	return via_likely(known == seen) || sw_fdb_learn_slow(fdb, bucket, key, known, seen);
}

/* ---- Thread: control ---- */

/* Adds a static entry in place of whatever is there. Returns 0, or -ENOSPC: no place. */
int sw_fdb_put_static(struct sw_fdb *fdb, uint64_t key, uint32_t port, struct via_error *err);
/* Removes an entry of any kind. Returns 0 or -ENOENT. */
int sw_fdb_remove(struct sw_fdb *fdb, uint64_t key);

enum sw_fdb_kinds { SW_FDB_LEARNED, SW_FDB_ALL };
/* Removes the entries of 'port' (-1: of all ports). Returns how many. */
uint32_t sw_fdb_forget(struct sw_fdb *fdb, int port, enum sw_fdb_kinds kinds);
/* Removes learned entries that were not seen for 'ageing_s'. Returns how many. */
uint32_t sw_fdb_age(struct sw_fdb *fdb, uint32_t now_s);
/* Calls 'fn' for each entry, with its age at 'now_s'. */
void sw_fdb_each(struct sw_fdb *fdb, uint32_t now_s,
		 void (*fn)(void *user, const struct sw_fdb_entry *entry), void *user);

#endif
