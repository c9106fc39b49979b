//! The locality filter between a proxy and its policy: what it reads, sets, counts and logs.

use weir_host::{Vm, proxy};
use weir_locality::Locality;

const POLICY: &str = r#"{"version":1,"locality":{"region":"r","zone":"a"},
    "services":[{"hosts":["orders"],"zones":["r/b"]},{"hosts":["told"],"servedBy":true}]}"#;

const ORDERS: (&str, &[u8]) = ("xds.cluster_name", b"outbound|80||orders");

/// The zone that the filter named for a request that the zone answered at this attempt.
fn named(vm: &Vm<Locality>, zone: &[u8], attempt: u64) -> Option<String> {
    let attempt = attempt.to_le_bytes();
    let status = 200_u64.to_le_bytes();
    let response: [(&str, &[u8]); 4] = [
        ("upstream.locality.region", b"r"),
        ("upstream.locality.zone", zone),
        ("upstream.request_attempt_count", &attempt),
        ("response.code", &status),
    ];
    let (request, response) = vm.exchange(&[], &[ORDERS], &response);
    assert_eq!(response, []);
    request.into_iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value))).next()
}

fn counted(vm: &Vm<Locality>, counter: &str) -> i64 {
    vm.tick();
    proxy(|proxy| proxy.counters.iter().find(|(name, _)| name == counter).map_or(0, |(_, value)| *value))
}

#[test]
fn names_the_next_zone_while_the_own_one_fails_and_comes_back() {
    let vm = Vm::start(POLICY).unwrap();
    proxy(|proxy| proxy.now = 1_000_000);
    assert_eq!(named(&vm, b"a", 1), None);
    // The failing zone is noticed by one response in eight, and from then on by each.
    let until_named = (1..20).find(|_| named(&vm, b"b", 2).is_some());
    assert_eq!(until_named, Some(12));
    assert_eq!(named(&vm, b"b", 1).as_deref(), Some("x-weir-zone: r/b"));
    proxy(|proxy| proxy.now += 1_000);
    for _ in 0..3 {
        assert_eq!(named(&vm, b"a", 1), None, "a probe");
        let is_back = counted(&vm, "weir_locality_probe") == 3;
        assert_eq!(named(&vm, b"b", 1).as_deref(), if is_back { None } else { Some("x-weir-zone: r/b") });
        proxy(|proxy| proxy.now += 250);
    }
    assert_eq!(named(&vm, b"a", 1), None);
    assert_eq!((counted(&vm, "weir_locality_probe"), counted(&vm, "weir_locality_failed")), (3, 5));
}

#[test]
fn tells_who_served_where_the_policy_asks() {
    let vm = Vm::<Locality>::start(POLICY).unwrap();
    let served: [(&str, &[u8]); 2] = [("upstream.locality.zone", b"a"), ("upstream.address", b"192.0.2.7:80")];
    let (_, response) = vm.exchange(&[], &[("xds.cluster_name", b"outbound|80||told")], &served);
    assert_eq!(response, [("x-weir-served-by".into(), b"a/192.0.2.7:80".to_vec())]);
    let (_, response) = vm.exchange(&[], &[("xds.cluster_name", b"outbound|80||told")], &[]);
    assert_eq!(response, [], "Envoy answered by itself");
    let (_, response) = vm.exchange(&[], &[ORDERS], &served);
    assert_eq!(response, []);
}

#[test]
fn logs_the_reason_at_debug_level() {
    let vm = Vm::start(POLICY).unwrap();
    proxy(|proxy| proxy.debug = true);
    vm.tick();
    named(&vm, b"a", 1);
    assert_eq!(proxy(|proxy| proxy.log.clone()), ["outbound|80||orders: no zone named: Envoy's priorities apply"]);
}

#[test]
fn refuses_a_bad_configuration_and_says_where() {
    assert!(Vm::<Locality>::start(r#"{"version":1,"services":[{"hosts":["orders"],"zone":[]}]}"#).is_none());
    let log = proxy(|proxy| proxy.log.clone());
    assert_eq!(log, ["services[0].zone: unknown field `zone`, expected one of `hosts`, `servedBy`, `zones`"]);
}
