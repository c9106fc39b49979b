//! What a mesh of the demos must show, each as a figure.

pub mod analyze;
pub mod bookinfo;
pub mod canary;
pub mod edits;
pub mod ends;
pub mod failures;
pub mod filters;
pub mod governor;
pub mod locality;
pub mod operations;
pub mod protocols;

use crate::tools::wait_for;
use anyhow::Result;
use std::time::Duration;
use weir_sample::load::Load;

/// An edit is in force at every proxy within this time; figures are counted after it.
const IN_FORCE: Duration = Duration::from_secs(5);

/// Waits until the load has had so many more answers or failures.
async fn load_goes_on(load: &Load, more: u64) -> Result<()> {
    let now = load.report().requests;
    wait_for("the load to go on", Duration::from_secs(5), async || (load.report().requests >= now + more).then_some(())).await
}
