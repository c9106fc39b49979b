//! The sample application of Weir's demos and tests: small services, one per role, and the tools that ask them.
//!
//! One program plays every role, so that a demo needs one image and a test one binary. Whatever the role, the
//! same port takes HTTP/1 and HTTP/2 with prior knowledge, `/healthz` answers 200, and SIGTERM ends the
//! program once the requests in flight are answered.

pub mod answer;
pub mod app;
pub mod ask;
pub mod bookinfo;
mod cli;
pub mod client;
mod colour;
mod desk;
mod forward;
pub mod grpc;
pub mod identity;
pub mod load;
#[cfg(test)]
mod manifests;
mod product;
pub mod server;
mod stand_in;
pub mod tcp_echo;
mod websocket;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Runs what `args` ask for until it is done or told to end. `args` come without the program's name.
///
/// Blocks, and builds a runtime of its own. The exit code is 0 for success, 1 for a failure, which is printed to
/// standard error, and 2 for arguments that make no sense.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive as errors too; clap knows which of them belong on standard output.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("weir-sample: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.command.run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir-sample: {error:#}");
            ExitCode::FAILURE
        }
    }
}
