//! Who may get a canary, and who never does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use support::{decide, policy, with};
use weir_policy::canary::{Decision, Policy};

const KEY: &str = r#""key":[{"header":"x-user-id"}]"#;

fn is_stable(policy: &Policy, headers: &[(&str, &str)]) -> bool {
    decide(policy, headers) == Decision::Stable
}

#[test]
fn who_is_denied_gets_the_stable_whatever_else_holds() {
    let rules = r#""deny":[{"header":{"name":"X-User-Id","oneOf":["eve","bob"]}},{"cookie":{"name":"plan","exact":"gold"}}],
        "override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v3"}]"#;
    let policy = policy(&format!("{KEY},{rules}"));
    for (headers, expected) in [
        ([("x-user-id", "eve"), ("x-tester", "no")], true),
        ([("x-user-id", "bob"), ("x-tester", "yes")], true),
        ([("x-user-id", "ann"), ("cookie", "plan=gold")], true),
        ([("x-user-id", "Eve"), ("cookie", "plan=golden")], false),
        ([("x-user-id", "ann"), ("x-tester", "yes")], false),
    ] {
        assert_eq!(is_stable(&policy, &headers), expected, "{headers:?}");
    }
}

#[test]
fn who_is_allowed_gets_what_the_weights_say_and_all_others_the_stable() {
    let rules = r#""allow":[{"header":{"name":"x-group","exact":"beta"},"cookie":{"name":"country","oneOf":["de","fr"]}},
        {"jwtClaim":{"name":"plan","exact":"free"}}],"override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v3"}]"#;
    let policy = policy(&format!("{KEY},{rules}"));
    const PLAN: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload\0plan";
    let user = ("x-user-id", "ann");
    assert!(is_stable(&policy, &[user]));
    assert!(is_stable(&policy, &[user, ("x-group", "beta")]), "all that a rule names must hold");
    assert!(is_stable(&policy, &[user, ("x-group", "beta"), ("cookie", "country=it")]));
    assert!(matches!(decide(&policy, &[user, ("x-group", "beta"), ("cookie", "country=fr")]), Decision::Bucket { .. }));
    assert!(matches!(decide(&policy, &[user, (PLAN, "free")]), Decision::Bucket { .. }), "any rule will do");
    assert_eq!(decide(&policy, &[(PLAN, "free")]), Decision::NoKey);
    assert!(matches!(decide(&policy, &[user, ("x-tester", "yes")]), Decision::Override { subset: "v3", .. }));
}

#[test]
fn a_source_is_the_pods_that_run_the_filter() {
    let rule = |source: &str| format!(r#"{KEY},"allow":[{{"source":{source}}}]"#);
    let caller = r#""caller":{"namespace":"shop","workload":"frontend"},"#;
    for (source, expected) in [
        (r#"{"namespace":"shop"}"#, false),
        (r#"{"workload":"frontend"}"#, false),
        (r#"{"namespace":"shop","workload":"frontend"}"#, false),
        (r#"{"namespace":"other","workload":"frontend"}"#, true),
        (r#"{"workload":"frontend-v2"}"#, true),
    ] {
        assert_eq!(is_stable(&with(caller, &rule(source)), &[("x-user-id", "ann")]), expected, "{source}");
        assert!(is_stable(&policy(&rule(source)), &[("x-user-id", "ann")]), "a caller that is not known is nobody");
    }
}

#[test]
fn a_percentage_of_a_group_is_the_same_users_and_grows() {
    let allowed = |percent: u8, fields: &str| -> BTreeSet<u32> {
        let rules = format!(r#"{KEY},"allow":[{{"header":{{"name":"x-group","exact":"beta"}},"percent":{percent}}}]{fields}"#);
        let policy = policy(&rules);
        (0..10_000).filter(|user| !is_stable(&policy, &[("x-user-id", &user.to_string()), ("x-group", "beta")])).collect()
    };
    let (twenty, fifty) = (allowed(20, ""), allowed(50, ""));
    assert!((1_750..2_250).contains(&twenty.len()), "{}", twenty.len());
    assert!((4_700..5_300).contains(&fifty.len()), "{}", fifty.len());
    assert!(twenty.is_subset(&fifty));
    assert_eq!((allowed(0, "").len(), allowed(100, "").len()), (0, 10_000));
    let of_train = allowed(20, r#","train":"autumn""#);
    assert_ne!(of_train, twenty);
    // Who is in the group says nothing of the bucket.
    let policy = policy(&format!(r#"{KEY},"train":"autumn""#));
    let low = of_train.iter().filter(|user| support::bucket(&policy, &user.to_string()) < 5_000).count();
    assert!((of_train.len() * 45 / 100..of_train.len() * 55 / 100).contains(&low), "{low}");
    let nobody = policy_of_everybody();
    assert!(is_stable(&nobody, &[("x-group", "beta")]), "who has no user is not among them");
}

fn policy_of_everybody() -> Policy {
    policy(&format!(r#"{KEY},"allow":[{{"header":{{"name":"x-group","exact":"beta"}},"percent":100}}]"#))
}
