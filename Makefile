# What one does with this project. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The bun that scripts/setup.sh installs, if it had to, comes before any other.
export PATH := $(CURDIR)/.cache/bun/node_modules/.bin:$(CURDIR)/node_modules/.bin:$(PATH)
BUN := bun

CC := gcc
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion
CFLAGS := -std=gnu11 -O2 $(WARNINGS)
LDLIBS := -pthread -ldl
SANITIZERS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all $(WARNINGS)
SANITIZE := $(SANITIZERS) -fsanitize=address,undefined
C_HEADERS := $(wildcard c/*.h)

# For `run`, `test` and `bench`: make run ARGS="--duration 10s"
ARGS ?=
NAME ?=

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## install what is missing to build
	@scripts/setup.sh

.PHONY: shim
shim: build/shim.base64 ## compile the native shim, build/shim.so, and its text, which bundles carry

RDMA_SOURCES := c/library.c c/verbs.c c/rdma_cm.c
SHIM_SOURCES := c/shim.c c/confine.c $(RDMA_SOURCES)

# -z defs: nothing may refer to rdma-core by name, which is loaded at run time and may be missing.
build/shim.so: $(SHIM_SOURCES) $(C_HEADERS) Makefile
	@mkdir -p build
	$(CC) $(CFLAGS) -fPIC -shared -fvisibility=hidden -Wl,-z,defs -Ic -o $@.tmp $(SHIM_SOURCES) $(LDLIBS)
	@mv $@.tmp $@

# -n: the same library gives the same text.
build/shim.base64: build/shim.so
	gzip -9 -n < $< | base64 -w 0 > $@.tmp
	@mv $@.tmp $@

MOCKS := build/libibverbs-mock.so build/librdmacm-mock.so

.PHONY: mock
mock: $(MOCKS) ## compile the mocked RDMA libraries of the tests

build/libibverbs-mock.so: c/verbs_mock.c
build/librdmacm-mock.so: c/rdma_cm_mock.c
$(MOCKS): $(C_HEADERS) Makefile
	@mkdir -p build
	$(CC) $(CFLAGS) -fPIC -shared -fvisibility=hidden -Wl,-z,defs -Ic -o $@.tmp $(filter %.c,$^) $(LDLIBS)
	@mv $@.tmp $@

.PHONY: build
build: setup shim ## compile everything into one file, dist/microview
	@$(BUN) scripts/build.ts

.PHONY: run
run: build ## set up, build and run the demo; ARGS="--duration 10s"
	@dist/microview demo $(ARGS)

.PHONY: test
test: ## set up, build and run every check and test
	@scripts/setup.sh --with-tests || { echo "0 passed, 1 failed"; exit 1; }
	@$(BUN) scripts/test.ts $(ARGS)

.PHONY: test-vm
test-vm: build ## run the tests that need a kernel of their own; ARGS="tests/vm/suite/rig.vm.ts"
	@$(BUN) tests/vm/test.ts suite $(ARGS)

.PHONY: test-vm-pair
test-vm-pair: build ## run the tests that need two machines, joined by a cable
	@$(BUN) tests/vm/test.ts pair $(ARGS)

.PHONY: typecheck
typecheck: setup ## check the types
	@tsc --noEmit

.PHONY: lint
lint: setup ## check format and lint
	@biome check --error-on-warnings .

.PHONY: format
format: setup ## format, and repair what can be repaired safely
	@biome check --write .

.PHONY: bench
bench: setup shim ## run benchmarks; NAME=update ARGS=--json
	@$(BUN) bench/run.ts $(NAME) $(ARGS)

# The tests of RDMA, with the mocked libraries under the same sanitizer. One library lacks functions, one is none.
define rdma_tests
	$(CC) $(SANITIZERS) -fsanitize=$(1),undefined -fPIC -shared -fvisibility=hidden -Ic -o build/libibverbs-$(1).so c/verbs_mock.c $(LDLIBS)
	$(CC) $(SANITIZERS) -fsanitize=$(1),undefined -fPIC -shared -fvisibility=hidden -Ic -o build/librdmacm-$(1).so c/rdma_cm_mock.c $(LDLIBS)
	echo 'int ibv_get_device_list;' | $(CC) -fPIC -shared -x c -o build/libibverbs-lacking.so -
	$(CC) $(SANITIZERS) -fsanitize=$(1),undefined -Ic -o build/verbs_test_$(1) c/verbs_test.c $(RDMA_SOURCES) build/libibverbs-$(1).so $(LDLIBS)
	build/verbs_test_$(1) build/libibverbs-$(1).so build/libibverbs-lacking.so c/verbs.h
	$(CC) $(SANITIZERS) -fsanitize=$(1),undefined -Ic -o build/rdma_cm_test_$(1) c/rdma_cm_test.c $(RDMA_SOURCES) build/libibverbs-$(1).so build/librdmacm-$(1).so $(LDLIBS)
	build/rdma_cm_test_$(1) build/libibverbs-$(1).so build/librdmacm-$(1).so build/libibverbs-lacking.so
endef

.PHONY: sanitize
sanitize: ## run the C tests under the address and undefined-behaviour sanitizers
	@mkdir -p build
	$(CC) $(SANITIZE) -Ic -o build/shim_test c/shim_test.c c/shim.c $(LDLIBS)
	build/shim_test
	$(call rdma_tests,address)

# Not part of `make test`: some kernels place memory where gcc's thread sanitizer does not expect it.
.PHONY: races
races: ## run the C tests of RDMA under the thread sanitizer
	@mkdir -p build
	$(call rdma_tests,thread)

.PHONY: clean
clean: ## remove what was built; keeps installed tools and packages
	@rm -rf build dist coverage
