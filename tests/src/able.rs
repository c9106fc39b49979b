//! Whether this machine can run a mesh at all.

use crate::tools::{envoy, modules};
use rustix::process::geteuid;
use rustix::thread::UnshareFlags;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Whether a mesh can run here. If not, the test that asks says so loudly and is skipped; in CI it fails.
pub fn to_run_a_mesh() -> bool {
    to("runs a mesh", [envoy_is_there(), modules_are_there("modules"), namespaces_are_allowed()])
}

/// The same for a mesh with the modules that panic.
pub fn to_run_broken_filters() -> bool {
    to_run_a_mesh() && to("runs filters that panic", [modules_are_there("modules-test")])
}

/// Whether Envoy alone can run here.
pub fn to_run_envoy() -> bool {
    to("runs Envoy", [envoy_is_there()])
}

/// Whether a Kubernetes cluster can run here, or one is named.
pub fn to_run_a_cluster() -> bool {
    if crate::cluster::named().is_some() {
        return true;
    }
    to("runs a Kubernetes cluster", [envoy_is_there(), modules_are_there("modules"), weir_cluster::needs::missing().map_or(Ok(()), Err)])
}

/// Whether pods have IPv6, given how many addresses one of them has.
pub fn to_call_by_ipv6(addresses: usize) -> bool {
    to("calls pods by IPv6", [if addresses > 1 { Ok(()) } else { Err("no IPv6 (/proc/sys/net/ipv6), or none for pods".into()) }])
}

fn to<const N: usize>(what: &str, needs: [Result<(), String>; N]) -> bool {
    let missing: Vec<String> = needs.into_iter().filter_map(Result::err).collect();
    if missing.is_empty() {
        return true;
    }
    let test = std::thread::current().name().unwrap_or_default().to_string();
    let message = format!("SKIPPED {test}: it {what}, and here is {}", missing.join(", "));
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
    // Not eprintln, which the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "{message}");
    false
}

fn envoy_is_there() -> Result<(), String> {
    envoy().map(drop).ok_or_else(|| "no Envoy (`make envoy`, or set ENVOY)".into())
}

fn modules_are_there(folder: &str) -> Result<(), String> {
    let folder = modules(folder);
    if folder.join("weir-canary.wasm").is_file() {
        Ok(())
    } else {
        Err(format!("no module in {} (`make wasm wasm-test`)", folder.display()))
    }
}

fn namespaces_are_allowed() -> Result<(), String> {
    let needed = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    if (geteuid().is_root() && may_leave(needed)) || may_leave(needed | UnshareFlags::NEWUSER) {
        return Ok(());
    }
    Err("no permission for namespaces (`weir up` says which switch forbids them)".into())
}

fn may_leave(flags: UnshareFlags) -> bool {
    let mut command = Command::new("true");
    // SAFETY: a single system call, which is allowed after fork; and only UnshareFlags::FILES is unsafe, which is not asked for.
    unsafe { command.pre_exec(move || Ok(rustix::thread::unshare_unsafe(flags)?)) };
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
