//! What happens inside the cluster's own namespaces.

use crate::dir::Dir;
use crate::{command, control_plane, network, node, relay};
use anyhow::{Context, Result};
use rustix::process::{Pid, WaitOptions};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Folders of the host that programs write to: empty ones take their place inside.
const COVERED: [&str; 4] = ["/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet"];

/// The first process of the PID namespace: starts the machine, and takes the status of every orphan (a container's shim is one)
/// until the machine ends.
pub fn init(programs: &Path, dir: &Dir) -> Result<ExitCode> {
    let machine = Command::new(std::env::current_exe()?).arg("machine").arg(programs).arg(&dir.0).spawn()?;
    let machine = Pid::from_raw(i32::try_from(machine.id())?);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == machine => {
                return Ok(if status.exit_status() == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Starts all parts, and returns only when one fails to start.
pub fn run(programs: &Path, dir: &Dir) -> Result<()> {
    command::line("mount --make-rshared /")?;
    for folder in COVERED.into_iter().filter(|folder| Path::new(folder).is_dir()) {
        command::line(&format!("mount -t tmpfs tmpfs {folder}"))?;
    }
    network::create().context("the network")?;
    let dial = relay::listen(dir)?;
    std::thread::spawn(move || relay::serve(&dial));
    let nodes = node::all();
    for node in &nodes {
        let others = nodes.iter().map(|other| other.index).filter(|index| *index != node.index);
        network::join(&node.name, node.index, others).with_context(|| node.name.clone())?;
    }
    std::thread::scope(|scope| {
        let starting: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node::start(programs, dir, node))).collect();
        control_plane::start(programs, dir)?;
        for (node, started) in nodes.iter().zip(starting) {
            started.join().expect("no panic").with_context(|| node.name.clone())?;
        }
        anyhow::Ok(())
    })?;
    let kubectl = |arguments: &[&str]| control_plane::kubectl(programs, dir, arguments);
    let dns = dir.at("dns.yaml");
    std::fs::write(&dns, include_str!("../manifests/dns.yaml"))?;
    kubectl(&["apply", "-f", &dns.display().to_string()])?;
    for node in &nodes {
        let ready = ["wait", "--for=condition=Ready", "--timeout=1s", &format!("node/{}", node.name)];
        control_plane::wait(&format!("{} is ready", node.name), || kubectl(&ready))?;
    }
    // A pod applied before it would be refused.
    control_plane::wait("the default service account", || kubectl(&["get", "serviceaccount", "default"]))?;
    control_plane::wait("DNS answers", || kubectl(&["rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=10s"]))?;
    std::fs::write(dir.ready(), "")?;
    loop {
        std::thread::park();
    }
}
