//! `weir delete`: objects of a running mesh go, wherever they came from.

use super::Mesh;
use crate::up::protocol::Request;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Remove the objects that a manifest names from a running mesh, those of its files too; with a Namespace all that is in it
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
    args.mesh.tell(&Request::Delete(super::manifests(&args.files)?))
}
