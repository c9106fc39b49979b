//! What the locality policy chooses, as outcomes come in, and which configurations it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_policy::locality::{Choice, Compiled, Observed, Outcome, Policy, Response};

const JSON: &str = r#"{"version":1,"locality":{"region":"r","zone":"a"},
    "services":[{"hosts":["orders"],"servedBy":true,"zones":["r/b","r/c"]},{"hosts":["other"]}]}"#;

/// A proxy in zone a, with a clock that the test moves.
struct Proxy {
    policy: Policy,
    observed: Observed,
    now: u64,
}

impl Proxy {
    fn new() -> Self {
        let policy = Policy::parse(JSON.as_bytes()).unwrap();
        Self { observed: Observed::new(&policy), policy, now: 1_000_000 }
    }

    fn orders(&self) -> Compiled {
        self.policy.for_host(b"orders").unwrap().clone()
    }

    fn choose(&mut self) -> Choice {
        self.observed.choose(&self.orders(), || self.now)
    }

    /// One request, with its outcome; returns the choice made for it.
    fn request(&mut self, outcome: Outcome) -> Choice {
        let choice = self.choose();
        self.observed.observe(&self.orders(), choice, outcome, || self.now);
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
}

const B: Choice = Choice::Deviate(0);
const C: Choice = Choice::Deviate(1);

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
            proxy.observed.observe(&proxy.orders(), Choice::Probe, Outcome::Failed, || proxy.now);
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
fn requests_sent_before_the_zone_was_left_change_nothing() {
    let mut proxy = Proxy::away();
    let before = proxy.observed.clone();
    let orders = proxy.orders();
    proxy.observed.observe(&orders, Choice::Near, Outcome::Served, || proxy.now);
    proxy.observed.observe(&orders, Choice::Near, Outcome::Failed, || proxy.now);
    assert_eq!(proxy.observed, before);
}

#[test]
fn looks_at_one_response_in_eight_while_nothing_fails_and_at_each_after_a_failure() {
    let mut proxy = Proxy::new();
    let looks = |proxy: &mut Proxy| -> Vec<bool> { (0..8).map(|_| proxy.observed.looks(|| proxy.now)).collect() };
    let sampled = [false, false, false, false, false, false, false, true];
    assert_eq!((looks(&mut proxy), proxy.observed.is_calm()), (sampled.into(), true));
    proxy.request(Outcome::Failed);
    proxy.now += 1_999;
    assert_eq!((looks(&mut proxy), proxy.observed.is_calm()), ([true; 8].into(), false));
    proxy.now += 1;
    assert_eq!((looks(&mut proxy), proxy.observed.is_calm()), (sampled.into(), true));
}

#[test]
fn is_not_calm_until_the_own_zone_is_back() {
    let mut proxy = Proxy::away();
    proxy.now += 60_000;
    assert!(proxy.observed.looks(|| proxy.now) && !proxy.observed.is_calm());
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
        (B, 200, 3, b, Outcome::Served),
        (B, 200, 1, elsewhere, Outcome::Failed),
        (B, 504, 1, b, Outcome::Failed),
        (B, 503, 1, None, Outcome::Failed),
    ];
    for (choice, status, attempts, zone, expected) in cases {
        let response = Response { status, attempts };
        let mut reads = 0;
        let outcome = response.outcome(&proxy.policy, &proxy.orders(), choice, || {
            reads += 1;
            zone.map(|zone| ("r", zone))
        });
        assert_eq!(outcome, expected, "{choice:?} {response:?} {zone:?}");
        assert!(reads == 0 || choice != near || !response.is_plain(), "a plain response from near need not tell its zone");
    }
}

#[test]
fn a_zone_of_another_region_is_another_zone() {
    let proxy = Proxy::new();
    let response = Response { status: 200, attempts: 2 };
    assert_eq!(response.outcome(&proxy.policy, &proxy.orders(), Choice::Near, || Some(("s", "a"))), Outcome::Failed);
}

#[test]
fn names_zones_only_where_it_knows_its_own() {
    let policy = Policy::parse(br#"{"version":1,"services":[{"hosts":["orders"],"servedBy":true,"zones":["r/b"]}]}"#).unwrap();
    let orders = policy.for_host(b"orders").unwrap();
    assert_eq!((orders.zones.len(), orders.served_by), (0, true));
}

#[test]
fn names_the_place_and_the_expectation_of_what_is_wrong() {
    let one = |service: &str| format!(r#"{{"version":1,"locality":{{"region":"r","zone":"a"}},"services":[{{"hosts":["h"],{service}}}]}}"#);
    let cases = [
        (r#"{"version":3,"services":[]}"#.into(), "version: expected 1, found 3"),
        (r#"{"version":1}"#.into(), ".: missing field `services`"),
        (r#"{"version":1,"services":[{"hosts":[]}]}"#.into(), "services[0].hosts: expected at least one host"),
        (r#"{"version":1,"locality":{"region":"r"},"services":[]}"#.into(), "locality: missing field `zone`"),
        (
            r#"{"version":1,"locality":{"region":"r","zone":""},"services":[]}"#.into(),
            r#"locality: expected REGION/ZONE in letters, digits and -_., found "r/""#,
        ),
        (one(r#""zones":["b"]"#), r#"services[0].zones[0]: expected REGION/ZONE in letters, digits and -_., found "b""#),
        (one(r#""zones":["r/b","r/b"]"#), r#"services[0].zones[1]: expected each zone once, found "r/b" again"#),
        (one(r#""zones":["r/a"]"#), r#"services[0].zones[0]: expected a zone other than this proxy's own, found "r/a""#),
        (one(r#""servedBy":"yes""#), "services[0].servedBy: expected a boolean, found a string"),
        (one(r#""spill":{}"#), "services[0].spill: unknown field `spill`, expected one of `hosts`, `servedBy`, `zones`"),
    ];
    for (json, expected) in cases {
        assert_eq!(Policy::parse(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
    }
}

#[test]
fn a_choice_and_its_outcome_allocate_nothing() {
    let Proxy { policy, mut observed, mut now } = Proxy::new();
    let orders = policy.for_host(b"orders").unwrap();
    let mut choices = [0; 3];
    let allocated = allocation_counter::measure(|| {
        for outcome in [Outcome::Served, Outcome::Failed, Outcome::Failed, Outcome::Failed].into_iter().cycle().take(400) {
            now += 20;
            let choice = observed.choose(orders, || now);
            observed.observe(orders, choice, outcome, || now);
            choices[match choice {
                Choice::Near => 0,
                Choice::Probe => 1,
                Choice::Deviate(_) => 2,
            }] += 1;
        }
    });
    assert!(choices.iter().all(|count| *count > 0), "{choices:?}");
    assert_eq!(allocated.count_total, 0);
}
