//! How a caller picks an endpoint: as Envoy does, in several ways, and as Envoy does with the locality filter.

use crate::random::Random;
use crate::weir::{Look, Weir};
use crate::world::{Micros, Phase, Zone};
use weir_policy::locality::Choice;

/// A way to balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Envoy's priorities by locality, as Istio has them with outlier detection.
    Native,
    /// Each endpoint in turn.
    RoundRobin,
    /// Of two at random the one with fewer requests of this caller, over all zones.
    LeastRequest,
    /// Envoy's zone-aware routing: by the numbers of callers and endpoints of each zone.
    ZoneAware,
    /// Priorities by locality with the locality filter.
    Weir,
}

impl Kind {
    /// All of them, ours last.
    pub const ALL: [Self; 5] = [Self::Native, Self::RoundRobin, Self::LeastRequest, Self::ZoneAware, Self::Weir];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::RoundRobin => "round robin",
            Self::LeastRequest => "least request",
            Self::ZoneAware => "zone-aware",
            Self::Weir => "weir",
        }
    }
}

/// So many failures one after the other eject an endpoint, as outlier detection does by default, for so long.
const EJECT_AFTER: u32 = 5;
const EJECTED_FOR: Micros = 30_000_000;

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    /// The endpoint's place.
    pub endpoint: usize,
    /// What the filter chose.
    pub choice: Choice,
    /// How the filter looks at it, and in which worker.
    pub look: Look,
    /// The worker's place.
    pub worker: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Host {
    zone: usize,
    known: bool,
    in_flight: u32,
    failures: u32,
    ejected_until: Micros,
}

/// One caller's balancer.
pub struct Balancer {
    kind: Kind,
    zone: usize,
    hosts: Vec<Host>,
    next: usize,
    /// For [`Kind::ZoneAware`]: what part goes to each zone.
    shares: Vec<f64>,
    random: Random,
    weir: Weir,
}

impl Balancer {
    /// Of a caller in a zone, for endpoints of these zones.
    pub fn new(kind: Kind, zone: usize, zones: &[usize], phase: &Phase, workers: usize, seed: u64) -> Self {
        let hosts = zones.iter().map(|zone| Host { zone: *zone, ..Host::default() }).collect();
        let mut random = Random::new(seed ^ 0x5eed);
        let next = random.below(zones.len());
        Self { kind, zone, hosts, next, shares: Vec::new(), weir: Weir::new(zone, phase.zones.len(), workers, random.bits()), random }
    }

    /// Learns by EDS which endpoints there are; not which of them answer.
    pub fn told(&mut self, zones: &[Zone]) {
        for (zone, of) in zones.iter().enumerate() {
            for (place, host) in self.hosts.iter_mut().filter(|host| host.zone == zone).enumerate() {
                host.known = place < of.endpoints;
            }
        }
        self.shares = zone_aware(self.zone, zones);
    }

    /// Picks an endpoint; for a retry another one than before.
    pub fn pick(&mut self, now: Micros, before: Option<&Pick>) -> Pick {
        let (choice, look, worker) = match (self.kind, before) {
            (_, Some(before)) => (before.choice, before.look, before.worker),
            (Kind::Weir, None) => self.weir.choose(now),
            _ => (Choice::Near, Look::Not, 0),
        };
        let endpoint = match self.kind {
            Kind::RoundRobin => self.in_turn(now),
            Kind::LeastRequest => self.least(now, |_| true, before),
            Kind::ZoneAware => {
                let zone = self.draw_zone();
                self.least(now, |host| host.zone == zone, before)
            }
            Kind::Native => self.near_first(now, before),
            Kind::Weir => match self.weir.named(choice) {
                // No retry leaves a zone that was named.
                Some(zone) => self.least(now, |host| host.zone == zone, before),
                None => self.near_first(now, before),
            },
        };
        self.hosts[endpoint].in_flight += 1;
        Pick { endpoint, choice, look, worker }
    }

    /// By priorities: the own zone, and for a retry (`previous_priorities`) or without it the others.
    fn near_first(&mut self, now: Micros, before: Option<&Pick>) -> usize {
        let own = self.zone;
        let usable = self.hosts.iter().any(|host| host.zone == own && host.known && host.ejected_until <= now);
        let leaves = before.is_some_and(|before| self.hosts[before.endpoint].zone == own) || !usable;
        self.least(now, |host| (host.zone == own) != leaves, before)
    }

    fn draw_zone(&mut self) -> usize {
        let mut left = self.random.unit();
        self.shares
            .iter()
            .position(|share| {
                left -= share;
                left < 0.0
            })
            .unwrap_or(self.zone)
    }

    fn in_turn(&mut self, now: Micros) -> usize {
        for _ in 0..self.hosts.len() {
            self.next = (self.next + 1) % self.hosts.len();
            if self.hosts[self.next].known && self.hosts[self.next].ejected_until <= now {
                break;
            }
        }
        self.next
    }

    /// Envoy's least request of two, and for a retry `previous_hosts`.
    fn least(&mut self, now: Micros, allowed: impl Fn(&Host) -> bool, before: Option<&Pick>) -> usize {
        let is_other = |place: usize| before.is_none_or(|before| before.endpoint != place);
        let fine = |(place, host): &(usize, &Host)| host.known && host.ejected_until <= now && allowed(host) && is_other(*place);
        let mut places: Vec<usize> = self.hosts.iter().enumerate().filter(fine).map(|(place, _)| place).collect();
        if places.is_empty() {
            // Envoy's panic mode: any.
            places = self.hosts.iter().enumerate().filter(|(_, host)| host.known).map(|(place, _)| place).collect();
        }
        let one = places[self.random.below(places.len())];
        let other = places[self.random.below(places.len())];
        if self.hosts[other].in_flight < self.hosts[one].in_flight { other } else { one }
    }

    /// Takes in how a try went.
    pub fn tried(&mut self, pick: &Pick, answered: bool, now: Micros) {
        let host = &mut self.hosts[pick.endpoint];
        host.in_flight -= 1;
        host.failures = if answered { 0 } else { host.failures + 1 };
        // The filter does without.
        if host.failures >= EJECT_AFTER && self.kind != Kind::Weir {
            host.failures = 0;
            host.ejected_until = now + EJECTED_FOR;
        }
    }

    /// Takes in how a request went.
    pub fn ended(&mut self, now: Micros, pick: &Pick, took: Micros, tries: u32, answered: bool) {
        if self.kind == Kind::Weir {
            let by = self.hosts[pick.endpoint].zone;
            self.weir.ended(now, pick, took, tries, answered.then_some(by));
        }
    }
}

/// What part of a caller's requests Envoy's zone-aware routing sends to each zone
/// (<https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware>).
fn zone_aware(own: usize, zones: &[Zone]) -> Vec<f64> {
    let all = |of: fn(&Zone) -> usize| zones.iter().map(of).sum::<usize>() as f64;
    let (callers, endpoints) = (all(|zone| zone.callers), all(|zone| zone.endpoints));
    let from: Vec<f64> = zones.iter().map(|zone| zone.callers as f64 / callers).collect();
    let to: Vec<f64> = zones.iter().map(|zone| zone.endpoints as f64 / endpoints).collect();
    let stays = if from[own] <= to[own] { 1.0 } else { to[own] / from[own] };
    let room = |zone: usize| (to[zone] - from[zone]).max(0.0);
    let rooms: f64 = (0..zones.len()).map(room).sum();
    (0..zones.len()).map(|zone| if zone == own { stays } else { (1.0 - stays) * room(zone) / rooms.max(f64::MIN_POSITIVE) }).collect()
}
