//! The parser never panics, and reads what serde_json reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use weir_policy::{canary, locality};

/// Pieces of configurations and of JSON at large, so that random documents get far.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "version",
        "canaries",
        "services",
        "hosts",
        "key",
        "cookie",
        "header",
        "sourceAddress",
        "override",
        "name",
        "exact",
        "subset",
        "train",
        "zones",
        "locality",
        "region",
        "zone",
        "servedBy",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(|name| format!("\"{name}\":")),
        prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"", "1", "null", "true", " ", "\n", "\"a\"", "\"r/z\"", "{}", "[]"])
            .prop_map(String::from),
        "\"\\PC{0,6}\"",
        "-?[0-9]{1,22}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        "\"(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fA-F]{4}|[\\x00-\\x7f]){0,4}\"",
    ]
}

fn config() -> impl Strategy<Value = canary::Config> {
    let key = prop_oneof![
        any::<String>().prop_map(canary::KeySource::Cookie),
        any::<String>().prop_map(canary::KeySource::Header),
        any::<String>().prop_map(canary::KeySource::Query),
        any::<String>().prop_map(canary::KeySource::JwtClaim),
        (any::<String>(), any::<Option<String>>(), any::<(bool, bool)>()).prop_map(|(name, lifetime, (secure, http_only))| {
            canary::KeySource::Mint(canary::Mint { name, lifetime, secure, http_only, same_site: canary::SameSite::Strict })
        }),
        Just(canary::KeySource::SourceAddress(canary::SourceAddress {})),
    ];
    let wanted = || prop::option::of((any::<String>(), any::<String>()).prop_map(|(name, exact)| canary::Match { name, exact }));
    let entry = (wanted(), wanted(), any::<String>()).prop_map(|(header, cookie, subset)| canary::Override { header, cookie, subset });
    let one = (
        prop::collection::vec(any::<String>(), 0..3),
        prop::option::of(any::<String>()),
        prop::collection::vec(key, 0..3),
        prop::option::of(any::<String>()),
        prop::collection::vec(entry, 0..3),
    );
    let one = one.prop_map(|(hosts, stable, key, train, overrides)| canary::Canary { hosts, stable, key, train, overrides });
    let canaries = prop::collection::vec(one, 0..3);
    (any::<u32>(), any::<bool>(), canaries).prop_map(|(version, routed, canaries)| canary::Config { version, routed, canaries })
}

proptest! {
    #[test]
    fn never_panics_on_bytes(json in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (canary::Policy::parse(&json), locality::Policy::parse(&json));
    }

    #[test]
    fn accepts_nothing_that_serde_json_refuses(pieces in prop::collection::vec(piece(), 0..24)) {
        let json = pieces.concat();
        if canary::Policy::parse(json.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<canary::Config>(&json).is_ok());
        }
        if locality::Policy::parse(json.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<locality::Config>(&json).is_ok());
        }
    }

    #[test]
    fn reads_strings_and_numbers_as_serde_json_does(piece in piece()) {
        // The value stands where its own text decides whether the document is read at all.
        let json = format!(r#"{{"version":1,"canaries":[{{"hosts":["a"],"key":[{{"header":"b"}}],"override":[{{"subset":"c","header":{{"name":"d","exact":{piece}}}}}]}}]}}"#);
        let theirs = serde_json::from_str::<canary::Config>(&json).ok().and_then(|config| canary::Policy::try_from(&config).ok());
        prop_assert_eq!(canary::Policy::parse(json.as_bytes()).ok(), theirs);
        let json = format!(r#"{{"version":{piece},"canaries":[]}}"#);
        let theirs = serde_json::from_str::<canary::Config>(&json).ok().and_then(|config| canary::Policy::try_from(&config).ok());
        prop_assert_eq!(canary::Policy::parse(json.as_bytes()).ok(), theirs);
    }

    #[test]
    fn reads_back_every_configuration_that_is_written(config in config(), pretty: bool) {
        let json = if pretty { serde_json::to_vec_pretty(&config) } else { serde_json::to_vec(&config) }.unwrap();
        prop_assert_eq!(canary::Policy::parse(&json), canary::Policy::try_from(&config));
    }
}
