//! Parses anything as both policies: nothing panics, nothing is accepted that serde_json refuses, and what a user may write is read again
//! as it was written. Run it with `cargo +nightly fuzz run parse` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use weir_policy::{Error, canary, locality};

fuzz_target!(|json: &[u8]| {
    let (canary, locality) = (canary::Policy::parse(json), locality::Policy::parse(json));
    if canary.is_ok() || locality.is_ok() {
        assert!(serde_json::from_slice::<Value>(json).is_ok());
    }
    match canary::Policy::read(json) {
        Ok(config) => assert_eq!(canary::Policy::parse(&serde_json::to_vec(&config).expect("plain JSON")), canary),
        Err(error) => check(&error),
    }
    match locality::Policy::read(json) {
        Ok(config) => assert_eq!(locality::Policy::parse(&serde_json::to_vec(&config).expect("plain JSON")), locality),
        Err(error) => check(&error),
    }
});

/// Whoever reads it is told where, and what.
fn check(error: &Error) {
    assert!(!error.path.is_empty() && !error.expected.is_empty());
}
