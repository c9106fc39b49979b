//! What this proxy sees of each zone, and the choice that follows from it.
//!
//! Times are milliseconds of any clock that only goes forward. Nothing is allocated after [`Observed::new`].

use super::policy::{Compiled, Policy};
use super::response::Outcome;
use std::fmt;

/// The own zone fails when of the last [`RECENT`] outcomes [`FAILURES`] failed, so more than half.
const RECENT: u32 = 9;
const FAILURES: u32 = 5;
/// Failures further apart than this do not belong together.
const FORGET_MS: u64 = 2_000;
/// How long the own zone is left alone before probes go back: at first, and at most, doubled by each probe that fails.
/// Short, since a probe is retried elsewhere when it fails and nobody notices.
const FIRST_BACKOFF_MS: u64 = 1_000;
const MAX_BACKOFF_MS: u64 = 5_000;
/// How long another zone is left alone after a failure: at once, since no retry leaves a zone that was named.
const AVOID_MS: u64 = 5_000;
/// One probe in this time, and this many that succeed in a row, end a deviation.
const PROBE_EVERY_MS: u64 = 250;
const PROBES: u32 = 3;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// No zone is named: Envoy's priorities apply.
    Near,
    /// As [`Choice::Near`], to see whether the own zone is back.
    Probe,
    /// To the zone at this place of the service's zones, since the own one fails.
    Deviate(u16),
}

/// While nothing fails one response in this many is looked at, since reading them costs more than all else here. A failure
/// that is missed was hidden by a retry, and the next ones are not missed.
const LOOK_AT_ONE_IN: u32 = 8;

/// What this proxy sees of every service of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    rows: Box<[Row]>,
    /// Until when every response is looked at; 0 while nothing fails.
    alert_until: u64,
    unseen: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    near: Near,
    /// Until when each other zone is avoided.
    avoid_until: Box<[u64]>,
}

/// The own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Near {
    /// In use. `recent` has a bit per outcome, the last one lowest, 1 for a failure.
    InUse { recent: u32, last_failure: u64 },
    /// Left alone, but for probes from `probe_at` on.
    Left { probe_at: u64, backoff: u64, successes: u32 },
}

impl Near {
    const FRESH: Self = Self::InUse { recent: 0, last_failure: 0 };
}

impl Observed {
    /// Nothing seen yet.
    pub fn new(policy: &Policy) -> Self {
        let row = |service: &Compiled| Row { near: Near::FRESH, avoid_until: service.zones.iter().map(|_| 0).collect() };
        Self { rows: policy.services().iter().map(row).collect(), alert_until: 0, unseen: 0 }
    }

    /// Whether every choice is [`Choice::Near`], whatever the service: then nothing of the request need be read. And a request
    /// that the own zone serves changes nothing, since failures of before are forgotten.
    pub fn is_calm(&self) -> bool {
        self.alert_until == 0
    }

    /// Whether the next response is worth its reading.
    pub fn looks(&mut self, clock: impl FnOnce() -> u64) -> bool {
        if self.alert_until > 0 {
            if clock() < self.alert_until || self.rows.iter().any(|row| matches!(row.near, Near::Left { .. })) {
                return true;
            }
            self.alert_until = 0;
        }
        self.unseen = (self.unseen + 1) % LOOK_AT_ONE_IN;
        self.unseen == 0
    }

    /// Chooses for one request. The clock is read only while the own zone is left.
    pub fn choose(&mut self, service: &Compiled, clock: impl FnOnce() -> u64) -> Choice {
        let Some(row) = self.rows.get_mut(service.place) else { return Choice::Near };
        let Near::Left { probe_at, .. } = &mut row.near else { return Choice::Near };
        let now = clock();
        if now >= *probe_at {
            *probe_at = now + PROBE_EVERY_MS;
            return Choice::Probe;
        }
        let other = row.avoid_until.iter().position(|&until| now >= until);
        other.and_then(|zone| u16::try_from(zone).ok()).map_or(Choice::Near, Choice::Deviate)
    }

    /// Takes in how a request went. The clock is read only for failures.
    pub fn observe(&mut self, service: &Compiled, choice: Choice, outcome: Outcome, clock: impl FnOnce() -> u64) {
        let Some(row) = self.rows.get_mut(service.place) else { return };
        let failed_at = (outcome == Outcome::Failed).then(clock);
        if let Some(now) = failed_at {
            self.alert_until = now + FORGET_MS;
        }
        match (choice, failed_at) {
            (Choice::Near, Some(now)) => row.near.failed(now),
            (Choice::Near, None) => row.near.served(),
            (Choice::Probe, Some(now)) => row.near.probe_failed(now),
            (Choice::Probe, None) if outcome == Outcome::Served => row.near.probe_served(),
            (Choice::Deviate(zone), Some(now)) => {
                if let Some(until) = row.avoid_until.get_mut(usize::from(zone)) {
                    *until = now + AVOID_MS;
                }
            }
            (Choice::Probe | Choice::Deviate(_), None) => {}
        }
    }
}

/// A request that was sent before the zone was left, or came back, tells nothing new: hence each checks the state.
impl Near {
    fn served(&mut self) {
        if let Self::InUse { recent, .. } = self {
            *recent <<= 1;
        }
    }

    fn failed(&mut self, now: u64) {
        let Self::InUse { recent, last_failure } = self else { return };
        if now.saturating_sub(*last_failure) > FORGET_MS {
            *recent = 0;
        }
        *recent = (*recent << 1 | 1) & ((1 << RECENT) - 1);
        *last_failure = now;
        if recent.count_ones() >= FAILURES {
            *self = Self::Left { probe_at: now + FIRST_BACKOFF_MS, backoff: FIRST_BACKOFF_MS, successes: 0 };
        }
    }

    fn probe_served(&mut self) {
        let Self::Left { successes, .. } = self else { return };
        *successes += 1;
        if *successes >= PROBES {
            *self = Self::FRESH;
        }
    }

    fn probe_failed(&mut self, now: u64) {
        let Self::Left { probe_at, backoff, successes } = self else { return };
        *backoff = (*backoff * 2).min(MAX_BACKOFF_MS);
        *probe_at = now + *backoff;
        *successes = 0;
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near => f.write_str("no zone named: Envoy's priorities apply"),
            Self::Probe => f.write_str("no zone named: a probe of the own zone"),
            Self::Deviate(_) => f.write_str("the own zone fails, so another: "),
        }
    }
}
