//! A mesh that runs under `weir up` while its handle lives.

use crate::Mesh;
use crate::tools::{Process, family, processes_with, project, wait_for, weir};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// `weir up` tells what happens within this time.
const SAID: Duration = Duration::from_secs(10);
/// After this time without an end by itself, `weir up` is killed.
const END: Duration = Duration::from_secs(10);

/// A running mesh. It ends when this is dropped.
pub struct Up {
    child: Child,
    dir: TempDir,
    said: Arc<Mutex<Vec<String>>>,
    /// What `weir up --output json` printed.
    pub view: Value,
}

impl Up {
    /// Starts a mesh of manifests (paths in the project) and waits until all is ready.
    pub fn start(paths: &[&str]) -> Result<Up> {
        Up::start_with(Command::new(weir()), paths)
    }

    /// The same; `command` is how `weir` is started.
    pub fn start_with(mut command: Command, paths: &[&str]) -> Result<Up> {
        let dir = TempDir::with_prefix("weir-tests-")?;
        command.arg("up").args(paths.iter().map(|path| project(path))).arg("--run-dir").arg(dir.path().join("run"));
        Up::run(command, dir)
    }

    /// Runs a complete `weir up` and waits until all is ready; `dir` is a folder for what belongs to the run. The mesh ends with the
    /// thread that calls this, however that ends.
    pub fn run(mut command: Command, dir: TempDir) -> Result<Up> {
        let command = command.args(["--output", "json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec it makes one system call and no more.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
        let mut child = command.spawn().context("starting weir up")?;
        let (output, errors) = (child.stdout.take().context("stdout is piped")?, child.stderr.take().context("stderr is piped")?);
        let mut up = Up { child, dir, said: Arc::default(), view: Value::Null };
        let said = up.said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                eprintln!("{line}");
                said.lock().expect("nobody panics with it").push(line);
            }
        });
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        up.view = serde_json::from_str(&line).with_context(|| format!("weir up printed {line:?} and said {:#?}", up.said()))?;
        Ok(up)
    }

    /// What `weir up` has told its user so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Waits until it tells a line that has all of `parts`.
    pub async fn says(&self, parts: &[&str]) -> Result<String> {
        let found = || self.said().into_iter().find(|line| parts.iter().all(|part| line.contains(part)));
        let seen = wait_for(&format!("a line with {parts:?}"), SAID, async || found()).await;
        seen.with_context(|| format!("weir up said {:#?}", self.said()))
    }

    /// The process of `weir up`.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The folder of the run.
    pub fn run_dir(&self) -> PathBuf {
        PathBuf::from(self.view["runDir"].as_str().expect("a run has a folder"))
    }

    /// A folder that goes with the mesh.
    pub fn dir(&self) -> &Path {
        self.dir.path()
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

    /// What the administration of a pod's Envoy answers to a GET, or to a POST.
    pub fn admin(&self, pod: &str, path: &str, post: bool) -> Result<String> {
        let (program, url) = (weir().display().to_string(), format!("http://127.0.0.1:15000{path}"));
        let args = ["exec", pod, "--", &program, "sample", "fetch", &url];
        self.ask(&args.into_iter().chain(post.then_some("--post")).collect::<Vec<_>>())
    }

    /// The sum of a pod's counters of Envoy with names that match a regular expression.
    pub fn counted(&self, pod: &str, names: &str) -> Result<u64> {
        let stats = self.admin(pod, &format!("/stats?type=Counters&filter={names}"), false)?;
        Ok(stats.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum())
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

    /// Applies a manifest.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        let file = self.dir.path().join("applied.yaml");
        std::fs::write(&file, text)?;
        self.ask(&["apply", "-f", &file.display().to_string()]).map(drop)
    }

    /// A pod as `weir get` shows it, by `NAME.NAMESPACE`.
    pub fn pod(&self, name: &str) -> Result<Value> {
        let view = self.look()?;
        let named = |pod: &&Value| {
            format!("{}.{}", pod["name"].as_str().unwrap_or_default(), pod["namespace"].as_str().unwrap_or_default()) == name
        };
        view["pods"].as_array().context("pods")?.iter().find(named).cloned().with_context(|| format!("no pod {name} in {view:#}"))
    }

    /// Kills the control plane; `weir up` starts it again.
    pub fn kill_control_plane(&self) -> Result<()> {
        Ok(kill_process(self.control_plane()?, Signal::KILL)?)
    }

    /// The process of the control plane.
    pub fn control_plane(&self) -> Result<Pid> {
        let serve = family(self.child.id()).into_iter().find(|process| process.arguments.get(1).is_some_and(|role| role == "serve"));
        Ok(serve.context("the control plane's process")?.pid)
    }

    /// The Envoy of a pod `NAME.NAMESPACE`.
    pub fn envoy_of(&self, pod: &str) -> Result<Pid> {
        let config = self.run_dir().join("pods").join(pod).join("envoy.json").display().to_string();
        let envoy = processes_with(&config).into_iter().find(|process| !process.arguments.iter().any(|argument| argument == "enter"));
        Ok(envoy.with_context(|| format!("the Envoy of {pod}"))?.pid)
    }

    /// The sample application that runs in a pod `NAME.NAMESPACE`.
    pub fn app_of(&self, pod: &str) -> Result<Pid> {
        let name = format!("HOSTNAME={}", pod.split('.').next().unwrap_or_default());
        let plays = |process: &Process| process.arguments.get(1).is_some_and(|role| role == "sample");
        let here = |process: &Process| process.read("environ").split('\0').any(|variable| variable == name);
        let app = family(self.child.id()).into_iter().find(|process| plays(process) && here(process));
        Ok(app.with_context(|| format!("the app of {pod}"))?.pid)
    }

    /// Ends the mesh by a signal, and says how long that took.
    pub fn end(&mut self, signal: Signal) -> Result<(ExitStatus, Duration)> {
        let started = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal)?;
        while started.elapsed() < END {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, started.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        bail!("weir up did not end within {END:?} of {signal:?}, but by SIGKILL: {status}");
    }
}

impl Mesh for Up {
    fn gateway(&self) -> SocketAddr {
        let port = self.view["gateways"][0]["ports"][0]["outside"].as_u64().expect("a gateway");
        SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")))
    }

    fn apply(&self, path: &str) -> Result<()> {
        self.ask(&["apply", "-f", &project(path).display().to_string()]).map(drop)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end(Signal::TERM);
        }
    }
}
