//! A pod's namespaces and the process that holds them, as a cluster's pause container does: they outlive the pod's programs,
//! so that callers of a stopped pod are refused at once instead of waiting for an address that is gone.

use super::inside::{Role, program};
use super::network::{self, Network};
use super::process::Place;
use super::{enter, leftover};
use crate::redirect;
use anyhow::{Context, Result, bail};
use rustix::mount::mount_bind;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use weir_mesh::redirect::Redirect;

/// What distinguishes one pod's namespaces from another's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// The pod's host name.
    pub hostname: String,
    /// Whether its traffic goes through Envoy's 15001 and 15006.
    pub redirect: bool,
    /// Files of the pod's own, by where they are seen, such as /etc/resolv.conf.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// The namespaces of a pod; dropping it ends them.
#[derive(Debug)]
pub struct Pause {
    /// The process that holds them, and their network.
    pub place: Place,
    /// A handle of them.
    pub pod: OwnedFd,
    child: tokio::process::Child,
    /// The process lives as long as this; waiting for the child would close it there.
    _input: tokio::process::ChildStdin,
}

impl Pause {
    /// Makes namespaces as `setup` says, with a place in `network`.
    pub async fn start(network: &Network, setup: &Setup) -> Result<Pause> {
        let mut child = tokio::process::Command::from(program(&Role::Pause))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting a pod's pause process")?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("the pause process ended")?;
        let (mut input, output) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        let mut lines = tokio::io::BufReader::new(output).lines();
        expect(lines.next_line().await?, "ready")?;
        network.connect(setup.ip, pid).await?;
        input.write_all(format!("{}\n", serde_json::to_string(setup)?).as_bytes()).await?;
        expect(lines.next_line().await?, "done")?;
        let net = leftover::network_of(pid).context("the pod's network")?;
        Ok(Pause { place: Place { pause: pid, net }, pod: enter::pod_of(pid)?, child, _input: input })
    }
}

impl Pause {
    /// Returns when the process has ended, which nobody asked it to.
    pub async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Ends what is left in the pod.
    pub fn end_rest(&self) {
        leftover::end(&self.place.net, self.place.pause, None);
    }
}

fn expect(line: Option<String>, expected: &str) -> Result<()> {
    match line {
        Some(line) if line == expected => Ok(()),
        Some(line) => bail!("making the pod's namespaces: {line}"),
        None => bail!("making the pod's namespaces: the pause process ended"),
    }
}

/// The pause process: makes the namespaces, says so, and waits for its end.
pub fn run() -> Result<ExitCode> {
    let outcome = hold();
    if let Err(error) = &outcome {
        println!("{error:#}");
    }
    outcome
}

fn hold() -> Result<ExitCode> {
    // SAFETY: unsafe only for UnshareFlags::FILES, which is not among the flags; this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWUTS) }.context("unshare")?;
    say("ready")?;
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("the setup of a pod")?;
    rustix::system::sethostname(setup.hostname.as_bytes()).context("sethostname")?;
    for (source, target) in &setup.files {
        bind(source, target)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        network::configure_pod(setup.ip).await.context("the pod's network")?;
        if setup.redirect {
            redirect::apply(&Redirect::default()).await.context("the pod's redirection to Envoy (nftables)")?;
        }
        anyhow::Ok(())
    })?;
    say("done")?;
    input.read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

/// Shows `source` at `target`, through symbolic links; a target that does not exist cannot be shown, and is left out.
fn bind(source: &Path, target: &Path) -> Result<()> {
    match target.canonicalize() {
        Ok(target) => mount_bind(source, &target).with_context(|| format!("mounting {}", target.display())),
        Err(_) => Ok(()),
    }
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
