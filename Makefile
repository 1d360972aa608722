# `make` alone prints what there is. The scripts work on Linux and macOS, as
# root or not.

# The answers of the database to the compile-time checked queries are kept in
# .sqlx, so that a build needs no database.
SQLX_OFFLINE ?= true
export SQLX_OFFLINE

# Where rustup puts cargo, for shells that do not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

WITH_POSTGRES := cargo run -q -p private-postgres --bin with-postgres --

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench docs sqlx-prepare clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## see to it that PostgreSQL and Rust are there
	@scripts/setup.sh

run: setup ## build and start the shop; pass options with ARGS="..."
	cargo run --release --bin agape -- serve $(ARGS)

test: ## run all tests, on PostgreSQL and Redis servers of their own
	@scripts/setup.sh tests
	@scripts/test.sh

lint: ## check the formatting and what clippy has to say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: setup ## measure; pass options with ARGS="..."
	cargo bench -q --bench bench -- $(ARGS)

docs: ## build the documentation of the code
	cargo doc --workspace --no-deps

sqlx-prepare: setup ## renew .sqlx after a change of a query or a migration
	@$(WITH_POSTGRES) scripts/sqlx-prepare.sh

clean: ## remove what was built
	cargo clean
