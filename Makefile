# What one does with this repository. `make` alone lists the targets.
#
# `dev` and `test` first install what is missing on the machine (see scripts/prepare); that takes no time when nothing is.

.DEFAULT_GOAL := help
SHELL := /bin/bash
# Where Rust is found right after it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help dev test campaign lint contracts prepare

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: ## Run everything: make dev [KAFKA=1] [PORT=4400]
	@scripts/prepare $(if $(filter-out 0,$(KAFKA)),kafka,dev)
	cargo build --package muster-cli
	exec "$${CARGO_TARGET_DIR:-target}/debug/muster" dev $(if $(filter-out 0,$(KAFKA)),--kafka) $(if $(PORT),--port $(PORT))

test: ## Run every test, with real servers around them
	@scripts/prepare test
	@scripts/test

campaign: ## Break everything under load, then check that nothing was lost: make campaign [LOG=kafka] [SEED=1] [FAULTS=100] [COMMANDS=20000]
	@scripts/prepare campaign
	cargo build --bins --package muster-loadtest --package muster-command-service --package muster-projector --package muster-query-api
	@set -e; for log in $(or $(LOG),postgres kafka); do \
	    "$${CARGO_TARGET_DIR:-target}/debug/loadtest" campaign --log $$log $(if $(SEED),--seed $(SEED)) \
	        --faults $(or $(FAULTS),100) --commands $(or $(COMMANDS),20000); \
	done

lint: ## Check format, lints, dependency arrows and file rules
	@scripts/prepare lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask tidy

contracts: ## Regenerate the committed contracts: make contracts [CHECK=1]
	cargo xtask contracts $(if $(filter-out 0,$(CHECK)),--check)

prepare: ## Install what dev and test need, without running them
	@scripts/prepare test
