//! `weir canary watch`: a line every second, and whatever changes.

use super::Which;
use super::show::{both, percents, sum, ten_to, verdict};
use crate::canary::page::CanaryStatus;
use crate::commands::print;
use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often a line is printed, and how often is looked.
const LINE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(250);

/// Follows a canary for so long, or until it ends or is interrupted.
pub async fn watch(which: &Which, duration: Option<Duration>) -> Result<()> {
    match duration {
        None => follow(which).await,
        Some(duration) => timeout(duration, follow(which)).await.unwrap_or(Ok(())),
    }
}

async fn follow(which: &Which) -> Result<()> {
    let (mesh, mut last) = which.find().await?;
    say(&verdict(&last));
    let mut printed = Instant::now();
    loop {
        sleep(LOOK).await;
        // A control plane that starts again is away for a moment.
        let Ok(page) = mesh.page().await else { continue };
        let now = which.among(page)?;
        if (now.verdict, now.share) != (last.verdict, last.share) {
            say(&verdict(&now));
            last = now.clone();
        }
        if printed.elapsed() >= LINE {
            printed = Instant::now();
            say(&line(&now));
        }
    }
}

fn line(canary: &CanaryStatus) -> String {
    let (of_canary, of_stable) = (&canary.of_canary, &canary.of_stable);
    let evidence =
        canary.evidence.as_ref().map(|evidence| format!(", {} of {} to 1 against it", ten_to(sum(evidence)), ten_to(evidence.needed)));
    format!(
        "{} of {} in force, {} requests, success {}, p50 ms {}{}",
        percents(canary, f64::from(canary.share) / 10_000.0),
        percents(canary, 1.0),
        of_canary.requests,
        both(of_canary, of_stable, |answers| answers.success, " %"),
        both(of_canary, of_stable, |answers| answers.p50_ms, ""),
        evidence.unwrap_or_default(),
    )
}

fn say(text: &str) {
    print(&format!("{}  {text}\n", Timestamp::now().strftime("%H:%M:%SZ")));
}
