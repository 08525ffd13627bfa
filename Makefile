# Two commands for a newcomer: `make sandbox`, then (elsewhere) `make test`.
# Both build the whole workspace in the development profile, so that the libraries get the same
# features and the second command does not compile them (OpenSSL among them) again.

SHELL := /bin/sh
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
MDBOOK_VERSION := 0.5.4
FUZZ_SECONDS := 60

.DEFAULT_GOAL := help
.PHONY: help sandbox test test-clients test-api test-deploy lint fmt docs bench machines bench-registers bench-audit fuzz deps

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The development profile, on purpose: a cold build takes minutes on two cores, an optimised one
# takes twice as long, and the sandbox serves one developer. `make bench` measures the release build.
sandbox: ## everything on one machine: gateway, test certificates, registers, sandbox bank
	@.ci/deps build
	cargo build --workspace --bin octroi
	@exec $(TARGET_DIR)/debug/octroi sandbox $(ARGS)

test: ## all tests, the black-box ones included
	@.ci/deps test
	cargo build --workspace --bin octroi
	cargo test --workspace $(ARGS)

test-clients: ## OAuth libraries of Python and Node.js through a whole consent (needs python3-venv, nodejs, npm)
	@.ci/deps build
	cargo build --workspace --bin octroi
	@OCTROI_BINARY=$(TARGET_DIR)/debug/octroi tests/clients/run

test-api: ## Schemathesis and Bruno ask what the description of the interface says (needs python3-venv, nodejs, npm)
	@.ci/deps build
	cargo build --workspace --bin octroi
	@OCTROI_BINARY=$(TARGET_DIR)/debug/octroi tests/api/run

test-deploy: ## the container file and the Helm chart, held against their users' tools (needs python3-venv)
	@tests/deploy/run

lint: ## formatting, clippy, and licences and advisories when cargo-deny is installed
	@.ci/deps build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@if cargo deny --version >/dev/null 2>&1; then \
		echo "cargo deny check"; cargo deny check; \
	else \
		echo "octroi: cargo-deny is not installed: licences and advisories were not checked"; \
	fi

fmt: ## formats the code
	cargo fmt --all

docs: ## the book, into docs/book
	@command -v mdbook >/dev/null || cargo install --locked mdbook@$(MDBOOK_VERSION)
	mdbook build docs

bench: ## a bare Pingora and Octroi side by side, release build
	@.ci/deps build
	cargo build --release --package octroi --package octroi-benches
	$(TARGET_DIR)/release/side-by-side $(ARGS)

machines: ## how many gateways and Redis masters a load needs; ARGS="--requests 50000 --banks 18"
	@cargo run --quiet --package octroi-benches --bin how-many-machines -- $(ARGS)

bench-registers: ## an EBA register of full size, beside Python's json.load
	@.ci/deps build
	cargo build --release --package octroi-benches --bin register-at-scale
	$(TARGET_DIR)/release/register-at-scale $(ARGS)

bench-audit: ## an access log of 10 M records, searched and verified, beside grep and jq (needs zstd, jq, 3 GB)
	@.ci/deps build
	cargo build --release --package octroi --package octroi-benches
	$(TARGET_DIR)/release/audit-at-scale $(ARGS)

fuzz: ## each fuzz target for FUZZ_SECONDS seconds, two at a time (needs nightly and cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { \
		echo "octroi: needs the nightly toolchain and cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; \
		exit 1; }
	@cargo +nightly fuzz build --fuzz-dir tests/fuzz
	@cargo +nightly fuzz list --fuzz-dir tests/fuzz | xargs -P 2 -I TARGET sh -c '\
		log=$$(mktemp); \
		if cargo +nightly fuzz run --fuzz-dir tests/fuzz TARGET -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=5 >"$$log" 2>&1; \
		then echo "octroi: TARGET: $$(tail -n 1 "$$log")"; \
		else cat "$$log"; exit 255; fi'

deps: ## installs what building and testing need and this machine lacks
	@.ci/deps test
