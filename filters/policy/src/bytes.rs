//! Reads numbers from bytes, little-endian.

/// What is left to read.
pub(crate) struct Reader<'b>(pub &'b [u8]);

impl Reader<'_> {
    /// The next bytes, if there are so many.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next whole numbers, of eight bytes each.
    pub fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = u64::from_le_bytes(self.take()?);
        }
        Some(numbers)
    }

    /// The next numbers with a fraction, of four bytes each.
    pub fn fractions<const N: usize>(&mut self) -> Option<[f32; N]> {
        let mut numbers = [0.0; N];
        for number in &mut numbers {
            *number = f32::from_le_bytes(self.take()?);
        }
        Some(numbers)
    }
}
