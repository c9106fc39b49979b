//! What `weir canary` prints for people.

use super::find::name;
use crate::canary::page::{Answers, CanaryStatus, Evidence, Verdict};
use crate::commands::output::{row, table as columns};
use k8s_openapi::jiff::Timestamp;

/// A line for each canary.
pub fn table(canaries: &[CanaryStatus], wide: bool) -> String {
    if canaries.is_empty() {
        return String::new();
    }
    let more: &[&str] = if wide { &["STABLE", "FAILURES", "SLOWNESS", "NEEDED", "HOLDS", "PROXIES HOLDING"] } else { &[] };
    let header = ["NAME", "NAMESPACE", "WEIGHT", "IN FORCE", "REQUESTS", "SUCCESS (STABLE)", "P50 MS (STABLE)", "P99 MS (STABLE)"];
    let header = row(&[&header[..], more, &["VERDICT"]].concat());
    columns(&[header].into_iter().chain(canaries.iter().map(|canary| line(canary, wide))).collect::<Vec<_>>())
}

fn line(canary: &CanaryStatus, wide: bool) -> Vec<String> {
    let (of_canary, of_stable) = (&canary.of_canary, &canary.of_stable);
    let part = f64::from(canary.share) / 10_000.0;
    let mut cells = vec![
        name(canary),
        canary.namespace.clone(),
        percents(canary, 1.0),
        percents(canary, part),
        of_canary.requests.to_string(),
        both(of_canary, of_stable, |answers| answers.success, " %"),
        both(of_canary, of_stable, |answers| answers.p50_ms, ""),
        both(of_canary, of_stable, |answers| answers.p99_ms, ""),
    ];
    if wide {
        let of = |value: fn(&Evidence) -> f64| canary.evidence.as_ref().map_or_else(|| "-".into(), |evidence| ten_to(value(evidence)));
        cells.push(canary.stable.clone());
        cells.extend([of(|evidence| evidence.failures), of(|evidence| evidence.latency), of(|evidence| evidence.needed)]);
        cells.extend([canary.holds.to_string(), canary.held_by_proxies.to_string()]);
    }
    cells.push(verdict(canary));
    cells
}

/// What routes give it, or a part of that.
pub fn percents(canary: &CanaryStatus, part: f64) -> String {
    if canary.weights.is_empty() {
        return "-".into();
    }
    let each: Vec<_> = canary.weights.iter().map(|weight| number(weight * part)).collect();
    each.join(", ") + " %"
}

/// Of the canary and, in parentheses, of the stable.
pub fn both(canary: &Answers, stable: &Answers, value: fn(&Answers) -> Option<f64>, unit: &str) -> String {
    let text = |answers| value(answers).map_or_else(|| "-".into(), |value| number(value) + unit);
    format!("{} ({})", text(canary), text(stable))
}

/// How it stands, and why.
pub fn verdict(canary: &CanaryStatus) -> String {
    let until = canary.until_ms.and_then(|millis| Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok());
    let until = until.map(|time| format!(" until {}", time.strftime("%H:%M:%SZ"))).unwrap_or_default();
    match canary.verdict {
        Verdict::Open => match &canary.evidence {
            Some(evidence) if canary.of_canary.requests > 0 => {
                format!("open: {} of {} to 1 against it", ten_to(sum(evidence)), ten_to(evidence.needed))
            }
            _ => "open".into(),
        },
        Verdict::Held => format!("held back{until}: {}", canary.why),
        Verdict::Probing => format!("let in again: {}", canary.why),
        Verdict::HeldByHand => "held back by hand".into(),
        Verdict::NoGovernor => "no governor compares it".into(),
    }
}

/// Both kinds together.
pub fn sum(evidence: &Evidence) -> f64 {
    (10_f64.powf(evidence.failures) + 10_f64.powf(evidence.latency)).log10()
}

/// A logarithm as people read it.
pub fn ten_to(log10: f64) -> String {
    format!("10^{log10:.1}")
}

/// With one digit behind the point where that is not 0.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> CanaryStatus {
        let answers =
            |requests, success, p50_ms| Answers { requests, failures: 9, success: Some(success), p50_ms: Some(p50_ms), p99_ms: None };
        CanaryStatus {
            service: "reviews.shop.svc.cluster.local".into(),
            canary: "v2".into(),
            namespace: "shop".into(),
            stable: "v1".into(),
            weights: vec![10.0, 2.5],
            share: 313,
            verdict: Verdict::Held,
            why: "it fails more often".into(),
            until_ms: Some(1_000),
            evidence: Some(Evidence { failures: 3.31, latency: -1.0, needed: 3.3 }),
            holds: 1,
            of_canary: answers(30, 48.06, 4.0),
            of_stable: answers(270, 100.0, 5.25),
            held_by_proxies: 2,
        }
    }

    #[test]
    fn a_canary_is_a_line_with_the_stable_beside_it() {
        let shown = table(&[canary()], false);
        let expected = "reviews/v2   shop        10, 2.5 %   0.3, 0.1 %   30         48.1 % (100 %)     4 (5.2)           - (-)             held back until 00:00:01Z: it fails more often\n";
        assert_eq!(shown.lines().nth(1).map(|line| format!("{line}\n")).as_deref(), Some(expected), "{shown}");
        let wide = table(&[canary()], true);
        assert!(wide.contains("   v1       10^3.3     10^-1.0    10^3.3   1       2                 held back"), "{wide}");
    }

    #[test]
    fn a_verdict_says_why() {
        let of = |verdict, why: &str| super::verdict(&CanaryStatus { verdict, why: why.into(), until_ms: None, ..canary() });
        assert_eq!(of(Verdict::Open, ""), "open: 10^3.3 of 10^3.3 to 1 against it");
        assert_eq!(of(Verdict::Probing, "3.1 % of them, after it was slower"), "let in again: 3.1 % of them, after it was slower");
        assert_eq!(of(Verdict::HeldByHand, "it was held by hand"), "held back by hand");
        assert_eq!(of(Verdict::NoGovernor, ""), "no governor compares it");
        assert_eq!(table(&[], false), "");
    }
}
