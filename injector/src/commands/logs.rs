//! `weir logs`: what a pod's programs wrote.

use super::Pod;
use crate::up::protocol::{PROXY, Request, Response, find_container};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
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
    let names = || pod.containers.iter().map(|known| known.name.as_str());
    let name = match &args.container {
        Some(asked) => find_container(&pod.name, names(), asked).map_err(anyhow::Error::msg)?,
        None => names().find(|name| *name != PROXY).or(names().next()).with_context(|| format!("{} has not started yet", pod.name))?,
    };
    let container = pod.containers.iter().find(|known| known.name == name).context("a pod's container")?;
    let mut mesh = args.pod.mesh.connect()?;
    mesh.set_nonblocking(true)?;
    let mut log = loop {
        let last = !args.follow || has_ended(&mut mesh);
        match File::open(&container.log) {
            Ok(log) => break log,
            Err(error) if error.kind() == ErrorKind::NotFound && !last => std::thread::sleep(LOOK),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error).with_context(|| container.log.display().to_string()),
        }
    };
    loop {
        // Asked before the last look, so that nothing is missed.
        let last = !args.follow || has_ended(&mut mesh);
        // A reader that goes away, such as `head`, ends it.
        match std::io::copy(&mut log, &mut std::io::stdout()).and_then(|_| std::io::stdout().flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            other => other?,
        }
        if last {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether the mesh has ended: then it lets go of the connection, on which it says nothing unasked.
fn has_ended(mesh: &mut UnixStream) -> bool {
    !matches!(mesh.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}
