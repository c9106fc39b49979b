//! The bound rests on this: no bet gains in expectation when canary and stable are equal. Here by enumeration.

use super::evidence::Evidence;
use super::failures::{self, Counts, ODDS, Tally};
use super::latency::{self, BETS, Sample};
use super::users::{Failed, Named};
use super::{Answer, Governor, State, Subset, Tolerance};

fn choose(n: u32, k: u32) -> f64 {
    if k > n { 0.0 } else { (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product() }
}

fn counts(canary: (u32, u32), stable: (u32, u32)) -> Counts {
    let tally = |(requests, failures)| Tally { requests, failures };
    Counts { canary: tally(canary), stable: tally(stable) }
}

/// What each bet on failures comes to in expectation, if `failures` are dealt at random.
fn expected(canary: u32, stable: u32, failures: u32) -> [f64; ODDS.len()] {
    let mut sums = [0.0; ODDS.len()];
    for of_canary in failures.saturating_sub(stable)..=failures.min(canary) {
        let chance = choose(canary, of_canary) * choose(stable, failures - of_canary) / choose(canary + stable, failures);
        let values = failures::bet(&counts((canary, of_canary), (stable, failures - of_canary))).unwrap_or([1.0; ODDS.len()]);
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += chance * value);
    }
    sums
}

#[test]
fn no_bet_on_failures_gains_whatever_number_of_them_is_dealt_at_random() {
    for canary in 0..=12 {
        for stable in 0..=12 {
            for failures in 0..=canary + stable {
                for sum in expected(canary, stable, failures) {
                    assert!((sum - 1.0).abs() < 1e-9, "{canary}:{stable}, {failures}: {sum}");
                }
            }
        }
    }
}

#[test]
fn no_bet_on_failures_gains_whatever_their_rate_is() {
    for rate in [0.001, 0.01, 0.1, 0.5, 0.9, 1.0_f64] {
        for (canary, stable) in [(1, 9), (3, 29), (5, 5), (9, 1)] {
            let sum = |place: usize| -> f64 {
                let chance = |n: u32, k: u32| choose(n, k) * rate.powi(k as i32) * (1.0 - rate).powi((n - k) as i32);
                let blocks = (0..=canary).flat_map(|c| (0..=stable).map(move |s| (c, s)));
                let value = |c, s| failures::bet(&counts((canary, c), (stable, s))).map_or(1.0, |values| values[place]);
                blocks.map(|(c, s)| chance(canary, c) * chance(stable, s) * value(c, s)).sum()
            };
            for (place, odds) in ODDS.iter().enumerate() {
                assert!(sum(place) < 1.0 + 1e-9, "{rate}, {canary}:{stable}, {odds}: {}", sum(place));
            }
        }
    }
}

#[test]
fn a_block_of_any_size_has_an_e_value() {
    let sizes = [0, 1, 2, 31, 32, 33, 100, 256];
    for canary in sizes {
        for stable in sizes {
            for (of_canary, of_stable) in sizes.iter().flat_map(|c| sizes.map(|s| (*c, s))) {
                for value in failures::bet(&counts((canary, of_canary), (stable, of_stable))).into_iter().flatten() {
                    assert!(value.is_finite() && value >= 0.0, "{of_canary}/{canary} {of_stable}/{stable}: {value}");
                }
            }
        }
    }
}

/// All orders of the values.
fn orders(values: &mut Vec<u16>, fixed: usize, seen: &mut impl FnMut(&[u16])) {
    if fixed == values.len() {
        return seen(values);
    }
    for place in fixed..values.len() {
        values.swap(fixed, place);
        orders(values, fixed + 1, seen);
        values.swap(fixed, place);
    }
}

/// All multisets of `len` of the latencies 0 to 3, ties included.
fn multisets(len: usize) -> Vec<Vec<u16>> {
    (0..len).fold(vec![vec![]], |sets, _| {
        let grow = |set: Vec<u16>| (set.last().copied().unwrap_or(0)..4).map(move |next| [set.as_slice(), &[next]].concat());
        sets.into_iter().flat_map(grow).collect()
    })
}

#[test]
fn no_bet_on_latency_gains_whichever_values_are_dealt_at_random() {
    for len in 2..=6 {
        let distinct = (0..len as u16).collect();
        for mut values in multisets(len).into_iter().chain([distinct]) {
            for canary in 1..len {
                let (mut sums, mut count) = ([0.0; BETS], 0.0);
                orders(&mut values, 0, &mut |order| {
                    let (canary, stable) = order.split_at(canary);
                    count += 1.0;
                    sums.iter_mut().zip(latency::bet(canary, stable).unwrap()).for_each(|(sum, value)| *sum += value);
                });
                for sum in sums {
                    assert!(sum / count < 1.0 + 1e-9, "{values:?}, {canary} of the canary: {}", sum / count);
                }
            }
        }
    }
}

/// So neither gains a bet on a canary that is quicker, or slower by less than is tolerated.
#[test]
fn a_slower_canary_is_never_less_evidence() {
    for mut values in multisets(5) {
        orders(&mut values, 0, &mut |order| {
            for canary in 1..5 {
                let (canary, stable) = order.split_at(canary);
                let slower: Vec<_> = canary.iter().map(|latency| latency + 1).collect();
                let (before, after) = (latency::bet(canary, stable).unwrap(), latency::bet(&slower, stable).unwrap());
                assert!(before.iter().zip(after).all(|(before, after)| *before <= after), "{canary:?} {stable:?}");
            }
        });
    }
}

#[test]
fn no_more_than_everything_is_ever_staked() {
    let mut evidence = Evidence::new();
    for _ in 0..1_000_000 {
        evidence.of_failures([1.0; ODDS.len()]);
        evidence.of_latency([1.0; BETS]);
    }
    let whole = evidence.whole();
    assert!((0.95..=1.0).contains(&whole), "{whole}");
    let again = evidence.again().whole();
    assert!((again - 0.5).abs() < 1e-12, "{again}");
}

#[test]
fn a_sample_keeps_values_at_even_distances() {
    let mut sample = Sample::NONE;
    (0..100).for_each(|latency| sample.push(latency));
    assert_eq!(sample.kept(), (0..100).step_by(4).collect::<Vec<_>>());
}

#[test]
fn a_coarse_latency_orders_as_the_latency_does_to_half_a_percent() {
    let micros = (0..2_000).map(|step| 10.0 * 1.005_f32.powi(step));
    let coarse: Vec<_> = micros.map(latency::coarse).collect();
    assert!(coarse.windows(2).all(|pair| pair[0] < pair[1]), "{coarse:?}");
    assert_eq!(latency::coarse(-5.0), latency::coarse(0.0));
}

#[test]
fn those_who_failed_are_forgotten_when_they_are_too_many() {
    let mut failed = Failed::default();
    (0..256).for_each(|bucket| failed.add(bucket * 3));
    assert!((0..256).all(|bucket| failed.has(bucket * 3) && !failed.has(bucket * 3 + 1)));
    failed.add(1_001);
    assert!(failed.has(1_001) && !failed.has(3));
}

#[test]
fn a_block_names_the_users_who_failed_as_far_as_there_is_room() {
    let mut named = Named::NONE;
    named.add(Subset::Canary, Some(7));
    named.add(Subset::Stable, None);
    named.add(Subset::Stable, Some(1_024 + 7));
    assert_eq!(named.each().collect::<Vec<_>>(), [(Subset::Canary, 7), (Subset::Stable, 7)]);
    (0..100).for_each(|bucket| named.add(Subset::Canary, Some(bucket)));
    assert_eq!(named.each().count(), 32);
}

#[test]
fn a_user_counts_until_its_first_failure_and_is_named_then() {
    let (governor, mut state, mut closed) = (Governor::new(1e-9, Tolerance::DEFAULT), State::default(), Vec::new());
    for round in 0..100 {
        let of = |subset, bucket, fails: bool| Answer { subset, bucket: Some(bucket), micros: (!fails).then_some(20_000) };
        let mut answers: Vec<_> = (0..9).map(|user| of(Subset::Stable, 5_000 + round * 9 % 900 + user, false)).collect();
        answers.push(of(Subset::Canary, 7, round >= 50));
        answers.push(of(Subset::Canary, 8, false));
        governor.observe(&mut state, &answers, u64::from(round), &mut closed);
    }
    let tally = |tally: fn(&Counts) -> Tally| {
        let all = closed.iter().map(|block| tally(&block.counts)).chain([tally(&state.block.counts)]);
        all.fold((0, 0), |(requests, failures), tally| (requests + tally.requests, failures + tally.failures))
    };
    assert_eq!(tally(|counts| counts.canary), (151, 1));
    // Of the stable's no user shares a bit with it.
    assert_eq!(tally(|counts| counts.stable), (900, 0));
    let named: Vec<_> = closed.iter().flat_map(|block| block.failed.each()).collect();
    assert_eq!(named, [(Subset::Canary, 7)]);
    let all = closed.iter().fold(0, |sum, block| sum + block.total(Subset::Canary).failures);
    assert_eq!(all + state.block.total(Subset::Canary).failures, 50);
}
