//! The passport's way through the mesh: made at the edge, believed inside, told apart from a false one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use support::{verdict, with};
use weir_policy::canary::{By, Decision, Policy, Seen};

const CANARY: &str = r#""train":"autumn","key":[{"header":"x-user-id"}]"#;

fn policy(edge: bool, secrets: &[char], fields: &str) -> Policy {
    let secrets: Vec<_> = secrets.iter().map(|digit| format!("{:?}", digit.to_string().repeat(64))).collect();
    with(&format!(r#""passport":{{"edge":{edge},"secrets":[{}]{fields}}},"#, secrets.join(",")), CANARY)
}

const KEY: &str = r#","key":[{"cookie":"user"}],"override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v3"}]"#;

fn bucket(decision: Option<Decision<'_>>) -> u16 {
    match decision {
        Some(Decision::Bucket { bucket, .. }) => bucket,
        other => panic!("{other:?}"),
    }
}

/// The baggage that a gateway sends on.
fn made(policy: &Policy, headers: &[(&str, &str)]) -> String {
    let verdict = verdict(policy, headers, Some(7));
    assert_eq!(verdict.passport, Some(Seen::Made));
    String::from_utf8(verdict.baggage.unwrap()).unwrap()
}

#[test]
fn a_user_has_one_bucket_with_the_passport_and_with_the_key() {
    let (gateway, sidecar) = (policy(true, &['a'], KEY), policy(false, &['a'], ""));
    let edge = verdict(&gateway, &[("cookie", "user=ann")], None);
    let inside = verdict(&sidecar, &[("baggage", &made(&gateway, &[("cookie", "user=ann")])), ("x-user-id", "bob")], None);
    assert_eq!(inside.passport, Some(Seen::Valid));
    assert_eq!(inside.baggage, None, "what is valid goes on as it is");
    assert!(matches!(inside.decision, Some(Decision::Bucket { by: By::Passport, .. })), "it comes before the key");
    let without = verdict(&sidecar, &[("x-user-id", "ann")], None);
    assert_eq!((without.passport, without.baggage), (None, None));
    assert_eq!(bucket(edge.decision), bucket(inside.decision));
    assert_eq!(bucket(edge.decision), bucket(without.decision), "who does not forward it falls back to the key");
}

#[test]
fn a_gateway_believes_none_and_leaves_what_is_not_ours() {
    let gateway = policy(true, &['a'], KEY);
    let anns = made(&gateway, &[("cookie", "user=ann")]);
    let bobs = made(&gateway, &[("cookie", "user=bob")]);
    assert_ne!(anns, bobs);
    let stolen = format!("tenant=7;p=1, {bobs},x=%20");
    assert_eq!(made(&gateway, &[("cookie", "user=ann"), ("baggage", &stolen)]), format!("tenant=7;p=1,x=%20,{anns}"));
}

#[test]
fn who_has_no_user_is_drawn_one_for_all_hops() {
    let (gateway, sidecar) = (policy(true, &['a'], KEY), policy(false, &['a'], ""));
    let draw = |random| {
        let edge = verdict(&gateway, &[], Some(random));
        assert!(matches!(edge.decision, Some(Decision::Bucket { by: By::Drawn, .. })));
        let baggage = String::from_utf8(edge.baggage.clone().unwrap()).unwrap();
        assert_eq!(bucket(verdict(&sidecar, &[("baggage", &baggage)], None).decision), bucket(edge.decision));
        (bucket(edge.decision), edge.cookie)
    };
    let buckets: std::collections::BTreeSet<_> = (0..100).map(|random| draw(random).0).collect();
    assert!(buckets.len() > 90);
    assert_eq!(draw(1).1, None);
    let minting = policy(true, &['a'], r#","key":[{"mint":{"name":"u"}}]"#);
    let first = verdict(&minting, &[], Some(1));
    let cookie = first.cookie.unwrap();
    let again = verdict(&minting, &[("cookie", cookie.split(';').next().unwrap())], Some(2));
    assert_eq!((again.cookie, again.baggage), (None, first.baggage));
}

#[test]
fn a_forced_subset_travels() {
    let (gateway, sidecar) = (policy(true, &['a'], KEY), policy(false, &['a'], ""));
    let edge = verdict(&gateway, &[("cookie", "user=ann"), ("x-tester", "yes")], None);
    assert_eq!(edge.decision.unwrap().to_string(), "subset v3 by passport");
    let baggage = String::from_utf8(edge.baggage.unwrap()).unwrap();
    assert_eq!(verdict(&sidecar, &[("baggage", &baggage)], None).decision, edge.decision);
}

#[test]
fn a_false_one_is_removed_and_the_key_holds() {
    let (gateway, sidecar) = (policy(true, &['a'], KEY), policy(false, &['b'], ""));
    let foreign = format!("a=1,{},b=2", made(&gateway, &[("cookie", "user=ann")]));
    let seen = verdict(&sidecar, &[("baggage", &foreign), ("x-user-id", "bob")], None);
    assert_eq!((seen.passport, seen.baggage.as_deref()), (Some(Seen::False), Some(b"a=1,b=2".as_slice())));
    assert!(matches!(seen.decision, Some(Decision::Bucket { by: By::Source(_), .. })));
    let only = verdict(&sidecar, &[("baggage", "weir=AAAA")], None);
    assert_eq!((only.passport, only.baggage.as_deref()), (Some(Seen::False), Some(b"".as_slice())));
    assert_eq!(only.decision, Some(Decision::NoKey));
}

#[test]
fn a_rotated_key_moves_nobody() {
    let steps: [&[char]; 5] = [&['a'], &['a', 'b'], &['b', 'a'], &['b', 'c'], &['c', 'b']];
    let first = policy(true, steps[0], KEY);
    let expected = bucket(verdict(&first, &[("cookie", "user=ann")], None).decision);
    // A proxy may be a step behind the others.
    for (at, secrets) in steps.iter().enumerate() {
        let baggage = made(&policy(true, secrets, KEY), &[("cookie", "user=ann")]);
        for near in steps.iter().take(at + 2).skip(at.saturating_sub(1)) {
            let sidecar = policy(false, near, "");
            let inside = verdict(&sidecar, &[("baggage", &baggage)], None);
            assert_eq!((inside.passport, bucket(inside.decision)), (Some(Seen::Valid), expected), "{secrets:?} {near:?}");
        }
    }
}

#[test]
fn without_a_secret_there_is_none() {
    let (gateway, sidecar) = (policy(true, &[], KEY), policy(false, &[], ""));
    let edge = verdict(&gateway, &[("baggage", "a=1,weir=AAAA"), ("cookie", "user=ann"), ("x-user-id", "bob")], Some(1));
    assert_eq!((edge.passport, edge.baggage.as_deref()), (None, Some(b"a=1".as_slice())));
    assert!(matches!(edge.decision, Some(Decision::Bucket { by: By::Source(_), .. })), "by the canary's own key, as on every hop");
    assert_eq!(verdict(&sidecar, &[("baggage", "weir=AAAA")], None).passport, Some(Seen::False));
}

proptest! {
    #[test]
    fn any_baggage_at_the_edge_becomes_one_with_a_passport_of_ours(baggage in "[ -~]{0,200}") {
        let (gateway, sidecar) = (policy(true, &['a'], KEY), policy(false, &['a'], ""));
        let edge = verdict(&gateway, &[("cookie", "user=ann"), ("baggage", &baggage)], None);
        let sent = String::from_utf8(edge.baggage.unwrap()).unwrap();
        let inside = verdict(&sidecar, &[("baggage", &sent)], None);
        prop_assert_eq!(inside.passport, Some(Seen::Valid));
        prop_assert_eq!(bucket(inside.decision), bucket(edge.decision));
    }

    #[test]
    fn no_baggage_inside_is_more_than_false(baggage in "[ -~]{0,200}", members in proptest::collection::vec("weir=[A-Za-z0-9_-]{0,80}", 0..3)) {
        let sidecar = policy(false, &['a'], "");
        let sent = std::iter::once(baggage).chain(members).collect::<Vec<_>>().join(",");
        let inside = verdict(&sidecar, &[("baggage", &sent), ("x-user-id", "ann")], None);
        prop_assert_ne!(inside.passport, Some(Seen::Valid));
        let by_key = matches!(inside.decision, Some(Decision::Bucket { by: By::Source(_), .. }));
        prop_assert!(by_key);
    }
}
