//! Runs the machine's own programs.

use anyhow::{Context, Result, bail};
use std::process::{Command, Output, Stdio};

/// Runs a program to its end; what it wrote to its standard output. A failure tells what it wrote to the other.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().with_context(|| shown.clone())?;
    if !status.success() {
        bail!("{shown}: {status}\n{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a program, given as one line without quotes.
pub fn line(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    output(Command::new(words.next().context("an empty line")?).args(words))
}
