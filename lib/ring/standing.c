/* SPDX-License-Identifier: BSD-3-Clause */
/* The cold side of a ring of standing chains: setting it up. */
#include "ring/standing.h"

#include <stdlib.h>

/* No head: a ring is shorter. */
#define NOTHING_SHOWN UINT16_MAX

static bool allocate(struct via_standing *st)
{
	size_t size = st->ring.size;

	st->room = calloc(size, sizeof(*st->room));
	st->shown = calloc(size, sizeof(*st->shown));
	st->fixed = calloc(size, sizeof(*st->fixed));
	return st->room && st->shown && st->fixed;
}

int via_standing_init(struct via_standing *st, const struct via_drv_config *config,
		      uint16_t nr_slots, struct via_error *err)
{
	int ret;

	*st = (struct via_standing){ 0 };
	if (nr_slots == 0 || nr_slots > config->size)
		return via_fail(err, -EINVAL, "chains of %u slots do not fit a ring of %u",
				nr_slots, config->size);
	if (config->in_order && config->size % nr_slots)
		return via_fail(err, -EINVAL,
				"IN_ORDER needs a ring of a multiple of %u slots, not %u", nr_slots,
				config->size);
	ret = via_drv_init(&st->ring, config, err);
	if (ret < 0)
		return ret;
	st->nr_slots = nr_slots;
	st->nr_chains = (uint16_t)(config->size / nr_slots);
	if (!allocate(st)) {
		via_standing_free(st);
		return via_fail(err, -ENOMEM, "no memory for a ring of %u slots", config->size);
	}
	for (uint32_t i = 0; i < config->size; i++)
		st->shown[i] = NOTHING_SHOWN;
	return 0;
}

void via_standing_free(struct via_standing *st)
{
	via_drv_free(&st->ring);
	free(st->room);
	free(st->shown);
	free(st->fixed);
	*st = (struct via_standing){ 0 };
}

/* ---- chains ---- */

static void set_split(struct via_drv_ring *drv, const struct via_drv_buffer *buf,
		      uint32_t nr_readable, uint32_t n, uint16_t id)
{
	for (uint32_t i = 0; i < n; i++) {
		via_le64_store(&drv->split.desc[id + i].addr, buf[i].addr);
		via_le64_store(&drv->split.desc[id + i].tail,
			       split_drv_tail(buf[i].len, drv_buffer_flags(i, nr_readable, n),
					      (uint16_t)(id + i + 1)));
	}
}

static void set_packed(struct via_fixed_desc *fixed, const struct via_drv_buffer *buf,
		       uint32_t nr_readable, uint32_t n, uint16_t id)
{
	for (uint32_t i = 0; i < n; i++)
		fixed[i] = (struct via_fixed_desc){
			.addr = buf[i].addr,
			.tail = packed_drv_tail(buf[i].len, id,
						drv_buffer_flags(i, nr_readable, n)),
		};
}

void via_standing_set(struct via_standing *st, uint32_t number, const struct via_drv_buffer *buf,
		      uint32_t nr_readable, uint32_t nr_writable, enum via_drv_form form)
{
	struct via_drv_ring *drv = &st->ring;
	uint32_t n = nr_readable + nr_writable;
	uint16_t id = (uint16_t)(number * st->nr_slots);
	uint32_t capacity = 0;

	assert(number < st->nr_chains);
	assert(form == VIA_DRV_INDIRECT ? st->nr_slots == 1 && n <= drv->table_size
					: n == st->nr_slots);
	for (uint32_t i = nr_readable; i < n; i++)
		capacity += buf[i].len;
	assert(number == 0 || capacity == st->capacity);
	st->capacity = capacity;

	if (drv->format == VIA_RING_SPLIT && form == VIA_DRV_DIRECT) {
		set_split(drv, buf, nr_readable, n, id);
	} else if (drv->format == VIA_RING_SPLIT) {
		split_drv_fill_table(drv, buf, nr_readable, n, id);
	} else if (form == VIA_DRV_DIRECT) {
		set_packed(&st->fixed[id], buf, nr_readable, n, id);
	} else {
		uint64_t offset = packed_drv_write_table(drv, buf, nr_readable, n, id);

		st->fixed[id] = (struct via_fixed_desc){
			.addr = drv->tables_addr + offset,
			.tail = packed_drv_tail((uint32_t)(n * sizeof(*drv->tables)), id,
						VIA_DESC_INDIRECT),
		};
	}
}
