//! Passes any number of `baggage` headers of any bytes through a gateway and a sidecar: nothing panics, a passport is believed where it is
//! of this mesh and the first, false ones are removed, and what is not ours goes on as it came.
//! A line is a header; `@` stands in it for a passport, `$` for one that names a subset. Run it with `cargo +nightly fuzz run baggage` in
//! `filters/policy`.

#![no_main]

#[path = "../../tests/support/model.rs"]
#[allow(dead_code)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::{Carried, Request};
use std::sync::LazyLock;
use weir_policy::canary::{Config, Policy, Seen, Verdict};

struct Proxy {
    config: Config,
    policy: Policy,
}

impl Proxy {
    fn new(edge: bool) -> Self {
        let json =
            br#"{"version":1,"passport":{"key":[{"cookie":"user"}],"override":[{"cookie":{"name":"tester","exact":"yes"},"subset":"v3"}]},
            "canaries":[{"hosts":["reviews"],"stable":"v1","key":[{"header":"x-user"}]}]}"#;
        let mut config = Policy::read(json).expect("a good policy");
        let passport = config.passport.as_mut().expect("one with passports");
        (passport.edge, passport.secrets) = (edge, vec!["0a".repeat(32)]);
        Self { policy: Policy::try_from(&config).expect("a good policy"), config }
    }

    fn decide(&self, request: &Request) -> Verdict<'_> {
        self.policy.decide(self.policy.for_host(b"reviews"), |input| request.read(input), || request.random)
    }
}

static GATEWAY: LazyLock<Proxy> = LazyLock::new(|| Proxy::new(true));
static SIDECAR: LazyLock<Proxy> = LazyLock::new(|| Proxy::new(false));
/// Passports of ann, with and without a subset.
static PASSPORTS: LazyLock<[(Vec<u8>, Carried); 2]> = LazyLock::new(|| {
    [(b"user=ann".as_slice(), None), (b"user=ann;tester=yes", Some("v3"))].map(|(cookie, subset)| {
        let made = made(&request(&[("cookie", cookie.to_vec())]));
        (made, Carried { user: Some(b"ann".to_vec()), subset: subset.map(String::from) })
    })
});

fn request(headers: &[(&str, Vec<u8>)]) -> Request {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    Request { headers, random: Some(7), ..Request::default() }
}

/// The passport that the gateway makes for a request without baggage.
fn made(request: &Request) -> Vec<u8> {
    let baggage = GATEWAY.decide(request).baggage.expect("a passport");
    baggage.strip_prefix(b"weir=").expect("nothing else").to_vec()
}

fuzz_target!(|bytes: &[u8]| {
    let [plain, forced] = &*PASSPORTS;
    let mut sent = Vec::new();
    for byte in bytes {
        match byte {
            b'@' => sent.extend_from_slice(&plain.0),
            b'$' => sent.extend_from_slice(&forced.0),
            _ => sent.push(*byte),
        }
    }
    let mut headers = vec![("cookie", b"user=eve".to_vec()), ("x-user", b"bob".to_vec())];
    let passport = made(&request(&headers));
    headers.extend(sent.split(|byte| *byte == b'\n').map(|line| ("baggage", line.to_vec())));
    let request = request(&headers);

    let Proxy { config, .. } = &*SIDECAR;
    let inside = SIDECAR.decide(&request);
    let (seen, goes_on, carried) = model::inside(&request, &*PASSPORTS);
    assert_eq!((inside.passport, &inside.baggage), (seen, &goes_on));
    assert_eq!(model::found(&inside), model::decide(config, &config.canaries[0], &request, carried));

    let Proxy { config, .. } = &*GATEWAY;
    let edge = GATEWAY.decide(&request);
    let carried = config.passport.as_ref().and_then(|passport| model::passport(passport, &request));
    assert_eq!((edge.passport, &edge.baggage), (Some(Seen::Made), &model::edge(&request, Some(&passport))));
    assert_eq!(model::found(&edge), model::decide(config, &config.canaries[0], &request, carried.as_ref()));
});
