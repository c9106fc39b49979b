//! The control plane of a run: `weir serve` as a child, started again when it dies, and the modules that it hands out.

use super::enter::SELF;
use super::envoy::ADS_PORT;
use super::network::RUNNER;
use super::process::{Program, Supervised};
use super::protocol::Config;
use super::rundir::RunDir;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The filters' modules, as `make wasm` names them.
const MODULES: [&str; 2] = ["weir-canary.wasm", "weir-locality.wasm"];

/// Starts the control plane.
pub fn start(config: &Config, dir: &RunDir, say: mpsc::UnboundedSender<String>) -> Supervised {
    let mut command: Vec<OsString> = vec![SELF.into(), "serve".into()];
    let sources = config.paths.iter().cloned().chain([dir.applied(), dir.cluster()]);
    command.extend(sources.flat_map(|path| ["--files".into(), path.into_os_string()]));
    command.extend(["--ads".into(), format!("{RUNNER}:{ADS_PORT}").into()]);
    command.extend(["--socket".into(), dir.serve_socket().into_os_string()]);
    command.extend(["--modules".into(), dir.modules().into_os_string()]);
    let program = Program {
        name: "weir serve".into(),
        pause: None,
        command,
        env: std::env::vars_os().collect(),
        folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        log: dir.serve_log(),
    };
    let supervised = Supervised::new(move |line| {
        let _ = say.send(line);
    });
    supervised.start(program);
    supervised
}

/// Returns when the control plane answers.
pub async fn answers(dir: &RunDir) {
    while UnixStream::connect(dir.serve_socket()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Brings the modules into the run, from `$WEIR_MODULES`, else from `modules` beside the binary or beside its folder. Says what is missing.
pub fn copy_modules(dir: &RunDir) -> Option<String> {
    let beside = std::env::current_exe().ok();
    let beside = beside.iter().flat_map(|binary| binary.ancestors().skip(1).take(2)).map(|folder| folder.join("modules"));
    let named = std::env::var_os("WEIR_MODULES").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folders: Vec<_> = named.into_iter().chain(beside).collect();
    let missing: Vec<_> = MODULES
        .into_iter()
        .filter(|name| !folders.iter().any(|folder| std::fs::copy(folder.join(name), dir.modules().join(name)).is_ok()))
        .collect();
    let looked = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    (!missing.is_empty()).then(|| {
        format!(
            "warning: no {} (looked in {looked}): a WasmPlugin that names it has no effect; `make wasm` builds the modules",
            missing.join(" and ")
        )
    })
}
