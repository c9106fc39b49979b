//! Which users failed already.
//!
//! Users keep to their subset, so a user whose every request fails, by data of its own, would speak against that subset for ever:
//! the chance that gave it that user would count anew with each request. So a user counts until its first failure and then no
//! more, in each proxy and, since proxies name those who failed, in all of them together. Of a canary that is bad enough users fail.

use super::Subset;

/// A bit for every [`BITS`]th bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Failed(pub(super) [u64; WORDS]);

pub(super) const WORDS: usize = 16;
const BITS: u16 = 64 * WORDS as u16;
/// With more than these, too many users would be left out who share a bit with one that failed: all are forgotten.
const MOST: u32 = 256;

impl Failed {
    /// Whether the bucket's bit is set.
    #[inline]
    pub(super) fn has(&self, bucket: u16) -> bool {
        let (word, bit) = place(bucket);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn add(&mut self, bucket: u16) {
        if self.0.iter().map(|word| word.count_ones()).sum::<u32>() >= MOST {
            *self = Self::default();
        }
        let (word, bit) = place(bucket);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }
}

fn place(bucket: u16) -> (usize, u64) {
    let place = bucket % BITS;
    (usize::from(place / 64), 1 << (place % 64))
}

/// The users who failed in a block, by their bits, as far as there is room. With more than that, so many fail that the few who fail by
/// themselves weigh little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The number of the bit, with [`OF_CANARY`] for the canary's users.
    pub(super) bits: [u16; NAMED],
    pub(super) len: u16,
}

pub(super) const NAMED: usize = 32;
const OF_CANARY: u16 = 1 << 15;

impl Named {
    pub(super) const NONE: Self = Self { bits: [0; NAMED], len: 0 };

    pub(super) fn add(&mut self, subset: Subset, bucket: Option<u16>) {
        if let (Some(slot), Some(bucket)) = (self.bits.get_mut(usize::from(self.len)), bucket) {
            *slot = (bucket % BITS) | if subset == Subset::Canary { OF_CANARY } else { 0 };
            self.len += 1;
        }
    }

    /// A bucket that stands for each.
    pub(super) fn each(&self) -> impl Iterator<Item = (Subset, u16)> {
        let of = |bit: &u16| (if bit & OF_CANARY != 0 { Subset::Canary } else { Subset::Stable }, bit & !OF_CANARY);
        self.bits().iter().map(of)
    }

    pub(super) fn bits(&self) -> &[u16] {
        self.bits.get(..usize::from(self.len)).unwrap_or_default()
    }
}
