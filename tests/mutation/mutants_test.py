#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is found in a file's text, and how it is made removable."""

import glob
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import mutants                                                  # noqa: E402

SOURCE = """
#define IF(x) if (x) return
static int f(struct a *a, int n)
{
	/* if (comment) return; */
	if (via_unlikely(n < 0 || a->size < n)) /* a reason */
		return via_fail(a, "if (string) return");
	if (n == 1) {
		a->one = 1;
	}
	if (n == 2)
		a->broken = true;
	if (n == 3)
		a->three = 3;
	else
		return 0;
	if (via_likely(a->near && n)) {
		a->size++;
		goto done;
	}
	via_fence();
	n = via_le16_load_acquire(&a->idx);
	atomic_store_explicit(&a->word, n, memory_order_release);
done:
	return via_le16_load(&a->flags);
}

static bool g(int x, int y)
{
	if (x && y)
		return true;
	return x > 0 &&
	       (y > 0 || y == x);
}
"""


def found(source=SOURCE):
    everything = list(mutants.find("lib/ring/a.c", source))
    mutants.number(everything)
    return everything


class Mutants(unittest.TestCase):
    def test_what_is_found(self):
        self.assertEqual([(m.kind, m.function, m.text) for m in found()], [
            ("check", "f", "n < 0"), ("check", "f", "a->size < n"),
            ("check", "f", "n == 2"),
            ("likely", "f", "a->near"), ("likely", "f", "n"),
            ("barrier", "f", "via_fence()"),
            ("barrier", "f", "via_le16_load_acquire(&a->idx)"),
            ("barrier", "f", "atomic_store_explicit(&a->word, n, memory_order_release)"),
            ("operand", "g", "x"), ("operand", "g", "y"), ("operand", "g", "x > 0"), ("operand", "g", "(y > 0 || y == x)"),
        ])

    def test_each_is_removable(self):
        everything = found()
        text = mutants.removable(SOURCE, everything)
        number = {m.text: m.number for m in everything}
        for line in (
                "via_unlikely(VIA_MUTANT_CHECK(%d, n < 0) ||" % number["n < 0"],
                "if (via_likely(VIA_MUTANT_NEED(%d, a->near) && VIA_MUTANT_NEED(%d, n))) {"
                % (number["a->near"], number["n"]),
                "(void)(via_is_there(%d) && (via_fence(), 1));" % number["via_fence()"],
                "? via_le16_load_acquire(&a->idx) : via_le16_load(&a->idx));",
                ": atomic_store_explicit(&a->word, n, memory_order_relaxed));"):
            self.assertIn(line, text)

    def test_a_key_changes_with_its_function_only(self):
        keys = {m.name: m.key for m in found()}
        changed = {m.function for m in found(SOURCE.replace("a->size++", "a->size--"))
                   if keys[m.name] != m.key}
        self.assertEqual(changed, {"f"})

    def test_its_macros_are_not_redefined_by_the_sources(self):
        def defined(path):
            with open(path, encoding="utf-8") as f:
                return set(re.findall(r"^#define (\w+)", f.read(), re.M))

        ours = defined(HERE + "/mutant.h")
        self.assertTrue(ours)
        for path in glob.glob(HERE + "/../../lib/**/*.h", recursive=True):
            self.assertFalse(ours & defined(path), path)


unittest.main()
