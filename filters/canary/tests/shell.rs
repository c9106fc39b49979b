//! The canary filter between a proxy and its policy: what it reads, sets, counts and logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use weir_canary::Canary;
use weir_host::{Vm, proxy};
use weir_policy::canary::governor::{Record, Subset};
use weir_shell::Filter;

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
        assert_eq!(names, Canary::COUNTERS);
        let shown = |name: &&str| proxy.counters.iter().find(|(known, _)| known == name).map(|(_, value)| *value).unwrap();
        ["bucket", "override", "minted", "no_key", "no_policy"]
            .map(|name| format!("weir_canary_{name}"))
            .iter()
            .map(|name| shown(&name.as_str()))
            .collect()
    })
}

const REVIEWS: (&str, &[u8]) = ("xds.cluster_name", b"outbound|9080||reviews");

#[test]
fn sets_the_bucket_the_subset_or_nothing_and_counts_it() {
    let vm = Vm::start(POLICY).unwrap();
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]), header("x-weir-bucket", "2952"));
    assert_eq!(added(&vm, &[("x-user-id", b"\xff\xfe")], &[REVIEWS]), header("x-weir-bucket", "4576"));
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
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[]).pop().unwrap().1, "2952");
}

#[test]
fn of_several_canaries_it_must_know_which() {
    let other = r#"{"hosts":["ratings"],"train":"spring","key":[{"header":"x-user-id"}]}"#;
    let vm = Vm::start(&format!(r#"{{"version":1,"routed":true,"canaries":[{ROUTED},{other}]}}"#)).unwrap();
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[]), []);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]).pop().unwrap().1, "2952");
}

#[test]
fn finds_the_cookie_in_any_of_several_headers() {
    let vm = Vm::start(r#"{"version":1,"canaries":[{"hosts":["reviews"],"train":"autumn","key":[{"cookie":"user"}]}]}"#).unwrap();
    let bucket = |headers: &[(&str, &[u8])]| added(&vm, headers, &[REVIEWS]).pop().map(|(_, value)| value);
    assert_eq!(bucket(&[("cookie", b"a=1; user=ann")]).as_deref(), Some("2952"));
    assert_eq!(bucket(&[("cookie", b"a=1"), ("x-user-id", b"bob"), ("cookie", b"b=2"), ("cookie", b"user=ann")]).as_deref(), Some("2952"));
    assert_eq!(bucket(&[("cookie", b"a=1,user=bob"), ("cookie", b"user=ann")]).as_deref(), Some("2952"));
    assert_eq!(bucket(&[("cookie", b"a=1,user=ann")]), None);
    assert_eq!(bucket(&[("cookie", b"a=1"), ("cookie", b"b=2")]), None);
    assert_eq!(bucket(&[]), None);
}

/// Headers in their order.
type Sent = Vec<(&'static str, Vec<u8>)>;

#[test]
fn users_are_found_among_headers_of_any_bytes_number_and_size() {
    let passport = format!(r#"{{"edge":false,"secrets":["{}"]}}"#, "0a".repeat(32));
    let canary = r#"{"hosts":["reviews"],"train":"autumn","key":[{"cookie":"user"},{"query":"user"},{"header":"x-user-id"}]}"#;
    let vm = Vm::<Canary>::start(&format!(r#"{{"version":1,"passport":{passport},"canaries":[{canary}]}}"#)).unwrap();
    let bucket = |headers: &[(&str, &[u8])]| {
        let (sent, _) = vm.exchange(headers, &[REVIEWS], &[]);
        sent.into_iter().find(|(name, _)| name == "x-weir-bucket").map(|(_, value)| value)
    };
    let long = vec![b'a'; 1 << 20];
    let of_long = |before: &str, after: &str| [before.as_bytes(), &long, after.as_bytes()].concat();
    let cases: [(Sent, Option<&[u8]>); 9] = [
        (vec![("cookie", of_long("", "; user=ann"))], Some(b"ann")),
        (vec![("cookie", of_long("user=", ";a=1"))], Some(&long)),
        (vec![("x-user-id", long.clone())], Some(&long)),
        (vec![(":path", of_long("/?", "&user=ann"))], Some(b"ann")),
        (vec![("baggage", of_long("a=1,weir=", "")), ("x-user-id", b"ann".to_vec())], Some(b"ann")),
        (vec![("cookie", b"\0\xff;;=;user=\xff\0\xfe; =".to_vec())], Some(b"\xff\0\xfe")),
        (vec![("cookie", b"\xff".to_vec()); 5_000].into_iter().chain([("cookie", b"user=ann".to_vec())]).collect(), Some(b"ann")),
        (vec![("baggage", b"weir=\0,\xff=\xfe".to_vec()); 5_000], None),
        (vec![("cookie", b"user".to_vec()), (":path", b"?#&user=ann".to_vec()), ("x-user-id", Vec::new())], None),
    ];
    for (headers, user) in &cases {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let expected = user.and_then(|user| bucket(&[("x-user-id", user)]));
        let shown: Vec<_> = headers.iter().take(3).map(|(name, value)| (name, value.iter().take(20).collect::<Vec<_>>())).collect();
        assert_eq!((bucket(&headers), expected.is_some()), (expected.clone(), user.is_some()), "{shown:?}");
    }
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
    assert_eq!(counted(&vm), [200, 0, 100, 0, 0]);
}

/// The counters of this name, as of the last tick.
fn count_of(vm: &Vm<Canary>, name: &str) -> i64 {
    vm.tick();
    proxy(|proxy| proxy.counters.iter().find(|(known, _)| known == name).unwrap().1)
}

#[test]
fn who_is_denied_is_sent_to_the_stable() {
    let rule = r#""deny":[{"header":{"name":"x-user-id","exact":"eve"}}]"#;
    let vm =
        Vm::start(&format!(r#"{{"version":1,"canaries":[{{"hosts":["reviews"],"key":[{{"header":"x-user-id"}}],{rule}}}]}}"#)).unwrap();
    assert_eq!(added(&vm, &[("x-user-id", b"eve")], &[REVIEWS]), [("x-weir-subset".into(), ".stable".into())]);
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]).pop().unwrap().0, "x-weir-bucket");
    assert_eq!(count_of(&vm, "weir_canary_stable_only"), 1);
}

#[test]
fn a_passport_is_made_at_the_edge_believed_inside_and_removed_if_it_is_false() {
    let start = |edge: bool, secret: &str| {
        let passport = format!(r#"{{"edge":{edge},"secrets":["{}"],"key":[{{"cookie":"user"}}]}}"#, secret.repeat(32));
        let canary = r#"{"hosts":["reviews"],"train":"autumn","key":[{"header":"x-user-id"}]}"#;
        Vm::<Canary>::start(&format!(r#"{{"version":1,"passport":{passport},"canaries":[{canary}]}}"#)).unwrap()
    };
    let header =
        |headers: &[(String, Vec<u8>)], name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let gateway = start(true, "0a");
    let outside: &[(&str, &[u8])] = &[("cookie", b"user=ann"), ("baggage", b"a=1"), ("baggage", b"weir=false,b=2")];
    let (sent, _) = gateway.exchange(outside, &[("xds.cluster_name", b"outbound|80||front")], &[]);
    let baggage = header(&sent, "baggage").unwrap();
    assert!(baggage.starts_with(b"a=1,b=2,weir=01"), "{}", baggage.escape_ascii());
    assert_eq!(sent.iter().filter(|(name, _)| name == "baggage").count(), 1);
    assert_eq!((count_of(&gateway, "weir_canary_passport_made"), count_of(&gateway, "weir_canary_no_policy")), (1, 1));

    let inside = start(false, "0a");
    let (sent, _) = inside.exchange(&[("baggage", b"c=3"), ("baggage", &baggage), ("x-user-id", b"bob")], &[REVIEWS], &[]);
    assert_eq!(header(&sent, "x-weir-bucket").unwrap(), b"2952", "ann's");
    assert_eq!(sent.iter().filter(|(name, _)| name == "baggage").count(), 2, "left as it came");
    assert_eq!(count_of(&inside, "weir_canary_passport_valid"), 1);

    let foreign = start(false, "0b");
    let (sent, _) = foreign.exchange(&[("baggage", &baggage), ("x-user-id", b"ann")], &[REVIEWS], &[]);
    assert_eq!(header(&sent, "x-weir-bucket").unwrap(), b"2952", "by the key");
    assert_eq!(header(&sent, "baggage").unwrap(), b"a=1,b=2");
    let only = baggage.strip_prefix(b"a=1,b=2,").unwrap();
    let (sent, _) = foreign.exchange(&[("baggage", only)], &[REVIEWS], &[]);
    assert_eq!(header(&sent, "baggage"), None);
    assert_eq!(count_of(&foreign, "weir_canary_passport_false"), 2);
}

#[test]
fn logs_the_reason_at_debug_level_only() {
    let vm = Vm::start(POLICY).unwrap();
    added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]);
    assert_eq!(proxy(|proxy| std::mem::take(&mut proxy.log)), [""; 0]);
    proxy(|proxy| proxy.debug = true);
    vm.tick();
    added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]);
    assert_eq!(proxy(|proxy| proxy.log.clone()), ["outbound|9080||reviews: bucket 2952 by header x-user-id"]);
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
    assert_eq!(added(&vm, &[("x-user-id", b"ann")], &[REVIEWS]).pop().unwrap().1, "2952");
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

const GOVERNED: &str = r#"{"version":1,"routed":true,"canaries":[{"hosts":["reviews"],"stable":"v1","train":"autumn","key":[{"header":"x-user-id"}],
    "override":[{"header":{"name":"x-tester","exact":"yes"},"subset":"v2"}],"governor":{}}]}"#;
const STABLE: &[u8] = b"outbound|9080|v1|reviews";
const CANARY: &[u8] = b"outbound|9080|v2|reviews";

/// A request of a user that ends with this status from this cluster; the headers that the filter added.
fn answered(vm: &Vm<Canary>, user: &str, cluster: &[u8], status: u64) -> Vec<(String, String)> {
    let request: &[(&str, &[u8])] = &[("x-user-id", user.as_bytes())];
    let (sent, _) = vm.exchange(
        request,
        &[("xds.cluster_name", cluster)],
        &[("response.code", &status.to_le_bytes()), ("response.backend_latency", &5_000_000_u64.to_le_bytes())],
    );
    sent.into_iter().skip(1).map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect()
}

/// Of so many users one in ten gets the canary, whose answers have this status.
fn traffic(vm: &Vm<Canary>, users: std::ops::Range<u32>, status: u64) {
    for user in users {
        let (cluster, status) = if user % 10 == 0 { (CANARY, status) } else { (STABLE, 200) };
        answered(vm, &format!("user-{user}"), cluster, status);
        proxy(|proxy| proxy.now += 10);
    }
}

fn is_held(vm: &Vm<Canary>) -> bool {
    answered(vm, "ann", CANARY, 200).contains(&("x-weir-subset".into(), "!v2".into()))
}

#[test]
fn a_canary_that_fails_is_held_back_and_comes_back_when_it_is_well() {
    let vm = Vm::start(GOVERNED).unwrap();
    traffic(&vm, 0..5_000, 200);
    assert!(!is_held(&vm));
    traffic(&vm, 5_000..6_000, 503);
    assert!(is_held(&vm));
    let log = proxy(|proxy| std::mem::take(&mut proxy.log));
    assert!(
        matches!(log.as_slice(), [line] if line.starts_with("canary v2 of reviews: held back") && line.contains("fails more often")),
        "{log:?}"
    );
    assert_eq!(count_of(&vm, "weir_canary_share.v2.reviews"), 0);
    assert!(count_of(&vm, "weir_canary_held") > 0);

    // Its configuration may change, and another worker begin, meanwhile.
    assert!(vm.configure(GOVERNED));
    assert!(is_held(&vm));
    assert!(is_held(&Vm::start(GOVERNED).unwrap()));

    // Held users are asked of the stable; who is let in again is answered well.
    for user in 6_000..60_000 {
        let name = format!("user-{user}");
        let cluster = if user % 10 == 0 { CANARY } else { STABLE };
        answered(&vm, &name, cluster, 200);
        proxy(|proxy| proxy.now += 10);
        vm.tick();
        if !is_held(&vm) {
            break;
        }
    }
    assert!(!is_held(&vm));
    let log = proxy(|proxy| std::mem::take(&mut proxy.log));
    assert!(
        log.iter().any(|line| line.contains("probed")) && log.last().is_some_and(|line| line.ends_with("no longer held back")),
        "{log:?}"
    );
    assert_eq!(count_of(&vm, "weir_canary_share.v2.reviews"), 10_000);
}

#[test]
fn a_canary_that_is_slow_is_held_back() {
    let vm = Vm::start(GOVERNED).unwrap();
    for user in 0..2_000_u64 {
        let (cluster, millis) = if user % 10 == 0 { (CANARY, 30) } else { (STABLE, 5 + user % 7) };
        vm.exchange(
            &[("x-user-id", format!("user-{user}").as_bytes())],
            &[("xds.cluster_name", cluster)],
            &[("response.code", &200_u64.to_le_bytes()), ("response.backend_latency", &(millis * 1_000_000).to_le_bytes())],
        );
        proxy(|proxy| proxy.now += 10);
    }
    assert!(is_held(&vm));
    assert!(proxy(|proxy| proxy.log[0].contains("is slower than the stable")));
}

#[test]
fn testers_and_who_is_not_dealt_say_nothing_of_a_canary() {
    let vm = Vm::start(GOVERNED).unwrap();
    for _ in 0..1_000 {
        vm.exchange(
            &[("x-user-id", b"ann"), ("x-tester", b"yes")],
            &[("xds.cluster_name", CANARY)],
            &[("response.code", &503_u64.to_le_bytes())],
        );
        answered(&vm, "bob", STABLE, 200);
    }
    assert!(!is_held(&vm));
}

#[test]
fn workers_hold_a_canary_back_together() {
    let workers = [Vm::start(GOVERNED).unwrap(), Vm::start(GOVERNED).unwrap()];
    for user in 0..2_000_u32 {
        let (cluster, status) = if user % 10 == 0 { (CANARY, 500) } else { (STABLE, 200) };
        answered(&workers[(user / 10 % 2) as usize], &format!("user-{user}"), cluster, status);
    }
    workers.iter().for_each(Vm::tick);
    assert!(workers.iter().all(is_held));
}

const REPORTING: &str =
    r#"{"version":1,"reportTo":"weir","canaries":[{"hosts":["reviews"],"stable":"v1","key":[{"header":"x-user-id"}],"governor":{}}]}"#;

#[test]
fn one_worker_tells_the_control_plane_what_all_saw() {
    let workers = [Vm::start(REPORTING).unwrap(), Vm::start(REPORTING).unwrap()];
    proxy(|proxy| proxy.now = 1_000_000);
    let posts = || proxy(|proxy| std::mem::take(&mut proxy.posts));
    for user in 0..2_000_u32 {
        let (cluster, status) = if user % 10 == 0 { (CANARY, 500) } else { (STABLE, 200) };
        answered(&workers[(user / 10 % 2) as usize], &format!("user-{user}"), cluster, status);
    }
    assert!(is_held(&workers[0]));
    workers.iter().for_each(Vm::tick);
    let sent = posts();
    let [(cluster, headers, report)] = sent.as_slice() else { panic!("{} reports", sent.len()) };
    assert_eq!(cluster, "weir");
    assert!(headers.contains(":method\0POST\0:path\0/canary/report\0:authority\0weir\0x-weir-node\0"), "{headers:?}");
    let records = Record::read_all(report).unwrap();
    let held = records.iter().position(|(_, record)| *record == Record::Share(0)).unwrap();
    let answers = records.iter().map(|(name, record)| match record {
        Record::Block(block) if *name == "reviews\nv2" => block.total(Subset::Canary).requests + block.total(Subset::Stable).requests,
        _ => 0,
    });
    assert_eq!(answers.take(held).sum::<u64>() % 32, 0);

    // There is nothing new; then there is, and the same worker tells it, not too soon.
    proxy(|proxy| proxy.now += 100_000);
    workers.iter().for_each(Vm::tick);
    let sent = posts();
    assert_eq!(
        sent.iter().map(|(_, _, report)| Record::read_all(report).unwrap()).collect::<Vec<_>>(),
        [[("reviews\nv2", Record::Share(313))]]
    );
    for second in 0..100 {
        proxy(|proxy| proxy.now += 100);
        answered(&workers[0], &format!("user-{second}"), if second % 10 == 0 { CANARY } else { STABLE }, 200);
        workers[0].tick();
    }
    assert!((1..=20).contains(&posts().len()));

    // Without a cluster nobody is told.
    let quiet = Vm::start(GOVERNED).unwrap();
    for user in 0..200_u32 {
        answered(&quiet, &format!("user-{user}"), if user % 10 == 0 { CANARY } else { STABLE }, 500);
        quiet.tick();
    }
    assert_eq!(posts(), []);
}

#[test]
fn a_worker_tells_when_another_one_does_no_more() {
    let vm = Vm::start(REPORTING).unwrap();
    let posts = || proxy(|proxy| std::mem::take(&mut proxy.posts).len());
    let mut sent = Vec::new();
    proxy(|proxy| proxy.now = 1_000_000);
    for user in 0..400_u32 {
        answered(&vm, &format!("user-{user}"), if user % 10 == 0 { CANARY } else { STABLE }, 200);
        // Another worker tells, until it ends.
        let other = |proxy: &mut weir_host::Proxy| {
            if let Some((waiting, _)) = proxy.shared.get_mut("\nreports").filter(|_| user < 200) {
                waiting[..8].copy_from_slice(&7_u64.to_le_bytes());
                waiting[8..16].copy_from_slice(&proxy.now.to_le_bytes());
            }
            proxy.now += 100;
        };
        proxy(other);
        vm.tick();
        sent.push(posts());
    }
    assert!(sent[50..240].iter().all(|posts| *posts == 0), "{sent:?}");
    assert!((2..40).contains(&sent[240..].iter().sum::<usize>()), "{sent:?}");
}

#[test]
fn a_canary_that_the_control_plane_holds_back_gets_nobody() {
    let order = |share: u16, round: u32| {
        let orders = format!(r#"{{"orders":[{{"canary":"v2","share":{share},"round":{round}}}]}}"#);
        Vm::start(&GOVERNED.replace(r#""governor":{}"#, &format!(r#""governor":{orders}"#))).unwrap()
    };
    let vm = order(10_000, 0);
    traffic(&vm, 0..1_000, 200);
    assert!(!is_held(&vm));
    let vm = order(0, 0);
    assert!(is_held(&vm));
    assert_eq!(count_of(&vm, "weir_canary_share.v2.reviews"), 0);
    let vm = order(10_000, 0);
    assert!(!is_held(&vm));
    traffic(&vm, 1_000..2_000, 503);
    assert!(is_held(&vm), "held here");
    assert!(!is_held(&order(10_000, 1)), "to begin anew");
}

#[test]
fn users_who_came_before_may_keep_a_canary_that_new_ones_are_kept_from() {
    let config = |key: &str, orders: &str| {
        let governor = format!(r#""governor":{{"hold":"newUsers"{orders}}}"#);
        format!(r#"{{"version":1,"canaries":[{{"hosts":["reviews"],"stable":"v1","key":[{{"header":"x-user-id"}},{key}],{governor}}}]}}"#)
    };
    let (gateway, behind) = (r#"{"mint":{"name":"u"}}"#, r#"{"cookie":"u"}"#);
    let vm = Vm::start(&config(gateway, "")).unwrap();
    proxy(|proxy| proxy.now = 1_000_000_000);
    let came = |vm: &Vm<Canary>| {
        vm.exchange(&[], &[("xds.cluster_name", CANARY)], &[]);
        let cookie = proxy(|proxy| String::from_utf8(proxy.state["weir_set_cookie"].clone()).unwrap());
        cookie.split_once(';').unwrap().0.to_string()
    };
    let old = came(&vm);
    assert!(old.starts_with("u=000f4240"), "{old}");
    // By what is known here.
    proxy(|proxy| proxy.now += 60_000);
    traffic(&vm, 0..1_000, 503);
    assert!(is_held(&vm), "who is known by a header says nothing of when it came");
    proxy(|proxy| proxy.log.clear());
    let new = came(&vm);
    let sent_on = |vm: &Vm<Canary>, cookie: &str| {
        let (sent, _) = vm.exchange(&[("cookie", cookie.as_bytes())], &[("xds.cluster_name", CANARY)], &[]);
        sent.iter().find(|(name, _)| name == "x-weir-subset").map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!((sent_on(&vm, &old), sent_on(&vm, &new)), (None, Some("!v2".into())));
    assert_eq!(sent_on(&vm, "u=ann").as_deref(), Some("!v2"), "a cookie that is not ours says nothing");
    // By what the control plane says, behind the gateway.
    let vm = Vm::start(&config(behind, r#","orders":[{"canary":"v2","share":0,"since":1000030}]"#)).unwrap();
    proxy(|proxy| proxy.shared.clear());
    traffic(&vm, 0..100, 200);
    assert_eq!((sent_on(&vm, &old), sent_on(&vm, &new)), (None, Some("!v2".into())));
    // What old users are answered is not compared, as what new ones are.
    for (came, held) in [(1_000_000, false), (1_000_031, true)] {
        proxy(|proxy| proxy.shared.clear());
        let vm = Vm::<Canary>::start(&config(behind, r#","orders":[{"canary":"v2","share":5000,"since":1000030}]"#)).unwrap();
        for user in 0..1_000 {
            let cookie = format!("u={came:08x}{user:024x}");
            let (cluster, status) = if user % 10 == 0 { (CANARY, 503_u64) } else { (STABLE, 200) };
            vm.exchange(
                &[("cookie", cookie.as_bytes())],
                &[("xds.cluster_name", cluster)],
                &[("response.code", &status.to_le_bytes()), ("response.backend_latency", &5_000_000_u64.to_le_bytes())],
            );
        }
        vm.tick();
        assert_eq!(proxy(|proxy| proxy.log.iter().any(|line| line.contains("held back"))), held, "{came}");
        proxy(|proxy| proxy.log.clear());
    }
}
