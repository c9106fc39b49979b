.PHONY: wasm
wasm:
	@echo not yet
