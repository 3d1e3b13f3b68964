#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to believe no guest: instructions a packet with the checks of lib/base/check.h and without
them, as callgrind counts them (bench/instructions.py), as a table of Markdown.

    bench/checks.py [FRAME]           of frames of FRAME bytes (64)

Builds both kinds in folders of its own, with the same compiler and options."""

import os
import subprocess
import sys
import tempfile

import instructions


def count(folder, unchecked):
    """Instructions a packet of a build made in 'folder'."""
    subprocess.run(["meson", "setup", folder, os.path.dirname(instructions.HERE), "-Dtests=disabled",
                    "-Dexporter=disabled", "-Dunchecked=%s" % str(unchecked).lower()],
                   stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ninja", "-C", folder, "bench/bench-rings"], stdout=subprocess.DEVNULL, check=True)
    os.environ["VIADUCT_BUILD"] = folder
    return instructions.count()


def main():
    frame = sys.argv[1] if len(sys.argv) > 1 else "64"
    with tempfile.TemporaryDirectory(prefix="viaduct-checks-") as folder:
        checked, unchecked = (count(os.path.join(folder, str(kind)), kind) for kind in (False, True))
        print("| operation | ring | with checks | without | checks |\n| --- | --- | ---: | ---: | ---: |")
        for operation, path, size in sorted(
                (operation, path, size) for operation, rows in checked.items()
                for path, row in rows.items() for size in row if str(size) == frame):
            have, lack = (side[operation][path][size] for side in (checked, unchecked))
            print("| %s | %s | %.1f | %.1f | %.1f (%.0f %%) |"
                  % (operation, path, have, lack, have - lack, (have - lack) / have * 100))


if __name__ == "__main__":
    main()
