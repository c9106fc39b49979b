# The Wasm modules: built for size, each at most 130 kB.

MODULES := canary locality noop
MODULES_DIR := target/modules
MODULE_LIMIT := 130000

WASM_TARGET := wasm32-unknown-unknown
# A stack of 64 kB instead of 1 MB, of which nothing here needs a tenth: each worker of each proxy has one.
WASM_CARGO := CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C link-arg=-zstack-size=65536" cargo build --profile wasm --target $(WASM_TARGET)
WASM_OPT = $(shell command -v wasm-opt || ls .tools/node_modules/.bin/wasm-opt 2>/dev/null)
# Exactly the features that both rustc emits and Envoy's V8 accepts; --all-features makes a module that Envoy refuses.
WASM_OPT_FLAGS := -Oz --enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int
# pack IN OUT
pack = cargo run --quiet -p weir-pack -- $(1) $(2) --limit $(MODULE_LIMIT) $(if $(WASM_OPT),-- $(WASM_OPT) $(WASM_OPT_FLAGS))

.PHONY: wasm wasm-test wasm-target wasm-opt

wasm: wasm-target wasm-opt
	$(WASM_CARGO) $(MODULES:%=-p weir-%)
	@mkdir -p $(MODULES_DIR)
	@$(foreach module,$(MODULES),$(call pack,target/$(WASM_TARGET)/wasm/weir_$(module).wasm,$(MODULES_DIR)/weir-$(module).wasm) &&) true

# A canary filter that panics on the header x-test-panic, for the tests only. After the real ones: cargo puts it in their place.
wasm-test: wasm
	$(WASM_CARGO) -p weir-canary --features panic
	@mkdir -p target/modules-test
	@$(call pack,target/$(WASM_TARGET)/wasm/weir_canary.wasm,target/modules-test/weir-canary.wasm)

wasm-target:
	@$(call add-target,$(WASM_TARGET))

# add-target TARGET
add-target = { test -d "$$(rustc --print target-libdir --target $(1))" || rustup target add $(1) || \
	{ echo "no target $(1): apt-get install rustup && rustup target add $(1), or add the target to this Rust" >&2; exit 1; }; }

# Tried once: without npm or the network the modules are a fifth larger.
wasm-opt:
	@$(if $(WASM_OPT),true,test -e .tools/wasm-opt-tried || { mkdir -p .tools && touch .tools/wasm-opt-tried && \
		npm install --silent --no-audit --no-fund --prefix .tools binaryen || echo "no wasm-opt; to get it: npm install --prefix .tools binaryen"; })
