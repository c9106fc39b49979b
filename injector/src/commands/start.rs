//! `weir start`: a stopped pod returns.

use super::Pod;
use crate::up::protocol::Request;
use anyhow::Result;
use std::process::ExitCode;

/// Start a stopped pod again, or a stopped container, with the same name and address
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pod: Pod,
    /// Only this container
    #[arg(short, long)]
    container: Option<String>,
}

/// Starts it; `weir get` tells when it is ready.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.pod.mesh.tell(&Request::Start { pod: args.pod.name(), container: args.container.clone() })
}
