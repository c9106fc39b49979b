//! `weir stop`: a pod goes, as when its node fails or it is deleted.

use super::Pod;
use crate::up::protocol::Request;
use anyhow::Result;
use std::process::ExitCode;

/// Stop a pod, or one of its containers, until `weir start`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pod: Pod,
    /// Only this container, such as the app's while its Envoy goes on
    #[arg(short, long)]
    container: Option<String>,
    /// TERM: in order, as a cluster deletes a pod. KILL: at once
    #[arg(long, value_enum, ignore_case = true, default_value = "term")]
    signal: Signal,
    /// Seconds from SIGTERM to SIGKILL; by default the pod's own
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Signal {
    #[value(alias = "sigterm")]
    Term,
    #[value(alias = "sigkill")]
    Kill,
}

/// Stops it, and returns when it has stopped.
pub fn run(args: &Args) -> Result<ExitCode> {
    let kill = args.signal == Signal::Kill;
    args.pod.mesh.tell(&Request::Stop { pod: args.pod.name(), container: args.container.clone(), kill, grace: args.grace })
}
