//! What the canary governor holds back, when it lets go again, and that it is wrong no more often than it may be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../benches/governor/traffic.rs"]
mod traffic;

use proptest::prelude::*;
use traffic::{Latencies, Proxy, Random, Traffic};
use weir_policy::canary::governor::{Answer, Counts, EVERYONE, Governor, Phase, Reason, State, Subset, Tally, Tolerance, Total, admits};

const FALSE_ALARM: f64 = 0.0005;

fn governor() -> Governor {
    Governor::new(FALSE_ALARM, Tolerance::DEFAULT)
}

/// A failure, or a success after so many milliseconds.
fn answer(subset: Subset, millis: Option<u32>) -> Answer {
    Answer { subset, bucket: None, micros: millis.map(|millis| millis * 1_000) }
}

/// Nine answers of the stable and one of the canary, again and again, every 10 ms, until the phase is another or `until_ms`.
fn feed(state: &mut State, canary: Option<u32>, from_ms: u64, until_ms: u64) -> u64 {
    let (kind, mut now_ms) = (std::mem::discriminant(&state.phase()), from_ms);
    while now_ms < until_ms && std::mem::discriminant(&state.phase()) == kind {
        let place = now_ms / 10 % 10;
        // The stable's latencies differ, as latencies do.
        let answer = if place == 5 { answer(Subset::Canary, canary) } else { answer(Subset::Stable, Some(20 + place as u32)) };
        governor().observe(state, &[answer], now_ms);
        now_ms += 10;
    }
    now_ms
}

/// Held for failures, at some time.
fn held() -> (State, u64) {
    let mut state = State::default();
    let now_ms = feed(&mut state, None, 0, 60_000);
    assert_eq!((state.share(), state.reason(), state.holds()), (0, Some(Reason::Failures), 1));
    (state, now_ms)
}

#[test]
fn holds_a_canary_that_fails() {
    let (state, now_ms) = held();
    assert!(now_ms <= 1_000, "{now_ms}");
    let (canary, stable) = (state.total(Subset::Canary), state.total(Subset::Stable));
    assert_eq!((canary.failures, stable.failures), (canary.requests, 0));
    assert!((20.0..30.0).contains(&stable.mean_ms()), "{}", stable.mean_ms());
    assert_eq!(canary.mean_ms(), 0.0);
}

#[test]
fn holds_a_canary_that_is_slow() {
    let mut state = State::default();
    feed(&mut state, Some(60), 0, 10_000);
    assert_eq!((state.share(), state.reason()), (0, Some(Reason::Latency)));
}

#[test]
fn tolerates_a_canary_that_is_a_little_slower() {
    let mut state = State::default();
    assert_eq!(feed(&mut state, Some(27), 0, 600_000), 600_000);
    assert_eq!(state.share(), EVERYONE);
    assert!(state.evidence(Reason::Latency) < 0.0, "{}", state.evidence(Reason::Latency));
}

#[test]
fn evidence_of_what_is_wrong_alone_comes_near_to_what_is_needed() {
    let (governor, mut state) = (governor(), State::default());
    feed(&mut state, None, 0, 500);
    let needed = governor.needed(&state);
    assert!((needed - 2_000_f64.log10()).abs() < 1e-9, "{needed}");
    assert!(state.evidence(Reason::Failures) > 1.0 && state.evidence(Reason::Latency) < 0.0, "{state:?}");
    let (state, _) = held();
    assert!(governor.needed(&state) < needed);
}

#[test]
fn probes_after_a_backoff_and_lets_ever_more_of_the_same_users_in() {
    let (mut state, held_ms) = held();
    let Phase::Held { until_ms } = state.phase() else { panic!("{state:?}") };
    assert_eq!(until_ms - (held_ms - 10), 15_000);
    governor().advance(&mut state, until_ms - 1);
    assert_eq!(state.share(), 0);
    governor().advance(&mut state, until_ms);
    let mut shares = vec![state.share()];
    let mut now_ms = until_ms;
    while !matches!(state.phase(), Phase::Open { .. }) {
        now_ms += 100;
        governor().advance(&mut state, now_ms);
        shares.push(state.share());
    }
    assert!(shares.is_sorted(), "{shares:?}");
    shares.dedup();
    assert_eq!(shares, [313, 626, 1_252, 2_504, 5_008, EVERYONE]);
    // Nobody came, so that each step took its longest time.
    assert_eq!(now_ms - until_ms, 150_000);
}

#[test]
fn a_step_is_short_when_the_canary_answers_well() {
    let (mut state, now_ms) = held();
    let now_ms = feed(&mut state, Some(20), now_ms, 60_000);
    let opened_ms = feed(&mut state, Some(20), now_ms, 120_000);
    assert_eq!((state.share(), (opened_ms - now_ms) / 1_000), (EVERYONE, 25));
}

#[test]
fn a_canary_that_fails_again_is_held_sooner_and_for_longer_up_to_five_minutes() {
    let (mut state, mut now_ms) = held();
    let mut backoffs = Vec::new();
    for _ in 0..7 {
        now_ms = feed(&mut state, Some(20), now_ms, u64::MAX);
        let asked = state.total(Subset::Canary).requests;
        now_ms = feed(&mut state, None, now_ms, u64::MAX);
        let Phase::Held { until_ms } = state.phase() else { panic!("{state:?}") };
        assert!(state.total(Subset::Canary).requests - asked <= 13, "{state:?}");
        backoffs.push((until_ms - (now_ms - 10)) / 1_000);
    }
    assert_eq!(backoffs, [30, 60, 120, 240, 300, 300, 300]);
}

#[test]
fn a_long_good_time_is_a_new_beginning() {
    let (mut state, now_ms) = held();
    let now_ms = feed(&mut state, Some(20), now_ms, u64::MAX);
    let now_ms = feed(&mut state, Some(20), now_ms, u64::MAX);
    let now_ms = feed(&mut state, Some(20), now_ms, now_ms + 600_000);
    assert_eq!(state.share(), EVERYONE);
    let now_ms = feed(&mut state, None, now_ms, u64::MAX);
    assert_eq!(state.phase(), Phase::Held { until_ms: now_ms - 10 + 15_000 });
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_for_ever() {
    let mut state = State::default();
    feed(&mut state, None, 3_600_000, 3_700_000);
    assert!(matches!(state.phase(), Phase::Held { until_ms: 3_600_000.. }), "{state:?}");
    governor().advance(&mut state, 1_000);
    assert!(matches!(state.phase(), Phase::Probing { .. }), "{state:?}");
    governor().advance(&mut state, 0);
    assert!(matches!(state.phase(), Phase::Probing { .. }), "{state:?}");
}

#[test]
fn the_control_plane_holds_by_counts() {
    let counts =
        |canary, stable| Counts { canary: Tally { requests: 10, failures: canary }, stable: Tally { requests: 90, failures: stable } };
    let mut state = State::default();
    for second in 0..1_000 {
        governor().count(&mut state, &counts(second as u32 / 5 % 2, 9), second * 1_000);
    }
    assert_eq!((state.share(), state.total(Subset::Stable)), (EVERYONE, Total { requests: 90_000, failures: 9_000, micros: 0 }));
    governor().count(&mut state, &counts(8, 1), 1_000_000);
    governor().count(&mut state, &counts(8, 1), 1_001_000);
    assert_eq!((state.share(), state.reason()), (0, Some(Reason::Failures)));
}

#[test]
fn a_user_counts_until_its_first_failure() {
    let mut state = State::default();
    let of_user = |subset, bucket, millis| Answer { bucket: Some(bucket), ..answer(subset, millis) };
    for round in 0..2_000 {
        let mut answers: Vec<_> = (0..9).map(|user| of_user(Subset::Stable, 5_000 + round * 9 % 900 + user, Some(20))).collect();
        // One user of the canary has errors only, since it is that user.
        let failing = round % 5 == 0;
        answers.push(of_user(Subset::Canary, if failing { 7 } else { 8 }, (!failing).then_some(20)));
        governor().observe(&mut state, &answers, u64::from(round));
    }
    assert_eq!((state.share(), state.total(Subset::Canary).failures), (EVERYONE, 400));
    // Of the stable a user is left out that shares a bit with it.
    let compared = Counts { canary: Tally { requests: 1_601, failures: 1 }, stable: Tally { requests: 17_980, failures: 0 } };
    assert_eq!(state.compared(), compared);
    assert_eq!(state.compared().since(compared), Counts::default());
    // Many users are another matter.
    for user in 100..200 {
        let stable: [Answer; 9] = std::array::from_fn(|_| answer(Subset::Stable, Some(20)));
        governor().observe(&mut state, &stable, 2_000);
        governor().observe(&mut state, &[of_user(Subset::Canary, user, None)], 2_000);
    }
    assert_eq!(state.share(), 0);
}

#[test]
fn of_any_interval_of_buckets_about_the_share_is_let_in() {
    for share in [313, 626, 1_252, 2_504, 5_008] {
        for (from, len) in [(0, 100), (0, 1_000), (3_333, 1_000), (9_000, 1_000), (0, 5_000), (0, 10_000)] {
            let admitted = (from..from + len).filter(|bucket| admits(share, *bucket)).count() as f64;
            let wanted = f64::from(len) * f64::from(share) / f64::from(EVERYONE);
            assert!((admitted - wanted).abs() <= 2.0, "{share} of {from}+{len}: {admitted} for {wanted}");
        }
    }
    assert!((0..EVERYONE).all(|bucket| admits(EVERYONE, bucket) && !admits(0, bucket)));
}

/// With a bound a hundred times as loose, so that there is something to count: of 4,000 runs 200 may be false alarms; four
/// standard deviations above that would be 255.
#[test]
fn a_canary_that_is_not_worse_is_held_no_more_often_than_promised() {
    let (governor, latencies) = (Governor::new(0.05, Tolerance { slower: 1.0, later_micros: 0.0 }), Latencies::new());
    let alarms = (0..4_000).filter(|seed| {
        let (mut random, mut state) = (Random::new(*seed), State::default());
        for _ in 0..200 {
            let answers: [Answer; 50] = std::array::from_fn(|_| Traffic::EVEN.draw(&latencies, &mut random));
            governor.observe(&mut state, &answers, 0);
        }
        state.holds() > 0
    });
    let alarms = alarms.count();
    println!("{alarms} false alarms");
    assert!((20..=255).contains(&alarms), "{alarms}");
}

#[test]
fn a_canary_that_is_worse_is_found_soon_at_any_weight() {
    let (governor, latencies) = (governor(), Latencies::new());
    for (weight, most) in [(0.01, 40), (0.1, 40), (0.5, 100), (0.9, 600)] {
        let traffic = Traffic { weight, canary: 0.2, ..Traffic::EVEN };
        let mut requests: Vec<_> = (0..200)
            .map(|seed| {
                let (mut random, mut proxy) = (Random::new(seed), Proxy::new(&governor, 2));
                while proxy.state.share() > 0 {
                    proxy.now_ms += 10;
                    proxy.answer(traffic.draw(&latencies, &mut random), &mut random);
                }
                proxy.state.total(Subset::Canary).requests
            })
            .collect();
        requests.sort_unstable();
        assert!(requests[100] <= most, "{weight}: {}", requests[100]);
    }
}

#[test]
fn an_outage_that_both_share_holds_nothing() {
    let (governor, latencies) = (governor(), Latencies::new());
    for seed in 0..200 {
        let (mut random, mut proxy) = (Random::new(seed), Proxy::new(&governor, 4));
        while proxy.now_ms < 60_000 {
            proxy.now_ms += 10;
            let rate = if proxy.now_ms % 20_000 < 10_000 { 0.0 } else { 0.7 };
            let traffic = Traffic { canary: rate, stable: rate, ..Traffic::EVEN };
            proxy.answer(traffic.draw(&latencies, &mut random), &mut random);
        }
        assert_eq!(proxy.state.holds(), 0, "seed {seed}");
    }
}

fn answers() -> impl Strategy<Value = Vec<(Answer, u64)>> {
    let subset = prop_oneof![Just(Subset::Canary), Just(Subset::Stable)];
    let bucket = proptest::option::of(0..EVERYONE);
    let one = (subset, bucket, proptest::option::of(any::<u32>()), 0..2_000_u64);
    proptest::collection::vec(one.prop_map(|(subset, bucket, micros, gap_ms)| (Answer { subset, bucket, micros }, gap_ms)), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_state_comes_back_from_its_bytes_at_any_time(answers in answers()) {
        let (mut state, mut now_ms) = (State::default(), 0);
        for (answer, gap_ms) in answers {
            now_ms += gap_ms;
            governor().observe(&mut state, &[answer], now_ms);
            prop_assert_eq!(State::from_bytes(&state.to_bytes()), state);
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_fresh_state(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(State::from_bytes(&bytes), State::default());
    }

    #[test]
    fn bytes_that_were_damaged_are_no_danger(
        answers in answers(), damage in proptest::collection::vec((0..State::LEN, any::<u8>()), 1..20), now_ms in any::<u64>(),
    ) {
        let mut state = State::default();
        let all: Vec<_> = answers.into_iter().map(|(answer, _)| answer).collect();
        governor().observe(&mut state, &all, 0);
        let mut bytes = state.to_bytes();
        damage.into_iter().for_each(|(place, byte)| bytes[place] = byte);
        let mut state = State::from_bytes(&bytes);
        governor().observe(&mut state, &all, now_ms);
        governor().count(&mut state, &Counts::default(), now_ms);
        governor().advance(&mut state, u64::MAX);
        prop_assert!(state.share() <= EVERYONE);
        prop_assert_eq!(State::from_bytes(&state.to_bytes()), state);
    }
}
