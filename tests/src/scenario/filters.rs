//! Weir's filters fail: the canary module that panics, and a configuration that never comes.

use super::{IN_FORCE, canary, load_goes_on};
use crate::lone_envoy::LoneEnvoy;
use crate::tools::{copy_files, modules, project, wait_for, weir};
use crate::{Figure, Mesh, Up};
use anyhow::{Context, Result};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use weir_sample::client::Client;
use weir_sample::load::{Config, Load, run};

/// The most requests that the load has in flight.
const IN_FLIGHT: usize = 16;
/// The gateway's worker threads, each with a filter of its own.
const WORKERS: u64 = 2;

/// Makes the test's build of the canary module panic.
fn panics() -> HeaderMap {
    [(HeaderName::from_static("x-test-panic"), HeaderValue::from_static("yes"))].into_iter().collect()
}

/// The canary demo with a canary filter that panics when it is asked to.
pub fn mesh_that_can_panic() -> Result<Up> {
    let mixed = TempDir::with_prefix("weir-tests-")?;
    copy_files(&modules("modules"), mixed.path())?;
    copy_files(&modules("modules-test"), mixed.path())?;
    let mut command = Command::new(weir());
    command.env("WEIR_MODULES", mixed.path()).arg("up").arg(project("deploy/demos/canary")).arg("--run-dir").arg(mixed.path().join("run"));
    Up::run(command, mixed)
}

/// The filter works: a tester gets the canary at weight 0.
async fn works(mesh: &Up) -> bool {
    canary::tester(mesh).await.is_ok_and(|figure| figure.kept)
}

/// One panic under load.
pub async fn panic_once(mesh: &Up) -> Result<Figure> {
    let worked = works(mesh).await;
    let load = Config { duration: Some(Duration::from_secs(60)), rate: Some(200.0), concurrency: IN_FLIGHT, ..mesh.load(canary::URL) };
    let load = Load::start(load)?;
    load_goes_on(&load, 100).await?;
    let before = load.report().failed;
    run(Config { requests: Some(1), headers: panics(), ..mesh.load(canary::URL) }).await?;
    load_goes_on(&load, IN_FLIGHT as u64).await?;
    let at_once = load.report().failed;
    load_goes_on(&load, 500).await?;
    let report = load.stop().await;
    let measured = format!(
        "{}, {before} failed before, {} with it, {} of {} after",
        if worked { "the filter worked" } else { "the filter did NOT work before" },
        at_once - before,
        report.failed - at_once,
        report.requests
    );
    let kept = worked && before == 0 && at_once <= IN_FLIGHT as u64 && report.failed == at_once;
    Ok(Figure::new("the canary filter panics once under 200 requests/s", "only those in flight on that worker fail", measured, kept))
}

/// A panic for every request, then the weights without the filter, then a new policy.
pub async fn panic_always(mesh: &Up) -> Result<Figure> {
    revive(mesh, "first").await?;
    canary::step(mesh, "1-90-10", 0.02..=0.2).await?;
    let load = Config { requests: Some(3000), concurrency: IN_FLIGHT, headers: panics(), ..mesh.load(canary::URL) };
    let panicking = run(load).await?;
    let share = canary::share_without_user(mesh).await?;
    let revived = revive(mesh, "second").await;
    let most = WORKERS * IN_FLIGHT as u64;
    let measured = format!(
        "{} of {} failed; then canary {}; {}",
        panicking.failed,
        panicking.requests,
        share.measured,
        if revived.is_ok() { "works again with a new policy" } else { "NOT back with a new policy" }
    );
    let kept = panicking.failed <= most && share.kept && revived.is_ok();
    Ok(Figure::new("the canary filter panics on every request", "only those in flight fail; weights hold natively", measured, kept))
}

/// A changed policy gives each worker a new filter.
async fn revive(mesh: &Up, train: &str) -> Result<()> {
    let policy = std::fs::read_to_string(project("deploy/demos/canary/weir.yaml"))?;
    let (head, tail) = policy.split_once("        stable: stable\n").context("the demo's policy names its stable")?;
    mesh.apply_text(&format!("{head}        stable: stable\n        train: {train}\n{tail}"))?;
    wait_for("the filter to work with a new policy", IN_FORCE, async || works(mesh).await.then_some(())).await
}

/// A listener of Weir's whose filter's configuration never comes.
pub async fn never_configured() -> Result<Figure> {
    let envoy = LoneEnvoy::start()?;
    let ok = async |address: SocketAddr, path: &str| {
        let url = format!("http://{address}{path}");
        let answer = Client::new(None).get(&url, HeaderMap::new(), Duration::from_millis(500)).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK).then(|| envoy.started.elapsed())
    };
    let limit = Duration::from_secs(15);
    let (ready, served) = tokio::join!(
        wait_for("Envoy to be ready", limit, async || ok(envoy.admin, "/ready").await),
        wait_for("a request to be served", limit, async || ok(envoy.gateway, "/").await),
    );
    let (ready, served) = (ready?, served?);
    let about = Duration::from_millis(4500)..Duration::from_secs(9);
    let measured = format!("ready after {:.1} s, served after {:.1} s", ready.as_secs_f64(), served.as_secs_f64());
    let kept = about.contains(&ready) && about.contains(&served);
    Ok(Figure::new("a filter's configuration (ECDS) that never comes", "served by native routing after 5 s", measured, kept))
}
