# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs in instructions, which no other load on the machine changes."""

import os
import sys

from support import SystemTest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../bench"))
import instructions                                     # noqa: E402


class RingCost(SystemTest):
    def test_instructions(self):
        """Ten paths, six sizes, five operations, each within 1 % of the baseline."""
        missing = instructions.needs()
        if missing:
            self.skipTest(missing)
        then = instructions.baseline()
        if not then:
            self.skipTest("there is no baseline of %s; bench/instructions.py --renew makes one"
                          % instructions.built_by())
        moved = instructions.differences(instructions.count(), then)
        self.assertEqual(moved, [], "bench/instructions.py --renew accepts these:\n"
                         + "\n".join(moved))
