# SPDX-License-Identifier: BSD-3-Clause
#
# A thin front for CMake: `make help` says what there is. Everything is built in
# build/$(BUILD_TYPE), where BUILD_TYPE is a preset of CMakePresets.json.

BUILD_TYPE ?= dbg
PREFIX     ?= /usr/local
DESTDIR    ?=
ARGS       ?=
JOBS       ?= 2

BUILD  := build/$(BUILD_TYPE)
SERVER ?= $(BUILD)/samples/server {socket}

# Presets with gcc and without fuzzers need the smaller group of packages.
PACKAGES := $(if $(filter dbg rel asan coverage,$(BUILD_TYPE)),build,ci)

# Sanitized programs want fixed addresses, see cmake/Testing.cmake.
RUN := $(if $(filter asan clang-asan tsan fuzz,$(BUILD_TYPE)),setarch -R)

.PHONY: all configure deps deps-ci install test test-long conformance clean coverage format lint help

all: configure
	@cmake --build $(BUILD)

# The prefix is written into the pkg-config files, so a new one means a new configuration.
configure: deps
	@cmake --preset $(BUILD_TYPE) -DCMAKE_INSTALL_PREFIX="$(PREFIX)" --log-level=NOTICE \
	    >/dev/null

deps:
	@scripts/install-deps $(PACKAGES)

deps-ci:
	@scripts/install-deps ci

install: all
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD)

test: all
	@ctest --test-dir $(BUILD) --output-on-failure -j$(JOBS) --no-tests=error

test-long: all
	@ctest --test-dir $(BUILD) --output-on-failure -j$(JOBS) --no-tests=error -C long

# SERVER goes through the environment: it may hold quotes of its own.
conformance: export VU_SERVER = $(SERVER)
conformance: all
	@$(RUN) $(BUILD)/conformance/vfio-user-conformance --spawn "$$VU_SERVER" $(ARGS)

coverage:
	@scripts/install-deps build
	@scripts/coverage $(ARGS)

clean:
	@rm -rf build

# Only lines that were changed: clang-format does not know a table laid out by hand.
format: deps-ci
	@git clang-format --extensions c,h HEAD

lint: deps-ci configure
	@scripts/lint $(BUILD)

help:
	@echo 'make                     build everything into build/dbg'
	@echo 'make test                run the tests that need no root and little time'
	@echo 'make test-long           run those that need more of both, too'
	@echo 'make conformance         test our sample server against the protocol'
	@echo '  SERVER="CMD {socket}"  test yours: CMD is started with the path of its socket'
	@echo '  ARGS="..."             more options for the runner, --help lists them'
	@echo 'make install             install to PREFIX (/usr/local), below DESTDIR'
	@echo 'make format              lay out the lines that you changed, with clang-format'
	@echo 'make lint                check the sources with clang-tidy and cppcheck'
	@echo 'make coverage            which lines of the libraries and tools their tests run'
	@echo 'make clean               remove build/'
	@echo
	@echo 'BUILD_TYPE=dbg|rel       what to build: for development, or optimised; or another'
	@echo '                         of: clang asan clang-asan tsan fuzz coverage'
