//! Parses anything as both policies: nothing panics, nothing is accepted that serde_json refuses, and what is accepted is read again as it
//! was written. Run it with `cargo +nightly fuzz run parse` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use weir_policy::{Error, canary, locality};

fuzz_target!(|json: &[u8]| {
    let canary = canary::Policy::read(json).map(|config| serde_json::to_vec(&config).expect("plain JSON"));
    let locality = locality::Policy::read(json).map(|config| serde_json::to_vec(&config).expect("plain JSON"));
    if canary.is_ok() || locality.is_ok() {
        assert!(serde_json::from_slice::<Value>(json).is_ok());
    }
    match canary {
        Ok(written) => assert_eq!(canary::Policy::parse(&written), canary::Policy::parse(json)),
        Err(error) => check(&error),
    }
    match locality {
        Ok(written) => assert_eq!(locality::Policy::parse(&written), locality::Policy::parse(json)),
        Err(error) => check(&error),
    }
});

/// Whoever reads it is told where, and what.
fn check(error: &Error) {
    assert!(!error.path.is_empty() && !error.expected.is_empty());
}
