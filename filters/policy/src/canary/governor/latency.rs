//! The bet on latency: at which place among the stable's successes does a success of the canary stand?
//!
//! Were both equal, each place would be as likely: the rank of a value among those before it is uniform, and independent of how
//! those stand to each other (Rényi 1962; a conformal test as of Vovk, Nouretdinov, Gammerman, Testing exchangeability on-line,
//! 2003). The bet is on Lehmann's alternative (The power of rank tests, 1953): the canary's latency is the largest of `k` of the
//! stable's. A place `u` in (0, 1) then has density `k u^(k-1)`, whatever the latency's distribution is. Or a part of the canary's
//! answers only is slow, and that very much; the others are as the stable's, with density 1.

use super::Tolerance;

/// What is bet on: the part of the canary's answers that is slow, and `k - 1`.
const SLOW: [(f64, i32); BETS] = [(1.0, 1), (1.0, 3), (0.5, 7), (0.1, 15)];
pub(super) const BETS: usize = 4;

/// How many latencies of each subset a block keeps.
pub(super) const KEPT: usize = 32;

/// A latency as the upper half of a float: orders as the float does, and is right to 0.4 %.
pub(super) fn coarse(micros: f32) -> u16 {
    (micros.max(0.0).to_bits() >> 15) as u16
}

/// The least latency that is as coarse.
pub(super) fn micros(coarse: u16) -> f32 {
    f32::from_bits(u32::from(coarse) << 15)
}

/// A canary's latency without what is tolerated.
fn tolerated(coarse: u16, tolerance: &Tolerance) -> u16 {
    self::coarse((micros(coarse) - tolerance.later_micros) / tolerance.slower)
}

/// Latencies of one subset in a block: all of them, or if those are too many every second, fourth and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) kept: [u16; KEPT],
    pub(super) len: u16,
    pub(super) stride: u16,
    pub(super) seen: u16,
}

impl Sample {
    pub(super) const NONE: Self = Self { kept: [0; KEPT], len: 0, stride: 1, seen: 0 };

    #[inline]
    pub(super) fn push(&mut self, latency: u16) {
        let skip = self.seen & (self.stride - 1) != 0;
        self.seen = self.seen.wrapping_add(1);
        if skip {
            return;
        }
        if let Some(slot) = self.kept.get_mut(usize::from(self.len)) {
            *slot = latency;
            self.len += 1;
        } else {
            // This one's place is a multiple of the doubled stride, too.
            self.thin();
            self.push_kept(latency);
        }
    }

    fn push_kept(&mut self, latency: u16) {
        if let Some(slot) = self.kept.get_mut(usize::from(self.len)) {
            *slot = latency;
            self.len += 1;
        }
    }

    fn thin(&mut self) {
        let all = self.kept;
        for (slot, latency) in self.kept.iter_mut().zip(all.iter().step_by(2)) {
            *slot = *latency;
        }
        self.len = KEPT as u16 / 2;
        self.stride = self.stride.saturating_mul(2).max(1);
    }

    pub(super) fn kept(&self) -> &[u16] {
        self.kept.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The bet on what is left of the canary's latencies without what is tolerated.
pub(super) fn compare(canary: &Sample, stable: &Sample, tolerance: &Tolerance) -> Option<[f64; BETS]> {
    let mut left = canary.kept;
    left.iter_mut().for_each(|latency| *latency = tolerated(*latency, tolerance));
    bet(left.get(..usize::from(canary.len)).unwrap_or_default(), stable.kept())
}

/// The e-value of each bet, or nothing if one subset has no success. The subset with fewer is placed among the other: the canary's
/// are bet to be slow, or the stable's to be quick.
pub(super) fn bet(canary: &[u16], stable: &[u16]) -> Option<[f64; BETS]> {
    if canary.is_empty() || stable.is_empty() {
        None
    } else if canary.len() <= stable.len() {
        Some(place(canary, stable, |other, own| other < own))
    } else {
        Some(place(stable, canary, |other, own| other > own))
    }
}

/// Equal latencies share the middle of their places. `u` is the middle of a place, and the mean of a convex function over these is
/// at most its integral, which is 1; so each factor is at most 1 in expectation, and sharing lowers it further.
fn place(few: &[u16], many: &[u16], beyond: impl Fn(u16, u16) -> bool) -> [f64; BETS] {
    let mut values = [1.0; BETS];
    for (before, &own) in few.iter().enumerate() {
        let count = |others: &[u16]| {
            let halves = |&other: &u16| 2 * u32::from(beyond(other, own)) + u32::from(other == own);
            others.iter().map(halves).sum::<u32>()
        };
        let halves = count(many) + few.get(..before).map_or(0, count);
        let u = f64::from(halves + 1) / (2 * (many.len() + before + 1)) as f64;
        for (value, (part, power)) in values.iter_mut().zip(SLOW) {
            *value *= part * f64::from(power + 1) * u.powi(power) + (1.0 - part);
        }
    }
    values
}
