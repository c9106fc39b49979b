//! The canary filter between a proxy and its policy: what it reads, sets, counts and logs.

use std::collections::BTreeSet;
use weir_canary::Canary;
use weir_host::{Vm, proxy};

const POLICY: &str = r#"{"version":1,"canaries":[{"hosts":["reviews"],"train":"autumn","key":[{"header":"x-user-id"},{"sourceAddress":{}}],
    "override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v3"}]}]}"#;

/// The headers that the filter added to a request for the cluster.
fn added(vm: &Vm<Canary>, headers: &[(&str, &[u8])], properties: &[(&str, &[u8])]) -> Vec<(String, String)> {
    let (request, response) = vm.exchange(headers, properties, &[]);
    assert_eq!(response, []);
    request.into_iter().skip(headers.len()).map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect()
}

fn counted(vm: &Vm<Canary>) -> Vec<i64> {
    vm.tick();
    proxy(|proxy| {
        let names: Vec<_> = proxy.counters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["weir_canary_bucket", "weir_canary_override", "weir_canary_minted", "weir_canary_no_key", "weir_canary_no_policy"]
        );
        proxy.counters.iter().map(|(_, value)| *value).collect()
    })
}

const REVIEWS: (&str, &[u8]) = ("xds.cluster_name", b"outbound|9080||reviews");

#[test]
fn sets_the_bucket_the_subset_or_nothing_and_counts_it() {
    let vm = Vm::start(POLICY).unwrap();
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]), header("x-weir-bucket", "7645"));
    assert_eq!(added(&vm, &[("x-user-id", b"\xff\xfe")], &[REVIEWS]), header("x-weir-bucket", "4493"));
    assert_eq!(counted(&vm), [2, 0, 0, 0, 0]);
    assert_eq!(added(&vm, &[("x-user-id", b"ann"), ("x-tester", b"yes")], &[REVIEWS]), header("x-weir-subset", "v3"));
    assert_eq!(counted(&vm), [2, 1, 0, 0, 0]);
    assert_eq!(added(&vm, &[], &[REVIEWS]), []);
    assert_eq!(counted(&vm), [2, 1, 0, 1, 0]);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[("xds.cluster_name", b"outbound|9080||ratings")]), []);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[("xds.cluster_name", b"PassthroughCluster")]), []);
    assert_eq!(counted(&vm), [2, 1, 0, 1, 2]);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[]), []);
    assert_eq!(
        added(&vm, &[], &[REVIEWS, ("source.address", b"192.0.2.7:1")]),
        added(&vm, &[], &[REVIEWS, ("source.address", b"192.0.2.7:2")])
    );
}

const ROUTED: &str = r#"{"hosts":["reviews"],"train":"autumn","key":[{"header":"x-user-id"}]}"#;

#[test]
fn asks_not_where_a_request_goes_if_the_routes_run_it_for_one_canary_alone() {
    let vm = Vm::start(&format!(r#"{{"version":1,"routed":true,"canaries":[{ROUTED}]}}"#)).unwrap();
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[]).pop().unwrap().1, "7645");
}

#[test]
fn of_several_canaries_it_must_know_which() {
    let other = r#"{"hosts":["ratings"],"train":"spring","key":[{"header":"x-user-id"}]}"#;
    let vm = Vm::start(&format!(r#"{{"version":1,"routed":true,"canaries":[{ROUTED},{other}]}}"#)).unwrap();
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[]), []);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]).pop().unwrap().1, "7645");
}

#[test]
fn finds_the_cookie_in_any_of_several_headers() {
    let vm = Vm::start(r#"{"version":1,"canaries":[{"hosts":["reviews"],"train":"autumn","key":[{"cookie":"user"}]}]}"#).unwrap();
    let bucket = |headers: &[(&str, &[u8])]| added(&vm, headers, &[REVIEWS]).pop().map(|(_, value)| value);
    assert_eq!(bucket(&[("cookie", b"a=1; user=ann")]).as_deref(), Some("7645"));
    assert_eq!(bucket(&[("cookie", b"a=1"), ("x-user-id", b"bob"), ("cookie", b"b=2"), ("cookie", b"user=ann")]).as_deref(), Some("7645"));
    assert_eq!(bucket(&[("cookie", b"a=1,user=bob"), ("cookie", b"user=ann")]).as_deref(), Some("7645"));
    assert_eq!(bucket(&[("cookie", b"a=1,user=ann")]), None);
    assert_eq!(bucket(&[("cookie", b"a=1"), ("cookie", b"b=2")]), None);
    assert_eq!(bucket(&[]), None);
}

#[test]
fn gives_a_cookie_to_who_has_none() {
    let vm = Vm::start(r#"{"version":1,"canaries":[{"hosts":["reviews"],"key":[{"mint":{"name":"u"}}]}]}"#).unwrap();
    let cookie = || proxy(|proxy| proxy.state.get("weir_set_cookie").map(|cookie| String::from_utf8_lossy(cookie).into_owned()));
    let mut users = BTreeSet::new();
    for _ in 0..100 {
        let first = added(&vm, &[], &[REVIEWS]);
        let cookie = cookie().unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(added(&vm, &[("cookie", pair.as_bytes())], &[REVIEWS]), first, "the same bucket from then on");
        users.insert(pair.to_owned());
    }
    assert_eq!((users.len(), cookie()), (100, None));
    assert_eq!(counted(&vm), [100, 0, 100, 0, 0]);
}

#[test]
fn logs_the_reason_at_debug_level_only() {
    let vm = Vm::start(POLICY).unwrap();
    added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]);
    assert_eq!(proxy(|proxy| std::mem::take(&mut proxy.log)), [""; 0]);
    proxy(|proxy| proxy.debug = true);
    vm.tick();
    added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]);
    assert_eq!(proxy(|proxy| proxy.log.clone()), ["outbound|9080||reviews: bucket 7645 by header x-user-id"]);
}

#[test]
fn refuses_a_bad_configuration_and_says_where() {
    assert!(Vm::<Canary>::start(r#"{"version":1,"canaries":[{"hosts":["reviews"],"key":[{"header":"a b"}]}]}"#).is_none());
    let log = proxy(|proxy| proxy.log.clone());
    assert!(matches!(log.as_slice(), [line] if line.starts_with("canaries[0].key[0].header: expected the name of a header")), "{log:?}");
}

#[test]
fn a_bad_configuration_leaves_the_last_good_one_in_force() {
    let vm = Vm::start(POLICY).unwrap();
    assert!(!vm.configure("{}"));
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]).pop().unwrap().1, "7645");
}

#[test]
fn plugins_of_one_vm_keep_to_their_own_configurations() {
    let by =
        |header: &str| format!(r#"{{"version":1,"canaries":[{{"hosts":["reviews"],"train":"autumn","key":[{{"header":"{header}"}}]}}]}}"#);
    let call_as = |plugin: &str| proxy(|proxy| proxy.plugin = plugin.into());
    call_as("first");
    let vm = Vm::start(&by("x-first")).unwrap();
    call_as("second");
    assert!(vm.configure(&by("x-second")));
    let has_bucket = |plugin: &str, header: &str| {
        call_as(plugin);
        !added(&vm, &[(header, b"ann")], &[REVIEWS]).is_empty()
    };
    assert_eq!((has_bucket("first", "x-first"), has_bucket("first", "x-second")), (true, false));
    assert_eq!((has_bucket("second", "x-first"), has_bucket("second", "x-second")), (false, true));
    assert!(vm.configure(&by("x-third")), "a plugin's new configuration takes its last one's place");
    assert_eq!((has_bucket("second", "x-second"), has_bucket("second", "x-third"), has_bucket("first", "x-first")), (false, true, true));
}
