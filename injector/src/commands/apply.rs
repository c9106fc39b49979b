//! `weir apply`: objects that a running mesh gets beside those of its files.

use super::Mesh;
use crate::up::protocol::Request;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Add or replace objects of a running mesh, over those of its files until the file is edited
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A manifest, or a folder of them (*.yaml, *.yml and *.json directly in it); `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    mesh: Mesh,
}

/// Hands the texts over.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.mesh.tell(&Request::Apply(super::manifests(&args.files)?))
}
