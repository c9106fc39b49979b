//! `weir logs`: what a pod's programs wrote.

use super::Pod;
use crate::up::protocol::{Request, Response};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Print what a pod's app wrote, or its Envoy
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pod: Pod,
    /// The container; `envoy` is its proxy. By default the app's first one
    #[arg(short, long)]
    container: Option<String>,
    /// Go on as more is written, until the mesh ends
    #[arg(short, long)]
    follow: bool,
}

const LOOK: Duration = Duration::from_millis(100);

/// Finds the log and prints it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let find = || args.pod.mesh.ask(&Request::Find(args.pod.name()));
    let Response::Found(pod) = find()? else { bail!("the mesh gave another answer than was asked for") };
    let proxy = |name: &str| name == "istio-proxy";
    let container = match &args.container {
        Some(name) => pod.containers.iter().find(|known| known.name == *name || (name == "envoy" && proxy(&known.name))),
        None => pod.containers.iter().find(|known| !proxy(&known.name)).or(pod.containers.first()),
    };
    let names = || pod.containers.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ");
    let container = container.with_context(|| format!("{} has no such container: it has {}", pod.name, names()))?;
    let mut log = loop {
        match File::open(&container.log) {
            Ok(log) => break log,
            Err(error) if error.kind() == ErrorKind::NotFound && args.follow => std::thread::sleep(LOOK),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error).with_context(|| container.log.display().to_string()),
        }
    };
    loop {
        // A reader that goes away, such as `head`, ends it.
        match std::io::copy(&mut log, &mut std::io::stdout()).and_then(|_| std::io::stdout().flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            other => other?,
        }
        if !args.follow || !container.log.exists() {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}
