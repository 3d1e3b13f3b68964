# SPDX-License-Identifier: BSD-3-Clause
# A thin layer over meson; see CONTRIBUTING.md.
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=/usr/local >/dev/null

.PHONY: all
