//! How a route's weights lie on the buckets of users, so that a changed weight moves as few users as can be.
//!
//! Envoy's `weighted_clusters.header_name` takes the bucket modulo the total weight and finds the cluster whose interval it
//! falls into, in the order listed. So the total is always [`BUCKETS`], each canary grows from an anchor of its own, and the
//! stable takes the rest, in as many pieces as that needs (Envoy takes a cluster more than once).

use xxhash_rust::xxh3::xxh3_64;

/// The total of all weights.
pub(crate) const BUCKETS: u32 = weir_policy::canary::BUCKETS as u32;

/// Lays out destinations of the given names and weights: pieces `(index of the destination, buckets)` in order, with a total of
/// [`BUCKETS`]. `stable` is the index of the stable; all others are canaries.
pub(crate) fn lay_out(names: &[&str], weights: &[f64], stable: usize) -> Vec<(usize, u32)> {
    let shares = shares(weights);
    let canaries: Vec<usize> = (0..names.len()).filter(|index| *index != stable).collect();
    if let [only] = canaries.as_slice() {
        let share = shares.get(*only).copied().unwrap_or_default();
        return [(*only, share), (stable, BUCKETS.saturating_sub(share))].into_iter().filter(|(_, buckets)| *buckets > 0).collect();
    }
    let mut owner = vec![stable; BUCKETS as usize];
    let mut by_name = canaries.clone();
    by_name.sort_by_key(|index| names.get(*index));
    for index in by_name {
        let share = shares.get(index).copied().unwrap_or_default();
        claim(&mut owner, index, stable, names.get(index).map_or(0, |name| anchor(name)), share);
    }
    let mut pieces: Vec<(usize, u32)> = Vec::new();
    for index in owner {
        match pieces.last_mut() {
            Some((last, length)) if *last == index => *length += 1,
            _ => pieces.push((index, 1)),
        }
    }
    pieces
}

/// A canary takes the first free buckets from its anchor on, around the end.
fn claim(owner: &mut [usize], index: usize, stable: usize, anchor: usize, share: u32) {
    let (before, after) = owner.split_at_mut(anchor.min(owner.len()));
    let free = after.iter_mut().chain(before).filter(|bucket| **bucket == stable);
    free.take(share as usize).for_each(|bucket| *bucket = index);
}

fn anchor(name: &str) -> usize {
    usize::try_from(xxh3_64(name.as_bytes()) % u64::from(BUCKETS)).unwrap_or_default()
}

/// Brings weights to a total of [`BUCKETS`] by the method of the largest remainder; of equal remainders the first.
pub(crate) fn shares(weights: &[f64]) -> Vec<u32> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| weight / total * f64::from(BUCKETS)).collect();
    let mut shares: Vec<u32> = exact.iter().map(|share| *share as u32).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|a, b| {
        let remainder = |index: &usize| exact.get(*index).map_or(0.0, |share| share.fract());
        remainder(b).total_cmp(&remainder(a))
    });
    let missing = BUCKETS.saturating_sub(shares.iter().sum()) as usize;
    for index in by_remainder.into_iter().cycle().take(missing) {
        if let Some(share) = shares.get_mut(index) {
            *share += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_canary_grows_from_bucket_0() {
        for (weights, expected) in [
            ([90.0, 10.0], vec![(1, 1000), (0, 9000)]),
            ([100.0, 0.0], vec![(0, 10_000)]),
            ([0.0, 100.0], vec![(1, 10_000)]),
            ([1.0, 1.0], vec![(1, 5000), (0, 5000)]),
            ([2.0, 1.0], vec![(1, 3333), (0, 6667)]),
        ] {
            assert_eq!(lay_out(&["stable", "canary"], &weights, 0), expected, "{weights:?}");
        }
    }

    /// Who owns each bucket.
    fn owners<'a>(names: &[&'a str], weights: &[f64], stable: usize) -> Vec<&'a str> {
        lay_out(names, weights, stable).into_iter().flat_map(|(index, length)| std::iter::repeat_n(names[index], length as usize)).collect()
    }

    proptest! {
        #[test]
        fn every_weight_gets_its_share(weights in proptest::collection::vec(0u32..1000, 2..6), stable in 0usize..2) {
            prop_assume!(weights.iter().sum::<u32>() > 0);
            let names = ["a", "b", "c", "d", "e"];
            let floats: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let owners = owners(&names[..weights.len()], &floats, stable);
            prop_assert_eq!(owners.len(), BUCKETS as usize);
            let total: f64 = floats.iter().sum();
            for (name, weight) in names.iter().zip(&floats) {
                let got = owners.iter().filter(|owner| *owner == name).count() as f64;
                prop_assert!((got - weight / total * f64::from(BUCKETS)).abs() <= 1.0, "{} {}", name, got);
            }
        }

        #[test]
        fn order_moves_nobody(a in 0.0..30.0f64, b in 0.0..30.0f64) {
            let stable = 100.0 - a - b;
            prop_assert_eq!(owners(&["s", "a", "b"], &[stable, a, b], 0), owners(&["b", "s", "a"], &[b, stable, a], 1));
        }

        #[test]
        fn a_growing_canary_takes_from_the_stable_alone(from in 0u32..100, to in 0u32..100) {
            let (from, to) = (f64::from(from.min(to)), f64::from(from.max(to)));
            let (before, after) = (owners(&["s", "c"], &[100.0 - from, from], 0), owners(&["s", "c"], &[100.0 - to, to], 0));
            prop_assert!(before.iter().zip(&after).all(|(before, after)| *before == "s" || *after == "c"));
        }
    }
}
