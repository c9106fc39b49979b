//! A block: answers that came one after the other, compared as a whole.
//!
//! Where a block ends is settled before its answers are seen: their number is, and for how long they are waited for. So who was asked
//! stays a random draw, given all that was answered, and the comparison holds even while outcomes drift within the block. How many
//! answers the next one takes follows from this one, so that some of both subsets are in it, at a weight of 1 % as at 50 or 99 %.

use super::failures::{Counts, Tally};
use super::latency::{self, Sample};
use super::state::Total;
use super::users::Named;
use super::{Answer, Subset};

/// Blocks have a power of two of answers, between these.
pub(super) const SHORTEST: u16 = 32;
pub(super) const LONGEST: u16 = 256;
/// Of the rarer subset, with fewer than this a block was too short and with more than that too long.
const FEW: u32 = 2;
const MANY: u32 = 6;
/// A block is not waited for any longer when it has this part of its answers.
const OLD_MS: u64 = 3_000;
const PART: u16 = 8;

/// A block: while it fills, what a proxy's workers share; then, what the proxy tells the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub(super) counts: Counts,
    pub(super) canary: Sample,
    pub(super) stable: Sample,
    /// The users who failed.
    pub(super) failed: Named,
    /// All that was answered since the last block, compared or not: by the canary, by the stable.
    pub(super) totals: [Total; 2],
    /// How many answers it takes.
    pub(super) size: u16,
    /// When its first answer came.
    pub(super) since_ms: u64,
}

impl Block {
    pub(super) const fn new(size: u16) -> Self {
        const NONE: Tally = Tally { requests: 0, failures: 0 };
        Self {
            counts: Counts { canary: NONE, stable: NONE },
            canary: Sample::NONE,
            stable: Sample::NONE,
            failed: Named::NONE,
            totals: [Total::NONE; 2],
            size,
            since_ms: 0,
        }
    }

    pub(super) const FIRST: Self = Self::new(SHORTEST);
    /// For a canary that gets a trickle.
    pub(super) const OF_TRICKLE: Self = Self::new(128);

    /// All that a subset answered since the block before, compared or not.
    pub fn total(&self, subset: Subset) -> Total {
        let [canary, stable] = self.totals;
        match subset {
            Subset::Canary => canary,
            Subset::Stable => stable,
        }
    }

    /// Latencies of a subset in microseconds, to half a percent: all, or some at even distances.
    pub fn latencies(&self, subset: Subset) -> impl Iterator<Item = f32> {
        let sample = match subset {
            Subset::Canary => &self.canary,
            Subset::Stable => &self.stable,
        };
        sample.kept().iter().map(|latency| latency::micros(*latency))
    }

    /// Takes note of an answer that may be left out of the comparison.
    #[inline]
    pub(super) fn note(&mut self, answer: &Answer) {
        let [canary, stable] = &mut self.totals;
        match answer.subset {
            Subset::Canary => canary.add(answer),
            Subset::Stable => stable.add(answer),
        }
    }

    /// Takes an answer in; whether the block is full then.
    #[inline]
    pub(super) fn push(&mut self, answer: &Answer, now_ms: u64) -> bool {
        if self.answers() == 0 {
            self.since_ms = now_ms;
        }
        self.counts.of(answer.subset).add(answer.micros.is_none());
        match (answer.micros, answer.subset) {
            (Some(micros), Subset::Canary) => self.canary.push(latency::coarse(micros as f32)),
            (Some(micros), Subset::Stable) => self.stable.push(latency::coarse(micros as f32)),
            (None, subset) => self.failed.add(subset, answer.bucket),
        }
        let answers = self.answers();
        // A canary whose weight was raised need not wait for the end of a block that was meant for less. This looks at who was
        // asked, if not at what was answered; it is rare while the weight stays the same.
        answers >= u32::from(self.size) || (answers.is_multiple_of(u32::from(SHORTEST)) && self.of_rarer() > MANY)
    }

    pub(super) fn answers(&self) -> u32 {
        self.counts.canary.requests + self.counts.stable.requests
    }

    /// Whether it is not to be waited for any longer.
    pub(super) fn is_old(&self, now_ms: u64) -> bool {
        self.answers() >= u32::from(self.size / PART) && now_ms.saturating_sub(self.since_ms) >= OLD_MS
    }

    fn of_rarer(&self) -> u32 {
        self.counts.canary.requests.min(self.counts.stable.requests)
    }

    /// The block after this one, which was full or not waited for.
    pub(super) fn next(&self) -> Self {
        let (few, many) = if self.answers() < u32::from(SHORTEST) { (1, 1) } else { (FEW, MANY) };
        let rarer = self.of_rarer();
        Self::new(match () {
            () if rarer < few => self.size.saturating_mul(2).min(LONGEST),
            () if rarer > many => (self.size / 2).max(SHORTEST),
            () => self.size,
        })
    }
}
