//! How a route's weights lie on the buckets of users, so that a changed weight moves as few users as can be.
//!
//! Envoy's `weighted_clusters.header_name` takes the bucket modulo the total weight and finds the cluster whose interval it
//! falls into, in the order listed. So the total is always [`BUCKETS`], each canary grows from a place of its own, and the
//! stable takes the rest, in as many pieces as that needs (Envoy takes a cluster more than once).
//!
//! Places go by the canaries' names, shorter ones first, which is the order in which versions appear (`v2`, `v3`, `v10`) and has names
//! that a tool made up last: neither the order of the route nor a weight moves anybody, nor does a canary that comes or goes last. Two
//! canaries share an anchor, from which one grows up and one down: the first two 0, so that a train's services agree and these two can
//! have any weights without meeting before the stable is used up; the next two the middle, then a quarter, three quarters, and so on, each
//! in the middle of what is still the widest gap. So up to four of at most a quarter each never meet, up to eight of at most an eighth, and
//! so on. Where they would meet, earlier ones make way: when a canary other than the first two changes then, up to as many users of each
//! earlier one move.
//!
//! More is impossible without a memory. For weights: where three canaries may each take all that the others leave, two of them must have
//! the same places. For canaries that come and go: one that is alone begins at 0 whatever its name, so of two one must move when the other
//! goes; here it is the later one that then closes ranks, unless the earlier one stays in the route with weight 0.

/// The total of all weights.
pub(crate) const BUCKETS: u32 = weir_policy::canary::BUCKETS as u32;

/// Lays out destinations of the given names and weights: pieces `(index of the destination, buckets)` in order, with a total of
/// [`BUCKETS`]. `stable` is the index of the stable; all others are canaries.
pub(crate) fn lay_out(names: &[&str], weights: &[f64], stable: usize) -> Vec<(usize, u32)> {
    let mut canaries: Vec<(usize, &str)> = names.iter().copied().enumerate().filter(|(index, _)| *index != stable).collect();
    canaries.sort_by_key(|(_, name)| (name.len(), *name));
    let exact = exact(weights);
    let of_canaries: Vec<f64> = canaries.iter().filter_map(|(index, _)| exact.get(*index).copied()).collect();
    let rest = exact.get(stable).is_some_and(|share| *share > 0.0);
    let shares = if rest { of_canaries.iter().map(|share| share.round() as usize).collect() } else { whole(&of_canaries) };
    let mut owner = vec![stable; BUCKETS as usize];
    for (place, ((index, _), share)) in canaries.into_iter().zip(shares).enumerate().rev() {
        claim(&mut owner, index, stable, start(place), share);
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

/// From which bucket on a canary takes free ones.
enum Start {
    Up(usize),
    Down(usize),
}

/// The anchors of van der Corput's sequence, two places for each.
fn start(place: usize) -> Start {
    let pair = u32::try_from(place / 2).unwrap_or_default();
    let anchor = ((u64::from(pair.reverse_bits()) * u64::from(BUCKETS)) >> u32::BITS) as usize;
    match (place % 2, anchor) {
        (0, anchor) => Start::Up(anchor),
        (_, 0) => Start::Down(BUCKETS as usize),
        (_, anchor) => Start::Down(anchor),
    }
}

/// A canary takes the first free buckets, around the end.
fn claim(owner: &mut [usize], index: usize, stable: usize, start: Start, share: usize) {
    let (Start::Up(at) | Start::Down(at)) = start;
    let (before, after) = owner.split_at_mut(at.min(owner.len()));
    let take = |free: &mut dyn Iterator<Item = &mut usize>| {
        free.filter(|bucket| **bucket == stable).take(share).for_each(|bucket| *bucket = index);
    };
    match start {
        Start::Up(_) => take(&mut after.iter_mut().chain(before)),
        Start::Down(_) => take(&mut before.iter_mut().rev().chain(after.iter_mut().rev())),
    }
}

/// The shares of weights, with a total of [`BUCKETS`].
pub(crate) fn shares(weights: &[f64]) -> Vec<usize> {
    whole(&exact(weights))
}

/// Without a total above 0 there are no shares.
fn exact(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let share = |weight: &f64| if total > 0.0 { weight / total * f64::from(BUCKETS) } else { 0.0 };
    weights.iter().map(share).collect()
}

/// Shares without fractions and with the same total, by the method of the largest remainder; of equal remainders the first. Needed
/// where no stable takes what is left; beside one, each canary's share is rounded alone, so that no other's weight moves a bucket of it.
fn whole(exact: &[f64]) -> Vec<usize> {
    let mut shares: Vec<usize> = exact.iter().map(|share| *share as usize).collect();
    let mut by_remainder: Vec<(usize, f64)> = exact.iter().map(|share| share.fract()).enumerate().collect();
    by_remainder.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let missing = (exact.iter().sum::<f64>().round() as usize).saturating_sub(shares.iter().sum());
    for (index, _) in by_remainder.into_iter().take(missing) {
        if let Some(share) = shares.get_mut(index) {
            *share += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests;
