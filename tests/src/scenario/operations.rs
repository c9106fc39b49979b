//! What operators do to a mesh under load: edits, bad edits, a control plane that dies.

use super::{IN_FORCE, canary, load_goes_on};
use crate::tools::{project, wait_for};
use crate::{Figure, Mesh, Up};
use anyhow::Result;
use std::time::Duration;
use weir_sample::load::{Config, Load};

/// 200 requests/s on the canary demo until stopped.
fn load(mesh: &Up) -> Result<Load> {
    Load::start(Config {
        duration: Some(Duration::from_secs(60)),
        rate: Some(200.0),
        concurrency: 64,
        by: vec!["/colour".into()],
        ..mesh.load(canary::URL)
    })
}

/// A weight that changes twice a second: after each 100 requests.
pub async fn many_edits(mesh: &Up) -> Result<Figure> {
    let load = load(mesh)?;
    load_goes_on(&load, 100).await?;
    for edit in 0..20 {
        let step = ["1-90-10", "2-50-50"][edit % 2];
        mesh.apply(&format!("deploy/demos/canary/steps/{step}.yaml"))?;
        load_goes_on(&load, 100).await?;
    }
    let report = load.stop().await;
    canary::step(mesh, "3-100-0", 0.0..=0.0).await?;
    let measured = format!("{} of {} failed", report.failed, report.requests);
    Ok(Figure::new("a weight edited 20 times in 10 s under 200 requests/s", "0 failed", measured, report.failed == 0))
}

/// A policy that does not parse is refused by name and leaves the last good one in force; a good one takes effect.
pub async fn bad_policy(mesh: &Up) -> Result<Figure> {
    canary::step(mesh, "3-100-0", 0.0..=0.0).await?;
    let good = std::fs::read_to_string(project("deploy/demos/canary/weir.yaml"))?;
    let broken = good.replace("stable: stable", "stabel: stable");
    anyhow::ensure!(broken != good, "the demo's policy names its stable");
    let refused = mesh.apply_text(&broken).err().map(|error| error.to_string()).unwrap_or_default();
    let named = refused.lines().any(|line| line.contains("WasmPlugin") && line.contains("stabel"));
    let goes_on = canary::tester(mesh).await?.kept;
    mesh.apply_text(&good.replace("exact: \"yes\"", "exact: \"please\""))?;
    let effect =
        wait_for("the good policy", IN_FORCE, async || canary::makes_a_tester(mesh, "please", "yes").await.ok()?.then_some(())).await;
    mesh.apply_text(&good)?;
    let restored =
        wait_for("the demo's policy", IN_FORCE, async || canary::makes_a_tester(mesh, "yes", "please").await.ok()?.then_some(())).await;
    let kept = named && goes_on && effect.is_ok() && restored.is_ok();
    let measured = format!(
        "{}, {}, {}",
        if named { "refused by name" } else { "NOT refused by name" },
        if goes_on { "last good in force" } else { "last good LOST" },
        if effect.is_ok() && restored.is_ok() { "a good one took effect" } else { "a good one had NO effect" }
    );
    Ok(Figure::new("a policy that does not parse, then a good one", "refused, last good in force; then effect", measured, kept))
}

/// The control plane dies under load; an edit made while it is away arrives.
pub async fn control_plane_restarted(mesh: &Up) -> Result<Figure> {
    canary::step(mesh, "3-100-0", 0.0..=0.0).await?;
    let load = load(mesh)?;
    load_goes_on(&load, 100).await?;
    mesh.kill_control_plane()?;
    mesh.apply("deploy/demos/canary/steps/2-50-50.yaml")?;
    let arrived = wait_for("the edit to arrive", Duration::from_secs(15), async || {
        let report = mesh.count(canary::URL, 100, &["/colour"]).await.ok()?;
        (report.values.get("green").copied().unwrap_or_default() > 20).then_some(())
    })
    .await;
    let report = load.stop().await;
    canary::step(mesh, "3-100-0", 0.0..=0.0).await?;
    let kept = report.failed == 0 && arrived.is_ok();
    let measured =
        format!("{} of {} failed, the edit {}", report.failed, report.requests, if arrived.is_ok() { "arrived" } else { "did NOT arrive" });
    Ok(Figure::new("control plane killed and restarted under load, an edit meanwhile", "0 failed, the edit arrives", measured, kept))
}
