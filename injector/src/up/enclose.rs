//! The namespaces of one run, so that it needs no root, disturbs nobody and leaves nothing behind.
//!
//! Three processes, each ended by the kernel when the one before it ends, however it dies:
//! the user's `weir up` -> `enclose` (leaves into new namespaces) -> `init` (first process of the PID namespace: when it ends the
//! kernel ends every other process in there, and with the last one the network and mounts go too) -> `run`, which does the work.
//! None of the first two starts a thread: leaving a user namespace is allowed to a process with one thread only.

use super::inside::{Role, program};
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, WaitOptions, getegid, geteuid, getppid, set_parent_process_death_signal, setsid, wait};
use rustix::thread::UnshareFlags;
use std::process::ExitCode;

/// Leaves the user's namespaces and runs `init` in new ones. `parent` is the process whose end ends this one.
pub fn enclose(parent: i32) -> Result<ExitCode> {
    let (uid, gid) = (geteuid(), getegid());
    // A session of its own: Ctrl-C reaches `weir up` alone, which then ends the run in order.
    setsid().context("setsid")?;
    unshare(uid.is_root())?.then(|| map_ids(uid.as_raw(), gid.as_raw())).transpose()?;
    die_with_parent()?;
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
        return Ok(ExitCode::FAILURE);
    }
    let status = program(&Role::Init).status().context("starting the first process of the new PID namespace")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Is the first process of the PID namespace: starts `run` and reaps whatever loses its parent.
pub fn init() -> Result<ExitCode> {
    die_with_parent()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("making the mounts private")?;
    // Some containers forbid a fresh /proc. Nothing here depends on it; programs that look into /proc then see the outer processes.
    let _ = mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None);
    let runner = program(&Role::Run).spawn().context("starting the runner")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(runner.id()) => {
                return Ok(ExitCode::from(status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("waiting for the runner: {error}"),
        }
    }
}

fn die_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("prctl(PR_SET_PDEATHSIG)")
}

/// Enters new namespaces; true when a user namespace is among them, whose ids must be mapped. Root needs none, and often
/// may have none in a container; but root without CAP_SYS_ADMIN is no better off than an ordinary user.
fn unshare(root: bool) -> Result<bool> {
    let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    if root && leave(flags).is_ok() {
        return Ok(false);
    }
    match leave(flags | UnshareFlags::NEWUSER) {
        Ok(()) => Ok(true),
        Err(error) => bail!("{}", forbidden(error, |switch| std::fs::read_to_string(format!("/proc/sys/{switch}")).ok())),
    }
}

fn leave(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: unsafe only for UnshareFlags::FILES, which is not among the flags; this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Why namespaces are refused, with the switch that allows them.
fn forbidden(error: Errno, read: impl Fn(&str) -> Option<String>) -> String {
    let switches = [
        ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
    ];
    let cause = switches.into_iter().find(|(switch, forbids, _)| read(switch).is_some_and(|value| value.trim() == *forbids));
    match cause {
        Some((_, _, command)) => {
            format!("this system forbids user namespaces to ordinary users ({error}): `sudo {command}` allows them, or run weir as root")
        }
        None => format!(
            "this system forbids user namespaces ({error}); none of kernel.unprivileged_userns_clone, user.max_user_namespaces and \
             kernel.apparmor_restrict_unprivileged_userns says so, so a container's seccomp profile may: run weir as root, or the container privileged"
        ),
    }
}

/// Maps the user to root inside. An ordinary user may map one uid, and one gid after giving up setgroups.
fn map_ids(uid: u32, gid: u32) -> Result<()> {
    std::fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).context("/proc/self/uid_map")?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).context("/proc/self/gid_map")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_switch_that_forbids_user_namespaces() {
        for (switch, value, command) in [
            ("kernel/unprivileged_userns_clone", "0\n", "sysctl kernel.unprivileged_userns_clone=1"),
            ("user/max_user_namespaces", "0\n", "sysctl user.max_user_namespaces=10000"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1\n", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        ] {
            let text = forbidden(Errno::PERM, |asked| (asked == switch).then(|| value.to_string()));
            assert!(text.contains(command), "{switch}: {text}");
        }
        assert!(forbidden(Errno::PERM, |_| None).contains("seccomp"));
    }
}
