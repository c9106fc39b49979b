//! What the canary policy decides, and which configurations it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use support::{HOST, bucket, decide, policy, verdict};
use weir_policy::canary::{BUCKETS, By, Decision, Input, Policy, Source};

/// Decides by what `read` knows.
fn decided<'p>(policy: &'p Policy, mut read: impl FnMut(Input<'_>) -> Option<&'static str>) -> Decision<'p> {
    policy.decide(policy.for_host(HOST.as_bytes()), |input| read(input).map(str::as_bytes), || None).decision.unwrap()
}

const KEYS: &str = r#""key":[{"cookie":"user"},{"header":"X-User-Id"},{"sourceAddress":{}}]"#;

#[test]
fn takes_the_first_key_source_that_is_there_and_not_empty() {
    let policy = policy(KEYS);
    let source = |headers: &[(&str, &str)]| match decide(&policy, headers) {
        Decision::Bucket { by: By::Source(source), .. } => source.clone(),
        other => panic!("{other}"),
    };
    let (cookie, header) = (Source::Cookie("user".into()), Source::Header("x-user-id".into()));
    assert_eq!(source(&[("cookie", "a=1; user=ann"), ("x-user-id", "bob")]), cookie);
    assert_eq!(source(&[("cookie", "a=1"), ("x-user-id", "bob")]), header);
    assert_eq!(source(&[("cookie", "user="), ("x-user-id", "bob")]), header);
    assert_eq!(source(&[("cookie", "user=\"\""), ("x-user-id", "")]), Source::Address);
    assert_eq!(source(&[]), Source::Address);
}

#[test]
fn gives_a_user_the_same_bucket_wherever_the_name_stands() {
    let policy = policy(KEYS);
    assert_eq!(
        decide(&policy, &[("cookie", "user=ann")]),
        Decision::Bucket { bucket: bucket(&policy, "ann"), by: By::Source(&Source::Cookie("user".into())), since: None }
    );
}

#[test]
fn a_user_may_stand_in_the_query_or_in_a_verified_token() {
    let policy = policy(r#""key":[{"query":"user"},{"jwtClaim":"sub"},{"jwtClaim":"who.id"}]"#);
    let decided = |headers: &[(&str, &str)]| match decide(&policy, headers) {
        Decision::Bucket { bucket, by, .. } => (bucket, by.to_string()),
        other => panic!("{other}"),
    };
    const SUB: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload\0sub";
    const ID: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload\0who\0id";
    assert_eq!(decided(&[(":path", "/a?b=1&user=ann"), (SUB, "bob")]), (bucket_of("ann"), "query user".into()));
    assert_eq!(decided(&[(":path", "/a"), (SUB, "bob"), (ID, "eve")]), (bucket_of("bob"), "claim sub".into()));
    assert_eq!(decided(&[(ID, "eve")]), (bucket_of("eve"), "claim who.id".into()));
    assert_eq!(decide(&policy, &[(":path", "/user=ann")]), Decision::NoKey);
}

#[test]
fn who_has_no_user_is_made_one_that_is_found_again() {
    let policy =
        policy(r#""key":[{"header":"x-user-id"},{"mint":{"name":"weir-user","lifetime":"720h","secure":true,"sameSite":"Strict"}}]"#);
    let made = verdict(&policy, &[], Some(0xabc));
    let user = "00000000000000000000000000000abc";
    assert_eq!(made.cookie.unwrap(), format!("weir-user={user}; Path=/; Max-Age=2592000; Secure; HttpOnly; SameSite=Strict"));
    assert_eq!(made.decision, Some(Decision::Bucket { bucket: bucket_of(user), by: By::Minted, since: None }));
    let known = |headers: &[(&str, &str)], user: &str, source: Source| {
        let verdict = verdict(&policy, headers, Some(1));
        assert_eq!(verdict.decision, Some(Decision::Bucket { bucket: bucket_of(user), by: By::Source(&source), since: None }));
        assert_eq!(verdict.cookie, None);
    };
    known(&[("cookie", &format!("weir-user={user}"))], user, Source::Cookie("weir-user".into()));
    known(&[("x-user-id", "ann")], "ann", Source::Header("x-user-id".into()));
    assert_eq!(decide(&policy, &[]), Decision::NoKey, "without a number that nobody can guess there is no new user");
}

#[test]
fn a_minted_cookie_is_as_the_policy_wants_it() {
    for (fields, expected) in [
        ("", "u=00000000000000000000000000000001; Path=/; HttpOnly; SameSite=Lax"),
        (r#","httpOnly":false,"lifetime":"90s""#, "u=00000000000000000000000000000001; Path=/; Max-Age=90; SameSite=Lax"),
        (r#","secure":true,"sameSite":"None""#, "u=00000000000000000000000000000001; Path=/; Secure; HttpOnly; SameSite=None"),
    ] {
        let policy = policy(&format!(r#""key":[{{"mint":{{"name":"u"{fields}}}}}]"#));
        assert_eq!(verdict(&policy, &[], Some(1)).cookie.unwrap(), expected);
    }
    assert_eq!(verdict(&policy(KEYS), &[], Some(1)).cookie, None);
}

#[test]
fn keeps_buckets_stable_across_releases() {
    let policy = policy(r#""key":[{"header":"x-user-id"},{"sourceAddress":{}}],"train":"autumn""#);
    let buckets = ["ann", "bob", "a name that is longer than sixteen bytes"].map(|user| bucket(&policy, user));
    assert_eq!(buckets, [2952, 5617, 1778], "users would change their version with this release");
    assert_eq!(
        decide(&policy, &[]),
        Decision::Bucket { bucket: bucket(&policy, "192.0.2.7"), by: By::Source(&Source::Address), since: None }
    );
}

#[test]
fn spreads_users_evenly() {
    let policy = policy(KEYS);
    let mut tenths = BTreeMap::new();
    for user in 0..20_000 {
        let bucket = bucket(&policy, &format!("user-{user}"));
        assert!(bucket < BUCKETS);
        *tenths.entry(bucket / (BUCKETS / 10)).or_insert(0) += 1;
    }
    assert_eq!(tenths.len(), 10);
    assert!(tenths.values().all(|count| (1_850..2_150).contains(count)), "{tenths:?}");
}

#[test]
fn deals_anew_for_another_service_and_alike_within_a_train() {
    let entry =
        |host: &str, train: &str| format!(r#"{{"version":1,"canaries":[{{"hosts":["{host}"],"key":[{{"header":"x-user-id"}}]{train}}}]}}"#);
    let buckets = |host: &str, train: &str| -> Vec<_> {
        let policy = Policy::parse(entry(host, train).as_bytes()).unwrap();
        let canary = policy.for_host(host.as_bytes());
        let decide = |user| policy.decide(canary, |_| Some(format!("user-{user}")), || None).decision.unwrap().to_string();
        (0..100).map(decide).collect()
    };
    let train = r#","train":"autumn""#;
    assert_eq!(buckets("reviews", train), buckets("ratings", train));
    let same: Vec<_> = std::iter::zip(buckets("reviews", ""), buckets("ratings", "")).filter(|(one, other)| one == other).collect();
    assert!(same.len() < 3, "{same:?}");
}

const OVERRIDES: &str = r#""key":[{"header":"x-user-id"}],"override":[{"header":{"name":"X-Tester","exact":"yes"},"subset":"v3"},
    {"cookie":{"name":"tester","exact":"yes"},"subset":"v1"}]"#;

#[test]
fn an_override_comes_before_the_bucket_and_the_first_counts() {
    let policy = policy(OVERRIDES);
    let by_header = Decision::Override { subset: "v3", by: &Source::Header("x-tester".into()) };
    let by_cookie = Decision::Override { subset: "v1", by: &Source::Cookie("tester".into()) };
    assert_eq!(decide(&policy, &[("x-tester", "yes"), ("cookie", "tester=yes"), ("x-user-id", "ann")]), by_header);
    assert_eq!(decide(&policy, &[("x-tester", "Yes"), ("cookie", "tester=yes"), ("x-user-id", "ann")]), by_cookie);
    assert_eq!(decide(&policy, &[("cookie", "tester=yes please")]), Decision::NoKey);
}

#[test]
fn reads_no_more_of_the_request_than_it_needs() {
    let policy = policy(
        r#""key":[{"cookie":"a"},{"cookie":"b"},{"header":"x-user-id"}],"override":[{"cookie":{"name":"c","exact":"1"},"subset":"v3"}]"#,
    );
    let mut reads = Vec::new();
    let decision = decided(&policy, |input| {
        reads.push(format!("{input:?}"));
        Some("b=ann")
    });
    assert_eq!(decision, Decision::Bucket { bucket: bucket_of("ann"), by: By::Source(&Source::Cookie("b".into())), since: None });
    assert_eq!(reads, [r#"Header("cookie")"#, "Cookies"]);
}

#[test]
fn reads_all_cookie_headers_only_for_what_the_first_has_not() {
    let policy = policy(r#""key":[{"cookie":"a"}]"#);
    let decide = |first: &'static str| {
        let mut reads = Vec::new();
        let decision = decided(&policy, |input| {
            reads.push(format!("{input:?}"));
            Some(if input == Input::Cookies { "b=1;a=ann" } else { first })
        });
        (decision, reads.len())
    };
    let by = Source::Cookie("a".into());
    let user = |name| Decision::Bucket { bucket: bucket_of(name), by: By::Source(&by), since: None };
    assert_eq!(decide("a=bob"), (user("bob"), 1));
    assert_eq!(decide("b=1"), (user("ann"), 2));
}

fn bucket_of(user: &str) -> u16 {
    bucket(&policy(r#""key":[{"header":"x-user-id"}]"#), user)
}

#[test]
fn a_source_address_counts_without_its_port() {
    let policy = policy(r#""key":[{"sourceAddress":{}}]"#);
    let at = |address: &'static str| decided(&policy, |_| Some(address)).to_string();
    assert_eq!(at("192.0.2.7:1"), at("192.0.2.7:2"));
    assert_eq!(at("[2001:db8::7]:1"), at("[2001:db8::7]:2"));
    let distinct: BTreeSet<_> = ["192.0.2.7:1", "192.0.2.8:1", "[2001:db8::7]:1", "[2001:db8::8]:1"].map(at).into();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn knows_only_the_hosts_it_names() {
    let policy = Policy::parse(br#"{"version":1,"canaries":[{"hosts":["b","a"]},{"hosts":["c"],"key":[{"header":"h"}]}]}"#).unwrap();
    assert_eq!(policy.for_host(b"a"), policy.for_host(b"b"));
    assert_ne!(policy.for_host(b"a"), policy.for_host(b"c"));
    assert_eq!(policy.for_host(b"d"), None);
    assert_eq!(policy.for_host(b"\xff"), None);
}

#[test]
fn compiles_what_the_control_plane_read_as_it_compiles_the_filters_json() {
    let json = format!(r#"{{"version":1,"canaries":[{{"hosts":["{HOST}"],"stable":"v2","train":"autumn",{OVERRIDES}}}]}}"#);
    let config = Policy::read(json.as_bytes()).unwrap();
    assert_eq!(Policy::try_from(&config), Policy::parse(json.as_bytes()));
    assert_eq!(Policy::parse(&serde_json::to_vec(&config).unwrap()), Policy::parse(json.as_bytes()));
}

#[test]
fn a_decision_allocates_nothing() {
    let policy = policy(r#""key":[{"header":"x-user-id"},{"cookie":"user"},{"sourceAddress":{}}]"#);
    for cookie in ["a=1; user=ann", "a=1"] {
        let allocated = allocation_counter::measure(|| {
            std::hint::black_box(decide(&policy, &[("cookie", cookie)]));
        });
        assert_eq!(allocated.count_total, 0, "{cookie}");
    }
}
