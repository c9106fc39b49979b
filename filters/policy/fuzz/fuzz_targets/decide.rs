//! Decides requests of any cookies, path, header, claim, address and passport at once, at a gateway and inside: nothing panics, what is
//! decided is what the model says, and a user has one version on both. Run it with `cargo +nightly fuzz run decide` in `filters/policy`.

#![no_main]

#[path = "../../tests/support/model.rs"]
#[allow(dead_code)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::Request;
use std::sync::LazyLock;
use weir_policy::canary::{Config, Policy, Seen, Verdict};

fn policy(edge: bool) -> (Config, Policy) {
    let passport =
        r#"{"key":[{"cookie":"user"},{"query":"user"}],"override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v2"}]}"#;
    let canary = r#"{"hosts":["reviews"],"stable":"v1","train":"t","key":[{"cookie":"user"},{"header":"x-user"},{"jwtClaim":"sub"},{"sourceAddress":{}}],
        "override":[{"cookie":{"name":"tester","exact":"yes"},"subset":"v3"}],"deny":[{"header":{"name":"x-user","oneOf":["eve","bob"]}}],
        "allow":[{"cookie":{"name":"group","exact":"beta"},"percent":50},{"jwtClaim":{"name":"sub","exact":"ann"}}],"governor":{}}"#;
    let json = format!(r#"{{"version":1,"passport":{passport},"canaries":[{canary}]}}"#);
    let mut config = Policy::read(json.as_bytes()).expect("a good policy");
    let passport = config.passport.as_mut().expect("one with passports");
    (passport.edge, passport.secrets) = (edge, vec!["0a".repeat(32)]);
    let policy = Policy::try_from(&config).expect("a good policy");
    (config, policy)
}

static GATEWAY: LazyLock<(Config, Policy)> = LazyLock::new(|| policy(true));
static SIDECAR: LazyLock<(Config, Policy)> = LazyLock::new(|| policy(false));

fn decide<'p>(policy: &'p Policy, request: &Request) -> Verdict<'p> {
    policy.decide(policy.for_host(b"reviews"), |input| request.read(input), || request.random)
}

/// Two cookie headers, the path, a header, a claim, the address, and whether a tester sends it.
type Values = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>, bool);

fuzz_target!(|input: (Values, Option<Vec<u8>>)| {
    let ((cookie, second, path, user, claim, address, tester), baggage) = input;
    let tester = tester.then(|| b"yes".to_vec());
    let named = [("cookie", cookie), ("cookie", second), (":path", path), ("x-user", user), ("x-tester", tester), ("baggage", baggage)];
    let headers = named.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect();
    let mut request = Request { headers, claim, address: Some(address), random: Some(7) };

    let (config, policy) = &*SIDECAR;
    let inside = decide(policy, &request);
    assert_ne!(inside.passport, Some(Seen::Valid), "nobody guesses a MAC");
    assert_eq!(model::found(&inside), model::decide(config, &config.canaries[0], &request, None));

    let (config, policy) = &*GATEWAY;
    let edge = decide(policy, &request);
    let carried = config.passport.as_ref().and_then(|passport| model::passport(passport, &request));
    let expected = model::decide(config, &config.canaries[0], &request, carried.as_ref());
    assert_eq!(model::found(&edge), expected);

    let made = edge.baggage.expect("a passport, or what is left of a false one");
    request.headers.retain(|(name, _)| name != "baggage");
    request.headers.push(("baggage".into(), made));
    let next = decide(&SIDECAR.1, &request);
    assert_ne!(next.passport, Some(Seen::False), "what a gateway sends on is believed");
    if next.passport == Some(Seen::Valid) {
        assert_eq!(model::found(&next), expected, "one user, one version");
    }
});
