/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/notify.h and the notification half of vq.h and vq.c */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "ring_rig.h"

/* ---- the arithmetic, against the specification's own words (§5) ---- */

static bool spec_need(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static void split_decisions_are_those_of_the_specification(void **state)
{
	static const uint16_t edges[] = { 0, 1, 2, 255, 256, 32767, 32768, 65534, 65535 };

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(edges); n++)
		for (size_t d = 0; d < ARRAY_SIZE(edges); d++)
			for (int e = -3; e <= 3; e++)
				for (int base = 0; base < 2; base++) {
					uint16_t new = edges[n], old = (uint16_t)(new - edges[d]);
					uint16_t event = (uint16_t)((base ? new : old) + e);

					assert_int_equal(notify_split_wants(event, new, edges[d]),
							 spec_need(event, new, old));
				}
	assert_false(notify_split_wants(7, 7, 0));       /* new = old */
	assert_true(notify_split_wants(6, 7, 1));        /* event just behind */
	assert_false(notify_split_wants(7, 7, 1));       /* event just ahead */
	for (uint32_t event = 0; event < 65536; event++) /* more than all indices went by */
		assert_true(notify_split_wants((uint16_t)event, 100, 65536));
}

/* Which slots, counted without end, were published: any of them that has the event's slot and lap? */
static bool plain_packed(uint32_t size, uint32_t event, bool event_wrap, uint32_t new, uint32_t n)
{
	for (uint32_t slot = new - n; slot != new; slot++)
		if (slot % size == event && !!(slot / size % 2) == event_wrap)
			return true;
	return false;
}

static void packed_decisions_are_whether_the_slot_went_by(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 3, 7, 8 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint16_t size = sizes[s];

		for (uint32_t new = 4 * size; new < 6u * size; new ++)
			for (uint32_t n = 1; n <= size; n++)
				for (uint16_t e = 0; e < 2 * size; e++) {
					struct via_ring_pos event = { e % size, e / size };
					struct via_ring_pos pos = { (uint16_t)(new % size),
								    new / size % 2 };
					/* A lap ahead looks like a lap behind: a needless signal. */
					bool alias = n == size && event.idx == pos.idx &&
						     event.wrap != pos.wrap;

					if (alias)
						continue;
					assert_int_equal(
						notify_packed_wants(notify_off_wrap(event), pos, n,
								    size),
						plain_packed(size, event.idx, event.wrap, new, n));
				}
	}
}

/* VX-29 */
static void an_offset_beyond_the_ring_is_harmless(void **state)
{
	(void)state;
	for (uint32_t event = 3; event < 65536; event++)
		notify_packed_wants((uint16_t)event, (struct via_ring_pos){ 1, true }, 1, 3);
	assert_true(notify_packed_wants(0x7fff, (struct via_ring_pos){ 1, true }, 4, 3));
}

/* ---- the device's decisions ---- */

/* Offers and serves one chain; returns whether the driver is to be told. */
static bool serve_one(struct rig *rig, uint32_t k)
{
	if (rig->format == VIA_RING_PACKED) {
		struct via_ring_pos pos = rig->vq.avail;

		packed_offer_chain(rig, &pos, 1, 8, 0);
	} else {
		split_desc(rig, 0, (struct rig_desc){ RIG_GPA, 8, 0, 0 });
		split_head(rig, k, 0);
		split_show(rig, k + 1);
	}
	assert_int_equal(rig_pop(rig), 1);
	rig_push(rig, &rig->chain, 0);
	rig_publish(rig);
	return vq_wants_call(&rig->vq, &rig->ring, rig->format);
}

static bool asks_again(struct rig *rig)
{
	return vq_wants_call(&rig->vq, &rig->ring, rig->format);
}

/* VQ-S-05, VQ-C-07 */
static void split_without_event_idx_goes_by_the_flag(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);
	uint32_t k = 0;

	(void)state;
	assert_false(asks_again(rig)); /* nothing was published */
	assert_true(serve_one(rig, k++));
	assert_false(asks_again(rig)); /* asked and answered */
	put16(rig->part[1], 1);
	assert_false(serve_one(rig, k++));
	put16(rig->part[1], 0xfffe); /* unknown bits */
	assert_true(serve_one(rig, k++));
	rig_close(rig);
}

/* VQ-S-06 */
static void split_with_event_idx_goes_by_the_index(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);
	uint8_t *used_event = rig->part[1] + 4 + 2 * 4;
	uint32_t k = 0;

	(void)state;
	rig->ring.event_idx = true;
	put16(rig->part[1], 1); /* not looked at */
	put16(used_event, 100);
	assert_true(
		serve_one(rig, k++)); /* the first is unconditional: there is no old index yet */
	assert_false(serve_one(rig, k++));
	put16(used_event, 2);
	assert_true(serve_one(rig, k++));
	assert_false(serve_one(rig, k++));
	put16(used_event, 3); /* already passed */
	assert_false(serve_one(rig, k++));
	rig_close(rig);
}

/* VIRTIO_F_NOTIFY_ON_EMPTY, legacy */
static void a_ring_that_ran_empty_is_told_of_if_that_was_negotiated(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	rig->ring.features = VIA_BIT(VIRTIO_F_NOTIFY_ON_EMPTY);
	put16(rig->part[1], 1);
	assert_true(serve_one(rig, 0));
	split_head(rig, 1, 0);
	split_head(rig, 2, 0);
	split_show(rig, 3);
	for (int left = 1; left >= 0; left--) {
		assert_int_equal(rig_pop(rig), 1);
		rig_push(rig, &rig->chain, 0);
		rig_publish(rig);
		assert_int_equal(asks_again(rig), left == 0);
	}
	rig_close(rig);
}

/* VQ-P-11 */
static void packed_without_event_idx_goes_by_the_flag(void **state)
{
	static const bool told[] = { true, false, true, true };

	(void)state;
	for (uint16_t flags = 0; flags < 4; flags++) {
		struct rig *rig = rig_open(VIA_RING_PACKED, 4);

		put16(rig->part[1], 3);
		put16(rig->part[1] + 2, flags | 0xfff0); /* reserved bits */
		assert_int_equal(serve_one(rig, 0), told[flags]);
		assert_int_equal(serve_one(rig, 1), told[flags]);
		rig_close(rig);
	}
}

/* VQ-P-11, VX-29 */
static void packed_with_event_idx_goes_by_the_slot(void **state)
{
	struct rig *rig = rig_open(VIA_RING_PACKED, 3);
	uint32_t k = 0;

	(void)state;
	rig->ring.event_idx = true;
	put16(rig->part[1], 2 | 1 << 15);
	put16(rig->part[1] + 2, 2);
	assert_true(serve_one(rig, k++)); /* slot 0: the first is unconditional */
	assert_false(serve_one(rig, k++));
	assert_true(serve_one(rig, k++));  /* slot 2 of lap 1 */
	assert_false(serve_one(rig, k++)); /* slot 0 of lap 0 */
	assert_false(serve_one(rig, k++));
	assert_false(serve_one(rig, k++)); /* slot 2, but of lap 0 */
	put16(rig->part[1] + 2, 1);
	assert_false(serve_one(rig, k++));
	put16(rig->part[1] + 2, 3);
	assert_true(serve_one(rig, k++)); /* reserved: enabled */
	rig_close(rig);
}

/* ---- asking for kicks ---- */

/* VQ-S-10, B7 */
static void arming_a_split_ring_asks_and_looks_again(void **state)
{
	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct rig *rig = rig_open_bare(VIA_RING_SPLIT, 4, (struct via_ring_pos){ 7, 0 });
		uint8_t *avail_event = rig->part[2] + 4 + 8 * 4;

		rig->ring.event_idx = event_idx;
		split_show(rig, 7);
		vq_disarm(&rig->vq, &rig->ring, VIA_RING_SPLIT);
		assert_int_equal(get16(rig->part[2]), !event_idx);
		assert_false(vq_arm(&rig->vq, &rig->ring, VIA_RING_SPLIT));
		assert_int_equal(get16(rig->part[2]), 0);
		assert_int_equal(get16(avail_event), event_idx ? 7 : 0);
		split_show(rig, 8);
		assert_true(vq_arm(&rig->vq, &rig->ring, VIA_RING_SPLIT));
		rig_close(rig);
	}
}

/* VQ-P-12, B7 */
static void arming_a_packed_ring_asks_and_looks_again(void **state)
{
	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct via_ring_pos pos = { 2, true };
		struct rig *rig = rig_open_bare(VIA_RING_PACKED, 4, pos);

		rig->ring.event_idx = event_idx;
		vq_disarm(&rig->vq, &rig->ring, VIA_RING_PACKED);
		assert_int_equal(get16(rig->part[2] + 2), 1);
		assert_false(vq_arm(&rig->vq, &rig->ring, VIA_RING_PACKED));
		assert_int_equal(get16(rig->part[2] + 2), event_idx ? 2 : 0);
		assert_int_equal(get16(rig->part[2]), event_idx ? 2 | 1 << 15 : 0);
		packed_offer_chain(rig, &pos, 1, 0, 0);
		assert_true(vq_arm(&rig->vq, &rig->ring, VIA_RING_PACKED));
		rig_close(rig);
	}
}

/* ---- telling ---- */

static void a_full_call_descriptor_is_a_delivered_call(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);
	uint64_t full = UINT64_MAX - 1;
	int pipes[2];

	(void)state;
	rig->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(write(rig->ring.call_fd, &full, sizeof(full)), 8);
	vq_call(&rig->vq, &rig->ring);
	close(rig->ring.call_fd);

	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0); /* user-mode Linux sends a pipe */
	rig->ring.call_fd = pipes[1];
	while (write(pipes[1], &full, sizeof(full)) > 0)
		;
	vq_call(&rig->vq, &rig->ring);
	close(pipes[0]);
	close(pipes[1]);
	assert_non_null(vq_ring(&rig->vq));
	assert_int_equal(via_counter_read(&rig->vq.calls), 2);
	rig_close(rig);
}

static void a_call_descriptor_that_fails_breaks_the_queue(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	rig->ring.call_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	vq_call(&rig->vq, &rig->ring);
	assert_null(vq_ring(&rig->vq));
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_NOTIFY);
	close(rig->ring.call_fd);
	rig_close(rig);
}

static void interrupted(int signal)
{
	(void)signal;
}

struct watchdog {
	pthread_t worker;
	atomic_bool stop;
};

static void *watch(void *arg)
{
	struct watchdog *dog = arg;

	while (!atomic_load(&dog->stop)) {
		pthread_kill(dog->worker, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

/* R19: the peer made its descriptor blocking and full; somebody ends the wait. */
static void a_call_that_would_block_ends_with_the_signal_and_breaks_the_queue(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);
	struct watchdog dog = { .worker = pthread_self() };
	uint64_t full = UINT64_MAX - 1;
	pthread_t thread;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = interrupted }, NULL),
			 0);
	rig->ring.call_fd = eventfd(0, 0);
	assert_int_equal(write(rig->ring.call_fd, &full, sizeof(full)), 8);
	assert_int_equal(pthread_create(&thread, NULL, watch, &dog), 0);
	vq_call(&rig->vq, &rig->ring);
	atomic_store(&dog.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_NOTIFY);
	close(rig->ring.call_fd);
	rig_close(rig);
}

static void a_call_that_goes_nowhere_is_fine(void **state)
{
	struct rig *rig = rig_open(VIA_RING_SPLIT, 4);

	(void)state;
	vq_call(&rig->vq, &rig->ring);
	assert_int_equal(via_counter_read(&rig->vq.calls), 0);
	assert_int_equal(atomic_load(&rig->vq.broken), VIA_BROKEN_NONE);
	rig_close(rig);
}

static void every_reason_to_break_has_a_sentence(void **state)
{
	(void)state;
	for (int why = 0; why < VIA_NR_BROKEN; why++)
		assert_non_null(via_broken_text((enum via_broken)why));
	assert_string_equal(via_broken_text(VIA_NR_BROKEN), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_decisions_are_those_of_the_specification),
		cmocka_unit_test(packed_decisions_are_whether_the_slot_went_by),
		cmocka_unit_test(an_offset_beyond_the_ring_is_harmless),
		cmocka_unit_test(split_without_event_idx_goes_by_the_flag),
		cmocka_unit_test(split_with_event_idx_goes_by_the_index),
		cmocka_unit_test(a_ring_that_ran_empty_is_told_of_if_that_was_negotiated),
		cmocka_unit_test(packed_without_event_idx_goes_by_the_flag),
		cmocka_unit_test(packed_with_event_idx_goes_by_the_slot),
		cmocka_unit_test(arming_a_split_ring_asks_and_looks_again),
		cmocka_unit_test(arming_a_packed_ring_asks_and_looks_again),
		cmocka_unit_test(a_full_call_descriptor_is_a_delivered_call),
		cmocka_unit_test(a_call_descriptor_that_fails_breaks_the_queue),
		cmocka_unit_test(a_call_that_would_block_ends_with_the_signal_and_breaks_the_queue),
		cmocka_unit_test(a_call_that_goes_nowhere_is_fine),
		cmocka_unit_test(every_reason_to_break_has_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
