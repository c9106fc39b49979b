//! A block: answers that came one after the other, compared as a whole.
//!
//! Where a block ends is settled before its answers are seen: their number is. So who was asked stays a random draw, given all
//! that was answered, and the comparison holds even while outcomes drift within the block. How many answers the next one takes
//! follows from this one, so that some of both subsets are in it, at a weight of 1 % as at 50 or 99 %.

use super::failures::{Counts, Tally};
use super::latency::{self, Sample};
use super::{Answer, Subset, Tolerance};

/// Blocks have a power of two of answers, between these.
const SHORTEST: u16 = 32;
const LONGEST: u16 = 256;
/// Of the rarer subset, with fewer than this a block was too short and with more than that too long.
const FEW: u32 = 2;
const MANY: u32 = 6;

/// A block that fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) counts: Counts,
    pub(super) canary: Sample,
    pub(super) stable: Sample,
    /// How many answers it takes.
    pub(super) size: u16,
}

impl Block {
    pub(super) const fn new(size: u16) -> Self {
        const NONE: Tally = Tally { requests: 0, failures: 0 };
        Self { counts: Counts { canary: NONE, stable: NONE }, canary: Sample::NONE, stable: Sample::NONE, size }
    }

    pub(super) const FIRST: Self = Self::new(SHORTEST);
    /// For a canary that gets a trickle.
    pub(super) const OF_TRICKLE: Self = Self::new(128);

    /// Takes an answer in; whether the block is full then.
    #[inline]
    pub(super) fn push(&mut self, answer: &Answer, tolerance: &Tolerance) -> bool {
        self.counts.of(answer.subset).add(answer.micros.is_none());
        if let Some(micros) = answer.micros {
            match answer.subset {
                Subset::Canary => self.canary.push(latency::coarse((micros as f32 - tolerance.later_micros) / tolerance.slower)),
                Subset::Stable => self.stable.push(latency::coarse(micros as f32)),
            }
        }
        let answers = self.counts.canary.requests + self.counts.stable.requests;
        // A canary whose weight was raised need not wait for the end of a block that was meant for less. This looks at who was
        // asked, if not at what was answered; it is rare while the weight stays the same.
        answers >= u32::from(self.size) || (answers.is_multiple_of(u32::from(SHORTEST)) && self.of_rarer() > MANY)
    }

    fn of_rarer(&self) -> u32 {
        self.counts.canary.requests.min(self.counts.stable.requests)
    }

    /// The block after this one.
    pub(super) fn next(&self) -> Self {
        Self::new(match self.of_rarer() {
            ..FEW => self.size.saturating_mul(2).min(LONGEST),
            FEW..=MANY => self.size,
            _ => (self.size / 2).max(SHORTEST),
        })
    }
}
