//! What is refused of policies, and what a user is told then: where, what stands there, and what to write.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_policy::{canary, locality};

fn refused(policies: &[(String, &str)], read: impl Fn(&[u8]) -> Option<String>) {
    for (json, expected) in policies {
        assert_eq!(read(json.as_bytes()).as_deref(), Some(*expected), "{json}");
    }
}

fn canary(json: &[u8]) -> Option<String> {
    canary::Policy::read(json).err().map(|error| error.to_string())
}

fn locality(json: &[u8]) -> Option<String> {
    locality::Policy::read(json).err().map(|error| error.to_string())
}

/// A policy with these fields in its canary.
fn one(fields: &str) -> String {
    format!(r#"{{"version":1,"canaries":[{{"hosts":["a"]{}{fields}}}]}}"#, if fields.is_empty() { "" } else { "," })
}

fn key(sources: &str) -> String {
    one(&format!(r#""key":[{sources}]"#))
}

fn mint(fields: &str) -> String {
    key(&format!(r#"{{"mint":{{{fields}}}}}"#))
}

fn allow(rule: &str) -> String {
    one(&format!(r#""allow":[{{{rule}}}]"#))
}

fn passport(fields: &str) -> String {
    format!(r#"{{"version":1,"passport":{{{fields}}},"canaries":[]}}"#)
}

#[test]
fn documents_that_are_no_policy() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let members: String = (0..65).map(|n| format!("\"{n}\":1,")).collect();
    let cases = [
        ("".into(), ".: expected a value at line 1 column 1"),
        ("nonsense".into(), ".: expected a value at line 1 column 1"),
        ("[]".into(), ".: expected an object, found an array"),
        ("null".into(), ".: expected an object, found null"),
        (r#""version: 1""#.into(), ".: expected an object, found a string"),
        ("{".into(), ".: expected `,` or `}` at line 1 column 2"),
        (r#"{"version":1,"canaries":[]} x"#.into(), ".: expected the end of the document at line 1 column 29"),
        ("{\n \"version\": 01}".into(), ".: expected a number without a leading zero at line 2 column 15"),
        ("{'version':1}".into(), ".: expected a member's name in quotes at line 1 column 2"),
        (r#"{"version":NaN}"#.into(), ".: expected a value at line 1 column 12"),
        (r#"{"version":Infinity}"#.into(), ".: expected a value at line 1 column 12"),
        (r#"{"version":+1}"#.into(), ".: expected a value at line 1 column 12"),
        (r#"{"version":1,}"#.into(), ".: expected a member's name in quotes at line 1 column 14"),
        (r#"{"version":1,"version":1}"#.into(), ".: expected each field once, found `version` again at line 1 column 23"),
        ("{\"train\":\"a\0\"}".into(), ".: expected control characters in a string to be escaped at line 1 column 12"),
        (r#"{"train":"\ud800"}"#.into(), ".: expected a pair of surrogates at line 1 column 17"),
        ("\u{feff}{}".into(), ".: expected a document without a byte order mark at line 1 column 4"),
        (deep(33), ".: expected at most 32 levels at line 1 column 33"),
        (deep(1_000_000), ".: expected at most 32 levels at line 1 column 33"),
        (format!("{{{members}}}"), ".: expected at most 64 fields at line 1 column 440"),
    ];
    refused(&cases, canary);
    refused(&cases, locality);
    for (bytes, expected) in
        [(b"{\"\xff".as_slice(), ".: expected UTF-8, not so at byte 2"), (b"\xff\xfe{\0}\0", ".: expected UTF-8, not so at byte 0")]
    {
        assert_eq!((canary(bytes).unwrap(), locality(bytes).unwrap()), (expected.into(), expected.into()));
    }
}

#[test]
fn fields_and_values_of_another_kind() {
    let cases = [
        ("{}".into(), ".: missing field `version`"),
        (r#"{"version":1}"#.into(), ".: missing field `canaries`"),
        (r#"{"version":2,"canaries":[]}"#.into(), "version: expected 1, found 2"),
        (r#"{"version":"1","canaries":[]}"#.into(), "version: expected a whole number, found a string: write it without quotes"),
        (r#"{"version":1.0,"canaries":[]}"#.into(), "version: expected a whole number, found a number with a fraction"),
        (
            r#"{"version":1e999,"canaries":[]}"#.into(),
            "version: expected a whole number, found a number that is negative, too large or with an exponent",
        ),
        (r#"{"version":null,"canaries":[]}"#.into(), "version: expected a value, found null: write one, or leave the field out"),
        (
            r#"{"version":1,"canary":[]}"#.into(),
            "canary: unknown field `canary` (is `canaries` meant?), expected one of `version`, `passport`, `canaries`",
        ),
        (r#"{"version":1,"services":[]}"#.into(), "services: unknown field `services`, expected one of `version`, `passport`, `canaries`"),
        (r#"{"version":1,"canaries":{}}"#.into(), "canaries: expected an array, found an object"),
        (r#"{"version":1,"canaries":[[]]}"#.into(), "canaries[0]: expected an object, found an array"),
        (r#"{"version":1,"canaries":[{}]}"#.into(), "canaries[0]: missing field `hosts`"),
        (
            one(r#""stabel":"v1""#),
            "canaries[0].stabel: unknown field `stabel` (is `stable` meant?), expected one of `hosts`, `stable`, `key`, `train`, `allow`, `deny`, `override`, `governor`",
        ),
        (
            one(r#""Override":[]"#),
            "canaries[0].Override: unknown field `Override` (is `override` meant?), expected one of `hosts`, `stable`, `key`, `train`, `allow`, `deny`, `override`, `governor`",
        ),
        (one(r#""stable":1"#), "canaries[0].stable: expected a string, found a number: write it in quotes"),
        (one(r#""stable":true"#), "canaries[0].stable: expected a string, found a boolean: write it in quotes"),
        (one(r#""stable":null"#), "canaries[0].stable: expected a value, found null: write one, or leave the field out"),
        (one(r#""train":["a"]"#), "canaries[0].train: expected a string, found an array"),
        (one(r#""governor":true"#), "canaries[0].governor: expected an object, found a boolean"),
        (
            one(r#""governor":{"latency":"no"}"#),
            "canaries[0].governor.latency: expected a boolean, found a string: write it without quotes",
        ),
        (
            one(r#""governor":{"latencies":false}"#),
            "canaries[0].governor.latencies: unknown field `latencies` (is `latency` meant?), expected one of `latency`, `hold`",
        ),
        (
            one(r#""stable":"v1","key":[{"header":"c"}],"governor":{"hold":"newUsers"}"#),
            "canaries[0].governor.hold: expected `mint`, or the cookie that a gateway's `mint` makes, at the end of `key`: only that says who is new",
        ),
        (one(r#""governor":{"hold":"all"}"#), r#"canaries[0].governor.hold: expected everyone or newUsers, found "all""#),
        (r#"{"version":1,"canaries":[{"hosts":"a"}]}"#.into(), "canaries[0].hosts: expected an array, found a string"),
        (
            r#"{"version":1,"canaries":[{"hosts":["a",7]}]}"#.into(),
            "canaries[0].hosts[1]: expected a string, found a number: write it in quotes",
        ),
        (key(r#""cookie""#), "canaries[0].key[0]: expected an object with one of cookie, header, query, jwtClaim, mint, sourceAddress"),
        (key("{}"), "canaries[0].key[0]: expected an object with one of cookie, header, query, jwtClaim, mint, sourceAddress"),
        (
            key(r#"{"jwt-claim":"a"}"#),
            "canaries[0].key[0].jwt-claim: unknown variant `jwt-claim` (is `jwtClaim` meant?), expected one of `cookie`, `header`, `query`, `jwtClaim`, `mint`, `sourceAddress`",
        ),
        (
            key(r#"{"cookie":"a","header":"b"}"#),
            "canaries[0].key[0]: expected an object with one of cookie, header, query, jwtClaim, mint, sourceAddress, found `cookie` and `header`",
        ),
        (key(r#"{"cookie":null}"#), "canaries[0].key[0].cookie: expected a string, found null"),
        (key(r#"{"sourceAddress":null}"#), "canaries[0].key[0].sourceAddress: expected an object, found null"),
        (key(r#"{"sourceAddress":{"trusted":1}}"#), "canaries[0].key[0].sourceAddress.trusted: unknown field `trusted`, expected none"),
        (mint(r#""lifetime":"720h""#), "canaries[0].key[0].mint: missing field `name`"),
        (
            mint(r#""name":"a","secure":"true""#),
            "canaries[0].key[0].mint.secure: expected a boolean, found a string: write it without quotes",
        ),
        (mint(r#""name":"a","sameSite":"lax""#), r#"canaries[0].key[0].mint.sameSite: expected Strict, Lax or None, found "lax""#),
        (
            allow(r#""header":{"name":"a","exakt":"b"}"#),
            "canaries[0].allow[0].header.exakt: unknown field `exakt` (is `exact` meant?), expected one of `name`, `exact`, `oneOf`",
        ),
        (
            allow(r#""headers":{"name":"a","exact":"b"}"#),
            "canaries[0].allow[0].headers: unknown field `headers` (is `header` meant?), expected one of `header`, `cookie`, `jwtClaim`, `source`, `percent`",
        ),
        (passport(r#""keys":[]"#), "passport.keys: unknown field `keys` (is `key` meant?), expected one of `key`, `override`"),
    ];
    refused(&cases, canary);
}

#[test]
fn numbers_that_are_no_percentage() {
    let percent = |number: &str| allow(&format!(r#""source":{{"workload":"a"}},"percent":{number}"#));
    let no_number = "canaries[0].allow[0].percent: expected a whole number, found a number that is negative, too large or with an exponent";
    refused(
        &[
            (percent("101"), "canaries[0].allow[0].percent: expected at most 100, found 101"),
            (percent("4294967295"), "canaries[0].allow[0].percent: expected at most 100, found 4294967295"),
            (percent("-1"), no_number),
            (percent("0.5"), "canaries[0].allow[0].percent: expected a whole number, found a number with a fraction"),
            (percent("1e2"), no_number),
            (percent("99999999999999999999999999"), no_number),
            (percent("4294967296"), no_number),
            (percent(r#""50""#), "canaries[0].allow[0].percent: expected a whole number, found a string: write it without quotes"),
            (percent(r#""50%""#), "canaries[0].allow[0].percent: expected a whole number, found a string: write it without quotes"),
            (percent("null"), "canaries[0].allow[0].percent: expected a value, found null: write one, or leave the field out"),
        ],
        canary,
    );
    for number in ["0", "100"] {
        assert_eq!(canary(percent(number).as_bytes()), None);
    }
}

#[test]
fn names_that_are_empty_or_can_be_no_name() {
    let token = "(letters, digits and !#$%&'*+-.^_`|~)";
    let name = "a name of letters, digits and -_./ that begins with one of the first, of at most 63";
    let long = "v".repeat(64);
    let host = "expected a host as in a VirtualService: a name, an address, `*` or `*.SUFFIX`";
    let tester = |subset: &str| one(&format!(r#""override":[{{"subset":"{subset}","header":{{"name":"a","exact":"b"}}}}]"#));
    let hosts = |hosts: &str| format!(r#"{{"version":1,"canaries":[{{"hosts":[{hosts}]}}]}}"#);
    let cases: Vec<(String, String)> = vec![
        (hosts(""), "canaries[0].hosts: expected at least one host".into()),
        (hosts(r#""""#), format!(r#"canaries[0].hosts[0]: {host}, found """#)),
        (hosts(r#""a","b c""#), format!(r#"canaries[0].hosts[1]: {host}, found "b c""#)),
        (hosts(r#""rev*""#), format!(r#"canaries[0].hosts[0]: {host}, found "rev*""#)),
        (hosts(r#""*.""#), format!(r#"canaries[0].hosts[0]: {host}, found "*.""#)),
        (hosts(r#""**""#), format!(r#"canaries[0].hosts[0]: {host}, found "**""#)),
        (hosts(r#""http://a""#), format!(r#"canaries[0].hosts[0]: {host}, found "http://a""#)),
        (one(r#""stable":"""#), format!(r#"canaries[0].stable: expected {name}, found """#)),
        (one(r#""stable":".stable""#), format!(r#"canaries[0].stable: expected {name}, found ".stable""#)),
        (one(r#""stable":"v1\r\nx: y""#), format!(r#"canaries[0].stable: expected {name}, found "v1  x: y""#)),
        (one(&format!(r#""stable":"{long}""#)), format!(r#"canaries[0].stable: expected {name}, found "{long}""#)),
        (one(r#""train":"""#), format!(r#"canaries[0].train: expected {name}, found """#)),
        (tester(""), format!(r#"canaries[0].override[0].subset: expected {name}, found """#)),
        (tester(".stable"), format!(r#"canaries[0].override[0].subset: expected {name}, found ".stable""#)),
        (tester("!v1"), format!(r#"canaries[0].override[0].subset: expected {name}, found "!v1""#)),
        (key(r#"{"cookie":""}"#), format!(r#"canaries[0].key[0].cookie: expected the name of a cookie {token}, found """#)),
        (key(r#"{"cookie":"a;b"}"#), format!(r#"canaries[0].key[0].cookie: expected the name of a cookie {token}, found "a;b""#)),
        (key(r#"{"cookie":"é"}"#), format!(r#"canaries[0].key[0].cookie: expected the name of a cookie {token}, found "é""#)),
        (key(r#"{"cookie":"a"},{"header":":path"}"#), format!(r#"canaries[0].key[1].header: expected the name of a header {token}, found ":path""#)),
        (key(r#"{"header":""}"#), format!(r#"canaries[0].key[0].header: expected the name of a header {token}, found """#)),
        (
            key(r#"{"header":"X-Weir-Bucket"}"#),
            r#"canaries[0].key[0].header: expected another header, found "X-Weir-Bucket": proxies remove those that begin with x-weir- from requests"#.into(),
        ),
        (key(r#"{"query":""}"#), r#"canaries[0].key[0].query: expected the name of a parameter as it stands in a URL, found """#.into()),
        (key(r#"{"query":"a=b"}"#), r#"canaries[0].key[0].query: expected the name of a parameter as it stands in a URL, found "a=b""#.into()),
        (
            key(r#"{"jwtClaim":"a..b"}"#),
            r#"canaries[0].key[0].jwtClaim: expected the name of a claim, with dots between the names of nested ones, found "a..b""#.into(),
        ),
        (
            key(r#"{"jwtClaim":""}"#),
            r#"canaries[0].key[0].jwtClaim: expected the name of a claim, with dots between the names of nested ones, found """#.into(),
        ),
        (mint(r#""name":"""#), format!(r#"canaries[0].key[0].mint.name: expected the name of a cookie {token}, found """#)),
        (
            mint(r#""name":"a","lifetime":"30d""#),
            r#"canaries[0].key[0].mint.lifetime: expected hours, minutes and seconds such as 720h or 1h30m, found "30d""#.into(),
        ),
        (
            mint(r#""name":"a","lifetime":"""#),
            r#"canaries[0].key[0].mint.lifetime: expected hours, minutes and seconds such as 720h or 1h30m, found """#.into(),
        ),
        (
            allow(r#""header":{"name":"x-weir-subset","exact":"v1"}"#),
            r#"canaries[0].allow[0].header.name: expected another header, found "x-weir-subset": proxies remove those that begin with x-weir- from requests"#.into(),
        ),
        (allow(r#""cookie":{"name":"","exact":"b"}"#), format!(r#"canaries[0].allow[0].cookie.name: expected the name of a cookie {token}, found """#)),
        (
            allow(r#""jwtClaim":{"name":"a.","exact":"b"}"#),
            r#"canaries[0].allow[0].jwtClaim.name: expected the name of a claim, with dots between the names of nested ones, found "a.""#.into(),
        ),
        (
            allow(r#""source":{"namespace":""}"#),
            r#"canaries[0].allow[0].source.namespace: expected a name of lower-case letters, digits, - and ., found """#.into(),
        ),
        (
            allow(r#""source":{"workload":"Front End"}"#),
            r#"canaries[0].allow[0].source.workload: expected a name of lower-case letters, digits, - and ., found "Front End""#.into(),
        ),
        (allow(r#""header":{"name":"a","exact":""}"#), "canaries[0].allow[0].header.exact: expected a value that is not empty".into()),
        (allow(r#""header":{"name":"a","oneOf":["b",""]}"#), "canaries[0].allow[0].header.oneOf[1]: expected a value that is not empty".into()),
        (
            allow(r#""header":{"name":"a","exact":"b "}"#),
            r#"canaries[0].allow[0].header.exact: expected a value as requests have it, without white space around it and control characters, found "b ""#.into(),
        ),
        (
            allow(r#""cookie":{"name":"a","oneOf":["a\u0000"]}"#),
            r#"canaries[0].allow[0].cookie.oneOf[0]: expected a value as requests have it, without white space around it and control characters, found "a ""#.into(),
        ),
        (passport(r#""key":[{"header":""}]"#), format!(r#"passport.key[0].header: expected the name of a header {token}, found """#)),
    ];
    let cases: Vec<(String, &str)> = cases.iter().map(|(json, expected)| (json.clone(), expected.as_str())).collect();
    refused(&cases, canary);
}

#[test]
fn what_says_nothing() {
    refused(
        &[
            (one(r#""allow":[]"#), "canaries[0].allow: expected at least one rule"),
            (one(r#""deny":[]"#), "canaries[0].deny: expected at least one rule"),
            (one(r#""deny":[{}]"#), "canaries[0].deny[0]: expected at least one of `header`, `cookie`, `jwtClaim` and `source`"),
            (allow(r#""percent":20"#), "canaries[0].allow[0]: expected at least one of `header`, `cookie`, `jwtClaim` and `source`"),
            (allow(r#""source":{}"#), "canaries[0].allow[0].source: expected at least one of `namespace` and `workload`"),
            (allow(r#""header":{"name":"a"}"#), "canaries[0].allow[0].header: expected exactly one of `exact` and `oneOf`"),
            (allow(r#""header":{"name":"a","oneOf":[]}"#), "canaries[0].allow[0].header.oneOf: expected at least one value"),
            (one(r#""override":[{"subset":"v1"}]"#), "canaries[0].override[0]: expected exactly one of `header`, `cookie` and `jwtClaim`"),
            (one(r#""override":[{"header":{"name":"a","exact":"b"}}]"#), "canaries[0].override[0]: missing field `subset`"),
            (
                passport(r#""override":[{"subset":"v1"}]"#),
                "passport.override[0]: expected exactly one of `header`, `cookie` and `jwtClaim`",
            ),
        ],
        canary,
    );
    // But who takes the last canary out of a list must not keep it.
    assert_eq!(canary(br#"{"version":1,"canaries":[]}"#), None);
    assert_eq!(locality(br#"{"version":1,"services":[]}"#), None);
}

#[test]
fn what_contradicts_itself_or_stands_twice() {
    let header = |value: &str| format!(r#""header":{{"name":"a","exact":"{value}"}}"#);
    let rules = |allow: &str, deny: &str| one(&format!(r#""allow":[{allow}],"deny":[{deny}]"#));
    let denied = "canaries[0].allow[0]: expected some whom no rule denies, found none beside those of deny[0]: leave out one of them";
    let cases = [
        (
            r#"{"version":1,"canaries":[{"hosts":["a"]},{"hosts":["b","a"]}]}"#.into(),
            r#"canaries[1].hosts[1]: expected each host once, found "a" again"#,
        ),
        (r#"{"version":1,"canaries":[{"hosts":["a","a"]}]}"#.into(), r#"canaries[0].hosts[1]: expected each host once, found "a" again"#),
        (
            key(r#"{"cookie":"a"},{"header":"b"},{"cookie":"a"}"#),
            "canaries[0].key[2]: expected each source once, found cookie a again: leave it out",
        ),
        (
            key(r#"{"header":"X-User"},{"header":"x-user"}"#),
            "canaries[0].key[1]: expected each source once, found header x-user again: leave it out",
        ),
        (
            key(r#"{"sourceAddress":{}},{"sourceAddress":{}}"#),
            "canaries[0].key[1]: expected each source once, found source address again: leave it out",
        ),
        (
            key(r#"{"mint":{"name":"a"}},{"header":"b"}"#),
            "canaries[0].key[0].mint: expected as the last: whoever comes to it has a user then",
        ),
        (
            key(r#"{"mint":{"name":"a"}},{"mint":{"name":"b"}}"#),
            "canaries[0].key[0].mint: expected as the last: whoever comes to it has a user then",
        ),
        (
            mint(r#""name":"a","sameSite":"None""#),
            "canaries[0].key[0].mint.secure: expected true: with `sameSite: None` browsers take no other",
        ),
        (
            mint(r#""name":"__Host-a""#),
            "canaries[0].key[0].mint.secure: expected true: browsers take no other cookie whose name begins with __Host- or __Secure-",
        ),
        (
            allow(r#""header":{"name":"a","exact":"b","oneOf":["c"]}"#),
            "canaries[0].allow[0].header: expected exactly one of `exact` and `oneOf`",
        ),
        (
            allow(r#""header":{"name":"a","oneOf":["b","c","b"]}"#),
            r#"canaries[0].allow[0].header.oneOf[2]: expected each value once, found "b" again"#,
        ),
        (
            one(r#""override":[{"header":{"name":"a","exact":"b"},"cookie":{"name":"a","exact":"b"},"subset":"v1"}]"#),
            "canaries[0].override[0]: expected exactly one of `header`, `cookie` and `jwtClaim`",
        ),
        (
            one(
                r#""override":[{"header":{"name":"A","exact":"b"},"subset":"v1"},{"header":{"name":"a","oneOf":["c","b"]},"subset":"v2"}]"#,
            ),
            r#"canaries[0].override[1]: expected each value of header a once, found "b", which override[0] has: the first one counts"#,
        ),
        (
            passport(r#""override":[{"cookie":{"name":"a","exact":"b"},"subset":"v1"},{"cookie":{"name":"a","exact":"b"},"subset":"v1"}]"#),
            r#"passport.override[1]: expected each value of cookie a once, found "b", which override[0] has: the first one counts"#,
        ),
        (
            one(&format!(r#""allow":[{{{}}},{{{},"percent":20}}]"#, header("b"), header("b"))),
            "canaries[0].allow[1]: expected each rule once, found that of [0] again: leave out one of them",
        ),
        (
            one(r#""deny":[{"header":{"name":"a","oneOf":["b","c"]}},{"header":{"name":"A","oneOf":["c","b"]}}]"#),
            "canaries[0].deny[1]: expected each rule once, found that of [0] again: leave out one of them",
        ),
        (rules(&format!("{{{}}}", header("b")), &format!("{{{}}}", header("b"))), denied),
        (rules(&format!(r#"{{{},"percent":20}}"#, header("b")), &format!("{{{}}}", header("b"))), denied),
        (rules(&format!(r#"{{{},"cookie":{{"name":"c","exact":"d"}}}}"#, header("b")), &format!("{{{}}}", header("b"))), denied),
        (rules(r#"{"source":{"workload":"w"}}"#, r#"{"source":{"workload":"w"}}"#), denied),
    ];
    refused(&cases, canary);
    for good in [
        rules(&format!(r#"{{{},"percent":50}}"#, header("b")), &format!(r#"{{{},"percent":20}}"#, header("b"))),
        rules(&format!("{{{}}}", header("b")), &format!(r#"{{{},"cookie":{{"name":"c","exact":"d"}}}}"#, header("b"))),
        rules(&format!("{{{}}}", header("b")), &format!(r#"{{{},"source":{{"workload":"w"}}}}"#, header("b"))),
        rules(r#"{"source":{"workload":"w"}}"#, r#"{"source":{"workload":"x"}}"#),
        key(r#"{"cookie":"a"},{"mint":{"name":"a"}}"#),
        mint(r#""name":"__Host-a","secure":true"#),
    ] {
        assert_eq!(canary(good.as_bytes()), None, "{good}");
    }
}

#[test]
fn what_is_the_control_planes_to_say() {
    let expected = |field: &str| format!("{field}: expected nothing, since the control plane fills it in: leave it out");
    let secrets = format!(r#""secrets":["{}"]"#, "0a".repeat(32));
    for (json, field) in [
        (r#"{"version":1,"routed":true,"canaries":[{"hosts":["a"]}]}"#.into(), "routed"),
        (r#"{"version":1,"caller":{"workload":"a"},"canaries":[{"hosts":["a"]}]}"#.into(), "caller"),
        (passport(r#""edge":true"#), "passport.edge"),
        (passport(&secrets), "passport.secrets"),
        (one(r#""governor":{"proxies":4}"#), "canaries[0].governor.proxies"),
    ] {
        assert_eq!(canary(json.as_bytes()), Some(expected(field)), "{json}");
        assert!(canary::Policy::parse(json.as_bytes()).is_ok(), "but the filter reads it");
    }
    for (json, field) in [
        (r#"{"version":1,"routed":true,"services":[{"hosts":["a"]}]}"#, "routed"),
        (r#"{"version":1,"locality":{"region":"r","zone":"a"},"services":[{"hosts":["a"]}]}"#, "locality"),
        (r#"{"version":1,"services":[{"hosts":["a"],"zones":[["r/b"]]}]}"#, "services[0].zones"),
    ] {
        assert_eq!(locality(json.as_bytes()), Some(expected(field)), "{json}");
        assert!(locality::Policy::parse(json.as_bytes()).is_ok());
    }
    let short = passport(r#""secrets":["abc"]"#);
    assert_eq!(canary(short.as_bytes()).unwrap(), "passport.secrets[0]: expected a key of 64 hexadecimal digits", "without the secret");
}

#[test]
fn what_would_take_long() {
    let list = |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(",");
    let names = |count: usize| list(count, &|n| format!("\"n{n}\""));
    let header = |n: usize| format!(r#"{{"header":{{"name":"a","exact":"{n}"}}}}"#);
    let tester = |n: usize| format!(r#"{{"subset":"v1","header":{{"name":"a","exact":"{n}"}}}}"#);
    let cases = [
        (
            format!(r#"{{"version":1,"canaries":[{{"hosts":["a"]}},{{"hosts":[{}]}}]}}"#, names(10_000)),
            "canaries[1].hosts: expected at most 10000 hosts in all: `*` and `*.SUFFIX` name several",
        ),
        (key(&list(1_001, &|n| format!(r#"{{"header":"h{n}"}}"#))), "canaries[0].key: expected at most 1000, found 1001"),
        (one(&format!(r#""deny":[{}]"#, list(1_001, &header))), "canaries[0].deny: expected at most 1000, found 1001"),
        (one(&format!(r#""override":[{}]"#, list(1_001, &tester))), "canaries[0].override: expected at most 1000, found 1001"),
        (passport(&format!(r#""override":[{}]"#, list(1_001, &tester))), "passport.override: expected at most 1000, found 1001"),
        (
            allow(&format!(r#""header":{{"name":"a","oneOf":[{}]}}"#, names(150_000))),
            "canaries[0].allow[0].header.oneOf: expected at most 10000, found 150000",
        ),
    ];
    let before = std::time::Instant::now();
    refused(&cases, canary);
    let most = one(&format!(r#""deny":[{}],"override":[{}]"#, list(1_000, &header), list(1_000, &tester)));
    assert_eq!(canary(most.as_bytes()), None);
    assert_eq!(canary(allow(&format!(r#""header":{{"name":"a","oneOf":[{}]}}"#, names(10_000))).as_bytes()), None);
    assert!(before.elapsed().as_secs() < 10, "{:?}", before.elapsed());
    refused(
        &[(
            format!(r#"{{"version":1,"services":[{{"hosts":[{}]}}]}}"#, names(10_001)),
            "services[0].hosts: expected at most 10000 hosts in all: `*` and `*.SUFFIX` name several",
        )],
        locality,
    );
}

#[test]
fn policies_of_zones() {
    let one = |fields: &str| format!(r#"{{"version":1,"services":[{{"hosts":["a"],{fields}}}]}}"#);
    refused(
        &[
            (
                r#"{"version":1,"service":[]}"#.into(),
                "service: unknown field `service` (is `services` meant?), expected one of `version`, `price`, `services`",
            ),
            (
                r#"{"version":1,"services":[{"hosts":["a"]},{"hosts":["a"]}]}"#.into(),
                r#"services[1].hosts[0]: expected each host once, found "a" again"#,
            ),
            (one(r#""servedBy":"yes""#), "services[0].servedBy: expected a boolean, found a string: write it without quotes"),
            (
                one(r#""spill":{"targetUtilisation":0.8}"#),
                "services[0].spill.targetUtilisation: unknown field `targetUtilisation` (is `targetUtilization` meant?), expected one of `targetUtilization`",
            ),
            (
                one(r#""spill":{"targetUtilization":"80%"}"#),
                "services[0].spill.targetUtilization: expected a number of at least 0, found a string: write it without quotes",
            ),
            (
                one(r#""spill":{"targetUtilization":80}"#),
                "services[0].spill.targetUtilization: expected a number from 0.5 to 0.95, found 80",
            ),
            (one(r#""spill":true"#), "services[0].spill: expected an object, found a boolean"),
            (one(r#""servedBy":1"#), "services[0].servedBy: expected a boolean, found a number"),
            (one(r#""servedBy":null"#), "services[0].servedBy: expected a value, found null: write one, or leave the field out"),
        ],
        locality,
    );
}
