//! `weir apply`: objects that a running mesh gets beside those of its files.

use super::Mesh;
use crate::up::protocol::Request;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Add or replace objects of a running mesh, over those of its files
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The manifest; `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    mesh: Mesh,
}

/// Hands the texts over.
pub fn run(args: &Args) -> Result<ExitCode> {
    for file in &args.files {
        args.mesh.tell(&Request::Apply { file: file.display().to_string(), text: super::read(file)? })?;
    }
    Ok(ExitCode::SUCCESS)
}
