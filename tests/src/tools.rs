//! Where the project's own programs and files are, and how to wait for something.

use rustix::process::Pid;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A file or folder of the project; an absolute path stays what it is.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").join(path)
}

/// The binary `weir`, built beside this one.
pub fn weir() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its file");
    let folder = own.ancestors().find(|folder| folder.join("weir").is_file()).expect("build it first: cargo build -p weir");
    folder.join("weir")
}

/// The folder of the Wasm modules, or of their builds for tests.
pub fn modules(name: &str) -> PathBuf {
    weir().ancestors().nth(2).expect("target/PROFILE/weir").join(name)
}

/// Envoy, as `weir up` finds it: `$ENVOY`, else from PATH, else from .tools.
pub fn envoy() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([project(".tools")]).map(|folder| folder.join("envoy")).find(|path| path.is_file())
}

/// Runs `weir` as a user who types it in `folder`.
pub fn type_weir(folder: &Path, args: &[&str]) -> anyhow::Result<Output> {
    Ok(Command::new(weir()).args(args).current_dir(folder).stdin(Stdio::null()).output()?)
}

/// What a program wrote to its two outputs.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A port that is free on this machine's loopback.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Copies the files of a folder; not the folders in it.
pub fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
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
    let has = |process: &Process| process.arguments.iter().any(|argument| argument.contains(text));
    processes().into_iter().filter(has).collect()
}

/// All processes.
pub fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
        Some(Process { pid, arguments: zero_separated(&entry.path().join("cmdline"))? })
    };
    entries.filter_map(process).collect()
}

impl Process {
    /// A file of /proc that tells about it; empty when it has gone.
    pub fn read(&self, file: &str) -> String {
        let bytes = std::fs::read(format!("/proc/{}/{file}", self.pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its parent and the clock tick of its start, which together with the id tells it from a later process with that id.
    pub fn parent_and_start(&self) -> Option<(i32, u64)> {
        let stat = self.read("stat");
        // The program's name, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
    }
}

/// A process with all that descends from it.
pub fn family(pid: u32) -> Vec<Process> {
    let parents: Vec<_> = processes().into_iter().filter_map(|process| Some((process.parent_and_start()?.0, process))).collect();
    let mut known = vec![i32::try_from(pid).expect("a process id")];
    let mut found = 0;
    while found < known.len() {
        let parent = known[found];
        known.extend(parents.iter().filter(|(of, _)| *of == parent).map(|(_, process)| process.pid.as_raw_nonzero().get()));
        found += 1;
    }
    parents.into_iter().map(|(_, process)| process).filter(|process| known.contains(&process.pid.as_raw_nonzero().get())).collect()
}

fn zero_separated(path: &Path) -> Option<Vec<String>> {
    let bytes = std::fs::read(path).ok()?;
    Some(bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).filter(|part| !part.is_empty()).collect())
}
