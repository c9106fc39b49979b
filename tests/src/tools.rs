//! Where the project's own programs and files are, and how to wait for something.

use rustix::process::Pid;
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

/// A process of this machine.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Program and arguments.
    pub arguments: Vec<String>,
}

/// The processes that have `text` in an argument.
pub fn processes_with(text: &str) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let arguments: Vec<String> =
            line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).filter(|part| !part.is_empty()).collect();
        arguments.iter().any(|argument| argument.contains(text)).then_some(Process { pid, arguments })
    };
    entries.filter_map(process).collect()
}
