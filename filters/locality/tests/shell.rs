//! The locality filter between a proxy and its policy: what it reads, sets, counts, shares and logs.

use weir_host::{Vm, proxy};
use weir_locality::Locality;

const POLICY: &str = r#"{"version":1,"locality":{"region":"r","zone":"a"},"price":{"perGB":0.02},
    "services":[{"hosts":["orders"],"spill":{},"zones":[["r/b"]]},{"hosts":["others"]}]}"#;

const ORDERS: (&str, &[u8]) = ("xds.cluster_name", b"outbound|80||orders");

/// What Envoy knows of a request that a zone answered at this attempt, after so many microseconds.
fn answered(zone: &[u8], attempt: u64, micros: u64) -> Vec<(String, Vec<u8>)> {
    let [attempt, status, nanos, size] = [attempt, 200, micros * 1_000, 50_000_000].map(|number: u64| number.to_le_bytes().to_vec());
    let known = [
        ("upstream.locality.region", b"r".to_vec()),
        ("upstream.locality.zone", zone.to_vec()),
        ("upstream.request_attempt_count", attempt),
        ("response.code", status),
        ("response.backend_latency", nanos),
        ("request.total_size", size.clone()),
        ("response.total_size", size),
    ];
    known.map(|(name, value)| (name.into(), value)).into()
}

/// The zone that the filter named for a request that the zone answered at this attempt.
fn named(vm: &Vm<Locality>, zone: &[u8], attempt: u64) -> Option<String> {
    let (request, response) = vm.exchange_with(&[], &[ORDERS], |_| answered(zone, attempt, 10_000));
    assert_eq!(response, []);
    request.into_iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value))).next()
}

fn counted(vm: &Vm<Locality>, counter: &str) -> i64 {
    vm.tick();
    proxy(|proxy| proxy.counters.iter().find(|(name, _)| name == counter).map_or(0, |(_, value)| *value))
}

/// Makes the filter leave its own zone.
fn leave(vm: &Vm<Locality>) {
    proxy(|proxy| proxy.now = 1_000_000);
    assert_eq!(named(vm, b"a", 1), None);
    assert_eq!((1..20).find(|_| named(vm, b"b", 2).is_some()), Some(6), "the fifth failure is enough");
}

#[test]
fn names_the_next_zone_while_the_own_one_fails_and_comes_back() {
    let vm = Vm::start(POLICY).unwrap();
    leave(&vm);
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
fn counts_what_goes_to_another_zone_and_what_it_costs() {
    let vm = Vm::start(POLICY).unwrap();
    leave(&vm);
    for _ in 0..9 {
        named(&vm, b"b", 1);
    }
    assert_eq!(counted(&vm, "weir_zone_requests.r/a.r/a.near"), 1);
    assert_eq!(counted(&vm, "weir_zone_requests.r/a.r/b.native"), 5, "retries");
    // A tenth of a gigabyte each, at 0.02: two thousandths of the currency.
    for (counter, expected) in [("requests", 10), ("bytes", 1_000_000_000), ("cost", 20_000)] {
        assert_eq!(counted(&vm, &format!("weir_zone_{counter}.r/a.r/b.failover")), expected, "{counter}");
    }
    assert_eq!(counted(&vm, "weir_locality_failover"), 10);
}

#[test]
fn spills_from_a_zone_that_grows_slow() {
    let vm = Vm::start(POLICY).unwrap();
    let mut spilled = [0; 2];
    for request in 0..4_000_u64 {
        proxy(|proxy| proxy.now = 1_000_000 + 10 * request);
        if request.is_multiple_of(10) {
            vm.tick();
        }
        let is_slow = request >= 1_000;
        let respond = |request: &weir_host::Headers| match request.is_empty() {
            true => answered(b"a", 1, if is_slow { 100_000 } else { 10_000 }),
            false => answered(b"b", 1, 10_000),
        };
        let (request, _) = vm.exchange_with(&[], &[ORDERS], respond);
        spilled[usize::from(is_slow)] += request.len();
    }
    assert_eq!(spilled[0], 0);
    assert!(spilled[1] > 2_500, "{spilled:?}");
    assert!(counted(&vm, "weir_locality_spill") > 2_500 && counted(&vm, "weir_locality_compare") > 0);
    assert_eq!(counted(&vm, "weir_zone_requests.r/a.r/b.spill"), counted(&vm, "weir_locality_spill"));
}

#[test]
fn what_was_found_out_survives_a_new_policy() {
    let vm = Vm::start(POLICY).unwrap();
    leave(&vm);
    vm.tick();
    assert!(vm.configure(&POLICY.replace(r#""spill":{},"#, "")));
    assert_eq!(named(&vm, b"b", 1).as_deref(), Some("x-weir-zone: r/b"));
    assert!(vm.configure(&POLICY.replace("orders", "new")));
    assert_eq!(named(&vm, b"b", 1), None, "it is another service's");
}

#[test]
fn a_worker_without_requests_knows_what_the_others_found_out() {
    let (busy, idle) = (Vm::start(POLICY).unwrap(), Vm::start(POLICY).unwrap());
    leave(&busy);
    busy.tick();
    idle.tick();
    assert_eq!(named(&idle, b"b", 1).as_deref(), Some("x-weir-zone: r/b"));
    proxy(|proxy| proxy.now += 1_000);
    for _ in 0..3 {
        named(&busy, b"a", 1);
        proxy(|proxy| proxy.now += 250);
    }
    busy.tick();
    idle.tick();
    assert_eq!(named(&idle, b"a", 1), None);
    assert_eq!(counted(&idle, "weir_locality_probe"), 3, "by the busy one alone");
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
    assert_eq!(log, ["services[0].zone: unknown field `zone`, expected one of `hosts`, `servedBy`, `spill`"]);
}
