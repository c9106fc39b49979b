//! `cluster-bench`: what the control plane of a cluster costs, and how fast it is. A real cluster of three nodes; an Envoy on each.

mod admissions;
mod changes;
mod connect;
mod crowd;
mod outage;
mod replicas;

use anyhow::{Context, Result};
use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use replicas::Replica;
use std::process::ExitCode;
use std::time::Duration;
use weir_tests::able;
use weir_tests::cluster::Cluster;

/// Measures admissions, changes, outages and memory on a cluster of its own
#[derive(Parser)]
struct Args {
    /// Pods that the cluster has, made by writing objects
    #[arg(long, default_value_t = 2000)]
    pods: usize,
    /// How many of them have a connected proxy, which only receives
    #[arg(long, default_value_t = 300)]
    proxies: usize,
    /// Changes whose way to the Envoys is timed
    #[arg(long, default_value_t = 300)]
    timed: usize,
    /// Changes after which memory should be what it was
    #[arg(long, default_value_t = 10_000)]
    changes: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !able::to_run_a_cluster() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(bench(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: &Args) -> Result<()> {
    let cluster = Cluster::start()?;
    let settings = ["ingressGateway.service.type=NodePort", "ingressGateway.autoscaling.enabled=false", "ingressGateway.replicas=3"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    cluster.ask(&["install", "--wait"].into_iter().chain(settings).collect::<Vec<_>>())?;
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(cluster.kubeconfig())?, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;

    let replicas = Replica::all(&cluster)?;
    let first = replicas.first().context("a replica")?;
    println!("at the start: {}", replicas::memory(&replicas).await?);
    admissions::measure(&cluster, first).await?;
    changes::timed(&cluster, &client, args.timed).await?;
    outage::measure(&cluster).await?;

    let replicas = Replica::all(&cluster)?;
    let _crowd = crowd::gather(&cluster, &client, &replicas, args.pods, args.proxies).await?;
    changes::timed(&cluster, &client, args.timed).await?;
    changes::many(&client, &replicas, args.changes).await
}

/// The value below which a share of them lies.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// Median, 99th percentile and longest.
fn spread(times: &mut [Duration]) -> String {
    let [median, high, longest] = [50, 99, 100].map(|percent| percentile(times, percent).as_secs_f64() * 1000.0);
    format!("median {median:.1} ms, p99 {high:.1} ms, longest {longest:.1} ms, of {}", times.len())
}
