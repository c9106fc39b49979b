//! What the locality policy chooses, as outcomes come in, and which configurations it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use weir_policy::locality::{Choice, Compiled, Ended, Observed, Outcome, Policy, Response};

const JSON: &str = r#"{"version":1,"locality":{"region":"r","zone":"a"},
    "services":[{"hosts":["orders"],"zones":[["r/b"],["r/c"]]},{"hosts":["spills"],"spill":{},"zones":[["r/b","r/c"],["s/d"]]}]}"#;

/// A proxy in zone a, with a clock that the test moves.
struct Proxy {
    policy: Policy,
    observed: Observed,
    host: &'static str,
    now: u64,
    random: u32,
}

impl Proxy {
    fn calling(host: &'static str) -> Self {
        let policy = Policy::parse(JSON.as_bytes()).unwrap();
        Self { observed: Observed::new(&policy), policy, host, now: 1_000_000, random: 0 }
    }

    fn new() -> Self {
        Self::calling("orders")
    }

    fn service(&self) -> Compiled {
        self.policy.for_host(self.host.as_bytes()).unwrap().clone()
    }

    fn choose(&mut self) -> Choice {
        self.random = self.random.wrapping_add(0x9e37_79b9);
        self.observed.choose(&self.service(), self.now, self.random)
    }

    fn observe(&mut self, choice: Choice, outcome: Outcome, micros: Option<u32>) {
        self.observed.observe(&self.service(), &Ended { choice, outcome, micros }, self.now);
    }

    /// One request, with its outcome; returns the choice made for it.
    fn request(&mut self, outcome: Outcome) -> Choice {
        let choice = self.choose();
        self.observe(choice, outcome, None);
        choice
    }

    fn requests(&mut self, count: usize, outcome: Outcome) -> Vec<Choice> {
        (0..count).map(|_| self.request(outcome)).collect()
    }

    /// A proxy that has just left its own zone.
    fn away() -> Self {
        let mut proxy = Self::new();
        proxy.requests(5, Outcome::Failed);
        proxy
    }

    /// So many requests, 10 ms apart, each served by its zone in what `micros` says; how many went to each of the zones a, b, c and d.
    fn served(&mut self, count: u32, micros: impl Fn(usize) -> u32) -> [u32; 4] {
        let mut zones = [0; 4];
        for _ in 0..count {
            self.now += 10;
            if self.now.is_multiple_of(500) {
                self.observed.tick(self.now);
            }
            let choice = self.choose();
            let zone = choice.place().map_or(0, |place| usize::from(place) + 1);
            zones[zone] += 1;
            self.observe(choice, Outcome::Served, Some(micros(zone)));
        }
        zones
    }
}

const B: Choice = Choice::Failover(0);
const C: Choice = Choice::Failover(1);

#[test]
fn is_silent_while_the_own_zone_serves() {
    let mut proxy = Proxy::new();
    assert_eq!(proxy.requests(100, Outcome::Served), [Choice::Near; 100]);
    assert_eq!(proxy.requests(100, Outcome::Untried), [Choice::Near; 100]);
}

#[test]
fn names_the_next_zone_when_more_than_half_of_the_last_requests_failed() {
    let mut proxy = Proxy::new();
    proxy.requests(20, Outcome::Served);
    for _ in 0..4 {
        assert_eq!(proxy.request(Outcome::Failed), Choice::Near);
        assert_eq!(proxy.request(Outcome::Served), Choice::Near);
    }
    assert_eq!(proxy.request(Outcome::Failed), Choice::Near);
    assert_eq!(proxy.choose(), B);
}

#[test]
fn stays_when_half_of_the_requests_or_fewer_fail() {
    let mut proxy = Proxy::new();
    for _ in 0..50 {
        assert_eq!(proxy.request(Outcome::Served), Choice::Near);
        assert_eq!(proxy.request(Outcome::Served), Choice::Near);
        assert_eq!(proxy.request(Outcome::Failed), Choice::Near);
    }
}

#[test]
fn forgets_failures_that_lie_far_apart() {
    let mut proxy = Proxy::new();
    for _ in 0..20 {
        assert_eq!(proxy.request(Outcome::Failed), Choice::Near);
        proxy.now += 2_001;
    }
}

#[test]
fn leaves_a_named_zone_at_its_first_failure_since_no_retry_leaves_it() {
    let mut proxy = Proxy::away();
    assert_eq!(proxy.requests(2, Outcome::Served), [B, B]);
    assert_eq!(proxy.request(Outcome::Failed), B);
    assert_eq!(proxy.requests(2, Outcome::Served), [C, C]);
}

#[test]
fn a_named_zone_that_failed_is_probed_again_ever_more_seldom() {
    let mut proxy = Proxy::away();
    let mut tried = Vec::new();
    proxy.now += 1;
    for second in 0..200 {
        proxy.now += 1_000;
        // The own zone stays away.
        loop {
            match proxy.choose() {
                Choice::Probe => proxy.observe(Choice::Probe, Outcome::Failed, None),
                B => {
                    proxy.observe(B, Outcome::Failed, None);
                    tried.push(second);
                }
                choice => break proxy.observe(choice, Outcome::Served, None),
            }
        }
    }
    let waits: Vec<u32> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [10, 20, 40, 80]);
}

#[test]
fn names_no_zone_when_all_fail() {
    let mut proxy = Proxy::away();
    assert_eq!(proxy.requests(2, Outcome::Failed), [B, C]);
    assert_eq!(proxy.choose(), Choice::Near);
}

#[test]
fn comes_back_after_three_probes_that_succeed() {
    let mut proxy = Proxy::away();
    proxy.now += 999;
    assert_eq!(proxy.choose(), B);
    proxy.now += 1;
    for _ in 0..2 {
        assert_eq!(proxy.requests(3, Outcome::Served), [Choice::Probe, B, B]);
        proxy.now += 250;
    }
    assert_eq!(proxy.request(Outcome::Served), Choice::Probe);
    assert_eq!(proxy.requests(10, Outcome::Served), [Choice::Near; 10]);
}

#[test]
fn waits_longer_after_each_probe_that_fails_but_five_seconds_at_most() {
    let mut proxy = Proxy::away();
    let mut waits = Vec::new();
    let mut left = proxy.now;
    while waits.len() < 5 {
        if proxy.choose() == Choice::Probe {
            waits.push(proxy.now - left);
            left = proxy.now;
            proxy.observe(Choice::Probe, Outcome::Failed, None);
        }
        proxy.now += 50;
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
}

#[test]
fn a_probe_that_did_not_try_the_own_zone_decides_nothing() {
    let mut proxy = Proxy::away();
    proxy.now += 1_000;
    for _ in 0..10 {
        assert_eq!(proxy.request(Outcome::Untried), Choice::Probe);
        assert_eq!(proxy.choose(), B);
        proxy.now += 250;
    }
}

#[test]
fn some_requests_are_looked_at_while_all_is_well_and_all_after_a_failure() {
    let mut proxy = Proxy::new();
    let looked = |proxy: &mut Proxy, count: u32| -> u32 {
        let mut looked = 0;
        for _ in 0..count {
            looked += u32::from(proxy.observed.begins(|| proxy.now) > 0);
            proxy.observed.ends();
        }
        proxy.observed.tick(proxy.now);
        looked
    };
    looked(&mut proxy, 40);
    assert_eq!(looked(&mut proxy, 40), 40, "of few all");
    looked(&mut proxy, 800);
    assert_eq!((looked(&mut proxy, 800), proxy.observed.is_calm()), (32, true), "of many so many");
    assert_eq!((looked(&mut proxy, 64_000), looked(&mut proxy, 64_000)), (64_000 / 25, 2_000), "and one in so many");
    assert_eq!([0, 0, 800].map(|count| looked(&mut proxy, count)), [0, 0, 100], "a pause is no reason to look at all that come after it");
    proxy.request(Outcome::Failed);
    proxy.now += 1_999;
    assert_eq!((looked(&mut proxy, 800), proxy.observed.is_calm()), (800, false));
    proxy.now += 1;
    proxy.observed.tick(proxy.now);
    assert!(proxy.observed.is_calm());
}

#[test]
fn a_surge_of_requests_is_looked_into_where_it_may_spill() {
    let surges = |proxy: &mut Proxy, count: u32| {
        (0..count).for_each(|_| {
            proxy.observed.begins(|| proxy.now);
        });
        let surges = !proxy.observed.is_calm();
        (0..count).for_each(|_| proxy.observed.ends());
        surges
    };
    assert!(!surges(&mut Proxy::calling("spills"), 100), "at first nobody knows what is usual");
    let mut proxy = Proxy::calling("spills");
    for _ in 0..2_000 {
        proxy.observed.begins(|| proxy.now);
        proxy.observed.ends();
    }
    assert!(proxy.observed.is_calm());
    assert!(surges(&mut proxy, 20));
    assert!(!surges(&mut Proxy::new(), 2_000), "where nothing spills it matters to nobody");
}

#[test]
fn is_not_calm_until_the_own_zone_is_back() {
    let mut proxy = Proxy::away();
    proxy.now += 60_000;
    proxy.observed.tick(proxy.now);
    assert!(!proxy.observed.is_calm());
    for _ in 0..3 {
        assert_eq!(proxy.request(Outcome::Served), Choice::Probe);
        proxy.now += 2_000;
    }
    proxy.observed.tick(proxy.now);
    assert!(proxy.observed.is_calm());
}

#[test]
fn without_spill_slowness_changes_nothing() {
    let mut proxy = Proxy::new();
    proxy.served(500, |_| 10_000);
    assert_eq!(proxy.served(3_000, |_| 1_000_000), [3_000, 0, 0, 0]);
}

#[test]
fn a_zone_that_grows_slow_is_left_but_for_a_few_and_used_again_when_it_is_fast() {
    let mut proxy = Proxy::calling("spills");
    assert_eq!(proxy.served(1_000, |_| 10_000), [1_000, 0, 0, 0], "while all is well nothing leaves");
    let slow = |zone: usize| if zone == 0 { 100_000 } else { 11_000 };
    proxy.served(300, slow);
    let [a, b, c, d] = proxy.served(1_000, slow);
    assert!((1..60).contains(&a) && b > 300 && c > 300 && d < 20, "{:?}", [a, b, c, d]);
    let fast = |zone: usize| if zone == 0 { 10_000 } else { 11_000 };
    proxy.served(20_000, fast);
    assert_eq!(proxy.served(1_000, fast), [1_000, 0, 0, 0]);
}

#[test]
fn what_is_slow_everywhere_stays() {
    let mut proxy = Proxy::calling("spills");
    proxy.served(1_000, |_| 10_000);
    let [near, ..] = proxy.served(6_000, |_| 100_000);
    assert!(near > 5_900, "{near}");
    assert_eq!(proxy.served(3_000, |_| 100_000), [3_000, 0, 0, 0], "it has compared, and found no reason to leave");
}

#[test]
fn another_region_comes_after_the_own_one() {
    let mut proxy = Proxy::calling("spills");
    proxy.served(1_000, |_| 10_000);
    let region_slow = |zone: usize| if zone == 3 { 12_000 } else { 200_000 };
    proxy.served(3_000, region_slow);
    let [_, b, c, d] = proxy.served(1_000, region_slow);
    assert!(d > 8 * (b + c), "{:?}", [b, c, d]);
}

#[test]
fn the_more_endpoints_may_be_used_the_later_requests_leave() {
    let spilled = |target: &str| {
        let json = JSON.replace(r#""spill":{}"#, &format!(r#""spill":{{"targetUtilization":{target}}}"#));
        let policy = Policy::parse(json.as_bytes()).unwrap();
        let mut proxy = Proxy { observed: Observed::new(&policy), policy, ..Proxy::calling("spills") };
        proxy.served(1_000, |_| 10_000);
        proxy.served(2_000, |zone| if zone == 0 { 40_000 } else { 10_000 });
        let [near, ..] = proxy.served(2_000, |zone| if zone == 0 { 16_000 } else { 10_000 });
        2_000 - near
    };
    let [low, middle, high] = [spilled("0.6"), spilled("0.8"), spilled("0.95")];
    assert!(low > middle && middle > high, "{low} {middle} {high}");
}

#[test]
fn what_one_worker_found_out_holds_for_another_and_for_a_new_policy() {
    let mut one = Proxy::calling("spills");
    one.served(1_000, |_| 10_000);
    one.served(1_000, |zone| if zone == 0 { 100_000 } else { 11_000 });
    let service = one.service();
    let told = one.observed.exchange(&one.policy, &service, &[], one.now).expect("news");
    one.observed.is_told(&service);
    assert_eq!(one.observed.exchange(&one.policy, &service, &told, one.now), None);
    // The policy that comes has one zone fewer.
    let policy = Policy::parse(JSON.replace(r#"["r/b","r/c"]"#, r#"["r/c"]"#).as_bytes()).unwrap();
    let mut other = Proxy { observed: Observed::new(&policy), policy, now: one.now, ..Proxy::calling("spills") };
    let service = other.service();
    assert_eq!(other.observed.exchange(&other.policy, &service, &told, other.now), None);
    other.served(150, |zone| if zone == 0 { 100_000 } else { 11_000 });
    let [a, c, ..] = other.served(200, |zone| if zone == 0 { 100_000 } else { 11_000 });
    assert!(c > 150 && a < 30, "{a} {c}");
}

#[test]
fn a_zone_that_one_worker_left_is_left_by_all_and_comes_back_for_all() {
    let (mut one, mut other) = (Proxy::away(), Proxy::new());
    let service = one.service();
    let told = one.observed.exchange(&one.policy, &service, &[], one.now).expect("news");
    other.observed.exchange(&other.policy, &service, &told, other.now);
    assert_eq!(other.requests(3, Outcome::Served), [B; 3]);
    one.now += 1_000;
    for _ in 0..3 {
        assert_eq!(one.request(Outcome::Served), Choice::Probe);
        one.now += 250;
    }
    let told = one.observed.exchange(&one.policy, &service, &told, one.now).expect("news");
    other.observed.exchange(&other.policy, &service, &told, other.now);
    assert_eq!(other.requests(3, Outcome::Served), [Choice::Near; 3]);
}

#[test]
fn reads_the_outcome_for_the_zone_the_request_was_meant_for() {
    let proxy = Proxy::new();
    let near = Choice::Near;
    let (a, b, elsewhere) = (Some("a"), Some("b"), Some("x"));
    let cases = [
        (near, 200, 1, a, Outcome::Served),
        (near, 500, 1, a, Outcome::Served),
        (near, 200, 2, a, Outcome::Served),
        (near, 200, 2, b, Outcome::Failed),
        (near, 200, 1, b, Outcome::Served),
        (near, 503, 1, a, Outcome::Failed),
        (near, 503, 3, None, Outcome::Failed),
        (Choice::Probe, 200, 1, a, Outcome::Served),
        (Choice::Probe, 200, 2, b, Outcome::Failed),
        (Choice::Probe, 200, 1, b, Outcome::Untried),
        (B, 200, 1, b, Outcome::Served),
        (Choice::Spill(0), 200, 1, b, Outcome::Served),
        (Choice::Compare(0), 200, 3, b, Outcome::Served),
        (B, 200, 1, elsewhere, Outcome::Failed),
        (B, 504, 1, b, Outcome::Failed),
        (B, 503, 1, None, Outcome::Failed),
    ];
    for (choice, status, attempts, zone, expected) in cases {
        let response = Response { status, attempts };
        let mut reads = 0;
        let outcome = response.outcome(&proxy.policy, &proxy.service(), choice, || {
            reads += 1;
            zone.map(|zone| ("r", zone))
        });
        assert_eq!(outcome, expected, "{choice:?} {response:?} {zone:?}");
        assert!(reads == 0 || choice != near || !response.is_plain(), "a plain response from near need not tell its zone");
    }
}

#[test]
fn how_long_a_failure_or_a_retry_took_says_nothing() {
    let timed = |status, attempts| Response { status, attempts }.is_timed();
    assert_eq!([timed(200, 1), timed(404, 1), timed(500, 1), timed(200, 2)], [true, true, false, false]);
}

#[test]
fn a_zone_of_another_region_is_another_zone() {
    let proxy = Proxy::new();
    let response = Response { status: 200, attempts: 2 };
    assert_eq!(response.outcome(&proxy.policy, &proxy.service(), Choice::Near, || Some(("s", "a"))), Outcome::Failed);
}

#[test]
fn names_zones_only_where_it_knows_its_own() {
    let policy = Policy::parse(br#"{"version":1,"services":[{"hosts":["orders"],"spill":{},"zones":[["r/b"]]}]}"#).unwrap();
    assert_eq!(policy.for_host(b"orders").unwrap().zones.len(), 0);
}

#[test]
fn names_the_place_and_the_expectation_of_what_is_wrong() {
    let one = |service: &str| format!(r#"{{"version":1,"locality":{{"region":"r","zone":"a"}},"services":[{{"hosts":["h"],{service}}}]}}"#);
    let target = |number: &str| one(&format!(r#""spill":{{"targetUtilization":{number}}}"#));
    let cases = [
        (r#"{"version":3,"services":[]}"#.into(), "version: expected 1, found 3"),
        (r#"{"version":1}"#.into(), ".: missing field `services`"),
        (r#"{"version":1,"services":[{"hosts":[]}]}"#.into(), "services[0].hosts: expected at least one host"),
        (r#"{"version":1,"locality":{"region":"r"},"services":[]}"#.into(), "locality: missing field `zone`"),
        (
            r#"{"version":1,"locality":{"region":"r","zone":""},"services":[]}"#.into(),
            r#"locality: expected REGION/ZONE in letters, digits and -_., found "r/""#,
        ),
        (r#"{"version":1,"price":{},"services":[]}"#.into(), "price: missing field `perGB`"),
        (
            r#"{"version":1,"price":{"perGB":-0.01},"services":[]}"#.into(),
            "price.perGB: expected a number of at least 0, found a number that is negative, too large or with an exponent",
        ),
        (one(r#""zones":[["b"]]"#), r#"services[0].zones[0][0]: expected REGION/ZONE in letters, digits and -_., found "b""#),
        (one(r#""zones":[["r/b"],["r/b"]]"#), r#"services[0].zones[1][0]: expected each zone once, found "r/b" again"#),
        (one(r#""zones":[["r/a"]]"#), r#"services[0].zones[0][0]: expected a zone other than this proxy's own, found "r/a""#),
        (one(r#""servedBy":"yes""#), "services[0].servedBy: expected a boolean, found a string: write it without quotes"),
        (one(r#""spil":{}"#), "services[0].spil: unknown field `spil` (is `spill` meant?), expected one of `hosts`, `servedBy`, `spill`"),
        (target("0.49"), "services[0].spill.targetUtilization: expected a number from 0.5 to 0.95, found 0.49"),
        (target("80"), "services[0].spill.targetUtilization: expected a number from 0.5 to 0.95, found 80"),
        (
            target(r#""0.8""#),
            "services[0].spill.targetUtilization: expected a number of at least 0, found a string: write it without quotes",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(Policy::parse(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
    }
}

#[test]
fn a_choice_and_its_outcome_allocate_nothing() {
    let Proxy { policy, mut observed, mut now, .. } = Proxy::new();
    let spills = policy.for_host(b"spills").unwrap();
    let mut choices = [0; 5];
    let allocated = allocation_counter::measure(|| {
        for turn in 0..20_000_u32 {
            now += 20;
            let looks = observed.begins(|| now);
            let choice = observed.choose(spills, now, turn.wrapping_mul(0x9e37_79b9));
            let is_near = choice.place().is_none();
            let outcome = if is_near && (300..600).contains(&turn) { Outcome::Failed } else { Outcome::Served };
            let is_slow = (5_000..8_000).contains(&turn) || (is_near && turn > 10_000);
            let micros = if is_slow { 100_000 } else { 10_000 };
            if looks > 0 {
                observed.observe(spills, &Ended { choice, outcome, micros: Some(micros) }, now);
            } else {
                observed.lost(spills, choice);
            }
            observed.ends();
            choices[match choice {
                Choice::Near => 0,
                Choice::Probe => 1,
                Choice::Failover(_) => 2,
                Choice::Spill(_) => 3,
                Choice::Compare(_) => 4,
            }] += 1;
        }
    });
    assert!(choices.iter().all(|count| *count > 0), "{choices:?}");
    assert_eq!(allocated.count_total, 0);
}

proptest! {
    /// Whatever is shared, whatever happens: no panic, and each zone that is named is one of the service's.
    #[test]
    fn names_zones_of_the_service_alone(
        shared in proptest::collection::vec(any::<u8>(), 0..300),
        events in proptest::collection::vec((any::<u32>(), 0_u64..20_000, 0_u8..3, any::<u32>()), 0..200),
    ) {
        let mut proxy = Proxy::calling("spills");
        let service = proxy.service();
        let told = [vec![1], shared].concat();
        proxy.observed.exchange(&proxy.policy, &service, &told, proxy.now);
        for (random, later, outcome, micros) in events {
            proxy.now += later;
            proxy.observed.begins(|| proxy.now);
            let choice = proxy.observed.choose(&service, proxy.now, random);
            prop_assert_eq!(choice.place().is_some(), service.named(choice).is_some());
            let outcome = [Outcome::Served, Outcome::Failed, Outcome::Untried][usize::from(outcome)];
            proxy.observed.observe(&service, &Ended { choice, outcome, micros: Some(micros) }, proxy.now);
            proxy.observed.tick(proxy.now);
        }
    }
}
