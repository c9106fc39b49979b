use super::*;
use crate::canary::fixtures::{block, name, world};

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.follow(&world("", "").mesh);
    ledger
}

/// Four pods tell of a canary that fails.
fn fail(ledger: &mut Ledger, now_ms: u64) {
    for pod in 0..4 {
        ledger.take(&format!("p{pod}.shop"), &name(), &block(4, pod * 4), now_ms);
    }
}

fn status(ledger: &Ledger) -> CanaryStatus {
    ledger.status().pop().unwrap()
}

fn order(ledger: &Ledger) -> Option<(u16, String)> {
    ledger.orders().remove(&name()).map(|order| (order.share, order.why))
}

const WHY: &str = "it fails more often than the stable: 8 of 8 failed, of the stable's 0 of 56";

#[test]
fn a_canary_that_fails_is_held_back_probed_and_let_in_again() {
    let mut ledger = ledger();
    assert_eq!(order(&ledger), None);
    ledger.take("p.shop", &name(), &block(0, 0), 500);
    assert_eq!((order(&ledger), status(&ledger).verdict), (None, Verdict::Open));
    let mut ledger = self::ledger();
    fail(&mut ledger, 1_000);
    assert_eq!(order(&ledger), Some((0, WHY.into())));
    let held = status(&ledger);
    assert_eq!((held.verdict, held.until_ms, held.holds, held.weights.as_slice()), (Verdict::Held, Some(16_000), 1, &[10.0][..]));
    assert_eq!((held.of_canary.requests, held.of_canary.success, held.of_canary.p50_ms), (16, Some(0.0), None));
    assert_eq!((held.of_stable.success, held.of_stable.p50_ms.map(f64::round)), (Some(100.0), Some(10.0)));
    ledger.advance(16_000);
    assert_eq!((order(&ledger), ledger.orders()[&name()].since), (Some((313, format!("3.1 % of them, after {WHY}"))), 1));
    (0..60).for_each(|second| ledger.advance(16_000 + second * 5_000));
    assert_eq!((order(&ledger), status(&ledger).verdict), (None, Verdict::Open));
}

#[test]
fn what_is_held_by_hand_stays_so_whatever_is_told_until_it_is_resumed() {
    let mut ledger = ledger();
    ledger.hold(&name(), 500_000).unwrap();
    assert_eq!(ledger.orders()[&name()].since, 500);
    ledger.hold(&name(), 900_000).unwrap();
    assert_eq!(ledger.orders()[&name()].since, 500, "as long as it is held");
    fail(&mut ledger, 1_000);
    (0..600).for_each(|second| ledger.advance(second * 1_000));
    assert_eq!((order(&ledger), status(&ledger).verdict), (Some((0, "it was held by hand".into())), Verdict::HeldByHand));
    // It outlives the control plane, and the canary.
    let mut ledger = Ledger::load(&ledger.keep());
    ledger.follow(&world("weight: 10", "weight: 30").mesh);
    assert_eq!((order(&ledger).map(|(share, _)| share), status(&ledger).weights), (Some(0), vec![25.0]));
    ledger.follow(&world("hosts: [reviews], governor: {}", "hosts: [ratings]").mesh);
    assert_eq!((status(&ledger).verdict, status(&ledger).weights), (Verdict::HeldByHand, vec![]));
    ledger.resume(&name(), 7_000).unwrap();
    ledger.follow(&world("hosts: [reviews], governor: {}", "hosts: [ratings]").mesh);
    assert_eq!(ledger.status(), []);
}

#[test]
fn who_is_resumed_is_judged_anew_in_a_later_round_each_time() {
    let mut ledger = ledger();
    fail(&mut ledger, 1_000);
    let rounds: Vec<_> = [5_000, 5_100, 1_000_000]
        .map(|now_ms| {
            ledger.resume(&name(), now_ms).unwrap();
            let order = ledger.orders().remove(&name()).unwrap();
            assert_eq!(order.share, EVERYONE);
            order.round
        })
        .into();
    assert_eq!(rounds, [5, 6, 1_000]);
    let status = status(&ledger);
    assert_eq!((status.verdict, status.holds, status.of_canary.requests), (Verdict::Open, 0, 0));
    fail(&mut ledger, 1_001_000);
    assert_eq!(order(&ledger).map(|(share, _)| share), Some(0));
}

#[test]
fn what_was_known_is_known_again_after_it_was_kept() {
    let mut ledger = ledger();
    fail(&mut ledger, 1_000);
    let kept: Kept = serde_json::from_str(&serde_json::to_string(&ledger.keep()).unwrap()).unwrap();
    let mut again = Ledger::load(&kept);
    assert_eq!(again.orders(), ledger.orders(), "before there is a mesh");
    again.follow(&world("", "").mesh);
    assert_eq!(status(&again).until_ms, Some(16_000));
    let broken =
        [("x".to_string(), KeptCanary::default()), (name().to_string(), KeptCanary { state: "?".into(), ..KeptCanary::default() })];
    assert_eq!(Ledger::load(&broken.into()).orders(), Orders::new());
}

#[test]
fn proxies_that_hold_it_back_by_themselves_are_counted_while_they_are_there() {
    let mut ledger = ledger();
    for (pod, share) in [("front.shop", 0), ("gone.shop", 0), ("front.shop", 313)] {
        ledger.take(pod, &name(), &Record::Share(share), 0);
    }
    assert_eq!(status(&ledger).held_by_proxies, 2);
    ledger.follow(&world("", "").mesh);
    assert_eq!(status(&ledger).held_by_proxies, 1);
    ledger.take("front.shop", &name(), &Record::Share(EVERYONE), 0);
    assert_eq!(status(&ledger).held_by_proxies, 0);
}

#[test]
fn what_cannot_be_held_is_told() {
    let mut ledger = Ledger::default();
    ledger.follow(&world("governor: {}", "key: [{cookie: user}]").mesh);
    assert_eq!(status(&ledger).verdict, Verdict::NoGovernor);
    let expected = "reviews.shop.svc.cluster.local/v2 has no governor: add `governor: {}` to its policy";
    assert_eq!(ledger.hold(&name(), 0), Err(expected.into()));
    let other = Name { canary: "v9".into(), ..name() };
    assert_eq!(ledger.resume(&other, 0), Err("there is no canary reviews.shop.svc.cluster.local/v9".into()));
}
