//! What a worker of this proxy sees of each service's zones, and the choice that follows from it.
//!
//! Times are milliseconds of any clock that only goes forward. Nothing is allocated after [`Observed::new`].

use super::policy::{Compiled, Policy};
use super::response::Outcome;
use super::service::Service;
use std::fmt;

/// Where a request goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// No zone is named: Envoy's priorities apply.
    Near,
    /// As [`Choice::Near`], to see whether the own zone is back.
    Probe,
    /// To the zone at this place of the service's zones, since the own one fails.
    Failover(u16),
    /// To that zone, since the own one takes longer.
    Spill(u16),
    /// To that zone, to see how long it takes.
    Compare(u16),
}

impl Choice {
    /// The place of the zone that is named, if one is.
    pub fn place(self) -> Option<u16> {
        match self {
            Self::Near | Self::Probe => None,
            Self::Failover(place) | Self::Spill(place) | Self::Compare(place) => Some(place),
        }
    }
}

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// What was chosen for it.
    pub choice: Choice,
    /// What it tells about the zone that it was meant for.
    pub outcome: Outcome,
    /// How long the zone took, in microseconds, if it answered at the first attempt and well.
    pub micros: Option<u32>,
}

/// While all is well so many requests are looked at between two ticks, since reading what became of them costs more than all else here,
/// but at least one in so many. A failure that is missed was hidden by a retry, and the next ones are not missed.
const LOOKS: u32 = 32;
const LOOK_AT_ONE_IN: u32 = 32;
/// More requests under way than so many, and so many times as many as usual, are looked into for so long.
const SURGE: f32 = 6.0;
const SURGES: f32 = 3.0;
const SURGE_MS: u64 = 5_000;
/// How many requests back what is usual reaches.
const USUAL: f32 = 1_024.0;

/// What this worker sees of every service of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub(super) services: Box<[Service]>,
    /// Until when each request is looked at; 0 while all is well.
    alert_until: u64,
    /// Whether any service spills, so that a surge matters.
    spills: bool,
    /// All requests under way, how many there usually are, and by how many requests that is known.
    under_way: u32,
    usually: f32,
    known_by: f32,
    /// The requests since the last tick; of so many one is looked at.
    begun: u32,
    stride: u32,
}

impl Observed {
    /// Nothing seen yet.
    pub fn new(policy: &Policy) -> Self {
        let services = policy.services().iter().map(|service| Service::new(service.zones.len())).collect();
        let spills = policy.services().iter().any(|service| service.spill.is_some());
        Self { services, alert_until: 0, spills, under_way: 0, usually: 0.0, known_by: 0.0, begun: 0, stride: 1 }
    }

    /// Whether every choice is [`Choice::Near`], whatever the service: then nothing of the request need be read.
    pub fn is_calm(&self) -> bool {
        self.alert_until == 0
    }

    /// A request begins. For how many it stands that is to be looked at when it ends; 0 if it is not to be. The clock is read if there are
    /// more of them than usual.
    pub fn begins(&mut self, clock: impl FnOnce() -> u64) -> u32 {
        self.under_way += 1;
        self.known_by = (self.known_by + 1.0).min(USUAL);
        self.usually += (self.under_way as f32 - self.usually) / self.known_by;
        if self.spills && self.under_way as f32 > SURGE + SURGES * self.usually {
            let now = clock();
            self.alert(now + SURGE_MS, now);
        }
        self.begun = self.begun.wrapping_add(1);
        match self.begun % self.stride {
            _ if !self.is_calm() => 1,
            0 => self.stride,
            _ => 0,
        }
    }

    /// A request ends.
    pub fn ends(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Some time has passed: half a second or so.
    pub fn tick(&mut self, now: u64) {
        // After a pause not all of the next burst are looked at.
        self.stride = (self.begun / LOOKS).max(self.stride / 2).clamp(1, LOOK_AT_ONE_IN);
        self.begun = 0;
        let alert_until = self.services.iter().map(Service::alert_until).max().unwrap_or(0);
        if self.alert_until <= now || self.alert_until == u64::MAX {
            self.alert_until = if alert_until > now { alert_until } else { 0 };
        }
    }

    /// Chooses for one request. It has to be heard of again, by [`Observed::observe`] or [`Observed::lost`].
    pub fn choose(&mut self, service: &Compiled, now: u64, random: u32) -> Choice {
        let Some(seen) = self.services.get_mut(service.place) else { return Choice::Near };
        let choice = seen.choose(service, now, random);
        seen.zone(choice).sent();
        choice
    }

    /// Takes in how a request went for which this worker chose.
    pub fn observe(&mut self, service: &Compiled, ended: &Ended, now: u64) {
        self.lost(service, ended.choice);
        self.sample(service, ended, now);
    }

    /// Takes in how a request went that was sent without a choice.
    pub fn sample(&mut self, service: &Compiled, ended: &Ended, now: u64) {
        let Some(seen) = self.services.get_mut(service.place) else { return };
        seen.take_in(service, ended, now);
        let alert_until = seen.alert_until();
        self.alert(alert_until, now);
    }

    /// Looks at each request until then.
    pub(super) fn alert(&mut self, until: u64, now: u64) {
        if until > now {
            self.alert_until = self.alert_until.max(until);
        }
    }

    /// A request for which this worker chose is not going to be heard of.
    pub fn lost(&mut self, service: &Compiled, choice: Choice) {
        if let Some(seen) = self.services.get_mut(service.place) {
            seen.zone(choice).lost();
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Near => "no zone named: Envoy's priorities apply",
            Self::Probe => "no zone named: a probe of the own zone",
            Self::Failover(_) => "the own zone fails, so another: ",
            Self::Spill(_) => "the own zone takes longer, so another: ",
            Self::Compare(_) => "to compare it with the own zone, another: ",
        })
    }
}
