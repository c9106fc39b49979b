//! Where the project's own programs and files are, and how to wait for something.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file or folder of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").join(path)
}

/// The binary `weir`, built beside this one.
pub fn weir() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its file");
    let folder = own.ancestors().find(|folder| folder.join("weir").is_file()).expect("build it first: cargo build -p weir");
    folder.join("weir")
}

/// Polls until `check` gives something, at most for `limit`; then fails, saying what was waited for.
pub async fn wait_for<T>(what: &str, limit: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = check().await {
            return Ok(found);
        }
        anyhow::ensure!(started.elapsed() < limit, "{what}: not seen within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
