//! `weir completion`: what a shell needs to complete the command line.

use clap::Command;
use clap_complete::aot::{Shell, generate};
use std::process::ExitCode;

/// Print a script that completes `weir` in a shell
///
/// bash: source <(weir completion bash)
/// zsh:  source <(weir completion zsh)
/// fish: weir completion fish | source
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[arg(value_enum)]
    shell: Known,
}

/// The shells that are tried.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Prints it.
pub fn run(args: &Args, mut command: Command) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut command, "weir", &mut script);
    super::print(&String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}
