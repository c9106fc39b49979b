//! `make bench`: Envoy's CPU time per request without a filter and with each of ours.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use weir_tests::bench::manifests::{Plugin, ROWS, Row, objects, upstreams};
use weir_tests::bench::processes::{Envoy, envoy, free_ports, serve};
use weir_tests::bench::statistics::Median;
use weir_tests::bench::traffic::{self, Client};
use weir_tests::tools::project;

/// Requests of a round that warm up the caches, and those that count.
const WARM_UP: usize = 80;
const COUNTED: usize = 400;

/// Measures Envoy's CPU time per request: no filter, a filter that does nothing, ours. Each round asks every Envoy in turn
#[derive(Parser)]
struct Args {
    /// How many rounds
    #[arg(long, default_value_t = 100)]
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
    let modules = std::path::absolute(args.modules.unwrap_or_else(|| project("target/modules")))?;
    let folder = tempfile::tempdir()?;
    let gateways = free_ports::<{ ROWS.len() }>()?;
    let admins = free_ports::<{ ROWS.len() }>()?;
    let [ads, upstream] = free_ports()?;
    for address in upstreams(upstream.port()) {
        tokio::spawn(traffic::serve(tokio::net::TcpListener::bind(address).await?));
    }
    let manifest = folder.path().join("bench.yaml");
    std::fs::write(&manifest, objects(&gateways.map(|gateway| gateway.port()), upstream.port(), &modules))?;
    let _serve = serve(folder.path(), &manifest, &modules, ads).await?;
    let program = envoy()?;
    let mut envoys = Vec::new();
    for (row, admin) in admins.into_iter().enumerate() {
        envoys.push(Envoy::start(&program, folder.path(), row, ads, admin).await?);
    }
    let times = measure(&envoys, &gateways, args.rounds).await?;
    for (envoy, row) in envoys.iter().zip(ROWS) {
        check(envoy, row, args.rounds).await?;
    }
    print(&times);
    Ok(())
}

/// Nanoseconds per request, by round and row.
async fn measure(envoys: &[Envoy], gateways: &[SocketAddr], rounds: usize) -> Result<Vec<[f64; ROWS.len()]>> {
    let mut clients = Vec::new();
    for (gateway, Row { name, .. }) in gateways.iter().zip(ROWS) {
        let mut client = Client::new(*gateway).await?;
        client.send(COUNTED).await.with_context(|| format!("asking the Envoy of {name:?}"))?;
        clients.push(client);
    }
    let mut times = Vec::new();
    for round in 0..rounds {
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
    (0..count).map(move |step| if round % 2 == 0 { (round / 2 + step) % count } else { (round / 2 + count - step) % count })
}

/// That the filters did their work is part of the measurement: a filter that failed open costs nothing.
async fn check(envoy: &Envoy, row: Row, rounds: usize) -> Result<()> {
    let requests = (COUNTED + rounds * (WARM_UP + COUNTED)) as u64;
    for plugin in row.plugins {
        let counter = match plugin {
            Plugin::Noop => {
                ensure!(envoy.counter("wasm.envoy.wasm.runtime.v8.active").await? > 0, "the no-op filter does not run");
                continue;
            }
            Plugin::Canary => "wasmcustom.weir_canary_bucket",
            Plugin::Locality | Plugin::LocalityTells => "wasmcustom.weir_locality_near",
        };
        let counted = envoy.counter(counter).await?;
        ensure!(counted >= requests, "{}: {counter} is {counted} after {requests} requests", row.name);
    }
    Ok(())
}

fn print(times: &[[f64; ROWS.len()]]) {
    println!("CPU time of Envoy per request: median of {} interleaved rounds of {COUNTED} requests, with its 95 % interval", times.len());
    println!("{:<20} {:>8}   {:<22} {:<22}", "filter", "us", "to none", "to no-op");
    for (row, Row { name, .. }) in ROWS.iter().enumerate() {
        let time = Median::of(times.iter().map(|round| round[row] / 1000.0));
        let to = |other: usize| {
            let Median { middle, low, high } = Median::of(times.iter().map(|round| round[row] / round[other]));
            format!("{middle:.3} ({low:.3}-{high:.3})")
        };
        println!("{name:<20} {:>8.1}   {:<22} {:<22}", time.middle, to(0), to(1));
    }
}
