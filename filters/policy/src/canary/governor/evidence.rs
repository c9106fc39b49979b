//! Evidence against a canary: the capital of someone who bets that it is worse.
//!
//! Each block multiplies what is staked by its e-value. If the canary is not worse this is a supermartingale, whatever was seen
//! before and whenever one looks, and it ever reaches `1 / a` with probability at most `a` (Ville 1939).
//!
//! Capital that is staked from the beginning is gone after a long calm. So half is staked at the start and the other half bit by
//! bit, for ever, as in fixed-share tracking (Herbster, Warmuth, Tracking the best expert, 1998) and in e-detectors (Shin, Ramdas,
//! Rinaldo, 2023), but out of a budget that never runs out: what is left after `n` blocks is `(1 + n/16)^(-1/4)` of it. The bound
//! thus holds for the whole life of the canary, and a canary that turns bad after `n` blocks costs a factor of order `n^(5/4)`, so
//! some twice the evidence after 100,000 answers.

use super::failures::ODDS;
use super::latency::BETS;

/// What is staked at the start.
const AT_START: f64 = 0.5;
const PACE: f64 = 16.0;
/// What part of the capital begins anew where it was earned.
const REMEMBERED: f64 = 0.75;
/// No capital grows beyond this.
pub(super) const MOST: f64 = 1e300;

/// How the capital is divided among the odds ratios, and among the bets on latency: these get a quarter, since slowness shows in
/// fewer answers than a few failures more do.
const FAILURES: [f64; ODDS.len()] = [0.075, 0.19, 0.19, 0.15, 0.105, 0.04];
const LATENCY: [f64; BETS] = [0.075, 0.1, 0.035, 0.04];

/// The capital of `N` bets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capital<const N: usize> {
    pub(super) bets: [f64; N],
    /// How many blocks told something.
    pub(super) blocks: u32,
}

impl<const N: usize> Capital<N> {
    fn new(division: [f64; N]) -> Self {
        Self { bets: division.map(|part| part * AT_START), blocks: 0 }
    }

    /// Stakes a little more, then takes in what a block says.
    fn play(&mut self, division: &[f64; N], values: [f64; N]) {
        self.blocks = self.blocks.saturating_add(1);
        // The budget is convex, so that this, its slope at the block's end, is less than what it falls by.
        let y = 1.0 + f64::from(self.blocks) / PACE;
        let staked = 0.25 * (1.0 - AT_START) / PACE / (y * y.sqrt().sqrt());
        for ((bet, part), value) in self.bets.iter_mut().zip(division).zip(values) {
            // Beyond this nothing changes; an infinity would be unreadable.
            *bet = ((staked * *part + *bet) * value).min(MOST);
        }
    }

    pub(super) fn sum(&self) -> f64 {
        self.bets.iter().sum()
    }

    fn again(&self, division: &[f64; N], whole: f64) -> Self {
        let mut bets = self.bets;
        for (bet, part) in bets.iter_mut().zip(division) {
            *bet = AT_START * (REMEMBERED * *bet / whole + (1.0 - REMEMBERED) * part);
        }
        Self { bets, blocks: 0 }
    }
}

/// The capital of all bets. It begins with [`AT_START`], and what is left of 1 is staked by and by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    pub(super) failures: Capital<{ ODDS.len() }>,
    pub(super) latency: Capital<BETS>,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self { failures: Capital::new(FAILURES), latency: Capital::new(LATENCY) }
    }

    pub(super) fn of_failures(&mut self, values: [f64; ODDS.len()]) {
        self.failures.play(&FAILURES, values);
    }

    pub(super) fn of_latency(&mut self, values: [f64; BETS]) {
        self.latency.play(&LATENCY, values);
    }

    pub(super) fn whole(&self) -> f64 {
        self.failures.sum() + self.latency.sum()
    }

    /// A new beginning, with most of the capital where it was earned: what a canary was held for is what is looked for when it is
    /// probed.
    pub(super) fn again(&self) -> Self {
        let whole = self.whole().max(f64::MIN_POSITIVE);
        Self { failures: self.failures.again(&FAILURES, whole), latency: self.latency.again(&LATENCY, whole) }
    }
}
