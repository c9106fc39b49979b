//! Finds users by query, header, claim and address of any bytes: nothing panics, and what is decided is what the model says.
//! Run it with `cargo +nightly fuzz run keys` in `filters/policy`.

#![no_main]

#[path = "../../tests/support/model.rs"]
#[allow(dead_code)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::Request;
use std::sync::LazyLock;
use weir_policy::canary::{Config, Policy};

/// The orders in which the sources are looked at, with rules and without.
static POLICIES: LazyLock<Vec<(Config, Policy)>> = LazyLock::new(|| {
    const RULES: &str = r#","deny":[{"header":{"name":"x-user","oneOf":["eve","bob"]}}],"override":[{"jwtClaim":{"name":"sub","exact":"ann"},"subset":"v3"}],
        "allow":[{"header":{"name":"x-group","exact":"beta"},"percent":50},{"header":{"name":"x-user","exact":"sue"}}]"#;
    let mut keys = [r#"{"query":"user"}"#, r#"{"header":"X-User"}"#, r#"{"jwtClaim":"sub"}"#, r#"{"sourceAddress":{}}"#];
    let policies = (0..2 * keys.len()).map(|place| {
        let json = format!(
            r#"{{"version":1,"canaries":[{{"hosts":["reviews"],"key":[{}]{}}}]}}"#,
            keys.join(","),
            if place < keys.len() { "" } else { RULES }
        );
        keys.rotate_left(1);
        let config = Policy::read(json.as_bytes()).expect("a good policy");
        (config.clone(), Policy::try_from(&config).expect("a good policy"))
    });
    policies.collect()
});

fuzz_target!(|bytes: &[u8]| {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let mut request = Request { random: Some(7), ..Request::default() };
    for (line, part) in rest.split(|byte| *byte == b'\n').enumerate() {
        match line {
            0 => request.headers.push((":path".into(), part.into())),
            1 => request.address = Some(part.into()),
            2 => request.claim = Some(part.into()),
            _ if line % 3 == 0 => request.headers.push(("x-group".into(), part.into())),
            _ => request.headers.push(("x-user".into(), part.into())),
        }
    }
    let (config, policy) = &POLICIES[usize::from(*first) % POLICIES.len()];
    let verdict = policy.decide(policy.for_host(b"reviews"), |input| request.read(input), || request.random);
    assert_eq!(model::found(&verdict), model::decide(config, &config.canaries[0], &request, None));
});
