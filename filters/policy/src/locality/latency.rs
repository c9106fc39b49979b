//! How long a zone takes to answer.
//!
//! Kept as a mean of logarithms to the base 2. So a few answers that take very long say less than many that take somewhat longer, a
//! difference is a ratio, and proxies that see little each are right on average.

/// So many answers count at most for how long it takes now. What is known counts half as much after so long without an answer.
const NOW: f32 = 32.0;
const NOW_MS: f32 = 10_000.0;
/// For how long it takes as a rule, at least so many answers count, and those of so long.
const AS_A_RULE: f32 = 256.0;
const AS_A_RULE_MS: f32 = 60_000.0;
/// Of answers that count for less nothing is said; with fewer, nothing of what they are as a rule.
const FEW: f32 = 2.5;
const MANY: u32 = 64;
/// So much longer than as a rule, and as a rule so much longer than it was, in octaves: several times what chance does where latencies
/// are exponential.
const JUMP: f32 = 1.75;
const RISE: f32 = 0.5;

/// The latency of a zone, as logarithms of microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latency {
    pub(super) now: f32,
    /// For so many answers `now` counts, and when the last of them came.
    pub(super) counts: f32,
    pub(super) at: u64,
    pub(super) as_a_rule: f32,
    /// How many answers `as_a_rule` knows.
    pub(super) seen: u32,
    /// The least that it took as a rule, or what was found to be no worse than elsewhere.
    pub(super) usual: f32,
    /// What the other workers do not know of yet.
    pending: Batch,
}

/// Answers, by their number and the sum of their logarithms, and whether what they add up to was found to be usual.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Batch {
    answers: f32,
    sum: f32,
    accepts: bool,
}

impl Batch {
    const NONE: Self = Self { answers: 0.0, sum: 0.0, accepts: false };
}

impl Latency {
    pub const UNKNOWN: Self = Self { now: 0.0, counts: 0.0, at: 0, as_a_rule: 0.0, seen: 0, usual: f32::INFINITY, pending: Batch::NONE };

    /// What another worker has told.
    pub fn told(now: f32, counts: f32, at: u64, as_a_rule: f32, seen: u32, usual: f32) -> Self {
        Self { now, counts, at, as_a_rule, seen, usual, pending: Batch::NONE }
    }

    /// How long it takes now, if enough is known.
    pub fn known(&self) -> Option<f32> {
        (self.counts >= FEW).then_some(self.now)
    }

    /// By how much chance may have it wrong.
    pub fn doubt(&self) -> f32 {
        1.0 / self.counts.max(1.0).sqrt()
    }

    /// By how many octaves it takes longer than usual.
    pub fn excess(&self) -> f32 {
        self.now - self.usual
    }

    /// Whether it takes much longer than a moment ago.
    pub fn jumps(&self) -> bool {
        self.seen >= MANY && self.now - self.as_a_rule > JUMP * (NOW / self.counts.max(1.0)).sqrt()
    }

    /// Whether it has taken longer than usual for some time.
    pub fn rises(&self) -> bool {
        self.as_a_rule - self.usual > RISE
    }

    /// From now on this is usual: elsewhere it takes no less.
    pub fn accept(&mut self) {
        if self.seen >= MANY {
            self.usual = self.as_a_rule;
            self.pending.accepts = true;
        }
    }

    pub fn take_in(&mut self, micros: u32, now: u64) {
        let log = log2(micros.max(1) as f32);
        self.fold(1.0, log, now);
        self.pending.answers += 1.0;
        self.pending.sum += log;
    }

    /// Whether there is something that the other workers do not know.
    pub fn is_news(&self) -> bool {
        self.pending != Batch::NONE
    }

    /// Takes over what all workers know, with what they do not know of this one.
    pub fn merge(&mut self, shared: &Self, now: u64) {
        let pending = self.pending;
        *self = Self { pending, ..*shared };
        if pending.answers > 0.0 {
            self.fold(pending.answers, pending.sum / pending.answers, now);
        }
        if pending.accepts {
            self.accept();
        }
    }

    /// The other workers know what this one does.
    pub fn is_told(&mut self) {
        self.pending = Batch::NONE;
    }

    fn fold(&mut self, answers: f32, mean: f32, now: u64) {
        let silent = now.saturating_sub(self.at) as f32;
        self.at = self.at.max(now);
        let counted = self.counts.min(NOW - 1.0) / (1.0 + silent / NOW_MS);
        self.now += (mean - self.now) * answers / (answers + counted);
        self.counts = answers + counted;
        let window = AS_A_RULE.max(answers * AS_A_RULE_MS / silent.max(0.1));
        self.as_a_rule += (mean - self.as_a_rule) * answers / (answers + window.min(self.seen as f32));
        self.seen = self.seen.saturating_add(answers as u32);
        if self.seen >= MANY {
            self.usual = self.usual.min(self.as_a_rule);
        }
    }
}

/// The logarithm to the base 2, on straight lines between the powers of two: wrong by a fifteenth at most, which is far less than what is
/// acted upon.
pub(super) fn log2(number: f32) -> f32 {
    number.to_bits() as f32 / 8_388_608.0 - 127.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every 10 ms, of so many microseconds each.
    fn answered(latency: &mut Latency, count: u64, micros: impl Fn(u64) -> u32) {
        for answer in 0..count {
            let now = latency.at + 10;
            latency.take_in(micros(answer), now);
        }
    }

    #[test]
    fn nothing_is_said_of_few_answers() {
        let mut latency = Latency::UNKNOWN;
        answered(&mut latency, 2, |_| 8_192);
        assert_eq!((latency.known(), latency.jumps(), latency.rises()), (None, false, false));
        answered(&mut latency, 1, |_| 8_192);
        assert!(latency.known().is_some_and(|known| (known - 13.0).abs() < 0.01), "{latency:?}");
    }

    #[test]
    fn a_jump_is_seen_within_some_answers_and_a_rise_within_a_minute() {
        let mut latency = Latency::UNKNOWN;
        answered(&mut latency, 10_000, |_| 10_000);
        let usual = latency;
        answered(&mut latency, 40, |_| 80_000);
        assert!(latency.jumps() && !latency.rises());
        let mut latency = usual;
        answered(&mut latency, 6_000, |_| 20_000);
        assert!(latency.rises() && !latency.jumps());
        latency.accept();
        assert!(!latency.rises(), "what is no worse than elsewhere is usual from then on");
        answered(&mut latency, 6_000, |_| 20_000);
        assert!(!latency.rises());
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut latency = Latency::UNKNOWN;
        answered(&mut latency, 100, |_| 1_024);
        let then = latency.at;
        latency.take_in(65_536, then + 310_000);
        assert!(latency.now > 12.9, "half of it is new: {latency:?}");
    }

    #[test]
    fn workers_that_tell_each_other_know_what_one_would() {
        let mut one = Latency::UNKNOWN;
        answered(&mut one, 400, |answer| 1_000 + 500 * (answer % 7) as u32);
        let mut shared = Latency::UNKNOWN;
        let mut workers = [Latency::UNKNOWN; 4];
        for answer in 0..400 {
            let worker = &mut workers[answer % 4];
            worker.take_in(1_000 + 500 * (answer % 7) as u32, 10 * (answer as u64 + 1));
            if answer % 20 >= 16 {
                worker.merge(&shared, 10 * (answer as u64 + 1));
                worker.is_told();
                shared = *worker;
            }
        }
        assert!((one.now - shared.now).abs() < 0.1 && (one.as_a_rule - shared.as_a_rule).abs() < 0.05, "{one:?} {shared:?}");
        assert!(shared.seen.abs_diff(400) < 2);
    }

    #[test]
    fn the_logarithm_is_near_enough() {
        for number in 1..100_000_u32 {
            assert!((log2(number as f32) - (number as f32).log2()).abs() < 0.087);
        }
    }
}
