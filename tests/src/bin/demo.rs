//! `make demo`: all three demos in one mesh, measured.

use anyhow::Result;
use clap::Parser;
use std::cell::Cell;
use std::process::{Command, ExitCode};
use std::time::Duration;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use weir_tests::scenario::{analyze, bookinfo, canary, ends, failures, filters, locality, operations, protocols};
use weir_tests::tools::{project, weir};
use weir_tests::{Figure, Mesh, Up};

/// The exit code of a program that was ended before its time.
const INTERRUPTED: u8 = 130;

/// Runs the demos, prints what was expected and measured, and goes on running
#[derive(Parser)]
struct Args {
    /// End by itself so long after the start, such as 60s (at the earliest when all is measured), with an exit code
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(until_told_to_end(&args))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The demo ends with its mesh, whenever it is told to.
async fn until_told_to_end(args: &Args) -> Result<ExitCode> {
    let kept = Cell::new(None);
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        done = demo(args, &kept) => done?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(match kept.get() {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => ExitCode::from(INTERRUPTED),
    })
}

/// Measures, then goes on as long as it was asked to; `all_kept` tells how the figures were.
async fn demo(args: &Args, all_kept: &Cell<Option<bool>>) -> Result<()> {
    let started = tokio::time::Instant::now();
    println!("Starting a mesh of the three demos: deploy/demos/{{locality,canary,bookinfo}}, and two pods to try protocols\n");
    let mut command = Command::new(weir());
    let folders = ["deploy/demos/locality", "deploy/demos/canary", "deploy/demos/bookinfo", protocols::MANIFEST];
    // In the usual folder for runs, so that `weir get` of another terminal finds it.
    command.arg("up").args(folders.map(project));
    let mesh = Up::run(command, TempDir::with_prefix("weir-demo-")?)?;
    let port = mesh.gateway().port();
    println!("Ready after {:.0} s. While it measures, open:", started.elapsed().as_secs_f64());
    println!("  http://canary.localhost:{port}/              squares in the colours of the answers");
    println!("  http://localhost:{port}/productpage          bookinfo, with red and black stars");
    println!("  http://locality.localhost:{port}/            which zones answered");
    println!("From another terminal: target/debug/weir get, weir proxy-status, weir stop POD; see deploy/demos/README.md\n");
    println!("     {:<70} {:<40} measured", "what", "expected");

    let mut kept = true;
    let mut show = |figure: Figure| {
        println!("{figure}");
        kept &= figure.kept;
    };
    show(canary::share_without_user(&mesh).await?);
    canary::users_keep_their_version(&mesh).await?.into_iter().for_each(&mut show);
    show(canary::tester(&mesh).await?);
    show(canary::spoofed_headers(&mesh).await?);
    show(locality::stays(&mesh).await?);
    show(locality::spoofed_header(&mesh).await?);
    for stop in [locality::Stop::App, locality::Stop::PodAtOnce, locality::Stop::PodInOrder] {
        show(locality::pod_leaves_and_returns(&mesh, stop).await?);
    }
    show(operations::many_edits(&mesh).await?);
    show(operations::bad_policy(&mesh).await?);
    show(operations::control_plane_restarted(&mesh).await?);
    show(failures::control_plane_absent_at_start(&mesh).await?);
    show(filters::never_configured().await?);
    show(protocols::pass_unchanged(&mesh).await?);
    let broken = filters::mesh_that_can_panic()?;
    show(filters::panic_once(&broken).await?);
    show(filters::panic_always(&broken).await?);
    drop(broken);
    show(ends::killed().await?);
    show(analyze::finds_what_is_misspelt()?);
    show(bookinfo::pages(&mesh).await?);
    show(bookinfo::reviews(&mesh).await?);

    all_kept.set(Some(kept));
    println!("\n{}", if kept { "All as expected." } else { "Some figures are off, see above." });
    match args.duration {
        Some(duration) => tokio::time::sleep_until(started + duration).await,
        None => {
            println!("The mesh goes on running; Ctrl-C ends it.");
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}
