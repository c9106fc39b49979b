//! What proxies tell the control plane, as bytes: records one after the other, each of a canary, which is named by its service and its
//! own name with a line feed between. A record begins with the length of the name, 0 if it is that of the record before, and the name;
//! then its own length and itself. Lengths have two bytes, the lowest first; numbers in a record seven bits in each byte, the lowest first,
//! with a bit for more.

use super::block::{Block, LONGEST};
use super::failures::{Counts, Tally};
use super::latency::{KEPT, Sample};
use super::state::Total;
use super::users::{NAMED, Named};
use super::{EVERYONE, Subset};

/// What a proxy says of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// What part of the canary's users may go to it there by what that proxy alone knows, in ten thousandths.
    Share(u16),
    /// What was answered there.
    Block(Box<Block>),
}

const SHARE: u8 = 0;
const BLOCK: u8 = 1;
/// The bits of infinity, as coarse as latencies are.
const INFINITE: u16 = 0xff00;

impl Record {
    /// Adds it to others, with its name.
    pub fn append(&self, name: &str, to: &mut Vec<u8>) {
        framed(name.as_bytes(), to);
        let mut record = Vec::with_capacity(128);
        match self {
            Self::Share(share) => {
                record.push(SHARE);
                record.extend(share.to_le_bytes());
            }
            Self::Block(block) => {
                record.push(BLOCK);
                write(block, &mut record);
            }
        }
        framed(&record, to);
    }

    /// The same records, without names that stand before already.
    pub fn without_repetitions(mut records: &[u8]) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::with_capacity(records.len()), &[][..]);
        while let (Some(name), Some(record)) = (frame(&mut records), frame(&mut records)) {
            framed(if name == last { &[] } else { name }, &mut bytes);
            framed(record, &mut bytes);
            last = name;
        }
        bytes
    }

    /// The records of a report with their names, or nothing if it is none.
    pub fn read_all(mut report: &[u8]) -> Option<Vec<(&str, Self)>> {
        let (mut records, mut last) = (Vec::new(), None);
        while !report.is_empty() {
            let name = frame(&mut report)?;
            if !name.is_empty() {
                last = Some(std::str::from_utf8(name).ok()?);
            }
            records.push((last?, Self::read(frame(&mut report)?)?));
        }
        Some(records)
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (kind, mut rest) = record.split_first()?;
        let read = match *kind {
            SHARE => Self::Share(Some(u16::from_le_bytes(take(&mut rest)?)).filter(|share| *share <= EVERYONE)?),
            BLOCK => Self::Block(Box::new(read(&mut rest)?)),
            _ => return None,
        };
        rest.is_empty().then_some(read)
    }
}

fn framed(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend((bytes.len() as u16).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn frame<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = u16::from_le_bytes(take(bytes)?);
    let (frame, rest) = bytes.split_at_checked(usize::from(len))?;
    *bytes = rest;
    Some(frame)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn write(block: &Block, to: &mut Vec<u8>) {
    let Counts { canary, stable } = block.counts;
    for of in [canary.requests, canary.failures, stable.requests, stable.failures] {
        number(of.into(), to);
    }
    for Total { requests, failures, micros } in block.totals {
        [requests, failures, micros].into_iter().for_each(|of| number(of, to));
    }
    for kept in [block.canary.kept(), block.stable.kept(), block.failed.bits()] {
        to.push(kept.len() as u8);
        kept.iter().for_each(|of| to.extend(of.to_le_bytes()));
    }
}

fn number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// A block that a proxy can have made.
fn read(from: &mut &[u8]) -> Option<Block> {
    let mut block = Block::FIRST;
    for tally in [&mut block.counts.canary, &mut block.counts.stable] {
        let [requests, failures] = [small(from)?, small(from)?];
        *tally = Some(Tally { requests, failures }).filter(|_| failures <= requests)?;
    }
    for total in &mut block.totals {
        *total = Total { requests: long(from)?, failures: long(from)?, micros: long(from)? };
    }
    let Counts { canary, stable } = block.counts;
    for (sample, tally) in [(&mut block.canary, canary), (&mut block.stable, stable)] {
        let most = (KEPT as u32).min(tally.requests - tally.failures);
        let len = list(from, &mut sample.kept, most)?;
        *sample = Some(Sample { len, ..*sample }).filter(|sample| sample.kept().iter().all(|latency| *latency < INFINITE))?;
    }
    let len = list(from, &mut block.failed.bits, (NAMED as u32).min(canary.failures + stable.failures))?;
    block.failed = Named { len, ..block.failed };
    let of = |subset| block.failed.each().filter(|(of, _)| *of == subset).count() as u32;
    let sound = block.answers() <= u32::from(LONGEST) && of(Subset::Canary) <= canary.failures && of(Subset::Stable) <= stable.failures;
    sound.then_some(block)
}

fn small(from: &mut &[u8]) -> Option<u32> {
    long(from)?.try_into().ok().filter(|number| *number <= u32::from(LONGEST))
}

fn long(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Fills the first slots; how many, at most so many.
fn list(from: &mut &[u8], to: &mut [u16], most: u32) -> Option<u16> {
    let [len] = take(from)?;
    for slot in to.get_mut(..usize::from(len)).filter(|_| u32::from(len) <= most)? {
        *slot = u16::from_le_bytes(take(from)?);
    }
    Some(len.into())
}
