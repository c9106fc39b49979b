//! The middle of many rounds, and how sure it is.

/// A median with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The middle value.
    pub middle: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Median {
    /// Of at least one value. The interval is of order statistics: it supposes nothing about how values are distributed, only that rounds
    /// do not depend on each other.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Median {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (last, count) = (values.len() - 1, values.len() as f64);
        let half_width = 0.98 * count.sqrt();
        let at = |place: f64| values[(place.max(0.0) as usize).min(last)];
        let middle = (at((count - 1.0) / 2.0) + at(count / 2.0)) / 2.0;
        Median { middle, low: at(count / 2.0 - half_width), high: at(count / 2.0 + half_width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_middle_value_and_the_interval_narrows_with_the_count() {
        let of = |count: u32| Median::of((1..=count).rev().map(f64::from));
        assert_eq!(of(1), Median { middle: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(of(4), Median { middle: 2.5, low: 1.0, high: 4.0 });
        assert_eq!(of(100), Median { middle: 50.5, low: 41.0, high: 60.0 });
    }
}
