//! What fails around an application under load, and what its users see of it: nothing.

use crate::{app, run};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::time::Duration;
use weir_sample::load::{Config, Load, Report};
use weir_tests::Mesh;
use weir_tests::cluster::{Cluster, SYSTEM};

/// Sends 200 requests a second while something happens.
async fn under_load(cluster: &Cluster, name: &str, fault: impl AsyncFnOnce() -> Result<()>) -> Result<Report> {
    let url = format!("http://{name}.example/");
    cluster.answers(&url).await?;
    let load = Load::start(Config { duration: Some(Duration::from_secs(300)), rate: Some(200.0), ..cluster.load(&url) })?;
    fault().await?;
    cluster.answers(&url).await?;
    let report = load.stop().await;
    println!("{name}: {} of {} failed", report.failed, report.requests);
    Ok(report)
}

/// The same; no request may fail.
async fn unseen(cluster: &Cluster, name: &str, what: &str, fault: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let report = under_load(cluster, name, fault).await?;
    ensure!(report.failed == 0 && report.requests > 100, "{what}: {report:#?}");
    Ok(())
}

fn available(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["rollout", "status", "deployment/weir", "-n", SYSTEM, "--timeout=90s"]).map(drop)
}

#[test]
fn an_application_does_not_see_the_control_plane_fail() {
    run(async |cluster| {
        let name = "faults";
        let namespace = cluster.namespace(name)?;
        cluster.apply_text(&app(name, ""))?;
        namespace.ready()?;
        unseen(cluster, name, "a replica of the control plane killed", async || {
            let pods = cluster.kubectl(&["get", "pods", "-n", SYSTEM, "-l", "app=weir", "-o", "name"])?;
            let first = pods.lines().next().context("a replica")?;
            cluster.kubectl(&["delete", "-n", SYSTEM, first, "--force", "--grace-period=0"])?;
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "both replicas away", async || {
            cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=0"])?;
            cluster.wait("no replica is left", || {
                let pods = cluster.get(&["pods", "-n", SYSTEM, "-l", "app=weir"])?;
                Ok((pods["items"].as_array().map(Vec::len) == Some(0)).then_some(()))
            })?;
            cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=2"])?;
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "the API server restarted", async || {
            cluster.signal("kube-apiserver", Signal::KILL)?;
            cluster.wait("the API server is back", || Ok(cluster.kubectl(&["get", "--raw", "/readyz"]).ok()))?;
            available(cluster)
        })
        .await?;
        // What was told before is told anew to whoever comes now.
        cluster.kubectl(&["rollout", "restart", "deployment/app", "-n", name])?;
        cluster.kubectl(&["rollout", "status", "deployment/app", "-n", name, "--timeout=90s"]).map(drop)
    });
}
