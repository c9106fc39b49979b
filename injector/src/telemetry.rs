//! Where logs go: to standard error, filtered by `WEIR_LOG` (as `info,weir::ads=debug`), in colours on a terminal.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Sets up logging for the whole process, once.
pub fn init() {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
