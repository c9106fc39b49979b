//! What this worker sees of one service's zones, and which of them it chooses.

use super::dice::Dice;
use super::observed::{Choice, Ended};
use super::policy::{Compiled, Spill};
use super::response::Outcome;
use super::watch::Watch;
use super::zone::Zone;
use std::ops::Range;

/// How long each request is looked at after a failure.
const FAILURE_MS: u64 = 2_000;
/// So many requests go to a zone that is not known: more the slower the own one has become, in octaves.
const UNKNOWN: f32 = 0.1;
const MOST_UNKNOWN: f32 = 0.5;
const UNKNOWN_AT_OCTAVES: f32 = 4.0;
/// So many go to one that is known, to keep it so, and so many at most: the rest tell how the own one is.
const COMPARED: f32 = 0.01;
const MOST: f32 = 0.98;

/// A service's zones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    pub near: Zone,
    /// As in the policy.
    pub others: Box<[Zone]>,
    watch: Watch,
    /// Until when a failure is looked into.
    failed_until: u64,
}

/// What speaks for another zone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    /// Too little is known.
    Open,
    /// It takes so much less that this part of the requests is to go there, which may be none.
    Part(f32),
}

impl Service {
    pub fn new(others: usize) -> Self {
        Self { near: Zone::NEAR, others: (0..others).map(|_| Zone::OTHER).collect(), watch: Watch::OFF, failed_until: 0 }
    }

    /// The zone that is meant by a choice.
    pub fn zone(&mut self, choice: Choice) -> &mut Zone {
        let other = choice.place().and_then(|place| self.others.get_mut(usize::from(place)));
        other.unwrap_or(&mut self.near)
    }

    /// The own zone, and the others as in the policy.
    pub fn zones(&mut self) -> impl Iterator<Item = &mut Zone> {
        std::iter::once(&mut self.near).chain(&mut self.others)
    }

    /// Until when each request has to be looked at: while the own zone is left, until further notice.
    pub fn alert_until(&self) -> u64 {
        if self.near.health.is_in_use() { self.watch.until().max(self.failed_until) } else { u64::MAX }
    }

    pub fn choose(&mut self, service: &Compiled, now: u64, random: u32) -> Choice {
        let mut dice = Dice::new(random);
        if self.near.health.may_probe(now) {
            self.near.health.probing(now);
            return Choice::Probe;
        }
        if !self.near.health.is_in_use() {
            return self.other(service, now, &mut dice).map_or(Choice::Near, |place| self.goes(Choice::Failover(place), now));
        }
        match &service.spill {
            Some(spill) => self.spill(service, spill, now, &mut dice),
            None => Choice::Near,
        }
    }

    fn spill(&mut self, service: &Compiled, spill: &Spill, now: u64, dice: &mut Dice) -> Choice {
        self.settle(now);
        if !self.watch.is_on() {
            return Choice::Near;
        }
        let Some(place) = self.other(service, now, dice) else { return Choice::Near };
        let Some(other) = self.others.get(usize::from(place)) else { return Choice::Near };
        let (part, choice) = match case(spill, &self.near, other) {
            Case::Open => {
                if self.near.latency.jumps() || self.near.latency.rises() {
                    self.watch.goes_on(now);
                }
                let part = (self.near.latency.excess() / UNKNOWN_AT_OCTAVES).clamp(UNKNOWN, MOST_UNKNOWN);
                (part, Choice::Compare(place))
            }
            Case::Part(part) => {
                self.watch.sends(part, now);
                (
                    part.min(self.watch.most(now)).clamp(COMPARED, MOST),
                    if part > COMPARED { Choice::Spill(place) } else { Choice::Compare(place) },
                )
            }
        };
        if dice.falls(part) { self.goes(choice, now) } else { Choice::Near }
    }

    /// A zone that was left is probed by this.
    fn goes(&mut self, choice: Choice, now: u64) -> Choice {
        self.zone(choice).health.probing(now);
        choice
    }

    /// Where to go instead of the own zone: to the first tier with a zone that serves, or a later one as far as that does better.
    fn other(&self, service: &Compiled, now: u64, dice: &mut Dice) -> Option<u16> {
        let mut chosen: Option<(u16, &Zone)> = None;
        for tier in service.tiers() {
            let Some(found) = self.better_of_two(tier, now, dice) else { continue };
            if let Some((_, before)) = chosen {
                let Some(spill) = &service.spill else { break };
                let part = match case(spill, before, found.1) {
                    // Not before the nearer one is known to be no help.
                    Case::Open if case(spill, &self.near, before) == Case::Part(0.0) => UNKNOWN,
                    Case::Open => 0.0,
                    Case::Part(part) => part,
                };
                if !dice.falls(part) {
                    break;
                }
            }
            chosen = Some(found);
        }
        chosen.map(|(place, _)| place)
    }

    /// Of two zones of a tier, drawn from those that serve, the one with the better outlook; one that is not known is made known.
    fn better_of_two(&self, tier: Range<usize>, now: u64, dice: &mut Dice) -> Option<(u16, &Zone)> {
        let first = tier.start;
        let zones = self.others.get(tier)?;
        let serving = || zones.iter().enumerate().filter(|(_, zone)| zone.health.is_in_use() || zone.health.may_probe(now));
        let count = serving().count();
        let mut draw = || {
            let (place, zone) = serving().nth(dice.below(count))?;
            Some((u16::try_from(first + place).ok()?, zone))
        };
        let (one, two) = (draw()?, draw()?);
        Some(if two.1.outlook() < one.1.outlook() { two } else { one })
    }

    /// Takes in how a request went that has ended.
    pub fn take_in(&mut self, service: &Compiled, ended: &Ended, now: u64) {
        self.zone(ended.choice).take_in(ended, now);
        if ended.choice.place().is_none() {
            self.watch.answered();
        }
        if ended.outcome == Outcome::Failed {
            self.failed_until = now + FAILURE_MS;
        }
        self.settle(now);
        if service.spill.is_some() && !self.watch.is_on() {
            let suddenly = self.near.latency.jumps();
            if suddenly || self.near.latency.rises() {
                self.watch.slow(suddenly, now);
            }
        }
    }

    /// What was looked at closely long enough, and was no worse than elsewhere, is usual.
    fn settle(&mut self, now: u64) {
        if self.watch.ends(now) {
            self.near.latency.accept();
        }
    }
}

/// What speaks for another zone in place of one.
fn case(spill: &Spill, zone: &Zone, other: &Zone) -> Case {
    let (Some(here), Some(there)) = (zone.outlook(), other.outlook()) else { return Case::Open };
    let octaves = here - there - other.latency.doubt();
    Case::Part(((octaves - spill.from) / (spill.to - spill.from)).clamp(0.0, 1.0))
}
