//! `weir proxy-status`: how every Envoy stands, what it rejected and why, and which is connected to no control plane.

mod cluster;
mod difference;
mod here;
mod join;
mod show;

use crate::ads::status::{FindingStatus, NodeStatus};
use crate::commands::output::Output;
use crate::commands::target::{Chosen, Target, WHICH_MESH};
use crate::up::protocol::PodName;
use anyhow::{Context, Result};
use hyper::body::Bytes;
use std::path::PathBuf;
use std::process::ExitCode;

pub use cluster::{DEBUG, Replica, replicas};
pub use here::ask;

/// Show how every Envoy stands, and what it rejected and why; of one pod, what it has other than the control plane would send
#[derive(Debug, clap::Args)]
#[command(after_help = WHICH_MESH)]
pub struct Args {
    /// Compare what this pod's Envoy has with what it should have: NAME, NAME.NAMESPACE, or the start of a name that fits one pod only
    pod: Option<String>,
    #[command(flatten)]
    target: Target,
    /// All namespaces, as without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Unix socket of a control plane that runs by itself (`weir serve --socket`)
    #[arg(long, value_name = "PATH", conflicts_with_all = ["pod", "run_dir", "kubeconfig", "context"])]
    socket: Option<PathBuf>,
}

/// What was seen of a mesh.
#[derive(Debug, Default)]
pub struct Seen {
    /// The connected nodes, each with the replica of the control plane that it is connected to, if that has a name.
    nodes: Vec<(Option<String>, NodeStatus)>,
    /// The pods that have a proxy.
    pods: Vec<Place>,
    /// What is wrong with the user's objects.
    findings: Vec<FindingStatus>,
    /// What could not be asked.
    silent: Vec<String>,
}

/// A pod that has a proxy, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    namespace: String,
    name: String,
    node: String,
    zone: String,
    version: String,
    /// What there is to say if it is not connected.
    state: String,
}

/// Asks the control plane and prints its answer.
pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tell(args))
}

async fn tell(args: Args) -> Result<ExitCode> {
    let Args { target, output, pod, .. } = args;
    let namespace = target.access.namespace.clone();
    let named = |name: String| PodName { name, namespace: namespace.clone() };
    if let Some(socket) = args.socket {
        let syncz = ask(&socket).await.with_context(|| format!("no answer from a control plane on {}", socket.display()))?;
        return print(Seen::from(syncz), namespace.as_deref(), output);
    }
    match (target.choose().await?, pod) {
        (Chosen::Here(dir), None) => print(here::look(&dir).await?, namespace.as_deref(), output),
        (Chosen::Cluster(cluster), None) => print(cluster::look(&cluster.client).await?, namespace.as_deref(), output),
        (Chosen::Here(dir), Some(name)) => compare(here::both(&dir, &named(name)).await?, output),
        (Chosen::Cluster(cluster), Some(name)) => compare(cluster::both(&cluster, &named(name)).await?, output),
    }
}

fn print(seen: Seen, namespace: Option<&str>, output: Output) -> Result<ExitCode> {
    for silent in &seen.silent {
        eprintln!("weir: {silent}");
    }
    let status = join::join(seen, namespace);
    output.print(&status, |wide| show::text(&status, wide))?;
    Ok(ExitCode::SUCCESS)
}

/// What a pod's Envoy should have, and what it has.
struct Both {
    replica: Option<String>,
    status: NodeStatus,
    /// `/debug/config` of the control plane.
    wanted: Bytes,
    /// `/config_dump?include_eds` of Envoy.
    dump: Bytes,
}

fn compare(both: Both, output: Output) -> Result<ExitCode> {
    let wanted = serde_json::from_slice(&both.wanted).context("what the control plane would send")?;
    let dump = serde_json::from_slice(&both.dump).context("Envoy's configuration")?;
    let compared = difference::compare(both.replica, &both.status, &wanted, &dump);
    output.print(&compared, |_| show::comparison(&compared))?;
    Ok(ExitCode::SUCCESS)
}
