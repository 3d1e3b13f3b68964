/* SPDX-License-Identifier: BSD-3-Clause */
/* The cold path of chain.h: entries of indirect tables that regions cut or that are not aligned. */
#include "ring/chain.h"

#include "base/copy.h"

bool chain_copy_entry(const struct via_mem *mem, struct via_mem_hint *hint, uint64_t gpa,
		      uint64_t *addr, uint64_t *tail)
{
	struct {
		uint64_t addr, tail; /* as they lie in guest memory */
	} entry;
	size_t done = 0;

	static_assert(sizeof(entry) == sizeof(struct via_desc_words), "one descriptor");
	while (done < sizeof(entry)) {
		uint64_t contiguous;
		const uint8_t *host = via_mem_translate(mem, hint, gpa + done, &contiguous);
		size_t n = sizeof(entry) - done;

		if (!host || gpa + done < gpa)
			return false;
		if (contiguous < n)
			n = (size_t)contiguous;
		/* Each byte is read once, and only the copy is looked at (VX-19). */
		via_copy_private((uint8_t *)&entry + done, host, n);
		done += n;
	}
	*addr = le64toh(entry.addr);
	*tail = le64toh(entry.tail);
	return true;
}
