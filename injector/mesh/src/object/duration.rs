//! Durations as Istio writes them: `5s`, `1.5h`, `100ms`.

use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// A duration in the notation of Go's `time.ParseDuration`, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span(#[cfg_attr(feature = "schema", schemars(with = "String"))] pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is no duration: write it as 5s, 1.5m or 100ms")))?;
        // Envoy would round it to zero, which often means "none".
        if !span.is_zero() && span < Duration::from_millis(1) {
            return Err(de::Error::custom(format!("{text:?} is too short: Envoy counts in milliseconds")));
        }
        Ok(Span(span))
    }
}

/// The longest duration that Go knows, some 292 years; Envoy takes no more than a little above that.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(end)?;
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn reads_gos_notation() {
        for (text, millis) in [("5s", 5000), ("1.5s", 1500), ("100ms", 100), ("1m30s", 90_000), ("2h", 7_200_000), ("0s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_anything_else() {
        for text in ["", "5", "s", "-1s", "1x", "1..2s", "5 s", "1e3s", "9999999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
