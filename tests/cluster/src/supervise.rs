//! The long-lived processes of the cluster: started again when they end, as a service manager would.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between the end of a process and its next start.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs a program for ever, in a thread of its own; what it writes goes to a file.
pub fn keep(mut command: Command, log: &Path) -> Result<()> {
    let file = open(log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    std::thread::spawn(move || {
        loop {
            let ended = child.wait();
            eprintln!("{:?} ended: {ended:?}", command.get_program());
            std::thread::sleep(PAUSE);
            child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return eprintln!("{:?} does not start again: {error}", command.get_program()),
            };
        }
    });
    Ok(())
}

fn open(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())
}
