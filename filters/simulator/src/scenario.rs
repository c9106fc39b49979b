//! What the balancers are put through.

use crate::world::{Phase, Zone};

/// A scenario: what happens, and for how long in the beginning nothing is measured.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What happens.
    pub phases: Vec<Phase>,
    /// How many workers each caller's Envoy has.
    pub workers: usize,
    /// The seconds before measuring begins.
    pub settles: u64,
}

/// Endpoints in a zone; each does 100 requests per second.
const ENDPOINTS: usize = 6;

/// A zone whose callers ask for so much of what its endpoints can do.
fn zone(endpoints: usize, callers: usize, load: f64) -> Zone {
    Zone { endpoints, slower: 1.0, up: true, callers, rate: load * 100.0 * endpoints as f64 }
}

/// Zones with two callers each.
fn even(load: f64) -> Vec<Zone> {
    vec![zone(ENDPOINTS, 2, load); 3]
}

/// Only the first zone differs.
fn first(mut zones: Vec<Zone>, change: impl FnOnce(&mut Zone)) -> Vec<Zone> {
    if let Some(zone) = zones.first_mut() {
        change(zone);
    }
    zones
}

/// Three times the callers, and the requests, in the first zone, at so much of what all endpoints can do.
fn skewed(count: usize, endpoints: usize, callers: usize, load: f64) -> Vec<Zone> {
    let each = load * count as f64 / (count + 2) as f64;
    first(vec![zone(endpoints, callers, each); count], |first| {
        first.callers *= 3;
        first.rate *= 3.0;
    })
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let steady = |name, zones| Scenario { name, workers: 1, phases: vec![Phase { seconds: 120, zones }], settles: 20 };
    let then = |name, before, after| Scenario {
        name,
        workers: 1,
        phases: vec![Phase { seconds: 40, zones: before }, Phase { seconds: 100, zones: after }],
        settles: 20,
    };
    let five_times = || first(even(0.3), |zone| zone.rate *= 5.0);
    vec![
        steady("balanced, at 65 %", even(0.65)),
        steady("callers 3:1:1, at 65 % in all", skewed(3, ENDPOINTS, 1, 0.65)),
        Scenario { workers: 2, ..steady("the same, two workers a caller", skewed(3, ENDPOINTS, 1, 0.65)) },
        Scenario { workers: 4, ..steady("the same, four workers a caller", skewed(3, ENDPOINTS, 1, 0.65)) },
        then("a zone at half capacity", even(0.5417), first(even(0.5417), |zone| zone.endpoints /= 2)),
        then("a zone 10 times slower", even(0.45), first(even(0.45), |zone| zone.slower = 10.0)),
        then("a zone gone", even(0.45), first(even(0.45), |zone| zone.up = false)),
        then("five times the load in one zone", even(0.3), five_times()),
        Scenario { workers: 4, ..then("the same, four workers a caller", even(0.3), five_times()) },
        Scenario {
            name: "and its return",
            workers: 1,
            phases: vec![Phase { seconds: 60, zones: five_times() }, Phase { seconds: 120, zones: even(0.3) }],
            settles: 40,
        },
        steady("six zones, callers 3:1:1:1:1:1, at 65 %", skewed(6, ENDPOINTS, 1, 0.65)),
        steady("few requests: one per second and caller", vec![zone(ENDPOINTS, 1, 1.0 / 600.0); 3]),
        Scenario {
            name: "1,000 callers, 3:1:1, from 33 to 65 %",
            workers: 1,
            phases: vec![Phase { seconds: 30, zones: skewed(3, 50, 200, 0.33) }, Phase { seconds: 90, zones: skewed(3, 50, 200, 0.65) }],
            settles: 60,
        },
    ]
}
