//! Finds cookies in any number of headers of any bytes: nothing panics, and what is decided is what the model says.
//! Run it with `cargo +nightly fuzz run cookies` in `filters/policy`.

#![no_main]

#[path = "../../tests/support/model.rs"]
#[allow(dead_code)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::Request;
use std::sync::LazyLock;
use weir_policy::canary::{Config, Policy};

/// Without rules and with them.
static POLICIES: LazyLock<[(Config, Policy); 2]> = LazyLock::new(|| {
    const RULES: &str = r#","deny":[{"cookie":{"name":"user","oneOf":["eve","bob"]}}],"override":[{"cookie":{"name":"tester","exact":"yes"},"subset":"v3"}],
        "allow":[{"cookie":{"name":"group","exact":"beta"},"percent":50},{"cookie":{"name":"user","exact":"ann"}}]"#;
    ["", RULES].map(|rules| {
        let key = r#"[{"cookie":"user"},{"cookie":"u"},{"mint":{"name":"weir-user"}}]"#;
        let json = format!(r#"{{"version":1,"canaries":[{{"hosts":["reviews"],"train":"t","key":{key}{rules}}}]}}"#);
        let config = Policy::read(json.as_bytes()).expect("a good policy");
        (config.clone(), Policy::try_from(&config).expect("a good policy"))
    })
});

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<_> = bytes.split(|byte| *byte == b'\n').map(|cookie| ("cookie".into(), cookie.into())).collect();
    let (config, policy) = &POLICIES[headers.len() % 2];
    let request = Request { headers, random: Some(7), ..Request::default() };
    let verdict = policy.decide(policy.for_host(b"reviews"), |input| request.read(input), || request.random);
    assert_eq!(model::found(&verdict), model::decide(config, &config.canaries[0], &request, None));
    let has_user = ["user", "u", "weir-user"].iter().any(|name| request.cookie(name).is_some_and(|user| !user.is_empty()));
    assert_eq!(verdict.cookie.is_some(), !has_user, "who has none is given one");
});
