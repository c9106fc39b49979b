//! The processes of a run that are no user's command: `weir inside ROLE`, started by `weir up` alone.

use super::{enclose, enter, pause, runner};
use anyhow::Result;
use clap::Subcommand;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// What one of these processes does.
#[derive(Debug, Clone, Subcommand)]
pub enum Role {
    /// Leaves the user's namespaces.
    Enclose {
        /// The process whose end ends this one.
        parent: i32,
    },
    /// Is the first process of the new PID namespace.
    Init,
    /// Runs the mesh.
    Run,
    /// Holds a pod's namespaces.
    Pause,
    /// Becomes a program in a pod's namespaces.
    Enter {
        /// The pod's pause process.
        pause: i32,
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// Does what `role` says; for `Enter` this process becomes the program.
pub fn run(role: Role) -> Result<ExitCode> {
    match role {
        Role::Enclose { parent } => enclose::enclose(parent),
        Role::Init => enclose::init(),
        Role::Run => runner::run(),
        Role::Pause => pause::run(),
        Role::Enter { pause, command } => enter::run(pause, &command),
    }
}

/// This very program in `role`. Named by /proc/self/exe, so that a rebuilt or moved binary does not get mixed into a run.
pub fn program(role: &Role) -> Command {
    let mut command = Command::new(enter::SELF);
    command.arg0("weir").arg("inside");
    match role {
        Role::Enclose { parent } => command.arg("enclose").arg(parent.to_string()),
        Role::Init => command.arg("init"),
        Role::Run => command.arg("run"),
        Role::Pause => command.arg("pause"),
        Role::Enter { pause, command: program } => command.arg("enter").arg(pause.to_string()).arg("--").args(program),
    };
    command
}
