//! Random numbers out of one: a host call for each would cost more than the decision.

/// A permuted linear congruential generator (O'Neill, PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
/// Random Number Generation, 2014: RXS-M-XS with 32 bits).
pub(super) struct Dice(u32);

impl Dice {
    pub fn new(random: u32) -> Self {
        Self(random)
    }

    /// Whether what happens to this part happens.
    pub fn falls(&mut self, part: f32) -> bool {
        let drawn = (self.next() >> 8) as f32 / 16_777_216.0;
        drawn < part
    }

    /// A number below another one; 0 if that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.next()) * count as u64) >> 32) as usize
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((self.0 >> ((self.0 >> 28) + 4)) ^ self.0).wrapping_mul(277_803_737);
        (word >> 22) ^ word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_come_equally_often() {
        let mut counts = [0_u32; 7];
        for seed in 0..70_000 {
            counts[Dice::new(seed).below(7)] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 600), "{counts:?}");
        let fallen = (0..100_000).filter(|seed| Dice::new(*seed).falls(0.3)).count();
        assert!(fallen.abs_diff(30_000) < 1_000, "{fallen}");
        assert_eq!(Dice::new(1).below(0), 0);
    }
}
