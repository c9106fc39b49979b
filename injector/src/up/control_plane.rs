//! The control plane of a run: `weir serve` as a child, started again when it dies, and the modules that it hands out.

use super::enter::SELF;
use super::envoy::ADS_PORT;
use super::network::RUNNER;
use super::process::{Program, Supervised};
use super::protocol::Config;
use super::rundir::RunDir;
use crate::modules;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Starts the control plane.
pub fn start(config: &Config, dir: &RunDir, say: mpsc::UnboundedSender<String>) -> Supervised {
    let mut command: Vec<OsString> = vec![SELF.into(), "serve".into()];
    let sources = config.paths.iter().cloned().chain([dir.applied(), dir.cluster()]);
    command.extend(sources.flat_map(|path| ["--files".into(), path.into_os_string()]));
    command.extend(["--ads".into(), format!("{RUNNER}:{ADS_PORT}").into()]);
    command.extend(["--socket".into(), dir.serve_socket().into_os_string()]);
    command.extend(["--state".into(), dir.state().into_os_string()]);
    command.extend(["--modules".into(), dir.modules().into_os_string()]);
    let program = Program {
        name: "weir serve".into(),
        pod: None,
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

/// Brings the modules into the run, where the control plane gives them names of their own. Says what is missing.
pub fn copy_modules(dir: &RunDir) -> Option<String> {
    let Some(folder) = modules::folder(None) else {
        return Some("warning: no modules, so WasmPlugins have no effect: `make wasm` builds them, WEIR_MODULES names their folder".into());
    };
    let copied = |name: &str| std::fs::copy(folder.join(name), dir.modules().join(name)).is_ok();
    let missing: Vec<_> = modules::NAMES.into_iter().map(|name| format!("{name}.wasm")).filter(|name| !copied(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "warning: {} has no {}: a WasmPlugin that names it has no effect; `make wasm` builds the modules",
            folder.display(),
            missing.join(" and ")
        )
    })
}
