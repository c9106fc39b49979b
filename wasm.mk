# The Wasm modules: built for size, optimised by wasm-opt where it is there, each at most 160 kB.

MODULES := canary locality noop
MODULES_DIR := target/modules
WASM_DIR := target/wasm32-wasip1/wasm
MODULE_LIMIT := 160000
WASM_OPT = $(or $(shell command -v wasm-opt),$(wildcard .tools/node_modules/.bin/wasm-opt))
# Exactly the features that both rustc emits and Envoy's V8 accepts; --all-features makes a module that Envoy refuses.
WASM_OPT_FLAGS := -Os --enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int

.PHONY: wasm wasm-test wasm-target wasm-opt

wasm: wasm-target wasm-opt
	cargo build --profile wasm --target wasm32-wasip1 $(MODULES:%=-p weir-%)
	@mkdir -p $(MODULES_DIR)
	@for module in $(MODULES); do tests/wasm/install $(WASM_DIR)/weir_$$module.wasm $(MODULES_DIR)/weir-$$module.wasm \
		$(MODULE_LIMIT) $(WASM_OPT) $(if $(WASM_OPT),$(WASM_OPT_FLAGS)) || exit 1; done

# A canary filter that panics on the header x-test-panic, for the tests only.
wasm-test: wasm-target
	cargo build --profile wasm --target wasm32-wasip1 -p weir-canary --features panic --target-dir target/wasm-test
	@mkdir -p target/modules-test
	@cp target/wasm-test/wasm32-wasip1/wasm/weir_canary.wasm target/modules-test/weir-canary.wasm

wasm-target:
	@rustc --print target-libdir --target wasm32-wasip1 2>/dev/null | xargs -I{} test -d {} || rustup target add wasm32-wasip1

# Tried once: without npm or network the modules are a fifth larger, and work.
wasm-opt:
	@$(if $(WASM_OPT),,test -e .tools/wasm-opt-tried || { mkdir -p .tools && touch .tools/wasm-opt-tried && \
		npm install --silent --no-audit --no-fund --prefix .tools binaryen || echo "no wasm-opt: npm install --prefix .tools binaryen"; })
