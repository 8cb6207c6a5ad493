# What a developer does, one command each. `make help` lists them.

SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dormouse
TARGET := $(or $(CARGO_TARGET_DIR),target)
INSTALL := scripts/install.sh $(CACHE)

.PHONY: help build demo test check bench soak clean test-only test-cgroup2

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

build: ## Build the program: target/debug/dormouse
	cargo build --package dormouse

demo: ## Build, start the platform in a temporary directory, deploy two functions and call them
	@cargo build --package dormouse
	@env $$($(INSTALL) sdk) scripts/demo.sh $(TARGET)/debug/dormouse

test: check ## Install what the tests need and run every test
	@$(INSTALL) packages
	@set -e; sdk=$$($(INSTALL) sdk); clients=$$($(INSTALL) clients); \
	  env $$sdk $$clients cargo test --workspace --no-fail-fast

check: ## Format, lints, licences: what needs no running platform
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@cargo fetch --quiet
	@deny=$$($(INSTALL) cargo-deny); $$deny --offline --log-level error check licenses bans sources

bench: ## Measure; ONLY=id,id runs a part
	@$(INSTALL) packages
	@cargo build --release --package dormouse --package dormouse-bench
	@set -e; sdk=$$($(INSTALL) sdk); clients=$$($(INSTALL) clients); node=$$($(INSTALL) node-client); \
	  env $$sdk $$clients $$node $(TARGET)/release/dormouse-bench --dormouse $(TARGET)/release/dormouse --only "$(ONLY)"

soak: ## The crash loops and simulations for long (half an hour)
	@set -e; sdk=$$($(INSTALL) sdk); clients=$$($(INSTALL) clients); cargo build --package dormouse; \
	  env $$sdk $$clients DORMOUSE_SOAK_SECS=600 DORMOUSE_SOAK_RUNS=30000 DORMOUSE_SOAK_CUTS=4000 DORMOUSE_SOAK_ROUNDS=600 \
	  cargo test --workspace -- --include-ignored simulation power kill crash soak

clean: ## Remove what was built here
	cargo clean

test-only: ## Run the product tests whose name contains TEST
	@set -e; sdk=$$($(INSTALL) sdk); clients=$$($(INSTALL) clients); cargo build --package dormouse; \
	  env $$sdk $$clients cargo test --package dormouse-tests -- $(TEST)

test-cgroup2: ## The tests of limits in an emulated machine with cgroup v2 and Debian's kernel; PARTS="jail process product"
	@$(INSTALL) packages
	@set -e; sdk=$$($(INSTALL) sdk); clients=$$($(INSTALL) clients); \
	  env $$sdk $$clients scripts/test-cgroup2.sh $(CACHE) $(PARTS)
