//! The control plane from files.

use super::{Args, DOMAIN};
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::canary::engine;
use crate::canary::page::Local;
use crate::canary::store::{File, Place, Store};
use crate::files::Sources;
use crate::files::follow;
use crate::files::state::State;
use crate::files::watch::Watch;
use crate::listen;
use crate::modules;
use crate::passports::Keys;
use crate::world::report;
use anyhow::bail;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_mesh::bootstrap::CLUSTER;
use weir_mesh::mesh::{Module, Options};

/// Serves until SIGTERM or SIGINT.
pub async fn serve(args: Args) -> anyhow::Result<()> {
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

    let state = args.state.as_deref().map(State::within).transpose()?;
    let kept_in = args.state.as_deref().map(File::within);
    let known = kept_in.as_ref().map(File::load).transpose().unwrap_or_else(|error| {
        tracing::warn!("what was known of canaries is lost: {error:#}");
        None
    });
    let store = Store::at(kept_in.map_or(Place::Nowhere, Place::File));
    let known = known.unwrap_or_default();
    let (canaries, engine, orders) = engine::new(&known, store);
    let options = Options {
        orders: orders.borrow().clone(),
        domain: DOMAIN.into(),
        modules: place_modules(args.modules),
        marked: true,
        secrets: Keys::generate()?.secrets(),
        report_to: Some(CLUSTER.into()),
        ..Default::default()
    };
    let (before, lost) = state.as_ref().map(State::load).unwrap_or_default();
    for finding in lost {
        tracing::warn!("of what was in force before: {finding}");
    }
    let world = follow::world(&before, &texts, &options);
    report(&[], &world.findings);
    let address = listener.local_addr()?;
    tracing::info!(objects = world.objects.iter().count(), "serving ADS on {address}");
    let (publish, world) = watch::channel(Arc::new(world));
    let ads = Ads { world: world.clone(), nodes: Nodes::default(), tokens: None, canaries };
    // Alone it always leads.
    let ((_lead, leads), (_keep, kept)) = (watch::channel(true), watch::channel(known));
    let governing = engine.run(world, leads, kept);

    let following = follow::run(sources, watch, texts, options, orders, state, publish);
    let unix = async {
        match socket {
            // The socket is its user's alone.
            Some(socket) => listen::serve_unix(socket, Local { ads: ads.clone() }, listen::never()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = following => bail!("the files are no longer watched"),
        () = governing => {}
        () = listen::serve_tcp(listener, ads.clone(), listen::never()) => {}
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
    modules.found
}
