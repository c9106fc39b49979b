//! `weir proxy-config`: what a pod's Envoy has, as it says itself.

mod clusters;
mod dump;
mod endpoints;
mod filters;
mod listeners;
mod routes;
#[cfg(test)]
mod tests;

use crate::commands::envoy::{DUMP, Envoy};
use crate::commands::output::{self, Output};
use crate::commands::target::{Target, WHICH_MESH};
use crate::redact;
use crate::up::protocol::PodName;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// Show what a pod's Envoy has: listeners, routes, clusters, endpoints, filters
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Where it takes connections, and what it does with them
    #[command(visible_alias = "listener", after_help = WHICH_MESH)]
    Listeners {
        #[command(flatten)]
        asked: Asked,
        /// Only listeners on this port
        #[arg(long)]
        port: Option<u16>,
    },
    /// Which request goes where, and which VirtualService says so
    #[command(visible_alias = "route", after_help = WHICH_MESH)]
    Routes {
        #[command(flatten)]
        asked: Asked,
        /// Only the routes of this name
        #[arg(long)]
        name: Option<String>,
    },
    /// The services, ports and subsets that it can call
    #[command(visible_alias = "cluster", after_help = WHICH_MESH)]
    Clusters {
        #[command(flatten)]
        asked: Asked,
        /// Only those of this service, by its full name
        #[arg(long)]
        fqdn: Option<String>,
        /// Only those of this port
        #[arg(long)]
        port: Option<u16>,
    },
    /// The addresses behind each cluster, and how they stand
    #[command(visible_aliases = ["endpoint", "ep"], after_help = WHICH_MESH)]
    Endpoints {
        #[command(flatten)]
        asked: Asked,
        /// Only those of this cluster, such as 'outbound|80||web.shop.svc.cluster.local'
        #[arg(long)]
        cluster: Option<String>,
        /// Only those on this port
        #[arg(long)]
        port: Option<u16>,
    },
    /// The HTTP filters in their order, with each plugin's module and policy
    #[command(visible_alias = "filter", after_help = WHICH_MESH)]
    Filters {
        #[command(flatten)]
        asked: Asked,
        /// Only those of this port
        #[arg(long)]
        port: Option<u16>,
    },
    /// What it was started with
    #[command(after_help = WHICH_MESH)]
    Bootstrap {
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// The pod: NAME, NAME.NAMESPACE, or the start of a name that fits one pod only
    pod: String,
    #[command(flatten)]
    target: Target,
    /// How to print it; json and yaml are Envoy's own words
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Asks the pod's Envoy and prints its answer.
pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(args.part))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(part: Part) -> Result<()> {
    match part {
        Part::Listeners { asked, port } => {
            let found = listeners::select(&asked.dump().await?, port);
            asked.print(&found, |_| listeners::table(&found))
        }
        Part::Routes { asked, name } => {
            let found = routes::select(&asked.dump().await?, name.as_deref());
            asked.print(&found, |wide| routes::table(&found, wide))
        }
        Part::Clusters { asked, fqdn, port } => {
            let found = clusters::select(&asked.dump().await?, fqdn.as_deref(), port);
            asked.print(&found, |_| clusters::table(&found))
        }
        Part::Endpoints { asked, cluster, port } => {
            let found = endpoints::select(&asked.ask(endpoints::PATH).await?, cluster.as_deref(), port);
            asked.print(&found, |_| endpoints::table(&found))
        }
        Part::Filters { asked, port } => {
            let found = filters::select(&asked.dump().await?, port);
            asked.print(&found, |wide| filters::table(&found, wide))
        }
        Part::Bootstrap { asked } => {
            let dump = asked.dump().await?;
            let found = dump::list(&dump, "/configs").iter().find_map(|part| part.get("bootstrap"));
            let form = if asked.output == Output::Json { Output::Json } else { Output::Yaml };
            form.print(found.context("Envoy tells no bootstrap")?, |_| String::new())
        }
    }
}

impl Asked {
    async fn ask(&self, path: &str) -> Result<Value> {
        let name = PodName { name: self.pod.clone(), namespace: self.target.access.namespace.clone() };
        let envoy = Envoy::of(self.target.choose().await?, name).await?;
        serde_json::from_slice(&envoy.get(path).await?).context("what Envoy answered")
    }

    /// All of its configuration but the keys in it; what it rejected is said.
    async fn dump(&self) -> Result<Value> {
        let dump = redact::object(self.ask(DUMP).await?);
        for error in dump::errors(&dump) {
            eprintln!("weir: {error}");
        }
        Ok(dump)
    }

    fn print(&self, raw: &impl Serialize, table: impl FnOnce(bool) -> Vec<Vec<String>>) -> Result<()> {
        self.output.print(raw, |wide| output::table(&table(wide)))
    }
}
