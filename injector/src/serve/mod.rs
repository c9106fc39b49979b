//! `weir serve`: the control plane.

mod files;
mod kubernetes;
mod monitoring;
pub mod proxies;

use crate::telemetry;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The DNS domain of a mesh from files.
pub const DOMAIN: &str = "cluster.local";

/// Serve configuration to Envoys over ADS, from files that are watched or from a Kubernetes cluster.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From the cluster that this runs in: what `weir install` starts
    #[arg(long, conflicts_with_all = ["files", "ads", "socket", "state"])]
    kubernetes: bool,
    /// File or folder with objects (of a folder *.yaml, *.yml and *.json directly in it); later ones override earlier ones. May appear later
    #[arg(long, required_unless_present = "kubernetes", num_args = 1.., value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Address to listen on for Envoys; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:15010", value_name = "ADDR")]
    ads: SocketAddr,
    /// Unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Folder where the objects in force are kept, so that one that is broken at the next start is served as it last was
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder with weir-canary.wasm and weir-locality.wasm; else $WEIR_MODULES, else `modules` beside this program or its folder
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let result = runtime.block_on(async { if args.kubernetes { kubernetes::serve(args.modules).await } else { files::serve(args).await } });
    // Streams and file watches have nothing to finish: the nodes keep what they have.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}
