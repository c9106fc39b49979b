//! Edits of the user's own files take effect while the mesh runs.

use super::canary;
use crate::tools::wait_for;
use crate::{Figure, Up};
use anyhow::{Result, ensure};
use hyper::Request;
use std::path::Path;
use std::time::{Duration, Instant};
use weir_sample::client::Client;

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
    Ok(Figure::new(format!("{EDITS} edits of a file, to the first request served by each"), "median at most 300 ms", measured, median <= IN_FORCE))
}
