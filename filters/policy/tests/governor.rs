//! What the canary governor holds back, when it lets go again, and that it is wrong no more often than it may be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../benches/governor/traffic.rs"]
mod traffic;

use proptest::prelude::*;
use traffic::{Latencies, Proxy, Random, Traffic};
use weir_policy::canary::governor::{Answer, Block, EVERYONE, Governor, Order, Phase, Reason, Record, State, Subset, Tolerance, admits};

const FALSE_ALARM: f64 = 0.0005;

fn governor() -> Governor {
    Governor::new(FALSE_ALARM, Tolerance::DEFAULT)
}

fn observe(state: &mut State, answers: &[Answer], now_ms: u64) -> Vec<Block> {
    let mut closed = Vec::new();
    governor().observe(state, answers, now_ms, &mut closed);
    closed
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
        observe(state, &[answer], now_ms);
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

/// Proxies that ten requests each reach in turn, one of them the canary's; the control plane takes their blocks.
fn mesh(proxies: usize, rounds: u64, fails: impl Fn(u64) -> bool, bucket: impl Fn(usize, u64) -> u16) -> State {
    let (mut whole, mut states) = (State::default(), vec![State::default(); proxies]);
    for round in 0..rounds {
        for (proxy, state) in states.iter_mut().enumerate() {
            let mut answers = [answer(Subset::Stable, Some(20)); 10];
            answers[5] = Answer { bucket: Some(bucket(proxy, round)), ..answer(Subset::Canary, (!fails(round)).then_some(20)) };
            let mut closed = Vec::new();
            // In a proxy of very many no evidence is enough.
            Governor::new(1e-200, Tolerance::DEFAULT).observe(state, &answers, round * 1_000, &mut closed);
            closed.iter().for_each(|block| governor().take(&mut whole, block, round * 1_000));
        }
    }
    whole
}

#[test]
fn the_control_plane_holds_a_canary_by_what_little_each_of_many_proxies_saw() {
    let state = mesh(50, 4, |round| round == 1, |proxy, round| (proxy as u64 * 16 + round) as u16);
    assert_eq!((state.share(), state.reason()), (0, Some(Reason::Failures)));
    // Of each proxy a block of 32; the rest was waited for.
    assert_eq!(state.total(Subset::Canary).requests, 50 * 3);
    let state = mesh(50, 4, |_| false, |proxy, round| (proxy as u64 * 16 + round) as u16);
    assert_eq!(state.share(), EVERYONE);
}

#[test]
fn a_user_who_fails_by_itself_counts_once_in_the_whole_mesh() {
    let state = mesh(50, 20, |round| round % 2 == 0, |_, round| (round % 2) as u16);
    assert!(state.share() == EVERYONE && state.total(Subset::Canary).failures >= 50 * 7, "{state:?}");
}

#[test]
fn what_proxies_tell_while_a_canary_is_held_is_no_evidence_and_then_it_is_probed() {
    let mut state = mesh(50, 4, |round| round == 1, |proxy, round| (proxy as u64 * 16 + round) as u16);
    let Phase::Held { until_ms } = state.phase() else { panic!("{state:?}") };
    let block = {
        let mut other = State::default();
        let answers: Vec<_> =
            (0..32).map(|place| answer(if place < 8 { Subset::Canary } else { Subset::Stable }, (place >= 8).then_some(9))).collect();
        observe(&mut other, &answers, 0).pop().unwrap()
    };
    let before = state.evidence(Reason::Failures);
    governor().take(&mut state, &block, until_ms - 1);
    assert_eq!((state.share(), state.evidence(Reason::Failures), state.holds()), (0, before, 1));
    governor().advance(&mut state, until_ms);
    assert_eq!(state.share(), 313);
    governor().take(&mut state, &block, until_ms + 1);
    assert_eq!((state.share(), state.holds()), (0, 2));
}

#[test]
fn no_proxy_gives_a_canary_more_than_it_is_told_to() {
    let (mut state, mut closed) = (State::default(), Vec::new());
    let answers: Vec<_> = (0..20).map(|place| answer(if place < 2 { Subset::Canary } else { Subset::Stable }, Some(20 + place))).collect();
    observe(&mut state, &answers, 0);
    let mut obey = |state: &mut State, share, round| {
        governor().obey(state, Order { share, round, ..Order::default() }, 1, &mut closed);
        std::mem::take(&mut closed).len()
    };
    // What was compared under another share is a block of its own.
    assert_eq!((obey(&mut state, 0, 0), state.share(), state.own_share()), (1, 0, EVERYONE));
    // Nothing is compared while the canary is to have nobody.
    let failing = [answer(Subset::Canary, None), answer(Subset::Stable, Some(20))].repeat(500);
    assert_eq!((observe(&mut state, &failing, 2).len(), state.holds()), (0, 0));
    assert_eq!((obey(&mut state, 313, 0), state.share()), (0, 313));
    observe(&mut state, &failing, 3);
    assert_eq!((state.share(), state.holds()), (0, 1));
    assert_eq!((obey(&mut state, EVERYONE, 0), state.share()), (0, 0), "it is held here");
    // A new round forgets that, once.
    assert_eq!((obey(&mut state, EVERYONE, 1), state.share(), state.total(Subset::Canary).requests), (0, EVERYONE, 1_002));
    observe(&mut state, &failing, 4);
    assert_eq!((obey(&mut state, EVERYONE, 1), state.share()), (0, 0));
    assert_eq!((obey(&mut state, EVERYONE, 0), state.share()), (0, 0), "a worker that knows the round before only");
}

#[test]
fn a_block_is_not_waited_for_long() {
    let mut state = State::default();
    let answers: Vec<_> = (0..4).map(|place| answer(if place == 2 { Subset::Canary } else { Subset::Stable }, Some(20))).collect();
    assert_eq!(observe(&mut state, &answers[..3], 1_000).len(), 0);
    assert_eq!(observe(&mut state, &[], 100_000).len(), 0, "too few to be of use");
    let closed = observe(&mut state, &answers[3..], 100_000);
    assert_eq!(closed.iter().map(|block| block.total(Subset::Stable).requests).collect::<Vec<_>>(), [3]);
    let mut after = |answers: &[Answer], now_ms| observe(&mut state, answers, now_ms).len();
    assert_eq!([after(&answers[..2], 100_000), after(&answers[..2], 102_999), after(&[], 103_000)], [0, 0, 1]);
    // There was none of the canary: the next block takes more.
    assert_eq!([after(&answers, 110_000), after(&[], 120_000), after(&answers, 120_000)], [0, 0, 1]);
}

fn report(records: &[(&str, Record)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|(name, record)| record.append(name, &mut bytes));
    bytes
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
            governor.observe(&mut state, &answers, 0, &mut Vec::new());
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
            observe(&mut state, &[answer], now_ms);
            prop_assert_eq!(State::from_bytes(&state.to_bytes()), state);
        }
    }

    #[test]
    fn what_a_proxy_reports_is_read_as_it_was(answers in answers()) {
        let (mut state, mut now_ms, mut closed) = (State::default(), 0, Vec::new());
        for (answer, gap_ms) in answers {
            now_ms += gap_ms;
            governor().observe(&mut state, &[answer], now_ms, &mut closed);
        }
        let mut records: Vec<_> = closed.into_iter().map(|block| ("reviews\nv2", Record::Block(block.into()))).collect();
        records.insert(records.len() / 2, ("ratings\nv2", Record::Share(313)));
        let bytes = report(&records);
        let short = Record::without_repetitions(&bytes);
        for bytes in [&bytes, &short] {
            let read = Record::read_all(bytes).unwrap();
            prop_assert_eq!(read.len(), records.len());
            for ((name, record), (expected_name, expected)) in read.iter().zip(&records) {
                prop_assert_eq!(name, expected_name);
                let told = |record: &Record| match record {
                    Record::Share(_) => None,
                    Record::Block(block) => Some([Subset::Canary, Subset::Stable].map(|subset| {
                        (block.total(subset), block.latencies(subset).collect::<Vec<_>>())
                    })),
                };
                prop_assert_eq!(told(record), told(expected));
                // The evidence is the same.
                if let (Record::Block(read), Record::Block(sent)) = (record, expected) {
                    let (mut by_read, mut by_sent) = (State::default(), State::default());
                    governor().take(&mut by_read, read, 0);
                    governor().take(&mut by_sent, sent, 0);
                    prop_assert_eq!(by_read, by_sent);
                }
            }
        }
        prop_assert!(short.len() <= bytes.len());
    }

    #[test]
    fn a_false_report_is_no_danger(
        answers in answers(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9), now_ms in any::<u64>(),
    ) {
        let all: Vec<_> = answers.into_iter().map(|(answer, _)| answer).collect();
        let closed = observe(&mut State::default(), &all, 0);
        let records: Vec<_> = closed.into_iter().map(|block| ("reviews\nv2", Record::Block(block.into()))).collect();
        let mut bytes = report(&records);
        prop_assume!(!bytes.is_empty());
        damage.into_iter().for_each(|(place, byte)| *place.get_mut(&mut bytes) = byte);
        let mut state = State::default();
        for (_, record) in Record::read_all(&bytes).unwrap_or_default() {
            if let Record::Block(block) = record {
                governor().take(&mut state, &block, now_ms);
                prop_assert!(block.latencies(Subset::Canary).chain(block.latencies(Subset::Stable)).all(f32::is_finite));
            }
        }
        prop_assert_eq!(State::from_bytes(&state.to_bytes()), state);
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
        observe(&mut state, &all, 0);
        let mut bytes = state.to_bytes();
        damage.into_iter().for_each(|(place, byte)| bytes[place] = byte);
        let mut state = State::from_bytes(&bytes);
        observe(&mut state, &all, now_ms);
        governor().advance(&mut state, u64::MAX);
        prop_assert!(state.share() <= EVERYONE);
        prop_assert_eq!(State::from_bytes(&state.to_bytes()), state);
    }
}
