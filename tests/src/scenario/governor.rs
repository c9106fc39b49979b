//! A canary that fails half its requests, called by five services with a proxy each: held back in all of them.

use super::IN_FORCE;
use super::canary::{self, URL};
use crate::tools::{project, wait_for, weir};
use crate::{Figure, Mesh, Up};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use weir_sample::load::args::numbered_users;
use weir_sample::load::{Config, Load};

/// The callers and their policy.
pub const CALLERS: &str = "tests/manifests/five-callers.yaml";
/// What the canary is called by `weir canary`.
pub const NAME: &str = "colour/canary";

/// For how long it is called, and how long a change of it may take.
const MINUTE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);
/// Errors that users see in that minute, at most: a controller that looks once a minute has seen some 300.
const MOST: u64 = 30;

/// The demo's apps, with a canary of which so many of a hundred answers are errors.
pub fn apps(errors: u32) -> Result<String> {
    let (from, to) = ("args: [colour, --colour, green]", format!("args: [colour, --colour, green, --errors, \"{errors}\"]"));
    let text = std::fs::read_to_string(project("deploy/demos/canary/apps.yaml"))?;
    ensure!(text.contains(from), "apps.yaml has no {from}");
    Ok(text.replace(from, &to))
}

/// How the canary stands, as `weir canary list` says.
pub fn status(mesh: &Up) -> Result<Value> {
    let canaries: Value = serde_json::from_str(&mesh.ask(&["canary", "list", "-n", "canary", "-o", "json"])?)?;
    let is = |canary: &&Value| canary["service"] == "colour.canary.svc.cluster.local" && canary["canary"] == "canary";
    canaries.as_array().context("a list")?.iter().find(is).cloned().with_context(|| format!("no {NAME} in {canaries:#}"))
}

/// What the callers do: 20 requests a second each, of users of its own, for so long.
pub struct Calls(Vec<Child>);

impl Calls {
    /// Starts them.
    pub fn start(mesh: &Up, duration: Duration) -> Result<Calls> {
        let pods = mesh.pods("canary", "caller")?;
        ensure!(pods.len() == 5, "{pods:?}");
        let child = |(number, (pod, _)): (usize, &(String, String))| {
            let users = mesh.dir().join(format!("users-{number}"));
            std::fs::write(&users, (0..1_000).map(|user| format!("c{number}-{user}\n")).collect::<String>())?;
            let mut command = Command::new(weir());
            command.args(["exec", pod, "--run-dir"]).arg(mesh.run_dir()).arg("--").arg(weir());
            command.args(["sample", "load", "--url", "http://colour/colour", "--rate", "20", "--duration"]);
            command.arg(format!("{}s", duration.as_secs())).arg("--user-file").arg(users);
            Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
        };
        Ok(Calls(pods.iter().enumerate().map(child).collect::<Result<_>>()?))
    }

    /// Waits for their end: requests, and those that failed.
    pub async fn finish(self) -> Result<(u64, u64)> {
        let wait = move || {
            let (mut requests, mut failed) = (0, 0);
            for child in self.0 {
                let output = child.wait_with_output()?;
                let report: Value = serde_json::from_slice(&output.stdout).context("a caller's report")?;
                requests += report["requests"].as_u64().context("requests")?;
                failed += report["failed"].as_u64().context("failed")?;
            }
            Ok((requests, failed))
        };
        tokio::task::spawn_blocking(wait).await?
    }
}

/// Brings the callers into a mesh of the canary demo, whose canary fails from now on and gets a tenth of the users.
pub async fn prepare(mesh: &Up) -> Result<()> {
    canary::step(mesh, "1-90-10", 0.02..=0.2).await?;
    mesh.apply_text(&apps(50)?)?;
    let fails = async || (mesh.count(URL, 200, &[]).await.ok()?.failed > 0).then_some(());
    wait_for("the canary to fail", SOON, fails).await?;
    mesh.apply(CALLERS)?;
    let governed = async || {
        let pods = mesh.pods("canary", "caller").ok().filter(|pods| pods.len() == 5)?;
        let has = |(pod, _): &(String, String)| mesh.admin(pod, "/config_dump", false).is_ok_and(|dump| dump.contains("reportTo"));
        pods.iter().all(has).then_some(())
    };
    wait_for("the callers' governors", SOON, governed).await?;
    wait_for("the canary's weight", IN_FORCE, async || (status(mesh).ok()?["weights"] == serde_json::json!([10.0])).then_some(())).await
}

/// The canary loses its share by what all callers saw together, beside the gateway, whose users nothing protects until a controller
/// looks that does so once a minute.
pub async fn is_held_back_in_the_whole_mesh(mesh: &Up) -> Result<Figure> {
    let without = Config { duration: Some(MINUTE), rate: Some(100.0), users: numbered_users(5_000), ..mesh.load(URL) };
    let (begin, without, calls) = (Instant::now(), Load::start(without)?, Calls::start(mesh, MINUTE)?);
    let held = async || (status(mesh).ok()?["verdict"] == "held").then_some(());
    wait_for("the verdict", SOON, held).await?;
    let held_after = begin.elapsed().as_secs_f64();
    let ((requests, failed), without) = (calls.finish().await?, without.finish().await);
    Ok(Figure::new(
        "a canary with half errors at 10 %, by five callers, 100 requests/s, 60 s",
        format!("held back for all; at most {MOST} errors, not 300"),
        format!("after {held_after:.1} s; {failed} of {requests}; without: {} of {}", without.failed, without.requests),
        failed <= MOST && requests > 5_500,
    ))
}
