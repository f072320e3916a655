# What can be made here; `make help` lists it. Nothing here downloads or installs without saying so.

FLINK_VERSIONS := 1.20.5 2.2.1 2.3.0
FIGURES_FLINK := 2.2.1

# By the same rule as scripts/setup-flink.sh.
CACHE := $(or $(HOLDFAST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast)
FLINK_HOMES := $(FLINK_VERSIONS:%=$(CACHE)/flink-%)
DEMO_JOBS := target/demo-job

# What cargo calls the tests that need real Flink, Kubernetes and S3.
END_TO_END := holdfast-tests/end-to-end

# Installed by .ci/run when the machine has none.
export PATH := $(CACHE)/tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo check test test-setup test-kubernetes simulate manifests explore fuzz bench instructions instructions-baseline figures simulator-figures snapshot-figures kubernetes-figures failover clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-21s %s\n", $$1, $$2 }' Makefile

demo: ## Kill a JobManager and a sidecar under a real Flink job, and check that nothing is lost
	@scripts/demo.sh

check: ## Formatting, lints, documentation, licences and scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features $(END_TO_END) --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet
	@command -v cargo-deny >/dev/null || { echo 'cargo-deny is missing; run: cargo install --locked cargo-deny' >&2; exit 1; }
# Advisories come from a git repository that not every machine may reach; ask for them with ADVISORIES=1.
	cargo deny --locked --log-level error check bans licenses sources $(if $(ADVISORIES),advisories)
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run scripts/*.sh flink-adapter/*.sh flink-adapter/*/*.sh snapshot/*/*.sh; \
	else echo 'shellcheck is not installed: the scripts are not checked'; fi

test-setup: ## Get and build what the tests need (kube-apiserver takes ten minutes, once)
	scripts/setup-flink.sh $(FLINK_VERSIONS) >/dev/null
	scripts/setup-s3.sh
	scripts/setup-junit.sh >/dev/null
	scripts/setup-k8s.sh >/dev/null
# The same packages and features as the tests below, so that nothing is built twice.
	cargo test --workspace --locked --no-run
	flink-adapter/build.sh $(FLINK_HOMES)
	@for version in $(FLINK_VERSIONS); do \
	    flink-adapter/demo-job/build.sh "$(CACHE)/flink-$$version" "$(DEMO_JOBS)/demo-job-$$version.jar" || exit 1; \
	done

# Property tests draw the same cases every time here, so that a red run is a change's own doing; `explore` draws new ones.
test: export PROPTEST_RNG_SEED ?= 20261120
# The harness runs as many Flink clusters at a time as the machine has room for; there is one Kubernetes.
test: test-setup ## Everything: unit and property tests, the simulator, adapter, manifests, end-to-end with real Flink and Kubernetes
	cargo test --workspace --locked
	@$(MAKE) --no-print-directory instructions
	target/debug/holdfast-sim run scenarios --seeds 3
	target/debug/holdfast-sim gallery
	flink-adapter/test.sh target/debug/holdfast $(FLINK_HOMES)
	scripts/check-manifests.sh
	cargo test --workspace --locked --features $(END_TO_END) --test e2e -- --nocapture
	cargo test --workspace --locked --features $(END_TO_END) --test kubernetes --test store_s3 -- --test-threads=1 --nocapture

test-kubernetes: test-setup ## Only election against a real kube-apiserver
	cargo test --workspace --locked --features $(END_TO_END) --test kubernetes -- --test-threads=1 --nocapture

simulate: ## Every scenario in the deterministic world under SEEDS seeds (default 20), then the gallery of planted defects
	cargo build --release --locked --bin holdfast-sim
	target/release/holdfast-sim run scenarios --seeds $(or $(SEEDS),20)
	target/release/holdfast-sim gallery

manifests: ## Check everything in deploy/ without a cluster
	scripts/check-manifests.sh

explore: ## Property tests with new random cases, CASES of each (default 5000)
	PROPTEST_CASES=$(or $(CASES),5000) cargo test --release --locked -p ha-store -p holdfast-sidecar

fuzz: ## Fuzz the reader of _metadata for FUZZ_SECONDS (default 600); builds cargo-fuzz into the cache, once
	snapshot/fuzz/run.sh $(or $(FUZZ_SECONDS),600)

bench: ## Time of single operations (criterion, 3 minutes), and a commit beside the bare create that it makes
	cargo bench --locked -p benches
	cargo run --release --locked -p ha-store --example commit_latency

# The profile, packages and features of the tests (`--tests`: those of their dependencies, too), so that nothing is built twice.
# Incremental or not divides code otherwise.
INSTRUCTIONS := CARGO_INCREMENTAL=1 cargo build --workspace --locked --tests --bin instructions && target/debug/instructions

instructions: ## Whether an operation takes more instructions than benches/instructions.json says; needs valgrind
	$(INSTRUCTIONS)

instructions-baseline: ## Write benches/instructions.json anew (CONTRIBUTING.md says when)
	$(INSTRUCTIONS) --write

figures: ## Start time and memory of the sidecar, commit latency of a directory, snapshot-figures (the demo prints failover_ms)
	cargo build --release --locked --bin holdfast --bin holdfast-figures
	@target/release/holdfast-figures
	cargo run --release --locked -p ha-store --example commit_latency
	@$(MAKE) --no-print-directory snapshot-figures

snapshot-figures: ## Speed of the snapshot reader; verifying 100,000 files, in a directory (ARGS=s3://bucket/dir: there)
	cargo run --release --locked -p holdfast-snapshot --example figures -- $(ARGS)

simulator-figures: ## Speed of the simulator, what costs what, and what shrinking takes (ARGS=--help)
	cargo run --release --locked --example simulator_figures -- $(ARGS)

kubernetes-figures: ## API requests beside Flink's own Kubernetes HA, and the time of each failure (20 minutes; ARGS=--help)
	scripts/setup-flink.sh $(FIGURES_FLINK) >/dev/null
	scripts/setup-k8s.sh >/dev/null
	cargo build --release --locked --bin holdfast --bin holdfast-kubernetes-figures
# Against every Flink that is in the cache, so that the jar still serves the tests.
	flink-adapter/build.sh $$(ls -d $(FLINK_HOMES) 2>/dev/null)
	flink-adapter/demo-job/build.sh $(CACHE)/flink-$(FIGURES_FLINK) $(DEMO_JOBS)/demo-job-$(FIGURES_FLINK).jar
	@target/release/holdfast-kubernetes-figures $(ARGS)

# It gets and builds by itself what the peers need, with the scripts above.
failover: ## How long a job is away when its JobManager dies, beside Flink's own HA services (40 minutes; ARGS=--help)
	cargo run --release --locked -p benches --bin failover -- $(ARGS)

clean: ## Remove what was built; the cache of downloads stays
	cargo clean
	rm -rf flink-adapter/build
