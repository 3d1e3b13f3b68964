/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts from bytes: those below 0x80 are themselves, the others are words of a language, so that a mutation
 * makes another sentence more often than it makes no sentence.
 */
#ifndef VIA_FUZZ_WORDS_H
#define VIA_FUZZ_WORDS_H

#include "tests/fuzz/fuzz.h"

/* Words of the configuration, and of values in it and in calls. */
#define WORDS_CONFIG                                                                               \
	"control: /run/c.sock\n", "metrics: ", "run_dir: /tmp/x\n", "user: root\n",                \
		"group: ", "workers: ", "poll_us: ", "fdb: ", "ports:\n", "\n  - ",                \
		"name: ", "type: ", "mtu: ", "vlan: ", "trunk: ", "lossless: ", "isolated: ",      \
		"socket: ", "mode: ", "queue_pairs: ", "owner: ", "perm: ", "features: ",          \
		"memory: ", "ifname: ", "mac: ", "static: ", "port_limit: ", "ageing: ", "size: ", \
		"port: ", "vhost-user", "virtio-user", "tap", "sink", "{", "}", "[", "]", ", ",    \
		"on", "off", "always", "sealed", "client", "server", "all", "10", "1500", "4094",  \
		"20-30", "52:54:00:00:00:01", "/run/a.sock", "\n  ", "packed: off",                \
		"guest_tso4: off", "&a ", "*a", "!!", "|\n ", "\"", "0660", "a", "b"

/* Writes the text that 'in' stands for, at most 'max' bytes with its NUL; returns its length. */
static inline size_t words_write(struct input *in, const char *const *words, size_t nr_words,
				 char *text, size_t max)
{
	size_t len = 0;

	while (in_more(in)) {
		const uint8_t byte = in_u8(in);
		const char letter[2] = { (char)byte, '\0' };
		const char *word = byte < 0x80 ? letter : words[(byte - 0x80u) % nr_words];

		if (byte == 0)
			break;
		while (*word && len + 1 < max)
			text[len++] = *word++;
	}
	text[len] = '\0';
	return len;
}

#endif
