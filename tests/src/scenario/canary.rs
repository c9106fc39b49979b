//! The canary demo: its share, users that keep their version, testers.

use super::IN_FORCE;
use crate::tools::wait_for;
use crate::{Figure, Mesh};
use anyhow::Result;
use hyper::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use weir_sample::load::{Config, Report, args::numbered_users, run};

/// Where the colours are asked for.
pub const URL: &str = "http://canary.localhost/colour";
const COLOUR: &str = "/colour";
const TESTER: &str = "x-tester";

/// Applies a step of the release and waits until the gateway splits so.
pub async fn step(mesh: &impl Mesh, name: &str, canary: std::ops::RangeInclusive<f64>) -> Result<()> {
    mesh.apply(&format!("deploy/demos/canary/steps/{name}.yaml"))?;
    wait_for(&format!("{name}: a canary's share of {canary:?}"), IN_FORCE, async || {
        let report = mesh.count(URL, 400, &[COLOUR]).await.ok()?;
        canary.contains(&share(&report, "green")).then_some(())
    })
    .await
}

/// The weight alone, without a user.
pub async fn share_without_user(mesh: &impl Mesh) -> Result<Figure> {
    step(mesh, "1-90-10", 0.02..=0.2).await?;
    let report = mesh.count(URL, 5000, &[COLOUR]).await?;
    let share = share(&report, "green") * 100.0;
    let kept = report.failed == 0 && (share - 10.0).abs() <= 2.2;
    Ok(Figure::new(
        "canary 90/10 without a user, 5,000 requests",
        "10 % +- 2.2 canary",
        format!("{share:.1} %, {} failed", report.failed),
        kept,
    ))
}

/// A thousand users, three requests each.
async fn users(mesh: &impl Mesh) -> Result<Report> {
    run(Config { requests: Some(3000), by: vec![COLOUR.into()], users: numbered_users(1000), ..mesh.load(URL) }).await
}

/// Each user's colour; none for one who saw two.
fn colours(report: &Report) -> BTreeMap<String, Option<String>> {
    let all = report.users.as_ref().map(|users| users.all.clone()).unwrap_or_default();
    let only = |seen: BTreeMap<String, u64>| if seen.len() == 1 { seen.into_keys().next() } else { None };
    all.into_iter().map(|(user, seen)| (user, only(seen))).collect()
}

/// Users keep their version while the weight stays, and while it grows; two figures.
pub async fn users_keep_their_version(mesh: &impl Mesh) -> Result<[Figure; 2]> {
    step(mesh, "1-90-10", 0.02..=0.2).await?;
    let first = users(mesh).await?;
    let before = colours(&first);
    let torn = before.values().filter(|colour| colour.is_none()).count();
    let green = |colours: &BTreeMap<String, Option<String>>| colours.values().filter(|colour| colour.as_deref() == Some("green")).count();
    let share = green(&before) as f64 / 10.0;
    let kept = first.failed == 0 && before.len() == 1000 && torn == 0 && (share - 10.0).abs() <= 4.0;
    let sticky = Figure::new(
        "1,000 users by cookie, 90/10, 3 requests each",
        "one colour each; 10 % +- 4 canary",
        format!("{torn} with two; {share:.1} %"),
        kept,
    );

    step(mesh, "2-50-50", 0.35..=0.65).await?;
    let grown = colours(&users(mesh).await?);
    let left = before.iter().filter(|(user, colour)| colour.as_deref() == Some("green") && grown.get(*user) != Some(colour)).count();
    step(mesh, "1-90-10", 0.02..=0.2).await?;
    let back = colours(&users(mesh).await?);
    let changed = before.iter().filter(|(user, colour)| back.get(*user) != Some(colour)).count();
    let measured = format!("{left} left, {} joined; {changed} changed", green(&grown) - green(&before).min(green(&grown)));
    let monotonic = Figure::new(
        "90/10 -> 50/50 -> 90/10 for those users",
        "0 leave; each has its first colour again",
        measured,
        left == 0 && changed == 0 && green(&grown) > green(&before),
    );
    Ok([sticky, monotonic])
}

/// A tester reaches the canary at weight 0.
pub async fn tester(mesh: &impl Mesh) -> Result<Figure> {
    step(mesh, "3-100-0", 0.0..=0.0).await?;
    let testers = says(mesh, TESTER, "yes").await?;
    let others = mesh.count(URL, 200, &[COLOUR]).await?.values;
    let kept = testers == one("green", 200) && others == one("blue", 200);
    Ok(Figure::new("a tester's header, canary at weight 0", "all canary; others none", format!("{testers:?}; {others:?}"), kept))
}

/// Whether the header with this value makes a tester, and with `not` none.
pub async fn makes_a_tester(mesh: &impl Mesh, value: &'static str, not: &'static str) -> Result<bool> {
    Ok(says(mesh, TESTER, value).await? == one("green", 200) && says(mesh, TESTER, not).await? == one("blue", 200))
}

/// The colours of 200 requests with this header.
async fn says(mesh: &impl Mesh, name: &'static str, value: &'static str) -> Result<BTreeMap<String, u64>> {
    let headers = [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect();
    Ok(run(Config { requests: Some(200), by: vec![COLOUR.into()], headers, ..mesh.load(URL) }).await?.values)
}

/// What an outside client says of users' numbers and of subsets does not count.
pub async fn spoofed_headers(mesh: &impl Mesh) -> Result<Figure> {
    step(mesh, "2-50-50", 0.35..=0.65).await?;
    let bucket = says(mesh, "x-weir-bucket", "0").await?;
    step(mesh, "3-100-0", 0.0..=0.0).await?;
    let subset = says(mesh, "x-weir-subset", "canary").await?;
    Ok(Figure::new(
        "x-weir-bucket at 50/50, x-weir-subset at 100/0, from outside",
        "no effect",
        format!("{bucket:?}; {subset:?}"),
        bucket.len() == 2 && subset == one("blue", 200),
    ))
}

fn share(report: &Report, value: &str) -> f64 {
    report.values.get(value).copied().unwrap_or_default() as f64 / report.requests.max(1) as f64
}

fn one(value: &str, count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(value.to_string(), count)])
}
