/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/position.c: what a process that was killed leaves behind, and how the next one goes on */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "ring/position.h"
#include "ring_rig.h"
#include "tests/memfd.h"

static const struct via_position_key key = { 1, 2, 0x7f0000000000, 8, VIA_RING_PACKED };

/* A packed ring and a position file, in memory that outlives processes. */
struct world {
	uint16_t size;
	uint8_t *shared; /* descriptor ring, driver's and device's event areas: RING_BYTES */
	int fd;
	struct via_positions *file;
	struct via_position *record;
	struct via_ring ring;
	struct via_vq *vq;
	char says[sizeof(((struct via_error *)NULL)->text)]; /* why recover() refused it */
	struct via_mem mem;
};
#define RING_BYTES (1024 * 16 + 64)

static struct via_position_key key_of(const struct world *w)
{
	struct via_position_key k = key;

	k.size = w->size;
	return k;
}

static void world_open(struct world *w, uint16_t size, const uint8_t *ring, const uint8_t *file)
{
	struct via_error err;
	uint64_t bytes = via_positions_size(1);

	*w = (struct world){ .size = size, .vq = calloc(1, sizeof(*w->vq)) };
	w->shared =
		mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->fd = test_memfd(bytes, 0);
	if (ring)
		memcpy(w->shared, ring, RING_BYTES);
	if (file)
		assert_int_equal(pwrite(w->fd, file, bytes, 0), bytes);
	if (via_positions_map(&w->file, w->fd, 1, &err) < 0)
		fail_msg("%s", err.text);
	w->record = via_position_at(w->file, 0);
	w->ring = (struct via_ring){
		.mem = &w->mem,
		.format = VIA_RING_PACKED,
		.size = size,
		.packed.desc = (void *)w->shared,
		.packed.driver = (void *)(w->shared + RING_BYTES - 8),
		.packed.device = (void *)(w->shared + RING_BYTES - 4),
		.kick_fd = -1,
		.call_fd = -1,
	};
}

static void world_close(struct world *w)
{
	via_positions_unmap(w->file);
	close(w->fd);
	munmap(w->shared, RING_BYTES);
	free(w->vq);
}

static void world_start(struct world *w, struct via_ring_pos pos)
{
	struct via_position_key k = key_of(w);

	via_position_begin(w->record, w->vq, &k, pos);
	via_vq_start(w->vq, &w->ring, pos, pos);
}

static void advance(const struct world *w, struct via_ring_pos *pos, uint32_t n)
{
	while (n--) {
		if (++pos->idx == w->size) {
			pos->idx = 0;
			pos->wrap = !pos->wrap;
		}
	}
}

/* Offers a chain of 'n' empty buffers: positions are all that these tests are about. */
static void offer(struct world *w, struct via_ring_pos *pos, uint32_t n, uint32_t id)
{
	for (uint32_t i = 0; i < n; i++, advance(w, pos, 1))
		put_desc(VIA_RING_PACKED, w->shared + 16 * pos->idx,
			 (struct rig_desc){ 0, 0,
					    packed_offer(pos->wrap) |
						    (i + 1 < n ? (uint32_t)VIA_DESC_NEXT : 0),
					    id });
}

static bool pop(struct world *w, struct via_chain *chain)
{
	struct via_seg seg[64]; /* room for what is empty, too */

	return vq_pop(w->vq, &w->ring, chain, seg, 64, VIA_RING_PACKED) == 1;
}

/* Takes, gives back and publishes 'n' chains that are there. */
static void serve(struct world *w, uint32_t n)
{
	struct via_chain chain;

	for (uint32_t i = 0; i < n; i++) {
		assert_true(pop(w, &chain));
		vq_push(w->vq, &w->ring, &chain, 100 + chain.id, VIA_RING_PACKED);
	}
	vq_publish(w->vq, &w->ring, VIA_RING_PACKED);
}

static enum via_position_found recover(struct world *w, struct via_ring_pos *pos)
{
	struct via_position_key k = key_of(w);
	struct via_ring_pos avail = { 0 }, used = { 0 };
	struct via_error err = { "" };
	enum via_position_found found =
		via_position_recover(w->record, &k, &w->ring, &avail, &used, &err);

	if (found == VIA_POSITION_FOUND) {
		assert_int_equal(avail.idx, used.idx);
		assert_int_equal(avail.wrap, used.wrap);
		*pos = used;
	}
	assert_int_equal(found == VIA_POSITION_DISAGREES, err.text[0] != 0);
	memcpy(w->says, err.text, sizeof(w->says));
	return found;
}

static bool slot_is_used(const struct world *w, struct via_ring_pos pos)
{
	uint16_t flags = get16(w->shared + 16 * pos.idx + 14);
	uint32_t bits = pos.wrap ? 1u << 7 | 1u << 15 : 0;

	return (flags & (1u << 7 | 1u << 15)) == bits;
}

/* ---- a kill at every instruction of a publication ---- */

/* Three chains of 1, 3 and 2 slots, offered at 'start' with ids 0 to 2, were being published. */
static const uint32_t lengths[3] = { 1, 3, 2 };

/* The driver finds all three, with their lengths, or none. Returns which. */
static bool driver_sees_all(const struct world *w, struct via_ring_pos start)
{
	struct via_ring_pos pos = start;

	if (!slot_is_used(w, start))
		return false;
	for (uint32_t i = 0; i < 3; i++, advance(w, &pos, lengths[i - 1])) {
		assert_true(slot_is_used(w, pos));
		assert_int_equal(get16(w->shared + 16 * pos.idx + 12), i);
		assert_int_equal(get32(w->shared + 16 * pos.idx + 8), 100 + i);
	}
	return true;
}

enum driver_did { DRIVER_SLEPT, DRIVER_REFILLED };

/* A new process finds this ring and this file, with or without a driver that went on meanwhile. */
static void check_crash(uint16_t size, struct via_ring_pos start, const uint8_t *ring,
			const uint8_t *file, enum driver_did did)
{
	struct via_ring_pos pos, offered = start;
	struct via_chain chain;
	struct world w;
	bool refilled = false;

	world_open(&w, size, ring, file);
	advance(&w, &offered, 6);
	if (did == DRIVER_REFILLED && driver_sees_all(&w, start)) {
		for (uint32_t i = 0; i < 3; i++)
			offer(&w, &offered, lengths[i], 10 + i);
		refilled = true;
	}
	assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
	world_start(&w, pos);
	if (refilled) {
		serve(&w, 3);
	} else if (!driver_sees_all(&w, start)) {
		assert_int_equal(pos.idx, start.idx);
		for (uint32_t i = 0; i < 3; i++) {
			assert_true(pop(&w, &chain));
			assert_int_equal(chain.id, i); /* as the driver had written it */
			assert_int_equal(chain.nr_slots, lengths[i]);
			vq_push(w.vq, &w.ring, &chain, 100 + i, VIA_RING_PACKED);
		}
		vq_publish(w.vq, &w.ring, VIA_RING_PACKED);
		assert_true(driver_sees_all(&w, start));
	}
	assert_false(pop(&w, &chain));
	assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND); /* and killed again */
	assert_int_equal(pos.idx, w.vq->used.idx);
	world_close(&w);
}

/* The ring as this lap and the one before left it, and what the record knows of: where it is, or also which
 * descriptor was given back last. */
static void start_in_lap(struct world *w, struct via_ring_pos start, bool knows_last)
{
	struct via_ring_pos pos = start;

	for (uint16_t i = 0; i < w->size; i++) {
		bool lap = i < start.idx ? start.wrap : !start.wrap;

		put_desc(VIA_RING_PACKED, w->shared + 16 * i,
			 (struct rig_desc){ .flags = lap ? 1u << 7 | 1u << 15 : 0 });
	}
	if (!knows_last) {
		world_start(w, start);
		return;
	}
	advance(w, &pos, 2u * w->size - 1); /* one back */
	world_start(w, pos);
	offer(w, &pos, 1, 0);
	serve(w, 1);
}

/* Runs a publication one instruction at a time, and dies after each. Returns how many states of the
 * shared memory were met. */
static uint32_t publish_in_steps(uint16_t size, struct via_ring_pos start, bool knows_last)
{
	uint64_t file_bytes = via_positions_size(1);
	uint8_t *ring = calloc(1, RING_BYTES), *file = calloc(1, file_bytes);
	uint8_t *now = calloc(1, file_bytes);
	struct via_ring_pos driver = start;
	uint32_t states = 0;
	int status = 0;
	struct world w;
	pid_t child;

	world_open(&w, size, NULL, NULL);
	start_in_lap(&w, start, knows_last);
	for (uint32_t i = 0; i < 3; i++)
		offer(&w, &driver, lengths[i], i);

	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct via_chain chain;

		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		raise(SIGSTOP);
		for (uint32_t i = 0; i < 3; i++) {
			pop(&w, &chain);
			vq_push(w.vq, &w.ring, &chain, 100 + i, VIA_RING_PACKED);
		}
		vq_publish(w.vq, &w.ring, VIA_RING_PACKED);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		assert_int_equal(pread(w.fd, now, file_bytes, 0), file_bytes);
		if (memcmp(file, now, file_bytes) != 0 || memcmp(ring, w.shared, RING_BYTES) != 0) {
			memcpy(file, now, file_bytes);
			memcpy(ring, w.shared, RING_BYTES);
			check_crash(size, start, ring, file, DRIVER_SLEPT);
			check_crash(size, start, ring, file, DRIVER_REFILLED);
			states++;
		}
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
			break;
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	if (states > 0) /* else nobody may trace here, and the child ended at once */
		assert_true(driver_sees_all(&w, start));
	world_close(&w);
	free(ring);
	free(file);
	free(now);
	return states;
}

static void a_kill_at_any_instruction_loses_nothing_and_doubles_nothing(void **state)
{
	static const struct {
		uint16_t size;
		struct via_ring_pos start;
	} cases[] = {
		{ 8, { 0, true } }, { 8, { 6, true } },  { 8, { 6, false } },    { 7, { 5, true } },
		{ 6, { 0, true } }, { 6, { 4, false } }, { 256, { 253, true } },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		uint16_t size = cases[i / 2].size;
		struct via_ring_pos start = cases[i / 2].start;
		uint32_t states = publish_in_steps(size, start, i % 2);

		if (states == 0)
			skip();
		print_message("%u slots from %u: %u states\n", size, start.idx, states);
		/* Three entries, pending, three slots, done: at least these were seen. */
		assert_true(states >= 8);
	}
}

/* ---- what a restart finds otherwise ---- */

static void positions_go_through_many_laps(void **state)
{
	static const uint16_t sizes[] = { 1, 3, 255, 256 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct via_ring_pos driver = { .wrap = true }, pos;
		struct world w;

		world_open(&w, sizes[i], NULL, NULL);
		world_start(&w, driver);
		for (uint32_t round = 0; round < 5u * sizes[i]; round++) {
			offer(&w, &driver, 1 + round % via_min_u(3, sizes[i]), round & 0xff);
			serve(&w, 1);
			assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
			assert_int_equal(pos.idx, driver.idx);
			assert_int_equal(pos.wrap, driver.wrap);
			world_start(&w, pos);
		}
		world_close(&w);
	}
}

static void an_in_order_batch_is_found_again(void **state)
{
	struct via_ring_pos driver = { .wrap = true }, pos;
	struct via_chain chain;
	struct world w;

	(void)state;
	world_open(&w, 8, NULL, NULL);
	world_start(&w, driver);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t slots = 0;

		for (uint32_t i = 0; i < 3; i++)
			offer(&w, &driver, 1 + i % 2, i);
		for (uint32_t i = 0; i < 3; i++) {
			assert_true(pop(&w, &chain));
			slots += chain.nr_slots;
		}
		vq_push_batch(w.vq, &w.ring, 3, slots, chain.id, VIA_RING_PACKED);
		vq_publish(w.vq, &w.ring, VIA_RING_PACKED);
		assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
		assert_int_equal(pos.idx, driver.idx);
	}
	world_close(&w);
}

static void another_ring_is_not_known(void **state)
{
	const struct via_position_key keys[] = {
		{ 9, 2, 0x7f0000000000, 8, VIA_RING_PACKED },
		{ 1, 9, 0x7f0000000000, 8, VIA_RING_PACKED },
		{ 1, 2, 0x7f0000001000, 8, VIA_RING_PACKED },
		{ 1, 2, 0x7f0000000000, 16, VIA_RING_PACKED },
		{ 1, 2, 0x7f0000000000, 8, VIA_RING_SPLIT },
	};
	struct via_ring_pos pos = { .wrap = true };
	struct world w;

	(void)state;
	world_open(&w, 8, NULL, NULL);
	assert_int_equal(recover(&w, &pos), VIA_POSITION_NONE); /* nothing was ever kept */
	world_start(&w, pos);
	assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(
			via_position_recover(w.record, &keys[i], &w.ring, &pos, &pos, NULL),
			VIA_POSITION_NONE);
	via_position_end(w.record, w.vq); /* stopped cleanly */
	assert_int_equal(recover(&w, &pos), VIA_POSITION_NONE);
	world_close(&w);
}

/* 'served' slots before the kill, 'offered' in the ring begun anew. */
static void begin_anew(uint16_t size, uint32_t served, uint32_t offered, bool killed_before)
{
	struct via_ring_pos driver = { .wrap = true }, pos;
	struct world w;

	world_open(&w, size, NULL, NULL);
	world_start(&w, driver);
	for (uint32_t i = 0; i < served; i++) {
		offer(&w, &driver, 1, 0);
		serve(&w, 1);
	}
	if (killed_before) { /* and had nothing to do since */
		assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
		world_start(&w, pos);
	}
	memset(w.shared, 0, 16 * size);
	driver = (struct via_ring_pos){ .wrap = true };
	for (uint32_t i = 0; i < offered; i++)
		offer(&w, &driver, 1, 0);
	assert_int_equal(recover(&w, &pos), VIA_POSITION_DISAGREES);
	world_close(&w);
}

/* A guest that rebooted while nobody served it, in the same memory. What was served comes back to the
 * beginning after two laps. */
static void a_ring_begun_anew_is_refused(void **state)
{
	static const uint16_t sizes[] = { 1, 7, 8 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
		for (uint32_t served = 1; served < 2u * sizes[s]; served++)
			for (uint32_t offered = 0; offered <= sizes[s]; offered++)
				for (int twice = 0; twice < 2; twice++)
					begin_anew(sizes[s], served, offered, twice);
}

/* Killed before the first slot of a batch of 'n' was written; the guest rebooted before it is completed. */
static void cut_short_and_begun_anew(uint32_t served, uint32_t n, uint32_t offered)
{
	const uint16_t size = 8;
	struct via_ring_pos driver = { .wrap = true }, pos;
	uint8_t anew[16 * 8];
	struct via_chain chain;
	struct world w;

	world_open(&w, size, NULL, NULL);
	world_start(&w, driver);
	for (uint32_t i = 0; i < served; i++) {
		offer(&w, &driver, 1, 0);
		serve(&w, 1);
	}
	for (uint32_t i = 0; i < n; i++) {
		offer(&w, &driver, 1, 3);
		assert_true(pop(&w, &chain));
		vq_push(w.vq, &w.ring, &chain, 100, VIA_RING_PACKED);
	}
	position_pending(w.vq->batch, w.vq->nr_batch);

	memset(w.shared, 0, sizeof(anew));
	driver = (struct via_ring_pos){ .wrap = true };
	for (uint32_t i = 0; i < offered; i++)
		offer(&w, &driver, 1, i);
	memcpy(anew, w.shared, sizeof(anew));
	assert_int_equal(recover(&w, &pos), VIA_POSITION_DISAGREES);
	assert_memory_equal(w.shared, anew, sizeof(anew));
	world_close(&w);
}

static void a_batch_cut_short_is_not_completed_in_a_ring_begun_anew(void **state)
{
	(void)state;
	for (uint32_t served = 1; served < 16; served++) /* see above */
		for (uint32_t n = 1; n <= 8 && served + n < 16; n++)
			for (uint32_t offered = 0; offered <= 8; offered++)
				cut_short_and_begun_anew(served, n, offered);
}

static void a_batch_cut_short_beyond_the_log_is_refused(void **state)
{
	struct via_ring_pos driver = { .wrap = true }, pos;
	struct via_chain chain;
	struct world w;

	(void)state;
	world_open(&w, 1000, NULL, NULL);
	world_start(&w, driver);
	for (uint32_t i = 0; i < 600; i++) {
		offer(&w, &driver, 1, 0);
		assert_true(pop(&w, &chain));
		vq_push(w.vq, &w.ring, &chain, 0, VIA_RING_PACKED);
	}
	assert_int_equal(recover(&w, &pos), VIA_POSITION_DISAGREES);
	assert_string_equal(w.says, "the process ended within a batch of over 512 buffers");
	vq_publish(w.vq, &w.ring, VIA_RING_PACKED);
	assert_int_equal(recover(&w, &pos), VIA_POSITION_FOUND);
	assert_int_equal(pos.idx, 600);
	world_close(&w);
}

/* Without a record: what the slots alone can tell of a front-end's base. */
static void a_base_that_the_slots_contradict_does_not_fit(void **state)
{
	struct via_ring_pos driver = { .wrap = true };
	struct world w;

	(void)state;
	world_open(&w, 7, NULL, NULL);
	assert_true(via_position_is_fresh(&w.ring));
	world_start(&w, driver);
	for (uint32_t i = 0; i < 25; i++) {
		struct via_ring_pos wrong = { driver.idx, !driver.wrap };

		assert_true(via_position_fits(&w.ring, driver));
		assert_false(via_position_fits(&w.ring, wrong));
		assert_false(via_position_fits(&w.ring, (struct via_ring_pos){ 7, true }));
		offer(&w, &driver, 1, 0);
		/* After two laps the ring looks as it did at first, and is: at slot 0, wrap 1. */
		assert_int_equal(via_position_is_fresh(&w.ring), i % 14 == 0);
		serve(&w, 1);
	}
	world_close(&w);
}

#define OUTSIDE    "the kept position lies outside the ring of 1000 slots"
#define DAMAGED(n) "the kept batch of " n " entries is damaged"

/* Where one entry more would be; the record does not end there. */
static struct via_batch_entry *behind(struct via_batch *batch)
{
	return (struct via_batch_entry *)(void *)(batch + 1);
}

/* The file is ours, but it outlived a process that ended badly. */
static void a_damaged_record_is_refused_and_leads_nowhere(void **state)
{
	static const struct {
		const char *what;
		uint64_t word;     /* or'd into the state of a fresh ring */
		uint16_t nr_slots; /* of each entry */
		const char *says;
	} cases[] = {
		{ "a position outside the ring", 1000, 0, OUTSIDE },
		{ "a last slot outside", UINT64_C(1000) << 16, 0, OUTSIDE },
		{ "more entries than there are", UINT64_C(513) << 32, 1, DAMAGED("513") },
		{ "entries without slots", UINT64_C(3) << 32, 0, DAMAGED("3") },
		{ "more slots than the ring has", UINT64_C(1) << 32, 1001, DAMAGED("1") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct via_ring_pos pos = { .wrap = true };
		struct via_batch_entry *entry;
		struct world w;

		print_message("%s\n", cases[i].what);
		world_open(&w, 1000, NULL, NULL);
		world_start(&w, pos);
		entry = w.vq->batch->entry;
		for (uint32_t k = 0; k < VIA_BATCH_ENTRIES; k++)
			entry[k].nr_slots = cases[i].nr_slots;
		behind(w.vq->batch)->nr_slots = cases[i].nr_slots;
		atomic_fetch_or(&w.vq->batch->state, cases[i].word);
		assert_int_equal(recover(&w, &pos), VIA_POSITION_DISAGREES);
		assert_string_equal(w.says, cases[i].says);
		world_close(&w);
	}
}

/* Its used index is the truth; the record only says that it is the same ring. */
static void a_split_ring_goes_on_at_its_used_index(void **state)
{
	const struct via_position_key k = { 1, 2, 3, 4, VIA_RING_SPLIT };
	struct rig *rig = rig_open_bare(VIA_RING_SPLIT, 4, (struct via_ring_pos){ .idx = 65534 });
	struct via_ring_pos avail, used;
	struct via_error err;
	struct world w;

	(void)state;
	world_open(&w, 4, NULL, NULL);
	split_show(rig, 65534 + 4);
	put16(rig->part[2] + 2, 65534);
	assert_int_equal(via_position_recover(w.record, &k, &rig->ring, &avail, &used, NULL),
			 VIA_POSITION_NONE);
	via_position_begin(w.record, &rig->vq, &k, (struct via_ring_pos){ .idx = 65534 });
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, 0);
	}
	rig_publish(rig);
	assert_int_equal(rig_pop(rig), 1); /* taken, not given back: comes again */
	assert_int_equal(via_position_recover(w.record, &k, &rig->ring, &avail, &used, NULL),
			 VIA_POSITION_FOUND);
	assert_int_equal(avail.idx, 1);
	assert_int_equal(used.idx, 1);
	split_show(rig, 9);
	assert_int_equal(via_position_recover(w.record, &k, &rig->ring, &avail, &used, &err),
			 VIA_POSITION_DISAGREES);
	world_close(&w);
	rig_close(rig);
}

static void a_file_that_is_something_else_is_refused(void **state)
{
	struct via_positions *file = NULL;
	struct via_error err;
	int fd = test_memfd(via_positions_size(2) - 1, 0), readonly;
	char name[32];

	(void)state;
	assert_int_equal(via_positions_map(&file, fd, 2, &err), -EINVAL); /* too small */
	assert_int_equal(via_positions_map(&file, fd, 1, &err), 0);
	via_positions_unmap(file);
	assert_int_equal(ftruncate(fd, (off_t)via_positions_size(2)), 0);
	assert_int_equal(via_positions_map(&file, fd, 2, &err), -EINVAL); /* for 1 queue */
	assert_int_equal(via_positions_map(&file, fd, 1, &err), 0);
	via_positions_unmap(file);
	assert_int_equal(pwrite(fd, "\xff", 1, 12), 1);
	assert_int_equal(via_positions_map(&file, fd, 1, &err), -EINVAL); /* of other records */
	assert_int_equal(pwrite(fd, &(uint64_t){ 0 }, 8, 8), 8);
	assert_int_equal(pwrite(fd, "VIAPOS0", 8, 0), 8);
	assert_int_equal(via_positions_map(&file, fd, 1, &err), -EINVAL); /* another layout */
	assert_int_equal(via_positions_map(&file, -1, 1, &err), -EBADF);
	assert_string_equal(err.text, "position file: Bad file descriptor");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	readonly = open(name, O_RDONLY | O_CLOEXEC);
	assert_int_equal(via_positions_map(&file, readonly, 1, &err), -EACCES);
	close(readonly);
	via_positions_unmap(NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_at_any_instruction_loses_nothing_and_doubles_nothing),
		cmocka_unit_test(positions_go_through_many_laps),
		cmocka_unit_test(an_in_order_batch_is_found_again),
		cmocka_unit_test(another_ring_is_not_known),
		cmocka_unit_test(a_ring_begun_anew_is_refused),
		cmocka_unit_test(a_batch_cut_short_is_not_completed_in_a_ring_begun_anew),
		cmocka_unit_test(a_batch_cut_short_beyond_the_log_is_refused),
		cmocka_unit_test(a_base_that_the_slots_contradict_does_not_fit),
		cmocka_unit_test(a_damaged_record_is_refused_and_leads_nowhere),
		cmocka_unit_test(a_split_ring_goes_on_at_its_used_index),
		cmocka_unit_test(a_file_that_is_something_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
