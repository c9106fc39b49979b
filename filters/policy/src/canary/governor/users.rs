//! Which users failed already.
//!
//! Users keep to their subset, so a user whose every request fails, by data of its own, would speak against that subset for ever:
//! the chance that gave it that user would count anew with each request. So a user counts until its first failure and then no
//! more. Of a canary that is bad enough users fail.

/// A bit for every [`BITS`]th bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Failed(pub(super) [u64; WORDS]);

pub(super) const WORDS: usize = 16;
const BITS: u16 = 64 * WORDS as u16;
/// With more than these, too many users would be left out who share a bit with one that failed: all are forgotten.
const MOST: u32 = 256;

impl Failed {
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
