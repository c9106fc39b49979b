//! A mesh for one test, and what can be seen of it from outside.

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An ordinary user that every system has.
const NOBODY: u32 = 65534;

/// The binary.
pub fn weir() -> &'static str {
    env!("CARGO_BIN_EXE_weir")
}

/// A running `weir up`, ended when this is dropped.
pub struct Mesh {
    child: Child,
    dir: TempDir,
    program: PathBuf,
}

impl Mesh {
    /// Starts a mesh of this manifest and waits until all is ready.
    pub fn start(manifest: &str, args: &[&str]) -> Mesh {
        let mut mesh = Mesh::start_without_waiting(manifest, args);
        mesh.wait_until_ready();
        mesh
    }

    /// Starts a mesh of this manifest.
    pub fn start_without_waiting(manifest: &str, args: &[&str]) -> Mesh {
        let dir = tempfile::tempdir().unwrap();
        Mesh::spawn(dir, weir().into(), &mut Command::new(weir()), manifest, args)
    }

    /// The same as an ordinary user: where the tests run as root, as `nobody`, who gets copies of the programs to read.
    pub fn start_as_ordinary_user(manifest: &str) -> Mesh {
        let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let [program, envoy, run] = ["weir", "envoy", "run"].map(|name| dir.path().join(name));
        std::fs::copy(weir(), &program).unwrap();
        std::fs::copy(real_envoy(), &envoy).unwrap();
        std::fs::create_dir(&run).unwrap();
        let mut command = Command::new(&program);
        command.env("ENVOY", &envoy);
        if geteuid().is_root() {
            std::os::unix::fs::chown(&run, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        let mut mesh = Mesh::spawn(dir, program, &mut command, manifest, &[]);
        mesh.wait_until_ready();
        mesh
    }

    fn spawn(dir: TempDir, program: PathBuf, command: &mut Command, manifest: &str, args: &[&str]) -> Mesh {
        let file = dir.path().join("mesh.yaml");
        std::fs::write(&file, manifest).unwrap();
        let errors = File::create(dir.path().join("said")).unwrap();
        command.arg("up").arg(file).args(args).args(["--output", "json", "--run-dir"]).arg(dir.path().join("run"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        Mesh { child, dir, program }
    }

    fn wait_until_ready(&mut self) {
        let text = line(&mut BufReader::new(self.child.stdout.take().unwrap()));
        assert!(text.starts_with('{'), "weir up printed {text:?}: {}", self.said());
    }

    /// What it wrote for people so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap()
    }

    /// The folder of the run.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Replaces its manifest.
    pub fn edit(&self, manifest: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, manifest).unwrap();
        std::fs::rename(new, self.dir.path().join("mesh.yaml")).unwrap();
    }

    /// A command of `weir` for this mesh.
    pub fn command(&self, args: &[&str]) -> Command {
        let (own, rest) = args.split_at(args.iter().position(|arg| *arg == "--").unwrap_or(args.len()));
        let mut command = Command::new(&self.program);
        command.args(own).arg("--run-dir").arg(self.dir.path().join("run")).args(rest).stdin(Stdio::null());
        command
    }

    /// Runs it.
    pub fn weir(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it with this input.
    pub fn weir_with(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs it, which must succeed; gives what it printed.
    pub fn does(&self, args: &[&str]) -> String {
        succeeded(args, self.weir(args))
    }

    /// The same with this input.
    pub fn does_with(&self, args: &[&str], input: &str) -> String {
        succeeded(args, self.weir_with(args, input))
    }

    /// What a stand-in answers to a program in a pod. A headless Service's name leads to a pod a moment after the pod is ready.
    pub fn ask(&self, pod: &str, url: &str) -> Value {
        let args = ["exec", pod, "--", weir(), "sample", "ask", "http2", url];
        eventually(Duration::from_secs(5), &format!("an answer of {url}"), || self.weir(&args).status.success());
        serde_json::from_str(&self.does(&args)).unwrap()
    }

    /// All that runs.
    pub fn look(&self) -> Value {
        serde_json::from_str(&self.does(&["get", "-o", "json"])).unwrap()
    }

    /// The same, if it answers.
    pub fn try_look(&self) -> Option<Value> {
        serde_json::from_slice(&self.weir(&["get", "-o", "json"]).stdout).ok()
    }

    /// One pod.
    pub fn pod(&self, name: &str) -> Value {
        self.look()["pods"].as_array().unwrap().iter().find(|pod| pod["name"] == name).cloned().unwrap_or_default()
    }

    /// Waits for a pod's state.
    pub fn becomes(&self, pod: &str, state: &str) {
        eventually(Duration::from_secs(10), &format!("{pod} becomes {state}"), || self.pod(pod)["state"] == state);
    }

    /// Its processes: those that descend from `weir up`, inside and outside its namespaces.
    pub fn processes(&self) -> Vec<Process> {
        let mut found = vec![Process::read(self.child.id()).unwrap()];
        let all: Vec<_> = numbers("/proc").into_iter().filter_map(Process::read).collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|process| process.pid) {
            found.extend(all.iter().filter(|process| process.parent == parent).cloned());
            next += 1;
        }
        found
    }

    /// Sends a signal to `weir up`, and says how and when it ended.
    pub fn end(&mut self, with: Signal) -> (Option<i32>, Duration) {
        let started = Instant::now();
        signal(&self.child, with);
        (self.wait(), started.elapsed())
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end(Signal::TERM);
        }
    }
}

/// Envoy, where `weir` looks for it.
fn real_envoy() -> PathBuf {
    let named = std::env::var_os("ENVOY").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let folders = std::env::split_paths(&path).chain([project]).map(|folder| folder.join("envoy"));
    named.into_iter().chain(folders).find(|file| file.is_file()).expect("Envoy: `make envoy`, or set ENVOY")
}

fn succeeded(args: &[&str], output: Output) -> String {
    assert!(output.status.success(), "weir {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sends a signal to a child.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// The next line.
pub fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

/// Polls until `check` holds, and fails after `limit`.
pub fn eventually(limit: Duration, what: &str, check: impl Fn() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process, told from a later one with its number by its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    parent: u32,
    started: String,
    zombie: bool,
}

impl Process {
    /// This one.
    pub fn this() -> Process {
        Process::read(std::process::id()).unwrap()
    }

    fn read(pid: u32) -> Option<Process> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: state, parent, ..., and the start as the 20th.
        let fields: Vec<_> = text.rsplit_once(") ")?.1.split(' ').collect();
        Some(Process { pid, parent: fields[1].parse().ok()?, started: fields[19].into(), zombie: fields[0] == "Z" })
    }

    /// Whether it is gone; one that waits only for being noticed is.
    pub fn has_ended(&self) -> bool {
        Process::read(self.pid).is_none_or(|now| now.started != self.started || now.zombie)
    }

    /// Its command line.
    pub fn command(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default().replace('\0', " ")
    }

    /// Ends it at once.
    pub fn kill(&self) {
        kill_process(Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    }

    /// The namespaces it is in.
    pub fn namespaces(&self) -> BTreeSet<PathBuf> {
        let folder = PathBuf::from(format!("/proc/{}/ns", self.pid));
        ["net", "mnt", "pid", "uts"].iter().filter_map(|name| std::fs::read_link(folder.join(name)).ok()).collect()
    }
}

/// What a mesh might leave behind on this machine beside processes: network interfaces and mounts.
pub fn outside() -> (BTreeSet<PathBuf>, String) {
    let links = std::fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path()).collect();
    (links, std::fs::read_to_string("/proc/self/mounts").unwrap())
}

fn numbers(folder: impl AsRef<Path>) -> Vec<u32> {
    std::fs::read_dir(folder).unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}
