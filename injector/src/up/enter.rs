//! Running a program in a pod: in the pod's network, mounts and host name, where its pause process holds them.

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// This very program, whatever has become of its file since it was started.
pub const SELF: &str = "/proc/self/exe";
/// What a shell answers for a program that it cannot run.
const CANNOT_RUN: u8 = 127;

/// Enters the pod of the process `pause` and becomes `command`.
pub fn run(pause: i32, command: &[OsString]) -> Result<ExitCode> {
    let Some((name, arguments)) = command.split_first() else { bail!("no program") };
    // Entering a mount namespace sets the working folder to its root.
    let folder = std::env::current_dir().context("the working folder")?;
    let pod = pod_of(pause)?;
    let namespaces = ThreadNameSpaceType::NETWORK | ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
    move_into_thread_name_spaces(pod.as_fd(), namespaces).context("entering the pod")?;
    let mut program = Command::new(name);
    if name == SELF {
        program.arg0("weir");
    }
    let error = program.args(arguments).current_dir(folder).exec();
    eprintln!("weir: {}: {error}", name.display());
    Ok(ExitCode::from(CANNOT_RUN))
}

/// A handle of the pod whose namespaces the process `pause` holds.
pub fn pod_of(pause: i32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pause).context("no process id")?;
    pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("the pod's process {pause}"))
}

/// A TCP socket of the pod, usable from any thread: a socket stays in the network in which it was made.
pub fn socket_in(pod: &OwnedFd) -> Result<tokio::net::TcpSocket> {
    let pod = pod.try_clone()?;
    // A thread of its own, which ends here, since a thread cannot come back without a handle of where it was.
    let made = std::thread::spawn(move || -> Result<OwnedFd> {
        move_into_thread_name_spaces(pod.as_fd(), ThreadNameSpaceType::NETWORK).context("entering the pod's network")?;
        Ok(socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
    });
    let Ok(socket) = made.join() else { bail!("the thread that makes a socket panicked") };
    Ok(tokio::net::TcpSocket::from_std_stream(std::net::TcpStream::from(socket?)))
}
