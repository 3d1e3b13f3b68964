# SPDX-License-Identifier: BSD-3-Clause
# A thin layer over meson; see CONTRIBUTING.md.
BUILD ?= build
prefix ?= /usr/local
GUESTS = uml qemu tap
TESTPMD = testpmd virtio_user
LAB = tests/lab

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(prefix) >/dev/null

# Takes DESTDIR and prefix, which the exporter's place is compiled from.
install: $(BUILD)/build.ninja
	@meson configure $(BUILD) --prefix=$(prefix)
	@ninja -C $(BUILD)
	@meson install --no-rebuild -C $(BUILD)

# Two guests talk through viaductd. Installs what is missing (as root) and builds first.
demo demo-qemu:
	@$(LAB)/require demo
	@$(MAKE) --no-print-directory all
	@VIADUCT_BUILD=$(abspath $(BUILD)) $(LAB)/demo $(if $(findstring qemu,$@),--qemu)

# Every test, in under 20 minutes on 2 CPUs. Installs what is missing (as root).
check:
	@$(LAB)/require check
	@tests/check

# The longer suites: all combinations of guests, all ring paths of testpmd, everything killed 20
# times, ports and peers that come and go thousands of times.
check-guests check-testpmd check-kill check-idle check-churn: check-%: all
	@$(LAB)/require check
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/system/run --thorough \
		$(if $(filter guests,$*),$(GUESTS),$(if $(filter testpmd,$*),$(TESTPMD),$*))

# Peers that break every rule, against the daemon of both builds: the whole catalogue, then the campaigns.
# SCALE=0.01 shortens the repeats of what takes hours; HOSTILE names modules or cases.
SCALE = 1
check-hostile: all
	@$(LAB)/require check
	@test -f build-check/build.ninja || meson setup build-check --buildtype=debugoptimized \
		-Db_sanitize=address,undefined >/dev/null
	@ninja -C build-check
	@VIADUCT_BUILD=$(abspath build-check) tests/hostile/run --scale $(SCALE) $(HOSTILE)
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/hostile/run --scale $(SCALE) \
		--json $(BUILD)/hostile.json $(HOSTILE)
	@$(if $(HOSTILE),,VIADUCT_BUILD=$(abspath $(BUILD)) tests/trust/record hostile=$(BUILD)/hostile.json)
hostile-campaigns: all
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/hostile/run --campaign all --scale $(SCALE) \
		--json $(BUILD)/campaigns.json
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/trust/record campaigns=$(BUILD)/campaigns.json

# What the tests go through of the folders that face a peer; fails below the goals.
coverage:
	@$(LAB)/require coverage
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/trust/record coverage

# Figures of what holds against hostile peers, in one table. Runs what takes no time, and what RUN names of
# the sources of tests/trust/sources.py: 'make trust-report RUN="coverage faults"'.
trust-report: all
	@$(if $(RUN),$(LAB)/require coverage)
	@-VIADUCT_BUILD=$(abspath $(BUILD)) tests/trust/record calls mutation $(RUN)
	@VIADUCT_BUILD=$(abspath $(BUILD)) tests/trust/report

# Each allocation and system call of full life cycles made to fail at each call site: all ways of them,
# of which make check takes a sample. FAULTS=FILE keeps the figures.
check-faults:
	@$(LAB)/require check
	@test -f build-check/build.ninja || meson setup build-check --buildtype=debugoptimized \
		-Db_sanitize=address,undefined >/dev/null
	@ninja -C build-check --quiet
	@VIADUCT_BUILD=$(abspath build-check) tests/faults/run $(if $(FAULTS),--json $(FAULTS))

# Takes each check and barrier of what faces a peer away, to see whether a test notices: hours, so it
# goes on where it ended. SECONDS says for how long, FILES with which: tests/mutation/README.md.
check-mutation:
	@$(LAB)/require check
	@$(LAB)/require tsan
	@tests/mutation/run $(if $(SECONDS),--seconds $(SECONDS)) $(FILES)

# Where threads meet, under ThreadSanitizer (clang's knows our fences).
THREADED = switch worker gen filter vhost_user vq_egress_workers capture grace tell driver_device ring_hammer
check-tsan:
	@$(LAB)/require tsan
	@test -f build-tsan/build.ninja || CC=clang meson setup build-tsan -Db_sanitize=thread \
		-Db_lundef=false --buildtype=debugoptimized >/dev/null
	@meson test -C build-tsan --print-errorlogs $(THREADED)

# The fuzzers (tests/fuzz), each for SECONDS, or TARGET alone; tests/fuzz/run --report shows the ledger.
SECONDS = 60
fuzz:
	@$(LAB)/require fuzz
	@tests/fuzz/run --seconds $(SECONDS) $(TARGET)

# Measures beside peers, which takes long on a machine that should do nothing else: bench/RESULTS.md.
# BENCH says what: 'make bench BENCH="--quick"', 'make bench BENCH="limits peers"'.
bench: all
	@$(LAB)/require bench
	@VIADUCT_BUILD=$(abspath $(BUILD)) bench/run $(BENCH)

.PHONY: all check-hostile hostile-campaigns install demo demo-qemu check check-guests check-testpmd check-kill check-idle check-churn check-faults check-tsan fuzz check-mutation coverage trust-report bench
