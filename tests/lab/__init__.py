# SPDX-License-Identifier: BSD-3-Clause
"""Guests and peers for tests and the demo. See README.md."""
