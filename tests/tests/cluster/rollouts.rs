//! Argo Rollouts, as its project releases it, moves users from blue to green through Istio's objects.

use crate::run;
use anyhow::{Context, Result, ensure};
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_sample::load::args::numbered_users;
use weir_sample::load::{self, Config, Load};
use weir_tests::Mesh;
use weir_tests::cluster::Cluster;

const URL: &str = "http://rollouts.example/colour";
const COLOUR: &str = "/colour";

/// Runs the plugin of Argo Rollouts.
fn argo(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let output = cluster.program("kubectl-argo-rollouts").args(args).args(["-n", "rollouts"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl argo rollouts {args:?}: {text}");
    Ok(text)
}

/// Waits until the rollout has come to a step and stands there.
fn stands(cluster: &Cluster, phase: &str, step: Option<u64>) -> Result<()> {
    cluster.wait(&format!("the rollout is {phase} at step {step:?}"), || {
        let rollout = cluster.get(&["rollout", "colour", "-n", "rollouts"])?;
        let status = &rollout["status"];
        let observed = status["observedGeneration"].as_str() == Some(&rollout["metadata"]["generation"].to_string());
        Ok((observed && status["phase"] == phase && step.is_none_or(|step| status["currentStepIndex"] == step)).then_some(()))
    })
}

/// What 1,000 users see, three times each; an error if one of them sees two colours, or a request fails.
async fn users(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let config = Config { requests: Some(3000), by: vec![COLOUR.into()], users: numbered_users(1000), ..cluster.load(URL) };
    let report = load::run(config).await?;
    let users = report.users.as_ref().context("users")?;
    ensure!(report.failed == 0 && users.inconsistent == 0, "{report:#?}");
    Ok(users.by_value.clone())
}

/// Waits until that share of the users sees green, in percent.
async fn share(cluster: &Cluster, green: std::ops::RangeInclusive<u64>) -> Result<()> {
    let mut last = String::new();
    for _ in 0..20 {
        match users(cluster).await {
            Ok(seen) if green.contains(&(seen.get("green").copied().unwrap_or_default() / 10)) => return Ok(()),
            Ok(seen) => last = format!("{seen:?}"),
            Err(error) => last = format!("{error:#}"),
        }
    }
    anyhow::bail!("{green:?} % green were not seen: {last}");
}

async fn with_header(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let headers = [(HeaderName::from_static("x-tester"), HeaderValue::from_static("yes"))].into_iter().collect();
    Ok(load::run(Config { requests: Some(200), headers, by: vec![COLOUR.into()], ..cluster.load(URL) }).await?.values)
}

/// How many requests have reached the stable pods and the canary's, by what their own Envoys count.
fn arrived(cluster: &Cluster) -> Result<[u64; 2]> {
    let rollout = cluster.get(&["rollout", "colour", "-n", "rollouts"])?;
    let mut arrived = [0; 2];
    for (count, hash) in arrived.iter_mut().zip(["/status/stableRS", "/status/currentPodHash"]) {
        let hash = rollout.pointer(hash).and_then(Value::as_str).context("a hash of pods")?;
        let pods = cluster.get(&["pods", "-n", "rollouts", "-l", &format!("rollouts-pod-template-hash={hash}")])?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().context("a pod's name")?;
            *count += cluster.arrived("rollouts", name)?;
        }
    }
    Ok(arrived)
}

/// Waits for 1,000 requests that the stable pods answer, and sees how many the canary was sent too, in percent.
fn mirrored(cluster: &Cluster, share: std::ops::RangeInclusive<u64>) -> Result<()> {
    let before = arrived(cluster)?;
    let [answered, mirrored] = cluster.wait("1,000 requests", || {
        let now = arrived(cluster)?;
        Ok((now[0] - before[0] >= 1000).then(|| [now[0] - before[0], now[1] - before[1]]))
    })?;
    println!("{mirrored} of {answered} mirrored");
    ensure!(share.contains(&(100 * mirrored / answered)), "{mirrored} of {answered} mirrored");
    Ok(())
}

fn paint(cluster: &Cluster, colour: &str) -> Result<()> {
    let patch = format!(r#"[{{"op": "replace", "path": "/spec/template/spec/containers/0/args/2", "value": "{colour}"}}]"#);
    cluster.kubectl(&["patch", "rollout", "colour", "-n", "rollouts", "--type", "json", "-p", &patch]).map(drop)
}

#[test]
fn argo_rollouts_unmodified_moves_users_from_blue_to_green() {
    run(async |cluster| {
        cluster.argo_rollouts()?;
        let _namespace = cluster.namespace("rollouts")?;
        cluster.apply("tests/manifests/rollout.yaml")?;
        stands(cluster, "Healthy", None)?;
        cluster.answers(URL).await?;
        let load = Load::start(Config {
            duration: Some(Duration::from_secs(300)),
            rate: Some(200.0),
            users: numbered_users(1000),
            ..cluster.load(URL)
        })?;
        ensure!(users(cluster).await? == BTreeMap::from([("blue".into(), 1000)]));

        paint(cluster, "green")?;
        stands(cluster, "Paused", Some(2))?;
        share(cluster, 0..=0).await?;
        mirrored(cluster, 45..=55)?;
        argo(cluster, &["promote", "colour"])?;
        stands(cluster, "Paused", Some(6))?;
        share(cluster, 6..=14).await?;
        argo(cluster, &["promote", "colour"])?;
        stands(cluster, "Paused", Some(8))?;
        let testers = with_header(cluster).await?;
        ensure!(testers == BTreeMap::from([("green".into(), 200)]), "by setHeaderRoute: {testers:?}");
        share(cluster, 6..=14).await?;
        argo(cluster, &["promote", "colour"])?;
        stands(cluster, "Progressing", Some(9))?;
        share(cluster, 24..=36).await?;
        argo(cluster, &["promote", "colour", "--skip-current-step"])?;
        stands(cluster, "Paused", Some(11))?;
        share(cluster, 42..=58).await?;

        argo(cluster, &["abort", "colour"])?;
        share(cluster, 0..=0).await?;
        argo(cluster, &["retry", "rollout", "colour"])?;
        stands(cluster, "Paused", Some(2))?;
        argo(cluster, &["promote", "colour", "--full"])?;
        stands(cluster, "Healthy", None)?;
        share(cluster, 100..=100).await?;

        let report = load.stop().await;
        println!("Argo Rollouts: {} of {} failed", report.failed, report.requests);
        ensure!(report.failed == 0 && report.requests > 2000, "{report:#?}");
        Ok(())
    });
}
