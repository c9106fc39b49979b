//! A state as bytes, little-endian. Whatever cannot be read is a canary of which nothing is known.

use super::EVERYONE;
use super::block::Block;
use super::evidence::{Capital, Evidence, MOST};
use super::failures::{Counts, Tally};
use super::latency::Sample;
use super::state::{Phase, Reason, State, Total};
use super::users::Failed;

/// The first byte. A module of another version begins anew.
const VERSION: u8 = 1;

impl State {
    /// How many bytes a state takes.
    pub const LEN: usize = 1 + 15 + 6 + 88 + 18 + 2 * 70 + 128 + 16 + 48;

    /// For the shared data.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut to = Writer(&mut bytes);
        to.put([VERSION]);
        let (phase, share, at, answers) = match self.phase {
            Phase::Open { since_ms } => (0, 0, since_ms, 0),
            Phase::Held { until_ms } => (1, 0, until_ms, 0),
            Phase::Probing { share, since_ms, answers } => (2, share, since_ms, answers),
        };
        to.put([phase]);
        to.put(share.to_le_bytes());
        to.put(at.to_le_bytes());
        to.put(answers.to_le_bytes());
        to.put([match self.reason {
            None => 0,
            Some(Reason::Failures) => 1,
            Some(Reason::Latency) => 2,
        }]);
        to.put(self.holds.to_le_bytes());
        to.put([self.strikes]);
        to.capital(&self.evidence.failures);
        to.capital(&self.evidence.latency);
        to.put(self.block.size.to_le_bytes());
        to.counts(&self.block.counts);
        for Sample { kept, len, stride, seen } in [self.block.canary, self.block.stable] {
            for number in kept.into_iter().chain([len, stride, seen]) {
                to.put(number.to_le_bytes());
            }
        }
        self.failed.0.iter().for_each(|word| to.put(word.to_le_bytes()));
        to.counts(&self.compared);
        for Total { requests, failures, micros } in [self.canary, self.stable] {
            for number in [requests, failures, micros] {
                to.put(number.to_le_bytes());
            }
        }
        bytes
    }

    /// From the shared data.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() == Self::LEN { Reader(bytes).state().unwrap_or_default() } else { Self::default() }
    }
}

struct Writer<'b>(&'b mut [u8]);

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some((to, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() {
            *to = bytes;
            self.0 = rest;
        }
    }

    fn capital<const N: usize>(&mut self, capital: &Capital<N>) {
        capital.bets.iter().for_each(|bet| self.put(bet.to_le_bytes()));
        self.put(capital.blocks.to_le_bytes());
    }

    fn counts(&mut self, Counts { canary, stable }: &Counts) {
        for number in [canary.requests, canary.failures, stable.requests, stable.failures] {
            self.put(number.to_le_bytes());
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn state(mut self) -> Option<State> {
        if self.u8()? != VERSION {
            return None;
        }
        Some(State {
            phase: self.phase()?,
            reason: match self.u8()? {
                0 => None,
                1 => Some(Reason::Failures),
                2 => Some(Reason::Latency),
                _ => return None,
            },
            holds: self.u32()?,
            strikes: self.u8()?,
            evidence: Evidence { failures: self.capital()?, latency: self.capital()? },
            block: self.block()?,
            failed: self.failed()?,
            compared: self.counts()?,
            canary: self.total()?,
            stable: self.total()?,
        })
    }

    fn phase(&mut self) -> Option<Phase> {
        match (self.u8()?, self.u16()?, self.u64()?, self.u32()?) {
            (0, 0, since_ms, 0) => Some(Phase::Open { since_ms }),
            (1, 0, until_ms, 0) => Some(Phase::Held { until_ms }),
            (2, share @ 1..=EVERYONE, since_ms, answers) => Some(Phase::Probing { share, since_ms, answers }),
            _ => None,
        }
    }

    fn capital<const N: usize>(&mut self) -> Option<Capital<N>> {
        let mut bets = [0.0; N];
        for bet in &mut bets {
            *bet = f64::from_le_bytes(self.take()?);
        }
        let sound = bets.iter().all(|bet| (0.0..=MOST).contains(bet));
        Some(Capital { bets, blocks: self.u32()? }).filter(|_| sound)
    }

    fn block(&mut self) -> Option<Block> {
        let size = self.u16().filter(|size| size.is_power_of_two())?;
        let counts = self.counts()?;
        let sound = |tally: Tally| tally.failures <= tally.requests;
        // A full block would have been closed.
        let filling = counts.canary.requests.checked_add(counts.stable.requests)? < u32::from(size);
        let block = Block { counts, canary: self.sample()?, stable: self.sample()?, size };
        (filling && sound(counts.canary) && sound(counts.stable)).then_some(block)
    }

    fn counts(&mut self) -> Option<Counts> {
        let canary = Tally { requests: self.u32()?, failures: self.u32()? };
        Some(Counts { canary, stable: Tally { requests: self.u32()?, failures: self.u32()? } })
    }

    fn failed(&mut self) -> Option<Failed> {
        let mut failed = Failed::default();
        for word in &mut failed.0 {
            *word = self.u64()?;
        }
        Some(failed)
    }

    fn sample(&mut self) -> Option<Sample> {
        let mut sample = Sample::NONE;
        for slot in &mut sample.kept {
            *slot = self.u16()?;
        }
        (sample.len, sample.stride, sample.seen) = (self.u16()?, self.u16()?, self.u16()?);
        (usize::from(sample.len) <= sample.kept.len() && sample.stride.is_power_of_two()).then_some(sample)
    }

    fn total(&mut self) -> Option<Total> {
        Some(Total { requests: self.u64()?, failures: self.u64()?, micros: self.u64()? })
    }
}
