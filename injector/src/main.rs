//! `weir`: traffic management for Envoy.

mod ads;
mod analyze;
mod files;
mod modules;
mod proxy_status;
mod serve;
mod telemetry;

use clap::Parser;
use std::process::ExitCode;

/// Traffic management for Envoy: a mesh from Istio's manifests.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 120)]
enum Command {
    Serve(serve::Args),
    Analyze(analyze::Args),
    ProxyStatus(proxy_status::Args),
}

fn main() -> ExitCode {
    telemetry::init();
    let result = match Command::parse() {
        Command::Serve(args) => serve::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::ProxyStatus(args) => proxy_status::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("weir: {error:#}");
        ExitCode::FAILURE
    })
}
