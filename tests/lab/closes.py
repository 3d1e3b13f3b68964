# SPDX-License-Identifier: BSD-3-Clause
"""What is there for a block, and has close()."""


class Closes:
    """with Thing(…) as thing: closed at the end, whatever happens."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
