//! Parts of the mesh fail: the control plane while an Envoy starts, an Envoy, an app.

use super::canary;
use crate::tools::wait_for;
use crate::{Figure, Mesh, Up};
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};
use weir_sample::load::{Config, Load};

/// Longer than any timeout after which an Envoy could go on without its configuration.
const HELD: Duration = Duration::from_secs(7);
/// What failed is back within this time.
const BACK: Duration = Duration::from_secs(15);

/// A process that stands still until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(process: Pid) -> Result<Frozen> {
        kill_process(process, Signal::STOP)?;
        Ok(Frozen(process))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A pod of the canary demo starts while the control plane does not answer.
pub async fn control_plane_absent_at_start(mesh: &Up) -> Result<Figure> {
    let (pod, _) = mesh.pods("canary", "colour-stable")?.into_iter().next().context("a pod")?;
    let load = Load::start(Config { duration: Some(Duration::from_secs(60)), rate: Some(50.0), ..mesh.load(canary::URL) })?;
    mesh.ask(&["stop", &pod])?;
    let frozen = Frozen::new(mesh.control_plane()?)?;
    mesh.ask(&["start", &pod])?;
    let started = Instant::now();
    let ready = async || mesh.pod(&pod).ok().filter(|pod| pod["ready"] == true);
    let early = wait_for("the pod to be ready too early", HELD, ready).await.ok().map(|_| started.elapsed());
    drop(frozen);
    let answered = Instant::now();
    let ready = wait_for("the pod to be ready", BACK, ready).await;
    let after = answered.elapsed();
    let report = load.stop().await;
    let measured = format!(
        "{}, {}, {} of {} failed elsewhere",
        early.map_or("not ready".into(), |at| format!("READY after {:.1} s without it", at.as_secs_f64())),
        ready.as_ref().map_or("never ready".into(), |_| format!("ready {:.1} s after it answered", after.as_secs_f64())),
        report.failed,
        report.requests
    );
    let kept = early.is_none() && ready.is_ok() && report.failed == 0;
    Ok(Figure::new("control plane away when an Envoy starts", "not ready until configured", measured, kept))
}

/// What crashes.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// A pod's Envoy.
    Envoy,
    /// A pod's app.
    App,
}

/// A process of a pod is killed: it runs again, and the user is told.
pub async fn crashed_is_restarted(mesh: &Up, crash: Crash) -> Result<Figure> {
    let (pod, _) = mesh.pods("canary", "colour-stable")?.into_iter().next().context("a pod")?;
    let name = pod.split('.').next().unwrap_or_default();
    let (process, container) = match crash {
        Crash::Envoy => (mesh.envoy_of(&pod)?, "istio-proxy"),
        Crash::App => (mesh.app_of(&pod)?, "colour"),
    };
    let restarts = |pod: &serde_json::Value| {
        let containers = pod["containers"].as_array().cloned().unwrap_or_default();
        containers.iter().find(|found| found["name"] == container).map(|found| found["restarts"].clone())
    };
    kill_process(process, Signal::KILL)?;
    let started = Instant::now();
    let told = mesh.says(&[&format!("{name}/{container}"), "signal 9", "starts again"]).await;
    let back = wait_for("the pod to be back", BACK, async || {
        let pod = mesh.pod(&pod).ok()?;
        (pod["ready"] == true && restarts(&pod) == Some(1.into())).then_some(())
    })
    .await;
    let after = started.elapsed();
    let report = mesh.count(canary::URL, 200, &["/colour"]).await?;
    let measured = format!(
        "{}, {}, then {} of {} failed",
        if told.is_ok() { "told" } else { "NOT told" },
        if back.is_ok() { format!("ready after {:.1} s", after.as_secs_f64()) } else { format!("NOT back: {}", mesh.pod(&pod)?) },
        report.failed,
        report.requests
    );
    let kept = told.is_ok() && back.is_ok() && report.failed == 0;
    Ok(Figure::new(format!("{crash:?} of a pod crashed"), "restarted, and said so", measured, kept))
}
