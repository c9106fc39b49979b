//! The parser never panics, and reads what serde_json reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use weir_policy::canary::Policy;
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
        "passport",
        "edge",
        "secrets",
        "allow",
        "deny",
        "percent",
        "oneOf",
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

fn key() -> impl Strategy<Value = canary::KeySource> {
    prop_oneof![
        any::<String>().prop_map(canary::KeySource::Cookie),
        any::<String>().prop_map(canary::KeySource::Header),
        any::<String>().prop_map(canary::KeySource::Query),
        any::<String>().prop_map(canary::KeySource::JwtClaim),
        (any::<String>(), any::<Option<String>>(), any::<(bool, bool)>()).prop_map(|(name, lifetime, (secure, http_only))| {
            canary::KeySource::Mint(canary::Mint { name, lifetime, secure, http_only, same_site: canary::SameSite::Strict })
        }),
        Just(canary::KeySource::SourceAddress(canary::SourceAddress {})),
    ]
}

fn wanted() -> impl Strategy<Value = Option<canary::Match>> {
    let wanted = any::<(String, Option<String>, Option<Vec<String>>)>();
    prop::option::of(wanted.prop_map(|(name, exact, one_of)| canary::Match { name, exact, one_of }))
}

fn tester() -> impl Strategy<Value = canary::Override> {
    (wanted(), wanted(), wanted(), any::<String>()).prop_map(|(header, cookie, jwt_claim, subset)| canary::Override {
        header,
        cookie,
        jwt_claim,
        subset,
    })
}

fn caller() -> impl Strategy<Value = Option<canary::Caller>> {
    prop::option::of(any::<(Option<String>, Option<String>)>().prop_map(|(namespace, workload)| canary::Caller { namespace, workload }))
}

fn rules() -> impl Strategy<Value = Option<Vec<canary::Rule>>> {
    let rule = (wanted(), wanted(), wanted(), caller(), any::<Option<u32>>());
    let rule = rule.prop_map(|(header, cookie, jwt_claim, source, percent)| canary::Rule { header, cookie, jwt_claim, source, percent });
    prop::option::of(prop::collection::vec(rule, 0..3))
}

fn passport() -> impl Strategy<Value = Option<canary::Passport>> {
    let passport = (
        prop::collection::vec(key(), 0..3),
        prop::collection::vec(tester(), 0..2),
        any::<bool>(),
        prop::collection::vec(any::<String>(), 0..2),
    );
    let passport = passport.prop_map(|(key, overrides, edge, secrets)| canary::Passport { key, overrides, edge, secrets });
    prop::option::of(passport)
}

fn governor() -> impl Strategy<Value = Option<canary::Governor>> {
    let order = (any::<String>(), 0..10_002_u32, any::<u32>(), any::<u32>()).prop_map(|(canary, share, since, round)| canary::Order {
        canary,
        share,
        since,
        round,
    });
    let hold = prop_oneof![Just(canary::Hold::Everyone), Just(canary::Hold::NewUsers)];
    let governor = (any::<bool>(), hold, any::<Option<u32>>(), prop::collection::vec(order, 0..3));
    prop::option::of(governor.prop_map(|(latency, hold, proxies, orders)| canary::Governor { latency, hold, proxies, orders }))
}

fn config() -> impl Strategy<Value = canary::Config> {
    let one = (
        prop::collection::vec(any::<String>(), 0..3),
        any::<[Option<String>; 2]>(),
        prop::collection::vec(key(), 0..3),
        prop::collection::vec(tester(), 0..3),
        (rules(), rules(), governor()),
    );
    let one = one.prop_map(|(hosts, [stable, train], key, overrides, (deny, allow, governor))| canary::Canary {
        hosts,
        stable,
        key,
        train,
        governor,
        deny,
        overrides,
        allow,
    });
    let report_to = prop::option::of(any::<String>());
    (any::<u32>(), any::<bool>(), caller(), report_to, passport(), prop::collection::vec(one, 0..3)).prop_map(
        |(version, routed, caller, report_to, passport, canaries)| canary::Config {
            version,
            routed,
            caller,
            report_to,
            passport,
            canaries,
        },
    )
}

proptest! {
    #[test]
    fn never_panics_on_bytes(json in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (Policy::parse(&json), locality::Policy::parse(&json));
    }

    #[test]
    fn accepts_nothing_that_serde_json_refuses(pieces in prop::collection::vec(piece(), 0..24)) {
        let json = pieces.concat();
        let accepted = Policy::parse(json.as_bytes()).is_ok() || locality::Policy::parse(json.as_bytes()).is_ok();
        prop_assert!(!accepted || serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }

    #[test]
    fn reads_strings_and_numbers_as_serde_json_does(piece in piece()) {
        // The value stands where its own text decides whether the document is read at all.
        let document = |piece: &str| format!(r#"{{"version":1,"canaries":[{{"hosts":["a"],"key":[{{"header":"b"}}],"override":[{{"subset":"c","header":{{"name":"d","exact":{piece}}}}}]}}]}}"#);
        let theirs = serde_json::from_str::<String>(&piece).ok().map(|exact| {
            let exact = serde_json::to_string(&exact).unwrap();
            Policy::parse(document(&exact).as_bytes()).unwrap()
        });
        prop_assert_eq!(Policy::parse(document(&piece).as_bytes()).ok(), theirs);
        let is_one = serde_json::from_str::<u32>(&piece).is_ok_and(|version| version == 1);
        let json = format!(r#"{{"version":{piece},"canaries":[]}}"#);
        prop_assert_eq!(Policy::parse(json.as_bytes()).is_ok(), is_one);
    }

    #[test]
    fn reads_back_every_configuration_that_is_written(config in config(), pretty: bool) {
        let json = if pretty { serde_json::to_vec_pretty(&config) } else { serde_json::to_vec(&config) }.unwrap();
        prop_assert_eq!(Policy::parse(&json), Policy::try_from(&config));
    }

    #[test]
    fn reads_back_every_price_that_is_written(millionths in prop_oneof![0..100_u64, 0..10_u64.pow(15)], target in 500_000..=950_000_u64) {
        let decimal = |millionths: u64| format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        let json = format!(
            r#"{{"version":1,"price":{{"perGB":{}}},"services":[{{"hosts":["a"],"spill":{{"targetUtilization":{}}}}}]}}"#,
            decimal(millionths), decimal(target)
        );
        let config = locality::Policy::read(json.as_bytes()).unwrap();
        let written = serde_json::to_vec(&config).unwrap();
        prop_assert_eq!(locality::Policy::parse(&written), locality::Policy::parse(json.as_bytes()), "{}", String::from_utf8_lossy(&written));
    }
}
