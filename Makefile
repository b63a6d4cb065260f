# The front door. Each target installs what it needs (xtask/setup.sh) and does the whole job.

SECONDS ?= 60
ROUNDS ?= 1000
FAILOVERS ?= 50
ACTS ?= 50
STAMPEDE_SECONDS ?= 10
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup package demo demo-check demo-cluster demo-cluster-check test check docs pictures bench crash failover cluster stampede faults fuzz
.DEFAULT_GOAL := help

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install what every other target needs (each also does it for itself)
	@xtask/setup.sh test
	@xtask/setup.sh bench
	@xtask/setup.sh fuzz

demo: ## a server and a product API, a walk through a token's whole life, then curl lines to try
	@xtask/setup.sh build
	cargo build --locked -p tokenward -p tokenward-demo
	@$(TARGET)/debug/tokenward-demo

demo-check: ## the same walk unattended; fails on any surprise
	@xtask/setup.sh build
	cargo build --locked -p tokenward -p tokenward-demo
	@$(TARGET)/debug/tokenward-demo --check

demo-cluster: ## three nodes on one PostgreSQL behind nginx: what callers see while nodes and the database fail
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-demo
	@$(TARGET)/debug/tokenward-demo --cluster

demo-cluster-check: ## the same unattended; fails on any wrong answer, refusal or long wait
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-demo
	@$(TARGET)/debug/tokenward-demo --cluster --check

test: ## everything: check, all tests, the demo's walks, a fuzz smoke
	@xtask/setup.sh test
	@xtask/setup.sh fuzz
	@cargo run -q --locked -p xtask -- test

check: ## format, style laws, dependencies, lints, documentation
	@xtask/setup.sh check
	@cargo run -q --locked -p xtask -- check

pictures: ## take the guide's pictures of the console anew
	@xtask/setup.sh test
	cargo test --locked -p tokenward --test console -- --exact browser::the_seed_walked_in_light_on_a_wide_screen browser::the_seed_walked_in_the_dark_on_a_phone
	cp $(TARGET)/tmp/pictures/*.png docs/guide/console/
	cp docs/guide/console/client-charts.png docs/console.png

docs: ## the documentation as a web site with search, in target/docs/book
	@xtask/setup.sh docs
	@cargo run -q --locked -p xtask -- docs

bench: ## every figure beside its floor; results in bench/RESULTS.md
	@xtask/setup.sh bench
	cargo build --release --locked -p tokenward -p tokenward-bench
	@$(TARGET)/release/tokenward-bench all --out bench/RESULTS.md

package: ## Debian packages of the server and the agent, bills of materials and checksums, in target/package
	@xtask/setup.sh package
	cargo build --release --locked -p tokenward -p tokenward-agent
	rm -rf $(TARGET)/package
	packaging/build-debian.sh $(TARGET)/release $(TARGET)/package
	lintian --fail-on error $(TARGET)/package/*.changes
	@cargo run -q --locked -p xtask -- sbom $(TARGET)/package
	cd $(TARGET)/package && sha256sum -- *.deb *.changes *.buildinfo *.json > SHA256SUMS && sha256sum --quiet --check SHA256SUMS

crash: ## kill -9 at random moments under load; ROUNDS=1000
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-proof
	@$(TARGET)/debug/crash --rounds $(ROUNDS)

failover: ## promote a standby, or make the database read-only for a while; writes go on by themselves; FAILOVERS=50
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-proof
	@$(TARGET)/debug/failover --rounds $(FAILOVERS)

cluster: ## kill, stop and cut off nodes and promote standbys, under load, three nodes; ACTS=50
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-proof
	@$(TARGET)/debug/cluster --acts $(ACTS)

stampede: ## workers that share one token all renew at once, and are killed at it; STAMPEDE_SECONDS=10 a place
	@xtask/setup.sh test
	cargo build --locked -p tokenward -p tokenward-agent --bins --examples
	TOKENWARD_STAMPEDE_SECONDS=$(STAMPEDE_SECONDS) cargo test --locked -p tokenward-agent --test agent -- \
		--nocapture --test-threads 1 stampede

faults: ## take each behaviour of proof/faults.toml away in a copy; a test must fail each time
	@xtask/setup.sh test
	@cargo run -q --locked -p xtask -- faults

fuzz: ## every fuzz target in turn; SECONDS=60 in all
	@xtask/setup.sh fuzz
	@cargo run -q --locked -p xtask -- fuzz --seconds $(SECONDS)
