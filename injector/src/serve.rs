//! `weir serve`: the control plane, from files.

use crate::ads::listen;
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::files::Sources;
use crate::files::follow;
use crate::files::state::State;
use crate::files::watch::Watch;
use crate::modules;
use crate::telemetry;
use crate::world::report;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_mesh::mesh::{Module, Options};

/// The DNS domain of a cluster, unless its administrator chose another.
pub const DOMAIN: &str = "cluster.local";

/// Serve configuration to Envoys over ADS, from files that are watched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with objects (of a folder *.yaml, *.yml and *.json directly in it); later ones override earlier ones. May appear later
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
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
    let result = runtime.block_on(serve(args));
    // Streams and file watches have nothing to finish: the nodes keep what they have.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = listen::tcp(args.ads).await?;
    let socket = args.socket.as_deref().map(listen::unix).transpose()?;

    let sources = Sources(args.files);
    let watch = Watch::new(&sources);
    let texts = sources.read();
    if texts.files.is_empty() && texts.missing.len() + texts.findings.len() == sources.0.len() {
        let problems = texts.missing.iter().map(|path| format!("{}: there is no such file or folder", path.display()));
        let problems: Vec<_> = problems.chain(texts.findings.iter().map(ToString::to_string)).collect();
        bail!("none of the files can be read (--files):\n  {}", problems.join("\n  "));
    }
    for path in &texts.missing {
        tracing::info!("{} does not exist yet", path.display());
    }

    let options = Options { domain: DOMAIN.to_string(), modules: place_modules(args.modules) };
    let state = args.state.as_deref().map(State::within).transpose()?;
    let (before, lost) = state.as_ref().map(State::load).unwrap_or_default();
    for finding in lost {
        tracing::warn!("of what was in force before: {finding}");
    }
    let world = follow::world(&before, &texts, &options);
    report(&[], &world.findings);
    let address = listener.local_addr()?;
    tracing::info!(objects = world.objects.iter().count(), "serving ADS on {address}");
    let (publish, world) = watch::channel(Arc::new(world));
    let ads = Ads { world, nodes: Nodes::default() };

    let engine = follow::run(sources, watch, texts, options, state, publish);
    let unix = async {
        match socket {
            Some(socket) => listen::serve_unix(socket, ads.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = engine => bail!("the files are no longer watched"),
        () = listen::serve_tcp(listener, ads.clone()) => {}
        () = unix => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn place_modules(named: Option<PathBuf>) -> BTreeMap<String, Module> {
    let Some(folder) = modules::folder(named.as_deref()) else {
        tracing::warn!(
            "no folder of modules: `make wasm` builds them, --modules or $WEIR_MODULES names it; canary and locality policies have no effect"
        );
        return Default::default();
    };
    let modules = modules::place(&folder);
    for missing in modules.missing {
        tracing::warn!("{missing}; policies for it have no effect");
    }
    modules.files
}
