//! What is known of one canary: a value of fixed size, as bytes in the data that an Envoy's workers share.

use super::block::Block;
use super::evidence::Evidence;
use super::users::Failed;
use super::{Answer, EVERYONE, Subset};

/// What the governor knows of one canary, and what it lets through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    pub(super) phase: Phase,
    pub(super) reason: Option<Reason>,
    /// Holds so far.
    pub(super) holds: u32,
    /// Holds without a long good time since: the backoff doubles with each.
    pub(super) strikes: u8,
    /// Since when it is not open, or was not last.
    pub(super) closed_ms: u64,
    pub(super) evidence: Evidence,
    pub(super) block: Block,
    pub(super) failed: Failed,
    pub(super) order: Order,
    pub(super) canary: Total,
    pub(super) stable: Total,
}

/// What the control plane has said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What part of the canary's users may go to it in the whole mesh, in ten thousandths.
    pub share: u16,
    /// Grows when all that was known is to be forgotten.
    pub round: u32,
    /// Since when it is not all of them, in seconds since 1970.
    pub since: u32,
}

impl Default for Order {
    fn default() -> Self {
        Self { share: EVERYONE, round: 0, since: 0 }
    }
}

/// What the canary may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// All that its weight gives it.
    Open {
        /// Since when; 0 from the beginning.
        since_ms: u64,
    },
    /// Nothing.
    Held {
        /// When it is probed again.
        until_ms: u64,
    },
    /// A part, which grows.
    Probing {
        /// Which part of its users, in ten thousandths.
        share: u16,
        /// Since when it is this part.
        since_ms: u64,
        /// How much it answered meanwhile.
        answers: u32,
    },
}

/// For what a canary was held last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It fails more often than the stable.
    Failures,
    /// Its successes take longer than the stable's.
    Latency,
}

/// All that one subset answered so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Answers.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// The latencies of the others, in microseconds, added up.
    pub micros: u64,
}

impl Total {
    pub(super) const NONE: Self = Self { requests: 0, failures: 0, micros: 0 };

    #[inline]
    pub(super) fn add(&mut self, answer: &Answer) {
        self.requests = self.requests.saturating_add(1);
        match answer.micros {
            None => self.failures = self.failures.saturating_add(1),
            Some(micros) => self.micros = self.micros.saturating_add(u64::from(micros)),
        }
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failures = self.failures.saturating_add(other.failures);
        self.micros = self.micros.saturating_add(other.micros);
    }

    /// The mean latency of the successes in milliseconds; 0 if there are none.
    pub fn mean_ms(&self) -> f64 {
        self.micros as f64 / 1_000.0 / self.requests.saturating_sub(self.failures).max(1) as f64
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Open { since_ms: 0 },
            reason: None,
            holds: 0,
            strikes: 0,
            closed_ms: 0,
            evidence: Evidence::new(),
            block: Block::FIRST,
            failed: Failed::default(),
            order: Order::default(),
            canary: Total::default(),
            stable: Total::default(),
        }
    }
}

impl State {
    /// Whether the canary is open, held or probed.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Which part of the canary's users may go to it, in ten thousandths: see [`super::admits`].
    pub fn share(&self) -> u16 {
        self.own_share().min(self.order.share)
    }

    /// The same by what is known here, whatever the order.
    pub fn own_share(&self) -> u16 {
        match self.phase {
            Phase::Open { .. } => EVERYONE,
            Phase::Held { .. } => 0,
            Phase::Probing { share, .. } => share,
        }
    }

    /// The same canary, of which nothing is known but how much it answered.
    #[must_use]
    pub fn anew(&self) -> Self {
        let block = Block { totals: self.block.totals, ..Block::FIRST };
        Self { holds: self.holds, order: self.order, block, canary: self.canary, stable: self.stable, ..Self::default() }
    }

    /// Since when it is not open, in seconds of the clock; if it is, when it last began not to be.
    pub fn closed_since(&self) -> u32 {
        u32::try_from(self.closed_ms / 1_000).unwrap_or(u32::MAX)
    }

    /// For what the canary was held last, if ever.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// How often the canary was held.
    pub fn holds(&self) -> u32 {
        self.holds
    }

    /// All that a subset answered so far.
    pub fn total(&self, subset: Subset) -> Total {
        match subset {
            Subset::Canary => self.canary,
            Subset::Stable => self.stable,
        }
    }

    /// The evidence of this kind against the canary since it was opened or held, as the logarithm to base 10. It begins below 0;
    /// the canary is held when both kinds together come to [`super::Governor::needed`].
    pub fn evidence(&self, of: Reason) -> f64 {
        match of {
            Reason::Failures => self.evidence.failures.sum(),
            Reason::Latency => self.evidence.latency.sum(),
        }
        .max(1e-300)
        .log10()
    }

    pub(super) fn total_mut(&mut self, subset: Subset) -> &mut Total {
        match subset {
            Subset::Canary => &mut self.canary,
            Subset::Stable => &mut self.stable,
        }
    }
}
