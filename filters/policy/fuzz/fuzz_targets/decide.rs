//! Decides requests of any cookies, baggage, path, header, claim and address, at a gateway and inside: nothing panics, no passport is
//! believed that this mesh did not make, and what it makes is believed. Run it with `cargo +nightly fuzz run decide` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use weir_policy::canary::{BUCKETS, Decision, Input, Policy, Seen, Verdict};

const HOST: &[u8] = b"reviews";

fn policy(edge: bool) -> Policy {
    let passport = format!(
        r#"{{"edge":{edge},"secrets":["{}"],"key":[{{"cookie":"user"}},{{"query":"user"}}],
            "override":[{{"header":{{"name":"x-tester","exact":"yes"}},"subset":"v2"}}]}}"#,
        "0a".repeat(32)
    );
    let canary = r#"{"hosts":["reviews"],"stable":"v1","train":"t","key":[{"cookie":"user"},{"header":"x-user"},{"jwtClaim":"sub"},{"sourceAddress":{}}],
        "override":[{"cookie":{"name":"tester","exact":"yes"},"subset":"v3"}],"deny":[{"header":{"name":"x-user","oneOf":["eve","bob"]}}],
        "allow":[{"cookie":{"name":"group","exact":"beta"},"percent":50},{"jwtClaim":{"name":"sub","exact":"ann"}}],"governor":{}}"#;
    Policy::parse(format!(r#"{{"version":1,"passport":{passport},"canaries":[{canary}]}}"#).as_bytes()).expect("a good policy")
}

static GATEWAY: LazyLock<Policy> = LazyLock::new(|| policy(true));
static SIDECAR: LazyLock<Policy> = LazyLock::new(|| policy(false));

/// The values of a request; the second cookie and baggage stand in headers of their own.
type Values = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>, bool);

fn decide<'p>(policy: &'p Policy, values: &Values, baggage: Option<&[u8]>) -> Verdict<'p> {
    let (cookie, second, path, user, claim, address, tester) = values;
    let read = |input: Input<'_>| match input {
        Input::Header("cookie") => cookie.clone(),
        Input::Cookies => Some([cookie.clone().unwrap_or_default(), second.clone().unwrap_or_default()].join(&b';')),
        Input::Header(":path") => path.clone(),
        Input::Header("x-user") => user.clone(),
        Input::Header("x-tester") => tester.then(|| b"yes".to_vec()),
        Input::Header("baggage") => baggage.map(|all| all.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()),
        Input::Joined(_) => baggage.map(|all| all.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b',')),
        Input::Header(_) => None,
        Input::Attribute(_) => claim.clone(),
        Input::SourceAddress => Some(address.clone()),
    };
    policy.decide(policy.for_host(HOST), read, || Some(7))
}

fn check(verdict: &Verdict<'_>) {
    if let Some(Decision::Bucket { bucket, .. }) = verdict.decision {
        assert!(bucket < BUCKETS);
    }
    assert!(verdict.decision.is_some());
}

fuzz_target!(|input: (Values, Option<Vec<u8>>)| {
    let (values, baggage) = input;
    let edge = decide(&GATEWAY, &values, baggage.as_deref());
    check(&edge);
    let inside = decide(&SIDECAR, &values, baggage.as_deref());
    check(&inside);
    assert_ne!(inside.passport, Some(Seen::Valid), "nobody guesses a MAC");
    if let Some(made) = &edge.baggage {
        let next = decide(&SIDECAR, &values, Some(made));
        check(&next);
        assert_ne!(next.passport, Some(Seen::False), "what a gateway sends on is believed");
        if next.passport == Some(Seen::Valid) && !matches!(next.decision, Some(Decision::Stable | Decision::Override { .. })) {
            assert_eq!(bucket(&next), bucket(&edge), "one user, one bucket");
        }
    }
});

fn bucket(verdict: &Verdict<'_>) -> Option<u16> {
    match verdict.decision {
        Some(Decision::Bucket { bucket, .. }) => Some(bucket),
        _ => None,
    }
}
