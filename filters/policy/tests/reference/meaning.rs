//! What examples mean: requests, and what is decided for them.

use serde_json::Value;
use weir_policy::canary::{Caller, Config, Input, Policy};

/// A field, which of its examples, and requests with their decisions. A line of a request is a header, `GET PATH`, `claim NAME: VALUE`,
/// `client ADDRESS` or `from WORKLOAD in NAMESPACE`.
type Meaning = (&'static str, usize, &'static [(&'static [&'static str], &'static str)]);

const CANARY: &[Meaning] = &[
    (
        "canaries[].key",
        0,
        &[
            (&["cookie: a=1; user=ann"], "bucket 7666 by cookie user"),
            (&["x-user-id: ann"], "bucket 7666 by header x-user-id"),
            (&["cookie: user=bob", "x-user-id: ann"], "bucket 7382 by cookie user"),
            (&["client 192.0.2.7"], "bucket 3321 by source address"),
        ],
    ),
    ("canaries[].key[].cookie", 0, &[(&["cookie: user=ann"], "bucket 7666 by cookie user"), (&[], "no key: Envoy draws")]),
    ("canaries[].key[].header", 0, &[(&["x-user-id: ann"], "bucket 7666 by header x-user-id"), (&[], "no key: Envoy draws")]),
    ("canaries[].key[].query", 0, &[(&["GET /reviews/1?lang=en&user=ann"], "bucket 7666 by query user"), (&[], "no key: Envoy draws")]),
    ("canaries[].key[].jwtClaim", 0, &[(&["claim sub: ann"], "bucket 7666 by claim sub"), (&[], "no key: Envoy draws")]),
    ("canaries[].key[].jwtClaim", 1, &[(&["claim account.id: ann"], "bucket 7666 by claim account.id"), (&[], "no key: Envoy draws")]),
    (
        "canaries[].key[].mint",
        0,
        &[
            (&["cookie: weir-user=ann"], "bucket 7666 by cookie weir-user"),
            (
                &[],
                "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`",
            ),
        ],
    ),
    (
        "canaries[].key[].mint.name",
        0,
        &[(
            &[],
            "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; HttpOnly; SameSite=Lax`",
        )],
    ),
    (
        "canaries[].key[].mint.lifetime",
        1,
        &[(
            &[],
            "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; Max-Age=5400; HttpOnly; SameSite=Lax`",
        )],
    ),
    (
        "canaries[].key[].mint.secure",
        0,
        &[(
            &[],
            "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; Secure; HttpOnly; SameSite=Lax`",
        )],
    ),
    (
        "canaries[].key[].mint.httpOnly",
        0,
        &[(&[], "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; SameSite=Lax`")],
    ),
    (
        "canaries[].key[].mint.sameSite",
        0,
        &[(
            &[],
            "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; HttpOnly; SameSite=Strict`",
        )],
    ),
    (
        "canaries[].key[].sourceAddress",
        0,
        &[(&["client 192.0.2.7"], "bucket 3321 by source address"), (&["client 2001:db8::7"], "bucket 7673 by source address")],
    ),
    ("canaries[].train", 0, &[(&["cookie: user=ann"], "bucket 2952 by cookie user")]),
    (
        "canaries[].allow",
        0,
        &[
            (&["cookie: user=ann", "x-group: beta"], "bucket 7666 by cookie user"),
            (&["x-group: beta"], "no key: Envoy draws"),
            (&["cookie: user=ann"], "the stable: denied or not allowed"),
        ],
    ),
    (
        "canaries[].allow[].header",
        0,
        &[
            (&["cookie: user=ann", "x-group: beta"], "bucket 7666 by cookie user"),
            (&["cookie: user=ann", "x-group: Beta"], "the stable: denied or not allowed"),
        ],
    ),
    ("canaries[].allow[].header.oneOf", 0, &[(&["x-group: staff"], "no key: Envoy draws"), (&[], "the stable: denied or not allowed")]),
    (
        "canaries[].allow[].cookie",
        0,
        &[
            (&["cookie: user=ann; country=fr"], "bucket 7666 by cookie user"),
            (&["cookie: user=ann; country=it"], "the stable: denied or not allowed"),
        ],
    ),
    (
        "canaries[].allow[].jwtClaim",
        0,
        &[(&["claim plan: free"], "no key: Envoy draws"), (&["claim plan: paid"], "the stable: denied or not allowed")],
    ),
    (
        "canaries[].allow[].source",
        0,
        &[(&["from frontend in shop"], "no key: Envoy draws"), (&["from frontend in other"], "the stable: denied or not allowed")],
    ),
    (
        "canaries[].allow[].source.namespace",
        0,
        &[(&["from frontend in shop"], "no key: Envoy draws"), (&["from frontend in other"], "the stable: denied or not allowed")],
    ),
    (
        "canaries[].allow[].source.workload",
        0,
        &[(&["from frontend in other"], "no key: Envoy draws"), (&["from backend in other"], "the stable: denied or not allowed")],
    ),
    (
        "canaries[].allow[].percent",
        0,
        &[
            (&["cookie: user=ann", "x-group: beta"], "the stable: denied or not allowed"),
            (&["cookie: user=bob", "x-group: beta"], "bucket 7382 by cookie user"),
            (&["cookie: user=eve", "x-group: beta"], "the stable: denied or not allowed"),
            (&["x-group: beta"], "the stable: denied or not allowed"),
        ],
    ),
    (
        "canaries[].deny",
        0,
        &[(&["cookie: user=ann"], "the stable: denied or not allowed"), (&["cookie: user=eve"], "bucket 3679 by cookie user")],
    ),
    (
        "canaries[].override",
        0,
        &[(&["x-tester: yes"], "subset v2 by override of header x-tester"), (&["cookie: user=ann"], "bucket 7666 by cookie user")],
    ),
    (
        "canaries[].override[].header",
        0,
        &[(&["x-tester: yes"], "subset v2 by override of header x-tester"), (&["x-tester: no"], "no key: Envoy draws")],
    ),
    ("canaries[].override[].cookie", 0, &[(&["cookie: user=ann; tester=yes"], "subset v2 by override of cookie tester")]),
    (
        "canaries[].override[].jwtClaim",
        0,
        &[(&["claim team: search"], "subset v2 by override of claim team"), (&["claim team: sales"], "no key: Envoy draws")],
    ),
    (
        "passport.key",
        0,
        &[
            (&["cookie: user=ann"], "bucket 7666 by cookie user"),
            (
                &[],
                "bucket 7249 by a new cookie, and `set-cookie: weir-user=00000000000000000000000000005eed; Path=/; HttpOnly; SameSite=Lax`",
            ),
        ],
    ),
    (
        "passport.override",
        0,
        &[(&["x-tester: yes"], "subset v2 by passport"), (&["cookie: user=ann"], "bucket 2125 by a draw, which the passport carries")],
    ),
];

/// The requests of a field's example, and what is decided for each.
pub fn of(filter: &str, path: &str, example: usize) -> &'static [(&'static [&'static str], &'static str)] {
    let all = if filter == "canary" { CANARY } else { &[] };
    all.iter().find(|(known, place, _)| (*known, *place) == (path, example)).map_or(&[], |(.., rows)| rows)
}

/// All fields whose examples have a meaning here.
pub fn known(filter: &str) -> impl Iterator<Item = (&'static str, usize)> {
    let all = if filter == "canary" { CANARY } else { &[] };
    all.iter().map(|(path, place, _)| (*path, *place))
}

/// What is decided, for a service that has the example's policy, at a gateway.
pub fn decide(policy: &Value, request: &[&str]) -> String {
    let mut config: Config = Policy::read(policy.to_string().as_bytes()).unwrap();
    if let Some(passport) = &mut config.passport {
        (passport.edge, passport.secrets) = (true, vec!["0a".repeat(32)]);
    }
    if let Some((workload, namespace)) = request.iter().find_map(|line| line.strip_prefix("from ")?.split_once(" in ")) {
        config.caller = Some(Caller { namespace: Some(namespace.into()), workload: Some(workload.into()) });
    }
    let policy = Policy::try_from(&config).unwrap();
    let line = |start: &str| request.iter().find_map(|line| line.strip_prefix(start)).map(|value| value.as_bytes().to_vec());
    let read = |input: Input<'_>| match input {
        Input::Header(":path") => line("GET "),
        Input::Header(name) | Input::Joined(name) => line(&format!("{name}: ")),
        Input::Cookies => line("cookie: "),
        Input::Attribute(path) => line(&format!("claim {}: ", path.split("payload\0").nth(1).unwrap().replace('\0', "."))),
        Input::SourceAddress => line("client ").map(|address| [address.as_slice(), b":4711"].concat()),
    };
    let verdict = policy.decide(policy.for_host(b"reviews"), read, || Some(0x5eed));
    let cookie = verdict.cookie.map(|cookie| format!(", and `set-cookie: {cookie}`"));
    format!("{}{}", verdict.decision.unwrap(), cookie.unwrap_or_default())
}
