//! `make demo`: all three demos in one mesh, measured.

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use weir_tests::scenario::{bookinfo, canary, failures, filters, locality, operations, protocols};
use weir_tests::{Figure, Up};

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
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(demo(&args))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args) -> Result<bool> {
    let started = tokio::time::Instant::now();
    println!("Starting a mesh of the three demos: deploy/demos/{{locality,canary,bookinfo}}, and two pods to try protocols\n");
    let mesh = Up::start(&["deploy/demos/locality", "deploy/demos/canary", "deploy/demos/bookinfo", protocols::MANIFEST])?;
    let port = mesh.gateway().port();
    println!("Ready after {:.0} s. While it measures, open:", started.elapsed().as_secs_f64());
    println!("  http://canary.localhost:{port}/              squares in the colours of the answers");
    println!("  http://localhost:{port}/productpage          bookinfo, with red and black stars");
    println!("  http://locality.localhost:{port}/            which zones answered\n");
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
    for stop in [locality::Stop::App, locality::Stop::PodAtOnce, locality::Stop::PodInOrder] {
        show(locality::leaves_and_returns(&mesh, stop).await?);
    }
    show(operations::many_edits(&mesh).await?);
    show(operations::bad_policy(&mesh).await?);
    show(operations::control_plane_restarted(&mesh).await?);
    show(failures::control_plane_absent_at_start(&mesh).await?);
    show(filters::never_configured().await?);
    show(protocols::pass_unchanged(&mesh).await?);
    show(bookinfo::pages(&mesh).await?);
    show(bookinfo::reviews(&mesh).await?);

    println!("\n{}", if kept { "All as expected." } else { "Some figures are off, see above." });
    match args.duration {
        Some(duration) => tokio::time::sleep_until(started + duration).await,
        None => {
            println!("The mesh goes on running, see deploy/demos/README.md for what to try; Ctrl-C ends it.");
            tokio::signal::ctrl_c().await?;
        }
    }
    Ok(kept)
}
