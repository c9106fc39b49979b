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
        ([0.0, 0.0], vec![(0, 10_000)]),
    ] {
        assert_eq!(lay_out(&["stable", "canary"], &weights, 0), expected, "{weights:?}");
    }
}

#[test]
fn places_go_by_names_shorter_ones_first() {
    let names = ["v1", "v10", "v2", "experiment-6c8f", "v3"];
    let expected = [(2, 1000), (0, 3500), (3, 500), (1, 1000), (0, 3000), (4, 1000)];
    assert_eq!(lay_out(&names, &[65.0, 10.0, 10.0, 5.0, 10.0], 0), expected);
}

#[test]
fn without_a_stable_all_buckets_are_the_canaries() {
    assert_eq!(lay_out(&["s", "a", "b", "c"], &[0.0, 1.0, 1.0, 1.0], 0), [(1, 3334), (2, 1666), (3, 3333), (2, 1667)][..]);
}

/// Who owns each bucket.
fn owners<'a>(names: &[&'a str], weights: &[f64], stable: usize) -> Vec<&'a str> {
    lay_out(names, weights, stable).into_iter().flat_map(|(index, length)| std::iter::repeat_n(names[index], length as usize)).collect()
}

/// Who of the buckets' owners is another one than before: `(before, after)`.
fn moved<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    before.iter().copied().zip(after.iter().copied()).filter(|(before, after)| before != after).collect()
}

const NAMES: [&str; 7] = ["stable", "v2", "v3", "v10", "canary", "baseline", "experiment-1"];

/// Weights of any total, of which some are 0: the stable's first.
fn weights(canaries: usize) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(prop_oneof![1 => Just(0.0), 4 => 0.0..1000.0f64], canaries + 1)
}

proptest! {
    #[test]
    fn every_weight_gets_its_share(weights in (1usize..6).prop_flat_map(weights)) {
        let total: f64 = weights.iter().sum();
        prop_assume!(total > 0.0);
        let names = &NAMES[..weights.len()];
        let owners = owners(names, &weights, 0);
        prop_assert_eq!(owners.len(), BUCKETS as usize);
        for (name, weight) in names.iter().zip(&weights) {
            let got = owners.iter().filter(|owner| *owner == name).count() as f64;
            prop_assert!((got - weight / total * f64::from(BUCKETS)).abs() <= 3.0, "{} {}", name, got);
            prop_assert!(*weight > 0.0 || got == 0.0, "{} has no weight, and {}", name, got);
        }
    }

    #[test]
    fn the_order_of_the_route_moves_nobody(
        (weights, order) in (1usize..7).prop_flat_map(|canaries| (weights(canaries), Just((0..=canaries).collect::<Vec<_>>()).prop_shuffle())),
    ) {
        let reordered: Vec<f64> = order.iter().map(|index| weights[*index]).collect();
        let names: Vec<&str> = order.iter().map(|index| NAMES[*index]).collect();
        let stable = order.iter().position(|index| *index == 0).unwrap();
        prop_assert_eq!(owners(&NAMES[..weights.len()], &weights, 0), owners(&names, &reordered, stable));
    }

    /// Whatever the weights: of up to two canaries each one's, of more those of the first two. (Where the stable has no share, a bucket
    /// that rounding leaves is a canary's.)
    #[test]
    fn a_weight_that_changes_against_the_stables_moves_nobody_else(
        mut weights in (1usize..6).prop_flat_map(weights),
        place in 1usize..3,
        to in 0.0..1.0f64,
    ) {
        prop_assume!(place < weights.len() && weights[0] + weights[place] > 0.0);
        let names = &NAMES[..weights.len()];
        let before = owners(names, &weights, 0);
        let (canary, both) = (names[place], weights[0] + weights[place]);
        let least = (weights[place] - to * both).abs() / weights.iter().sum::<f64>() * f64::from(BUCKETS);
        weights[place] = to * both;
        weights[0] = both - weights[place];
        let moved = moved(&before, &owners(names, &weights, 0));
        let others = moved.iter().filter(|pair| ![("stable", canary), (canary, "stable")].contains(pair)).count();
        prop_assert!(others <= if both > weights[place] && before.contains(&"stable") { 0 } else { names.len() }, "{} others moved", others);
        prop_assert!((moved.len() as f64) <= least + 10.0, "{} moved, at least {}", moved.len(), least);
    }

    /// Any number of them: up to four of at most a quarter each, eight of an eighth, sixteen of a sixteenth. A weight of 0 is one too.
    #[test]
    fn canaries_of_at_most_an_equal_part_each_do_not_meet(
        shares in proptest::collection::vec(prop_oneof![1 => Just(0.0), 4 => 0.0..1.0f64], 1..17),
        which: prop::sample::Index,
        to in prop_oneof![1 => Just(0.0), 4 => 0.0..1.0f64],
    ) {
        let part = 100.0 / shares.len().next_power_of_two() as f64;
        let mut shares: Vec<f64> = shares.into_iter().map(|share| share * part).collect();
        let canaries: Vec<String> = (0..shares.len()).map(|canary| format!("v{}", canary + 2)).collect();
        let names: Vec<&str> = std::iter::once("stable").chain(canaries.iter().map(String::as_str)).collect();
        let weights = |shares: &[f64]| std::iter::once(100.0 - shares.iter().sum::<f64>()).chain(shares.iter().copied()).collect::<Vec<_>>();
        let before = owners(&names, &weights(&shares), 0);
        let changed = which.index(shares.len());
        let (canary, to) = (names[changed + 1], to * part);
        let least = (shares[changed] - to).abs() * 100.0;
        shares[changed] = to;
        let moved = moved(&before, &owners(&names, &weights(&shares), 0));
        prop_assert!(moved.iter().all(|pair| [("stable", canary), (canary, "stable")].contains(pair)), "{} moved", moved.len());
        prop_assert!((moved.len() as f64) <= least + 1.0, "{} moved, at least {}", moved.len(), least);
    }

    /// Whatever the weights: of each earlier canary that it meets no more users move than of its own.
    #[test]
    fn a_canary_that_meets_others_moves_as_many_of_each_at_most(
        mut weights in (3usize..6).prop_flat_map(weights),
        which: prop::sample::Index,
        to in 0.0..1.0f64,
    ) {
        let place = which.index(weights.len() - 1) + 1;
        let names = &NAMES[..weights.len()];
        weights[0] = weights[0].max(0.1);
        let before = owners(names, &weights, 0);
        let both = weights[0] + weights[place];
        let least = (weights[place] - to * both).abs() / weights.iter().sum::<f64>() * f64::from(BUCKETS);
        weights[place] = to * both;
        weights[0] = both - weights[place];
        let moved = moved(&before, &owners(names, &weights, 0));
        prop_assert!((moved.len() as f64) <= least * place as f64 + 10.0, "{} moved, at least {}", moved.len(), least);
    }

    /// As an experiment does, whose generated name is the longest.
    #[test]
    fn a_canary_that_comes_last_moves_its_own_users_alone(
        shares in proptest::collection::vec(0.0..1.0f64, 0..6),
        experiment in 0.0..1.0f64,
    ) {
        let canaries = shares.len();
        let part = 100.0 / (canaries + 1).next_power_of_two() as f64;
        let (shares, experiment): (Vec<f64>, f64) = (shares.into_iter().map(|share| share * part).collect(), experiment * part);
        let names: Vec<&str> = NAMES[..=canaries].iter().copied().chain(["experiment-17"]).collect();
        let stable = 100.0 - shares.iter().sum::<f64>();
        let weights: Vec<f64> = [stable].into_iter().chain(shares.clone()).collect();
        let with: Vec<f64> = [stable - experiment].into_iter().chain(shares).chain([experiment]).collect();
        let moved = moved(&owners(&names[..=canaries], &weights, 0), &owners(&names, &with, 0));
        prop_assert!(moved.iter().all(|pair| *pair == ("stable", "experiment-17")), "{} moved", moved.len());
    }

    /// Who takes it out of the route moves those that come after it.
    #[test]
    fn a_canary_that_is_left_in_the_route_without_a_weight_moves_nobody(shares in proptest::collection::vec(0.0..20.0f64, 2..5)) {
        let names = &NAMES[..=shares.len()];
        let weights: Vec<f64> = std::iter::once(100.0 - shares.iter().sum::<f64>()).chain(shares.iter().copied()).collect();
        let mut without = weights.clone();
        without[0] += without[1];
        without[1] = 0.0;
        let moved = moved(&owners(names, &weights, 0), &owners(names, &without, 0));
        prop_assert!(moved.iter().all(|pair| *pair == ("v2", "stable")), "{} moved", moved.len());
    }
}
