//! `weir exec`: a program in a pod, with its network, names and environment.

use super::Pod;
use crate::up::message::{self, Receiver};
use crate::up::protocol::{Request, Response};
use crate::up::rundir;
use anyhow::{Result, bail};
use std::os::fd::AsFd;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Run a program of this machine in a pod, with the pod's network, names and environment
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pod: Pod,
    /// Whose environment; by default the app's first container's
    #[arg(short, long)]
    container: Option<String>,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Sends our own input and output along, and ends with the program's code.
pub fn run(args: &Args) -> Result<ExitCode> {
    let stream = rundir::connect(args.pod.mesh.run_dir.as_deref())?;
    let request = Request::Exec {
        pod: args.pod.name(),
        container: args.container.clone(),
        command: args.command.clone(),
        folder: std::env::current_dir()?,
        terminal: std::env::var("TERM").ok(),
    };
    message::send(&stream, &request, &[std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()])?;
    let mut receiver = Receiver::new(stream.try_clone()?);
    let (sender, mut answer) = oneshot::channel();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        std::thread::spawn(move || drop(sender.send(receiver.receive::<Response>())));
        loop {
            tokio::select! {
                answer = &mut answer => match super::accepted(answer??.map(|(response, _)| response))? {
                    Response::Exit(code) => return Ok(ExitCode::from(code)),
                    _ => bail!("the mesh gave another answer than was asked for"),
                },
                _ = interrupt.recv() => message::send(&stream, &Request::Signal(SignalKind::interrupt().as_raw_value()), &[])?,
                _ = terminate.recv() => message::send(&stream, &Request::Signal(SignalKind::terminate().as_raw_value()), &[])?,
            }
        }
    })
}
