//! Whether a zone serves.

/// The own zone fails when of its last [`RECENT`] outcomes [`FAILURES`] failed, so more than half.
const RECENT: u32 = 9;
const FAILURES: u32 = 5;
/// Failures further apart than this do not belong together.
const FORGET_MS: u64 = 2_000;
/// How long the own zone is left alone before probes go back: at first, and at most, doubled by each probe that fails.
/// Short, since a probe is retried elsewhere when it fails and nobody notices.
const FIRST_BACKOFF_MS: u64 = 1_000;
const MAX_BACKOFF_MS: u64 = 5_000;
/// One probe in this time, and this many that succeed in a row, bring the own zone back.
const PROBE_EVERY_MS: u64 = 250;
const PROBES: u32 = 3;
/// The same for another zone. It is left at its first failure, since no retry leaves a zone that was named, and is not tried again soon,
/// since everybody notices.
const OTHER_FIRST_BACKOFF_MS: u64 = 10_000;
const OTHER_MAX_BACKOFF_MS: u64 = 300_000;

/// Whether a zone serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    /// Whether it is the proxy's own.
    is_near: bool,
    pub(super) state: State,
    /// Since when: of two workers the later one is right.
    pub(super) since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In use. `recent` has a bit per outcome, the last one lowest, 1 for a failure.
    InUse { recent: u32, last_failure: u64 },
    /// Left alone, but for probes from `probe_at` on.
    Left { probe_at: u64, backoff: u64, successes: u32 },
}

impl State {
    pub(super) const FRESH: Self = Self::InUse { recent: 0, last_failure: 0 };
}

impl Health {
    pub const NEAR: Self = Self { is_near: true, state: State::FRESH, since: 0 };
    pub const OTHER: Self = Self { is_near: false, ..Self::NEAR };

    pub fn is_in_use(&self) -> bool {
        matches!(self.state, State::InUse { .. })
    }

    /// Whether a request may go there although it was left, to see whether it is back.
    pub fn may_probe(&self, now: u64) -> bool {
        matches!(self.state, State::Left { probe_at, .. } if now >= probe_at)
    }

    /// A probe goes there: no other one for a while.
    pub fn probing(&mut self, now: u64) {
        if let State::Left { probe_at, backoff, .. } = &mut self.state {
            *probe_at = now + if self.is_near { PROBE_EVERY_MS } else { *backoff };
        }
    }

    pub fn served(&mut self, now: u64) {
        match &mut self.state {
            State::InUse { recent, .. } => *recent <<= 1,
            State::Left { successes, .. } => {
                *successes += 1;
                if *successes >= PROBES || !self.is_near {
                    *self = Self { state: State::FRESH, since: now, ..*self };
                }
            }
        }
    }

    pub fn failed(&mut self, now: u64) {
        match &mut self.state {
            State::InUse { recent, last_failure } => {
                if now.saturating_sub(*last_failure) > FORGET_MS {
                    *recent = 0;
                }
                *recent = (*recent << 1 | 1) & ((1 << RECENT) - 1);
                *last_failure = now;
                if recent.count_ones() >= FAILURES || !self.is_near {
                    let backoff = if self.is_near { FIRST_BACKOFF_MS } else { OTHER_FIRST_BACKOFF_MS };
                    *self = Self { state: State::Left { probe_at: now + backoff, backoff, successes: 0 }, since: now, ..*self };
                }
            }
            State::Left { probe_at, backoff, successes } => {
                *backoff = (*backoff * 2).min(if self.is_near { MAX_BACKOFF_MS } else { OTHER_MAX_BACKOFF_MS });
                *probe_at = now + *backoff;
                *successes = 0;
            }
        }
    }

    /// Takes over what another worker found out later.
    pub fn merge(&mut self, state: State, since: u64) {
        if since > self.since {
            *self = Self { state, since, ..*self };
        }
    }
}
