//! Edits of the user's own files take effect while the mesh runs.

use super::canary;
use crate::tools::wait_for;
use crate::{Figure, Mesh, Up};
use anyhow::{Result, ensure};
use hyper::Request;
use std::path::Path;
use std::time::{Duration, Instant};
use weir_sample::client::Client;
use weir_sample::load::{Config, Load};

/// How many edits are timed.
const EDITS: usize = 20;
/// From the write of a file to the first request that is served by it.
const IN_FORCE: Duration = Duration::from_millis(300);

/// Moves all traffic from one version to the other and back, by writing `traffic.yaml` (the canary demo's) in place.
pub async fn are_in_force_soon(mesh: &Up, traffic: &Path) -> Result<Figure> {
    let stable = std::fs::read_to_string(traffic)?;
    let canary = stable.replace("weight: 100", "weight: X").replace("weight: 0", "weight: 100").replace("weight: X", "weight: 0");
    ensure!(canary != stable, "the demo's VirtualService has the weights 100 and 0");
    let client = Client::new(Some(mesh.gateway()));
    let mut times = Vec::new();
    for edit in 0..EDITS {
        let (text, colour) = [(&canary, "green"), (&stable, "blue")][edit % 2];
        let written = Instant::now();
        std::fs::write(traffic, text)?;
        wait_for(&format!("edit {edit} in force"), super::IN_FORCE, async || {
            let request = Request::get(canary::URL).body(http_body_util::Full::default()).ok()?;
            let answer = client.send(request, super::IN_FORCE).await.ok()?;
            String::from_utf8_lossy(&answer.body).contains(colour).then_some(())
        })
        .await?;
        times.push(written.elapsed());
    }
    let all: Vec<String> = times.iter().map(|time| time.as_millis().to_string()).collect();
    println!("from the write to the first request served by it, in ms: {}", all.join(" "));
    times.sort();
    let (median, longest) = (times[EDITS / 2], times[EDITS - 1]);
    let measured = format!("median {} ms, longest {} ms", median.as_millis(), longest.as_millis());
    Ok(Figure::new(
        format!("{EDITS} edits of a file, to the first request served by each"),
        "each within 300 ms",
        measured,
        longest <= IN_FORCE,
    ))
}

/// A file that is broken while the control plane starts again, under load: what it said last stays in force, and it can be mended.
pub async fn broken_outlive_a_restart(mesh: &Up, traffic: &Path) -> Result<Figure> {
    let good = std::fs::read_to_string(traffic)?;
    let load = Load::start(Config { duration: Some(Duration::from_secs(60)), rate: Some(200.0), ..mesh.load(canary::URL) })?;
    std::fs::write(traffic, good.clone() + "x: [\n")?;
    mesh.says(&["traffic.yaml", "not YAML"]).await?;
    let before = mesh.control_plane()?;
    mesh.kill_control_plane()?;
    let synced = wait_for("all nodes to be told by the next control plane", Duration::from_secs(20), async || {
        let status = mesh.ask(&["proxy-status"]).ok().filter(|_| mesh.control_plane().is_ok_and(|now| now != before))?;
        let nodes = || status.lines().filter(|line| line.contains("-0."));
        (nodes().count() > 0 && nodes().all(|line| line.contains("SYNCED") && !line.contains("STALE"))).then_some(status.clone())
    })
    .await?;
    ensure!(synced.contains("not YAML"), "the broken file is named again: {synced}");
    let broken = mesh.count(canary::URL, 200, &["/colour"]).await?;
    std::fs::write(traffic, good.replace("subset: stable\n          weight", "subset: canary\n          weight"))?;
    let mended = wait_for("the mended file", super::IN_FORCE, async || {
        let report = mesh.count(canary::URL, 50, &["/colour"]).await.ok()?;
        (report.values.get("green") == Some(&50)).then_some(())
    })
    .await;
    std::fs::write(traffic, good)?;
    let report = load.stop().await;
    let kept = report.failed == 0 && report.statuses.len() == 1 && broken.statuses.get("200") == Some(&200) && mended.is_ok();
    let measured = format!("{:?} of {} failed {}; {mended:?}", report.statuses, report.requests, report.failed);
    Ok(Figure::new(
        "a file broken, then the control plane killed and restarted under load",
        "0 failed, mending takes effect",
        measured,
        kept,
    ))
}
