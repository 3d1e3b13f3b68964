/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/ring/driver_ring.h, driver_ring.c: a device that is written by hand, right or wrong */
#include <stdlib.h>

#include "ring/driver_ring.h"
#include "tests/test.h"

#define SIZE 8
#define ROOM 100 /* bytes of a chain */

/* A driver's ring and what the device writes into. */
struct rig {
	struct via_drv_ring drv;
	void *part[3]; /* descriptors, driver's, device's */
};

static struct via_drv_config rig_config(struct rig *rig, enum via_ring_format format, bool in_order)
{
	const struct via_ring_sizes sizes = via_ring_sizes(format, UINT16_MAX);

	rig->part[0] = malloc(sizes.desc);
	rig->part[1] = malloc(sizes.avail);
	rig->part[2] = malloc(sizes.used);
	return (struct via_drv_config){
		.format = format,
		.size = SIZE,
		.in_order = in_order,
		.desc = rig->part[0],
		.avail = rig->part[1],
		.used = rig->part[2],
	};
}

static void rig_open(struct rig *rig, enum via_ring_format format, bool in_order)
{
	const struct via_drv_config config = rig_config(rig, format, in_order);

	assert_int_equal(via_drv_init(&rig->drv, &config, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	via_drv_free(&rig->drv);
	for (int i = 0; i < 3; i++)
		free(rig->part[i]);
}

/* Posts 'n' chains of one writable buffer. */
static void post(struct rig *rig, uint32_t n)
{
	const struct via_drv_buffer buf = { 0x1000, ROOM };

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(
			drv_add(&rig->drv, &buf, 0, 1, VIA_DRV_DIRECT, NULL, rig->drv.format), 0);
	drv_publish(&rig->drv, rig->drv.format);
}

/* The device gives back what has this id, as its 'nth' (from 0) in the first lap, which is all that it has
 * given back up to now. */
static void give_back(struct rig *rig, uint16_t nth, uint64_t id, uint32_t len)
{
	const uint64_t flags = VIA_DESC_AVAIL | VIA_DESC_USED | VIA_DESC_WRITE;
	struct via_desc_words *desc = rig->part[0];
	struct via_split_used *used = rig->part[2];

	if (rig->drv.format == VIA_RING_PACKED) {
		via_le64_store(&desc[nth].tail, len | id << 32 | flags << 48);
		return;
	}
	via_le32_store(&used->ring[nth].id, (uint32_t)id);
	via_le32_store(&used->ring[nth].len, len);
	via_le16_store(&used->idx, (uint16_t)(nth + 1));
}

static int reap(struct rig *rig)
{
	struct via_drv_done done;

	return drv_reap(&rig->drv, &done, rig->drv.format);
}

#define FOR_EACH_KIND(format, in_order)                                                         \
	for (enum via_ring_format format = VIA_RING_SPLIT; format <= VIA_RING_PACKED; format++) \
		for (int in_order = 0; in_order < 2; in_order++)

static void a_size_that_no_ring_has_is_refused(void **state)
{
	static const struct {
		enum via_ring_format format;
		uint16_t size;
		int ret;
		const char *says;
	} cases[] = {
		{ VIA_RING_SPLIT, 0, -EINVAL, "a ring of 0 slots: 1 to 32768 are possible" },
		{ VIA_RING_PACKED, 0, -EINVAL, "a ring of 0 slots: 1 to 32768 are possible" },
		{ VIA_RING_PACKED, 32769, -EINVAL,
		  "a ring of 32769 slots: 1 to 32768 are possible" },
		{ VIA_RING_PACKED, 65535, -EINVAL,
		  "a ring of 65535 slots: 1 to 32768 are possible" },
		{ VIA_RING_SPLIT, 7, -EINVAL,
		  "a split ring of 7 slots: it must be a power of two" },
		{ VIA_RING_SPLIT, 32768, 0, "" },
		{ VIA_RING_PACKED, 7, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig rig = { 0 };
		struct via_drv_config config = rig_config(&rig, cases[i].format, false);
		struct via_error err = { "" };

		config.size = cases[i].size;
		assert_int_equal(via_drv_init(&rig.drv, &config, &err), cases[i].ret);
		assert_string_equal(err.text, cases[i].says);
		rig_close(&rig);
	}
}

/* VQ-D-07: also where nothing is with the device, so that nothing need be looked for. */
static void what_was_never_posted_does_not_come_back(void **state)
{
	(void)state;
	FOR_EACH_KIND(format, in_order)
	{
		struct rig rig;

		rig_open(&rig, format, in_order);
		assert_int_equal(reap(&rig), 0);
		give_back(&rig, 0, 0, 0);
		assert_int_equal(reap(&rig), -EPROTO);
		assert_int_equal(reap(&rig), -EPROTO);
		rig_close(&rig);
	}
}

static void what_came_back_does_not_come_back_again(void **state)
{
	(void)state;
	FOR_EACH_KIND(format, in_order)
	{
		struct rig rig;

		rig_open(&rig, format, in_order);
		post(&rig, 1);
		give_back(&rig, 0, 0, ROOM);
		assert_int_equal(reap(&rig), 1);
		assert_int_equal(reap(&rig), 0);
		give_back(&rig, 1, 0, ROOM);
		assert_int_equal(reap(&rig), -EPROTO);
		rig_close(&rig);
	}
}

/* It is told of when the driver goes to sleep: nobody may look at the ring again for long. */
static void a_device_that_gave_back_too_much_does_not_let_its_driver_sleep(void **state)
{
	(void)state;
	FOR_EACH_KIND(format, in_order)
	{
		struct rig rig;

		rig_open(&rig, format, in_order);
		assert_false(drv_arm(&rig.drv, format));
		give_back(&rig, 0, 0, 0);
		assert_true(drv_arm(&rig.drv, format) || rig.drv.broken);
		assert_int_equal(reap(&rig), -EPROTO);
		rig_close(&rig);
	}
}

/* §4: who names the third gives back three, and a used index of a split ring counts them. */
static void a_batch_ends_within_the_used_index(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, VIA_RING_SPLIT, true);
	post(&rig, 4);
	give_back(&rig, 0, 2, 10);
	assert_int_equal(reap(&rig), 1); /* the first one it may have counted */
	assert_int_equal(reap(&rig), -EPROTO);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_that_no_ring_has_is_refused),
		cmocka_unit_test(what_was_never_posted_does_not_come_back),
		cmocka_unit_test(what_came_back_does_not_come_back_again),
		cmocka_unit_test(a_device_that_gave_back_too_much_does_not_let_its_driver_sleep),
		cmocka_unit_test(a_batch_ends_within_the_used_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
