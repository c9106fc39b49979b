//! `make bench`: Envoy's CPU time per request without a filter and with each of ours.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use weir_tests::bench::manifests::{Plugin, ROWS, Row, objects, upstreams};
use weir_tests::bench::processes::{Envoy, envoy, free_ports, serve};
use weir_tests::bench::statistics::Median;
use weir_tests::bench::traffic::{self, Client};
use weir_tests::tools::{project, wait_for};

/// Requests of a round that warm up the caches, and those that count.
const WARM_UP: usize = 80;
const COUNTED: usize = 400;
/// Rounds with the same processes. How a process happens to lie in memory makes it some percent faster or slower for all its
/// life, so many short lives say more than a long one.
const ROUNDS_PER_START: usize = 15;

/// Measures Envoy's CPU time per request: no filter, a filter that does nothing, ours. Each round asks every Envoy in turn
#[derive(Parser)]
struct Args {
    /// How many rounds; every 15 the Envoys are started anew
    #[arg(long, default_value_t = 450)]
    rounds: usize,
    /// The folder of the Wasm modules, if not that of `make wasm`
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread for the requests and the answers, so that Envoy has the other CPU of a small machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(until_told_to_end(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends in order on a signal too, so that nothing is left behind.
async fn until_told_to_end(args: Args) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        result = bench(args) => result,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn bench(args: Args) -> Result<()> {
    ensure!(args.rounds > 0, "--rounds: at least one");
    let program = envoy()?;
    let modules = std::path::absolute(args.modules.unwrap_or_else(|| project("target/modules")))?;
    let folder = tempfile::tempdir()?;
    let ports = free_ports(2 * ROWS.len() + 2)?;
    let [ads, upstream, ports @ ..] = ports.as_slice() else { anyhow::bail!("too few free ports") };
    let (gateways, admins) = ports.split_at(ROWS.len());
    for address in upstreams(upstream.port()) {
        tokio::spawn(traffic::serve(tokio::net::TcpListener::bind(address).await?));
    }
    let manifest = folder.path().join("bench.yaml");
    let gateway_ports: Vec<_> = gateways.iter().map(SocketAddr::port).collect();
    std::fs::write(&manifest, objects(&gateway_ports, upstream.port(), &modules))?;
    let _serve = serve(folder.path(), &manifest, &modules, *ads).await?;
    let mut starts = Vec::new();
    for _ in 0..args.rounds.div_ceil(ROUNDS_PER_START) {
        let envoys = admins.iter().enumerate().map(|(row, admin)| Envoy::start(&program, folder.path(), row, *ads, *admin));
        let envoys = envoys.collect::<Result<Vec<_>>>()?;
        for envoy in &envoys {
            envoy.ready().await?;
        }
        starts.push(measure(&envoys, gateways).await?);
        for (envoy, row) in envoys.iter().zip(ROWS) {
            check(envoy, row).await?;
        }
    }
    print(&starts);
    Ok(())
}

/// Nanoseconds per request, by row.
type Round = [f64; ROWS.len()];

/// The rounds of one start.
async fn measure(envoys: &[Envoy], gateways: &[SocketAddr]) -> Result<Vec<Round>> {
    let mut clients = Vec::new();
    for (gateway, Row { name, .. }) in gateways.iter().zip(ROWS) {
        let mut client = Client::new(*gateway).await?;
        client.send(COUNTED).await.with_context(|| format!("asking the Envoy of {name:?}"))?;
        clients.push(client);
    }
    let mut times = Vec::new();
    for round in 0..ROUNDS_PER_START {
        let mut time = [0.0; ROWS.len()];
        for row in order(round) {
            let (envoy, client) = (&envoys[row], &mut clients[row]);
            client.send(WARM_UP).await?;
            let before = envoy.process.cpu()?;
            let sent = client.send(COUNTED).await?;
            time[row] = (envoy.process.cpu()? - before) as f64 / sent as f64;
        }
        times.push(time);
    }
    Ok(times)
}

/// Begins elsewhere in each round and turns round in every second, so that no row always has the same one before it.
fn order(round: usize) -> impl Iterator<Item = usize> {
    let count = ROWS.len();
    (0..count).map(move |step| if round.is_multiple_of(2) { (round / 2 + step) % count } else { (round / 2 + count - step) % count })
}

/// That the filters did their work is part of the measurement: a filter that failed open costs nothing.
async fn check(envoy: &Envoy, row: Row) -> Result<()> {
    let requests = (COUNTED + ROUNDS_PER_START * (WARM_UP + COUNTED)) as u64;
    for plugin in row.plugins {
        let counter = match plugin {
            Plugin::Noop => {
                ensure!(envoy.counter("wasm.envoy.wasm.runtime.v8.active").await? > 0, "the no-op filter does not run");
                continue;
            }
            Plugin::Canary => "wasmcustom.weir_canary_bucket",
            Plugin::Locality | Plugin::LocalityTells => "wasmcustom.weir_locality_near",
        };
        // The filters bring their counts to Envoy now and then.
        let all = async || envoy.counter(counter).await.ok().filter(|counted| *counted >= requests);
        wait_for(&format!("{}: {requests} in {counter}", row.name), Duration::from_secs(5), all).await?;
    }
    Ok(())
}

fn print(starts: &[Vec<Round>]) {
    println!(
        "CPU time of Envoy per request, and its ratio to the first two rows, each with its 95 % interval: median of {} starts,",
        starts.len()
    );
    println!("each the median of {ROUNDS_PER_START} rounds in which every Envoy gets {COUNTED} requests in turn");
    println!("{:<20} {:>8}   {:<22} {:<22}", "filter", "us", "to none", "to no-op");
    for (row, Row { name, .. }) in ROWS.iter().enumerate() {
        let of = |value: &dyn Fn(&Round) -> f64| Median::of(starts.iter().map(|rounds| Median::of(rounds.iter().map(value)).middle));
        let to = |other: usize| {
            let Median { middle, low, high } = of(&|round| round[row] / round[other]);
            format!("{middle:.3} ({low:.3}-{high:.3})")
        };
        println!("{name:<20} {:>8.1}   {:<22} {:<22}", of(&|round| round[row] / 1000.0).middle, to(0), to(1));
    }
}
