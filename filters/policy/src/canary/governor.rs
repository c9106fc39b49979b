//! The canary governor: holds a canary back that answers worse than the stable.
//!
//! Answers are taken in as they come, in blocks, and each block multiplies the evidence that the canary fails more often, or that
//! it is slower. The evidence may be looked at after every answer, for ever: a canary that is not worse is held with at most the
//! probability that was asked for, over its whole life. One that is held is probed after a backoff with a trickle of its users,
//! which doubles while nothing speaks against it; a canary once proven bad needs less evidence to be held again. When it is open
//! again, its life begins anew.
//!
//! The same code runs in each proxy, which feeds it single answers, and in the control plane, which feeds it the proxies' blocks in the
//! order in which they come: what a block says is worth as much whatever others said before, so that here, too, a canary that is not
//! worse is held with at most the probability asked for. Times are milliseconds of a clock that all callers of one [`State`] share. Nothing is allocated.
//!
//! What "not worse" means: which subset a user is dealt to says nothing about how that user is answered. A tester is not dealt but
//! asks for the canary, so that its answers are not to be fed in.

mod answer;
mod block;
mod bytes;
mod evidence;
mod failures;
mod latency;
mod report;
mod state;
#[cfg(test)]
mod tests;
mod users;

pub use answer::Ended;
pub use block::Block;
use evidence::Evidence;
use failures::Counts;
pub use report::Record;
pub use state::{Order, Phase, Reason, State, Total};
use users::Failed;

/// All of the canary's users, as a share.
pub const EVERYONE: u16 = 10_000;

/// The evidence that holds a canary again while it is probed: a good one is held again in at most one of so many probings.
const PROBING_NEEDS: f64 = 20.0;
/// How long a canary is held: at first, and at most, doubled by each hold.
const FIRST_BACKOFF_MS: u64 = 15_000;
const MAX_BACKOFF_MS: u64 = 300_000;
/// After so long a time open, the next hold is a first one.
const FORGET_MS: u64 = 600_000;
/// Probing begins with a thirty-second of the canary's users. While nothing speaks against it that doubles after this time and so
/// many answers, or after that time if they do not come; and if there is a doubt that too few answers would clear, after this one.
const TRICKLE: u16 = EVERYONE / 32 + 1;
const STEP_MS: u64 = 5_000;
const STEP_ANSWERS: u32 = 10;
const LONG_STEP_MS: u64 = 30_000;
const LONGEST_STEP_MS: u64 = 120_000;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    /// The new version.
    Canary,
    /// What it is compared with.
    Stable,
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Who gave it.
    pub subset: Subset,
    /// The bucket of the user who asked, if it is known.
    pub bucket: Option<u16>,
    /// How long it took in microseconds, if it was a success.
    pub micros: Option<u32>,
}

/// By how much a canary may be slower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// By this factor, at least 1...
    pub slower: f32,
    /// ...and then by so many microseconds.
    pub later_micros: f32,
}

impl Tolerance {
    /// A tenth and a millisecond.
    pub const DEFAULT: Self = Self { slower: 1.1, later_micros: 1_000.0 };
}

/// The rules for one canary, compiled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Governor {
    tolerance: Tolerance,
    /// The evidence that holds an open canary.
    needed: f64,
}

impl Governor {
    /// A governor that holds a canary that is not worse with at most the probability `false_alarm`, over its whole life. Where
    /// several govern the same canary, each gets its part of it: a proxy that starts anew is one more.
    pub fn new(false_alarm: f64, tolerance: Tolerance) -> Self {
        Self { tolerance, needed: 1.0 / false_alarm }
    }

    /// Takes in answers in the order in which they came, at the time `now_ms`. Blocks that are closed thereby are handed on to `closed`.
    pub fn observe(&self, state: &mut State, answers: &[Answer], now_ms: u64, closed: &mut Vec<Block>) {
        self.advance(state, now_ms);
        for answer in answers {
            state.total_mut(answer.subset).add(answer);
            state.block.note(answer);
            match &mut state.phase {
                Phase::Held { .. } => continue,
                _ if state.order.share == 0 => continue,
                Phase::Probing { answers, .. } if answer.subset == Subset::Canary => *answers = answers.saturating_add(1),
                Phase::Probing { .. } | Phase::Open { .. } => {}
            }
            if let Some(bucket) = answer.bucket {
                if state.failed.has(bucket) {
                    continue;
                }
                if answer.micros.is_none() {
                    state.failed.add(bucket);
                }
            }
            if state.block.push(answer, now_ms) {
                self.close(state, state.block.next(), now_ms, closed);
            }
        }
        if state.block.is_old(now_ms) {
            self.close(state, state.block.next(), now_ms, closed);
        }
    }

    /// Takes in a block of a proxy's, at the time `now_ms`. Who failed already in another proxy counts no more.
    pub fn take(&self, state: &mut State, block: &Block, now_ms: u64) {
        self.advance(state, now_ms);
        for subset in [Subset::Canary, Subset::Stable] {
            state.total_mut(subset).add_all(block.total(subset));
        }
        match &mut state.phase {
            Phase::Held { .. } => return,
            Phase::Probing { answers, .. } => *answers = answers.saturating_add(block.counts.canary.requests),
            Phase::Open { .. } => {}
        }
        let mut counts = block.counts;
        for (subset, bucket) in block.failed.each() {
            if state.failed.has(bucket) {
                let tally = counts.of(subset);
                tally.requests = tally.requests.saturating_sub(1);
                tally.failures = tally.failures.saturating_sub(1);
            } else {
                state.failed.add(bucket);
            }
        }
        self.play(state, &counts, block, now_ms);
    }

    /// Does what the control plane says. What was compared under another share is a block of its own; what was said in an earlier round
    /// holds no more.
    pub fn obey(&self, state: &mut State, order: Order, now_ms: u64, closed: &mut Vec<Block>) {
        if order.round > state.order.round {
            *state = state.anew();
        } else if order.round < state.order.round {
            return;
        }
        let before = std::mem::replace(&mut state.order, order);
        if order.share == before.share {
            return;
        }
        let next = if order.share < EVERYONE { Block::OF_TRICKLE } else { Block::FIRST };
        if state.block.answers() > 0 {
            self.close(state, next, now_ms, closed);
        } else {
            state.block = Block { totals: state.block.totals, ..next };
        }
    }

    /// Lets time pass: probes a canary that was held for long enough, and lets more users in while probing goes well. To be called
    /// now and then if no answers come.
    pub fn advance(&self, state: &mut State, now_ms: u64) {
        match state.phase {
            Phase::Open { .. } => {}
            Phase::Held { until_ms } => {
                // A clock that was set back must not hold for longer than it would have been.
                if now_ms >= until_ms || until_ms - now_ms > MAX_BACKOFF_MS {
                    state.block = Block { totals: state.block.totals, ..Block::OF_TRICKLE };
                    state.phase = Phase::Probing { share: TRICKLE, since_ms: now_ms, answers: 0 };
                }
            }
            Phase::Probing { share, since_ms, answers } => {
                let passed = now_ms.saturating_sub(since_ms);
                let due = passed >= LONG_STEP_MS || (passed >= STEP_MS && answers >= STEP_ANSWERS);
                let doubt = state.evidence.whole() > 1.0;
                if !due || (doubt && passed < LONGEST_STEP_MS) {
                    return;
                }
                let share = share.saturating_mul(2);
                if share >= EVERYONE {
                    state.evidence = Evidence::new();
                    state.phase = Phase::Open { since_ms: now_ms };
                } else {
                    state.phase = Phase::Probing { share, since_ms: now_ms, answers: 0 };
                }
            }
        }
    }

    /// The evidence that would hold the canary now, as the logarithm to base 10: see [`State::evidence`].
    pub fn needed(&self, state: &State) -> f64 {
        self.threshold(state).log10()
    }

    fn threshold(&self, state: &State) -> f64 {
        if matches!(state.phase, Phase::Open { .. }) { self.needed } else { PROBING_NEEDS }
    }

    fn close(&self, state: &mut State, next: Block, now_ms: u64, closed: &mut Vec<Block>) {
        let block = std::mem::replace(&mut state.block, next);
        self.play(state, &block.counts, &block, now_ms);
        closed.push(block);
    }

    fn play(&self, state: &mut State, counts: &Counts, block: &Block, now_ms: u64) {
        if let Some(values) = failures::bet(counts) {
            state.evidence.of_failures(values);
        }
        if let Some(values) = latency::compare(&block.canary, &block.stable, &self.tolerance) {
            state.evidence.of_latency(values);
        }
        self.judge(state, now_ms);
    }

    fn judge(&self, state: &mut State, now_ms: u64) {
        if state.evidence.whole() < self.threshold(state) {
            return;
        }
        if let Phase::Open { since_ms } = state.phase {
            state.closed_ms = now_ms;
            if now_ms.saturating_sub(since_ms) >= FORGET_MS {
                state.strikes = 0;
            }
        }
        let backoff = (FIRST_BACKOFF_MS << state.strikes.min(16)).min(MAX_BACKOFF_MS);
        state.phase = Phase::Held { until_ms: now_ms.saturating_add(backoff) };
        state.strikes = state.strikes.saturating_add(1);
        state.holds = state.holds.saturating_add(1);
        let slow = state.evidence.latency.sum() > state.evidence.failures.sum();
        state.reason = Some(if slow { Reason::Latency } else { Reason::Failures });
        state.evidence = state.evidence.again();
        state.failed = Failed::default();
    }
}

/// Whether the canary's user of this bucket may go to it while it has this share: who may goes on to when the share grows. Users
/// are let in spread over the buckets, so that of any interval of them, whatever weight it stands for, the share is about right.
pub fn admits(share: u16, bucket: u16) -> bool {
    // Prime to 10,000, so that each bucket has a place of its own, and near the golden section of it, so that neighbours are far apart.
    u32::from(bucket) * 6_181 % u32::from(EVERYONE) < u32::from(share)
}
