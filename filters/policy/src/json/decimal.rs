//! Numbers with a fraction, kept as they are written.

use super::{Read, Value};
use crate::Error;
use serde::{Serialize, Serializer};
use std::fmt;

const ONE: u64 = 1_000_000;
/// Of more a float, as which it is written, does not keep the sixth digit.
const MOST: u64 = 1_000_000_000;

/// A number from 0 to 10^9 with up to six digits behind the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    millionths: u64,
}

impl Decimal {
    /// So many millionths.
    pub const fn from_millionths(millionths: u64) -> Self {
        Self { millionths }
    }

    /// How many millionths it is.
    pub const fn millionths(self) -> u64 {
        self.millionths
    }

    /// By the digits before and behind the point; what comes after the sixth is cut off.
    pub(super) fn new(whole: u64, fraction: &str) -> Option<Self> {
        let digits = fraction.bytes().map(|digit| u64::from(digit.wrapping_sub(b'0'))).chain(std::iter::repeat(0));
        let fraction = digits.take(6).fold(0, |number, digit| number * 10 + digit);
        let millionths = whole.checked_mul(ONE)?.checked_add(fraction)?;
        (millionths <= MOST * ONE).then_some(Self { millionths })
    }

    /// By the digits before and behind the point, and by how many places the point stands too far right; what comes after the sixth is cut
    /// off.
    pub(super) fn small(whole: &str, fraction: &str, places: u32) -> Option<Self> {
        let (number, divisor) = (Self::new(whole.parse().ok()?, fraction)?.millionths, 10_u64.checked_pow(places));
        Some(Self { millionths: divisor.map_or(0, |divisor| number / divisor) })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.millionths % ONE);
        let text = format!("{}.{}", self.millionths / ONE, fraction);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Read for Decimal {
    fn read(value: Value) -> Result<Self, Error> {
        match value {
            Value::Decimal(number) => Ok(number),
            Value::Unsigned(whole) => Self::new(whole, "").ok_or_else(|| Value::OtherNumber.mismatch("a number")),
            other => Err(other.mismatch("a number of at least 0")),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.millionths as f64 / ONE as f64)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": MOST})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_six_digits_and_shows_those_that_matter() {
        for (whole, fraction, millionths, shown) in [
            (0, "8", 800_000, "0.8"),
            (12, "", 12_000_000, "12"),
            (0, "012345", 12_345, "0.012345"),
            (1, "0000009", 1_000_000, "1"),
            (100, "0", 100_000_000, "100"),
        ] {
            let number = Decimal::new(whole, fraction).unwrap();
            assert_eq!((number.millionths(), number.to_string().as_str()), (millionths, shown));
        }
        for (whole, fraction) in [(u64::MAX, ""), (1_000_000_000, "000001"), (1_000_000_831_289, "")] {
            assert_eq!(Decimal::new(whole, fraction), None);
        }
        assert_eq!(Decimal::new(1_000_000_000, "0").map(Decimal::millionths), Some(10_u64.pow(15)));
        for (whole, fraction, places, millionths) in
            [("1", "", 6, 1), ("1", "2", 5, 12), ("12", "5", 1, 1_250_000), ("1", "", 7, 0), ("9", "", 99, 0)]
        {
            assert_eq!(Decimal::small(whole, fraction, places), Some(Decimal::from_millionths(millionths)));
        }
    }
}
