//! A state as bytes, little-endian. Whatever cannot be read is a canary of which nothing is known.

use super::EVERYONE;
use super::block::{Block, LONGEST, SHORTEST};
use super::evidence::{Capital, Evidence, MOST};
use super::failures::{Counts, Tally};
use super::latency::Sample;
use super::state::{Order, Phase, Reason, State, Total};
use super::users::{Failed, NAMED, Named};

/// The first byte. A module of another version begins anew.
const VERSION: u8 = 2;

impl State {
    /// How many bytes a state takes.
    pub const LEN: usize = 1 + 15 + 6 + 8 + 88 + Block::LEN + 128 + 10 + 48;

    /// For the shared data.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut to = Writer(&mut bytes);
        to.put(&[VERSION]);
        let (phase, share, at, answers) = match self.phase {
            Phase::Open { since_ms } => (0, 0, since_ms, 0),
            Phase::Held { until_ms } => (1, 0, until_ms, 0),
            Phase::Probing { share, since_ms, answers } => (2, share, since_ms, answers),
        };
        to.put(&[phase]);
        to.shorts(&[share]);
        to.long(at);
        to.int(answers);
        to.put(&[match self.reason {
            None => 0,
            Some(Reason::Failures) => 1,
            Some(Reason::Latency) => 2,
        }]);
        to.int(self.holds);
        to.put(&[self.strikes]);
        to.long(self.closed_ms);
        to.capital(&self.evidence.failures);
        to.capital(&self.evidence.latency);
        to.block(&self.block);
        self.failed.0.iter().for_each(|word| to.long(*word));
        to.shorts(&[self.order.share]);
        to.int(self.order.round);
        to.int(self.order.since);
        to.totals(&[self.canary, self.stable]);
        bytes
    }

    /// From the shared data.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() == Self::LEN { Reader(bytes).state().unwrap_or_default() } else { Self::default() }
    }
}

impl Block {
    const LEN: usize = 18 + 8 + 2 * 70 + 2 * NAMED + 2 + 48;
}

struct Writer<'b>(&'b mut [u8]);

impl Writer<'_> {
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((to, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            self.0 = rest;
        }
    }

    #[inline(never)]
    fn long(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    #[inline(never)]
    fn int(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    #[inline(never)]
    fn shorts(&mut self, numbers: &[u16]) {
        numbers.iter().for_each(|number| self.put(&number.to_le_bytes()));
    }

    fn capital<const N: usize>(&mut self, capital: &Capital<N>) {
        capital.bets.iter().for_each(|bet| self.long(bet.to_bits()));
        self.int(capital.blocks);
    }

    fn block(&mut self, block: &Block) {
        self.shorts(&[block.size]);
        self.long(block.since_ms);
        let Counts { canary, stable } = &block.counts;
        [canary.requests, canary.failures, stable.requests, stable.failures].iter().for_each(|number| self.int(*number));
        for sample in [&block.canary, &block.stable] {
            self.shorts(&sample.kept);
            self.shorts(&[sample.len, sample.stride, sample.seen]);
        }
        self.shorts(&block.failed.bits);
        self.shorts(&[block.failed.len]);
        self.totals(&block.totals);
    }

    #[inline(never)]
    fn totals(&mut self, totals: &[Total; 2]) {
        for Total { requests, failures, micros } in totals {
            [requests, failures, micros].into_iter().for_each(|number| self.long(*number));
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

    #[inline(never)]
    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    #[inline(never)]
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    #[inline(never)]
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    #[inline(never)]
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    #[inline(never)]
    fn shorts(&mut self, into: &mut [u16]) -> Option<()> {
        for slot in into {
            *slot = self.u16()?;
        }
        Some(())
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
            closed_ms: self.u64()?,
            evidence: Evidence { failures: self.capital()?, latency: self.capital()? },
            block: self.block()?,
            failed: self.failed()?,
            order: Order { share: self.u16().filter(|share| *share <= EVERYONE)?, round: self.u32()?, since: self.u32()? },
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
            *bet = f64::from_bits(self.u64()?);
        }
        let sound = bets.iter().all(|bet| (0.0..=MOST).contains(bet));
        Some(Capital { bets, blocks: self.u32()? }).filter(|_| sound)
    }

    fn block(&mut self) -> Option<Block> {
        let size = self.u16().filter(|size| size.is_power_of_two() && (SHORTEST..=LONGEST).contains(size))?;
        let since_ms = self.u64()?;
        let counts = self.counts()?;
        let sound = |tally: Tally| tally.failures <= tally.requests;
        // A full block would have been closed.
        let filling = counts.canary.requests.checked_add(counts.stable.requests)? < u32::from(size);
        let (canary, stable, failed) = (self.sample()?, self.sample()?, self.named()?);
        let block = Block { counts, canary, stable, failed, totals: [self.total()?, self.total()?], size, since_ms };
        (filling && sound(counts.canary) && sound(counts.stable)).then_some(block)
    }

    fn named(&mut self) -> Option<Named> {
        let mut named = Named::NONE;
        self.shorts(&mut named.bits)?;
        named.len = self.u16().filter(|len| usize::from(*len) <= NAMED)?;
        Some(named)
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
        self.shorts(&mut sample.kept)?;
        (sample.len, sample.stride, sample.seen) = (self.u16()?, self.u16()?, self.u16()?);
        (usize::from(sample.len) <= sample.kept.len() && sample.stride.is_power_of_two()).then_some(sample)
    }

    fn total(&mut self) -> Option<Total> {
        Some(Total { requests: self.u64()?, failures: self.u64()?, micros: self.u64()? })
    }
}
