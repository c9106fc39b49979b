//! The locality demo: calls stay in their zone, leave one that fails, and come back.

use super::load_goes_on;
use crate::tools::wait_for;
use crate::{Figure, Mesh, Up};
use anyhow::{Context, Result};
use hyper::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_sample::load::{Config, Load, Report, run};

const URL: &str = "http://locality.localhost/";
const ZONES: [&str; 3] = ["a", "b", "c"];
/// Zone of product, zone of order-history.
const BY: [&str; 2] = ["/zone", "/orderHistory/zone"];
/// All answers come from other zones after this time.
const AWAY: Duration = Duration::from_secs(1);
/// All answers come from the zone again after this time.
const BACK: Duration = Duration::from_secs(15);

/// A load that enters in a zone.
fn from_zone(mesh: &impl Mesh, zone: &str) -> Config {
    let header = HeaderValue::from_str(zone).expect("a zone's name is a header's value");
    Config {
        headers: [(HeaderName::from_static("x-zone"), header)].into_iter().collect(),
        by: BY.map(String::from).into(),
        ..mesh.load(URL)
    }
}

/// All healthy: every call stays in its zone.
pub async fn stays(mesh: &impl Mesh) -> Result<Figure> {
    let mut measured = Vec::new();
    let mut kept = true;
    for zone in ZONES {
        let report = run(Config { requests: Some(1000), ..from_zone(mesh, zone) }).await?;
        let inside = report.values.get(&format!("{zone} {zone}")).copied().unwrap_or_default();
        measured.push(format!("{zone}: {inside}"));
        kept &= inside == 1000;
    }
    Ok(Figure::new("locality, 1,000 requests from each zone, all healthy", "100 % in the zone", measured.join(", "), kept))
}

/// What an outside client says of zones does not count: the gateway calls product in its own.
pub async fn spoofed_header(mesh: &impl Mesh) -> Result<Figure> {
    let headers = [(HeaderName::from_static("x-weir-zone"), HeaderValue::from_static("local/c"))].into_iter().collect();
    let report = run(Config { requests: Some(200), headers, by: BY.map(String::from).into(), ..mesh.load(URL) }).await?;
    let kept = report.values == BTreeMap::from([("a a".into(), 200)]);
    Ok(Figure::new("x-weir-zone for another zone, from outside", "no effect", format!("{:?}", report.values), kept))
}

/// How a zone's pod goes.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// The app alone, by SIGKILL; its Envoy lives.
    App,
    /// The whole pod, by SIGKILL.
    PodAtOnce,
    /// The whole pod, by SIGTERM.
    PodInOrder,
}

/// A pod of order-history in zone a goes, and returns.
pub async fn pod_leaves_and_returns(mesh: &Up, stop: Stop) -> Result<Figure> {
    let pods = mesh.pods("locality", "order-history")?;
    let (pod, _) = pods.iter().find(|(_, zone)| zone == "a").context("a pod in zone a")?;
    let (gone, stop_args): (&str, &[&str]) = match stop {
        Stop::App => ("its app alone by SIGKILL", &["-c", "order-history", "--signal", "KILL"]),
        Stop::PodAtOnce => ("the whole pod by SIGKILL", &["--signal", "KILL"]),
        Stop::PodInOrder => ("the whole pod by SIGTERM", &[]),
    };
    let start_args: &[&str] = if matches!(stop, Stop::App) { &["-c", "order-history"] } else { &[] };
    let start = || mesh.ask(&[&["start", pod], start_args].concat()).map(drop);
    leaves_and_returns(mesh, gone, || mesh.ask(&[&["stop", pod], stop_args].concat()).map(drop), start).await
}

/// order-history of zone a goes under 100 requests/s by `stop`, and returns by `start`.
pub async fn leaves_and_returns(
    mesh: &impl Mesh,
    gone: &str,
    stop: impl FnOnce() -> Result<()>,
    start: impl FnOnce() -> Result<()>,
) -> Result<Figure> {
    let in_zone = |report: &Report| report.values.len() == 1 && report.values.contains_key("a a");
    wait_for("calls in zone a", BACK, async || {
        run(Config { requests: Some(20), ..from_zone(mesh, "a") }).await.ok().filter(in_zone).map(drop)
    })
    .await?;

    let load = Load::start(Config {
        duration: Some(Duration::from_secs(90)),
        rate: Some(100.0),
        timeline: true,
        concurrency: 64,
        ..from_zone(mesh, "a")
    })?;
    load_goes_on(&load, 100).await?;
    let stopped = load.elapsed();
    stop()?;
    load_goes_on(&load, 300).await?;
    start()?;
    let started = load.elapsed();
    let back = wait_for("zone a to be used again", BACK + Duration::from_secs(10), async || {
        let report = load.report();
        let recent: Vec<_> = report.timeline.iter().rev().skip(1).take(10).collect();
        let settled = recent.len() == 10 && recent.iter().all(|bucket| bucket.values.keys().all(|value| value == "a a"));
        (settled && recent[9].at_ms > millis(started)).then(|| recent[9].at_ms)
    })
    .await;
    let report = load.stop().await;
    let strays = stays_in_zone_between(&report, millis(stopped + AWAY), millis(started));
    let returned = back.as_ref().map(|at| at.saturating_sub(millis(started))).ok();
    let kept = report.failed == 0 && strays == 0 && returned.is_some_and(|after| after <= millis(BACK));
    let reasons: Vec<String> =
        report.failures.iter().map(|failure| format!("{} x {} at {} ms", failure.count, failure.reason, failure.first_at_ms)).collect();
    let measured = format!(
        "{} of {} failed{}, {strays} in the zone after 1 s, back after {}",
        report.failed,
        report.requests,
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) },
        returned.map_or("never".into(), |after| format!("{:.1} s", after as f64 / 1000.0))
    );
    Ok(Figure::new(format!("a zone's order-history gone at 100 requests/s: {gone}"), "0 failed, away in 1 s, back in 15 s", measured, kept))
}

/// Answers from zone a in a span of time.
fn stays_in_zone_between(report: &Report, from: u64, to: u64) -> u64 {
    let inside = report.timeline.iter().filter(|bucket| bucket.at_ms >= from && bucket.at_ms + 100 <= to);
    inside.map(|bucket| in_a(&bucket.values)).sum()
}

fn in_a(values: &BTreeMap<String, u64>) -> u64 {
    values.get("a a").copied().unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
