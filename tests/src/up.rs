//! A mesh that runs under `weir up` while its handle lives.

use crate::tools::{processes_with, project, weir};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir_sample::load::{self, Config};

/// A running mesh. It ends when this is dropped.
pub struct Up {
    child: Child,
    dir: TempDir,
    /// What `weir up --output json` printed.
    pub view: Value,
}

impl Up {
    /// Starts a mesh of manifests (paths in the project) and waits until all is ready.
    pub fn start(paths: &[&str]) -> Result<Up> {
        Up::start_with(Command::new(weir()), paths, &[])
    }

    /// The same with further arguments; `command` is how `weir` is started.
    pub fn start_with(mut command: Command, paths: &[&str], more: &[&str]) -> Result<Up> {
        let dir = TempDir::with_prefix("weir-tests-")?;
        let run_dir = dir.path().join("run");
        command.arg("up").args(paths.iter().map(|path| project(path))).args(more).args(["--output", "json", "--run-dir"]).arg(&run_dir);
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting weir up")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let view = serde_json::from_str(&line).with_context(|| format!("weir up printed {line:?}"));
        let mut up = Up { child, dir, view: Value::Null };
        up.view = view?;
        Ok(up)
    }

    /// The process of `weir up`.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The folder of the run.
    pub fn run_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("run")
    }

    /// Where the first gateway listens outside.
    pub fn gateway(&self) -> SocketAddr {
        let port = self.view["gateways"][0]["ports"][0]["outside"].as_u64().expect("a gateway");
        SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")))
    }

    /// Runs a command of `weir` on this mesh; `--run-dir` goes before a `--`.
    pub fn weir(&self, args: &[&str]) -> Result<Output> {
        let (before, after) = args.split_at(args.iter().position(|arg| *arg == "--").unwrap_or(args.len()));
        let mut command = Command::new(weir());
        command.args(before).arg("--run-dir").arg(self.run_dir()).args(after).stdin(Stdio::null());
        command.output().context("running weir")
    }

    /// The same, which must succeed; gives what it printed.
    pub fn ask(&self, args: &[&str]) -> Result<String> {
        let output = self.weir(args)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "weir {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    /// All that runs.
    pub fn look(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.ask(&["get", "-o", "json"])?)?)
    }

    /// The pods of a Deployment, `NAME.NAMESPACE`, each with its zone.
    pub fn pods(&self, namespace: &str, deployment: &str) -> Result<Vec<(String, String)>> {
        let view = self.look()?;
        let of = |pod: &&Value| {
            pod["namespace"] == namespace && pod["name"].as_str().is_some_and(|name| name.starts_with(&format!("{deployment}-")))
        };
        let named = |pod: &Value| {
            let zone = pod["zone"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            (format!("{}.{namespace}", pod["name"].as_str().unwrap_or_default()), zone.to_string())
        };
        Ok(view["pods"].as_array().context("pods")?.iter().filter(of).map(named).collect())
    }

    /// Applies a manifest of the project.
    pub fn apply(&self, path: &str) -> Result<()> {
        self.ask(&["apply", "-f", &project(path).display().to_string()]).map(drop)
    }

    /// Applies a manifest.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        let file = self.dir.path().join("applied.yaml");
        std::fs::write(&file, text)?;
        self.ask(&["apply", "-f", &file.display().to_string()]).map(drop)
    }

    /// A load on a URL of the gateway.
    pub fn load(&self, url: &str) -> Config {
        Config { connect: Some(self.gateway()), ..Config::new(url) }
    }

    /// Sends some requests to a URL of the gateway and counts the answers by JSON pointers.
    pub async fn count(&self, url: &str, requests: u64, by: &[&str]) -> Result<load::Report> {
        load::run(Config { requests: Some(requests), by: by.iter().map(ToString::to_string).collect(), ..self.load(url) }).await
    }

    /// Kills the control plane; `weir up` starts it again.
    pub fn kill_control_plane(&self) -> Result<()> {
        let socket = self.run_dir().join("serve.sock");
        let serve =
            processes_with(&socket.display().to_string()).into_iter().find(|process| process.arguments.iter().any(|it| it == "serve"));
        kill_process(serve.context("the control plane's process")?.pid, Signal::KILL)?;
        Ok(())
    }

    /// Ends the mesh by a signal, and says how long that took.
    pub fn end(&mut self, signal: Signal) -> Result<Duration> {
        let started = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal)?;
        self.child.wait()?;
        Ok(started.elapsed())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end(Signal::TERM);
        }
    }
}
