//! Parses anything as both policies: nothing panics, and nothing is accepted that serde_json refuses.
//! Run it with `cargo +nightly fuzz run parse` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_policy::{canary, locality};

fuzz_target!(|json: &[u8]| {
    if canary::Policy::parse(json).is_ok() || locality::Policy::parse(json).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(json).is_ok());
    }
});
